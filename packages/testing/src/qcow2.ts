/** qcow2 images for tests (docs/interop/qcow2.txt of QEMU's sources). */

const clusterBytes = 65_536
const entriesOfTable = clusterBytes / 8

/** @category models */
export interface Qcow2Options {
  /** Size of the disk in bytes; at most 512 MiB times 8192. */
  readonly size: number
  /** Name of the image that it builds on, for its header. */
  readonly backing?: { readonly name: string; readonly format: "raw" | "qcow2" } | undefined
  /** Whether its header says that its content is in another file. */
  readonly dataFile?: boolean | undefined
}

/**
 * An image in which nothing has been written: zeros, or what the image has that it builds on.
 *
 * @category constructors
 */
export const qcow2 = ({ backing, dataFile = false, size }: Qcow2Options): Uint8Array => {
  // Header, table of reference counts, one block of those, first-level table.
  const bytes = new Uint8Array(4 * clusterBytes)
  const view = new DataView(bytes.buffer)
  const name = new TextEncoder().encode(backing?.name ?? "")
  const format = new TextEncoder().encode(backing?.format ?? "")
  const headerBytes = 104
  const extensionBytes = format.length === 0 ? 0 : 8 + Math.ceil(format.length / 8) * 8
  const nameAt = headerBytes + extensionBytes + 8
  view.setUint32(0, 0x514649fb)
  view.setUint32(4, 3)
  view.setBigUint64(8, BigInt(name.length === 0 ? 0 : nameAt))
  view.setUint32(16, name.length)
  view.setUint32(20, 16)
  view.setBigUint64(24, BigInt(size))
  view.setUint32(36, Math.max(1, Math.ceil(size / (clusterBytes * entriesOfTable))))
  view.setBigUint64(40, BigInt(3 * clusterBytes))
  view.setBigUint64(48, BigInt(clusterBytes))
  view.setUint32(56, 1)
  view.setUint32(76, dataFile ? 4 : 0)
  view.setUint32(96, 4)
  view.setUint32(100, headerBytes)
  if (format.length > 0) {
    view.setUint32(headerBytes, 0xe2792aca)
    view.setUint32(headerBytes + 4, format.length)
    bytes.set(format, headerBytes + 8)
  }
  bytes.set(name, nameAt)
  view.setBigUint64(clusterBytes, BigInt(2 * clusterBytes))
  for (let cluster = 0; cluster < 4; cluster++) view.setUint16(2 * clusterBytes + 2 * cluster, 1)
  return bytes
}

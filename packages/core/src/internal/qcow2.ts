/** The header of a qcow2 image (docs/interop/qcow2.txt of QEMU's sources), as far as it leads to other files. */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

export interface Qcow2Header {
  /** Whether it names an image that it builds on. */
  readonly hasBacking: boolean
  /** Whether its content is in another file. */
  readonly hasDataFile: boolean
  readonly isEncrypted: boolean
}

const magic = 0x514649fb
const headerBytes = 104

/** Bit 2 of the incompatible features. */
const externalDataFile = 0x4

/** None if these are not the first bytes of such an image. */
export const parse = (bytes: Uint8Array): Option.Option<Qcow2Header> => {
  if (bytes.byteLength < 72) return Option.none()
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const version = view.getUint32(4)
  if (view.getUint32(0) !== magic || version < 2 || version > 3) return Option.none()
  // Version 2 ends before the features.
  if (version === 3 && bytes.byteLength < headerBytes) return Option.none()
  return Option.some({
    hasBacking: view.getBigUint64(8) !== 0n,
    hasDataFile: version === 3 && (view.getUint32(76) & externalDataFile) !== 0,
    isEncrypted: view.getUint32(32) !== 0
  })
}

/** The header of a file; none if it is no such image. */
export const read = (path: string) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) =>
    fs.stream(path, { bytesToRead: headerBytes, chunkSize: headerBytes }).pipe(
      Stream.runCollect,
      Effect.map((pieces) => parse(Buffer.concat(Chunk.toReadonlyArray(pieces))))
    )
  )

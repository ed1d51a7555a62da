/** A machine's description as capsa_launch takes it: struct capsa_machine_config of capsa.h. */
import { type Line, offsetOf, setSlice, sizeOf } from "./layout.ts"

/** A disk of capsa_machine_config; texts that are absent are empty. */
export interface DiskRecord {
  readonly flags: number
  readonly path: string
  readonly serial: string
  readonly overlay: string
}

/** A share of capsa_machine_config. */
export interface ShareRecord {
  readonly flags: number
  readonly cache: number
  readonly owner: number
  readonly path: string
  readonly tag: string
}

/** A forward of capsa_nic. */
export interface ForwardRecord {
  readonly protocol: number
  readonly host: number
  readonly guest: number
  readonly address: string
}

/** A network device of capsa_machine_config; what its mode has not is empty or 0. */
export interface NicRecord {
  readonly mode: number
  readonly mac: Uint8Array
  readonly network: number
  readonly address: string
  readonly device: string
  readonly forwards: ReadonlyArray<ForwardRecord>
  readonly dnsServers: string
  readonly dnsSearch: string
  /** struct capsa_policy and what belongs to it. */
  readonly policy: Uint8Array
}

/** What capsa_launch needs of a boot plan. */
export interface MachineConfigRecord {
  readonly memoryBytes: bigint
  readonly cpus: number
  readonly discovery: number
  readonly console: number
  readonly consoleBytes: number
  readonly kernel: string
  readonly initrd: string
  readonly cmdline: string
  readonly disks: ReadonlyArray<DiskRecord>
  readonly shares: ReadonlyArray<ShareRecord>
  readonly nics: ReadonlyArray<NicRecord>
  readonly flags: number
  /** Path; empty: no device. */
  readonly vsock: string
}

/** Bytes and where the slice that names them stands. */
interface Placed {
  readonly slice: number
  readonly bytes: Uint8Array
}

/** Sets fields of one struct that begins at `base`. */
const fieldsAt = (view: DataView, base: number, texts: Array<Placed>) => ({
  number: (line: Line, value: number) => view.setUint32(base + offsetOf(line), value, true),
  bytes: (line: Line, value: Uint8Array) => void texts.push({ slice: base + offsetOf(line), bytes: value }),
  text: (line: Line, value: string) =>
    void texts.push({ slice: base + offsetOf(line), bytes: new TextEncoder().encode(value) })
})

const writeDisk = (view: DataView, base: number, texts: Array<Placed>, disk: DiskRecord) => {
  const { number, text } = fieldsAt(view, base, texts)
  view.setUint32(base, sizeOf("capsa_disk"), true)
  number("capsa_disk.flags", disk.flags)
  text("capsa_disk.path", disk.path)
  text("capsa_disk.serial", disk.serial)
  text("capsa_disk.overlay", disk.overlay)
}

const writeShare = (view: DataView, base: number, texts: Array<Placed>, share: ShareRecord) => {
  const { number, text } = fieldsAt(view, base, texts)
  view.setUint32(base, sizeOf("capsa_share"), true)
  number("capsa_share.flags", share.flags)
  number("capsa_share.cache", share.cache)
  number("capsa_share.owner", share.owner)
  text("capsa_share.path", share.path)
  text("capsa_share.tag", share.tag)
}

const writeForward = (view: DataView, base: number, texts: Array<Placed>, forward: ForwardRecord) => {
  const { number, text } = fieldsAt(view, base, texts)
  view.setUint32(base, sizeOf("capsa_forward"), true)
  number("capsa_forward.protocol", forward.protocol)
  view.setUint16(base + offsetOf("capsa_forward.host_port"), forward.host, true)
  view.setUint16(base + offsetOf("capsa_forward.guest_port"), forward.guest, true)
  text("capsa_forward.address", forward.address)
}

const writeNic = (view: DataView, base: number, texts: Array<Placed>, nic: NicRecord) => {
  const { number, text, bytes } = fieldsAt(view, base, texts)
  view.setUint32(base, sizeOf("capsa_nic"), true)
  number("capsa_nic.mode", nic.mode)
  number("capsa_nic.network", nic.network)
  nic.mac.forEach((byte, index) => {
    view.setUint8(base + offsetOf("capsa_nic.mac") + index, byte)
  })
  text("capsa_nic.address", nic.address)
  text("capsa_nic.device", nic.device)
  text("capsa_nic.dns_servers", nic.dnsServers)
  text("capsa_nic.dns_search", nic.dnsSearch)
  bytes("capsa_nic.policy", nic.policy)
}

/** The struct, its arrays, and then all texts, in one buffer. */
export const writeMachineConfig = (config: MachineConfigRecord): Uint8Array => {
  const disksAt = sizeOf("capsa_machine_config")
  const disksBytes = config.disks.length * sizeOf("capsa_disk")
  const sharesAt = disksAt + disksBytes
  const sharesBytes = config.shares.length * sizeOf("capsa_share")
  const nicsAt = sharesAt + sharesBytes
  const nicsBytes = config.nics.length * sizeOf("capsa_nic")
  const forwards = config.nics.flatMap((nic) => nic.forwards)
  const forwardsAt = nicsAt + nicsBytes
  const structs = new Uint8Array(forwardsAt + forwards.length * sizeOf("capsa_forward"))
  const view = new DataView(structs.buffer)
  const texts: Array<Placed> = []
  const { number, text } = fieldsAt(view, 0, texts)
  view.setUint32(0, disksAt, true)
  view.setBigUint64(offsetOf("capsa_machine_config.memory_bytes"), config.memoryBytes, true)
  number("capsa_machine_config.cpus", config.cpus)
  number("capsa_machine_config.discovery", config.discovery)
  number("capsa_machine_config.console", config.console)
  number("capsa_machine_config.console_bytes", config.consoleBytes)
  number("capsa_machine_config.flags", config.flags)
  text("capsa_machine_config.kernel", config.kernel)
  text("capsa_machine_config.initrd", config.initrd)
  text("capsa_machine_config.cmdline", config.cmdline)
  text("capsa_machine_config.vsock", config.vsock)
  setSlice(view, offsetOf("capsa_machine_config.disks"), disksAt, disksBytes)
  setSlice(view, offsetOf("capsa_machine_config.shares"), sharesAt, sharesBytes)
  config.disks.forEach((disk, index) => {
    writeDisk(view, disksAt + index * sizeOf("capsa_disk"), texts, disk)
  })
  config.shares.forEach((share, index) => {
    writeShare(view, sharesAt + index * sizeOf("capsa_share"), texts, share)
  })
  setSlice(view, offsetOf("capsa_machine_config.nics"), nicsAt, nicsBytes)
  // There is one device at most, so all forwards are its.
  config.nics.forEach((nic, index) => {
    const base = nicsAt + index * sizeOf("capsa_nic")
    writeNic(view, base, texts, nic)
    setSlice(view, base + offsetOf("capsa_nic.forwards"), forwardsAt, forwards.length * sizeOf("capsa_forward"))
  })
  forwards.forEach((forward, index) => {
    writeForward(view, forwardsAt + index * sizeOf("capsa_forward"), texts, forward)
  })
  let end = structs.byteLength
  for (const { slice, bytes } of texts) {
    setSlice(view, slice, end, bytes.byteLength)
    end += bytes.byteLength
  }
  number("capsa_machine_config.total", end)
  return Buffer.concat([structs, ...texts.map(({ bytes }) => bytes)])
}

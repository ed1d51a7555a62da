/** The structs of capsa.h as this side reads and writes them; the library confirms every line when it is opened. */

/** "struct.field" or "struct", with offset and size in bytes. */
const lines = {
  capsa_error: [0, 512],
  "capsa_error.status": [4, 4],
  "capsa_error.system_errno": [8, 4],
  "capsa_error.operation": [16, 48],
  "capsa_error.subject": [64, 256],
  "capsa_error.field": [320, 64],
  "capsa_error.message": [384, 128],
  capsa_machine_config: [0, 96],
  "capsa_machine_config.total": [4, 4],
  "capsa_machine_config.memory_bytes": [8, 8],
  "capsa_machine_config.cpus": [16, 4],
  "capsa_machine_config.discovery": [20, 4],
  "capsa_machine_config.console": [24, 4],
  "capsa_machine_config.console_bytes": [28, 4],
  "capsa_machine_config.kernel": [32, 8],
  "capsa_machine_config.initrd": [40, 8],
  "capsa_machine_config.cmdline": [48, 8],
  "capsa_machine_config.disks": [56, 8],
  "capsa_machine_config.shares": [64, 8],
  "capsa_machine_config.nics": [72, 8],
  "capsa_machine_config.flags": [80, 4],
  "capsa_machine_config.vsock": [88, 8],
  capsa_disk: [0, 32],
  "capsa_disk.flags": [4, 4],
  "capsa_disk.path": [8, 8],
  "capsa_disk.serial": [16, 8],
  "capsa_disk.overlay": [24, 8],
  capsa_share: [0, 32],
  "capsa_share.flags": [4, 4],
  "capsa_share.cache": [8, 4],
  "capsa_share.owner": [12, 4],
  "capsa_share.path": [16, 8],
  "capsa_share.tag": [24, 8],
  capsa_nic: [0, 68],
  "capsa_nic.mode": [4, 4],
  "capsa_nic.mac": [8, 8],
  "capsa_nic.network": [16, 4],
  "capsa_nic.address": [20, 8],
  "capsa_nic.device": [28, 8],
  "capsa_nic.forwards": [36, 8],
  "capsa_nic.dns_servers": [44, 8],
  "capsa_nic.dns_search": [52, 8],
  "capsa_nic.policy": [60, 8],
  capsa_forward: [0, 20],
  "capsa_forward.protocol": [4, 4],
  "capsa_forward.host_port": [8, 2],
  "capsa_forward.guest_port": [10, 2],
  "capsa_forward.address": [12, 8],
  capsa_network_config: [0, 32],
  "capsa_network_config.flags": [4, 4],
  "capsa_network_config.subnet": [8, 24],
  capsa_event: [0, 544],
  "capsa_event.kind": [4, 4],
  "capsa_event.code": [8, 4],
  "capsa_event.gic": [12, 4],
  "capsa_event.time_ns": [16, 8],
  "capsa_event.value": [24, 8],
  "capsa_event.error": [32, 512],
  capsa_drained: [0, 2200],
  "capsa_drained.machine": [4, 4],
  "capsa_drained.event_count": [8, 4],
  "capsa_drained.console_bytes": [12, 4],
  "capsa_drained.console_lost": [16, 8],
  "capsa_drained.events": [24, 2176],
  capsa_stats: [0, 152],
  "capsa_stats.cpus": [4, 4],
  "capsa_stats.exits": [8, 8],
  "capsa_stats.memory_bytes": [16, 8],
  "capsa_stats.resident_bytes": [24, 8],
  "capsa_stats.console_output": [32, 8],
  "capsa_stats.console_input": [40, 8],
  "capsa_stats.console_lost": [48, 8],
  "capsa_stats.disk_read": [56, 8],
  "capsa_stats.disk_written": [64, 8],
  "capsa_stats.share_requests": [72, 8],
  "capsa_stats.balloon_held": [80, 8],
  "capsa_stats.balloon_reported": [88, 8],
  "capsa_stats.guest_total": [96, 8],
  "capsa_stats.guest_free": [104, 8],
  "capsa_stats.guest_available": [112, 8],
  "capsa_stats.vsock_connections": [120, 8],
  "capsa_stats.vsock_sent": [128, 8],
  "capsa_stats.vsock_received": [136, 8],
  "capsa_stats.network_mtu": [144, 8],
  capsa_address: [0, 20],
  "capsa_address.family": [0, 4],
  "capsa_address.bytes": [4, 16],
  capsa_rule: [0, 48],
  "capsa_rule.action": [4, 4],
  "capsa_rule.protocol": [8, 4],
  "capsa_rule.port_first": [12, 2],
  "capsa_rule.port_last": [14, 2],
  "capsa_rule.address": [16, 20],
  "capsa_rule.prefix": [36, 4],
  "capsa_rule.domain": [40, 8],
  capsa_policy: [0, 24],
  "capsa_policy.total": [4, 4],
  "capsa_policy.flags": [8, 4],
  "capsa_policy.default_action": [12, 4],
  "capsa_policy.rules": [16, 8],
  capsa_flow: [0, 52],
  "capsa_flow.protocol": [4, 4],
  "capsa_flow.guest": [8, 20],
  "capsa_flow.remote": [28, 20],
  "capsa_flow.guest_port": [48, 2],
  "capsa_flow.remote_port": [50, 2],
  capsa_decision: [0, 344],
  "capsa_decision.action": [4, 4],
  "capsa_decision.reason": [8, 4],
  "capsa_decision.rule": [12, 4],
  "capsa_decision.closed": [16, 4],
  "capsa_decision.server_name": [20, 4],
  "capsa_decision.time_ms": [24, 8],
  "capsa_decision.missed": [32, 4],
  "capsa_decision.flow": [36, 52],
  "capsa_decision.name": [88, 256]
} as const satisfies Record<string, readonly [offset: number, size: number]>

export type Line = keyof typeof lines

export const offsetOf = (line: Line): number => lines[line][0]
export const sizeOf = (line: Line): number => lines[line][1]

/** Sets a struct capsa_slice. */
export const setSlice = (view: DataView, at: number, offset: number, length: number) => {
  view.setUint32(at, offset, true)
  view.setUint32(at + 4, length, true)
}

/** The first line of the library's picture that differs from ours; undefined when all agree. */
export const firstDifference = (libraryText: string): string | undefined => {
  const ours = Object.entries(lines).map(([name, [offset, size]]) => `${name} ${offset} ${size}`)
  const theirs = libraryText.trimEnd().split("\n")
  const index = ours.findIndex((line, at) => line !== theirs[at])
  if (index >= 0) return `${ours[index]} here, ${theirs[index] ?? "nothing"} in the library`
  return theirs.length > ours.length ? `nothing here, ${theirs[ours.length]} in the library` : undefined
}

/** capsa_error in plain values; texts are empty where they do not apply. */
export interface ErrorRecord {
  readonly status: number
  readonly errno: number
  readonly operation: string
  readonly subject: string
  readonly field: string
  readonly message: string
}

const decoder = new TextDecoder()

const text = (view: DataView, offset: number, size: number): string => {
  const bytes = new Uint8Array(view.buffer, view.byteOffset + offset, size)
  const end = bytes.indexOf(0)
  // Most events have nothing to say.
  return end === 0 ? "" : decoder.decode(bytes.subarray(0, end < 0 ? size : end))
}

const readError = (view: DataView, base: number): ErrorRecord => {
  const field = (line: Line) => text(view, base + offsetOf(line), sizeOf(line))
  return {
    status: view.getUint32(base + offsetOf("capsa_error.status"), true),
    errno: view.getInt32(base + offsetOf("capsa_error.system_errno"), true),
    operation: field("capsa_error.operation"),
    subject: field("capsa_error.subject"),
    field: field("capsa_error.field"),
    message: field("capsa_error.message")
  }
}

/** A buffer for the library to describe a failure in. */
export const makeErrorBuffer = () => {
  const bytes = new Uint8Array(sizeOf("capsa_error"))
  return { bytes, read: () => readError(new DataView(bytes.buffer), 0) }
}

/** capsa_event in plain values. */
export interface EventRecord {
  readonly kind: number
  readonly code: number
  readonly gic: number
  readonly timeMs: number
  readonly value: number
  readonly error: ErrorRecord
}

/** A buffer for capsa_drain, used again and again. */
export const makeDrained = () => {
  const bytes = new Uint8Array(sizeOf("capsa_drained"))
  const view = new DataView(bytes.buffer)
  view.setUint32(0, bytes.byteLength, true)
  const number = (line: Line) => view.getUint32(offsetOf(line), true)
  const event = (index: number): EventRecord => {
    const base = offsetOf("capsa_drained.events") + index * sizeOf("capsa_event")
    return {
      kind: view.getUint32(base + offsetOf("capsa_event.kind"), true),
      code: view.getUint32(base + offsetOf("capsa_event.code"), true),
      gic: view.getUint32(base + offsetOf("capsa_event.gic"), true),
      timeMs: Number(view.getBigUint64(base + offsetOf("capsa_event.time_ns"), true)) / 1e6,
      value: Number(view.getBigUint64(base + offsetOf("capsa_event.value"), true)),
      error: readError(view, base + offsetOf("capsa_event.error"))
    }
  }
  return {
    bytes,
    machine: () => number("capsa_drained.machine"),
    consoleBytes: () => number("capsa_drained.console_bytes"),
    consoleLost: () => Number(view.getBigUint64(offsetOf("capsa_drained.console_lost"), true)),
    events: () => Array.from({ length: number("capsa_drained.event_count") }, (_, index) => event(index))
  }
}

/** capsa_stats in plain values. */
export interface StatsRecord {
  readonly exits: number
  readonly residentBytes: number
  readonly consoleOutput: number
  readonly consoleLost: number
  readonly diskRead: number
  readonly diskWritten: number
  readonly shareRequests: number
  readonly balloonHeld: number
  readonly balloonReported: number
  readonly guestTotal: number
  readonly guestFree: number
  readonly guestAvailable: number
  readonly vsockConnections: number
  readonly vsockSent: number
  readonly vsockReceived: number
  readonly networkMtu: number
}

/** A buffer for capsa_stats. */
export const makeStats = () => {
  const bytes = new Uint8Array(sizeOf("capsa_stats"))
  const view = new DataView(bytes.buffer)
  view.setUint32(0, bytes.byteLength, true)
  const number = (line: Line) => Number(view.getBigUint64(offsetOf(line), true))
  const read = (): StatsRecord => ({
    exits: number("capsa_stats.exits"),
    residentBytes: number("capsa_stats.resident_bytes"),
    consoleOutput: number("capsa_stats.console_output"),
    consoleLost: number("capsa_stats.console_lost"),
    diskRead: number("capsa_stats.disk_read"),
    diskWritten: number("capsa_stats.disk_written"),
    shareRequests: number("capsa_stats.share_requests"),
    balloonHeld: number("capsa_stats.balloon_held"),
    balloonReported: number("capsa_stats.balloon_reported"),
    guestTotal: number("capsa_stats.guest_total"),
    guestFree: number("capsa_stats.guest_free"),
    guestAvailable: number("capsa_stats.guest_available"),
    vsockConnections: number("capsa_stats.vsock_connections"),
    vsockSent: number("capsa_stats.vsock_sent"),
    vsockReceived: number("capsa_stats.vsock_received"),
    networkMtu: number("capsa_stats.network_mtu")
  })
  return { bytes, read }
}

/** Values of the enums of capsa.h that this side uses. */
export const abiVersion = 5
export const consoleKind = { serial: 1, virtio: 2 } as const
export const discoveryKind = { firmware: 1, cmdline: 2 } as const
export const machineFlag = { balloon: 1 } as const
export const diskFlag = { readOnly: 1, blockDevice: 2 } as const
export const shareFlag = { readOnly: 1, owner: 2 } as const
export const shareCache = { none: 1, auto: 2, always: 3 } as const
export const networkMode = { user: 1, tap: 2, switch: 3 } as const
export const networkFlag = { uplink: 1 } as const
export const eventKind = {
  stage: 1,
  paused: 2,
  resumed: 3,
  writable: 4,
  exit: 5,
  probed: 6,
  released: 7
} as const
export const stageNames = ["", "created", "loaded", "started"] as const
export const exitKind = { powerOff: 1, reset: 2, tripleFault: 3, panic: 4, killed: 5, failed: 6 } as const
export const verdictNames = ["", "hardware", "emulated", "unusable"] as const

/** What a backend gives: bytes in, bytes out, an exit. All that is shared by every machine lives above, in `Vm`. */
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { BootStage } from "./BootStage.ts"
import type { MachineError } from "./MachineError.ts"
import type { MachineNetwork } from "./NetworkFlow.ts"
import type { VmExit } from "./VmExit.ts"

/** What a machine costs the host. Fields a backend cannot tell are absent. @category models */
export interface MachineStats {
  /** Bytes of guest memory that the host has backed. */
  readonly residentBytes?: number | undefined
  /** Times a vCPU left the guest. */
  readonly exits?: number | undefined
  /** Bytes the guest wrote to its console. */
  readonly consoleBytes?: number | undefined
  /** Requests of the guest about shared folders. */
  readonly shareRequests?: number | undefined
  /** Bytes the guest read from its disks, all together. */
  readonly diskReadBytes?: number | undefined
  /** Bytes the guest wrote to its disks, all together; what it discards or zeroes is not counted. */
  readonly diskWrittenBytes?: number | undefined
  /** Vsock connections at present, those being made included. */
  readonly vsockConnections?: number | undefined
  /** Bytes that went through vsock connections to the guest, and from it. */
  readonly vsockSentBytes?: number | undefined
  readonly vsockReceivedBytes?: number | undefined
  /** Of a machine with a balloon. */
  readonly balloon?: BalloonStats | undefined
  /** Of a machine with a balloon, as its guest said when stats were last asked for; absent until it has. */
  readonly guestMemory?: GuestMemory | undefined
}

/** What a guest gave back to the host. @category models */
export interface BalloonStats {
  /** Bytes that the guest says its balloon holds. */
  readonly heldBytes: number
  /** Bytes that were given back because they were free, in total: the guest may have taken them again. QEMU does not tell. */
  readonly reportedBytes?: number | undefined
}

/** Memory as a guest counts it, true or not. @category models */
export interface GuestMemory {
  readonly totalBytes: number
  readonly freeBytes: number
  /** Free, or can be freed without swapping. */
  readonly availableBytes: number
}

/** Bytes to and from a program of the guest, in order. @category models */
export interface Channel {
  /** What the guest sends; ends when it, or the machine, is gone. To be consumed once; unread bytes hold the guest back. */
  readonly bytes: Stream.Stream<Uint8Array>
  /** Hands bytes over, in order; waits while the guest does not read. */
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, MachineError>
}

/**
 * A running machine. It belongs to the scope that booted it and is killed and freed when that scope closes.
 *
 * @category models
 */
export interface Machine {
  /**
   * Console output from the first byte, in order; ends after the machine's last byte. Consumed once, by `Vm`, which
   * never stops reading: a backend need not hold more than a bounded amount back, and says in `consoleLost` what it dropped.
   */
  readonly console: Stream.Stream<Uint8Array>
  /** Bytes of console output that the backend had to drop so far. */
  readonly consoleLost: Effect.Effect<number>
  /** Puts bytes into the console's input; waits while its buffer is full. Even of no bytes, it fails once the machine is ending. */
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, MachineError>
  /** To the agent in the guest, for a plan that has one. */
  readonly agent?: Channel | undefined
  /**
   * The stages that the backend itself sees (`created`, `loaded`, `started`), from the first, as they come; ends with the
   * machine. Their `atMs` count from the call of `boot`: what came before it, `Vm` adds.
   */
  readonly stages: Stream.Stream<BootStage>
  /** Presses the power button. */
  readonly powerOff: Effect.Effect<void, MachineError>
  /** Ends it, whatever it is doing. Always returns; `exit` follows. */
  readonly kill: Effect.Effect<void>
  /** Stops all vCPUs; returns when they stand. */
  readonly pause: Effect.Effect<void, MachineError>
  readonly resume: Effect.Effect<void, MachineError>
  /** How it ended: the same for every waiter, however late. */
  readonly exit: Effect.Effect<VmExit>
  readonly stats: Effect.Effect<MachineStats, MachineError>
  /** Absent where no policy stands between the machine and its network. */
  readonly network?: MachineNetwork | undefined
  /**
   * The Unix socket behind `vm.vsock`, there from the start to the end of a machine with such a device: who connects to it
   * writes `CONNECT <port>\n` and is connected to that port of the guest after the answer `OK <port>\n`; a guest that
   * connects to port P of the host reaches who listens at `<path>_<P>`.
   */
  readonly vsockPath?: string | undefined
}

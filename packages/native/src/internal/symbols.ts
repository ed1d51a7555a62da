/**
 * Every function of capsa.h, once. Why each call is safe is told here and in docs/FFI-SAFETY.md:
 *
 * - all of them return without blocking and none keeps a pointer of ours, so a buffer needs to live for the call only;
 * - machines are numbers that the library checks, so a stale one is answered, not dereferenced;
 * - the instance is an address that `Library` gives out after `capsa_open` and takes back before `capsa_close`.
 */
import type { FFIFunction } from "bun:ffi"

export const symbols = {
  /** No arguments, no state. */
  capsa_abi_version: { args: [], returns: "u32" },
  /** Writes at most the capacity it is given, which is the buffer's length. */
  capsa_layout: { args: ["ptr", "u32"], returns: "u32" },
  /** Writes two numbers, ours for the call. */
  capsa_read_ticks: { args: ["ptr", "ptr"], returns: "u32" },
  /** Writes one address and one error struct, both ours for the call. */
  capsa_open: { args: ["ptr", "ptr"], returns: "u32" },
  /** Takes the address once; it refuses while machines exist. */
  capsa_close: { args: ["u64"], returns: "u32" },
  /** Reads one number of a live instance. */
  capsa_wake_fd: { args: ["u64"], returns: "i32" },
  /** Writes a number and an error struct. */
  capsa_probe: { args: ["u64", "ptr", "ptr"], returns: "u32" },
  /** Reads one buffer whose length stands in it and is checked; copies what it needs before it returns. */
  capsa_launch: { args: ["u64", "ptr", "ptr", "ptr"], returns: "u32" },
  /** The same, with a path that ends with a NUL. */
  capsa_serve: { args: ["u64", "ptr", "ptr", "ptr", "ptr"], returns: "u32" },
  /** Reads a struct of fixed size and a buffer whose length stands in it; writes a number and an error struct. */
  capsa_network_open: { args: ["u64", "ptr", "ptr", "ptr", "ptr"], returns: "u32" },
  capsa_network_close: { args: ["u64", "u32"], returns: "u32" },
  /** Reads one buffer whose length stands in it and is checked, and copies it. Waits for a frame at most. */
  capsa_policy_replace: { args: ["u64", "u32", "ptr", "ptr"], returns: "u32" },
  /** Reads a struct and a text that ends with NUL, or null; writes one struct, whose size it checks. */
  capsa_policy_explain: { args: ["u64", "u32", "ptr", "ptr", "ptr"], returns: "u32" },
  /** Writes at most as many structs as it is told, and a number. */
  capsa_policy_log: { args: ["u64", "u32", "ptr", "u32", "ptr"], returns: "u32" },
  capsa_power_button: { args: ["u64", "u32"], returns: "u32" },
  capsa_pause: { args: ["u64", "u32"], returns: "u32" },
  capsa_resume: { args: ["u64", "u32"], returns: "u32" },
  capsa_kill: { args: ["u64", "u32"], returns: "u32" },
  capsa_release: { args: ["u64", "u32"], returns: "u32" },
  /** Writes one struct, whose size it checks, and at most the capacity it is given. */
  capsa_drain: { args: ["u64", "ptr", "ptr", "u32"], returns: "u32" },
  /** Copies the bytes it accepts before it returns. */
  capsa_console_write: { args: ["u64", "u32", "ptr", "u32", "ptr"], returns: "u32" },
  /** Writes one struct, whose size it checks. */
  capsa_stats: { args: ["u64", "u32", "ptr"], returns: "u32" }
} as const satisfies Record<string, FFIFunction>

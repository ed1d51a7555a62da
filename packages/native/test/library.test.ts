import { expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { Native } from "@capsa/native"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import { abiVersion, firstDifference, makeDrained, makeErrorBuffer, makeStats } from "../src/internal/layout.ts"
import { writeMachineConfig } from "../src/internal/machineConfig.ts"
import { symbols } from "../src/internal/symbols.ts"
import { type Library, open } from "../src/Library.ts"
import { nativeStatuses } from "../src/NativeError.ts"

const withLibrary = <A>(use: (library: Library) => A) => Effect.runPromise(Effect.scoped(Effect.map(open, use)))

const layoutText = ({ call }: Library) => {
  const bytes = new Uint8Array(call.capsa_layout(null, 0))
  call.capsa_layout(bytes, bytes.byteLength)
  return new TextDecoder().decode(bytes)
}

/** Size of the struct that a description begins with. */
const head = writeMachineConfig({
  memoryBytes: 0n,
  cpus: 0,
  discovery: 0,
  console: 0,
  consoleBytes: 0,
  kernel: "",
  initrd: "",
  cmdline: "",
  disks: [],
  shares: [],
  nics: [],
  flags: 0,
  vsock: ""
}).byteLength

const header = readFileSync(new URL("../../../native/include/capsa.h", import.meta.url), "utf8")

test("the library's layout is ours", () =>
  withLibrary((library) => {
    expect(library.call.capsa_abi_version()).toBe(abiVersion)
    expect(firstDifference(layoutText(library))).toBeUndefined()
  }))

test("a field that moved, vanished or came is noticed", () =>
  withLibrary((library) => {
    const lines = layoutText(library).trimEnd().split("\n")
    const moved = lines.map((line) => line.replace("capsa_event.code 8 4", "capsa_event.code 12 4"))
    expect(firstDifference(moved.join("\n"))).toContain("capsa_event.code 12 4")
    expect(firstDifference(lines.slice(0, -1).join("\n"))).toContain("nothing in the library")
    expect(firstDifference([...lines, "capsa_new 0 4"].join("\n"))).toContain("capsa_new 0 4")
  }))

test("the layout's text is cut to the buffer it is given", () =>
  withLibrary(({ call }) => {
    const bytes = new Uint8Array(16)
    expect(call.capsa_layout(bytes, 8)).toBeGreaterThan(8)
    expect(bytes.subarray(8)).toEqual(new Uint8Array(8))
  }))

test("every exported function of the header has a symbol, and every symbol its line in the safety page", () => {
  const exported = [...header.matchAll(/^CAPSA_EXPORT [\w ]+?\*?(capsa_\w+)\(/gm)].map(([, name]) => name)
  expect(Object.keys(symbols).sort()).toEqual(exported.toSorted() as Array<string>)
  const page = readFileSync(new URL("../../../docs/FFI-SAFETY.md", import.meta.url), "utf8")
  for (const name of Object.keys(symbols)) expect(page).toContain(`\`${name}\``)
})

test("statuses are numbered as in the header", () => {
  const statuses = [...header.matchAll(/^\tX\((\w+), (\d+),/gm)].map(
    ([, name, value]) => [name, Number(value)] as const
  )
  expect(statuses.length).toBe(nativeStatuses.length)
  for (const [name, value] of statuses)
    expect(nativeStatuses[value]?.toUpperCase()).toBe((name ?? "").replaceAll("_", ""))
})

test("a number that is no machine's is answered, not followed", () =>
  withLibrary(({ call, instance }) => {
    const stale = nativeStatuses.indexOf("StaleHandle")
    const stats = makeStats()
    for (const handle of [0, 1, 4095, 4096, 0xffffffff]) {
      expect(call.capsa_kill(instance, handle)).toBe(stale)
      expect(call.capsa_release(instance, handle)).toBe(stale)
      expect(call.capsa_pause(instance, handle)).toBe(stale)
      expect(call.capsa_resume(instance, handle)).toBe(stale)
      expect(call.capsa_power_button(instance, handle)).toBe(stale)
      expect(call.capsa_network_close(instance, handle)).toBe(stale)
      expect(call.capsa_policy_log(instance, handle, null, 0, new Uint32Array(1))).toBe(stale)
      expect(call.capsa_stats(instance, handle, stats.bytes)).toBe(stale)
      expect(call.capsa_console_write(instance, handle, new Uint8Array(1), 1, new Uint32Array(1))).toBe(stale)
    }
  }))

test("structs and configurations of a wrong form are refused", () =>
  withLibrary(({ call, instance }) => {
    const invalid = nativeStatuses.indexOf("InvalidArgument")
    const drained = makeDrained()
    const error = makeErrorBuffer()
    drained.bytes[0] = 1
    expect(call.capsa_drain(instance, drained.bytes, null, 0)).toBe(invalid)
    expect(call.capsa_stats(instance, 1, new Uint8Array(64))).toBe(invalid)
    for (const [size, total] of [
      [0, 0],
      [head, 0],
      [head, head - 1],
      [0xffffffff, 0xffffffff]
    ] as const) {
      const config = new Uint8Array(head)
      new DataView(config.buffer).setUint32(0, size, true)
      new DataView(config.buffer).setUint32(4, total, true)
      expect(call.capsa_launch(instance, config, new Uint32Array(1), error.bytes)).toBe(invalid)
      expect(error.read().field).toBe("size")
    }
  }))

test("texts outside their buffer or with a NUL are refused", () =>
  withLibrary(({ call, instance }) => {
    const error = makeErrorBuffer()
    const launch = (offset: number, length: number) => {
      const config = new Uint8Array(head + 8)
      const view = new DataView(config.buffer)
      view.setUint32(0, head, true)
      view.setUint32(4, head + 8, true)
      view.setUint32(16, 1, true) // cpus
      view.setUint32(20, 1, true) // discovery
      view.setUint32(24, 1, true) // console
      view.setUint32(28, 65536, true) // console_bytes
      view.setUint32(32, offset, true)
      view.setUint32(36, length, true)
      config.set(new TextEncoder().encode("a\0b"), head)
      return call.capsa_launch(instance, config, new Uint32Array(1), error.bytes)
    }
    const invalid = nativeStatuses.indexOf("InvalidArgument")
    for (const [offset, length] of [
      [0, 8],
      [head - 1, 1],
      [head, 9],
      [head + 8, 1],
      [0xffffffff, 1],
      [head + 4, 0xffffffff],
      [head, 3]
    ] as const) {
      expect(launch(offset, length)).toBe(invalid)
      expect(error.read().field).toBe("kernel")
    }
  }))

test("a library that is not there is a typed error that names it", async () => {
  const provider = ConfigProvider.fromMap(new Map([["CAPSA_LIBRARY", "/nonexistent/libcapsa.so"]]))
  const result = await Effect.runPromise(
    Effect.either(Effect.scoped(Layer.build(Native.layer)).pipe(Effect.withConfigProvider(provider)))
  )
  expect(Either.isLeft(result) && [result.left.status, result.left.subject]).toEqual([
    "LibraryMissing",
    "/nonexistent/libcapsa.so"
  ])
})

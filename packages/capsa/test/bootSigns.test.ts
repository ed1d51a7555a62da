import { describe, expect, test } from "bun:test"
import * as fc from "effect/FastCheck"
import * as BootSigns from "../src/internal/bootSigns.ts"

const read = (...texts: ReadonlyArray<string>) => {
  const scanner = BootSigns.make()
  for (const text of texts) scanner.feed(Buffer.from(text))
  scanner.finish()
  return { ...scanner.signs }
}
const none = { init: false, initSpoke: false, panic: undefined, panicOver: false }

const crash = [
  "[    0.000000] Linux version 6.1.0\r\n",
  "[    1.234567] Run /init as init process\r\n",
  "capsa: init\n",
  "[   12.345678][    T1] Kernel panic - not syncing: sysrq triggered crash\r\n",
  "[   12.345999] CPU: 0 PID: 1 Comm: sh\r\n",
  "[   12.4] ---[ end Kernel panic - not syncing: sysrq triggered crash ]---\r\n"
].join("")

describe("bootSigns", () => {
  test.each([
    ["capsa: init\n", { ...none, init: true, initSpoke: true }],
    ["[    1.2] Run /sbin/init as init process\r\n", { ...none, init: true }],
    ["Kernel panic - not syncing: VFS: Unable to mount root fs\n", { ...none, panic: "VFS: Unable to mount root fs" }],
    ["[   12.345678][   C0] Kernel panic - not syncing: Fatal\r\n", { ...none, panic: "Fatal" }],
    ["[1.0] Kernel panic - not syncing: no line end", { ...none, panic: "no line end" }],
    ["---[ end Kernel panic - not syncing: x ]---\n", { ...none, panicOver: true }],
    ["they say: Kernel panic - not syncing: x\n", none],
    ["xcapsa: init\n", none],
    ["capsa: initial\n", none],
    ["# echo ---[ end Kernel panic\n", none]
  ])("%j", (text, expected) => {
    expect(read(text)).toEqual(expected)
  })

  test("the same, however the bytes are cut", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(crash.length), { maxLength: 20 }), (cuts) => {
        const places = [0, ...cuts, crash.length].toSorted((a, b) => a - b)
        const texts = places.slice(1).map((place, index) => crash.slice(places[index], place))
        expect(read(...texts)).toEqual({
          init: true,
          initSpoke: true,
          panic: "sysrq triggered crash",
          panicOver: true
        })
      })
    )
  })

  test("the first message is the reason", () => {
    expect(read("Kernel panic - not syncing: first\nKernel panic - not syncing: second\n").panic).toBe("first")
  })

  test("an endless line costs nothing and hides nothing", () => {
    const endless = "a".repeat(1_000_000)
    expect(read(endless, endless, "\nKernel panic - not syncing: after it\n").panic).toBe("after it")
    expect(read(`Kernel panic - not syncing: ${endless}\n`).panic?.length).toBeLessThan(1024)
  })
})

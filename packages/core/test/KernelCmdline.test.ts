import { describe, expect, test } from "bun:test"
import * as Either from "effect/Either"
import * as fc from "effect/FastCheck"
import * as KernelCmdline from "../src/KernelCmdline.ts"

const parse = (text: string) => Either.getOrThrowWith(KernelCmdline.parse(text), (error) => error)
const reasonOf = (result: Either.Either<unknown, { readonly reason: string }>) =>
  Either.match(result, { onLeft: (error) => error.reason, onRight: () => "none" })

/** The kernel's next_arg, statement for statement, on an array that ends in NUL like C's. */
const nextArg = (chars: Array<string>, from: number): { key: string; value: string | undefined; next: number } => {
  const space = (c: string | undefined) => c !== undefined && c !== "\0" && " \t\n\v\f\r".includes(c)
  let args = from
  let equals = 0
  let inQuote = false
  let quoted = false
  if (chars[args] === '"') {
    args++
    inQuote = true
    quoted = true
  }
  let i = 0
  for (; chars[args + i] !== "\0"; i++) {
    if (space(chars[args + i]) && !inQuote) break
    if (equals === 0 && chars[args + i] === "=") equals = i
    if (chars[args + i] === '"') inQuote = !inQuote
  }
  const more = chars[args + i] !== "\0"
  let value = -1
  if (equals !== 0) {
    chars[args + equals] = "\0"
    value = args + equals + 1
    if (chars[value] === '"') {
      value++
      if (chars[args + i - 1] === '"') chars[args + i - 1] = "\0"
    }
  }
  if (quoted && i > 0 && chars[args + i - 1] === '"') chars[args + i - 1] = "\0"
  if (more) chars[args + i] = "\0"
  const text = (at: number) => chars.slice(at, chars.indexOf("\0", at)).join("")
  let next = args + i + (more ? 1 : 0)
  while (space(chars[next])) next++
  return { key: text(args), value: value === -1 ? undefined : text(value), next }
}

const asKernel = (line: string): ReadonlyArray<KernelCmdline.Parameter> => {
  const chars = [...line, "\0"]
  const read: Array<KernelCmdline.Parameter> = []
  let at = 0
  while (" \t".includes(chars[at] ?? "\0")) at++
  while (chars[at] !== "\0") {
    const { key, value, next } = nextArg(chars, at)
    read.push({ key, value })
    at = next
  }
  return read
}

const plain = ({ parameters, init }: KernelCmdline.KernelCmdline) => ({
  parameters: parameters.map(({ key, value }) => ({ key, value })),
  init
})

const nasty = fc.string({ unit: fc.constantFrom(...'ab_-.=," \t/é\u00e0'), maxLength: 12 })
const word = fc
  .string({ unit: fc.constantFrom(..."abz_-.09"), minLength: 1, maxLength: 8 })
  .filter((text) => text !== "--")
const parameter = fc.record({ key: word, value: fc.option(nasty, { nil: undefined }) })
const commandLine = fc
  .tuple(fc.array(parameter, { maxLength: 8 }), fc.array(word, { maxLength: 4 }))
  .map(([parameters, init]) => KernelCmdline.make(parameters, init))
  .filter(Either.isRight)
  .map((made) => made.right)

describe("KernelCmdline", () => {
  test("takes words apart as the kernel does", () => {
    const { parameters, init } = parse('root="LABEL=my disk"  "dyndbg=file x.c +p"\tquiet empty= -- a "b c" d=1')
    expect(parameters).toEqual([
      { key: "root", value: "LABEL=my disk" },
      { key: "dyndbg", value: "file x.c +p" },
      { key: "quiet" },
      { key: "empty", value: "" }
    ])
    expect(init).toEqual(["a", "b c", "d=1"])
  })

  test("what it reads is what the kernel's own code reads", () => {
    let read = 0
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ab=" \t,'), maxLength: 24 }), (line) => {
        const kernel = asKernel(line)
        // Each word on its own, so that overriding does not hide how it was read.
        for (const made of [KernelCmdline.parse(line)].filter(Either.isRight)) {
          read++
          const last = kernel.at(-1)
          if (last !== undefined) expect(made.right.parameters.at(-1)).toEqual(last)
          for (const { key, value } of made.right.parameters) expect(kernel).toContainEqual({ key, value })
        }
      }),
      { numRuns: 5000 }
    )
    expect(read).toBeGreaterThan(1000)
  })

  test("what it prints, the kernel's own code reads as the same", () => {
    fc.assert(
      fc.property(commandLine, (made) => {
        const kernel = asKernel(KernelCmdline.print({ ...made, init: [] }))
        expect(kernel).toEqual(plain(made).parameters)
      }),
      { numRuns: 2000 }
    )
  })

  test("parse of print is the same value", () => {
    fc.assert(
      fc.property(commandLine, (made) => {
        expect(plain(parse(KernelCmdline.print(made)))).toEqual(plain(made))
      }),
      { numRuns: 2000 }
    )
  })

  test("refuses no harmless parameter", () => {
    const harmless = fc.string({ unit: fc.constantFrom(..."abz_-.09=,: /é\u00e0\u00a0"), maxLength: 12 })
    fc.assert(
      fc.property(word, harmless, (key, value) => {
        expect(reasonOf(KernelCmdline.make([{ key, value }]))).toBe("none")
      })
    )
  })

  test("the upper layer wins and each name is there once", () => {
    fc.assert(
      fc.property(commandLine, commandLine, (lower, upper) => {
        const merged = KernelCmdline.merge(lower, upper)
        for (const { key } of upper.parameters) {
          expect(KernelCmdline.get(merged, key)).toBe(KernelCmdline.get(upper, key) ?? "unreachable")
        }
        const names = merged.parameters.map(({ key }) => key.replaceAll("-", "_"))
        expect(new Set(names).size).toBe(names.length)
        expect(merged.init).toEqual([...lower.init, ...upper.init])
      })
    )
  })

  test("the kernel ends up with the same settings as from the layers one after the other", () => {
    const settings = (...lines: ReadonlyArray<string>) =>
      new Map(asKernel(lines.join(" ")).map(({ key, value }) => [key.replaceAll("-", "_"), value]))
    fc.assert(
      fc.property(commandLine, commandLine, (lower, upper) => {
        const [below, above] = [lower, upper].map((layer) => KernelCmdline.print({ ...layer, init: [] }))
        const merged = KernelCmdline.print({ ...KernelCmdline.merge(lower, upper), init: [] })
        expect(settings(merged)).toEqual(settings(below ?? "", above ?? ""))
      })
    )
  })

  test("every console stays once, in the order of the last mentions, with its last options", () => {
    const mention = fc.record({
      device: fc.constantFrom("ttyS0", "ttyS1", "tty0", "hvc0"),
      options: fc.constantFrom("", ",9600", ",115200n8")
    })
    fc.assert(
      fc.property(fc.array(fc.array(mention, { maxLength: 4 }), { maxLength: 4 }), (layers) => {
        const values = layers.map((layer) => layer.map(({ device, options }) => `${device}${options}`))
        const lines = values.map((layer) => parse(layer.map((value) => `console=${value}`).join(" ")))
        const { parameters } = KernelCmdline.merge(...lines)
        const last = new Map<string, string>()
        for (const value of values.flat()) {
          const device = value.replace(/,.*/, "")
          last.delete(device)
          last.set(device, value)
        }
        expect(parameters.map(({ value }) => value ?? "")).toEqual([...last.values()])
      })
    )
  })

  test('"-" and "_" in a name are the same', () => {
    expect(KernelCmdline.print(parse("no-timer-check a_b=1 a-b=2 no_timer_check"))).toBe("a-b=2 no_timer_check")
  })

  test("several consoles stay, the same one only once with its last options", () => {
    const layers = KernelCmdline.merge(
      parse("console=ttyS0 panic=-1"),
      parse("console=tty0 console=ttyS0,115200 panic=5")
    )
    expect(KernelCmdline.print(layers)).toBe("console=tty0 console=ttyS0,115200 panic=5")
  })

  test("keeps every occurrence of what is collected", () => {
    const text = "hugepagesz=2M hugepages=8 hugepagesz=1G hugepages=1 rd.luks.uuid=a rd.luks.uuid=b"
    expect(KernelCmdline.print(parse(text))).toBe(text)
  })

  test("refuses what could change the meaning of the rest", () => {
    expect(reasonOf(KernelCmdline.parse("a=1\nb=2"))).toBe("ControlCharacter")
    expect(reasonOf(KernelCmdline.parse("a=1\0b=2"))).toBe("ControlCharacter")
    expect(reasonOf(KernelCmdline.parse('a="b'))).toBe("UnbalancedQuote")
    expect(reasonOf(KernelCmdline.parse("a -- b -- c"))).toBe("NotExpressible")
    expect(reasonOf(KernelCmdline.make([{ key: "--" }]))).toBe("NotExpressible")
    expect(reasonOf(KernelCmdline.make([{ key: "a b", value: "c" }]))).toBe("none")
    for (const value of ["b\nc", "b\0c", 'b "c d', 'say "b c" d']) {
      expect([value, reasonOf(KernelCmdline.make([{ key: "a", value }]))]).toEqual([value, "NotExpressible"])
    }
    expect(reasonOf(KernelCmdline.make([{ key: "", value: "b" }]))).toBe("NotExpressible")
  })

  test("the limit of each architecture is exact, in bytes", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("x86_64" as const, "arm64" as const),
        fc.nat(3),
        fc.boolean(),
        (architecture, over, wide) => {
          const letter = wide ? "é" : "e"
          const limit = KernelCmdline.lengthMax[architecture]
          const used = "a=".length + over
          const value = `${letter.repeat(Math.floor((limit - used) / (wide ? 2 : 1)))}${"x".repeat(over)}`
          const text = `a=${value}`
          const bytes = new TextEncoder().encode(text).byteLength
          expect(bytes).toBeLessThanOrEqual(limit)
          expect(Either.isRight(KernelCmdline.printFor(parse(text), architecture))).toBe(true)
          const long = KernelCmdline.printFor(parse(`${text}${"y".repeat(limit - bytes + 1)}`), architecture)
          expect(reasonOf(long)).toBe("TooLong")
        }
      )
    )
  })
})

import { describe, expect, test } from "bun:test"
import Ajv from "ajv"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as fc from "effect/FastCheck"
import * as Schema from "effect/Schema"
import { fields } from "../src/ConfigFields.ts"
import * as VmConfig from "../src/VmConfig.ts"

const refused = (input: unknown) => Effect.runSync(Effect.flip(VmConfig.decode(input)))
const paths = (input: unknown) => refused(input).problems.map(({ path }) => path)
const decodes = (input: unknown) => Either.isRight(Effect.runSync(Effect.either(VmConfig.decode(input))))

const configuration = Arbitrary.make(VmConfig.VmConfig)

type Json = null | boolean | number | string | ReadonlyArray<Json> | { readonly [key: string]: Json }

const isBranch = (json: Json): json is ReadonlyArray<Json> | { readonly [key: string]: Json } =>
  typeof json === "object" && json !== null

/** The same with one value somewhere inside replaced, or one added; `choices` lead there. */
const corrupted = (json: Json, [choice = 0, ...choices]: ReadonlyArray<number>, value: Json): Json => {
  if (!isBranch(json)) return value
  const keys = Object.keys(json)
  const key = keys[choice % (keys.length + 1)]
  if (Array.isArray(json)) {
    return key === undefined
      ? [...json, value]
      : json.map((item, index) => (String(index) === key ? corrupted(item, choices, value) : item))
  }
  const inside = Object.entries(json).find(([name]) => name === key)?.[1]
  return { ...json, [key ?? "extra"]: inside === undefined ? value : corrupted(inside, choices, value) }
}

describe("VmConfig.decode", () => {
  test("every configuration comes back from JSON as it was", () => {
    fc.assert(
      fc.property(configuration, (config) => {
        const plain: unknown = JSON.parse(JSON.stringify(Schema.encodeSync(VmConfig.VmConfig)(config)))
        expect(JSON.stringify(Effect.runSync(VmConfig.decode(plain)))).toBe(JSON.stringify(config))
      }),
      { numRuns: 300 }
    )
  })

  test("all fields may be left out", () => {
    expect(Effect.runSync(VmConfig.decode({}))).toEqual({})
    expect(fields().filter(({ path, required }) => required && !path.includes("."))).toEqual([])
  })

  test("an unknown field is named, with what is known beside it", () => {
    const { reason, problems, hint } = refused({ cpu: 2 })
    expect(reason).toBe("Malformed")
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatchObject({ path: "cpu", detail: 'There is no field "cpu".' })
    expect(hint).toContain("cpus")
    expect(paths({ boot: { kernel: "k", kernell: "k" } })).toEqual(["boot.kernell"])
    expect(refused({ main: { argv: ["a"], env: { "A=B": "" } } }).problems[0]).toMatchObject({
      path: "main.env.A=B",
      hint: 'Remove it or correct its spelling; known here: the name of a variable, without "=" and NUL.'
    })
  })

  test("all that is wrong is told at once, each field once", () => {
    const input = {
      name: 3,
      boot: { initrd: "", console: "tty", discovery: 1 },
      cpus: "two",
      memory: "512MB",
      disks: [{ path: "/a" }, { path: 3, format: "vmdk" }, "/b"],
      shares: { host: "/a" },
      network: { mode: "user", forwards: [{ host: "80" }], policy: { rules: [{ action: "reject", ports: "80" }] } },
      vsock: 1,
      console: { historyBytes: 1.5 },
      limits: { io: { readPerSecond: "fast" } },
      isolation: "jail",
      main: { argv: [], env: { A: 1 } },
      readyTimeout: "soon",
      extra: true
    }
    expect(paths(input).toSorted()).toEqual([
      "boot.console",
      "boot.discovery",
      "boot.initrd",
      "boot.kernel",
      "console.historyBytes",
      "cpus",
      "disks.1.format",
      "disks.1.path",
      "disks.2",
      "extra",
      "isolation",
      "limits.io.readPerSecond",
      "main.argv",
      "main.env.A",
      "memory",
      "name",
      "network.forwards.0.guest",
      "network.forwards.0.host",
      "network.policy.rules.0.action",
      "network.policy.rules.0.ports",
      "readyTimeout",
      "shares",
      "vsock"
    ])
    for (const problem of refused(input).problems) expect(problem.hint).not.toBe("")
  })

  test.each([[undefined], [null], [3], ["vm"]])("%p is no configuration", (input) => {
    expect(paths(input)).toEqual(["config"])
  })

  test.each<[string, unknown, string, string]>([
    [
      "memory",
      { memory: "512MB" },
      "The value 512MB does not fit.",
      'Give a whole number with a binary unit ("512MiB", "2GiB", "1TiB"), or a number of MiB.'
    ],
    [
      "maxLifetime",
      { maxLifetime: "30s" },
      "The value 30s does not fit.",
      'Give a number and a unit ("30 seconds", "5 minutes", "1 day"), or a number of milliseconds.'
    ],
    ["boot.kernel", { boot: {} }, "This field is required.", "Give a non empty string."],
    [
      "boot",
      { boot: "k" },
      "The value k does not fit.",
      "Give { kernel, initrd?, cmdline?, console?, discovery? }, { firmware, variables? } or { guest }."
    ],
    ["boot.firmware", { boot: { firmware: "bios" } }, "The value bios does not fit.", 'Give "uefi".'],
    [
      "boot.variables",
      { boot: { firmware: "uefi", variables: 1 } },
      "The value 1 does not fit.",
      "Give a non empty string."
    ],
    ["network.mode", { network: { mode: "nat" } }, "The value nat does not fit.", 'Give "user", "tap" or "switch".'],
    ["network.mode", { network: {} }, "This field is required.", 'Give "user", "tap" or "switch".'],
    ["network.device", { network: { mode: "tap" } }, "This field is required.", "Give a non empty string."],
    [
      "network.policy",
      { network: { mode: "user", policy: "closed" } },
      "The value closed does not fit.",
      'Give "open", "public", "none" or { default?, rules?, recheck? }.'
    ],
    [
      "network",
      { network: "user" },
      "The value user does not fit.",
      'Give "none", { mode, policy?, forwards?, dns? }, { mode, device } or { mode, switch, address?, subnet?, uplink? }.'
    ]
  ])("says what %s should be, in %j", (path, input, detail, hint) => {
    expect(refused(input).problems).toEqual([{ path, detail, hint }])
  })
})

describe("VmConfig.jsonSchema", () => {
  const accepts = new Ajv({ strictTypes: false }).compile(VmConfig.jsonSchema())

  test("accepts every configuration", () => {
    fc.assert(
      fc.property(configuration, (config) => {
        const isAccepted = accepts(JSON.parse(JSON.stringify(config)))
        expect(accepts.errors ?? []).toEqual([])
        expect(isAccepted).toBe(true)
      }),
      { numRuns: 300 }
    )
  })

  test("accepts exactly what decodes", () => {
    const values = fc.constantFrom<Json>(
      ...[null, true, 0, 1.5, -3, "", "x", "none", "user", "uefi", "1GiB", "5 minutes", "80-90"],
      ...[[], ["x"], {}, { extra: 1 }, { mode: "tap", device: "tap0" }, { kernel: "k" }, { firmware: "uefi" }]
    )
    const verdicts = { yes: 0, no: 0 }
    fc.assert(
      fc.property(configuration, fc.array(fc.nat(20), { minLength: 1, maxLength: 6 }), values, (config, way, value) => {
        const input = corrupted(JSON.parse(JSON.stringify(config)), way, value)
        const isAccepted = accepts(input)
        verdicts[isAccepted ? "yes" : "no"]++
        expect({ input, isAccepted }).toEqual({ input, isAccepted: decodes(input) })
      }),
      { numRuns: 1000 }
    )
    expect(Math.min(verdicts.yes, verdicts.no)).toBeGreaterThan(20)
  })

  test("describes every field, and forbids unknown ones", () => {
    expect(accepts({ extra: 1 })).toBe(false)
    for (const { path, description } of fields()) expect([path, description]).not.toEqual([path, ""])
  })
})

import { describe, expect, test } from "bun:test"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as fc from "effect/FastCheck"
import * as JSONSchema from "effect/JSONSchema"
import * as VmConfig from "../src/VmConfig.ts"

const refused = (input: unknown) => Effect.runSync(Effect.flip(VmConfig.decode(input)))
const paths = (input: unknown) => refused(input).problems.map(({ path }) => path)

describe("VmConfig.decode", () => {
  test("every configuration comes back from JSON as it was", () => {
    fc.assert(
      fc.property(Arbitrary.make(VmConfig.VmConfig), (config) => {
        const plain: unknown = JSON.parse(JSON.stringify(config))
        expect(JSON.stringify(Effect.runSync(VmConfig.decode(plain)))).toBe(JSON.stringify(plain))
      }),
      { numRuns: 200 }
    )
  })

  test("all fields may be left out", () => {
    expect(Effect.runSync(VmConfig.decode({}))).toEqual({})
  })

  test("an unknown field is named, with what is known beside it", () => {
    const { reason, problems, hint } = refused({ cpu: 2 })
    expect(reason).toBe("Malformed")
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatchObject({ path: "cpu", detail: 'There is no field "cpu".' })
    expect(hint).toContain("cpus")
    expect(paths({ boot: { kernel: "k", kernell: "k" } })).toEqual(["boot.kernell"])
  })

  test("all that is wrong is told at once, each field once", () => {
    const input = {
      name: 3,
      boot: { initrd: "", console: "tty", discovery: 1 },
      cpus: "two",
      memory: "512MB",
      console: { historyBytes: 1.5 },
      readyTimeout: "30s",
      maxLifetime: -1,
      extra: true
    }
    expect(paths(input).toSorted()).toEqual([
      "boot.console",
      "boot.discovery",
      "boot.initrd",
      "boot.kernel",
      "console.historyBytes",
      "cpus",
      "extra",
      "maxLifetime",
      "memory",
      "name",
      "readyTimeout"
    ])
    for (const problem of refused(input).problems) expect(problem.hint).not.toBe("")
  })

  test.each([[undefined], [null], [3], ["vm"]])("%p is no configuration", (input) => {
    expect(paths(input)).toEqual(["config"])
  })

  test("says what a field should be", () => {
    expect(refused({ memory: "512MB" }).problems[0]).toEqual({
      path: "memory",
      detail: "The value 512MB does not fit.",
      hint: 'Give a whole number with a binary unit ("512MiB", "2GiB", "1TiB"), or a number of MiB.'
    })
    expect(refused({ boot: {} }).problems[0]).toMatchObject({ path: "boot.kernel", detail: "This field is required." })
  })

  test("has a JSON Schema that forbids unknown fields", () => {
    const schema = JSON.stringify(JSONSchema.make(VmConfig.VmConfig))
    expect(schema).toContain('"additionalProperties":false')
    expect(schema).toContain('"MemorySize"')
  })
})

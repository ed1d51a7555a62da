import { describe, expect, test } from "bun:test"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Feature, featureFields, unsupported } from "../src/Capabilities.ts"
import { validate } from "../src/ConfigValidation.ts"
import type { VmConfig } from "../src/VmConfig.ts"
import { VmConfigError } from "../src/VmConfigError.ts"
import { check, everything, little, problem, refused, world } from "./fixtures/validation.ts"

const encodeError = Schema.encode(VmConfigError)
const decodeError = Schema.decodeUnknown(VmConfigError)

describe("what a backend does not offer", () => {
  const askingFor: Record<Feature, VmConfig> = {
    uefi: { boot: { firmware: "uefi" } },
    disks: { disks: [{ path: "/disk" }] },
    qcow2: { disks: [{ path: "/q", format: "qcow2" }] },
    ephemeralDisks: { disks: [{ path: "/disk", ephemeral: true }] },
    shares: { shares: [{ host: "/folder", guest: "/a" }] },
    userNetwork: { network: { mode: "user" } },
    networkPolicy: { network: { mode: "user", policy: {} } },
    portForwards: { network: { mode: "user", forwards: [{ host: 80, guest: 80 }] } },
    tapNetwork: { network: { mode: "tap", device: "tap0" } },
    switchNetwork: { network: { mode: "switch", switch: "lan" } },
    vsock: { vsock: true },
    balloon: { balloon: true },
    limits: { limits: { pids: 8 } },
    processIsolation: { isolation: "process" },
    mainProcess: { main: { argv: ["true"] } }
  }

  test.each([...Feature.literals])("without %s it refuses, and says who could", (feature) => {
    const { features } = everything
    const without = { ...everything, features: { ...features, [feature]: little.features[feature] } }
    const { name, field } = featureFields[feature]
    expect(Effect.runSync(check(askingFor[feature]))).toBeUndefined()
    expect(problem(askingFor[feature], without)).toEqual({
      reason: "Unsupported",
      count: 1,
      path: field.replace("[]", ".0"),
      detail: `The kvm backend does not offer ${name}: it is small.`,
      hint: "Use a backend that does: CAPSA_BACKEND=qemu.",
      refusal: { backend: "kvm", others: ["qemu"] }
    })
  })

  test.each<[string, VmConfig, string, ReadonlyArray<string>]>([
    ["processors", { cpus: 9 }, "cpus", ["qemu"]],
    ["processors than anybody", { cpus: 99 }, "cpus", []],
    ["memory", { memory: "5GiB" }, "memory", []],
    ["ways of discovery", { boot: { kernel: "/k", discovery: "cmdline" } }, "boot.discovery", ["qemu"]]
  ])("more %s", (_, config, path, others) => {
    expect(problem(config, little)).toMatchObject({ reason: "Unsupported", path, refusal: { others }, count: 1 })
  })

  test("where nobody could, the hint says what is left", () => {
    expect(problem({ cpus: 99 }, little).hint).toBe("Give at most 8.")
    const alone = validate({ vsock: true }, { backend: "qemu", capabilities: little }).pipe(Effect.provide(world))
    expect(Effect.runSync(Effect.flip(alone)).hint).toBe("Leave it out: no backend known here offers it.")
  })

  test("where this host could be given it, the hint says how", () => {
    const features = { ...little.features, uefi: unsupported("there is no firmware", "Install it.") }
    const alone = validate(
      { boot: { firmware: "uefi" } },
      { backend: "qemu", capabilities: { ...little, features } }
    ).pipe(Effect.provide(world))
    expect(Effect.runSync(Effect.flip(alone)).hint).toBe("Install it.")
  })

  test("of a device that is missing, the details go without saying", () => {
    const { problems } = refused(
      {
        disks: [{ path: "/q", format: "qcow2", ephemeral: true }],
        network: { mode: "user", policy: {}, forwards: [{ host: 80, guest: 80 }] }
      },
      little
    )
    expect(problems.map(({ path }) => path)).toEqual(["disks", "network"])
  })

  test("the refusal survives JSON", () => {
    const error = refused({ vsock: true, balloon: true }, little)
    const read = Effect.runSync(decodeError(JSON.parse(JSON.stringify(Effect.runSync(encodeError(error))))))
    expect(read.problems).toEqual(error.problems)
  })
})

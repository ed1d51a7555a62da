import { describe, expect } from "bun:test"
import { Backend, BackendError, type BackendName } from "@capsa/core"
import { effect, Simulated } from "@capsa/testing"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { type Candidate, select } from "../src/internal/selection.ts"

const broken = (backend: BackendName) =>
  new BackendError({ reason: "DeviceMissing", backend, detail: `No ${backend}.`, hint: `Install ${backend}.` })

const candidate = (name: BackendName, layer: Candidate["layer"]): Candidate => ({
  name,
  capabilities: Simulated.capabilities,
  layer,
  probe: Effect.succeed({ backend: name, findings: [] })
})
const bad = (name: BackendName) => candidate(name, Layer.fail(broken(name)))
const good = (name: BackendName) =>
  candidate(
    name,
    Layer.map(Simulated.layer(), (context) => Context.add(context, Backend, { ...Context.get(context, Backend), name }))
  )

const chosen = (candidates: ReadonlyArray<Candidate>, variable?: string) =>
  Backend.pipe(
    Effect.provide(select(candidates)),
    Effect.provide(Logger.remove(Logger.defaultLogger)),
    Effect.withConfigProvider(
      ConfigProvider.fromMap(new Map(variable === undefined ? [] : [["CAPSA_BACKEND", variable]]))
    )
  )

describe("the choice of a backend", () => {
  effect("takes the first and looks at no other", () =>
    Effect.gen(function* () {
      const untouched = candidate("qemu", Layer.die("was looked at"))
      const backend = yield* chosen([good("kvm"), untouched])
      expect(backend).toMatchObject({ name: "kvm", passedOver: [] })
    })
  )

  effect("takes the first that works and says why not the others", () =>
    Effect.gen(function* () {
      const { name, passedOver } = yield* chosen([bad("vz"), bad("kvm"), good("qemu")])
      expect(name).toBe("qemu")
      expect(passedOver).toEqual([
        { backend: "vz", error: broken("vz") },
        { backend: "kvm", error: broken("kvm") }
      ])
    })
  )

  effect("frees what a backend had taken before it failed", () => {
    const log: Array<string> = []
    const half = Layer.scoped(
      Backend,
      Effect.zipRight(
        Effect.acquireRelease(
          Effect.sync(() => log.push("taken")),
          () => Effect.sync(() => log.push("freed"))
        ),
        Effect.fail(broken("kvm"))
      )
    )
    return Effect.gen(function* () {
      const use = Effect.map(Backend, ({ name }) => log.push(name))
      yield* use.pipe(
        Effect.provide(select([candidate("kvm", half), good("qemu")])),
        Effect.provide(Logger.remove(Logger.defaultLogger))
      )
      expect(log).toEqual(["taken", "freed", "qemu"])
    })
  })

  effect("CAPSA_BACKEND leaves no choice", () =>
    Effect.gen(function* () {
      expect(yield* chosen([good("kvm"), good("qemu")], "qemu")).toMatchObject({ name: "qemu", passedOver: [] })
      expect(yield* chosen([good("kvm"), good("qemu")], "auto")).toMatchObject({ name: "kvm" })
      expect(yield* Effect.flip(chosen([bad("kvm"), good("qemu")], "kvm"))).toEqual(broken("kvm"))
    })
  )

  effect("CAPSA_BACKEND with an unknown name says which there are", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(chosen([good("kvm"), good("qemu")], "xen"))
      expect(error).toMatchObject({ reason: "UnknownBackend", subject: "CAPSA_BACKEND" })
      expect(error.hint).toContain("auto, kvm, qemu")
    })
  )

  effect("without any says what to do about each", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(chosen([bad("kvm"), bad("qemu")]))
      expect(error).toMatchObject({ reason: "NoneAvailable", hint: "kvm: Install kvm. qemu: Install qemu." })
      expect(error.message).toContain("kvm: No kvm.; qemu: No qemu.")
    })
  )
})

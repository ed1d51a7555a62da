/**
 * Runs in the lab: launches the same sandbox with capsa and with QEMU in turn, has it run a command, and prints the
 * samples of both as JSON. A round in which either loses its guest is done again.
 *
 * Arguments: kernel, initrd, rounds.
 */
import * as BootPlan from "@capsa/core/BootPlan"
import { Kvm, Sandbox } from "capsa"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { bootParameters } from "../boot/samples.ts"
import { inMemory, qemuInMemory } from "../lab/memory.ts"
import * as Qemu from "./qemu.ts"
import type { Samples, Sides } from "./samples.ts"

const [kernelFile = "", initrdFile = "", rounds = "10"] = process.argv.slice(2)

/**
 * Launches before those that count. Bun compiles what is hot on threads of its own, which have to share the lab's only
 * processor with the launch: less and less of it goes there over the first thousand.
 */
const warmUpRounds = 400

/** A guest that takes longer was lost: the lab's emulated virtualisation loses some. */
const patience = "3 seconds"

const kernel = inMemory(kernelFile)
const initrd = inMemory(initrdFile)
const memoryMib = 128

const config = { boot: { kernel, initrd, cmdline: bootParameters }, cpus: 1, memory: memoryMib }

/** QEMU's adds where the devices are. */
const cmdline = Either.getOrThrow(BootPlan.commandLine(config, { capabilities: Kvm.capabilities }))

const sinceNow = () => {
  const start = performance.now()
  return Effect.sync(() => performance.now() - start)
}

const command = ["true"] as const

const onCapsa = Effect.gen(function* () {
  const time = sinceNow()
  const sandbox = yield* Sandbox.launch(config)
  yield* sandbox.exec(command)
  const result = yield* time
  const stages = yield* sandbox.stages
  const agent = stages.find(({ name }) => name === "agent")?.atMs ?? Number.NaN
  return { agent, result } satisfies Samples
})

const onQemu = (program: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const time = sinceNow()
    const { start, agent } = yield* Qemu.launch(program, { kernel, initrd, cmdline, memoryMib })
    const greeted = yield* time
    yield* start
    yield* agent.exec(command)
    return { agent: greeted, result: yield* time } satisfies Samples
  })

const inTime = <A, E, R>(round: Effect.Effect<A, E, R>) => Effect.timeoutOption(round, patience)

const program = Effect.gen(function* () {
  const qemuCommand = qemuInMemory()
  const ours = inTime(Effect.scoped(onCapsa))
  const theirs = inTime(Effect.scoped(onQemu(qemuCommand)))
  const first = yield* Effect.flatten(ours)
  yield* Effect.repeatN(ours, warmUpRounds)
  yield* theirs
  const capsa: Array<Samples> = []
  const qemu: Array<Samples> = []
  for (let round = 0; round < 2 * Number(rounds) && capsa.length < Number(rounds); round++) {
    const both = Option.all([yield* ours, yield* theirs])
    if (Option.isNone(both)) continue
    capsa.push(both.value[0])
    qemu.push(both.value[1])
  }
  process.stdout.write(JSON.stringify({ first, capsa, qemu } satisfies Sides))
}).pipe(Effect.provide(Kvm.layer))

await Effect.runPromise(program)

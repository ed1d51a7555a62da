/**
 * One execution of the fuzzer of agents: a hostile one, at work on all that a host may ask of it. Whatever it says, every call
 * ends with a result or a typed error, the host keeps to what it was granted, and a copy writes nothing but where it was told.
 */
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { SandboxError } from "@capsa/core"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Agent from "../../src/internal/agent/sandbox.ts"
import * as Session from "../../src/internal/agent/session.ts"
import type * as Sandbox from "../../src/Sandbox.ts"
import { type Random, random } from "../fixtures/random.ts"
import { makeClock } from "../fixtures/standingClock.ts"
import { type HostileAgent, makeAgent, type Wickedness } from "./hostileAgent.ts"

/** How calls ended: "exec: Protocol" and how often. */
export type Tally = Map<string, number>

interface Running {
  readonly name: string
  readonly fiber: Fiber.RuntimeFiber<unknown, unknown>
  interrupted: boolean
}

interface World {
  readonly dice: Random
  readonly agent: HostileAgent
  /** There is nothing in it but "victim", "source" and what is copied to "target". */
  readonly folder: string
  readonly greeted: Deferred.Deferred<Sandbox.Agent, unknown>
  readonly running: Array<Running>
  /** Fibers of the library that died. */
  readonly deaths: Array<string>
}

type Call = (agent: Sandbox.Agent, dice: Random, folder: string) => Effect.Effect<unknown, SandboxError, Scope.Scope>

/** Real time for what waits for the host's files. */
const breath = Effect.promise(() => new Promise<void>((resume) => setImmediate(resume)))
/** Lets all fibers go on as far as they can. */
const settle = Effect.repeatN(Effect.yieldNow(), 20)
const settleSteps = 5000

const someInput = ({ below }: Random): Sandbox.InputSource => {
  const bytes = new Uint8Array(below(4) === 0 ? 300_000 : 2000)
  return below(2) === 0 ? bytes : Stream.fromIterable([bytes, bytes.subarray(0, 17), bytes])
}

const drained = (stream: Stream.Stream<Uint8Array, SandboxError>) => Stream.runDrain(stream)

const calls: Readonly<Record<string, Call>> = {
  exec: ({ exec }, dice) =>
    exec(["program", "x".repeat(dice.below(70_000))], {
      ...(dice.below(2) === 0 ? {} : { stdin: someInput(dice) }),
      ...(dice.below(3) === 0 ? { timeLimit: "1 minute" } : {}),
      outputBytesMax: dice.below(100_000)
    }),
  spawn: ({ spawn }, dice) =>
    Effect.gen(function* () {
      const process = yield* spawn("program", { stdin: true, tty: dice.below(2) === 0 })
      const all = [
        drained(process.stdout),
        drained(Stream.take(process.stderr, dice.below(3))),
        process.stdin.write(new Uint8Array(dice.below(200_000))),
        process.kill({ signal: "SIGKILL", scope: "tree" }),
        process.resize({ columns: 1, rows: 1 }),
        Effect.asVoid(process.exit)
      ]
      yield* Effect.all(
        all.filter(() => dice.below(3) > 0),
        { concurrency: "unbounded" }
      )
      yield* process.stdin.end
    }),
  read: ({ files }) => files.read("/file"),
  stream: ({ files }, { below }) => drained(Stream.take(files.stream("/file"), below(4))),
  write: ({ files }, dice) => files.write("/file", someInput(dice)),
  list: ({ files }) => files.list("/"),
  stat: ({ files }) => files.stat("/file"),
  exists: ({ files }) => files.exists("/file"),
  mkdir: ({ files }) => files.mkdir("/folder"),
  remove: ({ files }) => files.remove("/folder"),
  rename: ({ files }) => files.rename("/a", "/b"),
  unpack: ({ files }, { below }) => files.unpack("/folder", Stream.make(new Uint8Array(below(100_000)))),
  pack: ({ files }) => Effect.map(Stream.runCollect(files.pack("/folder")), Chunk.size),
  copyIn: ({ copyIn }, _, folder) => copyIn(join(folder, "source"), "/folder"),
  copyOut: ({ copyOut }, _, folder) => copyOut("/folder", join(folder, "target")),
  info: ({ info }) => info,
  health: ({ health }) => health
}

const start = (world: World) =>
  Effect.gen(function* () {
    const { dice, folder, greeted, running } = world
    const name = dice.pick(["copyOut", "exec", ...Object.keys(calls)])
    const call = calls[name]
    if (call === undefined || running.length > 40) return
    const fiber = yield* Effect.fork(
      Effect.scoped(Effect.flatMap(Deferred.await(greeted), (agent) => call(agent, dice, folder)))
    )
    running.push({ name, fiber, interrupted: false })
  })

const giveUp = ({ dice, running }: World) =>
  Effect.suspend(() => {
    const one = running[dice.below(running.length + 1)]
    if (one === undefined) return Effect.void
    one.interrupted = true
    return Fiber.interruptFork(one.fiber)
  })

const isOver = ({ fiber }: Running) => Effect.map(Fiber.poll(fiber), Option.isSome)

/** The session and all calls come to an end, though nobody speaks any more. */
const comeToEnds = (world: World, ring: Effect.Effect<void>) =>
  Effect.gen(function* () {
    for (let count = 0; count < settleSteps; count++) {
      const over = yield* Effect.forEach(world.running, isOver)
      if (!over.includes(false)) return
      yield* settle
      yield* breath
      if (count % 10 === 9) yield* ring
    }
    const left = yield* Effect.filter(world.running, isOver, { negate: true })
    throw new Error(`without an end: ${left.map(({ name }) => name).join(", ")}`)
  })

const endOf = ({ interrupted, name }: Running, exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "done"
  const failure = Cause.failureOption(exit.cause)
  if (Option.isSome(Cause.dieOption(exit.cause))) throw new Error(`${name} died: ${Cause.pretty(exit.cause)}`)
  if (Option.isNone(failure)) {
    if (!interrupted) throw new Error(`${name} was interrupted by nobody`)
    return "interrupted"
  }
  if (!(failure.value instanceof SandboxError)) throw new Error(`${name} failed oddly: ${Cause.pretty(exit.cause)}`)
  return failure.value.reason
}

/** What the copies have made: nothing beside the target, and no more in it than files, folders and links. */
const lookAround = (folder: string): void => {
  const beside = readdirSync(folder).filter((name) => name !== "target")
  const { nlink } = lstatSync(join(folder, "victim"))
  const victim = readFileSync(join(folder, "victim"), "utf8")
  if (beside.sort().join() !== "source,victim" || nlink !== 1 || victim !== "untouched") {
    throw new Error(`something was written elsewhere: ${beside.join()}, ${nlink} names, "${victim}"`)
  }
  if (readdirSync(join(folder, "source")).join() !== "file") throw new Error("something was written into the source")
  const look = (path: string): void => {
    const status = lstatSync(path, { throwIfNoEntry: false })
    if (status === undefined || (status.isSymbolicLink() && path !== join(folder, "target"))) return
    if ((status.mode & 0o7000) !== 0) throw new Error(`${path} has a privilege`)
    if (status.isDirectory()) for (const name of readdirSync(path)) look(join(path, name))
    else if (!status.isFile()) throw new Error(`${path} is neither file nor folder`)
  }
  look(join(folder, "target"))
}

/** Files of the copies that are still open. */
const openFiles = (folder: string): ReadonlyArray<string> =>
  readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`)
      return path.startsWith(`${folder}/`) ? [path] : []
    } catch {
      // That of the folder's own descriptor, which is closed by now.
      return []
    }
  })

const scratch = Effect.acquireRelease(
  Effect.sync(() => {
    const folder = mkdtempSync(join(tmpdir(), "capsa-fuzz."))
    writeFileSync(join(folder, "victim"), "untouched")
    mkdirSync(join(folder, "source"))
    writeFileSync(join(folder, "source", "file"), new Uint8Array(100_000))
    return folder
  }),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

const wickedness = ({ below, pick }: Random): Wickedness =>
  below(8) === 0
    ? { spoils: 0, lies: 0, archives: false }
    : { spoils: pick([0, 200, 30]), lies: pick([0, 100, 10]), archives: below(3) > 0 }

/** Tells of fibers that died where nobody would have noticed. */
const listening = (deaths: Array<string>) =>
  Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ cause }) => {
      if (Option.isSome(Cause.dieOption(cause))) deaths.push(Cause.pretty(cause))
    })
  )

/** Dies when the host does what it must not; else tells how calls ended. */
export const execute = (seed: number): Effect.Effect<Tally> =>
  Effect.gen(function* () {
    const dice = random(seed)
    const folder = yield* scratch
    const { clock, ring } = makeClock()
    const agent = yield* makeAgent(dice, wickedness(dice), folder)
    const world: World = {
      dice,
      agent,
      folder,
      greeted: yield* Deferred.make<Sandbox.Agent, unknown>(),
      running: [],
      deaths: []
    }
    const tally: Tally = new Map()
    const channel = { bytes: Mailbox.toStream(agent.bytes), write: agent.write }
    const unanswered = () => new SandboxError({ reason: "Unresponsive", detail: "No greeting.", hint: "None." })
    const life = Effect.gen(function* () {
      const greeting = Effect.timeoutFail(Session.make(channel), { duration: "2 minutes", onTimeout: unanswered })
      const session = Effect.intoDeferred(Effect.map(greeting, Agent.make), world.greeted)
      yield* Effect.forkScoped(Effect.zipRight(session, Effect.never))
      const steps = [start(world), start(world), giveUp(world), breath] as const
      for (let count = dice.below(300); count >= 0; count--) {
        yield* dice.below(5) > 0 ? agent.speak : Effect.suspend(() => dice.pick<Effect.Effect<unknown>>(steps))
        yield* settle
        if (dice.below(2000) === 0) agent.turnAway(dice.pick(["refuses", "hangs"]))
        if (dice.below(500) === 0) yield* ring
      }
      if (dice.below(2) === 0) yield* agent.hangUp
      yield* comeToEnds(world, ring)
      for (const one of world.running) {
        const how = `${one.name}: ${endOf(one, yield* Fiber.await(one.fiber))}`
        tally.set(how, (tally.get(how) ?? 0) + 1)
      }
    }).pipe(
      Effect.scoped,
      Effect.withClock(clock),
      Effect.withUnhandledErrorLogLevel(Option.some(LogLevel.Error)),
      Effect.provide(listening(world.deaths))
    )
    yield* life
    lookAround(folder)
    const left = openFiles(folder)
    if (left.length > 0) throw new Error(`left open: ${left.join(", ")}`)
    if (world.deaths.length > 0) throw new Error(`a fiber died: ${world.deaths[0]}`)
    if (agent.faults.length > 0) throw new Error(`the host is at fault: ${agent.faults[0]}`)
    return tally
  }).pipe(Effect.scoped)

/** The part of a benchmark that runs in the lab, with `--icount`: time there counts instructions. */
import { Lab } from "@capsa/lab"
import type { LabOptions } from "@capsa/lab/Lab"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

interface Part extends Pick<LabOptions, "mounts" | "periodicTick"> {
  /** A program for Bun, absolute. */
  readonly program: string
  readonly arguments: ReadonlyArray<string>
}

const start = ({ program, arguments: words, ...options }: Part) =>
  Lab.runInLab({
    ...options,
    command: [process.execPath, program, ...words],
    workingFolder: import.meta.dirname,
    environment: { PATH: "/usr/bin:/bin", HOME: "/root" },
    icount: true
  })

const text = <E>(stream: Stream.Stream<Uint8Array, E>) => Stream.mkString(Stream.decodeText(stream))

const once = <A, I>(part: Part, result: Schema.Schema<A, I>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const run = yield* start(part)
      const [output, complaints] = yield* Effect.all([text(run.stdout), text(run.stderr)], { concurrency: 2 })
      const status = yield* run.exitCode
      if (status !== 0) return yield* Effect.dieMessage(`the benchmark ended with ${status}:\n${complaints}`)
      return yield* Schema.decode(Schema.parseJson(result))(output)
    })
  )

/** What the program prints, as JSON. A lab that loses a guest may stand still for good. */
export const inLab = <A, I>(part: Part, result: Schema.Schema<A, I>) =>
  once(part, result).pipe(
    Effect.timeoutOption("30 minutes"),
    Effect.repeat({ until: Option.isSome, times: 2 }),
    Effect.flatMap(Option.match({ onNone: () => Effect.dieMessage("the lab stood still"), onSome: Effect.succeed }))
  )

/** A program that has not printed a line for so long is not going to. */
const silence = "2 minutes"

/** The lines that the program prints, each as JSON, until it ends or falls silent. */
export const linesInLab = <A, I>(part: Part, line: Schema.Schema<A, I>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const run = yield* start(part)
      yield* Effect.forkScoped(Stream.runForEach(run.stderr, (piece) => Effect.sync(() => process.stderr.write(piece))))
      return yield* run.stdout.pipe(
        Stream.decodeText(),
        Stream.splitLines,
        Stream.timeout(silence),
        Stream.mapEffect(Schema.decode(Schema.parseJson(line))),
        Stream.runCollect
      )
    })
  )

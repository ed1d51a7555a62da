/** The part of a benchmark that runs in the lab, with `--icount`: time there counts instructions. */
import { Lab } from "@capsa/lab"
import type { Mount } from "@capsa/lab/Lab"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

const text = <E>(stream: Stream.Stream<Uint8Array, E>) => Stream.mkString(Stream.decodeText(stream))

/** A lab that loses a guest may stand still for good. */
const patience = "15 minutes"

interface Part<A, I> {
  /** A program for Bun, absolute; it prints the result as JSON. */
  readonly program: string
  readonly arguments: ReadonlyArray<string>
  readonly mounts?: ReadonlyArray<Mount>
  readonly result: Schema.Schema<A, I>
}

const once = <A, I>(part: Part<A, I>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const run = yield* Lab.runInLab({
        command: [process.execPath, part.program, ...part.arguments],
        workingFolder: import.meta.dirname,
        environment: { PATH: "/usr/bin:/bin", HOME: "/root" },
        mounts: part.mounts ?? [],
        icount: true
      })
      const [output, complaints] = yield* Effect.all([text(run.stdout), text(run.stderr)], { concurrency: 2 })
      const status = yield* run.exitCode
      if (status !== 0) return yield* Effect.dieMessage(`the benchmark ended with ${status}:\n${complaints}`)
      return yield* Schema.decode(Schema.parseJson(part.result))(output)
    })
  )

export const inLab = <A, I>(part: Part<A, I>) =>
  once(part).pipe(
    Effect.timeoutOption(patience),
    Effect.repeat({ until: Option.isSome, times: 2 }),
    Effect.flatMap(Option.match({ onNone: () => Effect.dieMessage("the lab stood still"), onSome: Effect.succeed }))
  )

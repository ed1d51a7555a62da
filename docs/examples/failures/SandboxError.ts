import type { Sandbox } from "capsa"
import * as Effect from "effect/Effect"

/** What a command printed, or why there is nothing: it took too long, or there is no such program. */
export const answer = ({ exec }: Sandbox.Sandbox, argv: readonly [string, ...ReadonlyArray<string>]) =>
  exec(argv, { timeLimit: "10 seconds", outputBytesMax: 1024 * 1024 }).pipe(
    Effect.map(({ stdout }) => stdout),
    Effect.catchTag("SandboxError", (error) => {
      if (error.reason === "TimeLimit") return Effect.succeed(error.stdout ?? "")
      if (error.reason === "CannotStart") return Effect.succeed(`no ${error.subject}`)
      return error
    })
  )

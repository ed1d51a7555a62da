import * as Command from "@effect/platform/Command"
import * as Effect from "effect/Effect"
import { output } from "./run.ts"

/** What the system's compiler calls itself; tells what it makes from what another makes. */
export const compiler = Effect.map(
  output(Command.make("gcc", "--version")),
  (text) => text.toString().split("\n")[0] ?? ""
)

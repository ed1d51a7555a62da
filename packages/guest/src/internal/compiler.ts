import * as Command from "@effect/platform/Command"
import * as Effect from "effect/Effect"
import * as Architecture from "../Architecture.ts"
import { output } from "./run.ts"

const triples: Readonly<Record<Architecture.Architecture, string>> = {
  x86_64: "x86_64-linux-gnu",
  arm64: "aarch64-linux-gnu"
}

/** What the names of tools begin with that make programs for `architecture`; the host's own have short names. */
export const toolPrefix = (architecture: Architecture.Architecture): string =>
  architecture === Architecture.host ? "" : `${triples[architecture]}-`

/** Packages with the compiler and with what it needs of the kernel's headers. */
export const compilerPackages = (architecture: Architecture.Architecture): string =>
  architecture === Architecture.host
    ? "gcc binutils"
    : `gcc-${triples[architecture].replace("_", "-")} libc6-dev-${Architecture.debianName[architecture]}-cross`

/** What the compiler for `Architecture.Target` calls itself; tells what it makes from what another makes. */
export const compiler = Effect.flatMap(Architecture.Target, (target) =>
  output(Command.make(`${toolPrefix(target)}gcc`, "--version"))
).pipe(Effect.map((text) => text.toString().split("\n")[0] ?? ""))

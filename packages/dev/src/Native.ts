/**
 * Builds of the native library.
 *
 * @since 0.1.0
 */
import { join } from "node:path"
import { type Finished, run } from "./Command.ts"
import { root } from "./Folders.ts"
import { lockFile, withLock } from "./Lock.ts"
import type { Report } from "./Progress.ts"

/** One way to build native/. */
export interface Build {
  /** Folder for objects, in native/. */
  readonly folder: string
  /** Variables for make. */
  readonly variables: ReadonlyArray<string>
}

/** The build that TypeScript loads. */
export const ordinary: Build = { folder: "build", variables: [] }

/** For arm64, made by a cross compiler: what the arm64 lab loads. */
export const arm64: Build = {
  folder: "build-aarch64",
  variables: ["ARCH=aarch64", "CC=aarch64-linux-gnu-gcc"]
}

/** What of {@link arm64} is missing on this host, if anything. */
export const arm64Missing = (): string | undefined => {
  const missing = ["aarch64-linux-gnu-gcc", "qemu-aarch64-static"].filter((tool) => Bun.which(tool) === null)
  return missing.length === 0 ? undefined : `${missing.join(" and ")} not installed`
}

/** What is about another architecture is not built. */
const architecture = process.arch === "arm64" ? "arm64" : "x86_64"

/** The fuzz programs of a build, as make names them. */
export const fuzzPrograms = (build: Build): ReadonlyArray<string> =>
  ["fuzz/*.c", `fuzz/${architecture}/*.c`, "fuzz/guest/*.c"]
    .flatMap((pattern) => [...new Bun.Glob(pattern).scanSync(join(root, "native/test"))])
    .map((file) => `${build.folder}/${file.slice(0, -".c".length)}`)
    .sort()

/** Runs make in native/ of the checkout. Two processes don't make the same build at once. */
export const make = (
  build: Build,
  targets: ReadonlyArray<string>,
  report: Report,
  checkout: string = root
): Promise<Finished> =>
  withLock(
    lockFile(`native-${build.folder}`, checkout),
    () => report("waiting for another build of it"),
    () =>
      run(["make", "-C", "native", "-j2", `BUILD=${build.folder}`, ...build.variables, ...targets], {
        cwd: checkout,
        onLine: report
      })
  )

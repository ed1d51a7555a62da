/**
 * `bun run setup [demo]`: makes this checkout ready to work in; with `demo`, for the demonstration only. Idempotent,
 * and safe to run twice at once. It imports nothing that needs installing, since it is what installs.
 *
 * @since 0.1.0
 */
import { type Finished, run } from "./Command.ts"
import { DevError, main } from "./DevError.ts"
import { buildImages } from "./GuestImages.ts"
import { lockFile, withLock } from "./Lock.ts"
import { make, ordinary } from "./Native.ts"
import { ensure } from "./PackageManager.ts"
import { Progress, seconds } from "./Progress.ts"
import type { Purpose } from "./SystemPackages.ts"

const purposeOf = (words: ReadonlyArray<string>): Purpose => {
  if (words.length === 0) return "tests"
  if (words.length === 1 && words[0] === "demo") return "demo"
  throw new DevError(`setup doesn't know \`${words.join(" ")}\``, "use `setup` or `setup demo`")
}

const succeed = (finished: Finished, what: string, hint: string): void => {
  if (finished.exitCode === 0) return
  const tail = finished.output.trimEnd().split("\n").slice(-40).join("\n")
  throw new DevError(`${what} failed (${finished.exitCode})\n${tail}`, hint)
}

const setUp = async (purpose: Purpose, progress: Progress): Promise<void> => {
  await progress.step("npm packages", async (report) =>
    succeed(
      await run([process.execPath, "install", "--frozen-lockfile"], { onLine: report }),
      "bun install",
      "check the network and the registry's settings, then run this again"
    )
  )
  await ensure(purpose, progress)
  await progress.step("native library", async (report) =>
    succeed(await make(ordinary, ["all"], report), "building native/", "mend what the compiler says")
  )
  await progress.step("guest images", async (report) => {
    const built = await buildImages(purpose, report)
    succeed(built, "building the guest images", "follow what it says above, then run this again")
  })
}

await main(async () => {
  const purpose = purposeOf(process.argv.slice(2))
  const progress = new Progress(process.stderr)
  const startedAt = performance.now()
  const acquired = Promise.withResolvers<void>()
  const wait = () => void progress.step("waiting for another set-up of this checkout", () => acquired.promise)
  await withLock(lockFile("setup"), wait, () => {
    acquired.resolve()
    return setUp(purpose, progress)
  })
  progress.line(`set up for ${purpose} in ${seconds(performance.now() - startedAt)}`)
})

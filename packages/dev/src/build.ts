/**
 * `bun run build [arm64]`: the native library and its C tests, for this host or, by a cross compiler, for arm64.
 *
 * @since 0.1.0
 */
import { join } from "node:path"
import { DevError, main } from "./DevError.ts"
import { root } from "./Folders.ts"
import { arm64, make, ordinary } from "./Native.ts"
import { Progress } from "./Progress.ts"

await main(async () => {
  const progress = new Progress(process.stderr)
  const build = process.argv[2] === "arm64" ? arm64 : ordinary
  const made = await progress.step("native", (report) => make(build, ["all", "tests"], report))
  if (made.exitCode !== 0) {
    throw new DevError(
      `make failed (${made.exitCode})\n${made.output}`,
      "mend what the compiler says, or run `bun run setup` when it is missing"
    )
  }
  const folder = join(root, "native", build.folder)
  process.stdout.write(`library  ${join(folder, "libcapsa.so")}\ntests    ${join(folder, "test")}\n`)
})

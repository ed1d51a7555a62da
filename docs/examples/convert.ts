/** Has a machine convert a folder of files: they are copied in, worked on by the guest's programs, and copied out again. */
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as capsa from "capsa/promise"

const folder = await mkdtemp(join(tmpdir(), "convert-"))
await mkdir(join(folder, "in"))
for (const name of ["pears", "apples and quinces"]) {
  await Bun.write(join(folder, "in", `${name}.csv`), `name,count\n${name},${name.length}\n`)
}

await using sandbox = await capsa.sandbox({ memory: "256MiB" })
await sandbox.copyIn(join(folder, "in"), "/work")
const { exitCode, stderr } = await sandbox.exec(
  'mkdir ../out; for file in *.csv; do tr , "\\t" <"$file" | gzip >"../out/$file.gz" || exit; done',
  { cwd: "/work", timeLimit: "1 minute" }
)
if (exitCode !== 0) throw new Error(stderr)
// Whatever the guest has made of it: nothing is written outside of "out".
await sandbox.copyOut("/out", join(folder, "out"))

for (const name of (await readdir(join(folder, "out"))).sort()) {
  const text = Buffer.from(Bun.gunzipSync(await Bun.file(join(folder, "out", name)).bytes())).toString()
  await Bun.write(Bun.stdout, `${name}: ${JSON.stringify(text.split("\n")[1])}\n`)
}
await rm(folder, { recursive: true })

import { expect, test } from "bun:test"
import { run } from "../src/Command.ts"

test("gives lines of both streams as they come, and stdout apart", async () => {
  const lines: Array<string> = []
  const finished = await run(["sh", "-c", "echo one; echo two >&2; printf three"], {
    onLine: (line) => lines.push(line)
  })
  expect(lines.toSorted()).toEqual(["one", "three", "two"])
  expect(finished.stdout).toBe("one\nthree\n")
  expect(finished.exitCode).toBe(0)
})

test("keeps characters whole that arrive in pieces", async () => {
  const finished = await run(["sh", "-c", "printf '\\303'; sleep 0.05; printf '\\244\\n'"])
  expect(finished.stdout).toBe("ä\n")
})

test("passes on the exit status, that of a signal too", async () => {
  expect((await run(["sh", "-c", "exit 7"])).exitCode).toBe(7)
  expect((await run(["sh", "-c", "kill -9 $$"])).exitCode).toBe(137)
})

test("says of a missing program that it is missing", async () => {
  const finished = await run(["capsa-has-no-such-program"])
  expect(finished.exitCode).toBe(127)
  expect(finished.output).toContain("capsa-has-no-such-program: command not found")
})

test("ends a program that takes too long, and what it started", async () => {
  // While sleep lives it keeps the pipe open, and `run` reads on.
  expect((await run(["sh", "-c", "sleep 60 & wait"], { timeoutMs: 100 })).exitCode).toBe(143)
})

test("ends with it all that has a time limit, when told to end", async () => {
  const module = JSON.stringify(import.meta.resolve("../src/Command.ts"))
  const program = `const { run } = await import(${module})
    const sleep = () => run(["sh", "-c", "echo $$; exec sleep 60"], { timeoutMs: 60_000, onLine: started })
    const pids = []
    const started = (pid) => {
      if (pids.push(pid) === 2) console.log(pids.join(" "))
    }
    await Promise.all([sleep(), sleep()])`
  const owner = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe" })
  const { value } = await owner.stdout.getReader().read()
  const children = new TextDecoder().decode(value).split(" ").map(Number)
  expect(await Promise.all(children.map(isRunning))).toEqual([true, true])
  owner.kill("SIGTERM")
  expect(await owner.exited).toBe(130)
  for (const child of children) while (await isRunning(child)) await Bun.sleep(5)
})

/** Whether a process that isn't our child still runs; an ended one may wait long for whoever has inherited it. */
const isRunning = async (pid: number): Promise<boolean> => {
  const stat = await Bun.file(`/proc/${pid}/stat`)
    .text()
    .catch(() => "")
  return /^\d+ \(.*\) [^ZX]/.test(stat)
}

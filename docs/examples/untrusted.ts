/** Runs scripts that nobody trusts, each in a machine of its own: without network and root, with limits for all it can use up. */
import * as capsa from "capsa/promise"

const scripts = {
  "does its work": "echo $((6 * 7))",
  "never ends": "while :; do :; done",
  "wants all processes": "while :; do sleep 1000 & done",
  "wants all memory": "awk 'BEGIN { while (1) s = s s \"x\" }'",
  "wants the network": "nc -w 5 192.0.2.1 80 </dev/null || echo there is none",
  "talks too much": "yes | head -n 100000"
}

/** The shell's limits are for each process and its user; the machine's memory and its end are for all together. */
const limited = 'ulimit -v 131072; ulimit -u 32; exec sh -c "$0"'

const run = async (script: string): Promise<string> => {
  await using sandbox = await capsa.sandbox({ memory: "256MiB", network: "none" })
  try {
    const { exitCode, stderr, stdout, truncated } = await sandbox.exec(["sh", "-c", limited, script], {
      user: "nobody",
      cwd: "/tmp",
      timeLimit: "20 seconds",
      outputBytesMax: 10_000
    })
    const [line = ""] = (stdout + stderr).trim().split("\n")
    return truncated ? `cut off after ${stdout.length} characters` : `status ${exitCode}: ${line}`
  } catch (error) {
    if (error instanceof capsa.SandboxError && error.reason === "TimeLimit") return "killed when its time was up"
    throw error
  }
}

for (const [what, script] of Object.entries(scripts)) {
  await Bun.write(Bun.stdout, `${what}: ${await run(script)}\n`)
}

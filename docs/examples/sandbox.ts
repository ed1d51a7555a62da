import * as capsa from "capsa/promise"

await using sandbox = await capsa.sandbox({ name: "example", memory: "256MiB" })

// What is not trusted gets no network, no root, and a limit for everything.
await sandbox.files.write(
  "/tmp/sum.sh",
  'total=0; while read -r n; do total=$((total + n)); done; echo "$total"; exit 3\n'
)
const { exitCode, stdout, truncated } = await sandbox.exec(["sh", "/tmp/sum.sh"], {
  stdin: "40\n2\n",
  user: "nobody",
  timeLimit: "30 seconds",
  outputBytesMax: 1024
})

const exit = await sandbox.shutdown()
await Bun.write(Bun.stdout, `${stdout.trim()}, status ${exitCode}, ${truncated ? "cut off" : "whole"}: ${exit._tag}\n`)

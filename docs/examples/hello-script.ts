import * as capsa from "capsa/promise"

await using vm = await capsa.launch({ cpus: 2, memory: "256MiB", readyTimeout: "2 minutes" })
await vm.console.expect("capsa# ", { timeout: "1 minute" })
await vm.console.writeLine("nproc")
const { match } = await vm.console.expect(/^(\d+)\r$/m, { timeout: "1 minute" })
const exit = await vm.stop({ grace: "1 minute" })

await Bun.write(Bun.stdout, `${match[1]} processors on ${vm.backend.description}: ${exit._tag}\n`)

/** `bun run demo`: boots Linux on the best backend of this host, runs commands in it, and switches it off. */
import * as Timing from "@capsa/cli/Timing"
import * as Progress from "@capsa/guest/Progress"
import * as StatusLine from "@capsa/guest/StatusLine"
import * as BunRuntime from "@effect/platform-bun/BunRuntime"
import { Backend, Vm } from "capsa"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"

const prompt = "capsa# "
const command = "uname -a; nproc; free -m"

/** Types a command and gives what it printed. */
const ask = (vm: Vm.Vm, command: string) =>
  Effect.gen(function* () {
    yield* vm.console.writeLine(command)
    const { before } = yield* vm.console.expect(prompt, { timeout: "1 minute" })
    const [_echo, ...lines] = before.replaceAll("\r", "").trimEnd().split("\n")
    return lines.join("\n")
  })

const boot = Effect.gen(function* () {
  yield* Progress.stage("preparing the built-in guest")
  const vm = yield* Vm.launch({ name: "demo", cpus: 2, memory: "512MiB" })
  yield* Progress.stage(`booting Linux on ${vm.backend.description}`)
  yield* vm.console.expect(prompt, { timeout: "5 minutes" })
  yield* Progress.stage("running commands in it")
  // From here on the kernel keeps its messages to itself.
  yield* ask(vm, "dmesg -n 1")
  const kernel = yield* ask(vm, "uname -sr")
  const output = yield* ask(vm, command)
  yield* Progress.stage("switching it off")
  const exit = yield* vm.stop({ grace: "1 minute" })
  return { backend: vm.backend, kernel, output, exit, stages: yield* vm.stages }
}).pipe(Effect.scoped, Effect.provide(StatusLine.layer), Effect.provide(Backend.auto))

const print = (line: string) => Effect.promise(() => Bun.write(Bun.stdout, `${line}\n`))

const demo = Effect.gen(function* () {
  const { backend, exit, kernel, output, stages } = yield* boot
  yield* print(`backend  ${backend.description}`)
  for (const { backend: name, error } of backend.passedOver) yield* print(`         not ${name}: ${error.message}`)
  yield* print(`kernel   ${kernel}\n`)
  yield* print(Timing.render(stages, { colours: process.stdout.isTTY }))
  yield* print(`${prompt}${command}\n${output}\n\nended    ${exit._tag}`)
})

demo.pipe(
  Effect.tapError((error) => Effect.promise(() => Bun.write(Bun.stderr, `demo: ${error.message}\n→ ${error.hint}\n`))),
  Logger.withMinimumLogLevel(LogLevel.Warning),
  (program) => BunRuntime.runMain(program, { disableErrorReporting: true })
)

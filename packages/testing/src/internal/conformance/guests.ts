/** What a machine takes of its host, and what it runs. */
import { Sandbox, Vm } from "capsa"
import * as Effect from "effect/Effect"
import { booted, type Case, same } from "./Case.ts"

export const guests: ReadonlyArray<Case> = [
  {
    name: "a balloon tells how much memory the guest has left",
    claim: "features.balloon",
    needsLinux: true,
    prove: Effect.fnUntraced(function* (setting) {
      const vm = yield* booted(setting, { balloon: true })
      const { guestMemory } = yield* Effect.delay(vm.stats, "200 millis").pipe(
        Effect.repeat({ until: ({ guestMemory }) => guestMemory !== undefined }),
        Effect.timeout(setting.guest.patience)
      )
      const { availableBytes = 0, totalBytes = 0 } = guestMemory ?? {}
      yield* same("whether it fits", availableBytes > 0 && availableBytes < totalBytes, true)
    })
  },
  {
    name: "a machine with limits runs within them",
    claim: "features.limits",
    needsLinux: true,
    prove: (setting) => booted(setting, { limits: { memory: "1GiB", pids: 64 } })
  },
  {
    name: "a machine in a jail of its own runs",
    claim: "features.processIsolation",
    needsLinux: true,
    prove: (setting) => booted(setting, { isolation: "process" })
  },
  {
    name: "the end of a main process is the machine's, with its status",
    claim: "features.mainProcess",
    needsLinux: true,
    prove: Effect.fnUntraced(function* ({ boot, guest }) {
      const vm = yield* Vm.launch({ boot, memory: "256MiB", main: { argv: ["sh", "-c", "exit 3"] } })
      yield* same("the exit", yield* Effect.timeout(vm.wait, guest.patience), { _tag: "PowerOff", status: 3 })
    })
  },
  {
    name: "a sandbox runs commands, moves files, and shuts down",
    claim: "features.mainProcess",
    needsLinux: true,
    prove: Effect.fnUntraced(function* ({ boot }) {
      const sandbox = yield* Sandbox.launch({ boot, memory: "256MiB" })
      const { exitCode, stderr, stdout } = yield* sandbox.exec("echo $KIND; echo err >&2; exit 42", {
        env: { KIND: "out" }
      })
      yield* same("the command", [exitCode, stdout, stderr], [42, "out\n", "err\n"])
      yield* sandbox.files.write("/tmp/file", "content")
      yield* same("the file", yield* sandbox.files.readText("/tmp/file"), "content")
      const { cpus, memoryBytes } = yield* sandbox.info
      yield* same("what it says of itself", [cpus, memoryBytes > 0], [1, true])
      yield* same("the exit", (yield* sandbox.shutdown())._tag, "PowerOff")
    })
  }
]

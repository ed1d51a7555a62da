/**
 * A distribution on its own disk, with systemd, as people bring it along: CAPSA_TEST_BACKEND chooses the backend (kvm or qemu,
 * the default).
 */
import { describe, expect } from "bun:test"
import { readFileSync } from "node:fs"
import { GuestImages, Systemd } from "@capsa/guest"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import * as Vm from "../src/Vm.ts"
import { sha256, test } from "./fixtures/disks.ts"
import { backendName, quick } from "./fixtures/realBackend.ts"

const built = Effect.all({ debian: GuestImages.debian, systemd: GuestImages.systemd })
const { debian, systemd } = await Effect.runPromise(Effect.provide(built, BunContext.layer))

/** Much is started, by an emulated processor in an emulated machine perhaps. */
const bootTime = "8 minutes"
const timeout = "3 minutes"
const prompt = "# "

describe(`a distribution with systemd on ${backendName}`, () => {
  test(
    "boots from its disk, lets a user in, and obeys the power button",
    () =>
      Effect.gen(function* () {
        const vm = yield* Vm.launch({
          memory: "512MiB",
          boot: {
            kernel: debian.kernel,
            initrd: debian.initrd,
            console: quick.console,
            cmdline: "capsa.init=/bin/disk-root loglevel=1"
          },
          disks: [{ path: systemd.disk, ephemeral: true }]
        })
        yield* vm.console.expect("login: ", { timeout: bootTime })
        yield* vm.console.login({ ...Systemd.account, timeout })
        const run = (command: string) => vm.console.run(command, { timeout, prompt })
        // A unit that failed is named; a pager would wait for a key.
        const state = yield* run("systemctl is-system-running --wait; systemctl --no-pager --no-legend --failed")
        expect(state.output).toBe("running\n")
        expect((yield* run("cat /proc/1/comm; findmnt -no FSTYPE,OPTIONS /")).output).toMatch(/^systemd\next4 +rw,/)
        expect((yield* run("uname -r")).output).toBe(`${debian.kernelRelease}\n`)
        expect((yield* run("id -un; loginctl --no-pager --no-legend list-sessions")).output).toMatch(
          /^root\n.*\broot\b/
        )
        expect((yield* run("touch /written && sync")).exitCode).toBe(0)

        const end = yield* vm.stop({ grace: timeout })
        expect(end).toEqual({ _tag: "PowerOff" })
        // It was systemd that went through with it.
        expect(new TextDecoder().decode(yield* vm.console.history)).toContain("poweroff.target")
        const { disk } = JSON.parse(readFileSync(systemd.provenance, "utf8"))
        expect(sha256(readFileSync(systemd.disk))).toBe(disk)
      }),
    { boots: 6 }
  )
})

/** What a look at the host finds out about QEMU. */
import type { BackendError, Finding, ProbeReport } from "@capsa/core"
import type { Architecture } from "@capsa/core/KernelCmdline"
import { type NativeError, Service } from "@capsa/native"
import * as Cgroup from "@capsa/state/Cgroup"
import * as BunFileSystem from "@effect/platform-bun/BunFileSystem"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Firmware from "./firmware.ts"
import * as Program from "./program.ts"
import { setprivPath } from "./supervised.ts"

/** Finds a QEMU and tries it out: all at the same time, so that it takes as long as the slowest. */
export const examine = (program: string, architecture: Architecture): Effect.Effect<ProbeReport> =>
  Program.find(program).pipe(
    Effect.flatMap((path) => examineFound(path, architecture)),
    Effect.catchAll((error) => Effect.succeed(report([failed(program, error)], error)))
  )

const examineFound = (program: string, architecture: Architecture): Effect.Effect<ProbeReport> =>
  Effect.map(
    Effect.all(
      {
        version: Effect.either(Program.version(program)),
        trial: Effect.either(Program.tryOut(program, { architecture, accelerator: "tcg", platform: process.platform })),
        accelerators: Effect.either(Program.accelerators(program)),
        limits: Cgroup.examine,
        firmware: Effect.provide(Effect.flatMap(Firmware.placesOf(program), Firmware.find), BunFileSystem.layer),
        native: Effect.either(Service.check)
      },
      { concurrency: "unbounded" }
    ),
    ({ accelerators, firmware, limits, native, trial, version }) =>
      report(
        [
          finding(program, version, (found) => `version ${Program.showVersion(found)}`),
          finding("machine", trial, () => "built with all devices, by emulation (TCG)"),
          finding("accelerators", accelerators, (names) => `${names.join(", ")}; anything but tcg must be asked for`),
          supervision(),
          library(native),
          ...(architecture === "x86_64" ? [uefi(firmware)] : []),
          limits
        ],
        Option.getOrUndefined(Option.orElse(Either.getLeft(version), () => Either.getLeft(trial)))
      )
  )

const report = (findings: ReadonlyArray<Finding>, error: BackendError | undefined): ProbeReport => ({
  backend: "qemu",
  findings,
  ...(error === undefined ? {} : { error })
})

const finding = <A>(check: string, result: Either.Either<A, BackendError>, detail: (value: A) => string): Finding =>
  Either.match(result, {
    onLeft: (error) => failed(check, error),
    onRight: (value) => ({ check, status: "ok", detail: detail(value) })
  })

const failed = (check: string, error: BackendError): Finding => ({
  check,
  status: "failed",
  detail: error.message,
  fix: error.hint
})

const library = (served: Either.Either<void, NativeError>): Finding =>
  Either.match(served, {
    onLeft: ({ message }) => ({
      check: "native library",
      status: "warning",
      detail: `absent: ${message}`,
      fix: "Build it: `bun run build`. Without it there are no shares, networks and vsock."
    }),
    onRight: () => ({ check: "native library", status: "ok", detail: "serves shares, networks and vsock" })
  })

const uefi = (found: Either.Either<Firmware.Firmware, Firmware.Missing>): Finding =>
  Either.match(found, {
    onLeft: ({ hint, reason }) => ({
      check: "UEFI firmware",
      status: "warning",
      detail: `absent: ${reason}`,
      fix: `${hint} Without it there is no \`boot.firmware\`.`
    }),
    onRight: ({ code }) => ({ check: "UEFI firmware", status: "ok", detail: code })
  })

const supervision = (): Finding =>
  setprivPath() === null
    ? {
        check: "setpriv",
        status: "warning",
        detail: "absent: a machine outlives a capsa that is killed with SIGKILL",
        fix: "Install util-linux (Linux; other systems have no such means)."
      }
    : { check: "setpriv", status: "ok", detail: "a machine ends with the process that launched it" }

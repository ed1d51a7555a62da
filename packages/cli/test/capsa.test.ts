import { describe, expect, test } from "bun:test"
import { mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { BackendsReport, CleanupReport, DoctorReport, PsReport, ReportedError } from "@capsa/cli"
import * as Lease from "@capsa/state/Lease"
import { planOf } from "@capsa/testing"
import { Kvm, Logging } from "capsa"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import manifest from "../package.json" with { type: "json" }
import { capsa, told } from "./capsa.ts"

const decodeLine = <A, I>(schema: Schema.Schema<A, I>, stdout: string): A => {
  expect(stdout).toEndWith("\n")
  return Schema.decodeUnknownSync(Schema.parseJson(schema))(stdout)
}

const { error: kvmError } = await Effect.runPromise(Kvm.probe)
const isEmulated = kvmError?.reason === "Emulated"
const skipped = isEmulated ? "" : ` — skipped: KVM here is not emulated (${kvmError?.reason ?? "hardware"})`

const Failure = Schema.Struct({ error: ReportedError })

describe("version", () => {
  for (const words of [["version"], ["--version"]]) {
    test(words.join(" "), async () => {
      expect(await capsa(words)).toEqual({ status: 0, stdout: `${manifest.version}\n`, stderr: "" })
    })
  }
})

describe("the log", () => {
  test("says what is wrong with its settings, in the format asked for, and nothing else changes", async () => {
    const { stderr, ...finished } = await capsa(["version"], "", {
      CAPSA_LOG: "console:debug",
      CAPSA_LOG_FORMAT: "json"
    })
    expect(finished).toEqual({ status: 0, stdout: `${manifest.version}\n` })
    const line = decodeLine(Logging.LogLine, stderr)
    expect(line).toMatchObject({ level: "warn", component: "logging" })
    expect(line.message).toStartWith('CAPSA_LOG is ignored: "console:debug" is none of levels')
  })
})

describe("help", () => {
  test("of the program names every verb", async () => {
    const { status, stdout, stderr } = await capsa(["--help"])
    expect(stderr).toBe("")
    for (const verb of ["run", "doctor", "backends", "ps", "cleanup", "version"])
      expect(stdout).toMatch(new RegExp(`^  ${verb} `, "m"))
    expect(stdout).not.toContain("\u001b")
    expect(status).toBe(0)
  })

  test("of run names its options and no others", async () => {
    const { status, stdout } = await capsa(["run", "--help"])
    expect(stdout.match(/^ {2}--[a-z]+/gm)?.map((option) => option.trim())).toEqual([
      "--kernel",
      "--guest",
      "--initrd",
      "--cmdline",
      "--firmware",
      "--variables",
      "--disk",
      "--share",
      "--net",
      "--publish",
      "--allow",
      "--deny",
      "--cpus",
      "--memory",
      "--backend",
      "--limit",
      "--env",
      "--cwd",
      "--user",
      "--tty",
      "--name",
      "--detach",
      "--timeout",
      "--verbose",
      "--timing",
      "--json"
    ])
    expect(status).toBe(0)
  })

  for (const shell of ["bash", "zsh", "fish"]) {
    test(`completions for ${shell} know the verbs`, async () => {
      const { status, stdout } = await capsa(["--completions", shell])
      expect(stdout).toContain("doctor")
      expect(status).toBe(0)
    })
  }
})

describe("wrong usage: what is wrong, what to do, and status 2", () => {
  const cases: ReadonlyArray<readonly [words: ReadonlyArray<string>, detail: string]> = [
    [[], "No verb is given."],
    [["fly"], "There is no verb fly."],
    [["run", "--fly"], "There is no option or argument --fly."],
    [["run", "--publish", "80"], '--publish: "80" is no port; write it like 8080:80, 0.0.0.0:8080:80 or 5353:53/udp'],
    [["run", "--net", "none", "--allow", "a.org"], "--allow goes with a network."],
    ...["/only", "a:relative", "a:/b:rx"].map(
      (share) =>
        [["run", "--share", share], `--share: "${share}" is no share; write it like src:/src or out:/out:rw`] as const
    ),
    [["run", "uname"], "There is no option or argument uname."],
    [["run", "--"], "There is no command behind --."],
    [["run", "--cwd", "/tmp"], "--cwd goes with a command."],
    [["run", "--kernel"], "--kernel needs a value."],
    [["run", "--initrd", "x"], "--initrd goes with --kernel."],
    [["run", "--variables", "x"], "--variables goes with --firmware."],
    [["run", "--firmware", "uefi", "--kernel", "x"], "--firmware goes with a system on a disk."],
    [["run", "--firmware", "uefi", "--guest", "tiny"], "--guest goes with the built-in guest."],
    [["run", "--cpus", "two"], '--cpus: "two" is no number; write it like 2'],
    [["run", "--memory", "512"], '--memory: "512" is no size; write it like 512MiB or 2GiB'],
    [["run", "--timeout", "30"], '--timeout: "30" is no duration; write it like 30s, 5m or 1h'],
    ...["cpu", "cpu=x", "memory=512", "disk=1"].map(
      (limits) =>
        [
          ["run", "--limit", limits],
          `--limit: "${limits}" is no limits; write it like cpu=0.5,memory=1GiB,pids=64`
        ] as const
    ),
    [["run", "--backend", "xen"], "Expected one of the following cases: auto, kvm, qemu"],
    [["doctor", "now"], "There is no option or argument now."]
  ]
  for (const [words, detail] of cases) {
    test(`capsa ${words.join(" ")}`, async () => {
      const finished = await capsa(words)
      const [what, fix, ...rest] = told(finished)
      expect(what).toBe(`capsa: ${detail}`)
      expect(fix).toStartWith("→ ")
      expect(rest).toEqual([])
      expect(finished.stdout).toBe("")
      expect(finished.status).toBe(2)
    })
  }

  test("as data with --json", async () => {
    const { status, stdout, stderr } = await capsa(["run", "--json", "--publish", "x.img"])
    expect(stderr).toBe("")
    expect(decodeLine(Failure, stdout).error._tag).toBe("UsageError")
    expect(status).toBe(2)
  })
})

describe("doctor and backends", () => {
  test("agree with each other and with --check-system", async () => {
    const doctor = await capsa(["doctor", "--json"])
    const backends = await capsa(["backends", "--json"])
    const check = await capsa(["--check-system", "--json"])
    const examined = decodeLine(DoctorReport, doctor.stdout)
    const listed = decodeLine(BackendsReport, backends.stdout)
    const usable = listed.backends.filter(({ available }) => available).map(({ name }) => name)

    expect(listed.backends.map(({ name }) => name)).toEqual(["kvm", "qemu"])
    expect(listed.default).toBe(usable[0] ?? null)
    expect(examined.default).toBe(listed.default)
    expect(decodeLine(DoctorReport, check.stdout).default).toBe(listed.default)
    for (const { name, available, error, capabilities } of listed.backends) {
      const findings = examined.findings.filter(({ backend }) => backend === name)
      expect(findings.length).toBeGreaterThan(0)
      expect(available).toBe(error === undefined)
      expect(capabilities).toBeDefined()
      if (error !== undefined) expect(findings.some(({ status }) => status === "failed")).toBe(true)
    }
    for (const { detail, fix, status } of examined.findings) {
      expect(detail).not.toBe("")
      if (status !== "ok") expect(fix).toBeDefined()
    }
    const status = listed.default === null ? 1 : 0
    expect([doctor.status, check.status, backends.status]).toEqual([status, status, 0])
  })

  test("for people: every finding, and which backend is taken", async () => {
    const { findings, default: choice } = decodeLine(DoctorReport, (await capsa(["doctor", "--json"])).stdout)
    const { stdout } = await capsa(["doctor"])
    for (const { check } of findings) expect(stdout).toContain(check)
    expect(stdout).toContain(choice === null ? "Nothing can boot Linux" : `Machines run on ${choice}`)
  })

  test("a backend that is asked for by CAPSA_BACKEND is the default, or nothing is", async () => {
    const { backends } = decodeLine(BackendsReport, (await capsa(["backends", "--json"])).stdout)
    for (const { available, name } of backends) {
      const { stdout } = await capsa(["backends", "--json"], "", { CAPSA_BACKEND: name })
      expect(decodeLine(BackendsReport, stdout).default).toBe(available ? name : null)
    }
  })
})

describe("ps and cleanup", () => {
  test("refuse a state folder that is none, and say what to do", async () => {
    for (const verb of ["ps", "cleanup"]) {
      const env = { CAPSA_STATE_DIR: "/dev/null" }
      const finished = await capsa([verb], "", env)
      const [what, fix] = told(finished)
      expect(what).toStartWith("capsa: The state folder cannot be used (/dev/null, ")
      expect(fix).toContain("CAPSA_STATE_DIR")
      expect(finished.status).toBe(1)
      const { error } = decodeLine(Failure, (await capsa([verb, "--json"], "", env)).stdout)
      expect(error).toMatchObject({ _tag: "StateError", reason: "Unusable" })
    }
  })

  test("show people what lives and what is left", async () => {
    const folder = mkdtempSync(join(tmpdir(), "capsa-ps-"))
    const [id, left] = ["01234567-89ab-4cde-8f01-23456789abcd", "fedcba98-7654-4321-8fed-cba987654321"]
    const record = {
      id: left,
      name: "old",
      backend: "qemu",
      createdAt: 0,
      owner: 1,
      cpus: 1,
      memoryMib: 64,
      kernel: "/k"
    }
    mkdirSync(join(folder, left.slice(0, 13)))
    writeFileSync(join(folder, left.slice(0, 13), "machine.json"), JSON.stringify(record))
    const env = { CAPSA_STATE_DIR: folder }
    const tell = Effect.gen(function* () {
      yield* Lease.take(planOf({ id, name: "web", cpus: 2, memoryMib: 512 }), "kvm")
      return yield* Effect.promise(() =>
        Promise.all([capsa(["ps"], "", env), capsa(["cleanup", "--dry-run"], "", env)])
      )
    })
    const [ps, cleanup] = await Effect.runPromise(
      tell.pipe(
        Effect.scoped,
        Effect.provideService(Lease.Swept, new Set([folder])),
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(env))))
      )
    )
    const [heading, row, ...rest] = ps.stdout.trimEnd().split("\n")
    expect(heading).toMatch(/^ID +NAME +BACKEND +CPUS +MEMORY +OWNER +AGE$/)
    expect(row).toMatch(new RegExp(`^${id}  web   kvm      2     512MiB  ${process.pid} +(0|\\d+s)$`))
    expect(rest).toEqual([])
    expect(cleanup.stdout).toBe(`left: old ${left}\n  folder ${join(folder, left.slice(0, 13))}\n`)
    rmSync(folder, { recursive: true })
  })

  test("have nothing to tell of an empty one", async () => {
    const folder = mkdtempSync(join(tmpdir(), "capsa-ps-"))
    const env = { CAPSA_STATE_DIR: folder }
    expect(decodeLine(PsReport, (await capsa(["ps", "--json"], "", env)).stdout)).toEqual({ machines: [] })
    const { stdout } = await capsa(["cleanup", "--json"], "", env)
    expect(decodeLine(CleanupReport, stdout)).toEqual({ removed: true, leftovers: [], notes: [] })
    expect((await capsa(["ps"], "", env)).stdout).toBe("No machine is alive.\n")
    expect((await capsa(["cleanup", "--dry-run"], "", env)).stdout).toBe("Nothing is left behind.\n")
    rmdirSync(folder)
  })
})

describe("run fails before anything starts", () => {
  test("all that is wrong, each with what to do", async () => {
    const finished = await capsa(["run", "--backend", "qemu", "--kernel", "/nowhere/vmlinuz", "--memory", "1MiB"])
    const lines = told(finished)
    expect(lines[0]).toBe("capsa: --kernel: There is no file /nowhere/vmlinuz.")
    expect(lines[2]).toStartWith("capsa: --memory: ")
    expect(lines.filter((line) => line.startsWith("→ "))).toHaveLength(2)
    expect(finished.stdout).toBe("")
    expect(finished.status).toBe(1)
  })

  test("as data with --json", async () => {
    const { status, stdout } = await capsa(["run", "--backend", "qemu", "--kernel", "/nowhere/vmlinuz", "--json"])
    const { error } = decodeLine(Failure, stdout)
    expect(error._tag === "VmConfigError" && error.problems[0].path).toBe("boot.kernel")
    expect(status).toBe(1)
  })
})

test("run passes limits on, where they are checked", async () => {
  const limits = "cpu=0,memory=1MiB,pids=0"
  const { stdout } = await capsa(["run", "--backend", "qemu", "--limit", limits, "--json"])
  const { error } = decodeLine(Failure, stdout)
  const paths = error._tag === "VmConfigError" ? error.problems.map(({ path }) => path) : []
  expect(paths.toSorted()).toEqual(["limits.cpus", "limits.memory", "limits.pids"])
})

describe("KVM that is only emulated", () => {
  test.skipIf(!isEmulated)(`run --backend kvm refuses it and says what to do${skipped}`, async () => {
    const { status, stdout } = await capsa(["run", "--backend", "kvm", "--json"])
    const { error } = decodeLine(Failure, stdout)
    expect(error).toMatchObject({ _tag: "BackendError", reason: "Emulated", backend: "kvm", subject: "/dev/kvm" })
    expect(error.hint).toContain("--backend qemu")
    expect(status).toBe(1)
  })
})

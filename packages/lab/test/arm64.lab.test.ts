/** Boots labs of arm64, on processors and with interrupt controllers of each kind. Runs on the host. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"

const { CAPSA_LAB } = process.env
const cause =
  CAPSA_LAB === "1"
    ? "this is the lab itself"
    : process.getuid?.() !== 0
      ? "the lab must be started by root"
      : Bun.which("qemu-system-aarch64") === null
        ? "qemu-system-aarch64 is not installed"
        : undefined

setDefaultTimeout(600_000)

const main = Bun.fileURLToPath(new URL("../src/main.ts", import.meta.url))

const lab = async (options: ReadonlyArray<string>, ...command: ReadonlyArray<string>) => {
  const argv = [process.execPath, main, "--arch", "aarch64", "--memory", "1024", ...options, "--", ...command]
  const run = Bun.spawn(argv, { stdout: "pipe", stderr: "pipe" })
  const [stdout, stderr, exitCode] = await Promise.all([run.stdout.text(), run.stderr.text(), run.exited])
  return { stdout, stderr, exitCode }
}

describe.skipIf(cause !== undefined)(`the arm64 lab${cause === undefined ? "" : ` — skipped: ${cause}`}`, () => {
  test("has KVM, Bun for arm64 and the repository, and passes words, streams and status through", async () => {
    const script = `
      const { existsSync } = await import("node:fs")
      const { abiVersion } = await import("./packages/native/src/internal/layout.ts")
      console.error(process.arch, abiVersion > 0, existsSync("/dev/kvm"), process.argv.slice(1))
      process.exit(7)
    `
    const { stderr, ...rest } = await lab(
      ["--cpus", "2"],
      "sh",
      "-c",
      'nproc; exec bun -e "$0" "$@"',
      script,
      "a b",
      "'"
    )
    expect(rest).toEqual({ stdout: "2\n", exitCode: 7 })
    expect(stderr).toStartWith('arm64 true true [ "a b", "\'" ]')
  })

  const kernelLog = "dmesg | grep -E 'kvm|GIC'"
  for (const [what, options, says] of [
    ["Virtualization Host Extensions and GICv3", [], [/VHE mode initialized/, /GICv3/]],
    ["GICv2", ["--gic", "2"], [/vgic interrupt IRQ|VHE mode initialized/, /GICv2|GIC physical location/]],
    ["no Virtualization Host Extensions", ["--processor", "cortex-a72"], [/Hyp mode initialized/, /GICv3/]]
  ] as const) {
    test(`can have ${what}`, async () => {
      const { stdout } = await lab(options, "sh", "-c", kernelLog)
      for (const pattern of says) expect(stdout).toMatch(pattern)
    })
  }
})

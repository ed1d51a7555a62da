/**
 * Builds the real images (from the cache when it has them) and boots them under QEMU. Runs on the host, not in the
 * lab: emulation in an emulated machine is too slow.
 */

import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Architecture from "@capsa/guest/Architecture"
import * as GuestImages from "@capsa/guest/GuestImages"
import * as TinyKernel from "@capsa/guest/TinyKernel"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"

const { CAPSA_LAB } = process.env
const inLab = CAPSA_LAB === "1"
const skipped = inLab ? " — skipped: this is the lab itself" : ""

setDefaultTimeout(120_000)
const buildTimeoutMs = 1_800_000
/** When a guest is given up; its end makes `expect` say what it last printed. */
const guestTimeoutMs = 100_000

const images = () =>
  Effect.runPromise(
    Effect.provide(
      Effect.all({
        debian: GuestImages.debian,
        tiny: GuestImages.tiny,
        toolbox: GuestImages.toolbox,
        systemd: GuestImages.systemd
      }),
      BunContext.layer
    )
  )

const arm64Images = () =>
  Effect.runPromise(
    Effect.all({ debian: GuestImages.debian, tiny: GuestImages.tinyArm64 }).pipe(
      Effect.provideService(Architecture.Target, "arm64"),
      Effect.provide(BunContext.layer)
    )
  )

const toolsOfArm64 = ["qemu-system-aarch64", "aarch64-linux-gnu-gcc"].filter((tool) => Bun.which(tool) === null)
const noArm64 = toolsOfArm64.length === 0 ? undefined : `${toolsOfArm64.join(" and ")} not installed`

interface Boot {
  readonly program?: string
  readonly machine: string
  readonly kernel: string
  readonly initrd?: string
  readonly parameters?: string
  readonly console?: "ttyS0" | "hvc0"
  readonly arguments?: ReadonlyArray<string>
}

/**
 * A guest under QEMU, whose console is QEMU's standard input and output. It has two processors, but on microvm with
 * ACPI one that counts instructions instead of time: that machine has no clock by which the kernel could tell the
 * speed of the processor while the host is busy.
 */
const boot = async (options: Boot) => {
  const mmio = /^(microvm|virt)/.test(options.machine)
  const counted = options.machine === "microvm"
  const hvc = ["-device", `virtio-serial-${mmio ? "device" : "pci"}`, "-device", "virtconsole,chardev=console"]
  const qemu = Bun.spawn(
    [
      ...[options.program ?? "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"],
      ...["-machine", options.machine, "-accel", "tcg", "-cpu", "max", "-m", "256"],
      ...(counted ? ["-smp", "1", "-icount", "shift=1"] : ["-smp", "2"]),
      ...["-kernel", options.kernel, ...(options.initrd === undefined ? [] : ["-initrd", options.initrd])],
      ...["-append", `console=${options.console ?? "ttyS0"} quiet ${options.parameters ?? ""}`],
      ...["-chardev", "stdio,id=console"],
      ...(options.console === "hvc0" ? hvc : ["-serial", "chardev:console"]),
      ...(options.arguments ?? [])
    ],
    { stdin: "pipe", stdout: "pipe", stderr: "pipe" }
  )
  const giveUp = setTimeout(() => qemu.kill("SIGKILL"), guestTimeoutMs)
  const reader = qemu.stdout.getReader()
  const decoder = new TextDecoder()
  let text = ""
  let seen = 0
  return {
    /** Reads up to and with the first match after the last one. */
    expect: async (pattern: RegExp) => {
      for (;;) {
        const match = pattern.exec(text.slice(seen))
        if (match !== null) {
          seen += match.index + match[0].length
          return match
        }
        const { done, value } = await reader.read()
        if (done) throw new Error(`the guest ended before it said ${pattern}: ${text.slice(-2000)}`)
        text += decoder.decode(value, { stream: true })
      }
    },
    type: (line: string) => {
      qemu.stdin.write(`${line}\n`)
      qemu.stdin.flush()
    },
    exited: qemu.exited,
    async [Symbol.asyncDispose]() {
      clearTimeout(giveUp)
      qemu.kill("SIGKILL")
      await qemu.exited
    }
  }
}

describe.skipIf(inLab)(`the guest images${skipped}`, () => {
  let built: Awaited<ReturnType<typeof images>>

  beforeAll(async () => {
    built = await images()
  }, buildTimeoutMs)

  test("every option of the fragment is in the kernel's configuration", () => {
    const config = readFileSync(built.tiny.config, "utf8")
    expect(TinyKernel.notApplied(readFileSync(TinyKernel.fragmentFile("x86_64"), "utf8"), config)).toEqual([])
  })

  test("the provenance has the hashes of the images", () => {
    const hash = (file: string) => new Bun.CryptoHasher("sha256").update(readFileSync(file)).digest("hex")
    expect(JSON.parse(readFileSync(built.tiny.provenance, "utf8"))).toMatchObject({
      release: built.tiny.kernelRelease,
      vmlinux: hash(built.tiny.vmlinux),
      bzImage: hash(built.tiny.bzImage)
    })
  })

  test("with everything in the cache, nothing is built", async () => {
    const times = () =>
      [built.debian.initrd, built.tiny.initrd, built.tiny.vmlinux, built.toolbox.disk, built.systemd.disk].map(
        (file) => statSync(file).mtimeMs
      )
    const before = times()
    expect(await images()).toEqual(built)
    expect(times()).toEqual(before)
  })

  const tiny = () => built.tiny
  const tinyBzImage = () => ({ ...built.tiny, kernel: built.tiny.bzImage })
  const debian = () => built.debian
  const cases = [
    { title: "tiny vmlinux", image: tiny, machine: "microvm", console: "ttyS0", cpus: "1" },
    { title: "tiny vmlinux", image: tiny, machine: "microvm", console: "hvc0", cpus: "1" },
    { title: "tiny vmlinux", image: tiny, machine: "microvm,acpi=off", console: "ttyS0", cpus: "2" },
    { title: "tiny bzImage", image: tinyBzImage, machine: "q35", console: "ttyS0", cpus: "2" },
    { title: "Debian", image: debian, machine: "microvm", console: "ttyS0", cpus: "1" },
    { title: "Debian", image: debian, machine: "q35", console: "hvc0", cpus: "2" }
  ] as const
  for (const { title, machine, image, console, cpus } of cases) {
    test(`${title}, ${machine}, ${console}: init, prompt, nproc, reboot`, async () => {
      const { kernel, initrd, kernelRelease } = image()
      await using guest = await boot({ machine, kernel, initrd, console })
      await guest.expect(/capsa: init\r\n/)
      await guest.expect(/capsa# /)
      guest.type('echo "<$(uname -r) $(nproc)>"')
      expect((await guest.expect(/<(\S+) (\d+)>/)).slice(1, 3)).toEqual([kernelRelease, cpus])
      guest.type("reboot -f")
      expect(await guest.exited).toBe(0)
    })
  }

  for (const name of ["tiny", "debian"] as const) {
    test.skipIf(noArm64 !== undefined)(
      `${name} for arm64: init, prompt, nproc, reboot${noArm64 === undefined ? "" : ` — skipped: ${noArm64}`}`,
      async () => {
        const { initrd, kernel, kernelRelease } = (await arm64Images())[name]
        if (name === "tiny") expect(statSync(initrd).size).toBeLessThan(1024 * 1024)
        await using guest = await boot({
          program: "qemu-system-aarch64",
          machine: "virt",
          kernel,
          initrd,
          console: "hvc0"
        })
        await guest.expect(/capsa: init\r\n/)
        await guest.expect(/capsa# /)
        guest.type('echo "<$(uname -rm) $(nproc)>"')
        expect((await guest.expect(/<(\S+) aarch64 (\d+)>/)).slice(1, 3)).toEqual([kernelRelease, "2"])
        guest.type("reboot -f")
        expect(await guest.exited).toBe(0)
      },
      buildTimeoutMs
    )
  }

  /** Boots the tiny kernel with the toolbox as its root. */
  const bootToolbox = (drive: string, parameters: string, ...more: ReadonlyArray<string>) =>
    boot({
      machine: "q35",
      kernel: built.tiny.vmlinux,
      parameters: `root=/dev/vda ${parameters}`,
      arguments: ["-drive", `file=${built.toolbox.disk},if=virtio,format=raw,${drive}`, ...more]
    })

  for (const name of ["tiny", "debian", "toolbox"] as const) {
    test(`${name}: the power button ends the guest`, async () => {
      const folder = mkdtempSync(`${tmpdir()}/capsa-button.`)
      try {
        const qmp = `${folder}/qmp`
        const monitor = ["-qmp", `unix:${qmp},server=on,wait=off`]
        await using guest =
          name === "toolbox"
            ? await bootToolbox("readonly=on", "ro", ...monitor)
            : await boot({
                machine: "microvm",
                kernel: built[name].kernel,
                initrd: built[name].initrd,
                arguments: monitor
              })
        await guest.expect(/capsa# /)
        const socket = await Bun.connect({ unix: qmp, socket: { data: () => undefined } })
        socket.write('{"execute":"qmp_capabilities"}\n{"execute":"system_powerdown"}\n')
        expect(await guest.exited).toBe(0)
        socket.end()
      } finally {
        rmSync(folder, { recursive: true })
      }
    })
  }

  for (const name of ["tiny", "debian"] as const) {
    const bootDiskRoot = (parameters: string) =>
      boot({
        machine: "q35",
        kernel: built[name].kernel,
        initrd: built[name].initrd,
        parameters: `capsa.init=/bin/disk-root ${parameters}`,
        arguments: ["-drive", `file=${built.toolbox.disk},if=virtio,format=raw,snapshot=on`]
      })

    test(`${name}: the initrd makes a disk the root, and starts its init`, async () => {
      await using guest = await bootDiskRoot("root=/dev/vda rw rootflags=noatime")
      await guest.expect(/capsa# /)
      guest.type("findmnt -no FSTYPE,OPTIONS /; ls -d /proc/1 /dev/null /sys/bus; poweroff -f")
      await guest.expect(/\next4 +rw,noatime.*\r\n/)
      await guest.expect(/\/dev\/null +\/proc\/1 +\/sys\/bus|\/dev\/null\r\n\/proc\/1\r\n\/sys\/bus/)
      expect(await guest.exited).toBe(0)
    })

    test(`${name}: the initrd says which disk it does not find, and the kernel panics`, async () => {
      await using guest = await bootDiskRoot("root=/dev/vdx panic=-1")
      await guest.expect(/mount: .*\/dev\/vdx/)
      await guest.expect(/Attempted to kill init/)
      expect(await guest.exited).toBe(0)
    })

    test(`${name}: a kernel panic reaches the pvpanic device`, async () => {
      await using guest = await boot({
        machine: "q35",
        kernel: built[name].kernel,
        initrd: built[name].initrd,
        arguments: ["-device", "pvpanic", "-action", "panic=exit-failure"]
      })
      await guest.expect(/capsa# /)
      guest.type("echo c > /proc/sysrq-trigger")
      expect(await guest.exited).toBe(1)
    })
  }

  test("tiny: Ctrl-C interrupts a command, and the end of the shell ends the guest", async () => {
    await using guest = await boot({ machine: "microvm", kernel: built.tiny.kernel, initrd: built.tiny.initrd })
    await guest.expect(/capsa# /)
    guest.type("echo now; sleep 1000; echo after")
    await guest.expect(/\nnow\r\n/)
    guest.type("\u0003")
    await guest.expect(/capsa# /)
    guest.type("exit")
    expect(await guest.exited).toBe(0)
  })

  test("systemd: of its size, and with nobody's identity", () => {
    const { disk } = built.systemd
    expect(statSync(disk).size).toBeLessThan(700 * 1024 * 1024)
    const read = (file: string) => Bun.spawnSync(["/sbin/debugfs", "-R", `cat ${file}`, disk]).stdout.toString()
    expect(read("/etc/machine-id")).toBe("")
    expect(read("/etc/hostname")).toBe("capsa\n")
    expect(read("/etc/apt/sources.list")).toBe("")
  })

  test("toolbox: each of its programs runs, from a disk that cannot be written", async () => {
    expect(statSync(built.toolbox.disk).size).toBeLessThan(300 * 1024 * 1024)
    await using guest = await bootToolbox("readonly=on", "ro")
    await guest.expect(/capsa: init\r\n/)
    await guest.expect(/capsa# /)
    for (const [command, answer] of [
      ["bash --version", /GNU bash/],
      ["fio --version", /\nfio-\d/],
      ["git --version", /git version \d/],
      ["iperf3 --version", /iperf 3/],
      ["socat -V", /socat version \d/],
      ["strace -V", /strace -- version \d/],
      ["getfattr --version", /getfattr \d/],
      ["tar --version", /tar \(GNU tar\)/],
      ["ls --version", /ls \(GNU coreutils\)/],
      ["lsblk --version", /util-linux \d/],
      ["mke2fs -V", /mke2fs \d/],
      ["stat -c '%U:%G %a' /bin/bash", /root:root 755/],
      ["ip addr show lo", /inet 127\.0\.0\.1/],
      ["touch /file", /Read-only file system/],
      ["touch /tmp/file && echo writ''able", /writable/]
    ] as const) {
      guest.type(command)
      await guest.expect(answer)
      await guest.expect(/capsa# /)
    }
    guest.type("poweroff -f")
    expect(await guest.exited).toBe(0)
  })

  test("toolbox: a disk whose changes are thrown away can be written", async () => {
    const hash = () => new Bun.CryptoHasher("sha256").update(readFileSync(built.toolbox.disk)).digest("hex")
    const { disk } = JSON.parse(readFileSync(built.toolbox.provenance, "utf8"))
    await using guest = await bootToolbox("snapshot=on", "rw")
    await guest.expect(/capsa# /)
    guest.type("git init -q /root/work && cd /root/work && touch file && sync && git status --porcelain")
    await guest.expect(/\?\? file/)
    guest.type("exit")
    expect(await guest.exited).toBe(0)
    expect(hash()).toBe(disk)
  })
})

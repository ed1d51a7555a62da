import { describe, expect, test } from "bun:test"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as BootPlan from "../src/BootPlan.ts"
import { type Capabilities, noFeatures } from "../src/Capabilities.ts"
import type { VmConfig } from "../src/VmConfig.ts"

const capabilities: Capabilities = {
  architectures: ["x86_64"],
  kernels: ["bzImage"],
  consoles: ["serial", "virtio"],
  discovery: ["firmware"],
  maxCpus: 8,
  maxMemoryMib: 4096,
  pause: true,
  powerButton: true,
  panicNotifier: false,
  features: noFeatures("it is a test")
}
const images = { kernel: "/guest/bzImage", initrd: "/guest/initrd", console: "virtio" } as const
const options = { id: "0f1e2d3c-0000-4000-8000-000000000000", capabilities, images }

const made = (config: VmConfig, all: BootPlan.PlanOptions = options) =>
  Effect.runSync(BootPlan.make(config, all).pipe(Effect.provide(Path.layer)))
const plan = (config: VmConfig, all?: BootPlan.PlanOptions) => Effect.runSync(BootPlan.onlyKernel(made(config, all)))

describe("BootPlan.make", () => {
  test("fills in what was left out, for a user's kernel", () => {
    expect(plan({ boot: { kernel: "/k", initrd: "/i" } })).toEqual({
      id: options.id,
      name: "vm-0f1e2d3c",
      cpus: 1,
      memoryMib: 512,
      kernel: "/k",
      initrd: "/i",
      cmdline: "console=ttyS0 reboot=k panic=-1 no_timer_check earlycon=uart8250,io,0x3f8",
      console: "serial",
      discovery: "firmware",
      disks: [],
      shares: [],
      balloon: false,
      agentPort: false,
      vsock: false
    })
  })

  test("names the serial port as the backend's kernels do, unless the console is another device", () => {
    const arm64: Capabilities = { ...capabilities, architectures: ["arm64"], serialPort: "ttyAMA0" }
    const cmdlineOf = (console?: "virtio") =>
      plan({ boot: { kernel: "/k", console } }, { ...options, capabilities: arm64 }).cmdline
    expect(cmdlineOf()).toBe("console=ttyAMA0 panic=-1 earlycon")
    expect(cmdlineOf("virtio")).toBe("console=hvc0 panic=-1 earlycon")
  })

  test("takes the built-in guest where no kernel is named", () => {
    const built = plan({ cpus: 4, memory: "2GiB", name: "n" })
    expect(built).toMatchObject({ ...images, cpus: 4, memoryMib: 2048, name: "n", discovery: "firmware" })
    expect(built.cmdline).toContain("console=hvc0")
    expect(built.cmdline).not.toContain("ttyS0")
  })

  test("without both, says so", () => {
    const made = BootPlan.make({}, { id: options.id, capabilities }).pipe(Effect.provide(Path.layer), Effect.flip)
    expect(Effect.runSync(made).problems[0].path).toBe("boot")
  })

  test("the user's parameters win, then the images', then the backend's, then ours", () => {
    const withOurs = (cmdline: string, kernelParameters = "") => {
      const all = { ...options, capabilities: { ...capabilities, kernelParameters }, images: { ...images, cmdline } }
      return plan({}, all).cmdline
    }
    expect(withOurs("panic=7 quiet")).toBe(
      "console=hvc0 reboot=k no_timer_check panic=7 quiet earlycon=uart8250,io,0x3f8"
    )
    expect(withOurs("x=2", "panic=5 x=1")).toBe(
      "console=hvc0 reboot=k no_timer_check panic=5 x=2 earlycon=uart8250,io,0x3f8"
    )
    const user = plan({ boot: { kernel: "/k", cmdline: 'panic=0 reboot=t x="a b" -- arg' } })
    expect(user.cmdline).toBe('console=ttyS0 no_timer_check panic=0 reboot=t x="a b" earlycon=uart8250,io,0x3f8 -- arg')
  })

  test("firmware is started as it is: no kernel, no command line", () => {
    const { cmdline: _, initrd: __, kernel: ___, ...machine } = plan({ boot: { kernel: "/k", initrd: "/i" } })
    const firmware: BootPlan.FirmwarePlan = { ...machine, firmware: "uefi", console: "serial", discovery: "firmware" }
    expect<BootPlan.BootPlan>(made({ boot: { firmware: "uefi" } })).toEqual(firmware)
    expect(made({ boot: { firmware: "uefi", variables: "/folder/../vars" } })).toMatchObject({ variables: "/vars" })
  })

  test("a backend that starts kernels refuses firmware", () => {
    const refused = Effect.runSync(Effect.flip(BootPlan.onlyKernel(made({ boot: { firmware: "uefi" } }))))
    expect(refused).toMatchObject({ reason: "Unsupported", field: "firmware", hint: expect.stringContaining("QEMU") })
  })

  test("the built-in guest is told where shares go, the outer ones first", () => {
    const shares = [
      { host: "/h", guest: "/data/in ner", mode: "rw" },
      { host: "/h", guest: "//data/", tag: "outer" },
      { host: "/h", guest: "/ä%*:'" }
    ] as const
    const told = [
      "capsa.share=outer:ro:/data/",
      "capsa.share=share0:rw:/data/in%20ner",
      "capsa.share=share2:ro:/%c3%a4%25%2a%3a%27"
    ]
    const { cmdline } = plan({ shares })
    expect(cmdline.split(" ").filter((word) => word.startsWith("capsa.share="))).toEqual(told)
    expect(plan({ boot: { kernel: "/k" }, shares }).cmdline).not.toContain("capsa.share")
  })

  test("paths become absolute", () => {
    const { kernel, initrd } = plan({ boot: { kernel: "images/k", initrd: "../i" } })
    expect(kernel.startsWith("/") && kernel.endsWith("/images/k")).toBe(true)
    expect(initrd?.startsWith("/") && !initrd.includes("..")).toBe(true)
  })
})

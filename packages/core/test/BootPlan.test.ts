import { describe, expect, test } from "bun:test"
import * as PlatformError from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as BootPlan from "../src/BootPlan.ts"
import type { Capabilities } from "../src/Capabilities.ts"
import { validate } from "../src/ConfigValidation.ts"
import type { VmConfig } from "../src/VmConfig.ts"
import type { VmConfigError } from "../src/VmConfigError.ts"

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
  limits: false
}
const images = { kernel: "/guest/bzImage", initrd: "/guest/initrd", console: "virtio" } as const
const options = { id: "0f1e2d3c-0000-4000-8000-000000000000", capabilities, images }

const mib = 1024n * 1024n
const files: Record<string, { type: FileSystem.File.Type; size: bigint; secret?: true }> = {
  "/k": { type: "File", size: 14n * mib },
  "/i": { type: "File", size: 3n * mib },
  "/big": { type: "File", size: 600n * mib },
  "/empty": { type: "File", size: 0n },
  "/folder": { type: "Directory", size: 4096n },
  "/secret": { type: "File", size: mib, secret: true }
}

const failure = (method: string, reason: PlatformError.SystemErrorReason, path: string) =>
  new PlatformError.SystemError({ reason, module: "FileSystem", method, pathOrDescriptor: path })

const stat = ({ type, size }: { type: FileSystem.File.Type; size: bigint }): FileSystem.File.Info => ({
  type,
  size: FileSystem.Size(size),
  mtime: Option.none(),
  atime: Option.none(),
  birthtime: Option.none(),
  dev: 0,
  ino: Option.none(),
  mode: 0o644,
  nlink: Option.none(),
  uid: Option.none(),
  gid: Option.none(),
  rdev: Option.none(),
  blksize: Option.none(),
  blocks: Option.none()
})

const disk = FileSystem.layerNoop({
  stat: (path) => {
    const file = files[path]
    return file === undefined ? Effect.fail(failure("stat", "NotFound", path)) : Effect.succeed(stat(file))
  },
  access: (path) => (files[path]?.secret ? Effect.fail(failure("access", "PermissionDenied", path)) : Effect.void)
})
const world = Layer.merge(disk, Path.layer)

const plan = (config: VmConfig) => Effect.runSync(BootPlan.make(config, options).pipe(Effect.provide(world)))
const check = (config: VmConfig, images?: BootPlan.GuestImages): Effect.Effect<void, VmConfigError> =>
  validate(config, { capabilities, images }).pipe(Effect.provide(world))
const refused = (config: VmConfig) => Effect.runSync(Effect.flip(check(config)))
const problem = (config: VmConfig) => {
  const { reason, problems } = refused(config)
  return { reason, ...problems[0], count: problems.length }
}

describe("BootPlan.make", () => {
  test("fills in what was left out, for a user's kernel", () => {
    expect(plan({ boot: { kernel: "/k", initrd: "/i" } })).toEqual({
      id: options.id,
      name: "vm-0f1e2d3c",
      cpus: 1,
      memoryMib: 512,
      kernel: "/k",
      initrd: "/i",
      cmdline: "earlycon=uart8250,io,0x3f8 console=ttyS0 reboot=k panic=-1 no_timer_check",
      console: "serial",
      discovery: "firmware"
    })
  })

  test("takes the built-in guest where no kernel is named", () => {
    const built = plan({ cpus: 4, memory: "2GiB", name: "n" })
    expect(built).toMatchObject({ ...images, cpus: 4, memoryMib: 2048, name: "n", discovery: "firmware" })
    expect(built.cmdline).toContain("console=hvc0")
    expect(built.cmdline).not.toContain("ttyS0")
  })

  test("without both, says so", () => {
    const made = BootPlan.make({}, { id: options.id, capabilities }).pipe(Effect.provide(world), Effect.flip)
    expect(Effect.runSync(made).problems[0].path).toBe("boot")
  })

  test("the user's parameters win, then the images', then ours", () => {
    const withOurs = (cmdline: string) =>
      Effect.runSync(BootPlan.make({}, { ...options, images: { ...images, cmdline } }).pipe(Effect.provide(world)))
        .cmdline
    expect(withOurs("panic=7 quiet")).toBe(
      "earlycon=uart8250,io,0x3f8 console=hvc0 reboot=k no_timer_check panic=7 quiet"
    )
    const user = plan({ boot: { kernel: "/k", cmdline: 'panic=0 reboot=t x="a b" -- arg' } })
    expect(user.cmdline).toBe('earlycon=uart8250,io,0x3f8 console=ttyS0 no_timer_check panic=0 reboot=t x="a b" -- arg')
  })

  test("paths become absolute", () => {
    const { kernel, initrd } = plan({ boot: { kernel: "images/k", initrd: "../i" } })
    expect(kernel.startsWith("/") && kernel.endsWith("/images/k")).toBe(true)
    expect(initrd?.startsWith("/") && !initrd.includes("..")).toBe(true)
  })
})

describe("ConfigValidation.validate", () => {
  test("is content with what can be run", () => {
    const most: VmConfig = {
      name: "a.b-c_9",
      boot: { kernel: "/k", initrd: "/i", console: "virtio", discovery: "firmware" },
      cpus: 8,
      memory: "4GiB",
      console: { historyBytes: 4096 }
    }
    expect(Effect.runSync(check(most))).toBeUndefined()
    expect(Effect.runSync(check({}, images))).toBeUndefined()
  })

  test.each([
    ["/none", "There is no file /none."],
    ["/folder", "/folder is not a regular file."],
    ["/empty", "/empty is empty."],
    ["/secret", "/secret may not be read."]
  ])("kernel %s: %s", (kernel, detail) => {
    expect(problem({ boot: { kernel } })).toMatchObject({ reason: "Invalid", path: "boot.kernel", detail, count: 1 })
  })

  test("an initrd that memory cannot hold", () => {
    expect(problem({ boot: { kernel: "/k", initrd: "/big" } })).toMatchObject({
      reason: "Invalid",
      path: "boot.initrd",
      detail: "/big does not fit into 512MiB of memory.",
      count: 1
    })
  })

  test.each([
    ["too many processors", { cpus: 9 }, "cpus"],
    ["too much memory", { memory: "5GiB" }, "memory"],
    ["discovery that it lacks", { boot: { kernel: "/k", discovery: "cmdline" } }, "boot.discovery"]
  ] as const)("beyond this backend: %s", (_, config, path) => {
    expect(problem(config)).toMatchObject({ reason: "Unsupported", path, count: 1 })
  })

  test.each([
    ["no processor", { cpus: 0 }, "cpus"],
    ["too little memory", { memory: 8 }, "memory"],
    ["a name with a space", { name: "no spaces" }, "name"],
    ["an empty name", { name: "" }, "name"],
    ["a tiny history", { console: { historyBytes: 100 } }, "console.historyBytes"],
    ["a line end in the command line", { boot: { kernel: "/k", cmdline: "a\nb" } }, "boot.cmdline"],
    ["an open quote", { boot: { kernel: "/k", cmdline: 'a="b' } }, "boot.cmdline"],
    ["a long command line", { boot: { kernel: "/k", cmdline: `a=${"b".repeat(2048)}` } }, "boot.cmdline"]
  ] as const)("invalid: %s", (_, config, path) => {
    expect(problem(config)).toMatchObject({ reason: "Invalid", path, count: 1 })
  })

  test("all that is wrong is told at once, each with what to do", () => {
    const { reason, problems } = refused({
      name: "?",
      boot: { kernel: "/none", initrd: "/folder", discovery: "cmdline", cmdline: "\0" },
      cpus: 100,
      memory: 1,
      console: { historyBytes: 1 }
    })
    expect(reason).toBe("Invalid")
    expect(problems.map(({ path }) => path)).toEqual([
      "name",
      "boot.kernel",
      "boot.initrd",
      "boot.discovery",
      "boot.cmdline",
      "cpus",
      "memory",
      "console.historyBytes"
    ])
    for (const { hint } of problems) expect(hint.length).toBeGreaterThan(5)
  })
})

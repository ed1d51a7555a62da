import { describe, expect, test } from "bun:test"
import type { FirmwarePlan } from "@capsa/core"
import { planOf } from "@capsa/testing"
import { connectionsOf, fromPlan, trial } from "../src/internal/arguments.ts"

const plan = planOf({
  id: "11111111-2222-4333-8444-555555555555",
  name: "web",
  cpus: 2,
  memoryMib: 5120,
  initrd: "/boot/initrd",
  cmdline: "console=ttyS0 reboot=k"
})
const host = { architecture: "x86_64", accelerator: "tcg", platform: "linux" } as const

/** The value after each occurrence of an option. */
const valuesOf = (args: ReadonlyArray<string>, option: string) =>
  args.flatMap((arg, index) => (arg === option ? [args[index + 1]] : []))

describe("fromPlan", () => {
  test("carries out all that the plan says", () => {
    expect(fromPlan(plan, host)).toEqual([
      "-nodefaults",
      "-no-user-config",
      "-display",
      "none",
      "-S",
      "-name",
      "guest=web",
      "-uuid",
      "11111111-2222-4333-8444-555555555555",
      "-machine",
      "q35,vmport=off,smm=off,usb=off,sata=off,smbus=off",
      "-device",
      "pvpanic",
      "-accel",
      "tcg",
      "-cpu",
      "max",
      "-smp",
      "2",
      "-m",
      "5120M",
      "-bios",
      "qboot.rom",
      "-kernel",
      "/boot/vmlinuz",
      "-initrd",
      "/boot/initrd",
      "-append",
      "console=ttyS0 reboot=k",
      "-chardev",
      "socket,id=monitor,fd=3",
      "-mon",
      "chardev=monitor,mode=control",
      "-chardev",
      "socket,id=console,fd=4",
      "-serial",
      "chardev:console",
      "-object",
      "rng-builtin,id=entropy",
      "-device",
      "virtio-rng-pci,rng=entropy",
      "-action",
      "reboot=shutdown,shutdown=poweroff,panic=shutdown",
      "-sandbox",
      "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
    ])
  })

  test("a virtio console leaves the UART for early output", () => {
    const args = fromPlan({ ...plan, console: "virtio" }, host)
    expect(valuesOf(args, "-serial")).toEqual(["chardev:early"])
    expect(valuesOf(args, "-device")).toEqual([
      "pvpanic",
      "virtio-serial-pci,max_ports=1",
      "virtconsole,chardev=console",
      "virtio-rng-pci,rng=entropy"
    ])
    expect(valuesOf(args, "-chardev")).toEqual([
      "socket,id=monitor,fd=3",
      "socket,id=console,fd=4",
      "socket,id=early,fd=5"
    ])
    expect(connectionsOf({ ...plan, console: "virtio" })).toEqual(["monitor", "console", "early"])
    expect(connectionsOf(plan)).toEqual(["monitor", "console"])
  })

  test("an agent has a port of its own, beside the console's", () => {
    const port = "virtserialport,chardev=agent,nr=1,name=capsa.agent"
    const withAgent = { ...plan, agentPort: true }
    expect(valuesOf(fromPlan(withAgent, host), "-device").slice(0, 3)).toEqual([
      "pvpanic",
      "virtio-serial-pci,max_ports=2",
      port
    ])
    expect(connectionsOf(withAgent)).toEqual(["monitor", "console", "agent"])
    const args = fromPlan({ ...withAgent, console: "virtio" }, host)
    expect(valuesOf(args, "-device").slice(1, 4)).toEqual([
      "virtio-serial-pci,max_ports=2",
      "virtconsole,chardev=console",
      port
    ])
    expect(valuesOf(args, "-chardev").at(-1)).toBe("socket,id=agent,fd=6")
  })

  test("what is served comes over sockets at paths, and needs memory that their server can map", () => {
    const share = { host: "/srv", guest: "/srv", mode: "ro", cache: "auto" } as const
    const shared = {
      ...plan,
      console: "virtio",
      shares: [
        { ...share, tag: "a" },
        { ...share, tag: "b" }
      ],
      network: { mode: "tap", mac: "02:00:00:00:00:01", device: "tap0" },
      vsock: true
    } as const
    const service = { sockets: ["/s/0", "/s/1", "/s,2", "/s/3"], mtu: 9000 }
    const args = fromPlan(shared, host, service)
    expect(valuesOf(args, "-machine")[0]).toEndWith(",memory-backend=ram")
    expect(valuesOf(args, "-object")[0]).toBe("memory-backend-memfd,id=ram,size=5120M,share=on,seal=on")
    expect(valuesOf(args, "-chardev").slice(3)).toEqual([
      "socket,id=share0,path=/s/0",
      "socket,id=share1,path=/s/1",
      "socket,id=network,path=/s,,2",
      "socket,id=vsock,path=/s/3"
    ])
    expect(valuesOf(args, "-netdev")).toEqual(["vhost-user,id=net,chardev=network"])
    expect(valuesOf(args, "-device").slice(-4)).toEqual([
      "vhost-user-fs-pci,chardev=share0,tag=a",
      "vhost-user-fs-pci,chardev=share1,tag=b",
      "virtio-net-pci,netdev=net,mac=02:00:00:00:00:01,ctrl_guest_offloads=off,host_mtu=9000,romfile=,vectors=0",
      "vhost-user-vsock-pci,chardev=vsock"
    ])
    const small = fromPlan({ ...shared, discovery: "cmdline" }, host, { ...service, mtu: undefined })
    expect(valuesOf(small, "-machine")[0]).toEndWith(",memory-backend=ram")
    expect(valuesOf(small, "-device").slice(-3)).toEqual([
      "vhost-user-fs-device,chardev=share1,tag=b",
      "virtio-net-device,netdev=net,mac=02:00:00:00:00:01,ctrl_guest_offloads=off",
      "vhost-user-vsock-device,chardev=vsock"
    ])
  })

  test("without firmware tables the devices are virtio-mmio, and nothing needs ACPI", () => {
    const args = fromPlan({ ...plan, console: "virtio", discovery: "cmdline" }, host)
    expect(valuesOf(args, "-machine")).toEqual(["microvm,acpi=off,auto-kernel-cmdline=on"])
    expect(valuesOf(args, "-device")).toEqual([
      "i8042",
      "virtio-serial-device,max_ports=1",
      "virtconsole,chardev=console",
      "virtio-rng-device,rng=entropy"
    ])
    expect(args).not.toContain("-bios")
  })

  test("a plan without an initrd names none", () => {
    const { initrd: _, ...bare } = plan
    expect(fromPlan(bare, host)).not.toContain("-initrd")
  })

  test("a comma in the name stays in the name", () => {
    expect(valuesOf(fromPlan({ ...plan, name: "a,debug-threads=on" }, host), "-name")).toEqual([
      "guest=a,,debug-threads=on"
    ])
  })

  test("files and command line are arguments of their own, whatever is in them", () => {
    const odd = { ...plan, kernel: "/a b,c=d", initrd: "/e,f", cmdline: 'x="y z",w -S' }
    const args = fromPlan(odd, host)
    expect(valuesOf(args, "-kernel")).toEqual([odd.kernel])
    expect(valuesOf(args, "-initrd")).toEqual([odd.initrd])
    expect(valuesOf(args, "-append")).toEqual([odd.cmdline])
  })

  test("disks are what the plan says, whatever is in their paths", () => {
    const disk = {
      format: "raw",
      blockDevice: false,
      backing: [],
      readOnly: false,
      ephemeral: false,
      serial: "s"
    } as const
    const disks = [
      { ...disk, path: "/a,b=c" },
      { ...disk, path: "/dev/sdx", blockDevice: true, readOnly: true },
      { ...disk, path: "/nbd:host", ephemeral: true, serial: "other" },
      {
        ...disk,
        path: "/top",
        format: "qcow2",
        backing: [
          { path: "/middle,x", format: "qcow2" },
          { path: "/base", format: "raw" }
        ]
      }
    ] as const
    const args = fromPlan({ ...plan, disks }, host)
    expect(valuesOf(args, "-drive")).toEqual([
      "id=disk0,if=none,format=raw,file.driver=file,file.filename=/a,,b=c,read-only=off,snapshot=off,discard=unmap",
      "id=disk1,if=none,format=raw,file.driver=host_device,file.filename=/dev/sdx,read-only=on,snapshot=off,discard=unmap",
      "id=disk2,if=none,format=raw,file.driver=file,file.filename=/nbd:host,read-only=off,snapshot=on,discard=unmap",
      [
        "id=disk3,if=none,format=qcow2,file.driver=file,file.filename=/top",
        "backing.driver=qcow2,backing.file.driver=file,backing.file.filename=/middle,,x",
        "backing.backing.driver=raw,backing.backing.file.driver=file,backing.backing.file.filename=/base",
        "read-only=off,snapshot=off,discard=unmap"
      ].join(",")
    ])
    expect(valuesOf(args, "-device").slice(-4)).toEqual([
      "virtio-blk-pci,drive=disk0,serial=s",
      "virtio-blk-pci,drive=disk1,serial=s",
      "virtio-blk-pci,drive=disk2,serial=other",
      "virtio-blk-pci,drive=disk3,serial=s"
    ])
  })

  test("firmware is flash memory, code that is only read first, and looks for a system on the disks in their order", () => {
    const { cmdline: _, initrd: __, kernel: ___, ...rest } = plan
    const disk = {
      path: "/d",
      format: "raw",
      blockDevice: false,
      backing: [],
      readOnly: false,
      ephemeral: false
    } as const
    const firmware = {
      ...rest,
      firmware: "uefi",
      console: "serial",
      discovery: "firmware",
      disks: [
        { ...disk, serial: "a" },
        { ...disk, serial: "b" }
      ]
    } as const satisfies FirmwarePlan
    const args = fromPlan({ ...firmware, flash: { code: "/code,x", variables: "/vars" } }, host)
    expect(valuesOf(args, "-drive").slice(0, 2)).toEqual([
      "if=pflash,unit=0,format=raw,read-only=on,file.driver=file,file.filename=/code,,x",
      "if=pflash,unit=1,format=raw,read-only=off,file.driver=file,file.filename=/vars"
    ])
    expect(valuesOf(args, "-device").slice(-2)).toEqual([
      "virtio-blk-pci,drive=disk0,serial=a,bootindex=1",
      "virtio-blk-pci,drive=disk1,serial=b,bootindex=2"
    ])
    expect(valuesOf(args, "-serial")).toEqual(["chardev:console"])
    for (const option of ["-bios", "-kernel", "-initrd", "-append"]) expect(args).not.toContain(option)
  })

  test("for arm64 guests the machine is Arm's, with a keyboard for the power button, and QEMU starts the kernel", () => {
    const args = fromPlan({ ...plan, console: "virtio" }, { ...host, architecture: "arm64" })
    expect(valuesOf(args, "-machine")).toEqual(["virt,gic-version=3"])
    expect(valuesOf(args, "-cpu")).toEqual(["neoverse-n1"])
    expect(valuesOf(args, "-device")).toEqual([
      "virtio-keyboard-pci",
      "virtio-serial-pci,max_ports=1",
      "virtconsole,chardev=console",
      "virtio-rng-pci,rng=entropy"
    ])
    expect(valuesOf(args, "-kernel")).toEqual([plan.kernel])
    expect(args).not.toContain("-bios")
    const onKvm = fromPlan(plan, { ...host, architecture: "arm64", accelerator: "kvm" })
    expect(valuesOf(onKvm, "-cpu")).toEqual(["host"])
  })

  test("the accelerator is the host's, the sandbox Linux's", () => {
    const args = fromPlan(plan, { ...host, accelerator: "kvm", platform: "darwin" })
    expect(valuesOf(args, "-accel")).toEqual(["kvm"])
    expect(args).not.toContain("-sandbox")
  })
})

test("a trial needs every device that a plan can ask for, and no guest", () => {
  const args = trial(host)
  for (const option of ["-kernel", "-initrd", "-append"]) expect(args).not.toContain(option)
  expect(valuesOf(args, "-device")).toEqual([
    "pvpanic",
    "virtio-serial-pci,max_ports=1",
    "virtio-rng-pci,rng=entropy",
    "virtio-balloon-pci,id=balloon,free-page-reporting=on"
  ])
  expect(args).toContain("-S")
})

test("a trial for arm64 guests builds their machine", () => {
  const args = trial({ ...host, architecture: "arm64" })
  expect(valuesOf(args, "-machine")).toEqual(["virt,gic-version=3"])
  expect(args).not.toContain("-bios")
})

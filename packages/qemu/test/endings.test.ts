import { describe, expect, test } from "bun:test"
import type { VmExit } from "@capsa/core"
import { planOf } from "@capsa/testing"
import { fromStderr } from "../src/internal/bootError.ts"
import { exitOf, type Facts } from "../src/internal/exit.ts"

const ended = { code: 0, signal: undefined }
const shot = { code: null, signal: "SIGKILL" }

describe("exitOf", () => {
  test.each<[Facts, VmExit["_tag"]]>([
    [{ shutdown: "guest-shutdown" }, "PowerOff"],
    [{ shutdown: "guest-reset" }, "Reboot"],
    [{ shutdown: "guest-panic" }, "Panic"],
    [{ panicked: true }, "Panic"],
    [{ panicked: true, shutdown: "guest-reset" }, "Panic"],
    [{ killed: true }, "Killed"],
    [{ killed: true, shutdown: "guest-shutdown" }, "PowerOff"],
    [{ outOfMemory: true }, "OutOfMemory"],
    [{ outOfMemory: true, killed: true }, "OutOfMemory"],
    [{ outOfMemory: true, shutdown: "guest-shutdown" }, "PowerOff"],
    [{ killed: true, shutdown: "host-signal" }, "Killed"],
    [{ failure: "why" }, "Failed"],
    [{ failure: "why", killed: true }, "Failed"]
  ])("%p is %s", (facts, tag) => {
    expect(exitOf(facts, shot, "")._tag).toBe(tag)
  })

  test("an end that nobody saw coming tells all that is known", () => {
    expect(exitOf({}, { code: 1, signal: undefined }, "qemu: out of luck")).toEqual({
      _tag: "Failed",
      detail: "QEMU ended with status 1: qemu: out of luck"
    })
    expect(exitOf({}, ended, "")).toEqual({ _tag: "Failed", detail: "QEMU ended with status 0." })
    expect(exitOf({}, { code: null, signal: "SIGSEGV" }, "")).toEqual({
      _tag: "Failed",
      detail: "QEMU was killed by SIGSEGV, not by capsa."
    })
  })

  test("a SIGKILL that is not ours points at the out-of-memory killer, and does not claim it", () => {
    expect(exitOf({}, shot, "")).toMatchObject({ _tag: "Failed", detail: expect.stringContaining("out-of-memory") })
  })
})

describe("fromStderr", () => {
  const plan = planOf({ cpus: 300, memoryMib: 9_000_000, initrd: "/boot/initrd" })

  test.each([
    ["qemu: could not open kernel file '/x': No such file or directory", "KernelUnreadable", "/boot/vmlinuz"],
    ["qemu: could not open kernel file '/x': Permission denied", "KernelUnreadable", "/boot/vmlinuz"],
    ["qemu: could not load kernel '/tmp': Is a directory", "KernelUnreadable", "/boot/vmlinuz"],
    ["qemu: could not load kernel 'empty': Success", "KernelInvalid", "/boot/vmlinuz"],
    ["qemu: invalid kernel header", "KernelInvalid", "/boot/vmlinuz"],
    ["qemu-system-x86_64: Error while loading elf kernel", "KernelInvalid", "/boot/vmlinuz"],
    ["qemu-system-x86_64: Error loading uncompressed kernel without PVH ELF Note", "KernelInvalid", "/boot/vmlinuz"],
    ["qemu: error reading initrd /y: Failed to open file: No such file", "InitrdUnreadable", "/boot/initrd"],
    ["qemu: initrd is too large, cannot support.(max: 2, need 6)", "InitrdInvalid", "/boot/initrd"],
    ["cannot set up guest memory 'pc.ram': Cannot allocate memory", "MemoryInvalid", "9000000"],
    ["Address space limit 0xffffffffff < 0x2067fffffff phys-bits too low (40)", "MemoryInvalid", "9000000"],
    [
      '-device virtio-blk-pci,drive=d: Failed to get "write" lock\nIs another process using the image [/i.img]?',
      "DiskInUse",
      "/i.img"
    ],
    ["-drive id=d,file.filename=/j: Could not open '/j': No such file or directory", "DiskUnavailable", "/j"],
    ["-drive if=pflash,unit=0,file.filename=/c: Could not open '/c': Permission denied", "FirmwareUnavailable", "/c"],
    ["system firmware block device pflash1 has invalid size 1024", "FirmwareUnavailable", undefined],
    ["-device virtio-blk-device,drive=d: No 'virtio-bus' bus found for device", "Unsupported", "firmware"],
    ["qemu: qemu_thread_create: Resource temporarily unavailable", "HostResources", "300"],
    ["Invalid SMP CPUs 300. The max CPUs supported by machine 'pc-q35-7.2' is 288", "Unsupported", "300"]
  ])("%p is %s of %s", (stderr, reason, subject) => {
    const error = fromStderr(stderr, plan, "created")
    expect(error).toMatchObject({ _tag: "VmBootError", reason, subject, stage: "created" })
    expect(error.hint).not.toBe("")
    expect(error.retryable).toBe(reason === "HostResources")
  })

  test("what is not known is a failure of the host, in QEMU's words", () => {
    expect(fromStderr("qemu: the sky fell", plan, undefined)).toMatchObject({
      _tag: "VmBootError",
      reason: "HostFailure",
      message: expect.stringContaining("the sky fell")
    })
    expect(fromStderr("", plan, undefined).message).toContain("without a word")
  })

  test.each([
    ["Could not access KVM kernel module: Permission denied\nfailed to initialize kvm", "PermissionDenied"],
    ["Could not access KVM kernel module: No such file or directory", "DeviceMissing"],
    ["ioctl(KVM_CREATE_VM) failed: 16 Device or resource busy\nfailed to initialize kvm", "HypervisorUnusable"],
    ["-accel kvm: invalid accelerator kvm", "HypervisorUnusable"]
  ])("%p is %s of the backend", (stderr, reason) => {
    expect(fromStderr(stderr, plan, undefined)).toMatchObject({ _tag: "BackendError", backend: "qemu", reason })
  })

  test("a path with kvm in it is not taken for a complaint about KVM", () => {
    const stderr = "qemu: could not load kernel '/srv/kvm/x': No such file or directory"
    expect(fromStderr(stderr, plan, undefined)).toMatchObject({ reason: "KernelUnreadable" })
  })
})

/** The machine that QEMU builds for guests of an architecture. */
import type { BootPlan } from "@capsa/core"
import type { Architecture } from "@capsa/core/KernelCmdline"

/** What runs the guest's instructions. @category models */
export type Accelerator = "tcg" | "kvm"

/** A command of the monitor. */
export interface Command {
  readonly name: string
  readonly arguments?: Readonly<Record<string, unknown>>
}

export interface Board {
  /** Name on PATH. */
  readonly program: string
  /** The machine and the devices that a plan need not ask for. `memory` ends the machine's options. */
  readonly machine: (discovery: BootPlan["discovery"], memory: string) => ReadonlyArray<string>
  /** What starts a kernel, if QEMU does not do that itself. */
  readonly starter: (discovery: BootPlan["discovery"]) => ReadonlyArray<string>
  readonly processor: Readonly<Record<Accelerator, string>>
  readonly powerButton: Command
}

/**
 * With firmware tables: q35, whose timers a busy host cannot starve. (microvm with ACPI has no timer but the APIC's,
 * which Linux measures against the time-stamp counter, which it measures against the PIT; under TCG the last fails
 * as soon as the host preempts it, and the kernel stands still for good.)
 *
 * Without: microvm, which names its virtio-mmio devices on the command line, and has the PIT for a timer. Of itself it would
 * have them as they were before virtio 1.0, which knew no shares. The keyboard controller is there for `reboot=k`.
 */
const x86: Board = {
  program: "qemu-system-x86_64",
  machine: (discovery, memory) =>
    discovery === "firmware"
      ? ["-machine", `q35,vmport=off,smm=off,usb=off,sata=off,smbus=off${memory}`, "-device", "pvpanic"]
      : [
          "-machine",
          `microvm,acpi=off,auto-kernel-cmdline=on${memory}`,
          "-global",
          "virtio-mmio.force-legacy=off",
          "-device",
          "i8042"
        ],
  // Starts Linux 0.4 s sooner than SeaBIOS.
  starter: (discovery) => (discovery === "firmware" ? ["-bios", "qboot.rom"] : []),
  processor: { tcg: "max", kvm: "max" },
  powerButton: { name: "system_powerdown" }
}

/**
 * Linux learns of its devices by a device tree. The board's own power button needs a driver (gpio-keys) that Debian's cloud
 * kernel does not have; a keyboard has the same key. On QEMU 7.2's `max`, code that a just-in-time compiler makes crashes now
 * and then.
 */
const arm64: Board = {
  program: "qemu-system-aarch64",
  machine: (_, memory) => ["-machine", `virt,gic-version=3${memory}`, "-device", "virtio-keyboard-pci"],
  starter: () => [],
  processor: { tcg: "neoverse-n1", kvm: "host" },
  powerButton: { name: "send-key", arguments: { keys: [{ type: "qcode", data: "power" }] } }
}

export const boards: Readonly<Record<Architecture, Board>> = { x86_64: x86, arm64 }

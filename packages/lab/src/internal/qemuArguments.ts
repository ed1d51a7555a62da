import type { Architecture } from "@capsa/guest/Architecture"
import type { LabOptions } from "../Lab.ts"

/** What the lab is made of. */
export interface LabParts {
  readonly architecture: Architecture
  readonly kernel: string
  /** Unix socket of the server of the host's parts. */
  readonly hostFiles: string
  /** Has `initrd`, the pipes `stdout` and `stderr`, and gets `status` and `kernel.log`. */
  readonly folder: string
  /** How fast the host's counter runs that the lab's processor shows as its own, if that is known. */
  readonly ticksKilohertz: number | undefined
}

/**
 * QEMU's processor now and then forgets an interrupt that arrives while it leaves a guest (its flags of pending interrupts
 * are changed by two threads without a lock). The next interrupt brings it back, but with a one-shot timer there is none.
 */
const periodicTick = "nohz=off highres=off"

/** What differs between the processors that QEMU emulates. */
interface Board {
  readonly program: string
  readonly machine: (options: LabOptions) => string
  /** Unless another is asked for. */
  readonly processor: string
  readonly kernelParameters: (options: LabOptions, ticksKilohertz: number | undefined) => ReadonlyArray<string>
}

/** One for each architecture. */
export const boards: Readonly<Record<Architecture, Board>> = {
  x86_64: {
    program: "qemu-system-x86_64",
    machine: () => "q35",
    processor: "max,+svm,+npt,-erms,-fsrm",
    // Linux measures its clock against a timer that a busy host holds back; then the clock of the lab, and of the guests in
    // it, runs several times too fast. Counted instructions are no part of the host's time.
    kernelParameters: (options, ticksKilohertz) => [
      "console=ttyS0",
      ...(options.icount && !options.periodicTick ? [] : [periodicTick]),
      ...(options.icount || ticksKilohertz === undefined ? [] : [`tsc_early_khz=${ticksKilohertz}`])
    ]
  },
  arm64: {
    program: "qemu-system-aarch64",
    machine: ({ gic = 3 }) => `virt,virtualization=on,gic-version=${gic}`,
    // With Virtualization Host Extensions. On "max", code that Bun compiles as it runs crashes (QEMU 7.2.22, Bun 1.4.5).
    processor: "neoverse-n1",
    kernelParameters: () => ["console=ttyAMA0"]
  }
}

/** The command line of QEMU, its name included. */
export const qemuArguments = (options: LabOptions, parts: LabParts): ReadonlyArray<string> => {
  const memory = `${options.memoryMib ?? 4096}M`
  const board = boards[parts.architecture]
  const parameters = [...board.kernelParameters(options, parts.ticksKilohertz), "panic=-1", "mitigations=off"]
  const port = (name: string) => [
    ...["-chardev", `file,id=${name},path=${parts.folder}/${name}`],
    ...["-device", `virtserialport,chardev=${name},name=${name}`]
  ]
  return [
    board.program,
    ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"],
    ...["-machine", `${board.machine(options)},memory-backend=ram`],
    // The file server maps the machine's memory.
    ...["-object", `memory-backend-memfd,id=ram,size=${memory},share=on`, "-m", memory],
    ...["-cpu", options.processor ?? board.processor],
    ...(options.icount
      ? ["-accel", "tcg,thread=single", "-smp", "1", "-icount", "shift=1,sleep=off", "-rtc", "clock=vm"]
      : ["-accel", "tcg,thread=multi", "-smp", `${options.cpus ?? 1}`]),
    ...["-kernel", parts.kernel, "-initrd", `${parts.folder}/initrd`],
    ...["-append", parameters.join(" ")],
    ...["-serial", `file:${parts.folder}/kernel.log`],
    ...["-chardev", `socket,id=host,path=${parts.hostFiles}`, "-device", "vhost-user-fs-pci,chardev=host,tag=host"],
    ...["-device", "virtio-serial-pci"],
    ...["stdout", "stderr", "status"].flatMap(port)
  ]
}

/**
 * What capsa's development needs from the system: the one list that set-up, its hints and docs/DEPENDENCIES.md share.
 *
 * @since 0.1.0
 */
import { existsSync, realpathSync } from "node:fs"
import { join } from "node:path"

/** What a contributor wants to do: `tests` includes all that `demo` needs. */
export type Purpose = "demo" | "tests"

/** Package managers that we know the names of packages for. */
export type Manager = "apt" | "dnf" | "pacman" | "apk" | "brew"

export interface SystemPackage {
  /** Whether the package serves its purpose here: asked of the files themselves, since packages are named and cut differently everywhere. */
  readonly isPresent: () => boolean
  /** The smallest purpose that needs it. */
  readonly purpose: Purpose
  /** Without an essential package set-up fails; without another, something named in `why` is skipped. */
  readonly essential: boolean
  readonly why: string
  /** Its name for each package manager, or names; a manager that is absent has no such package. */
  readonly names: Partial<Record<Manager, string>>
}

/** Administrators' tools are in folders that a user's PATH may lack. */
const path = () => `${process.env["PATH"] ?? ""}:/usr/local/sbin:/usr/sbin:/sbin`
const commands =
  (...names: ReadonlyArray<string>) =>
  () =>
    names.every((name) => Bun.which(name, { PATH: path() }) !== null)
const oneFile =
  (...files: ReadonlyArray<string>) =>
  () =>
    files.some((file) => existsSync(file))
const header = (name: string) => () =>
  existsSync(`/usr/include/${name}`) || [...new Bun.Glob(`*-linux-*/${name}`).scanSync("/usr/include")].length > 0

const library = (name: string) => () =>
  ["/usr/lib", "/usr/lib64", "/lib"].some(
    (folder) => existsSync(`${folder}/${name}`) || [...new Bun.Glob(`*-linux-*/${name}`).scanSync(folder)].length > 0
  )

/** Whether the runtime libraries of the clang on PATH are there: fuzzers and clang's sanitizers link them. */
const clangRuntime = () => {
  const clang = Bun.which("clang")
  if (clang === null) return false
  const libraries = join(realpathSync(clang), "../../lib/clang")
  if (!existsSync(libraries)) return false
  return [...new Bun.Glob("*/lib/*/libclang_rt.fuzzer*.a").scanSync(libraries)].length > 0
}

const same = (name: string) => ({ apt: name, dnf: name, pacman: name, apk: name, brew: name })

/** Everything, in the order in which people should read it. */
export const systemPackages: ReadonlyArray<SystemPackage> = [
  {
    isPresent: commands("gcc"),
    purpose: "demo",
    essential: true,
    why: "compiles the native library",
    names: same("gcc")
  },
  {
    isPresent: commands("make"),
    purpose: "demo",
    essential: true,
    why: "builds the native library and kernels",
    names: same("make")
  },
  {
    isPresent: () => header("stdio.h")() && header("linux/kvm.h")(),
    purpose: "demo",
    essential: true,
    why: "headers of the C library and of the kernel's KVM interface",
    names: { apt: "libc6-dev", dnf: "glibc-devel", pacman: "glibc", apk: "musl-dev linux-headers" }
  },
  {
    isPresent: commands("qemu-system-x86_64"),
    purpose: "demo",
    essential: true,
    why: "the fallback backend, and the machine in which the lab runs",
    names: {
      apt: "qemu-system-x86",
      dnf: "qemu-system-x86-core",
      pacman: "qemu-system-x86",
      apk: "qemu-system-x86_64",
      brew: "qemu"
    }
  },
  {
    isPresent: commands("apt-get", "apt-cache", "dpkg-deb"),
    purpose: "demo",
    essential: true,
    why: "fetches and unpacks the distribution's kernel and busybox for the guest images",
    names: { apt: "apt dpkg", dnf: "apt dpkg" }
  },
  {
    isPresent: commands("flock", "setpriv", "setarch"),
    purpose: "demo",
    essential: true,
    why: "locks, and ends helper programs with their owner",
    names: { apt: "util-linux", dnf: "util-linux", pacman: "util-linux", apk: "flock setpriv setarch" }
  },
  {
    isPresent: commands("xz"),
    purpose: "demo",
    essential: true,
    why: "unpacks kernel modules and the kernel's source",
    names: { apt: "xz-utils", dnf: "xz", pacman: "xz", apk: "xz", brew: "xz" }
  },
  {
    isPresent: commands("zstd"),
    purpose: "demo",
    essential: true,
    why: "unpacks kernel modules, where the distribution packs them so",
    names: same("zstd")
  },
  {
    isPresent: oneFile("/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem", "/etc/pki/tls/certs/ca-bundle.crt"),
    purpose: "demo",
    essential: true,
    why: "lets downloads check whom they talk to",
    names: same("ca-certificates")
  },
  {
    isPresent: commands("git"),
    purpose: "tests",
    essential: true,
    why: "lists the files that the checks read",
    names: same("git")
  },
  {
    isPresent: commands("clang"),
    purpose: "tests",
    essential: true,
    why: "second compiler that the C code must please; builds the fuzzers",
    names: { apt: "clang", dnf: "clang", pacman: "clang", apk: "clang", brew: "llvm" }
  },
  {
    isPresent: clangRuntime,
    purpose: "tests",
    essential: true,
    why: "libFuzzer and clang's sanitizers; part of clang's own packages on older systems",
    names: { apt: "libclang-rt-dev", dnf: "compiler-rt", pacman: "compiler-rt", apk: "compiler-rt" }
  },
  {
    isPresent: commands("clang-tidy"),
    purpose: "tests",
    essential: true,
    why: "lints C",
    names: { apt: "clang-tidy", dnf: "clang-tools-extra", pacman: "clang", apk: "clang-extra-tools", brew: "llvm" }
  },
  {
    isPresent: commands("clang-format"),
    purpose: "tests",
    essential: true,
    why: "formats C",
    names: { apt: "clang-format", dnf: "clang-tools-extra", pacman: "clang", apk: "clang-extra-tools", brew: "llvm" }
  },
  {
    isPresent: commands("llvm-profdata", "llvm-cov", "llvm-symbolizer"),
    purpose: "tests",
    essential: true,
    why: "measures which lines the C tests reach; names functions in the sanitizers' reports",
    names: { ...same("llvm") }
  },
  {
    isPresent: commands("flex"),
    purpose: "tests",
    essential: true,
    why: "the tiny kernel's configuration parser",
    names: same("flex")
  },
  {
    isPresent: commands("bison"),
    purpose: "tests",
    essential: true,
    why: "the tiny kernel's configuration parser",
    names: same("bison")
  },
  {
    isPresent: commands("bc"),
    purpose: "tests",
    essential: true,
    why: "the tiny kernel's build computes time constants with it",
    names: same("bc")
  },
  {
    isPresent: header("gelf.h"),
    purpose: "tests",
    essential: true,
    why: "the tiny kernel's objtool reads object files with it",
    names: { apt: "libelf-dev", dnf: "elfutils-libelf-devel", pacman: "libelf", apk: "elfutils-dev" }
  },
  {
    isPresent: commands("dpkg-source"),
    purpose: "tests",
    essential: true,
    why: "unpacks the source of the tiny guest's busybox",
    names: { apt: "dpkg-dev", dnf: "dpkg-dev", pacman: "dpkg", apk: "dpkg-dev" }
  },
  {
    isPresent: commands("lz4"),
    purpose: "tests",
    essential: true,
    why: "compresses the tiny kernel: the format that unpacks fastest",
    names: same("lz4")
  },
  {
    isPresent: commands("mke2fs"),
    purpose: "tests",
    essential: true,
    why: "makes the disks that tests boot",
    names: same("e2fsprogs")
  },
  {
    isPresent: commands("sfdisk"),
    purpose: "tests",
    essential: true,
    why: "partitions the disk that UEFI firmware starts",
    names: { apt: "fdisk", dnf: "util-linux", pacman: "util-linux", apk: "sfdisk" }
  },
  {
    isPresent: commands("mformat", "mmd", "mcopy"),
    purpose: "tests",
    essential: true,
    why: "fills the disk that UEFI firmware starts, without mounting it",
    names: same("mtools")
  },
  {
    isPresent: commands("mmdebstrap"),
    purpose: "tests",
    essential: true,
    why: "installs the distribution with systemd on a disk that tests boot",
    names: { apt: "mmdebstrap", dnf: "mmdebstrap" }
  },
  {
    isPresent: () => process.getuid?.() === 0 || commands("fakeroot", "fakechroot")(),
    purpose: "tests",
    essential: true,
    why: "makes that disk without root, and is not asked for by root",
    names: { apt: "fakeroot fakechroot", dnf: "fakeroot fakechroot" }
  },
  {
    isPresent: () => commands("virtiofsd")() || oneFile("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd")(),
    purpose: "tests",
    essential: true,
    why: "shows the checkout to the lab; part of QEMU's packages on older systems",
    names: { apt: "virtiofsd", dnf: "virtiofsd", pacman: "virtiofsd", apk: "virtiofsd" }
  },
  {
    isPresent: commands("cpio"),
    purpose: "tests",
    essential: true,
    why: "the test that an independent program can read our archives",
    names: same("cpio")
  },
  {
    isPresent: library("libslirp.so.0"),
    purpose: "demo",
    essential: false,
    why: "user-mode networks: the native library loads it for machines that have one",
    names: { apt: "libslirp0", dnf: "libslirp", pacman: "libslirp", apk: "libslirp" }
  },
  {
    isPresent: oneFile(
      "/usr/share/OVMF/OVMF_CODE_4M.fd",
      "/usr/share/OVMF/OVMF_CODE.fd",
      "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
      "/opt/homebrew/share/qemu/edk2-x86_64-code.fd",
      "/usr/local/share/qemu/edk2-x86_64-code.fd"
    ),
    purpose: "tests",
    essential: false,
    why: "UEFI firmware for machines on QEMU that start a disk's system",
    names: { apt: "ovmf", dnf: "edk2-ovmf", pacman: "edk2-ovmf", apk: "ovmf", brew: "qemu" }
  },
  {
    isPresent: commands("busybox"),
    purpose: "tests",
    essential: false,
    why: "the tests that run commands in its shell, which many guests have",
    names: same("busybox")
  },
  {
    isPresent: commands("mke2fs", "e2fsck", "debugfs"),
    purpose: "tests",
    essential: false,
    why: "the tests that boot from a disk, and look into it afterwards",
    names: same("e2fsprogs")
  },
  {
    isPresent: commands("strace"),
    purpose: "tests",
    essential: false,
    why: "the test that an idle machine makes no system calls",
    names: { apt: "strace", dnf: "strace", pacman: "strace", apk: "strace" }
  },
  {
    isPresent: commands("tmux"),
    purpose: "tests",
    essential: false,
    why: "the test that a shell in a guest can be used in a terminal",
    names: same("tmux")
  },
  {
    isPresent: commands("iasl"),
    purpose: "tests",
    essential: false,
    why: "the test that an independent compiler can read our ACPI tables",
    names: { apt: "acpica-tools", dnf: "acpica-tools", pacman: "acpica", apk: "acpica", brew: "acpica" }
  },
  {
    isPresent: commands("aarch64-linux-gnu-gcc"),
    purpose: "tests",
    essential: false,
    why: "the native library, its tests, and agent and tiny guest for arm64",
    names: { apt: "gcc-aarch64-linux-gnu", dnf: "gcc-aarch64-linux-gnu", pacman: "aarch64-linux-gnu-gcc" }
  },
  {
    isPresent: oneFile("/usr/aarch64-linux-gnu/include/stdio.h", "/usr/include/aarch64-linux-gnu/stdio.h"),
    purpose: "tests",
    essential: false,
    why: "headers and C library for programs of arm64",
    names: { apt: "libc6-dev-arm64-cross", pacman: "aarch64-linux-gnu-glibc" }
  },
  {
    isPresent: commands("qemu-aarch64-static"),
    purpose: "tests",
    essential: false,
    why: "runs the C tests of arm64",
    names: { apt: "qemu-user-static", dnf: "qemu-user-static", pacman: "qemu-user-static" }
  },
  {
    isPresent: commands("qemu-system-aarch64"),
    purpose: "tests",
    essential: false,
    why: "guests of arm64 on QEMU, and the machine in which the arm64 lab runs",
    names: { apt: "qemu-system-arm", dnf: "qemu-system-aarch64-core", pacman: "qemu-system-aarch64", brew: "qemu" }
  },
  {
    isPresent: commands("dtc"),
    purpose: "tests",
    essential: false,
    why: "the test that an independent program can read our device trees",
    names: { apt: "device-tree-compiler", dnf: "dtc", pacman: "dtc", apk: "dtc", brew: "dtc" }
  }
]

/** What is missing on this system for a purpose. */
export const missing = (
  purpose: Purpose,
  packages: ReadonlyArray<SystemPackage> = systemPackages
): ReadonlyArray<SystemPackage> =>
  packages.filter((_) => (purpose === "tests" || _.purpose === "demo") && !_.isPresent())

/** The names of packages for a manager, each once. */
export const namesFor = (manager: Manager, packages: ReadonlyArray<SystemPackage>): ReadonlyArray<string> => [
  ...new Set(packages.flatMap((_) => _.names[manager]?.split(" ") ?? []))
]

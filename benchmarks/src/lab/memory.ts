/** Files of the host in the lab's memory: in virtual time, waiting for the host would count as time. */
import { copyFileSync, mkdirSync } from "node:fs"
import { basename, join } from "node:path"

export const folder = "/tmp/benchmark"

export const inMemory = (file: string): string => {
  mkdirSync(folder, { recursive: true })
  copyFileSync(file, join(folder, basename(file)))
  return join(folder, basename(file))
}

/** A program with the loader and the libraries that it needs, as a command. */
export const programInMemory = (program: string): ReadonlyArray<string> => {
  const { stdout } = Bun.spawnSync(["ldd", program])
  const libraries = [...stdout.toString().matchAll(/(\/\S+) \(0x/g)].map(([, library]) => inMemory(library ?? ""))
  const loader = libraries.find((library) => basename(library).startsWith("ld-linux")) ?? ""
  return [loader, "--inhibit-cache", "--library-path", folder, inMemory(program)]
}

const firmware = [
  "qemu/bios-microvm.bin",
  "seabios/bios-256k.bin",
  "qemu/kvmvapic.bin",
  "qemu/qboot.rom",
  "qemu/linuxboot_dma.bin",
  "qemu/pvh.bin"
]

export const qemuInMemory = (): ReadonlyArray<string> => {
  for (const file of firmware) inMemory(join("/usr/share", file))
  return [...programInMemory(Bun.which("qemu-system-x86_64") ?? ""), "-L", folder]
}

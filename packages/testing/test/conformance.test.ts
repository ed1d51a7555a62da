import { afterAll } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { conformance, Simulated } from "../src/index.ts"

const folder = mkdtempSync(join(tmpdir(), "capsa-simulated-"))
afterAll(() => rmSync(folder, { recursive: true }))

/** Of files it is only asked whether they are there. */
const file = (name: string): string => {
  writeFileSync(join(folder, name), "simulated")
  return join(folder, name)
}

conformance("Simulated", Simulated.layer(), {
  guest: {
    kernels: { bzImage: file("bzImage"), vmlinux: file("vmlinux") },
    initrd: file("initrd"),
    isLinux: false,
    patience: "5 seconds"
  }
})

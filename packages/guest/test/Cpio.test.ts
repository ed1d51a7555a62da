import { expect, test } from "bun:test"
import { mkdtempSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Cpio from "@capsa/guest/Cpio"

const entries: ReadonlyArray<Cpio.Entry> = [
  { type: "folder", path: "bin" },
  { type: "file", path: "bin/tool", content: new TextEncoder().encode("#!/bin/sh\n"), executable: true },
  { type: "file", path: "bin/odd", content: new Uint8Array([1, 2, 3, 4, 5]) },
  { type: "link", path: "bin/sh", target: "tool" },
  { type: "device", path: "console", major: 5, minor: 1 }
]

const cpio = (archive: Uint8Array, ...args: Array<string>) => {
  const { exitCode, stdout, stderr } = Bun.spawnSync(["cpio", "--quiet", ...args], { stdin: archive })
  expect(stderr.toString()).toBe("")
  expect(exitCode).toBe(0)
  return stdout.toString()
}

test("cpio lists types, modes, owners and device numbers as given", () => {
  const columns = cpio(Cpio.encode(entries), "-tv", "--numeric-uid-gid")
    .trim()
    .split("\n")
    .map((line) => line.split(/\s+/))
  expect(columns.map(([mode, , uid, gid]) => [mode, uid, gid])).toEqual([
    ["drwxr-xr-x", "0", "0"],
    ["-rwxr-xr-x", "0", "0"],
    ["-rw-r--r--", "0", "0"],
    ["lrwxrwxrwx", "0", "0"],
    ["crw-------", "0", "0"]
  ])
  expect(columns[4]?.slice(4, 6)).toEqual(["5,", "1"])
})

test("cpio unpacks the contents", () => {
  const folder = mkdtempSync(`${tmpdir()}/capsa-cpio.`)
  try {
    cpio(Cpio.encode(entries.filter((entry) => entry.type !== "device")), "-i", "--directory", folder)
    expect(readFileSync(`${folder}/bin/tool`, "utf8")).toBe("#!/bin/sh\n")
    expect([...readFileSync(`${folder}/bin/odd`)]).toEqual([1, 2, 3, 4, 5])
    expect(statSync(`${folder}/bin/tool`).mode & 0o777).toBe(0o755)
    expect(readlinkSync(`${folder}/bin/sh`)).toBe("tool")
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test("the same entries give the same bytes, in whole words", () => {
  const archive = Cpio.encode(entries)
  expect(Cpio.encode(entries)).toEqual(archive)
  expect(archive.length % 4).toBe(0)
})

import type { Entry } from "@capsa/guest/Cpio"
import type { LabOptions } from "../Lab.ts"

/** The files by which the lab's init learns where to run what, and what to show there. */
export const commandArchive = (options: LabOptions, root: string): ReadonlyArray<Entry> => {
  const shown = (options.mounts ?? []).map((mount) => `show ${quote(mount.host)} ${quote(mount.guest)}\n`)
  const variables = { ...options.environment, CAPSA_LAB: "1" }
  const environment = Object.entries(variables).map(([key, value]) => quote(`${key}=${value}`))
  const command = [
    "exec env -i",
    ...environment,
    "chroot /lab/root /bin/sh -c",
    quote('cd -- "$1" && shift && exec "$@"'),
    "sh",
    ...[options.workingFolder, ...options.command].map(quote)
  ]
  return [
    { type: "folder", path: "lab" },
    { type: "file", path: "lab/root-of-host", content: text.encode(`${root}\n`) },
    { type: "file", path: "lab/settings", content: text.encode(shown.join("")) },
    { type: "file", path: "lab/command", content: text.encode(`${command.join(" ")}\n`) }
  ]
}

const text = new TextEncoder()

/** One word of a POSIX shell. */
const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`

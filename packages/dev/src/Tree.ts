/**
 * The files of a checkout, as the checks see them.
 *
 * @since 0.1.0
 */
import { lstat } from "node:fs/promises"
import { join } from "node:path"
import { run } from "./Command.ts"
import { DevError } from "./DevError.ts"

/** A checkout. */
export interface Tree {
  readonly root: string
  /** Paths of the files that git knows or would add, sorted; no symbolic links. */
  readonly files: ReadonlyArray<string>
  readonly read: (path: string) => Promise<string>
  readonly bytes: (path: string) => Promise<Uint8Array>
}

/** Reads the checkout at `root`. */
export const open = async (root: string): Promise<Tree> => {
  // In containers the checkout often belongs to another user, which git refuses without this.
  const list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
  const listed = await run(["git", "-c", `safe.directory=${root}`, ...list], { cwd: root })
  if (listed.exitCode !== 0) {
    throw new DevError(`git ls-files failed: ${listed.output.trim()}`, "checks need a git checkout and git itself")
  }
  const names = [...new Set(listed.stdout.split("\0").map((name) => name.trim()))].filter((name) => name !== "")
  const isFile = await Promise.all(
    names.map((name) =>
      lstat(join(root, name)).then(
        (_) => _.isFile(),
        () => false
      )
    )
  )
  return {
    root,
    files: names.filter((_, index) => isFile[index]).sort(),
    read: (path) => Bun.file(join(root, path)).text(),
    bytes: (path) => Bun.file(join(root, path)).bytes()
  }
}

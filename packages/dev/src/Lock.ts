/**
 * One of several processes at a time.
 *
 * @since 0.1.0
 */
import { Database, SQLiteError } from "bun:sqlite"
import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { root } from "./Folders.ts"

/** The lock file for `name` in a checkout. */
export const lockFile = (name: string, checkout: string = root): string =>
  join(checkout, "node_modules/.cache/capsa", `${name}.lock`)

/**
 * Runs `work` while no other process, and no other part of this one, holds the lock on `file`. `onWait` is called
 * once, if someone else has it.
 *
 * The lock is SQLite's on an empty database: the one lock in Bun's standard library that the kernel releases when its
 * owner dies, and that the owner's children don't inherit.
 */
export const withLock = async <A>(file: string, onWait: () => void, work: () => Promise<A>): Promise<A> => {
  await mkdir(join(file, ".."), { recursive: true })
  const database = new Database(file, { create: true })
  try {
    for (let waited = false; !tryLock(database); waited = true) {
      if (!waited) onWait()
      await Bun.sleep(100)
    }
    return await work()
  } finally {
    database.close()
  }
}

const tryLock = (database: Database): boolean => {
  try {
    database.run("BEGIN EXCLUSIVE")
    return true
  } catch (error) {
    if (error instanceof SQLiteError && error.code === "SQLITE_BUSY") return false
    throw error
  }
}

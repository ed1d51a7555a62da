import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import { defaults } from "../ConfigDefaults.ts"
import { type DiskConfig, isWritten } from "../DiskConfig.ts"
import type { ShareConfig } from "../ShareConfig.ts"
import { diskFileProblems, shareFileProblems } from "./fileProblems.ts"
import { ensure, type Problems, unique, within } from "./problem.ts"

/** What is wrong with disks, whichever backend has them. */
export const diskProblems = Effect.fnUntraced(function* (disks: ReadonlyArray<DiskConfig> = []) {
  const path = yield* Path.Path
  const files = yield* Effect.forEach(disks, (disk, index) => diskFileProblems(`disks.${index}.path`, disk))
  const resolved = disks.map((disk) => ({ ...disk, path: path.resolve(disk.path) }))
  return [
    ...files.flat(),
    ...disks.flatMap(backingProblems),
    ...sharedWrites(resolved),
    ...disks.flatMap(serialProblem),
    ...sameSerials(disks)
  ]
})

/** Only qcow2 images build on others. */
const backingProblems = ({ backing, format }: DiskConfig, index: number): Problems =>
  ensure(
    backing === undefined || backing.length === 0 || format === "qcow2",
    `disks.${index}.backing`,
    "A raw image builds on no other.",
    'Leave out `backing`, or give the disk format: "qcow2" if it is one.'
  )

/** The same image twice is safe only while nobody writes to it. */
const sharedWrites = (disks: ReadonlyArray<DiskConfig>): Problems =>
  disks.flatMap((disk, index) => {
    const earlier = disks.slice(0, index).findIndex((other) => other.path === disk.path)
    const other = disks[earlier]
    return ensure(
      other === undefined || !(isWritten(disk) || isWritten(other)),
      `disks.${index}.path`,
      `${disk.path} is also disks.${earlier}, and writing to one would spoil the other.`,
      "Make both readOnly or ephemeral, or copy the image."
    )
  })

/** VIRTIO_BLK_ID_BYTES is 20 (virtio 1.2, 5.2.6.1); udev puts the serial into names of files. */
const serialProblem = ({ serial }: DiskConfig, index: number): Problems =>
  ensure(
    serial === undefined || /^[A-Za-z0-9._-]{1,20}$/.test(serial),
    `disks.${index}.serial`,
    `${JSON.stringify(serial)} cannot be a serial.`,
    'Use 1 to 20 letters, digits, ".", "_" and "-".'
  )

const sameSerials = (disks: ReadonlyArray<DiskConfig>): Problems =>
  unique(
    disks,
    ({ serial }) => serial,
    (index) => `disks.${index}.serial`,
    "Give each disk a serial of its own."
  )

/** What is wrong with shares, whichever backend has them. */
export const shareProblems = Effect.fnUntraced(function* (shares: ReadonlyArray<ShareConfig> = []) {
  const files = yield* Effect.forEach(shares, (share, index) => shareFileProblems(`shares.${index}.host`, share))
  return [
    ...files.flat(),
    ...shares.flatMap(guestProblems),
    ...unique(
      shares,
      ({ guest }) => guest.replace(/\/+$/, ""),
      (index) => `shares.${index}.guest`,
      "Give each share a place of its own."
    ),
    ...unique(
      shares,
      ({ tag }, index) => tag ?? `${defaults.shareTag}${index}`,
      (index) => `shares.${index}.tag`,
      "Give each share a tag of its own."
    )
  ]
})

/** The user id 2³² - 1 means "nobody said" to the kernel. */
const uidMax = 2 ** 32 - 2

const guestProblems = ({ guest, tag, uid }: ShareConfig, index: number): Problems => [
  ...ensure(
    isPlainPath(guest),
    `shares.${index}.guest`,
    `${JSON.stringify(guest)} is no place for a share.`,
    'Give an absolute path below "/", without ".." and control characters.'
  ),
  // The tag in a device's configuration has 36 bytes (virtio 1.2, 5.11.4).
  ...ensure(
    tag === undefined || /^[A-Za-z0-9._-]{1,36}$/.test(tag),
    `shares.${index}.tag`,
    `${JSON.stringify(tag)} cannot be a tag.`,
    'Use 1 to 36 letters, digits, ".", "_" and "-".'
  ),
  ...within(`shares.${index}.uid`, uid, 0, uidMax)
]

const isPlainPath = (path: string): boolean =>
  /^\/.*[^/]/.test(path) && !path.split("/").includes("..") && !/\p{Cc}/u.test(path)

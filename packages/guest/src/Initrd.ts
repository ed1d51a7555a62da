/**
 * The first file system of our guests: an init, busybox, and the modules that the kernel has not built in.
 *
 * @since 0.1.0
 */
import * as Cpio from "./Cpio.ts"
import type { KernelModule } from "./KernelModules.ts"

/**
 * What `init` is started with: busybox as `/bin/busybox` and `/bin/sh`, the usual empty folders, a console,
 * and the modules below `/lib/modules`, where `order` names them in load order (absent when there are none).
 *
 * @since 0.1.0
 * @category models
 */
export interface InitrdOptions {
  readonly init: Uint8Array
  readonly busybox: Uint8Array
  readonly modules: ReadonlyArray<KernelModule>
  /** More entries; their folders must be among them unless they are of the usual ones. */
  readonly extra?: ReadonlyArray<Cpio.Entry>
}

/**
 * Changes when `encode` gives another archive for the same options; for cache keys.
 *
 * @since 0.1.0
 * @category encoding
 */
export const revision = "2"

/**
 * The uncompressed archive: unpacking takes the guest longer than the host saves by a smaller file.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encode = (options: InitrdOptions): Uint8Array => {
  const folders = ["bin", "dev", "etc", "lib", "proc", "sys", "run", "tmp", "lib/modules"]
  const order = options.modules.map((module) => `${module.name}.ko\n`).join("")
  return Cpio.encode([
    ...folders.map((path) => ({ type: "folder", path }) as const),
    { type: "device", path: "dev/console", major: 5, minor: 1 },
    { type: "file", path: "init", content: options.init, executable: true },
    { type: "file", path: "bin/busybox", content: options.busybox, executable: true },
    { type: "link", path: "bin/sh", target: "busybox" },
    ...options.modules.map(
      (module) => ({ type: "file", path: `lib/modules/${module.name}.ko`, content: module.content }) as const
    ),
    ...(order === "" ? [] : [{ type: "file", path: "lib/modules/order", content: text.encode(order) } as const]),
    ...(options.extra ?? [])
  ])
}

const text = new TextEncoder()

/**
 * The first file system of our guests: busybox, our init, and the modules that the kernel has not built in.
 *
 * @since 0.1.0
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Cpio from "./Cpio.ts"
import { GuestError } from "./GuestError.ts"
import type { KernelModule } from "./KernelModules.ts"

/**
 * What the script `init` is started with: busybox as `/bin/busybox` and `/bin/sh`, the usual empty folders, a console,
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
 * Changes when `encode`, `powerButton` or `network` give another archive for the same options; for cache keys.
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

/**
 * Our init. It prints `capsa: init` as its first line, powers off when the power button is pressed, and gives a shell
 * with the prompt `capsa# ` on the kernel's console; when the shell ends, so does the machine. With
 * `capsa.init=PATH` on the kernel's command line it becomes that program instead of giving a shell.
 *
 * @since 0.1.0
 * @category scripts
 */
export const init: Effect.Effect<Uint8Array, GuestError, FileSystem.FileSystem> = Effect.flatMap(
  FileSystem.FileSystem,
  (fs) => fs.readFile(Bun.fileURLToPath(new URL("../initrd/init", import.meta.url)))
).pipe(
  Effect.mapError(
    (cause) =>
      new GuestError({
        reason: "BuildFailed",
        subject: "reading our init script",
        hint: "the package @capsa/guest is damaged: install it again",
        cause
      })
  )
)

/**
 * What busybox acpid needs to obey the power button.
 *
 * @since 0.1.0
 * @category scripts
 */
export const powerButton: ReadonlyArray<Cpio.Entry> = [
  { type: "folder", path: "etc/acpi" },
  { type: "folder", path: "etc/acpi/PWRF" },
  {
    type: "file",
    path: "etc/acpi/PWRF/00000080",
    content: new TextEncoder().encode("#!/bin/sh\nexec poweroff -f\n"),
    executable: true
  }
]

/**
 * What busybox udhcpc does with a lease: an address, a route, and where names are asked for.
 *
 * @since 0.1.0
 * @category scripts
 */
export const network: ReadonlyArray<Cpio.Entry> = [
  {
    type: "file",
    path: "etc/udhcpc",
    content: new TextEncoder().encode(`#!/bin/sh
case $1 in
deconfig) ip address flush dev "$interface" scope global && ip link set "$interface" up ;;
bound | renew)
	ip address replace "$ip/$mask" dev "$interface"
	for gateway in $router; do
		ip route replace default via "$gateway" dev "$interface" && break
	done
	{
		[ -z "$search$domain" ] || echo "search \${search:-$domain}"
		for server in $dns; do
			echo "nameserver $server"
		done
	} >/etc/resolv.conf
	;;
esac
`),
    executable: true
  }
]

const text = new TextEncoder()

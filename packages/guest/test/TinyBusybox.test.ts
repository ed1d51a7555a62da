import { expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import * as Busybox from "@capsa/guest/Busybox"
import * as TinyBusybox from "@capsa/guest/TinyBusybox"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"

const buildTimeoutMs = 600_000

/** What people expect of a small Linux. */
const expected = `
  ash sh [ test true false echo printf expr seq sleep timeout env xargs find grep egrep sed awk sort uniq cut tr head tail
  wc tee cat tac cmp diff patch cp mv ln rm mkdir rmdir chmod chown touch stat ls du df dd od hexdump xxd base64 md5sum
  sha256sum sync truncate mktemp readlink realpath basename dirname date id whoami uname hostname nproc
  tar cpio gzip gunzip zcat bzip2 xz unzip vi less more ed
  ip ifconfig route ping ping6 nc wget nslookup httpd telnet traceroute netstat arp hostname
  ps top free uptime kill killall pkill pgrep pidof nice renice nohup setsid chroot unshare nsenter setpriv
  mount umount mountpoint losetup switch_root pivot_root mke2fs mkswap swapon fdisk blkid blockdev fstrim
  insmod modprobe rmmod lsmod modinfo dmesg sysctl stty tty reset clear poweroff reboot halt
`

test(
  "it is a static program with the usual commands",
  async () => {
    const { program } = await Effect.runPromise(Effect.provide(TinyBusybox.busybox, BunContext.layer))
    const content = readFileSync(program)
    const commands = Busybox.commandsOf(content)
    expect(commands).toEqual(Bun.spawnSync([program, "--list"]).stdout.toString().trim().split("\n"))
    const names = expected.trim().split(/\s+/)
    expect(names.filter((name) => !commands.includes(name))).toEqual([])
    expect(content.includes("/lib/ld-musl")).toBe(false)
  },
  buildTimeoutMs
)

test(
  "its shell edits lines, controls jobs, and runs commands that have no file",
  async () => {
    const { program } = await Effect.runPromise(Effect.provide(TinyBusybox.busybox, BunContext.layer))
    const shell = (line: string) =>
      Bun.spawnSync([program, "sh", "-c", line], { env: { PATH: "/nowhere" } }).stdout.toString()
    expect(shell("set -m; (exit 3) & wait $!; echo $? | sed s/^/status-/")).toBe("status-3\n")
    expect(shell("help")).toContain(" bg ")
  },
  buildTimeoutMs
)

test("the fragment names each option once", () => {
  const text = readFileSync(TinyBusybox.fragmentFile, "utf8")
  const names = [...text.matchAll(/^(?:# )?(CONFIG_\w+)[= ]/gm)].map((match) => match[1])
  expect(names.length).toBeGreaterThan(100)
  expect(new Set(names).size).toBe(names.length)
})

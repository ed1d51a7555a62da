/** Shared folders in real guests, the same for every backend: CAPSA_TEST_BACKEND chooses it (kvm or qemu, the default). */
import { describe, expect } from "bun:test"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import { type Backend, ConsoleError, type GuestImages as Images, type ShareConfig, type VmConfig } from "@capsa/core"
import { GuestImages } from "@capsa/guest"
import { live } from "@capsa/testing"
import * as FileSystem from "@effect/platform/FileSystem"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { GuestImage } from "../src/GuestImage.ts"
import * as Vm from "../src/Vm.ts"
import { backend, backendName, capabilities, quick, tiny } from "./fixtures/realBackend.ts"

/** Emulators are slow, and emulators in emulators are slower still. */
const bootTime = "2 minutes"
const timeout = "2 minutes"
const walkTime = "18 minutes"
const testMs = 1_200_000

const { shares: support } = capabilities.features
const cause = support.supported ? "" : ` — skipped: ${backendName} has none, because ${support.reason}`

/**
 * The tiny kernel as the built-in guest, which is the one that mounts shares by itself. It says nothing of itself that
 * would stand between a command and its output.
 */
const tinyGuest = {
  images: () => Effect.succeed({ ...quick, initrd: tiny.initrd, cmdline: "loglevel=1" } satisfies Images)
}

const showConsole = (error: unknown) =>
  error instanceof ConsoleError ? Effect.logError(`${error.message}\n${error.received}`) : Effect.void

const test = (
  name: string,
  body: () => Effect.Effect<unknown, unknown, Backend | Scope.Scope>,
  missing: string | undefined = undefined
) =>
  live.skipIf(!support.supported || missing !== undefined)(
    missing === undefined ? name : `${name} — skipped: ${missing}`,
    () =>
      body().pipe(Effect.tapError(showConsole), Effect.provideService(GuestImage, tinyGuest), Effect.provide(backend)),
    testMs
  )

/** A folder of the host that is gone after the test. */
const scratch = Effect.flatMap(FileSystem.FileSystem, (files) =>
  files.makeTempDirectoryScoped({ directory: tmpdir() })
).pipe(Effect.provide(BunContext.layer))

const booted = Effect.fnUntraced(function* (shares: ReadonlyArray<ShareConfig>, config: VmConfig = {}) {
  const vm = yield* Vm.launch({ shares, ...config })
  yield* vm.console.expect("capsa# ", { timeout: bootTime })
  const run = (command: string, limit: string = timeout) =>
    vm.console.run(command, { timeout: limit as "1 minute", prompt: "capsa# " })
  /** Its output, once it has succeeded. */
  const done = (command: string, limit?: string) =>
    Effect.map(run(command, limit), ({ output, exitCode }) => {
      expect({ command, output, exitCode }).toMatchObject({ exitCode: 0 })
      return output
    })
  // A kernel that finds itself held up says so on the console, in between.
  yield* done("echo 1 >/proc/sys/kernel/printk")
  return { vm, run, done }
})

const modeOf = (path: string): string => (fs.lstatSync(path).mode & 0o7777).toString(8)

describe(`shares on ${backendName}${cause}`, () => {
  test("a read-only share is read and never written", () =>
    Effect.gen(function* () {
      const folder = yield* scratch
      fs.writeFileSync(join(folder, "file"), "of the host\n")
      fs.mkdirSync(join(folder, "inner"))
      fs.writeFileSync(join(folder, "inner/deep"), "deeper\n")
      const before = fs.statSync(join(folder, "file"))
      const { run, done } = yield* booted([{ host: folder, guest: "/data" }])
      expect(yield* done("cat /data/file /data/inner/deep; ls -1 /data")).toBe("of the host\ndeeper\nfile\ninner\n")
      // The guest's own mount says so first; without that, the device does.
      for (const mount of ["true", "mount -o remount,rw /data"]) {
        yield* done(mount)
        for (const change of [
          "echo x >/data/new",
          "echo x >>/data/file",
          ": >/data/file",
          "mkdir /data/folder",
          "rm -f /data/file",
          "mv /data/file /data/other",
          "ln /data/file /data/hard",
          "ln -s file /data/soft",
          "chmod 777 /data/file",
          "chown 5 /data/file",
          "touch /data/file"
        ]) {
          const { output, exitCode } = yield* run(change)
          expect({ change, output, exitCode }).toMatchObject({
            output: expect.stringContaining("Read-only file system")
          })
          expect(exitCode).not.toBe(0)
        }
      }
      expect(fs.readdirSync(folder).toSorted()).toEqual(["file", "inner"])
      const after = fs.statSync(join(folder, "file"))
      expect([after.mtimeMs, after.mode, after.size]).toEqual([before.mtimeMs, before.mode, before.size])
    }))

  test("several shares are mounted where asked, one in another", () =>
    Effect.gen(function* () {
      const [outer, inner, other] = [yield* scratch, yield* scratch, yield* scratch]
      fs.mkdirSync(join(outer, "inner"))
      for (const folder of [outer, inner, other]) fs.writeFileSync(join(folder, "name"), `${folder}\n`)
      const { vm, done } = yield* booted([
        { host: inner, guest: "/data/inner", mode: "rw" },
        { host: outer, guest: "/data" },
        { host: other, guest: "/mnt/a place/ä'$x", mode: "rw", tag: "other.tag", cache: "none" }
      ])
      expect(yield* done(`cat /data/name /data/inner/name "/mnt/a place/ä'\\$x/name"`)).toBe(
        `${outer}\n${inner}\n${other}\n`
      )
      expect(yield* done("grep -c virtiofs /proc/mounts")).toBe("3\n")
      expect(yield* done("grep '^other.tag ' /proc/mounts | cut -d ' ' -f 3,4 | cut -c 1-11")).toBe("virtiofs rw\n")
      yield* done("echo written >/data/inner/new")
      expect(fs.readFileSync(join(inner, "new"), "utf8")).toBe("written\n")
      expect((yield* vm.stats).shareRequests).toBeGreaterThan(20)
    }))

  test("a share that does not mount is told, and the others are there", () =>
    Effect.gen(function* () {
      const folder = yield* scratch
      fs.writeFileSync(join(folder, "name"), "there\n")
      const vm = yield* Vm.launch({
        shares: [
          // A file is in its way.
          { host: folder, guest: "/init/below" },
          { host: folder, guest: "/good" }
        ]
      })
      yield* vm.console.expect("capsa: share share0 does not mount at /init/below", { timeout: bootTime })
      yield* vm.console.expect("capsa# ", { timeout })
      expect((yield* vm.console.run("cat /good/name", { timeout })).output).toBe("there\n")
    }))

  test("the host sees bytes, modes and owners of what the guest writes", () =>
    Effect.gen(function* () {
      const folder = yield* scratch
      const { done } = yield* booted([{ host: folder, guest: "/data", mode: "rw" }])
      yield* done("cd /data && dd if=/dev/urandom of=random bs=100001 count=37 2>/dev/null && umask 0")
      const sum = yield* done("sha256sum <random")
      const hash = new Bun.CryptoHasher("sha256").update(fs.readFileSync(join(folder, "random"))).digest("hex")
      expect(sum).toBe(`${hash}  -\n`)
      yield* done(
        "for mode in 600 640 644 755 777 400 444; do : >m$mode; chmod $mode m$mode; mkdir -m $mode d$mode; done"
      )
      for (const mode of ["600", "640", "644", "755", "777", "400", "444"]) {
        expect(modeOf(join(folder, `m${mode}`))).toBe(mode)
        expect(modeOf(join(folder, `d${mode}`))).toBe(mode)
      }
      yield* done("(umask 027; echo x >masked); echo x >open")
      expect([modeOf(join(folder, "masked")), modeOf(join(folder, "open"))]).toEqual(["640", "666"])
      yield* done("echo x >owned && chown 1234:5678 owned && chmod 6755 owned")
      const owned = fs.statSync(join(folder, "owned"))
      // Whoever may give files away; bits that lend rights are for nobody.
      expect([owned.uid, owned.gid]).toEqual(process.getuid?.() === 0 ? [1234, 5678] : [owned.uid, owned.gid])
      expect(modeOf(join(folder, "owned"))).toBe("755")
      yield* done("touch -d '2001-02-03 04:05:06' dated")
      expect(fs.statSync(join(folder, "dated")).mtime.toISOString()).toBe("2001-02-03T04:05:06.000Z")
      fs.writeFileSync(join(folder, "late"), "of the host\n")
      expect(yield* done("cat late")).toBe("of the host\n")
    }))

  test("all files seem to belong to the owner that was named", () =>
    Effect.gen(function* () {
      const folder = yield* scratch
      fs.writeFileSync(join(folder, "file"), "x")
      const { run, done } = yield* booted([{ host: folder, guest: "/data", mode: "rw", uid: 1000 }])
      yield* done("cd /data; echo x >new; chown 1000:1000 new")
      expect(yield* done("stat -c %u:%g . file new")).toBe("1000:1000\n1000:1000\n1000:1000\n")
      expect((yield* run("chown 0 new")).output).toContain("Operation not permitted")
      expect(fs.statSync(join(folder, "new")).uid).toBe(process.getuid?.() ?? -1)
    }))

  test("files are saved by a rename over the old one, and found ever after", () =>
    Effect.gen(function* () {
      const folder = yield* scratch
      const { done } = yield* booted([{ host: folder, guest: "/data", mode: "rw" }])
      yield* done(
        'cd /data; for i in $(seq 200); do echo version $i >.doc.$i && sync .doc.$i && mv .doc.$i doc && [ "$(cat doc)" = "version $i" ] || exit; done'
      )
      expect(fs.readdirSync(folder)).toEqual(["doc"])
      expect(fs.readFileSync(join(folder, "doc"), "utf8")).toBe("version 200\n")
      yield* done("mkdir a && mv doc a/ && mv a b && [ \"$(cat b/doc)\" = 'version 200' ]")
      expect(fs.readFileSync(join(folder, "b/doc"), "utf8")).toBe("version 200\n")
      // Deleted and made anew, over and over: numbers of files come again.
      yield* done(
        'for i in $(seq 300); do echo $i >again && [ "$(cat again)" = $i ] && rm again && ! [ -e again ] || exit; done'
      )
    }))

  test("links, hard and symbolic, and loops of them", () =>
    Effect.gen(function* () {
      const folder = yield* scratch
      fs.writeFileSync(join(folder, "file"), "text\n")
      fs.symlinkSync("file", join(folder, "link"))
      fs.symlinkSync("/etc/hostname", join(folder, "outward"))
      fs.symlinkSync("loop", join(folder, "loop"))
      const { run, done } = yield* booted([{ host: folder, guest: "/data", mode: "rw" }])
      expect(yield* done("cd /data; cat link; for link in link outward loop; do readlink $link; done")).toBe(
        "text\nfile\n/etc/hostname\nloop\n"
      )
      // What leads out leads to the guest's own.
      expect((yield* run("cat outward")).output).toContain("No such file")
      expect((yield* run("cat loop")).output).toMatch(/Too many|link loop/)
      yield* done('ln -s ../../../etc/shadow up; ln file hard; rm file; [ "$(cat hard)" = text ]; stat -c %h hard')
      expect(fs.readlinkSync(join(folder, "up"))).toBe("../../../etc/shadow")
      expect(fs.readFileSync(join(folder, "hard"), "utf8")).toBe("text\n")
      expect((yield* run("cat link")).output).toContain("No such file")
      yield* done('mv hard file; [ "$(cat link)" = text ]')
      yield* done("exec 3<file; rm file; cat <&3; exec 3<&-")
      expect((yield* run("mkfifo pipe")).output).toContain("Operation not permitted")
      expect((yield* run("mknod null c 1 3")).output).toContain("Operation not permitted")
    }))

  test("sparse files stay sparse", () =>
    Effect.gen(function* () {
      const folder = yield* scratch
      const { done } = yield* booted([{ host: folder, guest: "/data", mode: "rw" }])
      yield* done(
        "cd /data; truncate -s 1G sparse; echo end | dd of=sparse bs=1 seek=1073741820 conv=notrunc 2>/dev/null"
      )
      const { size, blocks } = fs.statSync(join(folder, "sparse"))
      expect(size).toBe(2 ** 30)
      expect(blocks * 512).toBeLessThan(2 ** 20)
      expect(yield* done("tail -c 4 sparse; du -k sparse | cut -f 1 | awk '{ print ($1 < 1024) }'")).toBe("end\n1\n")
      yield* done("fallocate -l 1M reserved; dd if=/dev/zero of=full bs=1M count=1 2>/dev/null")
      expect(fs.statSync(join(folder, "reserved")).size).toBe(2 ** 20)
    }))

  test("mapped files and programs of a share work", () =>
    Effect.gen(function* () {
      const folder = yield* scratch
      const { done } = yield* booted([{ host: folder, guest: "/data", mode: "rw" }])
      yield* done("cp /bin/busybox /data/busybox && /data/busybox true")
      expect(modeOf(join(folder, "busybox"))).toBe("755")
      expect(yield* done("/data/busybox echo from the share")).toBe("from the share\n")
    }))

  test("the host's root may be relative, and a link", () =>
    Effect.gen(function* () {
      const folder = yield* scratch
      fs.mkdirSync(join(folder, "real"))
      fs.writeFileSync(join(folder, "real/file"), "found\n")
      fs.symlinkSync("real", join(folder, "link"))
      const { done } = yield* booted([
        { host: join(folder, "link"), guest: "/linked" },
        { host: relative(process.cwd(), join(folder, "real")), guest: "/relative" }
      ])
      expect(yield* done("cat /linked/file /relative/file")).toBe("found\nfound\n")
    }))

  test("10,000 files go into an archive, and 1,000 come out of one, as they were", () =>
    Effect.gen(function* () {
      const folder = yield* scratch
      const make = (tree: string, folders: number) => {
        for (let index = 0; index < folders; index++) {
          fs.mkdirSync(join(tree, `d${index}`), { recursive: true })
          for (let file = 0; file < 100; file++)
            fs.writeFileSync(join(tree, `d${index}/f${file}`), `${index}.${file}\n`)
        }
      }
      const [large, small] = [join(folder, "large"), join(folder, "small")]
      make(large, 100)
      make(small, 10)
      expect(Bun.spawnSync(["tar", "-C", small, "-cf", join(folder, "small.tar"), "."]).success).toBe(true)
      const { done } = yield* booted([{ host: folder, guest: "/data", mode: "rw" }])
      yield* done("cd /data; tar -C large -cf large.tar .", walkTime)
      const { stdout, stderr, success } = Bun.spawnSync(["tar", "-C", large, "--diff", "-f", join(folder, "large.tar")])
      expect({ stdout: `${stdout}`, stderr: `${stderr}`, success }).toEqual({ stdout: "", stderr: "", success: true })
      expect(`${Bun.spawnSync(["tar", "-tf", join(folder, "large.tar")]).stdout}`.split("\n")).toHaveLength(10_102)
      yield* done("mkdir out && tar -C out -xf small.tar", walkTime)
      expect(Bun.spawnSync(["diff", "-r", small, join(folder, "out")]).success).toBe(true)
      yield* done("rm -r out && ! [ -e out ]", walkTime)
    }))

  const noGit = Bun.which("git") === null ? "git is not installed" : undefined
  test(
    "a repository is cloned, checked and committed to",
    () =>
      Effect.gen(function* () {
        const folder = yield* scratch
        const git = (...argv: ReadonlyArray<string>) => {
          const { stdout, stderr, exitCode } = Bun.spawnSync(["git", "-C", folder, ...argv])
          expect({ argv, stderr: `${stderr}`, exitCode }).toMatchObject({ exitCode: 0 })
          return `${stdout}`.trim()
        }
        for (let file = 0; file < 200; file++) fs.writeFileSync(join(folder, `f${file}`), `${file}\n`.repeat(file))
        const author = ["-c", "user.name=host", "-c", "user.email=host@localhost"]
        git("init", "-q", "origin")
        for (let file = 0; file < 200; file++) fs.renameSync(join(folder, `f${file}`), join(folder, `origin/f${file}`))
        git("-C", "origin", "add", ".")
        git("-C", "origin", ...author, "commit", "-qm", "all")
        const { disk } = yield* Effect.provide(GuestImages.toolbox, BunContext.layer)
        const { done } = yield* booted([{ host: folder, guest: "/data", mode: "rw", tag: "data" }], {
          boot: { kernel: quick.kernel, console: quick.console, cmdline: "loglevel=1" },
          disks: [{ path: disk, ephemeral: true }],
          memory: 512
        })
        yield* done("mkdir -p /tmp/data && mount -t virtiofs data /tmp/data && cd /tmp/data && export HOME=/tmp")
        yield* done("git config --global --add safe.directory '*'; git config --global user.email guest@localhost")
        // Without hard links into the original, so that all is written anew.
        yield* done("git clone -q --no-local origin clone && git -C clone fsck --full --strict", walkTime)
        yield* done(
          "cd clone && echo of the guest >new && git add new && git -c user.name=guest commit -qm new",
          walkTime
        )
        git("-C", "clone", "-c", "safe.directory=*", "fsck", "--full", "--strict")
        expect(git("-C", "clone", "-c", "safe.directory=*", "status", "--porcelain")).toBe("")
        expect(git("-C", "clone", "-c", "safe.directory=*", "log", "--format=%an %s")).toBe("guest new\nhost all")
      }),
    noGit
  )

  test("200,000 files are walked twice", () =>
    Effect.gen(function* () {
      const folder = yield* scratch
      const make = `for folder in $(seq 200); do mkdir d$folder && (cd d$folder && seq 1000 | xargs touch); done`
      expect(Bun.spawnSync(["sh", "-c", make], { cwd: folder }).success).toBe(true)
      const { vm, done } = yield* booted([{ host: folder, guest: "/data" }], { memory: 1024 })
      const before = fs.readdirSync("/proc/self/fd").length
      for (const round of [1, 2]) {
        expect({ round, count: yield* done("find /data | wc -l", walkTime) }).toEqual({ round, count: "200201\n" })
        // Descriptors of files that the guest knows, and does not use, are few.
        expect(fs.readdirSync("/proc/self/fd").length - before).toBeLessThan(4200)
      }
      expect(yield* done("cat /data/d7/77 /data/d200/1000; echo read")).toBe("read\n")
      expect((yield* vm.stats).shareRequests).toBeGreaterThan(200)
    }))
})

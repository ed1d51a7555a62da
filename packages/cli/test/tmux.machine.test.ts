/** `capsa run --tty -- sh` as people use it: typed at in a terminal of tmux, on the backend that CAPSA_TEST_BACKEND names. */
import { expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { GuestImages } from "@capsa/guest"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import { argv } from "./capsa.ts"
import { noTmux, openPane } from "./tmux.ts"

const { CAPSA_TEST_BACKEND: backend = "qemu" } = Bun.env
const tiny = await Effect.runPromise(Effect.provide(GuestImages.tiny, BunContext.layer))
const quick = ["run", "--backend", backend, "--kernel", tiny.bzImage, "--initrd", tiny.initrd, "--memory", "128MiB"]

/** Emulators in emulators are slow. */
const testMs = 900_000

test.skipIf(noTmux !== undefined)(
  `a shell in a guest, in a terminal: typed at, resized, interrupted and left${noTmux === undefined ? "" : ` — skipped: ${noTmux}`}`,
  async () => {
    await using pane = await openPane(100, 30)
    const settingsIn = (name: string) => readFileSync(join(pane.folder, name), "utf8")
    await pane.shows(/^host>/m)
    const script = join(pane.folder, "run")
    const words = argv(...quick, "--tty", "--env", "PS1=guest> ", "--", "sh")
    await Bun.write(script, `exec ${words.map((word) => `'${word}'`).join(" ")}\n`)
    await pane.type(`cd ${pane.folder}; stty -a >before; sh ./run; echo "left with $?"; stty -a >after; echo written`)

    await pane.shows(/^guest>/m)
    await pane.type("stty size; tty")
    await pane.shows(/^30 100\n\/dev\/pts\/\d+$/m)

    await pane.type('until [ "$(stty size)" = "40 120" ]; do sleep 0.1; done; echo followed')
    await pane.resize(120, 40)
    await pane.shows(/^followed$/m)
    await pane.type('until [ "$(stty size)" = "30 100" ]; do sleep 0.1; done; echo followed again')
    await pane.resize(100, 30)
    await pane.shows(/^followed again$/m)

    await pane.type("mark=same; sh -c 'echo asleep; exec sleep 1000'")
    await pane.shows(/^asleep$/m)
    await pane.press("C-c")
    await pane.type('echo "the shell is the $mark"')
    await pane.shows(/^the shell is the same$/m)

    await pane.type("exit 5")
    await pane.shows(/^left with 5\nwritten$/m)
    expect(settingsIn("after")).toBe(settingsIn("before"))
    await pane.type("echo $((6 * 7)) is seen as it is typed")
    await pane.shows(/^host> echo \$\(\(6 \* 7\)\) is seen as it is typed\n42 is seen as it is typed$/m)
  },
  testMs
)

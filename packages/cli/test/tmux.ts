/** A terminal in tmux, as people have it: a shell in a pane, keys, and what the screen shows. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** Why what needs it is skipped. */
export const noTmux = Bun.which("tmux") === null ? "tmux is not installed" : undefined

const patienceMs = 240_000
const lookEveryMs = 50

export interface Pane extends AsyncDisposable {
  /** A folder that is gone with the pane. */
  readonly folder: string
  /** Types a line and presses Enter. */
  readonly type: (line: string) => Promise<void>
  /** Presses a key, by tmux's name: "C-c". */
  readonly press: (key: string) => Promise<void>
  readonly resize: (columns: number, rows: number) => Promise<void>
  /** Waits until the screen shows it; fails with what it shows instead. */
  readonly shows: (what: RegExp) => Promise<void>
}

/** A pane of this size with the shell in it that prompts with "host> ". */
export const openPane = async (columns: number, rows: number): Promise<Pane> => {
  const folder = mkdtempSync(join(tmpdir(), "capsa-tmux."))
  const server = join(folder, "server")
  const tmux = async (...words: ReadonlyArray<string>): Promise<string> => {
    const child = Bun.spawn(["tmux", "-u", "-S", server, "-f", "/dev/null", ...words], {
      env: { ...Bun.env, NO_COLOR: "1", TERM: "xterm" },
      stdout: "pipe",
      stderr: "pipe"
    })
    const [stdout, stderr, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
    if (status !== 0) throw new Error(`tmux ${words[0]}: ${stderr}`)
    return stdout
  }
  const size = (columns: number, rows: number) => ["-x", `${columns}`, "-y", `${rows}`]
  await tmux("new-session", "-d", ...size(columns, rows), "exec env 'PS1=host> ' sh")
  await tmux("set-option", "-g", "status", "off")
  const resize = async (columns: number, rows: number): Promise<void> => {
    await tmux("resize-window", ...size(columns, rows))
  }
  await resize(columns, rows)
  return {
    folder,
    type: async (line) => {
      await tmux("send-keys", "-l", line)
      await tmux("send-keys", "Enter")
    },
    press: async (key) => {
      await tmux("send-keys", key)
    },
    resize,
    shows: async (what) => {
      const until = performance.now() + patienceMs
      for (;;) {
        const screen = await tmux("capture-pane", "-p", "-J")
        if (what.test(screen)) return
        if (performance.now() > until) throw new Error(`the screen never showed ${what}:\n${screen}`)
        await Bun.sleep(lookEveryMs)
      }
    },
    [Symbol.asyncDispose]: async () => {
      await tmux("kill-server")
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

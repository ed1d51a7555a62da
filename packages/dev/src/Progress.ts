/**
 * Tells on a terminal, or in a log, what takes its time.
 *
 * @since 0.1.0
 */

/** What `Progress` writes to: `process.stdout` or `process.stderr`. */
export interface Output {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

/** Says how far a step is. */
export type Report = (detail: string) => void

interface Step {
  readonly name: string
  readonly startedAt: number
  detail: string
  /** When something about it was last written to a log, if ever. */
  writtenAt: number | undefined
}

/** What a step shorter than this says is not worth a line. */
const quietMs = 1000
/** A detail is cut to so many columns. */
const detailColumns = 72
/** In a log, a long step shows this often that it is alive. */
const heartbeatMs = 20_000

/**
 * Shows steps while they run. On a terminal: one line, rewritten in place, with all that are running. Elsewhere: a line
 * when a step has taken a second, one now and then, and one at its end.
 */
export class Progress {
  private readonly output: Output
  private readonly now: () => number
  private readonly steps = new Set<Step>()
  private timer: ReturnType<typeof setInterval> | undefined
  private frame = 0

  constructor(output: Output, now: () => number = () => performance.now()) {
    this.output = output
    this.now = now
  }

  /** Runs one step. */
  async step<A>(name: string, work: (report: Report) => Promise<A>): Promise<A> {
    const step: Step = { name, startedAt: this.now(), detail: "", writtenAt: undefined }
    this.steps.add(step)
    this.timer ??= setInterval(() => this.tick(), this.output.isTTY ? 100 : quietMs)
    try {
      const result = await work((detail) => {
        step.detail = Bun.sliceAnsi(detail.trim(), 0, detailColumns, "…")
      })
      this.end(step, "done")
      return result
    } catch (error) {
      this.end(step, "failed")
      throw error
    }
  }

  /** Writes a line that stays. */
  line(text: string): void {
    this.output.write(this.output.isTTY ? `\r\x1b[K${text}\n` : `${text}\n`)
  }

  /** Shows where the steps are. Called by a timer while any runs. */
  tick(): void {
    if (this.output.isTTY) {
      const spinner = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
      const shown = [...this.steps].map((step) => this.describe(step)).join(" · ")
      const text = `${spinner[this.frame++ % spinner.length]} ${shown}`
      this.output.write(`\r\x1b[K${Bun.sliceAnsi(text, 0, (this.output.columns ?? 80) - 1)}`)
      return
    }
    for (const step of this.steps) {
      const due = step.writtenAt === undefined ? step.startedAt + quietMs : step.writtenAt + heartbeatMs
      if (this.now() < due) continue
      step.writtenAt = this.now()
      this.line(`${this.describe(step)} …`)
    }
  }

  private describe(step: Step): string {
    return [step.name, seconds(this.now() - step.startedAt), step.detail].filter((part) => part !== "").join(" ")
  }

  private end(step: Step, outcome: string): void {
    this.steps.delete(step)
    if (this.steps.size === 0) {
      clearInterval(this.timer)
      this.timer = undefined
      if (this.output.isTTY) this.output.write("\r\x1b[K")
    }
    const elapsed = this.now() - step.startedAt
    if (elapsed >= quietMs) this.line(`${step.name}: ${outcome} in ${seconds(elapsed)}`)
  }
}

/** A duration in milliseconds, for people. */
export const seconds = (ms: number): string => {
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`
  const whole = Math.round(ms / 1000)
  return `${Math.floor(whole / 60)} min ${whole % 60} s`
}

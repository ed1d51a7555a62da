/**
 * How much runs at the same time.
 *
 * @since 0.1.0
 */

/** Runs work in at most `count` slots at a time, in the order in which it was given. Work may take several slots. */
export class Slots {
  private free: number
  private readonly waiting: Array<{ readonly slots: number; readonly start: () => void }> = []

  constructor(count: number) {
    this.free = count
  }

  async run<A>(slots: number, work: () => Promise<A>): Promise<A> {
    await new Promise<void>((start) => {
      this.waiting.push({ slots, start })
      this.startNext()
    })
    try {
      return await work()
    } finally {
      this.free += slots
      this.startNext()
    }
  }

  private startNext(): void {
    for (let next = this.waiting[0]; next !== undefined && next.slots <= this.free; next = this.waiting[0]) {
      this.waiting.shift()
      this.free -= next.slots
      next.start()
    }
  }
}

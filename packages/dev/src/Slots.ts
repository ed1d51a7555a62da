/**
 * How much runs at the same time.
 *
 * @since 0.1.0
 */

/** Runs at most `count` pieces of work at a time, in the order in which they were given. */
export class Slots {
  private free: number
  private readonly waiting: Array<() => void> = []

  constructor(count: number) {
    this.free = count
  }

  async run<A>(work: () => Promise<A>): Promise<A> {
    if (this.free > 0) this.free--
    else await new Promise<void>((start) => this.waiting.push(start))
    try {
      return await work()
    } finally {
      // Whoever waits next takes over this slot.
      const next = this.waiting.shift()
      if (next === undefined) this.free++
      else next()
    }
  }
}

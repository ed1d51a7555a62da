import { describe, expect, test } from "bun:test"
import { mayFollow, transitions, type VmStatus } from "../src/VmStatus.ts"

const isTag = (key: string): key is VmStatus["_tag"] => key in transitions
const states = Object.keys(transitions).filter(isTag)

describe("the states of a machine", () => {
  test("every state but the first can be reached from it", () => {
    const reached = new Set<VmStatus["_tag"]>(["Running"])
    for (const state of reached) for (const next of transitions[state]) reached.add(next)
    expect([...reached].toSorted()).toEqual(states.toSorted())
  })

  test("each may end, and what has ended stays so", () => {
    for (const state of states) expect(mayFollow(state, "Ended")).toBe(state !== "Ended")
    for (const state of states) expect(mayFollow("Ended", state)).toBe(false)
  })

  test("what is stopping cannot be paused or run on", () => {
    expect(mayFollow("Stopping", "Paused")).toBe(false)
    expect(mayFollow("Stopping", "Running")).toBe(false)
  })

  test("none follows itself", () => {
    for (const state of states) expect(mayFollow(state, state)).toBe(false)
  })
})

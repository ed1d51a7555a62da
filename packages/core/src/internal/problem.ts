import type { VmConfigProblem } from "../VmConfigError.ts"

export type Problems = ReadonlyArray<VmConfigProblem>

/** No problem if it holds. */
export const ensure = (holds: boolean, path: string, detail: string, hint: string): Problems =>
  holds ? [] : [{ path, detail, hint }]

/** A problem unless the number is there only within bounds. */
export const within = (path: string, value: number | undefined, min: number, max: number): Problems =>
  ensure(
    value === undefined || (value >= min && value <= max),
    path,
    `${value} is out of range.`,
    `Give ${min} to ${max}.`
  )

/** A problem for every item after the first with the same key; items without a key are passed over. */
export const unique = <A>(
  items: ReadonlyArray<A>,
  keyOf: (item: A, index: number) => string | undefined,
  pathOf: (index: number) => string,
  hint: string
): Problems => {
  const first = new Map<string, number>()
  return items.flatMap((item, index) => {
    const key = keyOf(item, index)
    if (key === undefined) return []
    const earlier = first.get(key)
    if (earlier === undefined) first.set(key, index)
    return ensure(earlier === undefined, pathOf(index), `${key} is also at ${pathOf(earlier ?? index)}.`, hint)
  })
}

/** What names machines and switches. */
export const isName = (text: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(text)

export const nameHint = 'Use at most 63 letters, digits, ".", "_" and "-", with a letter or digit first.'

/** Colours and columns for terminals. */

/** Paints text, or leaves it as it is. @category models */
export type Paint = (text: string) => string

/** The few colours in use, each with one meaning. @category models */
export interface Style {
  readonly strong: Paint
  readonly faint: Paint
  readonly good: Paint
  readonly warning: Paint
  readonly bad: Paint
}

const sgr =
  (on: number, off: number): Paint =>
  (text) =>
    `\u001b[${on}m${text}\u001b[${off}m`

const painted: Style = {
  strong: sgr(1, 22),
  faint: sgr(2, 22),
  good: sgr(32, 39),
  warning: sgr(33, 39),
  bad: sgr(31, 39)
}

const same: Paint = (text) => text
const plain: Style = { strong: same, faint: same, good: same, warning: same, bad: same }

/** The style of an output: without colours, text goes through unchanged. @category constructors */
export const of = ({ colours }: { readonly colours: boolean }): Style => (colours ? painted : plain)

/**
 * Breaks text at spaces so that no line of it is wider than `width - indent`; lines after the first are indented, the
 * first goes behind what stands there.
 */
export const wrap = (text: string, width: number, indent: number): string => {
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(" ")) {
    if (line !== "" && Bun.stringWidth(`${line} ${word}`) > width - indent) {
      lines.push(line)
      line = word
    } else {
      line = line === "" ? word : `${line} ${word}`
    }
  }
  return [...lines, line].join(`\n${" ".repeat(indent)}`)
}

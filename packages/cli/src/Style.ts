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

/** Breaks text between words so that no line is longer than `width`; lines after the first begin with `indent` spaces. */
export const wrap = (text: string, width: number, indent: number): string => {
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(" ")) {
    const room = width - indent
    if (line !== "" && line.length + 1 + word.length > room) {
      lines.push(line)
      line = word
    } else {
      line = line === "" ? word : `${line} ${word}`
    }
  }
  return [...lines, line].join(`\n${" ".repeat(indent)}`)
}

/** What comes between the bytes that a program prints, as sources of RegExps. */

/** A line of the kernel: `[   12.345678] text`, with the priority before it when so configured. It may cut any text in two. */
export const kernelLine = String.raw`(?:<\d+>)?\[ *\d+\.\d+\][^\n]*\n`

/** A line of the kernel, or one of an init system like `[  OK  ] Started …`. */
export const bracketedLine = String.raw`(?:<\d+>)?\[[^\n]*\n`

/** Colours and other commands to the terminal (ECMA-48, section 5.4). */
export const terminalCommand = String.raw`\x1b\[[0-?]*[ -/]*[@-~]`

/** These parts in this order, with any of the noise between them. */
export const interleaved = (parts: ReadonlyArray<string>, noise: string): string => parts.join(`(?:${noise})*`)

/** Each character of a text as a source that matches it alone. */
export const characters = (text: string): ReadonlyArray<string> =>
  [...text].map((character) => character.replace(/[\\^$.*+?()[\]{}|/]/, "\\$&"))

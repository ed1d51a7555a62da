import { KernelCmdline } from "capsa"
import * as Either from "effect/Either"

/** Looks at what somebody typed as a kernel command line, before it goes into a configuration. */
export const check = (typed: string): string =>
  Either.match(KernelCmdline.parse(typed), {
    onLeft: ({ hint, message }) => `${message} ${hint}`,
    onRight: (cmdline) => `the kernel reads: ${KernelCmdline.print(cmdline)}`
  })

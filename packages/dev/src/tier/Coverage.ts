/**
 * Reads what `make -C native coverage` prints: a table with a line for each file.
 *
 * @since 0.1.0
 */
import { failed, type Results, sum } from "./Results.ts"

/** Lines that tests and fuzzers must reach of each device, in percent. */
const least = 90

/** One test for each file of a device: whether enough of its lines were reached. */
export const parseCoverage = (output: string): Results =>
  sum(
    output.split("\n").flatMap((line) => {
      const [, file, percent] = /^(\S*(?:block|fs|virtio|vsock)\/\S+\.c) .* ([\d.]+)%$/.exec(line) ?? []
      if (file === undefined) return []
      return Number(percent) >= least
        ? { passed: 1, failures: [], skips: [] }
        : failed(`${file}: ${percent} % of its lines are reached, less than ${least} %`)
    })
  )

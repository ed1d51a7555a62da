/**
 * Writes docs/FAILURES.md from the errors themselves and the examples beside this file. With `--check` it writes nothing
 * and exits with 1 if the page is not what it would write.
 */
import { join } from "node:path"
import * as Report from "@capsa/cli/Report"
import { reasons as telemetryReasons } from "@capsa/telemetry/TelemetryError"
import { Failure } from "capsa"

interface Section {
  readonly title: string
  /** What the errors have in common, and where they come from. */
  readonly about: string
  readonly errors: Readonly<Record<string, Failure.FailureReasons>>
  /** The file that shows how they are handled. */
  readonly example: string
}

const {
  BackendError,
  VmConfigError,
  VmBootError,
  StateError,
  MachineError,
  ConsoleError,
  PoolError,
  VsockError,
  SandboxError,
  KernelCmdlineError,
  ...others
} = Failure.reasons
// Refuses to compile while an error has no section below.
others satisfies Record<string, never>

const sections: ReadonlyArray<Section> = [
  {
    title: "BackendError",
    about: "A backend cannot run machines on this host. Layers fail with it, before anything is started.",
    errors: { BackendError },
    example: "BackendError.ts"
  },
  {
    title: "VmConfigError",
    about:
      "A configuration cannot be run. `Vm.launch` fails with it before anything is started; `problems` has everything that is wrong, each with its field and what would be right.",
    errors: { VmConfigError },
    example: "VmConfigError.ts"
  },
  {
    title: "VmBootError",
    about:
      "A machine was described rightly and did not come up. `stage` is the last stage it reached, `consoleTail` what it said last. Nothing of it is left.",
    errors: { VmBootError },
    example: "VmBootError.ts"
  },
  {
    title: "StateError",
    about:
      "The folder that machines keep what they hold in cannot be used ([Resources](RESOURCES.md)). `Vm.launch` fails with it before anything is started, and so do `capsa ps` and `capsa cleanup`.",
    errors: { StateError },
    example: "StateError.ts"
  },
  {
    title: "MachineError",
    about: "Something was asked of a running machine that it could not do. The machine is as it was.",
    errors: { MachineError },
    example: "MachineError.ts"
  },
  {
    title: "ConsoleError",
    about: "What was waited for on a console did not come. `received` is what came instead.",
    errors: { ConsoleError },
    example: "ConsoleError.ts"
  },
  {
    title: "PoolError",
    about:
      "A pool cannot be made, or has no machine for who asks. A pool itself outlives the failures of its machines, and goes on when their cause has passed.",
    errors: { PoolError },
    example: "PoolError.ts"
  },
  {
    title: "VsockError",
    about:
      "A connection between host and guest did not come about, or has ended ([Vsock](VSOCK.md)). `port` is the one it is about.",
    errors: { VsockError },
    example: "VsockError.ts"
  },
  {
    title: "SandboxError",
    about:
      "Something asked of the agent in a guest failed ([Sandboxes](SANDBOX.md)). An exit code of a command is no failure. `step` is what the guest was doing, `stdout` and `stderr` what a command said last.",
    errors: { SandboxError },
    example: "SandboxError.ts"
  },
  {
    title: "KernelCmdlineError",
    about:
      "A kernel command line that the kernel would not read as it was meant. In a configuration it is a problem of `boot.cmdline`.",
    errors: { KernelCmdlineError },
    example: "KernelCmdlineError.ts"
  },
  {
    title: "TelemetryError",
    about:
      "`@capsa/telemetry` cannot be set up ([Observability](OBSERVABILITY.md)). `Telemetry.layer` fails with it, and nothing of it is left.",
    errors: { TelemetryError: telemetryReasons },
    example: "TelemetryError.ts"
  },
  {
    title: "Errors of the command",
    about:
      "What only `capsa` itself can fail with. `UsageError` exits with 2, a `RunError` for `--timeout` with 124, everything else with 1.",
    errors: Report.reasons,
    example: "capsa.ts"
  }
]

const introduction = `# Failures

Every error has a closed \`reason\`, a \`message\`, a \`hint\` that says what to do, \`retryable\`, and \`docs\`, which leads to its
row on this page. Where there is one it names the device, path or program (\`subject\`), the \`field\` of it, the \`operation\` and
the host's \`errno\`; \`cause\` is the error behind it.

- \`Failure.pretty(error)\` gives two lines, what happened and what to do; \`{ verbose: true }\` adds the console's last lines, the
  stage and the chain of causes. \`capsa\` prints the same, the second form with \`run --verbose\`.
- \`Failure.toJson(error)\` gives data that the schema \`Failure.Failure\` decodes to the same class; so does \`capsa … --json\`.
- \`Vm.launch\` tries again what is retryable, by the schedule \`Vm.launchRetries\`, and logs each time that it does. Everything
  else fails at once.

This page is made from the code: change the \`reasons\` beside an error's class, then run \`bun docs/examples/failures/page.ts\`.
`

/** As the `docs` of an error has it. */
const anchorOf = (tag: string, reason: string) => Failure.docsOf({ _tag: tag, reason }).split("#")[1]

const cell = (text: string): string => text.replaceAll("|", "\\|")

const tableOf = (tag: string, reasons: Failure.FailureReasons): string =>
  [
    `| ${tag} | what happened | retryable | what to do |`,
    "|---|---|---|---|",
    ...Object.entries(reasons).map(
      ([reason, { happened, retryable, remedy }]) =>
        `| <a id="${anchorOf(tag, reason)}"></a>\`${reason}\` | ${cell(happened)} | ${retryable ? "yes" : "no"} | ${cell(remedy)} |`
    )
  ].join("\n")

const partOf = async ({ about, errors, example, title }: Section): Promise<string> =>
  [
    `## ${title}`,
    about,
    ...Object.entries(errors).map(([tag, reasons]) => tableOf(tag, reasons)),
    `\`docs/examples/failures/${example}\`:`,
    `\`\`\`ts\n${await Bun.file(join(import.meta.dir, example)).text()}\`\`\``
  ].join("\n\n")

const page = `${[introduction, ...(await Promise.all(sections.map(partOf)))].map((part) => part.trim()).join("\n\n")}\n`
const file = Bun.file(join(import.meta.dir, "../../FAILURES.md"))

if (!process.argv.includes("--check")) await Bun.write(file, page)
else if (!(await file.exists()) || (await file.text()) !== page) {
  await Bun.write(Bun.stderr, "docs/FAILURES.md:1: differs from the code: run `bun docs/examples/failures/page.ts`\n")
  process.exitCode = 1
}

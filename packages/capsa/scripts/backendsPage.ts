/**
 * The generated part of docs/BACKENDS.md: `bun packages/capsa/scripts/backendsPage.ts` writes it; a test holds the page
 * against it.
 */
import { type Capabilities, Feature, featureFields, type Support } from "@capsa/core/Capabilities"
import { format } from "@capsa/core/MemorySize"
import { Kvm } from "@capsa/kvm"
import { Qemu } from "@capsa/qemu"
import { code, table, withGenerated } from "./markdown.ts"

/** The page's path from the root. */
export const page = "docs/BACKENDS.md"

const yesOrNo = (does: boolean): string => (does ? "yes" : "no")

const shown = (support: Support): string => (support.supported ? "yes" : `no: ${support.reason}`)

/** The backends by what the page calls them; both differ between architectures, of the host or of the guest. */
const columns: ReadonlyArray<readonly [name: string, Capabilities]> = [
  ["kvm", Kvm.capabilitiesOn.x86_64],
  ["kvm on arm64", Kvm.capabilitiesOn.arm64],
  ["qemu", Qemu.capabilitiesFor.x86_64],
  ["qemu for arm64", Qemu.capabilitiesFor.arm64]
]

const capabilityRow = (what: string, field: string, show: (capabilities: Capabilities) => string) => [
  what,
  field === "" ? "" : code(field),
  ...columns.map(([, capabilities]) => show(capabilities))
]

const capabilityTable = (): string =>
  table(
    ["what", "asked for by", ...columns.map(([name]) => code(name))],
    [
      capabilityRow("kernel images", "boot.kernel", ({ kernels }) => kernels.join(", ")),
      capabilityRow("consoles", "boot.console", ({ consoles }) => consoles.join(", ")),
      capabilityRow("discovery", "boot.discovery", ({ discovery }) => discovery.join(", ")),
      capabilityRow("processors", "cpus", ({ maxCpus }) => `up to ${maxCpus}`),
      capabilityRow("memory", "memory", ({ maxMemoryMib }) => `up to ${format(maxMemoryMib)}`),
      capabilityRow("pause", "", ({ pause }) => yesOrNo(pause)),
      capabilityRow("power button, for `stop`", "", ({ powerButton }) => yesOrNo(powerButton)),
      capabilityRow("tells of panics by a device", "", ({ panicNotifier }) => yesOrNo(panicNotifier)),
      ...Feature.literals.map((feature) =>
        capabilityRow(featureFields[feature].name, featureFields[feature].field, (can) => shown(can.features[feature]))
      )
    ]
  )

/** The page with its generated part as the code has it now. */
export const updated = (text: string): string =>
  withGenerated(text, "backendsPage.ts", ["## What each can do", capabilityTable()])

if (import.meta.main) await Bun.write(page, updated(await Bun.file(page).text()))

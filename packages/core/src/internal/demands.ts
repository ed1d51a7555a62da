import type { BackendName } from "../BackendName.ts"
import { isDirect, isFirmware } from "../BootConfig.ts"
import {
  type Capabilities,
  type Feature,
  featureFields,
  type Support,
  supported,
  unsupported
} from "../Capabilities.ts"
import { defaults } from "../ConfigDefaults.ts"
import { format, toMib } from "../MemorySize.ts"
import type { NetworkConfig, UserNetwork } from "../NetworkConfig.ts"
import type { VmConfig } from "../VmConfig.ts"
import type { VmConfigProblem } from "../VmConfigError.ts"
import { oneOf } from "./shape.ts"

/** A backend that may be asked. */
export interface Capable {
  readonly name: BackendName
  readonly capabilities: Capabilities
}

interface Demand {
  readonly path: string
  /** Ends the sentence "The backend does not offer …". */
  readonly what: string
  readonly metBy: (capabilities: Capabilities) => Support
  /** What to do where no other backend can. */
  readonly hint: string
}

/** A problem for each thing that a configuration demands and this backend does not offer. */
export const refusals = (
  config: VmConfig,
  backend: Capable,
  others: ReadonlyArray<Capable>
): ReadonlyArray<VmConfigProblem> => {
  const refused = demandsOf(config, backend.capabilities).flatMap((demand) => refusal(demand, backend, others) ?? [])
  // Without disks, nothing needs saying about their formats.
  return refused.filter(({ path }) => !refused.some((outer) => path.startsWith(`${outer.path}.`)))
}

const refusal = (demand: Demand, backend: Capable, others: ReadonlyArray<Capable>): VmConfigProblem | undefined => {
  const { path, what, metBy, hint } = demand
  const support = metBy(backend.capabilities)
  if (support.supported) return undefined
  const able = others.filter(({ capabilities }) => metBy(capabilities).supported).map(({ name }) => name)
  return {
    path,
    detail: `The ${backend.name} backend does not offer ${what}: ${support.reason}.`,
    hint: able.length === 0 ? (support.hint ?? hint) : `Use a backend that does: CAPSA_BACKEND=${oneOf(able)}.`,
    refusal: { backend: backend.name, others: able }
  }
}

const demandsOf = (config: VmConfig, here: Capabilities): ReadonlyArray<Demand> => [
  ...bootDemands(config, here),
  ...sizeDemands(config, here),
  ...demands("disks", isFilled(config.disks)),
  ...(config.disks ?? []).flatMap(({ format: image, ephemeral }, index) => [
    ...demands("qcow2", image === "qcow2", index),
    ...demands("ephemeralDisks", ephemeral, index)
  ]),
  ...demands("shares", isFilled(config.shares)),
  ...networkDemands(config.network),
  ...demands("vsock", config.vsock),
  ...demands("balloon", config.balloon),
  ...demands("limits", config.limits !== undefined),
  ...demands("processIsolation", config.isolation === "process"),
  ...demands("mainProcess", config.main !== undefined)
]

const demands = (feature: Feature, wanted: boolean | undefined, index = 0): ReadonlyArray<Demand> => {
  const { name, field } = featureFields[feature]
  const path = field.replace("[]", `.${index}`)
  const hint = "Leave it out: no backend known here offers it."
  return wanted ? [{ path, what: name, metBy: ({ features }) => features[feature], hint }] : []
}

const isFilled = (list: ReadonlyArray<unknown> | undefined): boolean => list !== undefined && list.length > 0

const networkDemands = (network: NetworkConfig = "none"): ReadonlyArray<Demand> => {
  if (network === "none") return []
  switch (network.mode) {
    case "user":
      return userNetworkDemands(network)
    case "tap":
      return demands("tapNetwork", true)
    case "switch":
      return [...demands("switchNetwork", true), ...demands("networkPolicy", network.uplink !== undefined)]
  }
}

const userNetworkDemands = ({ policy, forwards }: UserNetwork): ReadonlyArray<Demand> => [
  ...demands("userNetwork", true),
  ...demands("networkPolicy", policy !== undefined),
  ...demands("portForwards", isFilled(forwards))
]

const bootDemands = ({ boot }: VmConfig, here: Capabilities): ReadonlyArray<Demand> => {
  if (isFirmware(boot)) return demands("uefi", true)
  if (!isDirect(boot)) return []
  const { console = defaults.console, discovery = defaults.discovery } = boot
  return [
    choice("boot.console", `a ${console} console`, console, (can) => can.consoles, here),
    choice("boot.discovery", `discovery by ${discovery}`, discovery, (can) => can.discovery, here)
  ]
}

const choice = (
  path: string,
  what: string,
  wanted: string,
  offered: (capabilities: Capabilities) => ReadonlyArray<string>,
  here: Capabilities
): Demand => ({
  path,
  what,
  metBy: (can) => (offered(can).includes(wanted) ? supported : unsupported(`it has only ${quoted(offered(can))}`)),
  hint: `Use ${quoted(offered(here))}.`
})

const quoted = (values: ReadonlyArray<string>): string => oneOf(values.map((value) => `"${value}"`))

const sizeDemands = ({ cpus = defaults.cpus, memory = defaults.memory }: VmConfig, here: Capabilities) => {
  const mib = toMib(memory)
  return [
    atMost("cpus", `${cpus} processors`, cpus, (can) => can.maxCpus, String, here),
    atMost("memory", `${format(mib)} of memory`, mib, (can) => can.maxMemoryMib, format, here)
  ]
}

const atMost = (
  path: string,
  what: string,
  wanted: number,
  most: (capabilities: Capabilities) => number,
  show: (amount: number) => string,
  here: Capabilities
): Demand => ({
  path,
  what,
  metBy: (can) => (wanted <= most(can) ? supported : unsupported(`it goes up to ${show(most(can))}`)),
  hint: `Give at most ${show(most(here))}.`
})

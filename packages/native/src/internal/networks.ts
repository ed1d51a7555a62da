/** Switches by name: there from their first machine to their last. */
import type { NetworkPlan, SwitchNetworkPlan } from "@capsa/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Library } from "../Library.ts"
import { fromRecord, NativeError } from "../NativeError.ts"
import { makeErrorBuffer, networkFlag, offsetOf, sizeOf } from "./layout.ts"
import { writePolicy } from "./policy.ts"

interface Switch {
  readonly handle: number
  readonly plan: SwitchNetworkPlan
  machines: number
}

/** struct capsa_network_config. */
const writeConfig = ({ subnet, uplink }: SwitchNetworkPlan): Uint8Array => {
  const bytes = new Uint8Array(sizeOf("capsa_network_config"))
  const view = new DataView(bytes.buffer)
  view.setUint32(0, bytes.byteLength, true)
  view.setUint32(offsetOf("capsa_network_config.flags"), uplink === undefined ? 0 : networkFlag.uplink, true)
  new TextEncoder().encodeInto(subnet, bytes.subarray(offsetOf("capsa_network_config.subnet")))
  return bytes
}

const isSame = (one: SwitchNetworkPlan, other: SwitchNetworkPlan): boolean =>
  one.subnet === other.subnet && Bun.deepEquals(one.uplink, other.uplink)

const differs = (name: string) =>
  new NativeError({
    status: "Address",
    detail: "another machine has described this switch with another subnet or uplink",
    subject: name,
    field: "network"
  })

/** What gives machines a place on their switch, and what closes all that are left. */
export const makeNetworks = ({ call, instance }: Library) => {
  const switches = new Map<string, Switch>()
  const openSwitch = (plan: SwitchNetworkPlan): Effect.Effect<Switch, NativeError> =>
    Effect.suspend(() => {
      const handle = new Uint32Array(1)
      const error = makeErrorBuffer()
      const policy = plan.uplink === undefined ? null : writePolicy(plan.uplink)
      const status = call.capsa_network_open(instance, writeConfig(plan), policy, handle, error.bytes)
      if (status !== 0) return Effect.fail(fromRecord(error.read()))
      const opened = { handle: handle[0] ?? 0, plan, machines: 0 }
      switches.set(plan.switch, opened)
      return Effect.succeed(opened)
    })
  const enter = (plan: SwitchNetworkPlan) =>
    Effect.suspend(() => {
      const found = switches.get(plan.switch)
      if (found === undefined) return openSwitch(plan)
      return isSame(found.plan, plan) ? Effect.succeed(found) : Effect.fail(differs(plan.switch))
    }).pipe(
      Effect.tap((entered) =>
        Effect.sync(() => {
          entered.machines++
        })
      )
    )
  const close = (name: string, { handle }: Switch) => {
    switches.delete(name)
    call.capsa_network_close(instance, handle)
  }
  const leave = (left: Switch) =>
    Effect.sync(() => {
      const name = left.plan.switch
      left.machines--
      // It may have been closed with the layer.
      if (left.machines === 0 && switches.get(name) === left) close(name, left)
    })
  return {
    /** The number of the plan's network, 0 without one; it stays until the scope closes, after its machine's release. */
    join: (plan: NetworkPlan | undefined): Effect.Effect<number, NativeError, Scope.Scope> =>
      plan?.mode === "switch"
        ? Effect.map(Effect.acquireRelease(enter(plan), leave), ({ handle }) => handle)
        : Effect.succeed(0),
    /** After the release of all machines. */
    closeAll: Effect.sync(() => {
      for (const [name, left] of switches) close(name, left)
    })
  }
}

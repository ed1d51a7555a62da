/** What a look at the host found out about a backend. */
import * as Schema from "effect/Schema"
import { BackendError } from "./BackendError.ts"
import { BackendName } from "./BackendName.ts"

/** One thing that was tried. `fix` says what to do when it is not `ok`. @category models */
export const Finding = Schema.Struct({
  check: Schema.String,
  status: Schema.Literal("ok", "warning", "failed"),
  detail: Schema.String,
  fix: Schema.optional(Schema.String)
})
/** @category models */
export type Finding = typeof Finding.Type

/** All that was tried for one backend. It is available when `error` is absent. @category models */
export const ProbeReport = Schema.Struct({
  backend: BackendName,
  findings: Schema.Array(Finding),
  error: Schema.optional(BackendError)
})
/** @category models */
export type ProbeReport = typeof ProbeReport.Type

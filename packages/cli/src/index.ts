/** What the verbs print as JSON, for programs that read it. */
export { BackendsReport } from "./Backends.ts"
export { CleanupReport } from "./Cleanup.ts"
export { DoctorReport } from "./Doctor.ts"
export { PsReport } from "./Ps.ts"
export { ReportedError } from "./Report.ts"
export { RunReport } from "./Run.ts"
export { CommandReport } from "./RunCommand.ts"

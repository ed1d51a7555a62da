export * as Lab from "./Lab.ts"
export * as LabError from "./LabError.ts"

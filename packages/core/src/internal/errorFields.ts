import * as Schema from "effect/Schema"

/** What every error tells beside its reason. */
export const errorFields = {
  /** One sentence: what happened. */
  detail: Schema.String,
  /** What to do about it. */
  hint: Schema.String,
  /** The device, path or program at fault. */
  subject: Schema.optional(Schema.String),
  /** The field of it: of a file's header, or of the configuration. */
  field: Schema.optional(Schema.String),
  /** The operation of the host that failed: a system call, an ioctl, a command. */
  operation: Schema.optional(Schema.String),
  /** The host's error name: "EACCES". */
  errno: Schema.optional(Schema.String),
  /** What caused it, for the chain of causes. */
  cause: Schema.optional(Schema.Defect)
}

/** "detail (subject, field: errno)" with what is there. */
export const messageOf = (error: {
  readonly detail: string
  readonly subject?: string | undefined
  readonly field?: string | undefined
  readonly errno?: string | undefined
}): string => {
  const where = [error.subject, error.field, error.errno].filter((part) => part !== undefined && part !== "")
  return where.length === 0 ? error.detail : `${error.detail} (${where.join(", ")})`
}

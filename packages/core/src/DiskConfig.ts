/** Disks of a machine. */
import * as Schema from "effect/Schema"

/** An image that another builds on. @category models */
export const BackingImage = Schema.Struct({
  path: Schema.propertySignature(Schema.NonEmptyString).annotations({ description: "Path of the image." }),
  format: Schema.optional(Schema.Literal("raw", "qcow2")).annotations({
    default: "raw",
    description: "What the file holds."
  })
})
/** @category models */
export type BackingImage = typeof BackingImage.Type

/** A disk from an image file, or a block device, of the host. @category models */
export const DiskConfig = Schema.Struct({
  path: Schema.propertySignature(Schema.NonEmptyString).annotations({
    description: "Path of the image; it has to be there."
  }),
  blockDevice: Schema.optional(Schema.Boolean).annotations({
    default: false,
    description: "Whether the path is a block device of the host, which is never taken for an image unasked."
  }),
  format: Schema.optional(Schema.Literal("raw", "qcow2")).annotations({
    default: "raw",
    description: "What the file holds. Never guessed from its content, which the guest can write."
  }),
  backing: Schema.optional(Schema.Array(BackingImage)).annotations({
    description:
      "Images that a qcow2 image builds on, the one that it builds on itself first. The name in the image's header is not followed; one that names another image and has none here is refused."
  }),
  readOnly: Schema.optional(Schema.Boolean).annotations({
    default: false,
    description: "Whether the guest cannot write to it; the host sees to that."
  }),
  ephemeral: Schema.optional(Schema.Boolean).annotations({
    default: false,
    description: "Whether what the guest writes is thrown away when the machine ends; the file stays as it is."
  }),
  serial: Schema.optional(Schema.String).annotations({
    description: 'What the guest finds the disk by (/dev/disk/by-id/virtio-…): 1 to 20 letters, digits, ".", "_", "-".'
  })
})
/** @category models */
export type DiskConfig = typeof DiskConfig.Type

/** Whether the guest's writes reach the image. @category guards */
export const isWritten = ({ readOnly, ephemeral }: DiskConfig): boolean => readOnly !== true && ephemeral !== true

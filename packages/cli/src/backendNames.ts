/** What runs the machine, as the command line names it. @category models */
export const backendNames = ["auto", "kvm", "qemu"] as const

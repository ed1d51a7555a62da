import type { KernelPlan } from "@capsa/core"

/** A plan of the least machine that starts a kernel, without devices beside its console, changed as given. The kernel need not exist. */
export const planOf = (changes: Partial<KernelPlan> = {}): KernelPlan => ({
  id: crypto.randomUUID(),
  name: "test",
  cpus: 1,
  memoryMib: 128,
  kernel: "/boot/vmlinuz",
  cmdline: "",
  console: "serial",
  discovery: "firmware",
  disks: [],
  shares: [],
  balloon: false,
  agentPort: false,
  vsock: false,
  ...changes
})

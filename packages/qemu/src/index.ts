export * as Qemu from "./Qemu.ts"

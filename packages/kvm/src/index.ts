export * as Kvm from "./Kvm.ts"

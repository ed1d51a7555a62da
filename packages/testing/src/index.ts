export { effect, layer, live, type Tester } from "./BunTest.ts"
export { type Holdings, holdings } from "./holdings.ts"
export { planOf } from "./planOf.ts"
export * as Simulated from "./Simulated.ts"

export { effect, layer, live, type Tester } from "./BunTest.ts"
export * as Simulated from "./Simulated.ts"

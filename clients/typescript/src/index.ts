export { SpreadClient, type ClientOptions } from "./client.js";
export type { Frame, Kind, Wish } from "./stream.js";
export type * from "./records.js";
export { cycleOf, JupiterClient, mixed, readQuote } from "./jupiter.js";
export type { JupiterCycle, JupiterHop, JupiterOptions, JupiterQuote, MixedFind } from "./jupiter.js";

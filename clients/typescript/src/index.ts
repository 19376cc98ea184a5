export { SpreadClient, type ClientOptions } from "./client.js";
export type { Frame, Kind, Wish } from "./stream.js";
export type * from "./records.js";

// One connection of the stream: frames in the order in which they came, until it is lost.

import { jsonOf } from "./address.js";
import type { FollowUpView, OpportunityRow, Price, Served, SignalView, Spread, SymbolBooks } from "./records.js";

export const PATH = "/v1/stream";
const PROTOCOL = "spread-scanner.v1";
const SILENT_MS = 5_000; // the gateway beats each second: who hears nothing for so long has lost it
const WAITING_LENGTH_MAX = 64 << 20; // of frames: characters, or bytes of msgpack; who is behind by more begins anew
const AGAIN_MS_MIN = 100;
const AGAIN_MS_MAX = 5_000;

/** A frame as it comes: JSON, or msgpack. */
type Told = string | ArrayBuffer;

export type Kind = "prices" | "signals" | "status" | "spreads" | "books" | "opportunities";

/** What of it; nothing said: all pairs, the spot sources, a frame each 100 ms. */
export interface Wish {
  pairs?: string[];
  sources?: string[];
  directions?: string[];
  only?: string[]; // of spreads these alone: "BTC-USDT okx-bybit"
  usable?: boolean;
  pace?: "live" | "view";
  levels?: number; // of books
  after_seq?: number; // the last signal that is known; -1: none of the ring's
  ring?: string; // of which that is a number
  after_id?: number; // the last opportunity
  database?: string; // of which that is one
  encoding?: "json" | "msgpack"; // msgpack: half the bytes of JSON, the same frames
}

export type Frame =
  | { type: "hello"; version: string; namespace: string; heartbeat_s: number }
  | { type: "prices"; snapshot: boolean; version: number; gone: string[]; prices: Price[] }
  | { type: "spreads"; snapshot: boolean; version: number; gone: string[][]; spreads: Spread[] }
  | { type: "books"; snapshot: boolean; version: number; gone: string[]; books: SymbolBooks[] }
  | { type: "opportunities"; opportunities: OpportunityRow[] }
  | { type: "signal"; signal: SignalView | FollowUpView }
  | { type: "began"; kind: Kind; after_seq?: number; ring?: string; after_id?: number; database?: string }
  | { type: "missed"; kind: string; count: number | null }
  | { type: "status"; status: Served }
  | { type: "heartbeat"; frames: number; wall_ns: number }
  | { type: "error"; code: string; detail: string }
  | { type: "away"; reason: string }; // of this client: it is lost, and tried again

/** The first pause between two tries is short, the next ones are twice as long each. */
export function nextPauseMs(pauseMs: number): number {
  return Math.min(Math.max(2 * pauseMs, AGAIN_MS_MIN), AGAIN_MS_MAX);
}

/** Between two tries; over at once when it is switched off. */
export async function rest(pauseMs: number, off: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const over = (): void => {
      clearTimeout(timer);
      off.removeEventListener("abort", over);
      resolve();
    };
    const timer = setTimeout(over, off.aborted ? 0 : pauseMs);
    off.addEventListener("abort", over);
  });
}

/** The frames of one connection. Throws when it cannot be had, is lost, says nothing, or is switched
 * off. */
export async function* framesOf(url: string, token: string, wish: Wish, off: AbortSignal): AsyncGenerator<Frame> {
  const said = jsonOf({ op: "subscribe", ...wish });
  const unpack = wish.encoding === "msgpack" ? (await import("@msgpack/msgpack")).decode : undefined;
  const Socket = globalThis.WebSocket ?? (await import("ws")).WebSocket;
  const socket = new Socket(url, token ? [PROTOCOL, `bearer.${token}`] : [PROTOCOL]);
  socket.binaryType = "arraybuffer";
  const waiting: Told[] = []; // as they came: who takes none for an hour holds no more than this
  let taking: Told[] = []; // those that came before them, the next one last
  let waitingLength = 0;
  let lost: Error | undefined;
  let woken = (): void => {};
  const lose = (reason: string): void => {
    lost ??= new Error(reason);
    woken();
  };
  const end = (): void => lose("switched off");
  off.addEventListener("abort", end);
  if (off.aborted) end();
  socket.onopen = () => socket.send(said);
  socket.onerror = (event: object) => {
    lose("message" in event ? String(event.message) : "no connection to the stream");
  };
  socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
    lose(`closed with ${code} ${reason}`);
  };
  socket.onmessage = ({ data }: { data: unknown }) => {
    const told = data instanceof ArrayBuffer ? data : String(data);
    waiting.push(told);
    waitingLength += lengthOf(told);
    if (waitingLength > WAITING_LENGTH_MAX) {
      waiting.length = taking.length = waitingLength = 0;
      socket.onmessage = null;
      socket.close();
      lose("frames are read more slowly than they come");
    }
    woken();
  };
  try {
    for (;;) {
      // Not shift(): of some ten thousands each one moves all others.
      if (!taking.length) taking = waiting.splice(0).reverse();
      const told = taking.pop();
      if (told !== undefined) {
        waitingLength -= lengthOf(told);
        const frame = frameOf(told, unpack);
        remember(wish, frame);
        yield frame;
      } else if (lost) throw lost;
      else await heard((wake) => (woken = wake), lose);
    }
  } finally {
    off.removeEventListener("abort", end);
    socket.close();
  }
}

const lengthOf = (told: Told): number => (typeof told === "string" ? told.length : told.byteLength);

/** `unpack` is what reads msgpack, where that was asked for. */
function frameOf(told: Told, unpack?: (packed: ArrayBuffer) => unknown): Frame {
  let frame: unknown;
  try {
    frame = typeof told === "string" ? JSON.parse(told) : unpack?.(told);
  } catch {} // no frame either
  if (typeof frame === "object" && frame !== null && !Array.isArray(frame)) return frame as Frame;
  throw new Error("no frame of a gateway");
}

/** Where the events began, and the last one: said when the stream is back, so that none is missed. */
function remember(wish: Wish, frame: Frame): void {
  if (frame.type === "began") {
    const { type: _type, kind: _kind, ...places } = frame;
    Object.assign(wish, places);
  }
  if (frame.type === "signal") wish.after_seq = frame.signal.seq;
  if (frame.type !== "opportunities") return;
  for (const { id } of frame.opportunities) wish.after_id = Math.max(wish.after_id ?? 0, id);
}

async function heard(watch: (wake: () => void) => void, lose: (reason: string) => void) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  await new Promise<void>((resolve) => {
    watch(resolve);
    timer = setTimeout(() => lose(`nothing was heard for ${SILENT_MS} ms`), SILENT_MS);
  });
  clearTimeout(timer);
}

// Asks a gateway. A server that is away, slow or refuses is no error, and neither is a question that
// nobody can put: the answer is null, and `reason` says why, so that a bot takes its slower source.

import { addressOf, jsonOf, keyOf, timed, timeoutOf, written } from "./address.js";
import { bounded } from "./bodies.js";
import type { Arbitrage, Arbitrages, OpportunityRow, PoolPrice, Price, Served, Spread } from "./records.js";
import { framesOf, nextPauseMs, PATH, rest, type Frame, type Kind, type Wish } from "./stream.js";

const URL_OF_HERE = "http://127.0.0.1:3001";
const TIMEOUT_MS = 100;
const THRESHOLD_PCT = 0.3;
const ANSWER_BYTES_MAX = 64 << 20;
/** The `reason` of what is JSON and no record of ours. */
export const ODD = "another shape than a gateway's: does something else listen there?";
/** Calls that look twice, wait for books or read the log, and how long at the least. */
const SLOW_MS: [path: string, ms: number][] = [
  ["/v1/connections", 5_000], ["/v1/books", 5_000],
  ["/v1/candles", 35_000], ["/v1/history", 35_000], ["/v1/report", 35_000],
];

/** What nobody says is the environment's: RUST_CACHE_URL, USE_RUST_CACHE=false. */
export interface ClientOptions {
  url?: string;
  enabled?: boolean;
  timeoutMs?: number;
  token?: string;
}

type Params = Record<string, string | number | bigint | boolean | null | undefined>;

export class SpreadClient {
  readonly url: string;
  /** Why the last answer was null; empty: it was not. */
  reason = "";
  readonly #timeoutMs: number;
  readonly #token: string;
  readonly #offs = new Set<AbortController>(); // of streams
  #enabled: boolean;

  /** Throws for an address, a token or a time-out that is none. */
  constructor({ url, enabled, timeoutMs = TIMEOUT_MS, token = "" }: ClientOptions = {}) {
    const environ = globalThis.process?.env ?? {};
    this.url = addressOf("a gateway", url || environ["RUST_CACHE_URL"] || URL_OF_HERE, "RUST_CACHE_URL");
    const off = ["false", "0"].includes((environ["USE_RUST_CACHE"] ?? "").toLowerCase());
    this.#enabled = enabled ?? !off;
    this.#timeoutMs = timeoutOf(timeoutMs);
    this.#token = keyOf("token of a gateway", token ?? "");
  }

  /** Whether the gateway is asked; a stream that is told when this is switched off ends. */
  get enabled(): boolean {
    return this.#enabled;
  }

  set enabled(said: boolean) {
    this.#enabled = said;
    if (!said) for (const off of this.#offs) off.abort();
  }

  /** Whether there are prices that can be stood behind. */
  async isAvailable(): Promise<boolean> {
    return (await this.health())?.status === "ok";
  }

  /** How many prices of which pairs, and what is amiss. */
  async health(): Promise<Served | null> {
    return this.#record(await this.get<Served>("/health"));
  }

  /** Every price of the spot sources and of pools, or of the one source named. A pool has a price, and
   * neither bid nor ask: `"bid_px" in price` tells them apart. */
  async getPrices(source?: string): Promise<(Price | PoolPrice)[] | null> {
    return this.#rows(await this.get<(Price | PoolPrice)[]>("/prices", { source }));
  }

  /** The same of one pair: BTC/USDT or BTC-USDT. */
  async getPairPrices(pair: string, source?: string): Promise<(Price | PoolPrice)[] | null> {
    // Nothing is no pair: without one the path would be that of all prices, as with dots alone.
    const named = written(pair).replace(/^\/+|\/+$/g, "").replace(/^\.*$/, " $&");
    const path = `/prices/${encodeURIComponent(named)}`;
    return this.#rows(await this.get<(Price | PoolPrice)[]>(path, { source }));
  }

  /** Where spot can be bought in one place and sold in another, after both fees. */
  async scanArbitrage(thresholdPct = THRESHOLD_PCT): Promise<Arbitrage[] | null> {
    const body = { threshold_pct: thresholdPct };
    const found = this.#record(await this.#ask<Arbitrages>("/scan-arbitrage", this.#timeoutMs, body));
    return found && this.#rows(found.opportunities);
  }

  /** Spreads as they stand, the highest net first. */
  async spreads(
    wanted: { symbol?: string; direction?: string; usable?: boolean; count?: number } = {},
  ): Promise<Spread[] | null> {
    return this.#rows(await this.get<Spread[]>("/v1/spreads", wanted));
  }

  /** What the tracker stored, newest first; the next page begins before the last one's id. */
  async opportunities(
    wanted: { symbol?: string; beforeId?: number; count?: number } = {},
  ): Promise<OpportunityRow[] | null> {
    const { symbol, beforeId, count } = wanted ?? {};
    const params = { symbol, before_id: beforeId, count };
    return this.#rows(await this.get<OpportunityRow[]>("/v1/opportunities", params));
  }

  /** Any other call of docs/gateway.md: get("/v1/why/BTC-USDT", { count: 1 }). One that takes its
   * time is waited for, unless `timeoutMs` says otherwise. */
  async get<T = unknown>(path: string, params: Params = {}, timeoutMs?: number): Promise<T | null> {
    const said = Object.entries(params ?? {}).filter(([, value]) => value !== undefined && value !== null);
    const query = new URLSearchParams(said.map(([name, value]) => [name, written(value)])).toString();
    // The gateway's path: what looks like more of its address is no other server, who would be told the token.
    const own = `/${written(path).replace(/^\/+/, "")}`;
    const slowMs = SLOW_MS.find(([slow]) => own.startsWith(slow))?.[1] ?? 0;
    const patienceMs = timeoutMs ?? Math.max(this.#timeoutMs, slowMs);
    return this.#ask<T>(query ? `${own}${own.includes("?") ? "&" : "?"}${query}` : own, patienceMs);
  }

  /** Frames of /v1/stream, for ever. When it is lost, a frame of type `away` says why, and again at
   * each try that fails; when it is back, the wish is said anew: a snapshot comes, and
   * the events since the last ones. It ends when `enabled` is switched off. */
  async *stream(kinds: Kind[], wish: Wish = {}): AsyncGenerator<Frame> {
    if (!this.enabled) return;
    const off = new AbortController();
    this.#offs.add(off);
    try {
      yield* this.#follow({ kinds, ...wish }, off.signal);
    } finally {
      this.#offs.delete(off);
    }
  }

  async *#follow(wish: Wish & { kinds: Kind[] }, off: AbortSignal): AsyncGenerator<Frame> {
    const url = this.url.replace(/^http/i, "ws") + PATH;
    let pauseMs = 0;
    while (!off.aborted) {
      try {
        for await (const frame of framesOf(url, this.#token, wish, off)) {
          // Who is let go as soon as it has wished asks less and less often, too.
          if (frame.type !== "hello") pauseMs = 0;
          yield frame;
          if (off.aborted) return;
        }
      } catch (error) {
        if (!off.aborted) yield { type: "away", reason: told(error) };
      }
      pauseMs = nextPauseMs(pauseMs);
      await rest(pauseMs, off);
    }
  }

  async #ask<T>(path: string, timeoutMs: number, body?: unknown): Promise<T | null> {
    if (!this.enabled) return this.#none("switched off (USE_RUST_CACHE, `enabled`)");
    const headers: Record<string, string> = { "content-type": "application/json" };
    if (this.#token) headers["authorization"] = `Bearer ${this.#token}`;
    try {
      const signal = timed(timeoutMs);
      const more = body === undefined ? {} : { method: "POST", body: jsonOf(body) };
      return await this.#read<T>(await fetch(this.url + path, { headers, signal, ...more }));
    } catch (error) {
      return this.#none(told(error));
    }
  }

  /** Bad health is told with 503, and is a record, too. */
  async #read<T>(answer: Response): Promise<T | null> {
    const kind = answer.headers.get("content-type") ?? "";
    const text = await bounded(answer, ANSWER_BYTES_MAX);
    if (text === null) return this.#none(`an answer of more than ${ANSWER_BYTES_MAX} bytes`);
    const record = parsed(text) as T | undefined;
    if (record === undefined) {
      const of = kind.split(";")[0] || "something";
      return this.#none(`no JSON but ${of} (HTTP ${answer.status}): a call of text, or is this no gateway?`);
    }
    if (kind.startsWith("application/json")) {
      this.reason = "";
      return record;
    }
    const { code, detail } = (record ?? {}) as { code?: string; detail?: string };
    return this.#none(code ? `${code}: ${detail}` : `HTTP ${answer.status}: is this a gateway?`);
  }

  #record<T>(told: T | null): T | null {
    return told === null || !Array.isArray(told) ? told : this.#odd();
  }

  #rows<T>(told: T[] | null): T[] | null {
    return told === null || Array.isArray(told) ? told : this.#odd();
  }

  #odd(): null {
    return this.#none(ODD);
  }

  #none(reason: string): null {
    this.reason = reason;
    return null;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function told(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error ? `${error.message}: ${cause.message}` : error.message;
}

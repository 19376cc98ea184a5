// Jupiter's quotes, for when the gateway is away or has no route; and the mixed strategy: what the
// gateway's cache has at once, Jupiter's as they come. The rules are those of the client for Python.

import { addressOf, keyOf, timeoutOf, written } from "./address.js";
import { bounded } from "./bodies.js";
import { ODD, type SpreadClient } from "./client.js";
import type { Arbitrage } from "./records.js";

const URL_OF_JUPITER = "https://api.jup.ag";
const PATHS = { v1: "/swap/v1/quote", v2: "/swap/v2/order" };
const TIMEOUT_MS = 5_000;
const ANSWER_BYTES_MAX = 1 << 20; // a route of ten pools is some 5 KB
const SAID_MAX = 100; // letters of a code that are repeated
const ALL_BPS = 10_000;
const REQUESTS_PER_S = 1;
const SLIPPAGE_BPS = 50;
const THRESHOLD_PCT = 0.3;
const REST_MS_MIN = 1_000;
const REST_MS_MAX = 60_000;

/** One pool of a route, in smallest units; `shareBps` of what comes to it goes this way. */
export interface JupiterHop {
  pool: string;
  label: string;
  mintIn: string;
  mintOut: string;
  amountIn: bigint;
  amountOut: bigint;
  shareBps: number;
}

/** What so much would give, by the slot that Jupiter knew; `route` are its ordered pools. */
export interface JupiterQuote {
  mintIn: string;
  mintOut: string;
  amountIn: bigint;
  amountOut: bigint;
  leastOut: bigint;
  slot: number | null;
  hops: JupiterHop[];
  route: string[];
}

/** What nobody says is the environment's: JUPITER_URL, JUPITER_API_KEY. */
export interface JupiterOptions {
  url?: string;
  key?: string;
  version?: keyof typeof PATHS;
  requestsPerS?: number;
  timeoutMs?: number;
}

/** So much of a mint, in smallest units, through another one and back. */
export interface JupiterCycle {
  mint: string;
  through: string;
  amount: bigint;
}

/** What one of the two has found: the cache's own record, or Jupiter's quotes there and back. */
export type MixedFind =
  | { toldBy: "cache"; route: string[]; profitPct: number; record: Arbitrage }
  | { toldBy: "jupiter"; route: string[]; profitPct: number; quotes: [JupiterQuote, JupiterQuote] };

/** One request's. What it waits for is the answer to the one so many before it, which has come to
 * Jupiter by then, however long it was on its way. */
class Turn {
  /** When it was answered, or given up. */
  overMs: number | null = null;
  end!: () => void;
  readonly over = new Promise<void>((resolve) => {
    this.end = () => {
      this.overMs = performance.now();
      resolve();
    };
  });
  /** It begins no sooner than `earliestMs`. */
  constructor(readonly earliestMs: number) {}
}

export class JupiterClient {
  readonly url: string;
  /** Why the last answer was null; empty: it was not. */
  reason = "";
  readonly #path: string;
  readonly #key: string;
  readonly #timeoutMs: number;
  readonly #burst: number;
  readonly #windowMs: number;
  readonly #turns: Turn[] = [];
  #restUntilMs = 0;
  #refusals = 0;

  /** Throws for what cannot be asked. */
  constructor({
    url, key, version = "v1", requestsPerS = REQUESTS_PER_S, timeoutMs = TIMEOUT_MS,
  }: JupiterOptions = {}) {
    const environ = globalThis.process?.env ?? {};
    this.url = addressOf("Jupiter", url || environ["JUPITER_URL"] || URL_OF_JUPITER, "JUPITER_URL");
    if (!(version in PATHS)) throw new TypeError(`no version of Jupiter: ${version}`);
    if (!(requestsPerS > 0 && requestsPerS <= 10_000)) {
      throw new TypeError(`no pace, 0 to 10,000 are allowed: ${requestsPerS}`);
    }
    this.#path = PATHS[version];
    this.#key = keyOf("key of Jupiter (key, JUPITER_API_KEY)", key || environ["JUPITER_API_KEY"] || "");
    this.#timeoutMs = timeoutOf(timeoutMs);
    this.#burst = Math.max(1, Math.floor(requestsPerS));
    this.#windowMs = (1_000 * this.#burst) / requestsPerS;
  }

  /** What so much of the one gives of the other. Waits for its turn, as long as that comes within
   * the time-out. `more`: Jupiter's own parameters. */
  async quote(
    mintIn: string, mintOut: string, amount: bigint, more: Record<string, string | number | boolean> = {},
  ): Promise<JupiterQuote | null> {
    if (typeof amount !== "bigint" || amount < 1n) {
      return this.#none(`refused: an amount of ${written(amount)}, which is to be a bigint of at least 1`);
    }
    const untilMs = performance.now() + this.#timeoutMs;
    const before = this.#turns.length === this.#burst ? this.#turns[0]! : null;
    const turn = this.#next(before);
    if (turn === null) return null;
    try {
      if (before !== null) await this.#over(before);
      if (this.#rests()) return null; // it has refused others meanwhile
      return await this.#asked(untilMs, mintIn, mintOut, amount, more);
    } catch (error) {
      return this.#none(error instanceof Error ? error.message : String(error));
    } finally {
      turn.end();
    }
  }

  async #asked(
    untilMs: number, mintIn: string, mintOut: string, amount: bigint, more: Record<string, string | number | boolean>,
  ): Promise<JupiterQuote | null> {
    const said = { inputMint: mintIn, outputMint: mintOut, amount, slippageBps: SLIPPAGE_BPS, ...more };
    const query = new URLSearchParams(Object.entries(said).map(([name, value]) => [name, written(value)]));
    const signal = AbortSignal.timeout(Math.max(1, Math.ceil(untilMs - performance.now())));
    const headers: Record<string, string> = this.#key ? { "x-api-key": this.#key } : {};
    const asked = fetch(`${this.url}${this.#path}?${query}`, { headers, signal, redirect: "manual" });
    const found = await this.#read(await asked);
    if (found === null || answers(found, mintIn, mintOut, amount)) return found;
    return this.#none("another quote than was asked for");
  }

  /** Taken at once, so that nobody else takes the same; null: there is none within the time-out. */
  #next(before: Turn | null): Turn | null {
    if (this.#rests()) return null;
    const nowMs = performance.now();
    const earliestMs = before === null ? nowMs : Math.max(nowMs, (before.overMs ?? before.earliestMs) + this.#windowMs);
    if (earliestMs - nowMs > this.#timeoutMs) return this.#none("limited: its turn comes after the time-out");
    const turn = new Turn(earliestMs);
    this.#turns.push(turn);
    if (this.#turns.length > this.#burst) this.#turns.shift();
    return turn;
  }

  /** Until so long after another turn that the next one may begin. */
  async #over(before: Turn): Promise<void> {
    await before.over;
    const restMs = (before.overMs ?? 0) + this.#windowMs - performance.now();
    if (restMs > 0) await new Promise((resolve) => setTimeout(resolve, Math.ceil(restMs) + 1));
  }

  #rests(): boolean {
    const restS = (this.#restUntilMs - performance.now()) / 1_000;
    if (restS > 0) this.reason = `limited: it is asked again in ${restS.toFixed(1)} s`;
    return restS > 0;
  }

  async #read(answer: Response): Promise<JupiterQuote | null> {
    if (answer.status === 429) return this.#rest(answer.headers.get("retry-after") ?? "");
    if (answer.status === 401 || answer.status === 403) {
      return this.#none(`key: it is refused (HTTP ${answer.status}): JUPITER_API_KEY`);
    }
    const text = await bounded(answer, ANSWER_BYTES_MAX);
    if (text === null) return this.#none(`an answer of more than ${ANSWER_BYTES_MAX} bytes`);
    if (!answer.ok) return this.#none(refused(answer.status, text));
    this.#refusals = 0;
    try {
      const found = readQuote(text);
      this.reason = "";
      return found;
    } catch (error) {
      return this.#none(`another shape than Jupiter's: ${error instanceof Error ? error.message : error}`);
    }
  }

  /** For as long as it says, or twice as long as the last time; requests that were under way
   * together and are refused are one time. */
  #rest(retryAfter: string): null {
    const nowMs = performance.now();
    if (nowMs >= this.#restUntilMs) this.#refusals += 1;
    let restMs = Math.min(REST_MS_MIN * 2 ** Math.min(this.#refusals - 1, 6), REST_MS_MAX);
    if (/^\d+$/.test(retryAfter.trim())) {
      restMs = Math.min(Math.max(restMs, 1_000 * Number(retryAfter)), REST_MS_MAX);
    }
    this.#restUntilMs = Math.max(this.#restUntilMs, nowMs + restMs);
    return this.#none(`limited: too many requests, it is asked again in ${(restMs / 1_000).toFixed(1)} s`);
  }

  #none(reason: string): null {
    this.reason = reason;
    return null;
  }
}

/** What the cache has, at once, the best first; then of each cycle what Jupiter says, where that
 * reaches the threshold. A route is its ordered pools, and told once, whoever finds it. One of the
 * two that is away costs the other nothing: why is in its `reason`, and so is that a row of the
 * cache's was left out for its shape. */
export async function* mixed(
  gateway: Pick<SpreadClient, "scanArbitrage" | "reason">, jupiter: JupiterClient, cycles: Iterable<JupiterCycle>, thresholdPct = THRESHOLD_PCT,
): AsyncGenerator<MixedFind> {
  const told = new Set<string>();
  const isNew = (route: string[]) => told.size !== told.add(route.join(" ")).size;
  for (const record of (await gateway.scanArbitrage(thresholdPct)) ?? []) {
    const route = [record?.pool_a_id, record?.pool_b_id];
    const profitPct = record?.estimated_profit_pct;
    if (typeof profitPct !== "number" || route.some((one) => typeof one !== "string")) {
      gateway.reason = ODD;
    } else if (isNew(route)) {
      yield { toldBy: "cache", route, profitPct, record };
    }
  }
  for (const cycle of cycles) {
    const found = await cycleOf(jupiter, cycle);
    if (found !== null && found.profitPct >= thresholdPct && isNew(found.route)) yield found;
  }
}

/** A cycle by two quotes; null where one of them is not to be had. */
export async function cycleOf(
  jupiter: JupiterClient, { mint, through, amount }: JupiterCycle,
): Promise<Extract<MixedFind, { toldBy: "jupiter" }> | null> {
  const there = await jupiter.quote(mint, through, amount);
  if (there === null || there.amountOut === 0n) return null;
  const back = await jupiter.quote(through, mint, there.amountOut);
  if (back === null) return null;
  const profitPct = (100 * Number(back.amountOut - amount)) / Number(amount);
  return { toldBy: "jupiter", route: [...there.route, ...back.route], profitPct, quotes: [there, back] };
}

interface Step {
  swapInfo: Record<"ammKey" | "label" | "inputMint" | "outputMint" | "inAmount" | "outAmount", string>;
  percent?: number;
  bps?: number;
}

/** An answer of either interface. Throws for another shape, and for amounts that are none. */
export function readQuote(text: string): JupiterQuote {
  const told = JSON.parse(text) as Record<string, unknown>;
  const plan = told["routePlan"];
  if (!Array.isArray(plan) || plan.length === 0) throw new TypeError("a quote without a route");
  const hops = (plan as Step[]).map(({ swapInfo, percent, bps }) => ({
    pool: word(swapInfo?.ammKey),
    label: String(swapInfo?.label ?? ""),
    mintIn: word(swapInfo?.inputMint),
    mintOut: word(swapInfo?.outputMint),
    amountIn: amountOf(swapInfo?.inAmount),
    amountOut: amountOf(swapInfo?.outAmount),
    shareBps: shareOf(bps ?? (percent ?? 100) * 100),
  }));
  const slot = told["contextSlot"];
  return {
    mintIn: word(told["inputMint"]),
    mintOut: word(told["outputMint"]),
    amountIn: amountOf(told["inAmount"]),
    amountOut: amountOf(told["outAmount"]),
    leastOut: amountOf(told["otherAmountThreshold"]),
    slot: typeof slot === "number" ? slot : null,
    hops,
    route: hops.map((hop) => hop.pool),
  };
}

/** Whether it is what was asked for; an amount that comes out is, by swapMode=ExactOut. */
function answers(found: JupiterQuote, mintIn: string, mintOut: string, amount: bigint): boolean {
  const asked = found.mintIn === mintIn && found.mintOut === mintOut;
  return asked && (found.amountIn === amount || found.amountOut === amount);
}

function shareOf(bps: unknown): number {
  if (typeof bps !== "number" || !(bps >= 0 && bps <= ALL_BPS)) throw new TypeError(`no share: ${String(bps)}`);
  return Math.round(bps);
}

function word(said: unknown): string {
  if (typeof said !== "string" || said === "") throw new TypeError(`no key: ${String(said)}`);
  return said;
}

function amountOf(said: unknown): bigint {
  if (typeof said !== "string" || !/^\d{1,20}$/.test(said)) throw new TypeError(`no amount: ${String(said)}`);
  return BigInt(said);
}

/** In words: no route is usual, and said with 400 and a code. */
function refused(status: number, text: string): string {
  let code: unknown;
  try {
    code = (JSON.parse(text) as { errorCode?: unknown } | null)?.errorCode;
  } catch {
    code = undefined;
  }
  if (typeof code !== "string") return `refused: HTTP ${status}`;
  const told = code.slice(0, SAID_MAX);
  return code.includes("ROUTE") ? `no_route: ${told}` : `refused: ${told}`;
}

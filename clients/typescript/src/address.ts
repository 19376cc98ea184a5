// What can be asked at all: an address that fetch takes with paths behind it, a key that a header
// holds, a time-out that a timer keeps; and how what is said is written, which throws for nothing
// but a circle in JSON.

const UNWRITTEN = /[\s\x00-\x1f\x7f?#\\<>"^`{|}]/;
const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;

/** An address as it is asked, the slashes behind it left out. Throws, and tells no user and no
 * password; there are to be none, which fetch refuses, and would tell. */
export function addressOf(whom: string, said: unknown, variable: string): string {
  const text = typeof said === "string" ? said : typeof said;
  const url = text.replace(/\/+$/, "");
  if (canBeDialled(url)) return url;
  throw new TypeError(
    `no address of ${whom} (url, ${variable}), a URL of http or https without user and password: ` +
      text.slice(text.lastIndexOf("@") + 1),
  );
}

function canBeDialled(url: string): boolean {
  if (!/^https?:\/\/[^/@]+(\/|$)/i.test(url) || UNWRITTEN.test(url)) return false;
  try {
    const { port, hostname } = new URL(url);
    return port !== "0" && (hostname.startsWith("[") || hostname.replace(/\.$/, "").split(".").every((one) => LABEL.test(one)));
  } catch {
    return false;
  }
}

const TIMEOUT_MS_MAX = 3_600_000;

/** So many milliseconds. Throws for what is none. */
export function timeoutOf(said: unknown): number {
  const timeoutMs = numberOf(said);
  if (timeoutMs > 0 && timeoutMs <= TIMEOUT_MS_MAX) return timeoutMs;
  throw new TypeError(`no time-out, 0 to ${TIMEOUT_MS_MAX} are allowed: ${written(said)}`);
}

/** NaN where it is none. */
export function numberOf(said: unknown): number {
  try {
    return said === null ? NaN : Number(said);
  } catch {
    return NaN;
  }
}

/** What a timer keeps of it: whole ones, and not so many that it would begin at none again. */
export function timed(saidMs: unknown): AbortSignal {
  const timeoutMs = Math.min(Math.max(numberOf(saidMs), 0), TIMEOUT_MS_MAX);
  // A timer of nothing ends at its next turn, which an answer may come before.
  if (!timeoutMs) return AbortSignal.abort(new DOMException("there is no time to wait", "TimeoutError"));
  return AbortSignal.timeout(Math.ceil(timeoutMs));
}

/** A token or key that a header can hold. Throws, and does not tell it. */
export function keyOf(whom: string, said: unknown): string {
  if (typeof said === "string" && /^[ -~]*$/.test(said)) return said;
  throw new TypeError(`no ${whom}: letters, digits and signs of ASCII in one line`);
}

/** Halves of a surrogate are no letters: nothing is named so, and no URL has them. */
export function written(said: unknown): string {
  try {
    return String(said).replace(/\p{Surrogate}/gu, "\ufffd");
  } catch {
    return typeof said; // an object without a text
  }
}

/** A number is one, of whatever kind; what JSON has not is null, of which the gateway says what is
 * allowed. Throws for a circle. */
export function jsonOf(said: unknown): string {
  return JSON.stringify(said, (_, one: unknown) => {
    if (typeof one === "bigint") return Number(one);
    if (typeof one === "string") return written(one);
    return typeof one === "symbol" || typeof one === "function" ? null : one;
  });
}

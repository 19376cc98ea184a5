// What can be asked at all: an address that fetch takes with paths behind it, a key that a header
// holds, a time-out that a timer keeps.

/** fetch takes no user and no password in an address, and would tell both where it refuses them. */
export function canBeDialled(url: string): boolean {
  try {
    const { port, username, password } = new URL(url);
    return /^https?:\/\/[^/]/i.test(url) && !/[?#]/.test(url) && port !== "0" && !username && !password;
  } catch {
    return false;
  }
}

/** An address to be shown: without a user and a password. */
export function shown(url: string): string {
  return url.slice(url.lastIndexOf("@") + 1);
}

const TIMEOUT_MS_MAX = 3_600_000;

/** So many milliseconds. Throws for what is none. */
export function timeoutOf(said: number): number {
  if (said > 0 && said <= TIMEOUT_MS_MAX) return said;
  throw new TypeError(`no time-out, 0 to ${TIMEOUT_MS_MAX} are allowed: ${said}`);
}

/** What a timer keeps of it: whole ones, and not so many that it would begin at none again. */
export function timed(saidMs: number): AbortSignal {
  return AbortSignal.timeout(Math.ceil(Math.min(Math.max(saidMs, 0), TIMEOUT_MS_MAX)));
}

export const SENDABLE = "letters, digits and signs of ASCII in one line";

export function canBeSent(key: string): boolean {
  return /^[ -~]*$/.test(key);
}

// What can be asked at all: an address that fetch takes with paths behind it, a key that a header holds.

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

export const SENDABLE = "letters, digits and signs of ASCII in one line";

export function canBeSent(key: string): boolean {
  return /^[ -~]*$/.test(key);
}

// What is of this browser and not of a link: the theme, whose time, rules, what is muted until when. A
// browser that keeps nothing (a private one) forgets it with the page.

const NAME = "spread-scanner";
export const FOREVER = Number.MAX_SAFE_INTEGER;
export const HOUR_MS = 3_600_000;

// When the day of a moment ends, as the page shows times.
export function dayEnds(now, utc) {
  const day = new Date(now);
  return utc ? day.setUTCHours(24, 0, 0, 0) : day.setHours(24, 0, 0, 0);
}

export class Preferences {
  constructor(storage = readable()) {
    this.storage = storage;
    let kept = {};
    try {
      kept = JSON.parse(storage?.getItem(NAME) ?? "{}") ?? {};
    } catch {
      // what nobody can read is what nobody said
    }
    this.theme = ["dark", "light"].includes(kept.theme) ? kept.theme : "";
    this.utc = kept.utc !== false;
    this.rules = Array.isArray(kept.rules) ? kept.rules : null;
    this.mutes = typeof kept.mutes === "object" && kept.mutes ? kept.mutes : {};
  }

  set(change) {
    Object.assign(this, change);
    const { theme, utc, rules, mutes } = this;
    try {
      this.storage?.setItem(NAME, JSON.stringify({ theme, utc, rules, mutes }));
    } catch {
      // it holds for as long as the page is open
    }
  }

  mute(key, until) {
    const mutes = { ...this.mutes, [key]: until };
    if (!until) delete mutes[key];
    this.set({ mutes });
  }

  // Keys that are muted at a moment of the wall clock.
  muted(now = Date.now()) {
    return new Set(Object.keys(this.mutes).filter((key) => this.mutes[key] > now));
  }
}

function readable() {
  try {
    return globalThis.localStorage;
  } catch {
    return null;
  }
}

// What the page says of itself: whether what it shows is what stands. A pure function.

import { duration } from "./figures.js";

const OLD_MS = 2_000;

// answeredAt: when the board was told last (0: never); failure: {code, detail, retryAt} of the ask
// after that, if it failed. Times by the page's own clock.
export function freshnessOf({ answeredAt, failure, refused }, now) {
  const age = answeredAt ? ` What is shown is ${duration(now - answeredAt)} old.` : "";
  if (failure?.code === "no_token") return { kind: "login", text: "Log in to go on." };
  if (failure) {
    const wait = Math.max(0, failure.retryAt - now);
    const again = wait < 500 ? "asking again" : `asking again in ${duration(Math.ceil(wait / 1e3) * 1e3)}`;
    const what = failure.code ? failure.detail : `Disconnected: ${failure.detail}`;
    return { kind: "away", text: `${what}; ${again}.${age}` };
  }
  if (!answeredAt) return { kind: "away", text: "Connecting." };
  if (now - answeredAt > OLD_MS) return { kind: "old", text: `Waiting for the gateway.${age}` };
  return { kind: "live", text: refused ? "Live, not pushed" : "Live" };
}

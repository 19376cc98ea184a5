// Asks the gateway. What it refuses is an error with the gateway's own code and words.

const PATIENCE_MS = 5_000;

export class Refused extends Error {
  constructor(status, code, detail) {
    super(detail);
    Object.assign(this, { status, code });
  }
}

export class Away extends Error {}

export async function ask(path, { signal, method = "GET", body, headers, patience = PATIENCE_MS } = {}) {
  const patient = AbortSignal.timeout(patience);
  const either = signal ? AbortSignal.any([signal, patient]) : patient;
  let answer;
  try {
    answer = await fetch(path, { method, body, headers, signal: either, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Away(patient.aborted ? "no answer in time" : "nobody answers");
  }
  if (answer.status === 204) return null;
  const text = await answer.text().catch((error) => {
    if (signal?.aborted) throw error;
    throw new Away(patient.aborted ? "no answer in time" : "an answer that ends in the middle");
  });
  if (answer.ok && answer.headers.get("content-type")?.startsWith("text/")) return text;
  const said = readable(text);
  if (said === undefined) throw new Away("an answer that ends in the middle");
  if (!answer.ok && said?.code) throw new Refused(answer.status, said.code, said.detail);
  return said;
}

// The page asks under its own address, so that only what is torn is no JSON.
function readable(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export const logIn = (token) => ask("/page/login", { method: "POST", body: token });
export const logOut = () => ask("/page/logout", { method: "POST" });

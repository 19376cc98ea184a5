// Numbers as people read them. What is not known is a dash, never a zero; a sign is always written.

export const UNKNOWN = "–";
const MINUS = "−";
const NS_PER_MS = 1e6;

export const known = (value) => typeof value === "number" && Number.isFinite(value);

export function signed(value, digits = 1) {
  if (!known(value)) return UNKNOWN;
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value < 0 ? MINUS : "+") + text;
}

export function plain(value, digits = 1) {
  if (!known(value)) return UNKNOWN;
  const text = Math.abs(value).toFixed(digits);
  return (value < 0 && Number(text) !== 0 ? MINUS : "") + text;
}

// 1,234 is 1.23k: a size is compared, not booked.
export function money(value) {
  if (!known(value)) return UNKNOWN;
  const units = [[1e9, "G"], [1e6, "M"], [1e3, "k"]];
  const size = Math.abs(value);
  const [unit, name] = units.find(([least]) => size >= least * 0.9995) ?? [1, ""];
  return plain(value / unit, size / unit >= 100 ? 0 : size / unit >= 10 ? 1 : 2) + name;
}

// Seven digits that mean something, and no zeros behind them.
export function price(value) {
  if (!known(value)) return UNKNOWN;
  if (value === 0) return "0";
  const digits = Math.max(0, Math.min(12, 6 - Math.floor(Math.log10(Math.abs(value)))));
  const text = value.toFixed(digits);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

// What would have begun later than now is not known.
export function duration(ms) {
  if (!known(ms) || ms < 0) return UNKNOWN;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1e3).toFixed(1)} s`;
  const s = Math.max(60, ms / 1e3);
  if (s < 3600) return `${Math.floor(s / 60)} m ${String(Math.floor(s % 60)).padStart(2, "0")} s`;
  const h = s / 3600;
  if (h < 24) return `${Math.floor(h)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} m`;
  return `${Math.floor(h / 24)} d ${Math.floor(h % 24)} h`;
}

export function percent(fraction, digits = 4) {
  return known(fraction) ? `${signed(fraction * 100, digits)}%` : UNKNOWN;
}

export function count(value) {
  return known(value) ? Math.round(value).toLocaleString("en-US") : UNKNOWN;
}

// Of the session clock or the wall's: both count nanoseconds of 1970.
export function time(ns, { utc = true, date = false } = {}) {
  if (!known(ns) || ns <= 0) return UNKNOWN;
  const at = new Date(ns / NS_PER_MS);
  const two = (value) => String(value).padStart(2, "0");
  const of = (name) => at[`get${utc ? "UTC" : ""}${name}`]();
  const day = `${of("FullYear")}-${two(of("Month") + 1)}-${two(of("Date"))} `;
  const hour = `${two(of("Hours"))}:${two(of("Minutes"))}:${two(of("Seconds"))}`;
  return (date ? day : "") + hour + (utc ? "Z" : "");
}

// Which of five depths of colour a spread has, with its sign: 0 is next to nothing.
export function heat(bps) {
  if (!known(bps)) return 0;
  const size = Math.abs(bps);
  const step = size < 1 ? 0 : size < 5 ? 1 : size < 15 ? 2 : size < 40 ? 3 : size < 100 ? 4 : 5;
  return bps < 0 ? -step : step;
}

// What became of the opportunities: what trades would have earned, and what still stood after a
// while. The record of /v1/report, with the headings of spread-ctl report; docs/economics.md has them.

import * as figures from "./figures.js";
import { trouble } from "./sources.js";
import { html } from "./ui.js";

const AGAIN_MS = 300_000; // a child makes it, which takes seconds
const PATIENCE_MS = 40_000;
export const SPANS = ["1h", "24h", "7d", "all"];
const OUTCOMES = ["all", "converged", "stale", "expired", "gap", "retired", "open"];

const count = figures.count;
const bps = (value) => figures.signed(value);
// In whole per cent; all is 100 and none is 0, and nothing else (tracker/report_text.py).
export const share = (value) => {
  if (!figures.known(value)) return figures.UNKNOWN;
  if (value >= 0.995 && value < 1) return ">99 %";
  return value > 0 && value <= 0.005 ? "<1 %" : `${Math.round(100 * value)} %`;
};

// Of each table its title, its headings, and a line for each row, whose first cell names it.
export function tablesOf({ total, directions, quality }) {
  const left = new Map(total.left_after.map((one) => [one.after_ms, one]));
  return [
    ["What a trade would have earned, bps", ["Count", "Known", "Mean", "Median", "Above 0", "10 %", "90 %"],
      OUTCOMES.filter((name) => total.outcomes[name]).map((name) => {
        const one = total.outcomes[name];
        return [name, count(one.opportunities), count(one.known), bps(one.mean_bps), bps(one.median_bps),
          share(one.share_positive), bps(one.p10_bps), bps(one.p90_bps)];
      })],
    ["Still standing after", ["Net ≥ 0", "≥ enter", "Looks", "Not renewed", "Missing", "Left, bps", "Of it > 0"],
      total.standing.map((one) => [figures.duration(one.after_ms), share(one.share_not_negative), share(one.share_over_enter),
        count(one.taken), count(one.not_renewed), count(one.missing),
        bps(left.get(one.after_ms)?.median_bps), share(left.get(one.after_ms)?.share_positive)])],
    ["By size, in the quote coin", ["Carried", "Mean", "Median", "Above 0", "Earned", "A day"],
      total.by_size.map((one) => [figures.money(one.size_quote), `${count(one.carried)} of ${count(one.events)}`, bps(one.mean_bps),
        bps(one.median_bps), share(one.share_positive), figures.money(one.earned_quote), figures.money(one.per_day_quote)])],
    ["By direction", ["Opened", "Open", "Net, median", "Result, mean", "Median", "Above 0", "Half-life", "A day"],
      directions.map((one) => [one.direction.replace("-", " → "), count(one.opportunities), count(one.left_open), bps(one.entry_net_bps_median),
        bps(one.outcomes.all?.mean_bps), bps(one.outcomes.all?.median_bps), share(one.outcomes.all?.share_positive),
        figures.duration(one.half_life_ms), figures.money(one.money.per_day_quote)])],
    ["How far to trust this", [""],
      [["Tracked", figures.duration(quality.tracked_s * 1e3)], ["Samples", count(quality.samples)],
        ["Late, missed, lost", [quality.late, quality.missed, quality.lost].map(count).join(", ")],
        ["Gaps", `${count(quality.gaps)}, ${figures.duration(quality.gap_ms)}`],
        ["Without a result", count(quality.result_unknown)], ["Funding not known", count(quality.funding_unknown)]]],
  ].filter(([, , lines]) => lines.length);
}

export function Report({ page }) {
  const { state, watched } = page;
  const found = watched.look(`/v1/report?since=${state.span}`, AGAIN_MS, PATIENCE_MS);
  const made = found.answer;
  return html`<div class="panel"><h2>Report</h2>
    <p>Opened within ${SPANS.map((span) => html`<button key=${span} type="button" aria-pressed=${span === state.span}
      onClick=${() => page.set({ span })}>${span}</button> `)}</p>
    ${trouble(found)}${!made && !found.error && html`<p role="status">It is being made; this takes some seconds.</p>`}
    ${made && html`<p>${count(made.total.opportunities)} opportunities, ${count(made.total.money.events)} events:
      ${" "}${figures.money(made.total.money.earned_quote)} ${made.quotes.join(" or ")} earned, at no more than ${figures.money(made.size_cap_quote)} each
      ${figures.known(made.total.money.per_day_quote) ? `; ${figures.money(made.total.money.per_day_quote)} a day` : ""}.</p>
      ${tablesOf(made).map(([title, headings, lines]) => html`<section key=${title}><h3>${title}</h3>
        <div class="wide" tabindex="0" role="region" aria-label=${title}><table>
          ${headings[0] && html`<thead><tr><td></td>${headings.map((heading) => html`<th key=${heading} scope="col" class="figure">${heading}</th>`)}</tr></thead>`}
          <tbody>${lines.map(([name, ...cells]) => html`<tr key=${name}><th scope="row">${name}</th>${cells.map((cell, n) => html`<td key=${n} class="figure">${cell}</td>`)}</tr>`)}</tbody></table></div></section>`)}`}
  </div>`;
}

// Opportunities as the tracker stored them: what became of each, and which still stand.

import { ask } from "./ask.js";
import * as figures from "./figures.js";
import { partOf } from "./ordering.js";
import { Heads, html } from "./ui.js";

const SHOWN = 200;

// By id: the newest, those of beneath that stand, and the older ones that were asked for.
export function allOf({ opportunities, beneath }, older) {
  const found = new Map([...older, ...beneath, ...opportunities].map((row) => [row.id, row]));
  return [...found.values()].sort((one, other) => other.id - one.id);
}

// Ids of those that are open as the tracker said last. What was asked for earlier is not asked again.
export const standingOf = ({ opportunities, beneath }) =>
  new Set([...opportunities, ...beneath].filter((row) => row.closed_ns === null).map((row) => row.id));

export function lasted(row, board, standing, at) {
  if (row.closed_ns !== null) return figures.duration((row.closed_ns - row.opened_ns) / 1e6);
  if (!standing.has(row.id)) return "ended since";
  return board.unfollowed || `still there, ${figures.duration(board.sinceMs(row.opened_ns / 1e6, at))}`;
}

const realised = (row) => `${figures.signed(row.realised_bps ?? row.mark_bps)}${row.realised_bps === null && row.mark_bps !== null ? " (mark)" : ""}`;

const ended = (row, board, standing) => row.reason ?? (standing.has(row.id) && !board.unfollowed ? "open" : figures.UNKNOWN);

// One in a sentence.
export const sentenceOf = (row, board, standing, at, utc) =>
  `Opportunity of ${figures.time(row.opened_ns, { utc })}, ${lasted(row, board, standing, at)}: net ${figures.signed(row.entry_net_bps)} at first, `
  + `${figures.signed(row.peak_net_bps)} at its peak, ${realised(row)} realised; ${ended(row, board, standing)}.`;

export function Opportunities({ page }) {
  const { session, state, preferences, older } = page;
  const standing = standingOf(session);
  const q = partOf(state.q);
  const rows = allOf(session, older).filter((row) => row.symbol.includes(q));
  const open = rows.filter(({ id }) => standing.has(id)).length;
  const more = async () => {
    const last = [...session.opportunities, ...older].at(-1)?.id;
    try {
      if (last) page.older = [...older, ...(await ask(`/v1/opportunities?count=${SHOWN}&before_id=${last}`))];
    } catch (error) {
      return page.say(error.message);
    }
    page.shownRows = (page.shownRows ?? SHOWN) + SHOWN;
    page.frame();
  };
  const shown = page.shownRows ?? SHOWN;
  return html`<div class="panel"><h2>Opportunities</h2>
    <p><label>Symbol <input type="search" value=${state.q} onInput=${(event) => page.set({ q: event.target.value })} /></label>
      ${" "}${session.board.unread || `${session.board.unfollowed || `${open} open`} of ${rows.length} known`}</p>
    <div class="wide" tabindex="0" role="region" aria-label="Opportunities"><table>
      <${Heads} of=${["Opened", "Symbol", "Buy → sell", "Lasted>", "Net at first>", "Peak>", "Realised>", "Size>", "Ages>", "Ended by"]} />
      <tbody>${rows.filter(({ id }, n) => n < shown || standing.has(id)).map((row) => html`<tr key=${row.id} class=${standing.has(row.id) ? "stands" : ""}>
        <td>${figures.time(row.opened_ns, { utc: preferences.utc, date: true })}</td>
        <th scope="row"><button type="button" class="link" onClick=${() => page.set({ pair: `${row.symbol} ${row.direction}` })}>${row.symbol}</button></th>
        <td>${row.direction.replace("-", " → ")}</td>
        <td class="figure">${lasted(row, session.board, standing, performance.now())}</td>
        <td class="figure">${figures.signed(row.entry_net_bps)}</td><td class="figure">${figures.signed(row.peak_net_bps)}</td>
        <td class="figure">${realised(row)}</td>
        <td class="figure">${figures.money(row.depth_size_quote ?? row.entry_size_quote)}</td>
        <td class="figure">${figures.duration(row.entry_spot_age_ns / 1e6)} / ${figures.duration(row.entry_fut_age_ns / 1e6)}</td>
        <td>${ended(row, session.board, standing)}</td></tr>`)}</tbody></table></div>
    ${rows.length === 0 ? !session.board.unread && html`<p>None yet: spread-tracker stores what the engine signals.</p>` : html`<p><button type="button" onClick=${more}>Older ones</button> <button type="button" onClick=${() => page.set({ view: "report" })}>What trades would have earned</button></p>`}
  </div>`;
}

// Opportunities as the tracker stored them: what became of each, and which still stand.

import { ask } from "./ask.js";
import * as figures from "./figures.js";
import { html } from "./ui.js";

const SHOWN = 200;

export function Opportunities({ page }) {
  const { session, state, preferences, older } = page;
  const rows = [...session.opportunities, ...older].filter((row) => row.symbol.includes(state.q.toUpperCase()));
  const open = rows.filter((row) => row.closed_ns === null).length;
  const more = async () => {
    const last = [...session.opportunities, ...older].at(-1)?.id;
    if (last) page.older = [...older, ...(await ask(`/v1/opportunities?count=${SHOWN}&before_id=${last}`))];
    page.shownRows = (page.shownRows ?? SHOWN) + SHOWN;
    page.frame();
  };
  const shown = page.shownRows ?? SHOWN;
  return html`<div class="panel"><h2>Opportunities</h2>
    <p><label>Symbol <input type="search" value=${state.q} onInput=${(event) => page.set({ q: event.target.value })} /></label>
      ${" "}${open} open of ${rows.length} known</p>
    <div class="wide" tabindex="0" role="region" aria-label="Opportunities"><table>
      <thead><tr><th>Opened</th><th>Symbol</th><th>Buy → sell</th><th>Lasted</th><th>Net at first</th><th>Peak</th><th>Realised</th><th>Size</th><th>Ages</th><th>Ended by</th></tr></thead>
      <tbody>${rows.slice(0, shown).map((row) => html`<tr key=${row.id} class=${row.closed_ns === null ? "stands" : ""}>
        <td>${figures.time(row.opened_ns, { utc: preferences.utc, date: true })}</td>
        <th scope="row"><button type="button" class="link" onClick=${() => page.set({ pair: `${row.symbol} ${row.direction}` })}>${row.symbol}</button></th>
        <td>${row.direction.replace("-", " → ")}</td>
        <td class="figure">${row.closed_ns === null
          ? `still there, ${figures.duration(session.board.sessionMs(performance.now()) - row.opened_ns / 1e6)}`
          : figures.duration((row.closed_ns - row.opened_ns) / 1e6)}</td>
        <td class="figure">${figures.signed(row.entry_net_bps)}</td><td class="figure">${figures.signed(row.peak_net_bps)}</td>
        <td class="figure">${figures.signed(row.realised_bps ?? row.mark_bps)}${row.realised_bps === null && row.mark_bps !== null ? " (mark)" : ""}</td>
        <td class="figure">${figures.money(row.depth_size_quote ?? row.entry_size_quote)}</td>
        <td class="figure">${figures.duration(row.entry_spot_age_ns / 1e6)} / ${figures.duration(row.entry_fut_age_ns / 1e6)}</td>
        <td>${row.reason ?? "open"}</td></tr>`)}</tbody></table></div>
    ${rows.length === 0 ? html`<p>None yet: spread-tracker stores what the engine signals.</p>` : html`<p><button type="button" onClick=${more}>Older ones</button> <a href="/v1/report?since=24h">What trades would have earned in 24 h</a></p>`}
  </div>`;
}

// Pools of Solana: what each is worth, what it holds there, and why one cannot be stood behind.

import * as figures from "./figures.js";
import { partOf } from "./ordering.js";
import { trouble } from "./sources.js";
import { Heads, html } from "./ui.js";

const HEADS = ["Pool", "Program", "Pair", "Price>", "Holds>", "Fee>", "Slot>", "Told>", "State"];
const KEY_LETTERS = 6; // to either end of a key; the whole one is its title
const MS = 1e3;

const words = (one) => `${one.symbol ?? ""} ${one.program} ${one.pool}`;

// Those that contain what is searched for, in any of their words; pairs together, those of none last.
export const chosenPools = (pools, q) =>
  pools.filter((one) => words(one).toUpperCase().includes(partOf(q)))
    .sort((one, other) => (one.symbol === null) - (other.symbol === null) || words(one).localeCompare(words(other)));

const short = (key) => `${key.slice(0, KEY_LETTERS)}…${key.slice(-KEY_LETTERS)}`;
const holds = ([one, other]) => `${figures.money(one)} / ${figures.money(other)}`;
const fee = (part) => (figures.known(part) ? `${figures.price(part * 100)}%` : figures.UNKNOWN);
const told = (s) => figures.duration(figures.known(s) ? s * MS : null);

export function Pools({ page }) {
  const asked = page.watched.look("/v1/pools", 500);
  const all = asked.answer ?? [];
  const shown = chosenPools(all, page.state.q);
  const fresh = all.filter((one) => one.fresh).length;
  return html`<div class="panel"><h2>Pools</h2>${trouble(asked)}
    <p><label>Search <input type="search" value=${page.state.q} onInput=${(event) => page.set({ q: event.target.value })} /></label>
      ${" "}${fresh} of ${all.length} can be stood behind</p>
    <div class="wide" tabindex="0" role="region" aria-label="Pools"><table><${Heads} of=${HEADS} />
      <tbody>${shown.map((one) => html`<tr key=${one.pool} class=${one.fresh ? "" : "bad"}>
        <th scope="row"><button type="button" class="link" title=${one.pool} onClick=${() => page.copy(one.pool)}>${short(one.pool)}</button></th>
        <td>${one.program}</td><td>${one.symbol ?? figures.UNKNOWN}</td>
        <td class="figure">${figures.price(one.price)}</td><td class="figure">${holds(one.reserves)}</td><td class="figure">${fee(one.fee)}</td>
        <td class="figure">${one.slot ?? figures.UNKNOWN}</td><td class="figure">${told(one.told_age_s)}</td>
        <td>${one.fresh ? "fresh" : one.why}</td></tr>`)}</tbody></table></div>
    ${asked.answer && !all.length && html`<p>None is watched: feed-solana reads those of pools.toml, where that is enabled.</p>`}
    <p>Price and holdings are in the pool's own order of tokens, without its fee; what a swap would do says <code>spread-ctl pools quote</code>.</p>
  </div>`;
}

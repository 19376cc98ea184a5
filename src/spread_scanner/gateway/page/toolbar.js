// The filters: what they say stands in the address. On a phone all but the search are behind a button,
// which says how many are set.

import { INITIAL, numberOf } from "./address.js";
import { BY_KEY, KEYS, USUAL_KEYS } from "./columns.js";
import { html } from "./ui.js";

const FILTERS = ["buy", "sell", "min", "max", "size", "usable", "muted"];
const setOf = (state) => FILTERS.filter((key) => String(state[key]) !== String(INITIAL[key])).length;

export function Toolbar({ state, set, board, shown, held, whole, turn }) {
  const filters = setOf(state);
  return html`<form class=${`toolbar${whole ? " whole" : ""}`} role="search" aria-label="Filters" onSubmit=${(event) => event.preventDefault()}>
    <label class="search">Symbol <input type="search" id="search" value=${state.q} placeholder="/" autocomplete="off"
      onInput=${(event) => set({ q: event.target.value })} /></label>
    <button type="button" class="filters" aria-expanded=${whole} onClick=${turn}>Filters${filters ? ` (${filters})` : ""}</button>
    <${Chips} name="Buy at" all=${board.legs[0]} chosen=${state.buy} choose=${(buy) => set({ buy })} />
    <${Chips} name="Sell at" all=${board.legs[1]} chosen=${state.sell} choose=${(sell) => set({ sell })} />
    <${Amount} name="Net from" unit="bps" value=${state.min} take=${(min) => set({ min })} />
    <${Amount} name="to" unit="bps" value=${state.max} take=${(max) => set({ max })} about="A huge spread is usually two coins of one name" />
    <${Amount} name="Size from" unit="" value=${state.size} take=${(size) => set({ size })} />
    <label class="tick"><input type="checkbox" checked=${!state.usable} onChange=${(event) => set({ usable: !event.target.checked })} /> stale too</label>
    <label class="tick"><input type="checkbox" checked=${state.muted} onChange=${(event) => set({ muted: event.target.checked })} /> muted too</label>
    <label class="sorter">Sort <select value=${state.sort} onChange=${(event) => set({ sort: event.target.value })}>
      ${KEYS.filter((key) => !BY_KEY.get(key).drawn).map((key) => html`<option key=${key} value=${key}>${BY_KEY.get(key).title}</option>`)}
    </select></label>
    <${Chooser} chosen=${state.cols} choose=${(cols) => set({ cols })} />
    <p class="told"><span class=${held ? "" : "room"}>order held under the pointer, </span>${shown.toLocaleString("en-US")} of ${board.count.toLocaleString("en-US")}</p>
  </form>`;
}

function Chips({ name, all, chosen, choose }) {
  const turn = (one) => choose(chosen.includes(one) ? chosen.filter((other) => other !== one) : [...chosen, one]);
  return html`<fieldset class="chips"><legend>${name}</legend>
    ${all.map((one) => html`<button type="button" key=${one} aria-pressed=${chosen.includes(one)} onClick=${() => turn(one)}>${one}</button>`)}
  </fieldset>`;
}

function Amount({ name, unit, value, take, about = "" }) {
  return html`<label class="amount" title=${about}>${name} <input type="text" inputmode="decimal" autocomplete="off" size="5"
    ref=${(field) => unlessTyped(field, value)} onInput=${(event) => take(numberOf(event.target.value))} /> ${unit}</label>`;
}

// What somebody is typing stays as he types it: "-" and "1." are on the way to a number.
export function unlessTyped(field, value) {
  if (field && field !== document.activeElement) field.value = value ?? "";
}

// Which columns, and in what order.
function Chooser({ chosen, choose }) {
  const keys = chosen.length ? chosen : USUAL_KEYS;
  const move = (key, by) => {
    const at = keys.indexOf(key);
    const next = keys.filter((one) => one !== key);
    next.splice(Math.max(0, at + by), 0, key);
    choose(next);
  };
  const turn = (key) => choose(keys.includes(key) ? keys.filter((one) => one !== key) : [...keys, key]);
  return html`<details class="chooser"><summary>Columns</summary><ul>${[...keys, ...KEYS.filter((key) => !keys.includes(key))].map((key) => {
      const { title, about } = BY_KEY.get(key);
      const at = keys.indexOf(key);
      return html`<li key=${key}><label title=${about}><input type="checkbox" checked=${at >= 0} disabled=${keys.length === 1 && at === 0} onChange=${() => turn(key)} /> ${title}</label>
        <button type="button" aria-label=${`${title} further left`} disabled=${at < 1} onClick=${() => move(key, -1)}>◂</button>
        <button type="button" aria-label=${`${title} further right`} disabled=${at < 0 || at === keys.length - 1} onClick=${() => move(key, 1)}>▸</button></li>`;
  })}<li><button type="button" onClick=${() => choose([])}>As by itself</button></li></ul></details>`;
}

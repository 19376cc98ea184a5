// One pair, whole: what its net is made of, its history, both books, why the engine did what it did,
// and the same coin in every other direction.

import { Chart } from "./chart.js";
import { COLUMNS, stateOf } from "./columns.js";
import * as figures from "./figures.js";
import { sentenceOf, standingOf } from "./opportunities.js";
import { legsOf, placeOf } from "./places.js";
import { FOREVER, HOUR_MS, dayEnds } from "./preferences.js";
import { trouble } from "./sources.js";
import { Heads, html } from "./ui.js";
import { Waterfall } from "./waterfall.js";

const LEVELS = 5;

export function Drawer({ page }) {
  const { board, state, watched, preferences } = page;
  const [symbol, direction = ""] = state.pair.split(" ");
  const place = board.places.get(state.pair);
  const close = () => { page.set({ pair: "", pins: [] }); page.table?.root.focus(); };
  const muted = preferences.muted().has(state.pair);
  const wanted = new URLSearchParams({ count: 5, ...(direction && { direction }) });
  const why = watched.look(`/v1/why/${encodeURIComponent(symbol)}?${wanted}`, 2_000);
  if (place === undefined) {
    return html`<aside class="drawer" aria-label="Pair"><header><h2 tabindex="-1" id="pair">${symbol} <small>${direction}</small></h2>
      <button type="button" onClick=${close}>Close</button></header>
      ${board.count > 0 && direction && html`<p>This pair is in no direction by the tables in force.</p>`}
      <${Why} found=${why} whole=${!direction} /><${Matrix} page=${page} symbol=${symbol} /></aside>`;
  }
  const [buys, sells] = board.exchanges[place];
  return html`<aside class="drawer" aria-label=${`Pair ${state.pair}`}>
    <header><h2 tabindex="-1" id="pair">${symbol} <small>${buys} → ${sells}, ${stateOf(board, place)}</small></h2>
      <button type="button" onClick=${() => page.copy(symbol)}>Copy</button>
      <button type="button" onClick=${() => page.copy(location.href)}>Link</button>
      ${muted
        ? html`<button type="button" onClick=${() => page.mute(state.pair, 0)}>Unmute</button>`
        : html`<button type="button" onClick=${() => page.mute(state.pair, Date.now() + HOUR_MS)}>Mute 1 h</button>
          <button type="button" onClick=${() => page.mute(state.pair, dayEnds(Date.now(), preferences.utc))}>Today</button>
          <button type="button" onClick=${() => page.mute(state.pair, FOREVER)}>Always</button>`}
      <button type="button" onClick=${close}>Close</button></header>
    <${Waterfall} board=${board} place=${place} />
    <${Told} board=${board} place=${place} />
    <${Sizes} depth=${why.answer?.now.find((one) => one.direction === direction)?.depth} />
    <${History} page=${page} />
    <section><h3>Both books</h3><div class="books">${legsOf(board.exchanges[place]).map((source) => html`<${Book} key=${source} source=${source} symbol=${symbol} watched=${watched} />`)}</div></section>
    <${Matrix} page=${page} symbol=${symbol} />
    <${Why} found=${why} />
  </aside>`;
}

// What the table has of it in columns that may not be shown, and on a phone are not.
const ABOVE = ["symbol", "direction", "net", "gross", "costs", "state"];

function Told({ board, place }) {
  const left = COLUMNS.filter(({ key, drawn }) => !drawn && !ABOVE.includes(key));
  return html`<dl class="figures">${left.map(({ key, title, unit, about, text }) => html`<div key=${key} title=${about}>
    <dt>${title} <small>${unit ?? ""}</small></dt><dd>${text(board, place, performance.now())}</dd></div>`)}</dl>`;
}

export function paysOf({ size_quote: carried, bounded }) {
  if (carried === null) return "Not known: a quote has a side without a price.";
  if (!carried) return "In no size is net over the threshold.";
  return `Net is over the threshold up to ${figures.money(carried)}${bounded ? ", and perhaps beyond: no more levels are known" : ""}.`;
}

export const linesOf = ({ sizes }) => sizes.map(({ size_quote: size, buy_px: buy, sell_px: sell, net_bps: net, too_thin: thin }) =>
  [figures.money(size), figures.price(buy), figures.price(sell), thin ? "too thin" : figures.signed(net)]);

// What both books carry.
function Sizes({ depth }) {
  return depth ? html`<section><h3>By size, in the quote coin</h3><p>${paysOf(depth)}</p><table class="sizes"><${Heads} of=${["Size>", "Buys at>", "Sells at>", "Net>"]} />
    <tbody>${linesOf(depth).map((line) => html`<tr key=${line[0]}>${line.map((cell, n) => html`<td key=${n} class="figure">${cell}</td>`)}</tr>`)}</tbody></table></section>` : null;
}

function History({ page }) {
  const { board, session, state, preferences } = page;
  const lines = [state.pair, ...state.pins].map((name) => ({ name, points: session.trail.timed(name) }));
  const logged = page.past.get(state.pair);
  if (logged) lines.push({ name: "gross of the last hour, from the log", points: logged });
  const standing = standingOf(session);
  const bands = [...session.opportunities, ...session.beneath]
    .filter((row) => `${row.symbol} ${row.direction}` === state.pair && !(row.closed_ns === null && board.unfollowed))
    .map((row) => [row.opened_ns / 1e9, row.closed_ns === null ? null : row.closed_ns / 1e9, row.id,
      sentenceOf(row, board, standing, performance.now(), preferences.utc)]);
  return html`<section><h3>Net, as this page saw it; behind it when opportunities stood: a click tells which</h3>
    ${!logged && html`<button type="button" onClick=${() => page.recall(state.pair)}>The last hour</button>`}
    <${Chart} lines=${lines} bands=${bands} utc=${preferences.utc} zoom=${state.zoom} zooms=${(zoom) => page.set({ zoom })} />
    <details><summary>As a table</summary><table><tbody>${lines[0].points.filter((_, n) => n % 15 === 0).map(([s, value]) =>
      html`<tr key=${s}><th scope="row">${figures.time(s * 1e9, preferences)}</th><td class="figure">${figures.signed(value)}</td></tr>`)}</tbody></table></details></section>`;
}

function Book({ source, symbol, watched }) {
  const found = watched.look(`/v1/books/${encodeURIComponent(symbol)}?source=${source}&levels=${LEVELS}`, 1_000);
  const quoted = watched.look(`/v1/prices/${encodeURIComponent(symbol)}?source=${source}`, 1_000);
  const book = found.answer?.books[0];
  const price = quoted.answer?.[0];
  const url = price && placeOf(price);
  const levels = (side) => (book?.[side] ?? []).slice(0, LEVELS);
  const most = Math.max(...levels("asks").map(({ sz }) => sz), ...levels("bids").map(({ sz }) => sz), 0);
  const row = (side) => ({ px, sz }) => html`<tr key=${side + px} class=${side}><td class="figure">${figures.price(px)}</td><td class="figure">${figures.money(sz)}</td>
    <td class="bar"><svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect class=${side === "bids" ? "more" : "less"} width=${(sz / most) * 100} height="10" /></svg></td></tr>`;
  return html`<div><h4>${url ? html`<a href=${url} target="_blank" rel="noopener noreferrer">${source}</a>` : source}</h4>
    ${price && html`<p>${figures.price(price.bid_px)} / ${figures.price(price.ask_px)}, ${figures.duration(price.age_ms)} old</p>`}
    ${book ? html`<table class=${book.usable ? "" : "stale"}><thead><tr><th>Price</th><th>Size</th><th><span class="unseen">Share</span></th></tr></thead>
      <tbody>${levels("asks").reverse().map(row("asks"))}${levels("bids").map(row("bids"))}</tbody></table>
      <p>${figures.duration(book.age_ms)} old${book.usable ? "" : `, not to be used: ${book.why_not.join(", ").replaceAll("_", " ")}`}</p>`
      : html`<p>${found.answer ? "The book is not followed yet." : ""}</p>${trouble(found)}`}</div>`;
}

// All of a coin: bought in rows, sold in columns.
function Matrix({ page, symbol }) {
  const { board, state } = page;
  const places = board.keys.flatMap((_, place) => (board.at(place, "symbol") === symbol ? [place] : []));
  if (!places.length) return null;
  const ways = new Set(board.columns.direction);
  const names = (leg) => [...new Set(places.map((place) => board.exchanges[place][leg]))].sort();
  const pin = (key) => page.set({ pins: state.pins.includes(key) ? state.pins.filter((one) => one !== key) : [...state.pins, key].slice(-3) });
  return html`<section><h3>${symbol} everywhere, net</h3><div class="wide" tabindex="0" role="region" aria-label="Everywhere"><table class="matrix"><thead><tr><th>buy ↓ sell →</th>${names(1).map((sell) => html`<th key=${sell} scope="col">${sell}</th>`)}</tr></thead>
    <tbody>${names(0).map((buy) => html`<tr key=${buy}><th scope="row">${buy}</th>${names(1).map((sell) => {
      const key = `${symbol} ${buy}-${sell}`;
      const place = board.places.get(key);
      if (place === undefined) {
        return html`<td key=${sell}>${ways.has(`${buy}-${sell}`) && html`<button type="button" class="link" aria-label=${`${key}: why not`} aria-current=${key === state.pair ? "true" : undefined}
          onClick=${() => page.set({ pair: key })}>why?</button>`}</td>`;
      }
      const net = board.at(place, "net_bps");
      const stands = board.at(place, "usable");
      return html`<td key=${sell} data-heat=${stands ? figures.heat(net) : 0} class=${stands ? "" : "stale"}>
        <button type="button" class="link" aria-current=${key === state.pair ? "true" : undefined} onClick=${() => page.set({ pair: key })}>${figures.signed(net)}${!stands && html`<span class="unseen"> stale</span>`}</button>
        ${key !== state.pair && html`<button type="button" class="pin" aria-pressed=${state.pins.includes(key)} aria-label=${`${key} in the chart`} title="Show in the chart" onClick=${() => pin(key)}>⌇</button>`}</td>`;
    })}</tr>`)}</tbody></table></div></section>`;
}

// In the gateway's own words, as spread-ctl why has them: what the engine kept, how it stands now.
export const sentence = ({ meaning, standing }) =>
  `${[meaning, ...standing.map((one) => `${one.direction} now: ${one.meaning}`)].join("; ")}.`;

// whole: of all directions.
function Why({ found, whole }) {
  const said = found.answer;
  return html`<section><h3>Why</h3>${trouble(found)}
    ${said?.quarantined.map((one) => html`<p key=${one.direction}>Kept out of ${one.direction}: ${one.reason}</p>`)}
    ${said?.blocked.map((one) => html`<p key=${one.direction}>Blocked in ${one.direction} for ${figures.duration(one.age_s * 1e3)}, at ${figures.signed(one.gross_bps)} bps</p>`)}
    <ol class="why">${said?.evaluations.map((one) => html`<li key=${one.direction + one.ts_engine}><strong>${one.verdict}</strong>${whole && ` in ${one.direction}`}, ${figures.duration(one.age_s * 1e3)} ago${one.count > 1 ? `, ${one.count} times` : ""}: ${one.meaning}
      <br /><small>gross ${figures.signed(one.gross_bps)}, net ${figures.signed(one.net_bps)} of ${figures.signed(one.enter_bps)}, size ${figures.money(one.size_quote)}${one.size_quote_min ? ` of ${figures.money(one.size_quote_min)}` : ""}, skew ${figures.duration(one.skew_ns / 1e6)}${[...one.spot_flags, ...one.fut_flags, ...one.notes].map((note) => `, ${note.replaceAll("_", " ")}`)}</small></li>`)}</ol>
    ${said && !said.evaluations.length && html`<p>${sentence(said)}</p>`}</section>`;
}

// What the page is and which keys it knows.

import { logOut } from "./ask.js";
import { BY_KEY } from "./columns.js";
import { html } from "./ui.js";

const KEYS = [
  ["/", "search (the browser's own finds only what is on the screen)"],
  ["↑ ↓ Page Home End", "choose a pair in the table"],
  ["Enter", "open it"],
  ["Tab", "from the table to its heads, where Enter sorts"],
  ["m", "mute it for an hour, or take that back"],
  ["c", "copy its symbol"],
  ["l", "copy a link to what is seen"],
  ["?", "this page"],
  ["Escape", "close what is open"],
];

export function Help({ page }) {
  const leave = () => logOut().then(() => page.session.anew(), (error) => page.say(error.message));
  return html`<div class="panel"><section><h2>Help</h2>
    <p>Every pair of spot here and perpetual there, as the scanner sees it now. Nothing on this page changes anything.
      Filters, order, columns and the opened pair stand in the address: a link to it shows the same.</p></section>
    <section><h2>Keys</h2><dl>${KEYS.map(([key, does]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${does}</dd></div>`)}</dl></section>
    <section><h2>Columns</h2><dl>${[...BY_KEY.values()].map(({ key, title, unit, about }) => html`<div key=${key}><dt>${title}${unit ? `, ${unit}` : ""}</dt><dd>${about}</dd></div>`)}</dl></section>
    <section><h2>Login</h2><p>Where the gateway wants its token this browser keeps a cookie for it, for 30 days.
      <button type="button" onClick=${leave}>Log out</button></p></section>
    <section><h2>For programs</h2><p><a href="/v1/docs">The calls</a>; the stream is at /v1/stream.</p></section></div>`;
}

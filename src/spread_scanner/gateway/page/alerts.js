// Alerts of this page: rules, a log of what entered and how it ended, what is muted. Rules speak while it is
// open, and the log ends with it; who wants to be woken uses spread-alerts.

import * as figures from "./figures.js";
import { FOREVER, HOUR_MS } from "./preferences.js";
import { RULE, changesOf } from "./rules.js";
import { numberOf } from "./address.js";
import { unlessTyped } from "./toolbar.js";
import { Heads, html } from "./ui.js";

const KEPT = 200; // of each, so that signals leave what rules found its place

export class Alerting {
  constructor(preferences) {
    this.preferences = preferences;
    this.found = []; // by rules, the newest first
    this.signals = [];
    this.states = [];
  }

  get rules() {
    return this.preferences.rules ?? [];
  }

  get log() {
    return [...this.found, ...this.signals].sort((one, other) => other.at - one.at);
  }

  // What is new by the rules, as log lines.
  look(board, now = Date.now()) {
    const muted = this.preferences.muted(now);
    const found = this.rules.flatMap((rule, n) => {
      const [standing, told] = (this.states[n] ??= [new Map(), new Map()]);
      const { begun, ended } = changesOf(rule, board, standing, told, muted, now);
      if (begun.length) this.#sound(rule, begun[0]);
      return [...begun.map((one) => ({ ...one, at: now, what: "entered", rule })), ...ended.map((one) => ({ ...one, at: now, rule }))];
    });
    this.found = [...found, ...this.found].slice(0, KEPT);
    return found;
  }

  // What stands by rules that stay as they are goes on: it was told.
  set(rules) {
    const before = this.rules;
    this.states = rules.map((rule) => this.states[before.indexOf(rule)]);
    this.preferences.set({ rules });
  }

  signal(one) {
    const key = `${one.symbol} ${one.direction}`;
    if (one.kind === "book" || this.preferences.muted().has(key)) return;
    this.signals = [{ key, net: one.net_bps, at: Date.now(), what: `signal: ${one.kind}` }, ...this.signals].slice(0, KEPT);
  }

  #sound(rule, { key, net }) {
    if (rule.sound) beep();
    if (rule.speech) globalThis.speechSynthesis?.speak(new SpeechSynthesisUtterance(`${key.split("-")[0]} ${Math.round(net)}`));
  }
}

function beep() {
  const context = new AudioContext();
  const tone = context.createOscillator();
  tone.connect(context.destination);
  tone.start();
  tone.stop(context.currentTime + 0.15);
  tone.onended = () => context.close();
}

export function Alerts({ page }) {
  const { alerting, preferences, board } = page;
  const { rules } = alerting;
  const put = (n, change) => { alerting.set(rules.map((rule, m) => (m === n ? { ...rule, ...change } : rule))); page.frame(); };
  const number = (n, name, key) => html`<label>${name} <input size="4" inputmode="decimal" ref=${(field) => unlessTyped(field, rules[n][key])} onChange=${(event) => put(n, { [key]: numberOf(event.target.value) ?? RULE[key] })} /></label>`;
  const tick = (n, name, key) => html`<label><input type="checkbox" checked=${rules[n][key]} onChange=${(event) => put(n, { [key]: event.target.checked })} /> ${name}</label>`;
  const time = (ms) => figures.time(ms * 1e6, { utc: preferences.utc, date: true });
  const muted = preferences.muted();
  const mutes = Object.entries(preferences.mutes).filter(([, until]) => until > Date.now());
  return html`<div class="panel"><section><h2>Rules</h2>
    <p>Of this page, while it is open, and on top of it the engine's signals stand in the log. Who wants to be woken enables spread-alerts.</p>
    ${rules.map((rule, n) => html`<fieldset key=${n} class="rule"><legend class="unseen">Rule ${n + 1}</legend>${number(n, "Net from", "min")}
      <label>symbol with <input size="6" ref=${(field) => unlessTyped(field, rule.q)} onChange=${(event) => put(n, { q: event.target.value })} /></label>
      <label>direction <select value=${rule.direction} onChange=${(event) => put(n, { direction: event.target.value })}><option value="">any</option>
        ${[...new Set(board.columns.direction ?? [])].sort().map((one) => html`<option key=${one}>${one}</option>`)}</select></label>
      ${number(n, "for s", "forS")}${number(n, "not again for s", "pauseS")}${tick(n, "sound", "sound")}${tick(n, "speech", "speech")}
      <button type="button" onClick=${() => { alerting.set(rules.filter((_, m) => m !== n)); page.frame(); }}>Remove</button></fieldset>`)}
    <button type="button" onClick=${() => { alerting.set([...rules, { ...RULE }]); page.frame(); }}>Add a rule</button></section>
  <section><h2>Muted</h2>${mutes.length ? html`<ul>${mutes.map(([key, until]) => html`<li key=${key}>${key}, ${until >= FOREVER ? "always" : `until ${time(until)}`}
    <button type="button" onClick=${() => page.mute(key, 0)}>Unmute</button></li>`)}</ul>` : html`<p>Nothing.</p>`}</section>
  <section><h2>Log</h2><div class="wide" tabindex="0" role="region" aria-label="Log"><table><${Heads} of=${["Time", "Pair", "What", "Net>", "Mute"]} />
    <tbody>${alerting.log.map((one, n) => html`<tr key=${one.at + one.key + n}><td>${time(one.at)}</td>
      <th scope="row"><button type="button" class="link" onClick=${() => page.set({ pair: one.key })}>${one.key}</button></th>
      <td>${one.what}${one.lasted ? ` after ${figures.duration(one.lasted)}` : ""}${one.rule ? `, net from ${one.rule.min}` : ""}</td><td class="figure">${figures.signed(one.net)}</td>
      <td><${Mute} page=${page} pair=${one.key} muted=${muted.has(one.key)} /></td></tr>`)}</tbody></table></div>
    ${!alerting.log.length && html`<p>Nothing yet.</p>`}</section></div>`;
}

function Mute({ page, pair, muted }) {
  return html`<button type="button" class="link" aria-label=${`${muted ? "Unmute" : "Mute"} ${pair}`}
    onClick=${() => page.mute(pair, muted ? 0 : Date.now() + HOUR_MS)}>${muted ? "Unmute" : "Mute 1 h"}</button>`;
}

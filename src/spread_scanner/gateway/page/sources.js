// Sources and processes: who lives, who is behind, how long things take.

import * as figures from "./figures.js";
import { latenciesOf, quantile } from "./latencies.js";
import { Heads, html } from "./ui.js";

export function Sources({ page }) {
  const sources = page.watched.look("/v1/sources", 1_000);
  const status = page.watched.look("/v1/status", 1_000);
  const metrics = page.watched.look("/v1/metrics", 5_000);
  const latencies = metrics.answer ? latenciesOf(metrics.answer) : new Map();
  return html`<div class="panel">
    <section><h2>Sources</h2>${trouble(sources)}
      <div class="wide" tabindex="0" role="region" aria-label="Sources"><table><${Heads} of=${["Source", "State", "Usable>", "Quoted>", "Wanted>", "Last beat>", "Says"]} />
      <tbody>${(sources.answer ?? []).map((one) => html`<tr key=${one.source} class=${one.enabled && !one.alive ? "bad" : ""}>
        <th scope="row">${one.source}</th><td>${one.paused ? "paused" : one.enabled ? one.state : "off"}${one.enabled && !one.alive ? ", away" : ""}</td>
        <td class="figure">${figures.count(one.usable)}</td><td class="figure">${figures.count(one.quoted)}</td><td class="figure">${figures.count(one.wanted)}</td>
        <td class="figure">${figures.duration(one.heartbeat_age_ms)}</td><td>${one.message}</td></tr>`)}</tbody></table></div></section>
    <section><h2>Processes</h2>${trouble(status)}
      <div class="wide" tabindex="0" role="region" aria-label="Processes"><table><${Heads} of=${["Process", "State", "Last beat>", "Starts>", "p50>", "p99>", "Latencies", "Says"]} />
      <tbody>${(status.answer?.processes ?? []).map((one) => html`<tr key=${one.process} class=${one.healthy || one.state === "absent" ? "" : "bad"}>
        <th scope="row">${one.process}</th><td>${one.state}${one.healthy ? "" : one.starting ? ", starting" : ", unwell"}</td>
        <td class="figure">${figures.duration(one.heartbeat_age_ms)}</td><td class="figure">${one.starts}</td>
        <td class="figure">${micros(one.p50_us)}</td><td class="figure">${micros(one.p99_us)}</td>
        <td>${(latencies.get(one.process) ?? []).map((latency) => html`<${Histogram} key=${latency.name} ...${latency} />`)}</td>
        <td>${one.message}</td></tr>`)}</tbody></table></div></section>
    <p><a href="/v1/docs">The calls</a>, <a href="/v1/openapi.json">as OpenAPI</a>, <a href="/metrics">metrics</a></p>
  </div>`;
}

export const trouble = ({ error }) => error && html`<p class="trouble" role="status">${error.message}</p>`;

const micros = (us) => (figures.known(us) ? (us < 1_000 ? `${figures.plain(us, 0)} µs` : figures.duration(us / 1e3)) : figures.UNKNOWN);
const bound = (s) => (s === Infinity ? "more" : micros(s * 1e6));

function Histogram({ name, counts }) {
  const most = Math.max(...counts.map(([, count]) => count));
  const told = `${name}: half within ${bound(quantile(counts, 0.5))}, 99 of 100 within ${bound(quantile(counts, 0.99))}`;
  return html`<figure title=${told}><svg class="histogram" role="img" aria-label=${told} viewBox=${`0 0 ${counts.length * 8} 24`}>
    <line x1="0" x2=${counts.length * 8} y1="23.5" y2="23.5" />
    ${counts.map(([, count], n) => {
      const height = count ? 2 + (Math.log1p(count) / Math.log1p(most)) * 21 : 0;
      return html`<rect key=${n} x=${n * 8 + 1} width="6" y=${24 - height} height=${height} />`;
    })}</svg><figcaption>${name}</figcaption></figure>`;
}

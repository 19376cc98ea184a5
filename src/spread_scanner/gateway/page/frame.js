// The page around the table: what it is, how fresh it is, where one can go.

import { VIEWS } from "./address.js";
import { Alerts } from "./alerts.js";
import { amiss } from "./amiss.js";
import { Drawer } from "./drawer.js";
import { Help } from "./help.js";
import { Login } from "./login.js";
import { partOf, symbolOf } from "./ordering.js";
import { Opportunities } from "./opportunities.js";
import { Pools } from "./pools.js";
import { Report } from "./report.js";
import { Sources } from "./sources.js";
import { Toolbar } from "./toolbar.js";
import { Waterfall } from "./waterfall.js";
import { html } from "./ui.js";
import { tab } from "./tab.js";

const PANELS = { opportunities: Opportunities, report: Report, sources: Sources, pools: Pools, alerts: Alerts, help: Help };
const TITLES = { spreads: "Spreads", opportunities: "Opportunities", report: "Report", sources: "Sources", pools: "Pools", alerts: "Alerts", help: "Help" };

export function Frame({ page }) {
  const { state, session, board, preferences, table } = page;
  const fresh = session.freshness();
  tab(fresh.kind, board.opens);
  const Panel = PANELS[state.view];
  return html`
    <header>
      <h1>spread-scanner</h1>
      <nav aria-label="Views">${VIEWS.map((view) => html`<button key=${view} type="button"
        aria-current=${view === state.view ? "page" : undefined} onClick=${() => page.set({ view })}>${TITLES[view]}</button>`)}</nav>
      <${Fresh} fresh=${fresh} page=${page} />
      <div class="switches">
        <button type="button" title="Whose time is shown" onClick=${() => page.prefer({ utc: !preferences.utc })}>${preferences.utc ? "UTC" : "Local"}</button>
        <button type="button" title="Colours" onClick=${() => page.prefer({ theme: nextTheme(preferences.theme) })}>${preferences.theme || "system"}</button>
      </div>
    </header>
    <main class=${fresh.kind === "live" ? "" : "old"}>
      ${fresh.kind === "login" && html`<${Login} page=${page} />`}
      <section class="spreads" hidden=${state.view !== "spreads" || fresh.kind === "login"} aria-label="Spreads">
        <${Toolbar} state=${state} set=${page.set} board=${board} shown=${page.places.length} held=${Boolean(table?.held)}
          whole=${Boolean(page.filtering)} turn=${page.turnFilters} />
        <div class="table" role="grid" tabindex="0" aria-label="Spreads; arrows choose a pair, Enter opens it" ref=${page.mount}></div>
        ${board.count > 0 && !page.places.length && html`<p class="none">No pair is left by the filters. <button type="button" onClick=${page.reset}>Show all</button>${" "}
          ${partOf(state.q) && html`<button type="button" onClick=${() => page.opens(symbolOf(board, state.q))}>Why?</button>`}</p>`}
      </section>
      ${Panel && fresh.kind !== "login" && html`<${Panel} page=${page} />`}
      ${state.pair && fresh.kind !== "login" && html`<${Drawer} page=${page} />`}
      ${page.meant && html`<${Hint} page=${page} />`}
    </main>
    <${Standing} served=${page.served} />
    <p class="said" role="status">${page.said ?? ""}</p>
    <p class="unseen" role="status">${page.news ?? ""}</p>`;
}

const nextTheme = (theme) => ({ "": "dark", dark: "light", light: "" })[theme];

function Fresh({ fresh, page }) {
  return html`<div class=${`fresh ${fresh.kind}`}>
    <p role=${fresh.kind === "live" ? undefined : "status"}><span class="dot" aria-hidden="true"></span> ${fresh.text}</p>
    ${fresh.kind === "away" && html`<button type="button" onClick=${() => page.session.anew()}>Now</button>`}
  </div>`;
}

// At the foot: it comes and goes, and nothing is to move under a pointer.
function Standing({ served }) {
  const said = amiss(served);
  return said.length ? html`<div class="standing" role="status">${said.map((one) => html`<p key=${one}>${one}</p>`)}</div>` : null;
}

function Hint({ page }) {
  const { key, row } = page.meant;
  const place = page.board.places.get(key);
  if (place === undefined || !row?.isConnected) return null;
  const { bottom, top, left } = row.getBoundingClientRect();
  const below = bottom + 190 < innerHeight;
  const style = { left: `${Math.max(8, left + 24)}px`, [below ? "top" : "bottom"]: `${below ? bottom + 4 : innerHeight - top + 4}px` };
  return html`<div class="hint" role="tooltip" style=${style}><${Waterfall} board=${page.board} place=${place} /></div>`;
}

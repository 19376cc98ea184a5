// How a net comes about: gross, what leaving usually earns, fees, funding, net; each a bar that
// begins where the one before it ended.

import * as figures from "./figures.js";
import { html } from "./ui.js";

export function stepsOf(board, place) {
  const gross = board.at(place, "gross_bps");
  const trusted = board.at(place, "learned") >= 1;
  const steps = [
    { name: "Gross", by: gross, about: "the perpetual's bid over the spot's ask" },
    { name: "Leaving", by: board.at(place, "close_bps"), about: trusted ? "what it usually earns" : "by the present widths; the usual is not known yet" },
    { name: "Fees", by: -board.at(place, "fees_bps"), about: "four fills" },
    { name: "Funding", by: -board.carried(place), about: "expected while it is held" },
  ];
  if (steps.some(({ by }) => !figures.known(by)) || gross === null) return [];
  let from = 0;
  for (const step of steps) {
    step.from = from;
    from = step.to = from + step.by;
  }
  const net = board.at(place, "net_bps");
  return [...steps, { name: "Net", by: net, from: 0, to: net, about: `signals from ${figures.signed(board.at(place, "enter_bps"))} on`, sum: true }];
}

export function Waterfall({ board, place }) {
  const steps = stepsOf(board, place);
  if (!steps.length) return html`<p>Not both legs were quoted.</p>`;
  const ends = steps.flatMap(({ from, to }) => [from, to]);
  const [low, high] = [Math.min(0, ...ends), Math.max(0, ...ends)];
  const share = (value) => ((value - low) / (high - low || 1)) * 100;
  return html`<table class="waterfall"><caption>${board.keys[place]}, basis points of the spot's ask</caption>
    <tbody>${steps.map(({ name, by, from, to, about, sum }) => {
      const [left, right] = [share(Math.min(from, to)), share(Math.max(from, to))];
      return html`<tr key=${name} class=${sum ? "sum" : ""}>
        <th scope="row">${name}</th>
        <td class="bar"><svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
          <line x1=${share(0)} x2=${share(0)} y1="0" y2="10" />
          <rect class=${by < 0 ? "less" : "more"} x=${left} width=${Math.max(0.8, right - left)} y="1" height="8" />
        </svg></td>
        <td class="figure">${figures.signed(by)}</td>
        <td class="about">${about}</td></tr>`;
    })}</tbody></table>`;
}

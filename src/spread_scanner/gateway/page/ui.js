// What all panels are written with.

import { h, render } from "./vendor/preact.mjs";
import htm from "./vendor/htm.mjs";

export { render };
export const html = htm.bind(h);

// The heads of a table: one that ends in ">" stands over figures, and where they do.
export const Heads = ({ of }) => html`<thead><tr>${of.map((head) => {
  const name = head.replace(/>$/, "");
  return html`<th key=${name} class=${name === head ? "" : "figure"}>${name}</th>`;
})}</tr></thead>`;

// What all panels are written with.

import { h, render } from "./vendor/preact.mjs";
import htm from "./vendor/htm.mjs";

export { render };
export const html = htm.bind(h);

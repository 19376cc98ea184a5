// One connection to /v1/stream, and one wish on it. It dials again by itself, each time later, by
// chance (so that a hundred pages do not come back at once); what says nothing for three heartbeats
// is given up. To resume is to wish again: a snapshot comes first.

const SILENCE_MS = 3_500;
const PAUSE_MS = 500;
const PAUSE_MS_MAX = 10_000;

export class Stream {
  // hears: by a frame's type. changed: told whether it is open. told: that anything came.
  constructor(hears, changed = () => {}, told = () => {}) {
    Object.assign(this, { hears, changed, told });
    this.said = "";
    this.failures = 0;
  }

  wish(wish) {
    const said = wish ? JSON.stringify({ op: "subscribe", ...wish }) : "";
    if (said === this.said) return;
    this.said = said;
    if (!said) this.#close();
    else if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(said);
    else if (!this.socket) this.dial();
  }

  // At once, whatever was waited for: the page is looked at again.
  anew() {
    if (!this.said) return;
    this.#close();
    this.dial();
  }

  dial() {
    clearTimeout(this.redial);
    if (!this.said || this.socket) return;
    const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/v1/stream`, ["spread-scanner.v1"]);
    this.socket = socket;
    socket.onopen = () => {
      socket.send(this.said);
      this.changed(true);
      this.#listenFor(socket);
    };
    socket.onmessage = ({ data }) => {
      if (socket !== this.socket) return;
      this.#listenFor(socket);
      this.told();
      const frame = JSON.parse(data);
      const hears = this.hears[frame.type];
      if (!hears) return;
      this.failures = 0; // not sooner: who is let go as soon as it has wished dials less and less
      hears(frame);
    };
    socket.onclose = () => this.#lost(socket);
  }

  #listenFor(socket) {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.#lost(socket), SILENCE_MS);
  }

  #lost(socket) {
    if (socket !== this.socket) return;
    this.#close();
    const pause = Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** this.failures++);
    this.redial = setTimeout(() => this.dial(), Math.random() * pause);
  }

  #close() {
    clearTimeout(this.silence);
    clearTimeout(this.redial);
    const socket = this.socket;
    this.socket = null;
    if (socket) {
      socket.onclose = socket.onmessage = socket.onopen = null;
      socket.close();
      this.changed(false);
    }
  }
}

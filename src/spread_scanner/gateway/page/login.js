// Asks for the token where one is wanted. The field is no password of a site: no manager fills it.

import { logIn } from "./ask.js";
import { html } from "./ui.js";

export function Login({ page }) {
  const send = (event) => {
    event.preventDefault();
    const field = event.target.elements.word;
    logIn(field.value.trim()).then(() => page.session.anew(), (error) => page.say(error.message));
    field.select();
  };
  return html`<form class="login" onSubmit=${send}>
    <h2>Log in</h2>
    <p>This gateway wants its token: the one in the file that <code>token_file</code> names.</p>
    <label>Token <input name="word" class="secret" autocomplete="off" spellcheck=${false} autofocus /></label>
    <button>Log in</button>
  </form>`;
}

// Where the user is logged in, and signing one of these terminals out.

import { announce, byId, el, momentOf, show } from "./dom.js";

export class TerminalsView {
  #chat;
  #dialog = byId("terminals");

  constructor() {
    byId("terminals-open").addEventListener("click", () => this.open());
  }

  show(chat) {
    this.#chat = chat;
    this.#dialog.close();
  }

  async open() {
    this.#dialog.showModal();
    await this.render();
  }

  /** Says who came and went, and brings an open list up to date. */
  changed({ started, ended }) {
    if (started && started.session_id !== this.#chat.session.sessionId) {
      announce(`Logged in on another terminal: ${nameOf(started.terminal)}`);
    }
    for (const session of ended) announce(`Logged out: ${nameOf(session.terminal)}`);
    if (this.#dialog.open) this.render();
  }

  async render() {
    let sessions;
    try {
      sessions = await this.#chat.terminals();
    } catch (problem) {
      this.#refuse(problem);
      return;
    }
    this.#refuse();
    byId("terminal-list").replaceChildren(...sessions.map((session) => this.#row(session)));
  }

  #row({ session_id, terminal, created_at, last_used_at, online, current }) {
    const state = online ? el("span", { class: "online" }, "online") : `last used ${momentOf(last_used_at)}`;
    const signOut = async (event) => {
      event.currentTarget.disabled = true;
      await this.#chat.signOut(session_id).catch((problem) => this.#refuse(problem));
      await this.render();
      this.#dialog.querySelector(".primary").focus();
    };
    return el("li", {},
      el("div", { class: "what" },
        el("strong", {}, nameOf(terminal)),
        el("div", { class: "soft" }, state, `, since ${momentOf(created_at)}`)),
      current
        ? el("span", { class: "soft" }, "this one")
        : el("button", { type: "button", "aria-label": `Sign out ${nameOf(terminal)}`, click: signOut }, "Sign out"));
  }

  #refuse(problem) {
    show(byId("terminals-error"), problem !== undefined);
    byId("terminals-error").textContent = problem?.message ?? "";
  }
}

function nameOf({ type, device_name }) {
  return device_name ? `${device_name} (${type})` : type;
}

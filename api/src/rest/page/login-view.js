// Logging in, as a terminal of any type.

import { call } from "./api.js";
import { byId, el, momentOf, show } from "./dom.js";
import { Session } from "./session.js";

const DEVICES = { phone: "My phone", pc: "My PC", web: "My browser", pad: "My pad", watch: "My watch" };

export class LoginView {
  #onLogin;
  #named = false;
  /** How many sessions of each terminal type a user can have. */
  #limits = new Map();

  constructor(onLogin) {
    this.#onLogin = onLogin;
    byId("login-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#logIn();
    });
    byId("login-terminal").addEventListener("change", () => this.#name());
    byId("login-device").addEventListener("input", () => { this.#named = true; });
    byId("demo-create").addEventListener("click", () => this.#makeDemoUsers());
    byId("demo-code").addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.#makeDemoUsers();
    });
  }

  async open() {
    this.#refuse();
    byId("login-user").focus();
    await Promise.all([this.#listTerminals(), this.#offerDemoUsers()]);
  }

  async #listTerminals() {
    const info = await call("GET", "v1/info").catch(() => undefined);
    if (!info) {
      setTimeout(() => this.#listTerminals(), 2000);
      return;
    }
    const chosen = byId("login-terminal").value || "web";
    this.#limits = new Map(info.terminal_types.map(({ name, session_limit }) => [name, session_limit]));
    const option = ({ name, session_limit }) =>
      el("option", { value: name, selected: name === chosen },
        session_limit === 1 ? `${name} (one at a time)` : `${name} (up to ${session_limit})`);
    byId("login-terminal").replaceChildren(...info.terminal_types.map(option));
    this.#name();
  }

  #name() {
    const type = byId("login-terminal").value;
    if (!this.#named) byId("login-device").value = DEVICES[type] ?? `My ${type}`;
    const limit = this.#limits.get(type) ?? 1;
    byId("login-replace-label").textContent =
      limit === 1 ? `Log out the other ${type}` : `Log out the oldest ${type} when ${limit} are logged in`;
  }

  async #logIn() {
    const button = byId("login-form").querySelector(".primary");
    button.disabled = true;
    this.#refuse();
    try {
      const session = await Session.logIn({
        userId: byId("login-user").value.trim(),
        password: byId("login-password").value,
        type: byId("login-terminal").value,
        deviceName: byId("login-device").value.trim(),
        replace: byId("login-replace").checked,
      });
      byId("login-password").value = "";
      this.#onLogin(session);
    } catch (problem) {
      this.#refuse(problem);
    } finally {
      button.disabled = false;
    }
  }

  #refuse(problem) {
    const error = byId("login-error");
    show(error, problem !== undefined);
    error.textContent = problem ? explain(problem) : "";
  }

  async #offerDemoUsers() {
    const answer = await call("GET", "page/demo-users").catch(() => ({ offered: false }));
    show(byId("demo"), answer.offered);
    // The link that imd prints has the code in it, behind `#`, which browsers send to nobody.
    const code = new URLSearchParams(location.hash.slice(1)).get("demo");
    if (code) byId("demo-code").value = code;
    show(byId("demo-asks"), !code);
  }

  async #makeDemoUsers() {
    this.#refuse();
    try {
      const { users } = await call("POST", "page/demo-users", { body: { code: byId("demo-code").value } });
      const chip = ({ user_id, password }) => el("li", {}, el("button", {
        type: "button",
        click: () => this.#choose(user_id, password),
      }, user_id));
      byId("demo-users").replaceChildren(...users.map(chip));
      this.#choose(users[0].user_id, users[0].password);
    } catch (problem) {
      this.#refuse(problem);
      // The code in an old link is that of an earlier start.
      show(byId("demo-asks"), true);
    }
  }

  #choose(userId, password) {
    byId("login-user").value = userId;
    byId("login-password").value = password;
    byId("login-terminal").focus();
  }
}

function explain(problem) {
  const { terminal_type, device_name, last_used_at } = problem.members ?? {};
  switch (problem.code) {
    case "invalid_credentials":
      return "The user or the password is wrong.";
    case "terminal_occupied":
      return `Your ${terminal_type} is in use on “${device_name}”, last at ${momentOf(last_used_at)}.`;
    default:
      return problem.message;
  }
}

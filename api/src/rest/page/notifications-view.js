// The button by which this terminal is told of messages while the page is closed.

import { announce, byId, show } from "./dom.js";
import { Notifications } from "./notifications.js";

const TEXTS = { off: "Notify me", on: "Stop notifying me" };

export class NotificationsView {
  #button = byId("notify");
  #notifications;
  #state;

  constructor() {
    this.#button.addEventListener("click", () => this.#change());
  }

  async show(chat) {
    const notifications = new Notifications(chat.session);
    this.#notifications = notifications;
    show(this.#button, false);
    // Whoever is refused here is told so by the connection.
    const state = await notifications.state().catch(() => "unavailable");
    if (this.#notifications === notifications) this.#render(state);
  }

  #render(state) {
    this.#state = state;
    show(this.#button, state !== "unavailable");
    this.#button.textContent = TEXTS[state] ?? "";
  }

  async #change() {
    const notifications = this.#notifications;
    this.#button.disabled = true;
    this.#refuse();
    try {
      if (this.#state === "on") {
        await notifications.turnOff();
        this.#render("off");
        announce("You are not notified on this terminal any more.");
      } else {
        await notifications.turnOn();
        this.#render("on");
        announce("You are notified on this terminal when the page is closed.");
      }
    } catch (problem) {
      this.#refuse(problem);
    } finally {
      this.#button.disabled = false;
    }
  }

  #refuse(problem) {
    show(byId("notify-error"), problem !== undefined);
    byId("notify-error").textContent = problem ? `Notifications: ${problem.message}` : "";
  }
}

// What is sent and not yet seen in the timeline: the local echo. It outlives a reload, and whatever has
// no answer goes out again with the same id, so that it is stored once.

import { newUuid } from "./session.js";

export class Outbox {
  #key;
  #messages = new Map();

  constructor(sessionId) {
    this.#key = `imd.outbox.${sessionId}`;
    const stored = JSON.parse(sessionStorage.getItem(this.#key) ?? "[]");
    for (const message of stored) this.#messages.set(message.id, message);
  }

  /** Takes up a text for a conversation, by its id, with what a send has `beside`: mentions, what it answers or forwards. */
  add(to, text, beside) {
    const message = { id: newUuid(), to, text, beside, at: new Date().toISOString(), state: "waiting" };
    this.#messages.set(message.id, message);
    this.#save();
    return message;
  }

  /** Those of a conversation, in the order in which they were written. */
  to(conversationId) {
    return [...this.#messages.values()].filter((message) => message.to === conversationId);
  }

  /** Those that are to go out. */
  waiting() {
    return [...this.#messages.values()].filter((message) => message.state === "waiting");
  }

  get(id) {
    return this.#messages.get(id);
  }

  /** It is stored; it stays as an echo until the timeline has it. */
  stored(id) {
    this.#change(id, { state: "stored" });
  }

  /** It cannot be stored as it is. */
  failed(id, why) {
    this.#change(id, { state: "failed", why });
  }

  again(id) {
    this.#change(id, { state: "waiting", why: undefined });
  }

  /** The timeline has it, or nobody wants it. */
  remove(id) {
    if (this.#messages.delete(id)) this.#save();
  }

  clear() {
    sessionStorage.removeItem(this.#key);
  }

  #change(id, members) {
    const message = this.#messages.get(id);
    if (!message) return;
    Object.assign(message, members);
    this.#save();
  }

  #save() {
    sessionStorage.setItem(this.#key, JSON.stringify([...this.#messages.values()]));
  }
}

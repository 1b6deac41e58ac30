// What is typed and not yet sent, by conversation. It outlives a reload of the window.

export class Drafts {
  #key;
  #texts;

  constructor(sessionId) {
    this.#key = `imd.drafts.${sessionId}`;
    this.#texts = JSON.parse(sessionStorage.getItem(this.#key) ?? "{}");
  }

  of(conversation) {
    return this.#texts[conversation.id] ?? "";
  }

  keep(conversation, text) {
    if (text === "") delete this.#texts[conversation.id];
    else this.#texts[conversation.id] = text;
    sessionStorage.setItem(this.#key, JSON.stringify(this.#texts));
  }

  clear() {
    sessionStorage.removeItem(this.#key);
  }
}

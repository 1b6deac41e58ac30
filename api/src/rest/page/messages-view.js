// One conversation: its messages, older ones as one scrolls up, and what is being sent.

import { arrange, byId, dayOf, el, show, timeOf } from "./dom.js";

/** How near to an edge of the list counts as being there, in pixels. */
const NEAR = 80;

const ENDS = {
  BEGINNING: "The conversation begins here.",
  RETENTION_LIMIT: "Older messages are not kept for your account.",
};

export class MessagesView {
  #chat;
  #conversation;
  #rows = new Map();
  #list = byId("messages");

  constructor() {
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    byId("draft").addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    });
    this.#list.addEventListener("scroll", () => this.#scrolled());
    byId("older").addEventListener("click", () => this.#older());
    byId("newest").addEventListener("click", () => this.#toBottom());
    document.addEventListener("visibilitychange", () => this.#seen());
  }

  get conversation() {
    return this.#conversation;
  }

  /** Shows a conversation; none when there is none. */
  async show(chat, conversation) {
    this.#chat = chat;
    this.#conversation = conversation;
    this.#rows.clear();
    byId("message-list").replaceChildren();
    show(byId("conversation"), conversation !== undefined);
    if (!conversation) return;
    byId("peer").textContent = conversation.peer;
    this.render();
    this.#toBottom();
    byId("draft").focus();
    if (conversation.olderToken === undefined) await this.#older();
    this.#toBottom();
  }

  /** Shows what has changed. */
  render() {
    const conversation = this.#conversation;
    if (!conversation) return;
    const atBottom = this.#atBottom;
    const fromBottom = this.#list.scrollHeight - this.#list.scrollTop;
    arrange(byId("message-list"), this.#nodes());
    show(byId("older"), Boolean(conversation.olderToken));
    const end = conversation.olderToken === "" ? ENDS[conversation.end] : undefined;
    show(byId("history-end"), end !== undefined);
    byId("history-end").textContent = end ?? "";
    if (atBottom) this.#toBottom();
    // What was in view stays where it is, whatever came above it.
    else if (this.prepending) this.#list.scrollTop = this.#list.scrollHeight - fromBottom;
    show(byId("newest"), !this.#atBottom && conversation.unread > 0);
    this.#seen();
  }

  #nodes() {
    const nodes = [];
    let day;
    const add = (key, at, node) => {
      const its = dayOf(at);
      if (its !== day) nodes.push(this.#row(`day ${its}`, its, () => el("li", { class: "day" }, its)));
      day = its;
      nodes.push(node);
    };
    const { messages } = this.#conversation;
    for (const entry of this.#conversation.inOrder) {
      const read = entry.seq <= this.#conversation.peerReadSeq;
      const key = `seq ${entry.seq}`;
      const state = `${entry.message.tombstone ?? ""} ${read}`;
      add(key, entry.appended_at, this.#row(key, state, () => this.#stored(entry, read)));
    }
    for (const message of this.#chat.outbox.to(this.#conversation.peer)) {
      const key = `echo ${message.id}`;
      add(key, message.at, this.#row(key, message.state, () => this.#echo(message)));
    }
    if (messages.size === 0 && nodes.length === 0) this.#rows.clear();
    return nodes;
  }

  /** The node of a row: the one that is there, unless its state has changed. */
  #row(key, state, make) {
    const known = this.#rows.get(key);
    if (known?.state === state) return known.node;
    const node = make();
    this.#rows.set(key, { state, node });
    return node;
  }

  #stored({ appended_at, message }, read) {
    const mine = message.sender_id === this.#chat.session.userId;
    return el("li", { class: mine ? "message mine" : "message" },
      el("span", { class: "hidden" }, mine ? "You: " : `${message.sender_id}: `),
      content(message),
      el("div", { class: "meta" },
        el("time", { datetime: appended_at }, timeOf(appended_at)),
        mine ? el("span", {}, read ? "read" : "sent") : undefined));
  }

  #echo({ id, text, state, why, at }) {
    const meta = state === "failed"
      ? [el("span", {}, `Not sent: ${why}`),
        el("button", { type: "button", click: () => this.#chat.sendAgain(id) }, "Again"),
        el("button", { type: "button", click: () => this.#chat.discard(id) }, "Discard")]
      : [el("time", { datetime: at }, timeOf(at)), el("span", {}, state === "stored" ? "sent" : "sending…")];
    return el("li", { class: `message mine ${state}` },
      el("span", { class: "hidden" }, "You: "),
      el("div", { class: "text", dir: "auto" }, text),
      el("div", { class: "meta" }, meta));
  }

  #send() {
    const draft = byId("draft");
    if (draft.value.trim() === "") return;
    this.#chat.send(this.#conversation, draft.value);
    draft.value = "";
    draft.focus();
    this.#toBottom();
  }

  async #older() {
    const conversation = this.#conversation;
    this.#list.setAttribute("aria-busy", "true");
    this.prepending = true;
    try {
      await this.#chat.older(conversation);
    } catch {
      // The next scroll or click tries again.
    } finally {
      this.prepending = false;
      this.#list.removeAttribute("aria-busy");
    }
  }

  #scrolled() {
    if (this.#list.scrollTop < NEAR && this.#conversation?.olderToken) this.#older();
    if (this.#atBottom) {
      show(byId("newest"), false);
      this.#seen();
    }
  }

  /** Marks as read what is in view, if somebody can see it. */
  #seen() {
    if (this.#conversation && this.#atBottom && !document.hidden) this.#chat.read(this.#conversation);
  }

  get #atBottom() {
    return this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight < NEAR;
  }

  #toBottom() {
    this.#list.scrollTop = this.#list.scrollHeight;
  }
}

function content({ text, content_type, data }) {
  if (text !== undefined) return el("div", { class: "text", dir: "auto" }, text);
  if (content_type === undefined) return el("div", { class: "gone" }, "This message is gone.");
  const size = Math.floor((data.length * 3) / 4);
  return el("div", { class: "gone" }, `${content_type}, ${size.toLocaleString()} bytes`);
}

// One conversation: its messages, older ones as one scrolls up, and what is being sent.

import { arrange, byId, dayOf, el, goneText, show, timeOf } from "./dom.js";

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
  /** Whether the newest message is in view. Whatever makes the list smaller leaves it there. */
  #atEnd = true;

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
    byId("draft").addEventListener("input", () => this.#keepDraft());
    document.addEventListener("visibilitychange", () => this.#seen());
    // The keyboard of a phone, a banner or a longer draft takes room from below or above.
    new ResizeObserver(() => this.#atEnd && this.#toBottom()).observe(this.#list);
  }

  get conversation() {
    return this.#conversation;
  }

  /** Shows a conversation; none when there is none. What is typed stays with its own. */
  async show(chat, conversation) {
    const draft = byId("draft");
    this.#chat = chat;
    this.#conversation = conversation;
    this.#rows.clear();
    byId("message-list").replaceChildren();
    show(byId("conversation"), conversation !== undefined);
    draft.value = conversation ? chat.drafts.of(conversation) : "";
    if (!conversation) return;
    byId("peer").textContent = conversation.peer;
    this.#atEnd = true;
    this.render();
    this.#toBottom();
    draft.focus();
    if (conversation.olderToken === undefined) await this.#older();
    if (conversation === this.#conversation && this.#atEnd) this.#toBottom();
  }

  /** Shows what has changed. */
  render() {
    const conversation = this.#conversation;
    if (!conversation) return;
    const atEnd = this.#atEnd;
    const fromBottom = this.#list.scrollHeight - this.#list.scrollTop;
    arrange(byId("message-list"), this.#nodes());
    show(byId("older"), Boolean(conversation.olderToken));
    const end = conversation.olderToken === "" ? ENDS[conversation.end] : undefined;
    show(byId("history-end"), end !== undefined);
    byId("history-end").textContent = end ?? "";
    if (atEnd) this.#toBottom();
    // What was in view stays where it is, whatever came above it.
    else if (this.prepending) this.#list.scrollTop = this.#list.scrollHeight - fromBottom;
    show(byId("newest"), !this.#atEnd && conversation.unread > 0);
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
    if (nodes.length === 0) this.#rows.clear();
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
        el("button", { type: "button", click: () => this.#chat.sendAgain(id) }, "Retry"),
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
    this.#keepDraft();
    draft.focus();
    this.#toBottom();
  }

  #keepDraft() {
    this.#chat.drafts.keep(this.#conversation, byId("draft").value);
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
    const { scrollHeight, scrollTop, clientHeight } = this.#list;
    this.#atEnd = scrollHeight - scrollTop - clientHeight < NEAR;
    if (scrollTop < NEAR && this.#conversation?.olderToken) this.#older();
    if (!this.#atEnd) return;
    show(byId("newest"), false);
    this.#seen();
  }

  /** Marks as read what is in view, if somebody can see it. */
  #seen() {
    if (this.#conversation && this.#atEnd && !document.hidden) this.#chat.read(this.#conversation);
  }

  #toBottom() {
    this.#atEnd = true;
    this.#list.scrollTop = this.#list.scrollHeight;
  }
}

function content({ text, content_type, data, tombstone }) {
  if (text !== undefined) return el("div", { class: "text", dir: "auto" }, text);
  if (content_type === undefined) return el("div", { class: "gone" }, goneText({ tombstone }));
  const size = Math.floor((data.length * 3) / 4);
  return el("div", { class: "gone" }, `${content_type}, ${size.toLocaleString()} bytes`);
}

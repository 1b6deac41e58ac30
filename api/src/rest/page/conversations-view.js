// The list of conversations.

import { arrange, byId, el, goneText, show, whenOf } from "./dom.js";

export class ConversationsView {
  #chat;
  #rows = new Map();

  constructor(onOpen) {
    this.onOpen = onOpen;
    byId("start-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const user = byId("start-user").value.trim();
      if (!user) return;
      byId("start-user").value = "";
      this.onOpen(this.#chat.timeline.conversation(`user:${user}`));
    });
    byId("more-conversations").addEventListener("click", () =>
      this.#chat.listConversations(true).catch(() => {}));
  }

  show(chat) {
    this.#chat = chat;
    this.#rows.clear();
    this.render();
  }

  render(open = this.open) {
    this.open = open;
    const conversations = this.#chat.timeline.conversations.filter(
      (conversation) => conversation.lastMessage || conversation === open || this.#isJoined(conversation));
    arrange(byId("conversation-list"), conversations.map((conversation) => this.#row(conversation)));
    show(byId("no-conversations"), conversations.length === 0);
    show(byId("more-conversations"), this.#chat.hasMore);
  }

  #isJoined({ isGroup, peer }) {
    return isGroup && Boolean(this.#chat.groups.get(peer)?.role);
  }

  /** Whether the other side is there. */
  #dot({ isGroup, peer }) {
    const state = isGroup ? undefined : this.#chat.presence.of(peer)?.state;
    if (state !== "ONLINE" && state !== "IDLE") return "";
    const word = state === "ONLINE" ? "online" : "away";
    return el("span", { class: `dot ${word}` }, el("span", { class: "hidden" }, ` ${word}`));
  }

  #row(conversation) {
    let row = this.#rows.get(conversation.id);
    if (!row) {
      row = el("li", {}, el("button", { type: "button", click: () => this.onOpen(conversation) }));
      this.#rows.set(conversation.id, row);
    }
    const { isGroup, lastMessage, unread, mentions } = conversation;
    const button = row.firstElementChild;
    button.toggleAttribute("aria-current", conversation === this.open);
    button.replaceChildren(
      el("strong", { dir: "auto" }, this.#chat.nameOf(conversation), this.#dot(conversation)),
      lastMessage ? el("time", { datetime: lastMessage.appended_at }, whenOf(lastMessage.appended_at)) : "",
      el("span", { class: "preview", dir: "auto" }, previewOf(lastMessage?.message, this.#chat.session.userId, isGroup)),
      unread > 0
        ? el("span", { class: "badge" }, mentions > 0 ? "@ " : "", unread > 99 ? "99+" : `${unread}`, el("span", { class: "hidden" }, mentions > 0 ? " unread, you are mentioned" : " unread"))
        : "",
    );
    return row;
  }
}

function previewOf(message, userId, isGroup) {
  if (!message) return "";
  const others = isGroup ? `${message.sender_id}: ` : "";
  const who = message.sender_id === userId ? "You: " : others;
  if (message.text !== undefined) return who + message.text;
  return who + (message.content_type ?? goneText(message));
}

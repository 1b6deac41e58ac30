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
      (conversation) => conversation.lastMessage || conversation === open);
    arrange(byId("conversation-list"), conversations.map((conversation) => this.#row(conversation)));
    show(byId("no-conversations"), conversations.length === 0);
    show(byId("more-conversations"), this.#chat.hasMore);
  }

  #row(conversation) {
    let row = this.#rows.get(conversation.id);
    if (!row) {
      row = el("li", {}, el("button", { type: "button", click: () => this.onOpen(conversation) }));
      this.#rows.set(conversation.id, row);
    }
    const { peer, lastMessage, unread } = conversation;
    const button = row.firstElementChild;
    button.toggleAttribute("aria-current", conversation === this.open);
    button.replaceChildren(
      el("strong", {}, peer === this.#chat.session.userId ? `${peer} (notes to yourself)` : peer),
      lastMessage ? el("time", { datetime: lastMessage.appended_at }, whenOf(lastMessage.appended_at)) : "",
      el("span", { class: "preview", dir: "auto" }, previewOf(lastMessage?.message, this.#chat.session.userId)),
      unread > 0
        ? el("span", { class: "badge" }, unread > 99 ? "99+" : `${unread}`, el("span", { class: "hidden" }, " unread"))
        : "",
    );
    return row;
  }
}

function previewOf(message, userId) {
  if (!message) return "";
  const who = message.sender_id === userId ? "You: " : "";
  if (message.text !== undefined) return who + message.text;
  return who + (message.content_type ?? goneText(message));
}

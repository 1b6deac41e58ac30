// One conversation: its messages, older ones as one scrolls up, and what is being sent.

import { arrange, byId, dayOf, el, goneText, presenceText, show, timeOf } from "./dom.js";

/** How near to an edge of the list counts as being there, in pixels. */
const NEAR = 80;

/** The reaction that is one click away. */
const LIKE = "👍";

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
  /** How far down the list was when that was found out. */
  #top = 0;
  /** The entry that the next message answers. */
  #answered;

  constructor(onGroup, onOpen) {
    this.onOpen = onOpen;
    byId("answering-cancel").addEventListener("click", () => this.#answer(undefined));
    byId("group-open").addEventListener("click", () => onGroup(this.#conversation.peer));
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
    byId("draft").addEventListener("input", () => {
      this.#keepDraft();
      this.#chat.drafted(this.#conversation, byId("draft").value);
      this.#offerMentions();
    });
    document.addEventListener("visibilitychange", () => this.#seen());
    // The keyboard of a phone, a banner or a longer draft takes room from below or above.
    new ResizeObserver(() => this.#isAtEnd() && this.#toBottom()).observe(this.#list);
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
    this.#answer(undefined);
    if (!conversation) return;
    this.renderGroup(conversation.peer);
    this.renderPresence([conversation.peer]);
    this.renderTyping(conversation.id);
    this.#offerMentions();
    this.#atEnd = true;
    this.#top = 0;
    this.render();
    this.#toBottom();
    draft.focus();
    if (conversation.isGroup && chat.groups.get(conversation.peer)?.role) {
      chat.listMembers(conversation.peer).catch(() => {});
    }
    if (conversation.olderToken === undefined) await this.#older();
    if (conversation === this.#conversation && this.#atEnd) this.#toBottom();
  }

  /** Shows what the conversation is called, and whether it can be written to. */
  renderGroup(groupId) {
    const conversation = this.#conversation;
    if (!conversation || conversation.peer !== groupId) return;
    const { isGroup } = conversation;
    const group = this.#chat.groups.get(groupId);
    byId("peer").textContent = this.#chat.nameOf(conversation);
    show(byId("group-open"), isGroup && Boolean(group?.role));
    // What is not known yet may be a group of the user's.
    const isOver = isGroup && group !== undefined && !group.role;
    show(byId("composer"), !isOver);
    show(byId("group-over"), isOver);
  }

  /** Shows whether the other side is there, if it is among these users. */
  renderPresence(userIds) {
    const { isGroup, peer } = this.#conversation ?? {};
    if (!userIds.includes(peer)) return;
    const text = isGroup ? "" : presenceText(this.#chat.presence.of(peer));
    byId("presence").textContent = text;
    show(byId("presence"), text !== "");
  }

  /** Shows who types, if it is in the conversation that is open. */
  renderTyping(conversationId) {
    if (this.#conversation?.id !== conversationId) return;
    const names = this.#chat.presence.typingIn(conversationId);
    const who = names.length > 3 ? `${names.length} members` : names.join(", ");
    byId("typing").textContent = names.length === 0 ? "" : `${who} ${names.length === 1 ? "is" : "are"} typing…`;
  }

  /** Offers the members whose ids go on as what is typed behind an @. */
  #offerMentions() {
    const { isGroup, peer } = this.#conversation;
    const draft = byId("draft");
    const typed = draft.value.slice(0, draft.selectionStart);
    const matching = isGroup ? this.#chat.groups.matching(peer, typed).slice(0, 8) : [];
    const choose = (id) => {
      const before = typed.slice(0, typed.lastIndexOf("@") + 1);
      draft.setRangeText(`${before}${id} `, 0, draft.selectionStart, "end");
      draft.focus();
      this.#keepDraft();
      this.#offerMentions();
    };
    byId("mention-list").replaceChildren(...matching.map((id) =>
      el("li", {}, el("button", { type: "button", click: () => choose(id) }, `@${id}`))));
    show(byId("mention-list"), matching.length > 0);
  }

  /** Shows what has changed. */
  render() {
    const conversation = this.#conversation;
    if (!conversation) return;
    const atEnd = this.#isAtEnd();
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
      const { tombstone = "", edit_no = 0, reactions = [], reply_to } = entry.message;
      const state = JSON.stringify([tombstone, edit_no, reactions, reply_to, read]);
      add(key, entry.appended_at, this.#row(key, state, () => this.#stored(entry, read)));
    }
    for (const message of this.#chat.outbox.to(this.#conversation.id)) {
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

  #stored(entry, read) {
    const { appended_at, message } = entry;
    const mine = message.sender_id === this.#chat.session.userId;
    const { isGroup } = this.#conversation;
    const kinds = ["message", mine && "mine", message.mentioned && !message.tombstone && "mentioned"];
    return el("li", { class: kinds.filter(Boolean).join(" ") },
      el("span", { class: isGroup && !mine ? "sender" : "hidden" }, mine ? "You: " : `${message.sender_id}: `),
      message.forwarded ? el("div", { class: "origin" }, `Forwarded from ${message.forwarded.sender_id}`) : undefined,
      message.reply_to && !message.tombstone ? quote(message.reply_to) : undefined,
      content(message),
      this.#reactions(entry),
      el("div", { class: "meta" },
        this.#like(entry),
        this.#actions(entry),
        message.edit_no > 0 ? el("span", {}, "edited") : undefined,
        el("time", { datetime: appended_at }, timeOf(appended_at)),
        mine ? this.#fate(message, read, isGroup) : undefined));
  }

  /** How often each reaction is given; a click gives it, too, or takes it back. */
  #reactions(entry) {
    const { reactions = [], tombstone } = entry.message;
    if (tombstone || reactions.length === 0) return undefined;
    const chip = ({ reaction, count, own = false }) => el("button", {
      type: "button", "aria-pressed": String(own), "aria-label": `${reaction}: ${count}`,
      click: () => this.#react(entry, reaction, !own),
    }, `${reaction} ${count}`);
    return el("div", { class: "reactions" }, reactions.map(chip));
  }

  #like(entry) {
    const { reactions = [], tombstone } = entry.message;
    if (tombstone || reactions.some(({ reaction }) => reaction === LIKE)) return undefined;
    return el("button", {
      type: "button", class: "like", "aria-label": `React with ${LIKE}`, click: () => this.#react(entry, LIKE, true),
    }, LIKE);
  }

  /** Answering a message and sending it on. */
  #actions(entry) {
    if (entry.message.tombstone) return [];
    const act = (name, click) => el("button", { type: "button", class: "act", click }, name);
    return [act("Reply", () => this.#answer(entry)), act("Forward", () => this.#forward(entry))];
  }

  /** Has the next message answer this one, or none. */
  #answer(entry) {
    this.#answered = entry;
    show(byId("answering"), entry !== undefined);
    if (!entry) return;
    byId("answered").replaceChildren(...quote(entry.message).childNodes);
    byId("draft").focus();
  }

  /** Asks to whom a message is to be sent on. */
  #forward({ message }) {
    const dialog = byId("forward");
    const { conversations } = this.#chat.timeline;
    const choose = (conversation) => {
      dialog.close();
      this.#chat.forward(conversation, message);
      this.onOpen(conversation);
    };
    const known = conversations.filter(({ isGroup, peer, lastMessage }) =>
      isGroup ? this.#chat.groups.get(peer)?.role : lastMessage);
    byId("forward-list").replaceChildren(...known.map((conversation) => el("li", {},
      el("button", { type: "button", click: () => choose(conversation) }, this.#chat.nameOf(conversation)))));
    dialog.showModal();
  }

  #react(entry, reaction, given) {
    // What the server refuses stays as it is.
    this.#chat.react(this.#conversation, entry, reaction, given).catch(() => {});
  }

  /** What has become of a message of one's own. In a group one has to ask who has read it. */
  #fate(message, read, isGroup) {
    if (!isGroup) return el("span", {}, read ? "read" : "sent");
    if (message.tombstone) return undefined;
    const ask = async ({ currentTarget: button }) => {
      try {
        const readers = await this.#chat.readers(message.message_id);
        if (readers) button.textContent = readBy(readers);
      } catch (problem) {
        button.textContent = problem.message;
      }
    };
    return el("button", { type: "button", "aria-live": "polite", click: ask }, "Who has read it?");
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
    this.#chat.send(this.#conversation, draft.value, this.#answered?.message.message_id);
    this.#answer(undefined);
    draft.value = "";
    this.#keepDraft();
    this.#offerMentions();
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

  /** How much of the list is below what is in view, in pixels. */
  #below() {
    return this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight;
  }

  /** Whether the newest message is to stay in view. Who has just scrolled up is away from it before the event says so. */
  #isAtEnd() {
    if (this.#list.scrollTop < this.#top - NEAR && this.#below() >= NEAR) this.#atEnd = false;
    return this.#atEnd;
  }

  #scrolled() {
    const { scrollTop } = this.#list;
    this.#top = scrollTop;
    this.#atEnd = this.#below() < NEAR;
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
    this.#top = this.#list.scrollTop;
  }
}

/** Such as "Read by ben and 2 more; 4 have not". */
function readBy({ user_ids, read_count, unread_count }) {
  const more = read_count - user_ids.length;
  const readers = more > 0 ? [...user_ids, `${more} more`] : user_ids;
  const read = read_count === 0 ? "Nobody has read it" : `Read by ${readers.join(", ")}`;
  return unread_count === 0 ? read : `${read}; ${unread_count} ${unread_count === 1 ? "has" : "have"} not`;
}

/** The beginning of the message that another one answers. */
function quote({ sender_id, text, content_type, tombstone }) {
  if (sender_id === undefined) return el("div", { class: "quote gone" }, "A message that you cannot see.");
  const said = text ?? content_type ?? goneText({ tombstone });
  return el("div", { class: "quote" }, el("strong", {}, sender_id), el("div", { dir: "auto" }, said));
}

function content({ text, content_type, data, tombstone }) {
  if (text !== undefined) return el("div", { class: "text", dir: "auto" }, text);
  if (content_type === undefined) return el("div", { class: "gone" }, goneText({ tombstone }));
  const size = Math.floor((data.length * 3) / 4);
  return el("div", { class: "gone" }, `${content_type}, ${size.toLocaleString()} bytes`);
}

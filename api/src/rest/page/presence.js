// Who is there, and who types: nothing of it is stored, and all of it is forgotten with the connection.

/** How often the server passes on that one types, in milliseconds. */
const TYPING_EVERY = 3000;

/** Events: `presence` with the users of whom something is known anew, `typing` with the id of a conversation. */
export class Presence extends EventTarget {
  #users = new Map();
  /** By conversation and sender: what forgets it. */
  #typing = new Map();
  /** When it was said last that the user types, by conversation. */
  #said = new Map();
  /** Whom the connection watches, as it was told. */
  #watched = "";
  #send;

  /** `send` sends a frame, and says whether it went out. */
  constructor(send) {
    super();
    this.#send = send;
    document.addEventListener("visibilitychange", this.#seen);
  }

  stop() {
    document.removeEventListener("visibilitychange", this.#seen);
    for (const conversation of [...this.#typing.keys()]) this.#forget(conversation);
  }

  /** A connection is new: it knows nothing of whom to watch, and whoever typed may have stopped. */
  opened() {
    this.#watched = "";
    this.#said.clear();
    for (const conversation of [...this.#typing.keys()]) this.#forget(conversation);
  }

  /** Watches these users and no others, if these are others than so far. */
  watch(userIds) {
    const watched = userIds.toSorted().join(",");
    if (watched === this.#watched) return;
    if (this.#send({ watch: { user_ids: userIds } })) this.#watched = watched;
  }

  /** Takes what the server says of users. */
  take({ users }) {
    for (const user of users) this.#users.set(user.user_id, user);
    this.#say("presence", users.map((user) => user.user_id));
  }

  /** Takes a signal. Those that are not about typing are for other clients. */
  signal({ conversation_id, sender_id, typing, expires_in }) {
    if (typing === "STARTED") this.#types(conversation_id, sender_id, expires_in * 1000);
    else if (typing) this.#forget(conversation_id, sender_id);
  }

  /** A message has come: its sender does not type it any more. */
  message(conversationId, senderId) {
    this.#forget(conversationId, senderId);
  }

  /** What is known of a user; `undefined` when nothing is. */
  of(userId) {
    return this.#users.get(userId);
  }

  /** Who types in a conversation. */
  typingIn(conversationId) {
    return [...(this.#typing.get(conversationId)?.keys() ?? [])];
  }

  /** The draft of a conversation has changed: says that the user types, or that it has given up. */
  drafted({ id, to }, draft) {
    const said = this.#said.get(id) ?? 0;
    if (draft.trim() === "") {
      if (said !== 0) this.#send({ signal: { to, typing: "STOPPED" } });
      this.#said.delete(id);
    } else if (Date.now() - said >= TYPING_EVERY && this.#send({ signal: { to, typing: "STARTED" } })) {
      this.#said.set(id, Date.now());
    }
  }

  /** The draft has become a message, which ends the typing by itself. */
  sent({ id }) {
    this.#said.delete(id);
  }

  #types(conversation, sender, expires) {
    const senders = this.#typing.get(conversation) ?? new Map();
    clearTimeout(senders.get(sender));
    senders.set(sender, setTimeout(() => this.#forget(conversation, sender), expires));
    this.#typing.set(conversation, senders);
    this.#say("typing", conversation);
  }

  /** Forgets who types in a conversation, or that one does. */
  #forget(conversation, sender) {
    const senders = this.#typing.get(conversation);
    if (!senders || (sender !== undefined && !senders.has(sender))) return;
    for (const known of sender === undefined ? [...senders.keys()] : [sender]) {
      clearTimeout(senders.get(known));
      senders.delete(known);
    }
    if (senders.size === 0) this.#typing.delete(conversation);
    this.#say("typing", conversation);
  }

  /** Nobody is at a window that is not seen. */
  #seen = () => this.#send({ set_idle: { idle: document.hidden } });

  #say(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

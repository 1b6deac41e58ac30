// What this window knows of the user's conversations. It takes entries in any order and any number of
// times: a place is a place.

export class Conversation {
  /** By seq. */
  messages = new Map();
  lastMessage;
  unread = 0;
  readSeq = 0;
  peerReadSeq = 0;
  /** Of the next older page; empty when there is none, `undefined` before the first. */
  olderToken;
  /** Why there is none: BEGINNING or RETENTION_LIMIT. */
  end;

  constructor(id) {
    this.id = id;
    this.peer = id.slice(id.indexOf(":") + 1);
  }

  /** In the order of the timeline. */
  get inOrder() {
    return [...this.messages.values()].sort((one, other) => one.seq - other.seq);
  }

  /** Forgets what may have gaps. */
  forget() {
    this.messages.clear();
    this.olderToken = undefined;
    this.end = undefined;
  }
}

export class Timeline {
  #conversations = new Map();
  #userId;

  constructor(userId) {
    this.#userId = userId;
  }

  get conversations() {
    return [...this.#conversations.values()]
      .sort((one, other) => (other.lastMessage?.seq ?? Infinity) - (one.lastMessage?.seq ?? Infinity));
  }

  conversation(id) {
    let found = this.#conversations.get(id);
    if (!found) this.#conversations.set(id, (found = new Conversation(id)));
    return found;
  }

  /** Takes a conversation as the server lists it. */
  list(listed) {
    const conversation = this.conversation(listed.conversation_id);
    if (listed.last_message) this.#newest(conversation, listed.last_message);
    conversation.unread = listed.unread_count ?? conversation.unread;
    conversation.readSeq = listed.read_seq ?? conversation.readSeq;
    conversation.peerReadSeq = listed.peer_read_seq ?? conversation.peerReadSeq;
  }

  /** Takes a page of history. */
  page(conversation, { entries, next_page_token, end }) {
    for (const entry of entries) this.#put(conversation, entry);
    conversation.olderToken = next_page_token;
    conversation.end = end ?? undefined;
  }

  /** Takes the next entry of the stream; the conversation that it changes, if it changes one. */
  take(entry) {
    const about = entry.message ?? entry.read_mark ?? entry.read_receipt
      ?? entry.message_recalled ?? entry.message_deleted;
    if (!about?.conversation_id) return undefined;
    const conversation = this.conversation(about.conversation_id);
    switch (entry.kind) {
      case "message":
        this.#put(conversation, entry);
        conversation.unread = about.sender_id === this.#userId ? 0 : conversation.unread + 1;
        break;
      case "read_mark":
        conversation.readSeq = Math.max(conversation.readSeq, about.seq);
        conversation.unread = conversation.inOrder
          .filter(({ seq, message }) => seq > conversation.readSeq && message.sender_id !== this.#userId).length;
        break;
      case "read_receipt":
        conversation.peerReadSeq = Math.max(conversation.peerReadSeq, about.seq);
        break;
      case "message_recalled":
        this.#empty(conversation, about.seq);
        break;
      case "message_deleted":
        conversation.messages.delete(about.seq);
        break;
    }
    return conversation;
  }

  /** Forgets everything that may have gaps now. */
  forget() {
    for (const conversation of this.#conversations.values()) conversation.forget();
  }

  #put(conversation, entry) {
    conversation.messages.set(entry.seq, entry);
    this.#newest(conversation, entry);
  }

  #newest(conversation, entry) {
    if (entry.seq >= (conversation.lastMessage?.seq ?? 0)) conversation.lastMessage = entry;
  }

  #empty(conversation, seq) {
    const known = conversation.messages.get(seq);
    if (!known) return;
    const { text, content_type, data, ...rest } = known.message;
    this.#put(conversation, { ...known, message: { ...rest, tombstone: "RECALLED" } });
  }
}

// The store of the user's conversations: it applies entries, and the views show what it has.

import { Conversation } from "./conversation.js";

export class Timeline {
  #conversations = new Map();
  #userId;

  constructor(userId) {
    this.#userId = userId;
  }

  /** The one with the newest message first; before it those that have none yet. */
  get conversations() {
    const seq = ({ lastMessage }) => lastMessage?.seq ?? Infinity;
    return [...this.#conversations.values()].sort((one, other) => seq(other) - seq(one));
  }

  conversation(id) {
    let found = this.#conversations.get(id);
    if (!found) this.#conversations.set(id, (found = new Conversation(id, this.#userId)));
    return found;
  }

  /** Takes a conversation as the server lists it. */
  list(listed) {
    const conversation = this.conversation(listed.conversation_id);
    conversation.list(listed);
    return conversation;
  }

  /** Takes the next entry of the stream; the conversation that it changes, if it changes one. */
  take(entry) {
    const about = entry[entry.kind];
    const id = about?.conversation_id ?? about?.message?.conversation_id;
    if (!id) return undefined;
    const conversation = this.conversation(id);
    switch (entry.kind) {
      case "message":
        conversation.put(entry);
        break;
      case "read_mark":
        conversation.read(about.seq);
        break;
      case "read_receipt":
        conversation.receipt(about.seq);
        break;
      case "message_edited":
        conversation.edit(about);
        break;
      case "reactions_changed":
        conversation.react(about);
        break;
      case "message_recalled":
        conversation.lose(about.seq, "RECALLED");
        break;
      case "message_deleted":
        conversation.lose(about.seq, "DELETED");
        break;
      case "messages_erased":
        conversation.erase(about.sender_id, entry.seq);
        break;
    }
    return conversation;
  }

  /** Forgets everything: there may be gaps now, or another numbering. */
  forget() {
    this.#conversations.clear();
  }
}

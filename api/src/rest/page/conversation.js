// What is known of one conversation. It takes what the server says in any order and any number of times:
// a place is a place, and what is gone stays gone.

/** Messages after this many unread ones are not counted by the server. */
const MOST_UNREAD = 100;

export class Conversation {
  #userId;
  /** By seq, without those that the user has deleted. Behind the oldest of them none is missing. */
  #messages = new Map();
  /** The same in the order of the timeline; made when it is asked for. */
  #ordered;
  /** Whether there are none before them. */
  #complete = false;
  /** Whether the server has said anything of what was before this window. */
  #heard = false;
  /** What has become of messages, by seq, whether they are known or not. */
  #gone = new Map();
  /** By sender: all that it sent before this place is erased. */
  #erasedBefore = new Map();
  /** How many unread messages the server has counted up to which place, and how many mention the user. */
  #counted = { seq: 0, unread: 0, mentions: 0 };
  #readSeq = 0;
  /** Read in this window, and not yet known to the server. */
  #readHere = 0;
  peerReadSeq = 0;
  /** The number of the last entry that changed it. */
  changedAt = 0;
  /** Of the next older page; empty when there is none, `undefined` before the first. */
  olderToken;
  /** Why there is none: BEGINNING or RETENTION_LIMIT. */
  end;

  constructor(id, userId) {
    this.id = id;
    this.peer = id.slice(id.indexOf(":") + 1);
    this.isGroup = id.startsWith("group:");
    this.#userId = userId;
  }

  /** In the order of the timeline. */
  get inOrder() {
    this.#ordered ??= [...this.#messages.values()].sort((one, other) => one.seq - other.seq);
    return this.#ordered;
  }

  get lastMessage() {
    return this.inOrder.at(-1);
  }

  /** Messages of others after the user's mark and the user's own newest message, gone ones left out. */
  get unread() {
    return this.#count().unread;
  }

  /** How many of them mention the user. */
  get mentions() {
    return this.#count().mentions;
  }

  /** Whether the server has to be asked what the newest messages are, and how many of them are unread. */
  get isStale() {
    return !this.#count().known || (this.#messages.size === 0 && !this.#complete);
  }

  #count() {
    const readSeq = Math.max(this.#readSeq, this.#readHere);
    const all = { unread: 0, mentions: 0 };
    const sinceCounted = { unread: 0, mentions: 0 };
    for (const { seq, message } of this.inOrder.toReversed()) {
      if (seq <= readSeq || message.sender_id === this.#userId) return { ...all, known: true };
      if (message.tombstone) continue;
      for (const counts of seq > this.#counted.seq ? [all, sinceCounted] : [all]) {
        counts.unread += 1;
        if (message.mentioned) counts.mentions += 1;
      }
    }
    if (this.#complete || all.unread >= MOST_UNREAD) return { ...all, known: true };
    if (this.#counted.seq <= readSeq) return { ...sinceCounted, known: this.#heard };
    const { unread, mentions } = this.#counted;
    return { unread: sinceCounted.unread + unread, mentions: sinceCounted.mentions + mentions, known: false };
  }

  /** Takes a message from wherever it comes. */
  put(entry) {
    const { seq, message } = entry;
    const fate = this.#fate(entry) ?? this.#messages.get(seq)?.message.tombstone;
    this.#ordered = undefined;
    if (fate === "DELETED") this.#messages.delete(seq);
    else this.#messages.set(seq, fate ? { ...entry, message: emptied(message, fate) } : entry);
  }

  #fate({ seq, message }) {
    const erased = seq < (this.#erasedBefore.get(message.sender_id) ?? 0);
    return this.#gone.get(seq) ?? (erased ? "ERASED" : message.tombstone);
  }

  /** Takes what the server lists. */
  list({ last_message, unread_count, unread_mentions, read_seq, peer_read_seq }) {
    if (last_message.seq >= this.#counted.seq) {
      this.#counted = { seq: last_message.seq, unread: unread_count, mentions: unread_mentions };
    }
    this.read(read_seq);
    this.receipt(peer_read_seq);
    this.#heard = true;
    this.put(last_message);
  }

  /** Takes a page of history that lies before what is known, or has the newest messages. */
  page({ entries, next_page_token, end }, isNext) {
    for (const entry of entries) this.put(entry);
    this.#heard = true;
    this.#complete ||= Boolean(end);
    if (!isNext) return;
    this.olderToken = next_page_token;
    this.end = end ?? undefined;
  }

  /** A message says something else: what it says since its last edit. */
  edit({ seq, message }) {
    const known = this.#messages.get(seq);
    if (known && (known.message.edit_no ?? 0) <= (message.edit_no ?? 0)) this.put({ ...known, message });
  }

  /** The reactions to a message have changed: all there are now. */
  react({ seq, reactions }) {
    const known = this.#messages.get(seq);
    if (known) this.put({ ...known, message: { ...known.message, reactions } });
  }

  /** A message has come to be gone: RECALLED or DELETED. */
  lose(seq, tombstone) {
    if (this.#gone.get(seq) !== "DELETED") this.#gone.set(seq, tombstone);
    const known = this.#messages.get(seq);
    if (known) this.put(known);
  }

  /** The account of a sender is deleted, and with it all that it sent before a place. */
  erase(sender, before) {
    this.#erasedBefore.set(sender, before);
    for (const entry of this.inOrder) this.put(entry);
  }

  /** The user has read up to a place, on some terminal. */
  read(seq) {
    this.#readSeq = Math.max(this.#readSeq, seq);
  }

  /** The peer has. */
  receipt(seq) {
    this.peerReadSeq = Math.max(this.peerReadSeq, seq);
  }

  /** The user has read it here, up to its end; the place, or 0 where there was nothing to read. */
  readHere() {
    const seq = this.unread > 0 ? this.lastMessage?.seq ?? 0 : 0;
    this.#readHere = Math.max(this.#readHere, seq);
    return seq;
  }

  /** The server did not take that. */
  readInVain() {
    this.#readHere = 0;
  }
}

/** The message without what it said. */
function emptied({ text, content_type, data, reactions, reply_to, forwarded, edit_no, ...rest }, tombstone) {
  return { ...rest, tombstone };
}

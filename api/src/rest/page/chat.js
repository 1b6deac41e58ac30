// A terminal at work: the connection, what it knows, and what the user does with it.

import { Backoff } from "./backoff.js";
import { call, Problem } from "./api.js";
import { Drafts } from "./drafts.js";
import { Groups } from "./groups.js";
import { Outbox } from "./outbox.js";
import { Presence } from "./presence.js";
import { endOf, Socket } from "./socket.js";
import { Timeline } from "./timeline.js";

/** How many messages of a conversation are asked for at a time. */
const PAGE = 30;

/** How many of the newest are asked for when the server has to say what they are: more are not counted. */
const NEWEST = 100;

/** How many users a connection watches. */
const MOST_WATCHED = 500;

/**
 * Events: `state` of the connection, `conversations` and `conversation` when they have changed, `incoming`
 * messages, `group` when one has changed, `terminals` when one has come or gone, `presence` of users, `typing` in
 * a conversation, `ended`.
 */
export class Chat extends EventTarget {
  #socket;
  #moreToken = "";
  #opened;
  /** History is read when the stream has opened, so that nothing is missed between the two. */
  #following = new Promise((opened) => { this.#opened = opened; });
  #maxBodyBytes;
  #stopped = false;
  /** How many entries have come. */
  #entries = 0;

  constructor(session) {
    super();
    this.session = session;
    this.timeline = new Timeline(session.userId);
    this.groups = new Groups();
    this.outbox = new Outbox(session.sessionId);
    this.drafts = new Drafts(session.sessionId);
    this.presence = new Presence((frame) => this.#socket?.send(frame) ?? false);
    for (const type of ["presence", "typing"]) {
      this.presence.addEventListener(type, ({ detail }) => this.#say(type, detail));
    }
  }

  /** Opens the connection and shows what there is. Keeps trying. */
  async start() {
    const backoff = new Backoff();
    let info;
    while (!info && !this.#stopped) {
      try {
        info = await call("GET", "v1/info");
      } catch {
        this.#say("state", { state: "offline" });
        await new Promise((done) => setTimeout(done, backoff.next()));
      }
    }
    if (this.#stopped) return;
    this.#maxBodyBytes = info.max_body_bytes;
    this.#socket = new Socket(this.session, info.heartbeat_interval);
    this.#socket.addEventListener("state", ({ detail }) => this.#say("state", detail));
    this.#socket.addEventListener("ended", ({ detail }) => this.#end(detail));
    this.#socket.addEventListener("frame", ({ detail }) => this.#take(detail));
    this.#socket.open();
  }

  /** Ends it without a word to the server. */
  stop() {
    this.#stopped = true;
    this.presence.stop();
    this.#socket?.close();
  }

  get hasMore() {
    return this.#moreToken !== "";
  }

  /** Shows the next page of conversations, or the first anew. */
  async listConversations(more = false) {
    const token = more ? this.#moreToken : "";
    const began = this.#entries;
    const page = await this.#ask("GET", `v1/conversations?page_token=${encodeURIComponent(token)}`);
    if (!page) return;
    for (const listed of page.conversations) {
      const conversation = this.timeline.list(listed);
      // What came meanwhile may be in what is listed, or not.
      if (conversation.changedAt > began && conversation.isStale) this.#renew(conversation);
    }
    this.#moreToken = page.next_page_token;
    this.#watch();
    this.#say("conversations");
  }

  /** Fetches the next older page of a conversation, the newest first. */
  async older(conversation) {
    if (conversation.loading || conversation.olderToken === "") return;
    conversation.loading = true;
    await this.#following;
    const token = encodeURIComponent(conversation.olderToken ?? "");
    const id = encodeURIComponent(conversation.id);
    try {
      const page = await this.#ask(
        "GET", `v1/conversations/${id}/messages?page_size=${PAGE}&page_token=${token}`);
      if (!page) return;
      for (const { message } of page.entries) this.outbox.remove(message.client_message_id);
      conversation.page(page, true);
    } finally {
      conversation.loading = false;
    }
    this.#say("conversation", conversation);
  }

  /** Asks for the newest messages of a conversation, when what has happened to it needs others to be known. */
  async #renew(conversation) {
    if (conversation.renewing) return;
    conversation.renewing = true;
    const id = encodeURIComponent(conversation.id);
    try {
      const page = await this.#ask("GET", `v1/conversations/${id}/messages?page_size=${NEWEST}`);
      if (page) conversation.page(page, conversation.olderToken === undefined);
    } catch {
      // What comes next tries again.
    } finally {
      conversation.renewing = false;
    }
    this.#say("conversation", conversation);
    this.#say("conversations");
  }

  /** Sends a text: shown at once, stored in the background, however long that takes. */
  send(conversation, text, replyTo) {
    this.presence.sent(conversation);
    const mentions = conversation.isGroup ? this.groups.mentionedIn(conversation.peer, text) : undefined;
    this.#transmit(this.outbox.add(conversation.id, text, { mentions, reply_to: replyTo }));
    this.#say("conversation", conversation);
  }

  /** Sends a message on to a conversation. The server knows what it says; what is shown meanwhile is the text. */
  forward(conversation, { message_id, text, content_type }) {
    this.#transmit(this.outbox.add(conversation.id, text ?? content_type, { forward_of: message_id }));
    this.#say("conversation", conversation);
  }

  /** The user has changed what it is about to send. */
  drafted({ id, isGroup, peer }, draft) {
    if (peer === this.session.userId && !isGroup) return;
    this.presence.drafted({ id, to: isGroup ? { group_id: peer } : { user_id: peer } }, draft);
  }

  /** Watches those whom the user has messages with, the newest first. */
  #watch() {
    const known = this.timeline.conversations.filter(({ isGroup, lastMessage }) => !isGroup && lastMessage);
    const peers = known.map(({ peer }) => peer).filter((peer) => peer !== this.session.userId);
    this.presence.watch(peers.slice(0, MOST_WATCHED));
  }

  sendAgain(id) {
    this.outbox.again(id);
    this.#transmit(this.outbox.get(id));
    this.#changed(this.outbox.get(id));
  }

  discard(id) {
    const message = this.outbox.get(id);
    this.outbox.remove(id);
    this.#changed(message);
  }

  /** The user has seen all there is of a conversation. */
  async read(conversation) {
    const seq = conversation.readHere();
    if (seq === 0) return;
    this.#say("conversations");
    try {
      await this.#ask("POST", `v1/conversations/${encodeURIComponent(conversation.id)}/read`, { seq });
    } catch {
      conversation.readInVain();
      this.#say("conversations");
    }
  }

  /** What a conversation is called. */
  nameOf({ peer, isGroup }) {
    if (isGroup) return this.groups.get(peer)?.name ?? peer;
    return peer === this.session.userId ? `${peer} (notes to yourself)` : peer;
  }

  /** Makes a group, and says how it was made. */
  async createGroup(name, member_ids) {
    const group = await this.#ask("POST", "v1/groups", { name, member_ids });
    if (group) this.#know(group);
    return group;
  }

  /** Finds out who is in a group. */
  async listMembers(groupId) {
    const members = [];
    for (let token = ""; token !== undefined; ) {
      const page = await this.#ask(
        "GET", `v1/groups/${encodeURIComponent(groupId)}/members?page_token=${encodeURIComponent(token)}`);
      if (!page) return;
      members.push(...page.members);
      token = page.next_page_token || undefined;
    }
    this.#know({ group_id: groupId, members });
  }

  addMember(groupId, userId) {
    return this.#ask("PUT", memberPath(groupId, userId));
  }

  removeMember(groupId, userId) {
    return this.#ask("DELETE", memberPath(groupId, userId));
  }

  leaveGroup(groupId) {
    return this.#ask("POST", `v1/groups/${encodeURIComponent(groupId)}/leave`);
  }

  dissolveGroup(groupId) {
    return this.#ask("DELETE", `v1/groups/${encodeURIComponent(groupId)}`);
  }

  /** Who has read a message of a group: the first of them, and how many have and have not. */
  readers(messageId) {
    return this.#ask("GET", `v1/messages/${encodeURIComponent(messageId)}/readers?page_size=20`);
  }

  /** Gives a reaction to a message of a conversation, or takes it back. */
  async react(conversation, { seq, message }, reaction, given) {
    const path = `v1/messages/${encodeURIComponent(message.message_id)}/reactions/${encodeURIComponent(reaction)}`;
    const answer = await this.#ask(given ? "PUT" : "DELETE", path);
    if (!answer) return;
    conversation.react({ seq, ...answer });
    this.#say("conversation", conversation);
  }

  async terminals() {
    return (await this.#ask("GET", "v1/sessions"))?.sessions ?? [];
  }

  signOut(sessionId) {
    return this.#ask("DELETE", `v1/sessions/${encodeURIComponent(sessionId)}`);
  }

  async logOut() {
    this.stop();
    await this.session.call("POST", "v1/logout").catch(() => {});
    this.#clear();
  }

  #clear() {
    this.outbox.clear();
    this.drafts.clear();
  }

  /** A call as this session. The end of the session is told as such, and nothing is returned. */
  async #ask(method, path, body) {
    try {
      return await this.session.call(method, path, body);
    } catch (problem) {
      if (!(problem instanceof Problem) || !problem.endsSession) throw problem;
      this.#end(endOf(problem));
      return undefined;
    }
  }

  #take({ name, body }) {
    switch (name) {
      case "opened":
        this.#opened();
        this.presence.opened();
        for (const message of this.outbox.waiting()) this.#transmit(message);
        this.#refresh();
        break;
      case "entry":
        this.#entry(body);
        break;
      case "history_truncated":
      case "timeline_reset":
        this.timeline.forget();
        this.#say("forgotten");
        this.#refresh();
        break;
      case "sent":
        this.outbox.stored(body.client_message_id);
        this.#changed(this.outbox.get(body.client_message_id));
        break;
      case "presence":
        this.presence.take(body);
        break;
      case "signal":
        this.presence.signal(body);
        break;
      case "error":
        this.#notSent(body);
        break;
    }
  }

  #refresh() {
    this.listConversations().catch(() => {});
    this.#listGroups().catch(() => {});
  }

  async #listGroups() {
    for (let token = ""; token !== undefined; ) {
      const page = await this.#ask("GET", `v1/groups?page_size=200&page_token=${encodeURIComponent(token)}`);
      if (!page) return;
      for (const group of page.groups) this.#know(group);
      token = page.next_page_token || undefined;
    }
  }

  /** Takes what is known of a group now. Each that the user is in is a conversation, also before anything is said. */
  #know(group) {
    this.groups.take(group);
    this.timeline.conversation(`group:${group.group_id}`);
    this.#say("group", group.group_id);
    this.#say("conversations");
  }

  /** What became of a group or its members. */
  #groupEntry({ kind, group_changed, member_changed }) {
    if (kind === "group_changed") {
      const { by, dissolved, ...group } = group_changed;
      this.#know(group);
      if (dissolved) this.#left(group.group_id);
    }
    if (kind !== "member_changed") return;
    const { group_id, change, user_ids } = member_changed;
    const isGone = change === "LEFT" || change === "REMOVED";
    if (isGone && user_ids.includes(this.session.userId)) {
      this.#left(group_id);
      return;
    }
    const ask = async () => {
      const group = await this.#ask("GET", `v1/groups/${encodeURIComponent(group_id)}`);
      if (group) this.#know(group);
      if (this.groups.get(group_id)?.members) await this.listMembers(group_id);
    };
    // Without an answer what is known stays: the next change asks again.
    ask().catch(() => {});
  }

  #left(groupId) {
    this.groups.leave(groupId);
    this.#say("group", groupId);
    this.#say("conversations");
  }

  #entry(entry) {
    this.outbox.remove(entry.message?.client_message_id);
    const conversation = this.timeline.take(entry);
    this.#entries += 1;
    if (conversation) {
      conversation.changedAt = this.#entries;
      this.#say("conversation", conversation);
      this.#say("conversations");
      if (conversation.isStale) this.#renew(conversation);
    }
    const { kind, message } = entry;
    if (kind === "message") {
      this.presence.message(message.conversation_id, message.sender_id);
      this.#watch();
    }
    if (kind === "message" && !message.tombstone && message.sender_id !== this.session.userId) {
      this.#say("incoming", { conversation, message });
    }
    if (kind === "session_changed") this.#say("terminals", entry.session_changed);
    this.#groupEntry(entry);
  }

  #notSent(members) {
    const problem = new Problem(members);
    const message = this.outbox.get(members.client_message_id);
    if (!message) return;
    if (problem.passes || problem.code === "invalid_token") {
      // With a fresh token it is sent again by itself.
      setTimeout(() => this.#transmit(message), (members.retry_after ?? 1) * 1000);
      return;
    }
    this.outbox.failed(message.id, problem.message);
    this.#changed(message);
  }

  #transmit({ id, to, text, beside = {}, state }) {
    if (state !== "waiting") return;
    const own = beside.forward_of ? undefined : text;
    if (own && new TextEncoder().encode(text).length > this.#maxBodyBytes) {
      this.outbox.failed(id, "it is too long");
      return;
    }
    const [kind, peer] = [to.slice(0, to.indexOf(":")), to.slice(to.indexOf(":") + 1)];
    const recipient = kind === "group" ? { group_id: peer } : { user_id: peer };
    this.#socket?.send({ send: { to: recipient, client_message_id: id, text: own, ...beside } });
  }

  #changed(message) {
    if (message) this.#say("conversation", this.timeline.conversation(message.to));
  }

  #end(end) {
    if (this.#stopped) return;
    this.stop();
    this.#clear();
    this.#say("ended", end);
  }

  #say(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

function memberPath(groupId, userId) {
  return `v1/groups/${encodeURIComponent(groupId)}/members/${encodeURIComponent(userId)}`;
}

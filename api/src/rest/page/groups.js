// What is known of the user's groups: what they are called, who is in them, and whom a text mentions.

/** What may be in an id. */
const ID = /[A-Za-z0-9._@+=-]/;

/** What may be an id behind an `@`: one that does not stand within another word. */
const MENTION = /(?<![A-Za-z0-9._@+=-])@([A-Za-z0-9._@+=-]+)/g;

export class Groups {
  /** By id: as the server tells of it, and `members` once they have been asked for. */
  #groups = new Map();

  get(groupId) {
    return this.#groups.get(groupId);
  }

  /** Takes what the server says of a group; what it does not say stays. */
  take(group) {
    this.#groups.set(group.group_id, { ...this.#groups.get(group.group_id), ...group });
  }

  /** The user is in it no more, or it is dissolved: what it is called stays. */
  leave(groupId) {
    this.take({ group_id: groupId, role: undefined, members: undefined });
  }

  /** Those that the user is a member of. */
  get joined() {
    return [...this.#groups.values()].filter(({ role }) => role);
  }

  /** The members whose ids stand in a text behind an `@`. What else follows one is text. */
  mentionedIn(groupId, text) {
    const members = new Set((this.get(groupId)?.members ?? []).map(({ user_id }) => user_id));
    const found = [...text.matchAll(MENTION)].map(([, word]) =>
      // A full stop at the end belongs to the sentence.
      [word, word.replace(/\.+$/, "")].find((id) => members.has(id)));
    return [...new Set(found.filter((id) => id !== undefined))];
  }

  /** The members whose ids begin with what stands behind the last `@`; none where there is no such. */
  matching(groupId, text) {
    const at = text.lastIndexOf("@");
    if (at < 0 || (at > 0 && ID.test(text[at - 1]))) return [];
    const begun = text.slice(at + 1);
    if ([...begun].some((character) => !ID.test(character))) return [];
    const members = this.get(groupId)?.members ?? [];
    return members.map(({ user_id }) => user_id).filter((id) => id !== begun && id.startsWith(begun));
  }
}

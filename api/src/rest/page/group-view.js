// Making a group, and a dialog for each: who is in it, adding and removing, leaving and dissolving.

import { byId, el, momentOf, show } from "./dom.js";

const ROLES = { OWNER: "owner", ADMIN: "admin", MEMBER: "member" };

/** Who may do what those before it may not. */
const RANKS = ["MEMBER", "ADMIN", "OWNER"];

export class GroupView {
  #chat;
  #groupId;
  #onOpen;
  #dialog = byId("group");
  #making = byId("new-group");

  constructor(onOpen) {
    this.#onOpen = onOpen;
    byId("new-group-open").addEventListener("click", () => {
      refuse("new-group-error");
      this.#making.showModal();
    });
    byId("new-group-cancel").addEventListener("click", () => this.#making.close());
    byId("new-group-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#make();
    });
    byId("group-close").addEventListener("click", () => this.#dialog.close());
    byId("group-add-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add();
    });
    byId("group-leave").addEventListener("click", () => this.#do((chat) => chat.leaveGroup(this.#groupId)));
    byId("group-dissolve").addEventListener("click", () => this.#do((chat) => chat.dissolveGroup(this.#groupId)));
  }

  show(chat) {
    this.#chat = chat;
    this.#dialog.close();
    this.#making.close();
  }

  open(groupId) {
    this.#groupId = groupId;
    refuse("group-error");
    byId("group-told").textContent = "";
    this.#dialog.showModal();
    this.render();
    this.#chat.listMembers(groupId).catch((problem) => refuse("group-error", problem));
  }

  /** Shows what has changed of a group. */
  render(groupId = this.#groupId) {
    if (groupId !== this.#groupId || !this.#dialog.open) return;
    const group = this.#chat.groups.get(groupId) ?? {};
    byId("group-title").textContent = group.name ?? groupId;
    byId("group-announcement").textContent = group.announcement ?? "";
    show(byId("group-announcement"), Boolean(group.announcement));
    byId("member-list").replaceChildren(...(group.members ?? []).map((member) => this.#row(member, group)));
    show(byId("group-add-form"), Boolean(group.role));
    show(byId("group-leave"), Boolean(group.role) && group.role !== "OWNER");
    show(byId("group-dissolve"), group.role === "OWNER");
  }

  #row({ user_id, role, nickname, muted_until }, group) {
    const isAbove = RANKS.indexOf(group.role) > Math.max(RANKS.indexOf(role), 0);
    const muted = muted_until && new Date(muted_until) > new Date() ? `, muted until ${momentOf(muted_until)}` : "";
    const remove = () => this.#do((chat) => chat.removeMember(this.#groupId, user_id));
    return el("li", {},
      el("div", { class: "what" },
        el("strong", {}, nickname ? `${nickname} (${user_id})` : user_id),
        el("div", { class: "soft" }, `${ROLES[role] ?? role}${muted}`)),
      isAbove
        ? el("button", { type: "button", "aria-label": `Remove ${user_id}`, click: remove }, "Remove")
        : undefined);
  }

  async #make() {
    const name = byId("new-group-name").value.trim();
    const members = byId("new-group-members").value.split(/[\s,]+/).filter((id) => id !== "");
    refuse("new-group-error");
    try {
      const group = await this.#chat.createGroup(name, members);
      if (!group) return;
      this.#making.close();
      byId("new-group-form").reset();
      this.#onOpen(this.#chat.timeline.conversation(`group:${group.group_id}`));
    } catch (problem) {
      refuse("new-group-error", problem);
    }
  }

  async #add() {
    const user = byId("group-add").value.trim();
    if (!user) return;
    await this.#do(async (chat) => {
      const added = await chat.addMember(this.#groupId, user);
      byId("group-add").value = "";
      byId("group-told").textContent =
        added?.is_member ? `${user} is a member.` : `Owner and admins are asked to add ${user}.`;
    });
  }

  async #do(change) {
    refuse("group-error");
    try {
      await change(this.#chat);
    } catch (problem) {
      refuse("group-error", problem);
    }
  }
}

function refuse(id, problem) {
  show(byId(id), problem !== undefined);
  byId(id).textContent = problem?.message ?? "";
}

// The page put together: who is logged in here, and which view shows it.

import { Chat } from "./chat.js";
import { ConversationsView } from "./conversations-view.js";
import { announce, byId, el, momentOf, show } from "./dom.js";
import { GroupView } from "./group-view.js";
import { LoginView } from "./login-view.js";
import { MessagesView } from "./messages-view.js";
import { NotificationsView } from "./notifications-view.js";
import { Session } from "./session.js";
import { TerminalsView } from "./terminals-view.js";

const REASONS = {
  REPLACED: ["Signed in elsewhere", "Another device has taken the place of this one."],
  SUPERSEDED: ["Signed in again", "This device has logged in again in another window."],
  KICKED: ["Signed out by an administrator", "An administrator has ended this session."],
  LOGGED_OUT: ["Signed out", "This terminal was signed out from another of your terminals."],
  EXPIRED: ["Session expired", "This terminal was not used for a long time."],
  PASSWORD_CHANGED: ["Password changed", "Your password was changed; log in with the new one."],
  USER_DISABLED: ["Account disabled", "Your account cannot be used at the moment."],
  USER_DELETED: ["Account deleted", "Your account does not exist any more."],
  TOKEN_REUSED: ["Signed out for safety", "A token of this session was used twice; it may have been stolen."],
};

let chat;
const login = new LoginView(start);
const groups = new GroupView(open);
const messages = new MessagesView((groupId) => groups.open(groupId), open);
const terminals = new TerminalsView();
const notifications = new NotificationsView();
const conversations = new ConversationsView(open);

byId("logout").addEventListener("click", async () => {
  const leaving = chat;
  leaving.session.forget();
  showLogin();
  await leaving.logOut();
});
byId("ended-login").addEventListener("click", showLogin);
byId("back").addEventListener("click", () => {
  open(undefined);
  byId("start-user").focus();
});

// Where the keyboard of a phone lies over the page, the page ends above it.
visualViewport?.addEventListener("resize", () => {
  const { height, scale } = visualViewport;
  document.body.style.height = scale === 1 ? `${height}px` : "";
  scrollTo(0, 0);
});

const session = Session.restore();
if (session) start(session);
else showLogin();

function view(name) {
  for (const id of ["login", "ended", "chat"]) show(byId(id), id === name);
  show(byId("account"), name === "chat");
  show(byId("connection"), name === "chat");
  show(byId("notify-error"), false);
  byId("who").textContent = name === "chat" ? whoIs(chat.session) : "";
}

function whoIs({ userId, terminal }) {
  return `${userId} on ${terminal.device_name || terminal.type} (${terminal.type})`;
}

function showLogin() {
  chat?.stop();
  chat = undefined;
  view("login");
  document.title = "imd chat";
  login.open();
}

function start(session) {
  chat = new Chat(session);
  const own = (handle) => {
    const mine = chat;
    return ({ detail }) => { if (chat === mine) handle(detail); };
  };
  const on = (type, handle) => chat.addEventListener(type, own(handle));
  on("state", connection);
  on("ended", ended);
  on("conversations", () => conversations.render());
  on("conversation", (changed) => { if (changed === messages.conversation) messages.render(); });
  on("forgotten", () => open(messages.conversation && chat.timeline.conversation(messages.conversation.id)));
  on("presence", (userIds) => {
    conversations.render();
    messages.renderPresence(userIds);
  });
  on("typing", (conversationId) => messages.renderTyping(conversationId));
  on("incoming", ({ message }) => announce(`${message.sender_id}: ${message.text ?? message.content_type}`));
  on("group", (groupId) => {
    messages.renderGroup(groupId);
    groups.render(groupId);
  });
  on("terminals", (change) => terminals.changed(change));
  view("chat");
  document.title = `${session.userId} – imd chat`;
  terminals.show(chat);
  notifications.show(chat);
  groups.show(chat);
  conversations.show(chat);
  open(undefined);
  connection({ state: "connecting" });
  chat.start();
  byId("start-user").focus();
}

function open(conversation) {
  byId("chat").toggleAttribute("data-open", conversation !== undefined);
  messages.show(chat, conversation);
  conversations.open = conversation;
  conversations.render();
}

function connection({ state, seconds }) {
  const texts = {
    online: "online",
    connecting: "connecting…",
    offline: seconds ? `offline, trying again in ${seconds} s` : "offline, trying again",
  };
  byId("connection").dataset.state = state;
  byId("connection").textContent = texts[state];
}

/** The session is over: say why, and fight for nothing. */
function ended(end) {
  chat.session.forget();
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  const [title, text] = REASONS[end.reason] ?? ["Signed out", "This session has ended."];
  byId("ended-title").textContent = title;
  byId("ended-text").textContent = text;
  const details = [
    ["Who", chat.session.userId],
    ["Device", end.by_device_name],
    ["Terminal", end.by_terminal_type],
    ["When", end.ended_at && momentOf(end.ended_at)],
    ["Note", end.note],
  ];
  byId("ended-details").replaceChildren(
    ...details.filter(([, value]) => value).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  view("ended");
  byId("ended-title").focus();
}

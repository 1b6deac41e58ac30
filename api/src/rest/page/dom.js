// Elements without markup: strings become text nodes, never HTML.

export const byId = (id) => document.getElementById(id);

/** An element with attributes and children; `undefined` children are left out. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== undefined));
  return node;
}

/** Makes the children of `parent` those of `nodes`, and moves as few as need be, so that focus stays. */
export function arrange(parent, nodes) {
  nodes.forEach((node, at) => {
    if (parent.children[at] !== node) parent.insertBefore(node, parent.children[at] ?? null);
  });
  while (parent.children.length > nodes.length) parent.lastElementChild.remove();
}

export function show(element, shown) {
  element.hidden = !shown;
}

/** Has a screen reader say something. */
export function announce(text) {
  const log = byId("announcer");
  log.append(el("p", {}, text));
  while (log.childElementCount > 20) log.firstElementChild.remove();
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

const thisYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const anyYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

export const timeOf = (at) => clock.format(new Date(at));
export const dayOf = (at) => day.format(new Date(at));
/** As short as can be told apart: a time today, else a date, with the year when it is another one. */
export function whenOf(at, now = new Date()) {
  const then = new Date(at);
  if (then.toDateString() === now.toDateString()) return clock.format(then);
  return (then.getFullYear() === now.getFullYear() ? thisYear : anyYear).format(then);
}

export const momentOf = (at) => full.format(new Date(at));

/** How a user is, in words; nothing of whom nothing is known. */
export function presenceText(presence) {
  switch (presence?.state) {
    case "ONLINE":
      return presence.terminal_types.length ? `online on ${presence.terminal_types.join(", ")}` : "online";
    case "IDLE":
      return "away";
    case "OFFLINE":
      return presence.last_seen ? `last seen ${whenOf(presence.last_seen)}` : "";
    default:
      return "";
  }
}

const GONE = {
  RECALLED: "This message was recalled.",
  ERASED: "This message was erased with the account of its sender.",
};

/** What stands in the place of a message that is gone. */
export const goneText = ({ tombstone }) => GONE[tombstone] ?? "This message is gone.";

// Shows what the server tells this browser of while no window of the page has a connection. It caches nothing.

self.addEventListener("push", (event) => event.waitUntil(tell(event.data?.json() ?? {})));
self.addEventListener("notificationclick", (event) => event.waitUntil(open(event.notification)));

/** What is told later of a conversation takes the place of what was told before. */
async function tell({ cleared, tag, badge, count, sender_id, text, content_type, silent, mentioned }) {
  setBadge(badge);
  if (cleared) {
    for (const shown of await registration.getNotifications({ tag })) shown.close();
    return;
  }
  const title = sender_id ?? "imd chat";
  const body = text ?? content_type ?? "A new message";
  const more = count > 1 ? ` (${count} new)` : "";
  await registration.showNotification(mentioned ? `${title} mentioned you` : title, {
    body: body + more, tag, renotify: Boolean(tag) && !silent, silent: Boolean(silent), icon: "icon.svg",
  });
}

/** How many messages are unread, where the browser can show that. */
function setBadge(badge) {
  if (badge === undefined || !navigator.setAppBadge) return;
  navigator.setAppBadge(badge).catch(() => undefined);
}

/** Back to a window of the page, or a new one. */
async function open(notification) {
  notification.close();
  const page = new URL("../", self.location).href;
  const windows = await clients.matchAll({ type: "window", includeUncontrolled: true });
  const there = windows.find(({ url }) => url.split("#")[0] === page);
  return there ? there.focus() : clients.openWindow(page);
}

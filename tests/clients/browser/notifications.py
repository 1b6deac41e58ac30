"""Notifications of the page: the button, and what the service worker shows of what it is told.

    pip install -r requirements.txt
    python notifications.py http://127.0.0.1:8080/

The users ann and ben have the password in PASSWORD, and the server has Web Push. What a push service would deliver is delivered by
Chromium's own developer tools; subscribing needs the push service of the browser's vendor, and is tried.
"""

import json
import os
import sys
import uuid

from playwright.sync_api import expect

from window import PC, Window, browser, check, post

PASSWORD = os.environ["PASSWORD"]

SHOWN = """async () => {
  const registration = await navigator.serviceWorker.getRegistration("page/");
  const shown = await registration.getNotifications();
  return shown.map(({ title, body, tag }) => ({ title, body, tag }));
}"""


class Delivery:
    """The push service's part, as the developer tools play it."""

    def __init__(self, window, origin):
        self.tools = window.context.new_cdp_session(window.page)
        self.origin, self.registrations = origin, []
        self.tools.on("ServiceWorker.workerRegistrationUpdated",
                      lambda event: self.registrations.extend(event["registrations"]))
        self.tools.send("ServiceWorker.enable")

    def deliver(self, window, news):
        for _ in range(100):
            if self.registrations:
                break
            window.page.wait_for_timeout(100)
        self.tools.send("ServiceWorker.deliverPushMessage", {
            "origin": self.origin,
            "registrationId": self.registrations[-1]["registrationId"],
            "data": json.dumps(news),
        })


class Frames:
    """What the connections of a window carry, by the names of the frames."""

    def __init__(self, window):
        self.window, self.sent, self.received = window, [], []
        window.page.on("websocket", self._follow)

    def _follow(self, socket):
        socket.on("framesent", lambda frame: self.sent.append(json.loads(frame)))
        socket.on("framereceived", lambda frame: self.received.append(json.loads(frame)))

    def wait_for(self, frames, holds, what):
        for _ in range(450):
            found = next(filter(holds, frames), None)
            if found:
                check(True, what)
                return found
            self.window.page.wait_for_timeout(100)
        check(False, f"{what}: {frames}")


def shows(window, *expected):
    """Waits until these are the notifications shown."""
    for _ in range(100):
        shown = window.page.evaluate(SHOWN)
        if sorted(map(str, shown)) == sorted(map(str, expected)):
            return
        window.page.wait_for_timeout(100)
    check(False, f"{shown} is {list(expected)}")


def main(url):
    origin = url.rstrip("/")
    with browser() as launched:
        ann = Window(launched, url, PC)
        ann.context.grant_permissions(["notifications"], origin=origin)
        frames = Frames(ann)
        ann.log_in("ann", "pc", "Ann's PC", PASSWORD)

        terminal = {"type": "phone", "device_id": str(uuid.uuid4()), "device_name": "Ben's phone"}
        ben = post(url, "v1/login", {"user_id": "ben", "password": PASSWORD, "terminal": terminal})
        said = {"to": {"user_id": "ann"}, "client_message_id": str(uuid.uuid4()), "text": "Are you there?"}
        post(url, "v1/messages", said, ben["access_token"])
        entry = frames.wait_for(frames.received, lambda frame: "message" in frame.get("entry", {}),
                                "a message comes")
        here = {"acknowledge": {"cursor": entry["entry"]["cursor"]}}
        frames.wait_for(frames.sent, lambda frame: frame == here, "the page says that it is here")
        frames.wait_for(frames.received, lambda frame: "acknowledged" in frame, "the server takes it down")
        check(frames.sent[1]["subscribe"]["acknowledging"], "what the page does not say to have is pushed")

        button = ann.page.get_by_role("button", name="Notify me")
        expect(button).to_be_visible()
        delivery = Delivery(ann, origin)
        button.click()
        # It can, or says why not: the push service may be out of reach.
        stop = ann.page.get_by_role("button", name="Stop notifying me")
        expect(stop.or_(ann.page.get_by_text("Notifications: "))).to_be_visible()
        check(True, "the page subscribes, or says why it cannot")

        dinner = {"tag": "a" * 32, "message_id": "m", "seq": 7, "count": 1, "badge": 1,
                  "conversation_id": "user:ben", "sender_id": "ben", "text": "Dinner?"}
        delivery.deliver(ann, dinner)
        shows(ann, {"title": "ben", "body": "Dinner?", "tag": "a" * 32})
        check(True, "a message is shown with who sent it")
        delivery.deliver(ann, {**dinner, "count": 2, "text": "At eight?"})
        shows(ann, {"title": "ben", "body": "At eight? (2 new)", "tag": "a" * 32})
        check(True, "a later one takes its place")
        delivery.deliver(ann, {"tag": "b" * 32, "message_id": "n", "seq": 9, "count": 1, "badge": 3})
        shows(ann, {"title": "ben", "body": "At eight? (2 new)", "tag": "a" * 32},
              {"title": "imd chat", "body": "A new message", "tag": "b" * 32})
        check(True, "one that is told by its id alone says nothing more")
        delivery.deliver(ann, {"cleared": True, "tag": "a" * 32, "seq": 7, "badge": 1})
        shows(ann, {"title": "imd chat", "body": "A new message", "tag": "b" * 32})
        check(True, "what is read elsewhere is shown no more")


if __name__ == "__main__":
    main(*sys.argv[1:])

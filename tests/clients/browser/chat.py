"""The page in several windows: what a user of it would see.

    pip install -r requirements.txt
    python chat.py 'http://127.0.0.1:8080/#demo=CODE' FOLDER_FOR_SCREENSHOTS [axe.min.js]
"""

import sys
import uuid
from pathlib import Path

from playwright.sync_api import expect

from window import PC, PHONE, Window, browser, check, post

MANY = 100
MARKUP = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script> & <b>bold</b>'


class Scene:
    def __init__(self, browser, url, pictures, axe):
        self.browser, self.pictures, self.axe = browser, pictures, axe
        # What stands behind `#` is the page's own.
        self.url, _, self.code = url.partition("#demo=")
        self.link = url
        self.windows = []

    def window(self, shape, **options):
        window = Window(self.browser, self.link, shape, **options)
        self.windows.append(window)
        return window

    def picture(self, window, name):
        window.page.screenshot(path=self.pictures / f"{name}.png")

    def is_accessible(self, window, what):
        """Asks axe-core, where it is at hand."""
        if not self.axe:
            return
        window.page.evaluate(self.axe)
        found = window.page.evaluate("axe.run()")["violations"]
        told = [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]
        check(not told, f"axe finds nothing wrong with {what}" + (f": {told}" if told else ""))


def talk(scene):
    """Ann's phone and Ben's PC: said here, seen there."""
    phone = scene.window(PHONE, color_scheme="dark")
    scene.picture(phone, "login-phone")
    phone.make_demo_users()
    scene.is_accessible(phone, "the login")
    phone.log_in("demo-ann", "phone", "Ann's phone")
    ben = scene.window(PC)
    ben.log_in("demo-ben", "pc", "Ben's PC")

    phone.write_to("demo-ben")
    phone.say("Dinner at eight?")
    phone.has("Dinner at eight?")
    expect(phone.one(".message.mine .meta")).to_contain_text("sent")
    listed = ben.page.get_by_role("navigation").get_by_role("button", name="demo-ann")
    expect(listed).to_contain_text("Dinner at eight?")
    expect(listed).to_contain_text("1 unread")
    check(True, "a message is in the other's list at once, unread")
    listed.click()
    ben.has("Dinner at eight?")
    expect(listed).not_to_contain_text("unread")
    ben.say("Gladly.\nWhere?")
    phone.has("Gladly.\nWhere?")
    expect(phone.one("#announcer")).to_contain_text("demo-ben: Gladly.")
    check(True, "the answer is on the phone at once, and said to a screen reader")

    pc = scene.window(PC)
    pc.log_in("demo-ann", "pc", "Ann's PC")
    pc.page.get_by_role("navigation").get_by_role("button", name="demo-ben").click()
    pc.has("Gladly.\nWhere?")
    phone.say("The place by the river.")
    pc.has("The place by the river.")
    ben.has("The place by the river.")
    check(pc.texts() == phone.texts() == ben.texts(), "all three windows tell the same story")
    scene.is_accessible(pc, "the chat")
    scene.picture(phone, "chat-phone")
    scene.picture(pc, "chat-pc")
    return phone, pc, ben


def presence_and_typing(scene, phone, pc, ben):
    """What one sees of who is there, and of who types."""
    expect(phone.one("#presence")).to_have_text("online on pc")
    dot = pc.page.get_by_role("navigation").get_by_role("button", name="demo-ben online")
    expect(dot).to_have_count(1)
    check(True, "one sees that the other is there, and on what")
    ben.one("#draft").press_sequentially("What about a table outsi")
    expect(phone.one("#typing")).to_have_text("demo-ben is typing…")
    scene.is_accessible(phone, "the chat while somebody types")
    scene.picture(phone, "typing-phone")
    ben.one("#draft").fill("")
    expect(phone.one("#typing")).to_have_text("")
    check(True, "that the other types shows, and that it has given up")
    ben.one("#draft").press_sequentially("A table out")
    expect(phone.one("#typing")).to_have_text("demo-ben is typing…")
    ben.say("A table outside?")
    phone.has("A table outside?")
    expect(phone.one("#typing")).to_have_text("")
    check(True, "a message ends the typing")
    ben.one("#draft").press_sequentially("x")
    expect(phone.one("#typing")).to_have_text("demo-ben is typing…")
    expect(phone.one("#typing")).to_have_text("", timeout=9000)
    check(True, "typing expires by itself")
    ben.one("#draft").fill("")


def reactions(scene, phone, pc, ben):
    ben.say("Bring the map")
    phone.has("Bring the map")
    phone.page.locator(".message", has_text="Bring the map").get_by_role("button", name="React with 👍").click()
    for window, pressed in ((phone, "true"), (pc, "true"), (ben, "false")):
        chip = window.page.locator(".message", has_text="Bring the map").get_by_role("button", name="👍: 1")
        expect(chip).to_have_attribute("aria-pressed", pressed)
    check(True, "a reaction is in all windows at once")
    scene.is_accessible(phone, "the chat with reactions")
    scene.picture(phone, "reactions-phone")
    ben.page.locator(".message", has_text="Bring the map").get_by_role("button", name="👍: 1").click()
    expect(phone.page.get_by_role("button", name="👍: 2")).to_have_count(1)
    check(True, "and the other's, too")


def markup_is_text(scene, phone, pc, ben):
    ben.say(MARKUP)
    for window in (phone, pc, ben):
        window.has(MARKUP)
        check(
            window.one("#message-list img, #message-list script, #message-list b").count() == 0
            and window.page.evaluate("window.pwned === undefined"),
            "markup in a message is text",
        )


def offline(phone, ben):
    phone.context.set_offline(True)
    expect(phone.one("#connection")).to_contain_text("offline")
    ben.say("While you were away")
    phone.say("Written in a tunnel")
    echo = phone.one(".message.waiting")
    expect(echo).to_contain_text("sending…")
    check(True, "offline shows, and what is written then waits")
    phone.context.set_offline(False)
    phone.is_online()
    for window in (phone, ben):
        window.has("Written in a tunnel")
        window.has("While you were away")
    expect(echo).to_have_count(0)
    check(phone.texts() == ben.texts(), "back online, nothing is missing and nothing is there twice")

    phone.page.reload()
    phone.is_online()
    phone.write_to("demo-ben")
    phone.has("Written in a tunnel")
    check(True, "a reload of the window changes nothing")


def roam(scene):
    """A brand-new pad reads a long conversation, page by page, to its beginning."""
    users = post(scene.url, "page/demo-users", {"code": scene.code})["users"]
    cleo = next(user for user in users if user["user_id"] == "demo-cleo")
    terminal = {"type": "phone", "device_id": "cleo", "device_name": "Cleo's phone"}
    token = post(scene.url, "v1/login", {**cleo, "terminal": terminal})["access_token"]
    for n in range(MANY):
        message = {"to": {"user_id": "demo-ann"}, "client_message_id": str(uuid.uuid4()), "text": f"Line {n}"}
        post(scene.url, "v1/messages", message, token)
    pad = scene.window({"viewport": {"width": 820, "height": 900}})
    pad.log_in("demo-ann", "pad", "Ann's pad")
    pad.page.get_by_role("navigation").get_by_role("button", name="demo-cleo").click()
    pad.has(f"Line {MANY - 1}")
    first = len(pad.texts())
    check(0 < first < MANY, "a new terminal shows the newest page first")
    messages = pad.one("#messages")
    for _ in range(MANY):
        if pad.one("#history-end").is_visible():
            break
        before = len(pad.texts())
        messages.evaluate("list => { list.scrollTop = 0; list.dispatchEvent(new Event('scroll')); }")
        pad.page.wait_for_function(
            "before => document.querySelectorAll('.message').length > before || "
            "!document.getElementById('history-end').hidden",
            arg=before,
        )
    expect(pad.one("#history-end")).to_have_text("The conversation begins here.")
    check(pad.texts() == [f"Line {n}" for n in range(MANY)], "scrolling up brings the rest, each once, in order")
    return pad


def sign_out_another(scene, pc, phone):
    pc.page.get_by_role("button", name="My terminals").click()
    dialog = pc.page.get_by_role("dialog")
    expect(dialog).to_contain_text("Ann's PC (pc)")
    scene.is_accessible(pc, "the list of terminals")
    scene.picture(pc, "terminals-pc")
    dialog.get_by_role("button", name="Sign out Ann's phone (phone)").click()
    expect(phone.page.get_by_role("heading", name="Signed out")).to_be_focused()
    expect(dialog).not_to_contain_text("Ann's phone")
    pc.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    check(True, "a terminal signed out from another is told at once")


def replaced(scene, phone):
    """A second phone takes the place of the first, which says so and does not fight."""
    phone.page.get_by_role("button", name="Log in again").click()
    phone.log_in("demo-ann", "phone", "Ann's phone")
    second = scene.window(PHONE)
    second.log_in("demo-ann", "phone", "<b>New</b> phone")
    expect(phone.page.get_by_role("heading", name="Signed in elsewhere")).to_be_focused()
    details = phone.one("#ended-details")
    expect(details).to_contain_text("<b>New</b> phone")
    expect(details).to_contain_text("phone")
    expect(details.get_by_text("When")).to_be_visible()
    scene.is_accessible(phone, "the notice")
    scene.picture(phone, "replaced-phone")
    before = len(phone.sockets)
    phone.page.wait_for_timeout(2_500)
    second.is_online()
    check(len(phone.sockets) == before, "the replaced phone stops, and does not come back by itself")
    phone.page.reload()
    expect(phone.page.get_by_role("heading", name="Log in", exact=True)).to_be_visible()
    check(len(phone.sockets) == before, "nor after a reload")

    third = scene.window(PHONE)
    third.make_demo_users()
    third.page.get_by_label("Terminal", exact=True).select_option("phone")
    third.page.get_by_label("Log out the other phone").uncheck()
    third.page.get_by_role("button", name="Log in", exact=True).click()
    expect(third.page.get_by_role("alert")).to_contain_text("in use on “<b>New</b> phone”")
    check(True, "a login that is not to take anybody's place says who is there")
    # That answer is a 409, which Chromium reports.
    third.complaints = [complaint for complaint in third.complaints if "409" not in complaint]


def by_keyboard_alone(scene):
    """From the login to a message without a mouse."""
    window = scene.window(PC)
    window.make_demo_users()
    window.page.get_by_role("button", name="demo-ben").focus()
    window.page.keyboard.press("Enter")
    expect(window.page.get_by_label("Terminal", exact=True)).to_be_focused()
    window.page.get_by_label("Password").focus()
    window.page.keyboard.press("Enter")
    window.is_online()
    expect(window.page.get_by_label("User to write to")).to_be_focused()
    window.page.keyboard.type("demo-ann")
    window.page.keyboard.press("Enter")
    expect(window.page.get_by_label("Message", exact=True)).to_be_focused()
    window.page.keyboard.type("No mouse needed")
    window.page.keyboard.press("Enter")
    window.has("No mouse needed")
    check(True, "the keyboard alone is enough")


def main(url, pictures, axe=None):
    pictures = Path(pictures)
    pictures.mkdir(parents=True, exist_ok=True)
    with browser() as launched:
        scene = Scene(launched, url, pictures, Path(axe).read_text() if axe else None)
        phone, pc, ben = talk(scene)
        presence_and_typing(scene, phone, pc, ben)
        reactions(scene, phone, pc, ben)
        markup_is_text(scene, phone, pc, ben)
        offline(phone, ben)
        roam(scene)
        sign_out_another(scene, pc, phone)
        replaced(scene, phone)
        by_keyboard_alone(scene)
        complaints = [complaint for window in scene.windows for complaint in window.complaints]
        check(not complaints, f"no window has complained {complaints or ''}".strip())


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Windows of the page in headless Chromium, each a terminal of its own."""

import json
import re
import shutil
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "device_scale_factor": 1}
PC = {"viewport": {"width": 1000, "height": 700}}

FONTS = [
    Path("/usr/share/fonts"),
    Path("/usr/local/share/fonts"),
    Path.home() / ".local/share/fonts",
]

# As patient as the rest: a busy machine takes its time to hash passwords.
expect.set_options(timeout=45_000)

# What Chromium says of its own accord while there is no network.
OFFLINE = re.compile("ERR_INTERNET_DISCONNECTED")


def check(holds, what):
    if not holds:
        sys.exit(f"FAILED: {what}")
    print(f"ok  {what}", flush=True)


def call(url, method, path, body=None, token=None):
    """A call of the REST interface, as another terminal would make it."""
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        text = answer.read()
        return json.loads(text) if text else None


def post(url, path, body, token=None):
    return call(url, "POST", path, body, token)


@contextmanager
def browser():
    """Debian's Chromium, or whichever is on the PATH."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not path:
        sys.exit("no Chromium on the PATH; on Debian: apt-get install chromium")
    if not any(file.is_file() for folder in FONTS for file in folder.rglob("*.[ot]t[fc]")):
        sys.exit("no fonts; on Debian: apt-get install fonts-dejavu-core")
    with sync_playwright() as playwright:
        # As root it cannot set up its sandbox.
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield launched
        finally:
            launched.close()


class Window:
    """A window of the page, and everything that its console complains about."""

    def __init__(self, browser, url, shape, **options):
        self.context = browser.new_context(locale="en-GB", **shape, **options)
        self.context.set_default_timeout(45_000)
        self.page = self.context.new_page()
        self.complaints, self.sockets = [], []
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("websocket", lambda socket: self.sockets.append(socket.url))
        self.page.goto(url)

    def _note(self, message):
        if message.type in ("error", "warning") and not OFFLINE.search(message.text):
            self.complaints.append(message.text)

    def one(self, selector, **options):
        return self.page.locator(selector, **options)

    def make_demo_users(self):
        self.page.get_by_role("button", name="Make demo users").click()
        expect(self.page.get_by_role("button", name="demo-ann")).to_be_visible()

    def log_in(self, user, terminal, device, password=None):
        if password is None:
            self.make_demo_users()
            self.page.get_by_role("button", name=user).click()
        else:
            self.page.get_by_label("User", exact=True).fill(user)
            self.page.get_by_label("Password").fill(password)
        self.page.get_by_label("Terminal", exact=True).select_option(terminal)
        self.page.get_by_label("Device name").fill(device)
        self.page.get_by_role("button", name="Log in", exact=True).click()
        self.is_online()

    def is_online(self):
        expect(self.one("#connection")).to_have_attribute("data-state", "online")

    def write_to(self, user):
        self.page.get_by_label("User to write to").fill(user)
        self.page.get_by_role("button", name="Open").click()
        expect(self.page.get_by_role("heading", name=user)).to_be_visible()

    def say(self, text):
        self.page.get_by_label("Message", exact=True).fill(text)
        self.page.keyboard.press("Enter")

    def message(self, text):
        return self.one(".message .text").filter(has_text=re.compile(f"^{re.escape(text)}$"))

    def has(self, text):
        """The message stands there, once."""
        expect(self.message(text)).to_have_count(1)

    def texts(self):
        return self.one(".message .text").all_text_contents()

"""What the page knows of conversations: what happens on other terminals, and what was before.

    pip install -r requirements.txt
    python conversations.py http://127.0.0.1:8080/ IMCTL

IMCTL is the program, which has to reach the server by its environment. The users ann, ben, cleo and dora
have the password in PASSWORD; ann has a message of dora's from January 2025, and nobody else has any.
"""

import os
import re
import subprocess
import sys
import urllib.parse
import uuid

from playwright.sync_api import expect

from window import PC, PHONE, Window, browser, call, check, post

PASSWORD = os.environ["PASSWORD"]


class Terminal:
    """Another terminal of a user, without a window."""

    def __init__(self, url, user, kind):
        self.url, self.user = url, user
        terminal = {"type": kind, "device_id": str(uuid.uuid4()), "device_name": "another"}
        login = {"user_id": user, "password": PASSWORD, "terminal": terminal}
        self.token = post(url, "v1/login", login)["access_token"]

    def say(self, to, text):
        message = {"to": {"user_id": to}, "client_message_id": str(uuid.uuid4()), "text": text}
        return post(self.url, "v1/messages", message, self.token)

    def recall(self, sent):
        post(self.url, f"v1/messages/{sent['message_id']}/recall", {}, self.token)

    def history(self, peer):
        conversation = urllib.parse.quote(f"user:{peer}", safe="")
        return call(self.url, "GET", f"v1/conversations/{conversation}/messages", None, self.token)["entries"]

    def read(self, peer, seq):
        conversation = urllib.parse.quote(f"user:{peer}", safe="")
        post(self.url, f"v1/conversations/{conversation}/read", {"seq": seq}, self.token)

    def delete(self, peer, seq):
        conversation = urllib.parse.quote(f"user:{peer}", safe="")
        call(self.url, "DELETE", f"v1/conversations/{conversation}/messages/{seq}", None, self.token)


def listed(window, user):
    return window.page.get_by_role("navigation").get_by_role("button", name=re.compile(f"^{user}"))


def open_conversation(window, user):
    listed(window, user).click()
    expect(window.page.get_by_role("heading", name=user)).to_be_visible()


def drafts_stay_with_their_conversation(ann):
    draft = ann.page.get_by_label("Message", exact=True)
    ann.write_to("ben")
    draft.fill("for ben alone")
    ann.write_to("cleo")
    expect(draft).to_have_value("")
    draft.press("Enter")
    expect(ann.one(".message")).to_have_count(0)
    draft.fill("for cleo")
    ann.write_to("ben")
    expect(draft).to_have_value("for ben alone")
    ann.page.reload()
    ann.is_online()
    ann.write_to("cleo")
    expect(draft).to_have_value("for cleo")
    draft.press("Enter")
    ann.has("for cleo")
    ann.write_to("ben")
    expect(draft).to_have_value("for ben alone")
    draft.fill("")
    check(True, "what is typed stays with its conversation")


def gone_on_other_terminals(ann, pad, ben):
    """The conversation with ben is not open in the window."""
    ann.write_to("cleo")
    for text in ("one", "two"):
        ben.say("ann", text)
    last = ben.say("ann", "a slip")
    row = listed(ann, "ben")
    expect(row).to_contain_text("a slip")
    expect(row).to_contain_text("3 unread")
    ben.recall(last)
    expect(row).not_to_contain_text("a slip")
    expect(row).to_contain_text("2 unread")
    check(True, "a recalled message is gone from the list, and is not unread")

    for n in range(8):
        ben.say("ann", f"more {n}")
    expect(row).to_contain_text("10 unread")
    second = sorted(entry["seq"] for entry in pad.history("ben"))[1]
    pad.read("ben", second)
    expect(row).to_contain_text("8 unread")
    check(True, "what another terminal has read is read here, and no more than that")

    pad.delete("ben", pad.history("ben")[0]["seq"])
    expect(row).to_contain_text("more 6")
    expect(row).not_to_contain_text("more 7")
    expect(row).to_contain_text("7 unread")
    ann.page.reload()
    ann.is_online()
    expect(row).to_contain_text("more 6")
    expect(row).to_contain_text("7 unread")
    open_conversation(ann, "ben")
    ann.has("more 6")
    expect(ann.message("more 7")).to_have_count(0)
    expect(row).not_to_contain_text("unread")
    check(True, "a message deleted on another terminal is gone, and the one before it is listed")


def erased_with_an_account(ann, cleo, imctl):
    cleo.say("ann", "something to regret")
    open_conversation(ann, "cleo")
    ann.has("something to regret")
    delete = [imctl, "users", "delete", "cleo", "--erase-sent", "--yes"]
    subprocess.run(delete, check=True, stdout=subprocess.DEVNULL)
    expect(ann.message("something to regret")).to_have_count(0)
    expect(ann.one(".message .gone")).to_have_text("This message was erased with the account of its sender.")
    ann.has("for cleo")
    expect(listed(ann, "cleo")).not_to_contain_text("something to regret")
    check(True, "what is erased goes from the open conversation")


def dates_and_sizes(browser, url, ann, ben):
    expect(listed(ann, "dora").locator("time")).to_have_text("15 Jan 2025")
    expect(listed(ann, "ben").locator("time")).to_have_text(re.compile("^[0-9]{2}:[0-9]{2}$"))
    check(True, "the list tells an old message from one of today")

    phone = Window(browser, url, PHONE)
    phone.log_in("ann", "phone", "Ann's phone", PASSWORD)
    for n in range(30):
        ben.say("ann", f"line {n}")
    open_conversation(phone, "ben")
    newest = phone.message("line 29")
    expect(newest).to_be_in_viewport(ratio=1)
    phone.page.set_viewport_size({"width": 390, "height": 420})
    expect(newest).to_be_in_viewport(ratio=1)
    check(True, "the newest message stays in view when the keyboard takes room")
    phone.page.set_viewport_size({"width": 390, "height": 844})
    phone.context.set_offline(True)
    expect(phone.one("#connection")).to_contain_text("trying again")
    is_above = "(message, list) => message.getBoundingClientRect().bottom <= list.getBoundingClientRect().bottom"
    messages = phone.one("#messages").element_handle()
    phone.page.wait_for_function(
        "list => list.scrollHeight - list.scrollTop - list.clientHeight < 1", arg=messages)
    check(newest.evaluate(is_above, messages), "and when the banner of a lost connection does")
    phone.context.set_offline(False)
    phone.is_online()
    # Who has scrolled up stays there.
    phone.one("#messages").evaluate("list => { list.scrollTop = 0; }")
    # Earlier messages may come above, and what is in view stays.
    phone.page.wait_for_function(
        "list => list.scrollHeight - list.scrollTop - list.clientHeight > 100", arg=messages)
    ben.say("ann", "line 30")
    expect(phone.message("line 30")).to_have_count(1)
    below = phone.one("#messages").evaluate("list => list.scrollHeight - list.scrollTop - list.clientHeight")
    check(below > 100, "who reads above is left there")
    return phone


def bubble(window, text):
    """A message with all that stands around its text."""
    said = window.page.locator(".text").filter(has_text=re.compile(f"^{re.escape(text)}$"))
    return window.one(".message").filter(has=said)


def answered_and_forwarded(ann, ben):
    question = ben.say("ann", "When does the train leave?")
    open_conversation(ann, "ben")
    asked = bubble(ann, "When does the train leave?")
    bar = ann.one("#answering")
    asked.get_by_role("button", name="Reply").click()
    expect(bar).to_contain_text("When does the train leave?")
    bar.get_by_role("button", name="Do not answer").click()
    expect(bar).to_be_hidden()
    asked.get_by_role("button", name="Reply").click()
    ann.say("At eight")
    expect(bar).to_be_hidden()
    answer = bubble(ann, "At eight")
    expect(answer.locator(".quote")).to_contain_text("When does the train leave?")
    newest = ben.history("ann")[0]["message"]
    check(newest["reply_to"]["message_id"] == question["message_id"], "a message is answered, and quoted")
    ann.say("And another thing")
    other = bubble(ann, "And another thing")
    expect(other.locator(".meta")).to_contain_text(re.compile(r"(sent|read)\s*$"))
    expect(other.locator(".quote")).to_have_count(0)
    check("reply_to" not in ben.history("ann")[0]["message"], "the next message answers none")

    asked.get_by_role("button", name="Forward").click()
    dialog = ann.page.get_by_role("dialog", name="Forward to")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    asked.get_by_role("button", name="Forward").click()
    dialog.get_by_role("button", name="dora").click()
    expect(ann.page.get_by_role("heading", name="dora")).to_be_visible()
    forwarded = bubble(ann, "When does the train leave?")
    expect(forwarded.locator(".origin")).to_have_text("Forwarded from ben")
    check(True, "and sent on to somebody else")


def main(url, imctl):
    with browser() as launched:
        ann = Window(launched, url, PC)
        ann.log_in("ann", "pc", "Ann's PC", PASSWORD)
        pad, ben = Terminal(url, "ann", "pad"), Terminal(url, "ben", "pc")
        cleo = Terminal(url, "cleo", "pc")
        drafts_stay_with_their_conversation(ann)
        gone_on_other_terminals(ann, pad, ben)
        erased_with_an_account(ann, cleo, imctl)
        phone = dates_and_sizes(launched, url, ann, ben)
        answered_and_forwarded(ann, ben)
        complaints = ann.complaints + phone.complaints
        check(not complaints, f"no window has complained {complaints or ''}".strip())


if __name__ == "__main__":
    main(*sys.argv[1:])

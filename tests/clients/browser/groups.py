"""Groups on the page: making one, talking in it, mentions, who has read, members coming and going.

    pip install -r requirements.txt
    python groups.py http://127.0.0.1:8080/ [axe.min.js]

The users ann, ben, cleo and dora have the password in PASSWORD, and nobody has any messages.
"""

import re
import sys
import time
import uuid
from pathlib import Path

from playwright.sync_api import expect

from conversations import PASSWORD, Terminal
from window import PC, PHONE, Window, browser, call, check, post

TEAM = "The <b>team</b>"


def row_of(window):
    return window.page.get_by_role("navigation").get_by_role("button", name=TEAM)


def open_team(window):
    row_of(window).click()
    expect(window.page.get_by_role("heading", name=TEAM)).to_be_visible()


def make(window, name, members):
    window.page.get_by_role("button", name="New group").click()
    window.page.get_by_label("Name", exact=True).fill(name)
    window.page.get_by_label("Members", exact=True).fill(members)
    window.page.get_by_role("button", name="Make the group").click()


def made_and_shown(ann, ben):
    # Chromium says of its own accord that an answer was 404, before or after the page shows it.
    with ann.page.expect_console_message(lambda message: "404" in message.text):
        make(ann, TEAM, "ben, cleo, nobody")
    expect(ann.page.get_by_role("alert").filter(has_text="nobody")).to_be_visible()
    ann.complaints.clear()
    ann.page.get_by_label("Members", exact=True).fill("ben, cleo")
    ann.page.get_by_role("button", name="Make the group").click()
    expect(ann.page.get_by_role("heading", name=TEAM)).to_be_visible()
    expect(row_of(ben)).to_be_visible()
    check(True, "a group is there for its members before anything is said")

    ann.say("hello all")
    ann.has("hello all")
    row = row_of(ben)
    expect(row).to_contain_text("ann: hello all")
    expect(row).to_contain_text("1 unread")
    open_team(ben)
    ben.has("hello all")
    expect(ben.one(".message .sender")).to_have_text("ann: ")
    check(True, "a message to a group is on the windows of its members, and says whose it is")


def who_has_read(ann):
    button = ann.one(".message .meta button:not(.like, .act)")
    expect(button).to_have_text("Who has read it?")
    patience = time.monotonic() + 15
    while time.monotonic() < patience:
        # Ben's window has marked it as read, and it takes a moment until the server knows.
        button.click()
        expect(button).to_have_text(re.compile("has not|have not"))
        if button.text_content().startswith("Read by"):
            break
        ann.page.wait_for_timeout(100)
    expect(button).to_have_text("Read by ben; 1 has not")
    check(True, "the sender can see who has read it")


def mentions(ann, ben, cleo, group):
    ben.page.get_by_label("Back to the conversations").click()
    row = row_of(ben)
    expect(row).not_to_contain_text("unread")
    message = {
        "to": {"group_id": group}, "client_message_id": str(uuid.uuid4()), "text": "@ben look",
        "mentions": ["ben"],
    }
    post(cleo.url, "v1/messages", message, cleo.token)
    expect(row).to_contain_text("@ 1 unread, you are mentioned")
    ben.page.reload()
    ben.is_online()
    expect(row).to_contain_text("@ 1 unread, you are mentioned")
    open_team(ben)
    expect(ben.one(".message.mentioned")).to_have_text(re.compile("@ben look"))
    check(True, "who is mentioned sees it in the list and in the conversation")

    draft = ben.page.get_by_label("Message", exact=True)
    draft.press_sequentially("yes @")
    offered = ben.page.get_by_role("list", name="Members to mention").get_by_role("button")
    expect(offered).to_have_text(["@ann", "@ben", "@cleo"])
    draft.press_sequentially("an")
    expect(offered).to_have_text(["@ann"])
    offered.click()
    expect(draft).to_have_value("yes @ann ")
    draft.press_sequentially("and @nobody")
    draft.press("Enter")
    expect(ann.one(".message.mentioned")).to_have_text(re.compile("yes @ann and @nobody"))
    check(True, "members are offered behind an @, and what is typed mentions them")


def members_come_and_go(ann, ben, axe):
    ann.page.get_by_role("button", name="Members").click()
    dialog = ann.page.get_by_role("dialog")
    members = dialog.get_by_role("list", name="Members of the group").get_by_role("listitem")
    expect(members).to_have_count(3)
    expect(members.nth(0)).to_contain_text("ann")
    expect(members.nth(0)).to_contain_text("owner")
    if axe:
        ann.page.evaluate(axe)
        found = ann.page.evaluate("axe.run()")["violations"]
        told = "; ".join(f"{v['id']}: {[n['html'] for n in v['nodes']]}" for v in found)
        check(not told, f"axe finds nothing wrong with a group {told}".strip())

    dialog.get_by_role("button", name="Remove ben").click()
    expect(members).to_have_count(2)
    expect(ben.page.get_by_text("You are not a member of this group any more.")).to_be_visible()
    expect(ben.page.get_by_label("Message", exact=True)).to_be_hidden()
    check(True, "who is removed is told, and can write no more")

    dialog.get_by_label("User to add").fill("dora")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog.get_by_role("status")).to_have_text("dora is a member.")
    expect(members.filter(has_text="dora")).to_have_count(1)
    check(True, "a member is added")
    dialog.get_by_role("button", name="Dissolve the group").click()
    expect(dialog.get_by_role("button", name="Dissolve the group")).to_be_hidden()
    dialog.get_by_role("button", name="Close").click()
    expect(ann.page.get_by_text("You are not a member of this group any more.")).to_be_visible()
    check(True, "a dissolved group takes no more")


def main(url, axe=None):
    with browser() as launched:
        ann, ben = Window(launched, url, PC), Window(launched, url, PHONE)
        ann.log_in("ann", "pc", "Ann's PC", PASSWORD)
        ben.log_in("ben", "phone", "Ben's phone", PASSWORD)
        cleo = Terminal(url, "cleo", "pc")
        made_and_shown(ann, ben)
        who_has_read(ann)
        group = call(url, "GET", "v1/groups", None, cleo.token)["groups"][0]["group_id"]
        mentions(ann, ben, cleo, group)
        members_come_and_go(ann, ben, Path(axe).read_text() if axe else None)
        complaints = ann.complaints + ben.complaints
        check(not complaints, f"no window has complained {complaints or ''}".strip())


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Alice on a phone and a PC, Bob on a phone: a conversation, and a second phone.

    pip install -r requirements.txt
    imctl users create alice && imctl users create bob
    ALICE_PASSWORD=... BOB_PASSWORD=... python example.py 127.0.0.1:8080 alice bob
"""

import os
import sys
import uuid

import grpc

from imd_client import Terminal, auth_pb2, error_info


def check(holds, what):
    if not holds:
        sys.exit(f"FAILED: {what}")
    print(f"ok  {what}")


def main(server, alice, bob):
    alice_password, bob_password = os.environ["ALICE_PASSWORD"], os.environ["BOB_PASSWORD"]
    phone = Terminal(server, alice, alice_password, "phone", "Alice's phone")
    pc = Terminal(server, alice, alice_password, "pc", "Alice's PC")
    bobs = Terminal(server, bob, bob_password, "phone", "Bob's phone")
    check(not phone.replaced and not pc.replaced, "a phone and a PC are logged in side by side")

    # A message reaches every terminal of both, the sender's own included.
    client_message_id = str(uuid.uuid4())
    sent = phone.send(bob, "Dinner at eight?", client_message_id)
    for terminal, peer in [(phone, bob), (pc, bob), (bobs, alice)]:
        message = terminal.wait_for("message")
        check(
            (message.message_id, message.text) == (sent.message_id, "Dinner at eight?")
            and message.sender_id == alice
            and message.conversation_id == f"user:{peer}",
            f"{terminal.name} has the message",
        )

    # Not sure whether it arrived? Send it again: it is stored once.
    again = phone.send(bob, "Dinner at eight?", client_message_id)
    check(again.duplicate and again.message_id == sent.message_id, "sent twice, stored once")
    answer = bobs.send(alice, "Gladly. Where?")
    for terminal in [phone, pc, bobs]:
        message = terminal.wait_for("message")
        check(message.message_id == answer.message_id, f"{terminal.name} has the answer next")

    # There is one phone at a time. The old one is told why it stops.
    new_phone = Terminal(server, alice, alice_password, "phone", "Alice's new phone")
    ended = phone.wait_for("session_ended")
    check(
        [session.session_id for session in new_phone.replaced] == [phone.session.session_id]
        and ended.reason == auth_pb2.END_REASON_REPLACED
        and ended.by_device_name == "Alice's new phone",
        "the old phone is told that the new one has replaced it",
    )
    try:
        phone.send(bob, "Still there?")
        check(False, "the old phone is refused")
    except grpc.RpcError as error:
        info = error_info(error)
        check(
            error.code() == grpc.StatusCode.UNAUTHENTICATED
            and (info.reason, info.metadata["end_reason"]) == ("session_ended", "REPLACED"),
            "the old phone is refused, for the same reason",
        )

    # The new phone was never there before, and has it all.
    texts = [entry.message.text for entry in new_phone.history(bob)]
    check(texts == ["Gladly. Where?", "Dinner at eight?"], "the new phone has the history")
    new_phone.send(bob, "The place by the river.")
    for terminal in [pc, bobs]:
        message = terminal.wait_for("message")
        check(message.text == "The place by the river.", f"{terminal.name} hears the new phone")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A client generated from openapi.json: login, send, history, and a refusal.

    pip install -r requirements.txt
    PASSWORD=... python generated.py http://127.0.0.1:8080 alice bob ../../../openapi/openapi.json
"""

import os
import subprocess
import sys
import tempfile
import uuid


def check(holds, what):
    if not holds:
        sys.exit(f"FAILED: {what}")
    print(f"ok  {what}", flush=True)


def generate(document, folder):
    """Generates the package `generated` into the folder."""
    command = ["generate", "--path", document, "--output-path", f"{folder}/generated", "--meta", "none"]
    made = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", *command], capture_output=True, text=True
    )
    told = made.stdout + made.stderr
    check(made.returncode == 0, f"a client is generated{'' if made.returncode == 0 else f': {told}'}")
    check("Unable" not in told and "omitted" not in told, "from every operation and every schema")
    sys.path.insert(0, folder)


def talk(server, alice, bob, password):
    from generated import AuthenticatedClient, Client
    from generated.api.history import list_history
    from generated.api.messages import pull_timeline, send
    from generated.api.sessions import list_my_sessions, login, logout
    from generated.models import HistoryEnd, LoginRequest, Problem, SendRequest, Terminal, To

    terminal = Terminal(type_="phone", device_id=str(uuid.uuid4()), device_name="A generated client")
    request = LoginRequest(user_id=alice, password=password, terminal=terminal)
    logged_in = login.sync(client=Client(base_url=server), body=request)
    client = AuthenticatedClient(base_url=server, token=logged_in.access_token)
    sessions = list_my_sessions.sync(client=client).sessions
    check([session.current for session in sessions] == [True], "it logs in, and sees its session")

    message = SendRequest(to=To(user_id=bob), client_message_id=uuid.uuid4(), text="Hello from openapi.json")
    sent = send.sync(client=client, body=message)
    again = send.sync(client=client, body=message)
    check(again.duplicate and again.message_id == sent.message_id, "it sends, and sending again changes nothing")

    page = list_history.sync(f"user:{bob}", client=client)
    check(
        [entry.message.text for entry in page.entries] == [message.text] and page.end == HistoryEnd.BEGINNING,
        "it reads the history",
    )
    pulled = pull_timeline.sync(client=client, after="")
    check(pulled.entries[-1].cursor == sent.cursor == pulled.next_after, "it reads the timeline")

    bad = SendRequest(to=To(user_id=bob), client_message_id=uuid.uuid4(), text="")
    refused = send.sync(client=client, body=bad)
    check(
        isinstance(refused, Problem) and (refused.code, refused["field"]) == ("invalid_argument", "text"),
        "a refusal is a problem that names the field",
    )
    logout.sync_detailed(client=client)
    ended = list_my_sessions.sync(client=client)
    check((ended.code, ended["end_reason"]) == ("session_ended", "LOGGED_OUT"), "an ended session is told why")


def main(server, alice, bob, document):
    with tempfile.TemporaryDirectory() as folder:
        generate(document, folder)
        talk(server, alice, bob, os.environ["PASSWORD"])


if __name__ == "__main__":
    main(*sys.argv[1:])

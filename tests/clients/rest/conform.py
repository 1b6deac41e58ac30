"""Schemathesis over every operation of a running server: nothing that the document does not say.

    pip install -r requirements.txt
    PASSWORD=... python conform.py http://127.0.0.1:8080 alice
    ADMIN_KEY=... python conform.py http://127.0.0.1:8081
"""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request

# Valid as far as a schema can say is not always valid: a page token is good for one listing alone.
CHECKS = ["--checks", "all", "--exclude-checks", "positive_data_acceptance"]

# These end the session that asks, so they come last.
ENDING = ["logout", "end_my_session"]

# An answer that goes on for ever. It is asked with the token of an ended session: the refusals are checked.
STREAMS = ["subscribe"]

# The same for administrators, with a key that is none.
TAILS = ["tail_webhook", "tail_events", "tail_timeline"]


# A batch has a result for each message, so that one message that the document rules out refuses no batch.
BATCHES = ["send_batch"]

# Its body is lines of JSON, which are not made up here.
IMPORTS = ["import_messages"]


def log_in(server, user, password):
    terminal = {"type": "pad", "device_id": "schemathesis", "device_name": "Schemathesis"}
    body = json.dumps({"user_id": user, "password": password, "terminal": terminal}).encode()
    request = urllib.request.Request(f"{server}/v1/login", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["access_token"]


def conforms(server, token, selection, what, checks=CHECKS):
    command = [
        *[sys.executable, "-m", "schemathesis.cli", "run", f"{server}/openapi.json", "--no-color"],
        *["-H", f"Authorization: Bearer {token}", "--request-timeout", "10"],
        *["--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--seed", "1"],
        *["--generation-database", "none", *checks, *selection],
    ]
    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    if ran.returncode != 0:
        sys.exit(f"FAILED: {what}\n{ran.stdout[-8000:]}\n{ran.stderr[-2000:]}")
    print(f"ok  {what}", flush=True)


def options(option, operations):
    return [word for operation in operations for word in (option, operation)]


def administration(server):
    key = os.environ["ADMIN_KEY"]
    others = options("--exclude-operation-id", BATCHES + IMPORTS + TAILS)
    conforms(server, key, others, "every answer of the admin listener is one that its document describes")
    checks = [*CHECKS[:-1], CHECKS[-1] + ",negative_data_rejection"]
    batches = options("--include-operation-id", BATCHES)
    conforms(server, key, batches, "also to many messages at a time", checks)
    conforms(server, "none", options("--include-operation-id", TAILS), "also where a stream is refused")


def main(server, user=None):
    if user is None:
        return administration(server)
    token = log_in(server, user, os.environ["PASSWORD"])
    others = options("--exclude-operation-id", ENDING + STREAMS)
    conforms(server, token, others, "every answer is one that the document describes")
    conforms(server, token, options("--include-operation-id", ENDING), "also where a session ends")
    conforms(server, token, options("--include-operation-id", STREAMS), "also where a stream is refused")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A client of imd: one terminal that sends, and follows its user's timeline."""

import atexit
import queue
import shutil
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import grpc
import grpc_tools
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from grpc_tools import protoc

CONTRACT = Path(__file__).resolve().parents[3] / "proto"


def compile_contract():
    """Compiles the .proto files into a temporary folder from which they can be imported."""
    folder = tempfile.mkdtemp(prefix="imd-contract-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    well_known_types = Path(grpc_tools.__file__).parent / "_proto"
    files = sorted(str(file) for file in CONTRACT.glob("im/v1/*.proto"))
    failed = protoc.main(
        ["protoc", f"-I{CONTRACT}", f"-I{well_known_types}"]
        + [f"--python_out={folder}", f"--grpc_python_out={folder}"]
        + files
    )
    if failed:
        sys.exit("the contract cannot be compiled")
    sys.path.insert(0, folder)


compile_contract()
from im.v1 import auth_pb2, auth_pb2_grpc, message_pb2, message_pb2_grpc  # noqa: E402


class Terminal:
    """A terminal of a user: logged in, and following the user's timeline in the background."""

    def __init__(self, server, user_id, password, terminal_type, device_name):
        self.channel = grpc.insecure_channel(server)
        self.auth = auth_pb2_grpc.AuthServiceStub(self.channel)
        self.messages = message_pb2_grpc.MessageServiceStub(self.channel)
        self.name = device_name
        login = self.auth.Login(
            auth_pb2.LoginRequest(
                user_id=user_id,
                password=password,
                terminal=auth_pb2.Terminal(
                    type=terminal_type,
                    # A real client makes this once, when it is installed, and keeps it.
                    device_id=str(uuid.uuid4()),
                    device_name=device_name,
                ),
            )
        )
        self.session = login.session
        self.replaced = login.replaced
        self.authorization = [("authorization", f"Bearer {login.tokens.access_token}")]
        # The one thing to keep between runs: the place up to which the timeline is known.
        self.cursor = ""
        # What came, in order: the entries, and last the end of the session.
        self.inbox = queue.Queue()
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self):
        """Follows the timeline, and opens a stream that broke off again where it was."""
        while True:
            try:
                request = message_pb2.SubscribeRequest(after=self.cursor)
                for event in self.messages.Subscribe(request, metadata=self.authorization):
                    kind = event.WhichOneof("event")
                    if kind == "entry":
                        self.cursor = event.entry.cursor
                        self.inbox.put(event.entry)
                    elif kind == "history_truncated":
                        pass  # A client with a store of its own would note that there is a gap.
                    elif kind == "timeline_reset":
                        pass  # And here it would drop what it has: all entries follow again.
                    elif kind == "session_ended":
                        self.inbox.put(event.session_ended)
                        return
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.UNAUTHENTICATED:
                    return
            time.sleep(1)

    def send(self, to, text, client_message_id=None):
        """Sends a text. Returns when it is stored; safe to repeat with the same id."""
        return self.messages.Send(
            message_pb2.SendRequest(
                user_id=to,
                text=text,
                client_message_id=client_message_id or str(uuid.uuid4()),
            ),
            metadata=self.authorization,
        )

    def history(self, peer):
        """The messages with a peer, the newest first, page by page."""
        page_token = ""
        while True:
            request = message_pb2.ListHistoryRequest(
                conversation_id=f"user:{peer}", page_size=2, page_token=page_token
            )
            page = self.messages.ListHistory(request, metadata=self.authorization)
            yield from page.entries
            page_token = page.next_page_token
            if not page_token:
                return

    def wait_for(self, kind, seconds=10):
        """The next entry of a kind, or the end of the session. Fails when it does not come."""
        deadline = time.monotonic() + seconds
        while True:
            got = self.inbox.get(timeout=max(0, deadline - time.monotonic()))
            if isinstance(got, auth_pb2.SessionEnd):
                if kind == "session_ended":
                    return got
                raise AssertionError(f"{self.name} waits for {kind}, but its session has ended")
            if got.WhichOneof("kind") == kind:
                return getattr(got, kind)


def error_info(error):
    """The machine-readable part of an error: a stable `reason`, and `metadata`."""
    for detail in rpc_status.from_call(error).details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info
    raise error

"""Every call of every public service over gRPC, and the services that come with them.

    ALICE_PASSWORD=... python every_call.py 127.0.0.1:8080 alice bob
"""

import os
import sys
import time
import urllib.request
import uuid

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from imd_client import auth_pb2, auth_pb2_grpc, message_pb2, message_pb2_grpc
from im.v1 import attachment_pb2, attachment_pb2_grpc
from im.v1 import block_pb2, block_pb2_grpc, contact_pb2, contact_pb2_grpc, group_pb2, group_pb2_grpc, info_pb2, info_pb2_grpc
from im.v1 import presence_pb2, presence_pb2_grpc, profile_pb2, profile_pb2_grpc, push_pb2, push_pb2_grpc
from im.v1 import schedule_pb2, schedule_pb2_grpc


def check(holds, what):
    if not holds:
        sys.exit(f"FAILED: {what}")
    print(f"ok  {what}")


class Caller:
    """Makes calls, and remembers which."""

    def __init__(self, channel, modules):
        self.token, self.made = None, set()
        self.stubs = {}
        for messages, stubs in modules:
            for service in messages.DESCRIPTOR.services_by_name.values():
                self.stubs[service.name] = (service, getattr(stubs, f"{service.name}Stub")(channel))

    def call(self, service, method, request):
        self.made.add(f"{service}.{method}")
        metadata = [("authorization", f"Bearer {self.token}")] if self.token else []
        return getattr(self.stubs[service][1], method)(request, metadata=metadata, timeout=20)

    def not_made(self):
        of = lambda service: {f"{service.name}.{method.name}" for method in service.methods}
        return set().union(*(of(service) for service, _ in self.stubs.values())) - self.made


def log_in(caller, user, password, terminal_type):
    terminal = auth_pb2.Terminal(type=terminal_type, device_id=str(uuid.uuid4()), device_name=terminal_type)
    request = auth_pb2.LoginRequest(user_id=user, password=password, terminal=terminal)
    return caller.call("AuthService", "Login", request)


def sessions(caller, user, password):
    pad = log_in(caller, user, password, "pad")
    phone = log_in(caller, user, password, "phone")
    refreshed = caller.call(
        "AuthService", "Refresh", auth_pb2.RefreshRequest(refresh_token=phone.tokens.refresh_token)
    )
    caller.token = refreshed.tokens.access_token
    listed = caller.call("AuthService", "ListMySessions", auth_pb2.ListMySessionsRequest()).sessions
    check({session.terminal.type for session in listed} == {"pad", "phone"}, "both terminals are listed")
    ending = auth_pb2.EndMySessionRequest(session_id=pad.session.session_id)
    caller.call("AuthService", "EndMySession", ending)
    listed = caller.call("AuthService", "ListMySessions", auth_pb2.ListMySessionsRequest()).sessions
    check([session.terminal.type for session in listed] == ["phone"], "one is signed out from the other")


def messages(caller, user):
    def call(method, request):
        return caller.call("MessageService", method, request)

    request = message_pb2.SendRequest(user_id=user, text="a note", client_message_id=str(uuid.uuid4()))
    sent = call("Send", request)
    notes = [
        message_pb2.SendRequest(user_id=user, text=f"note {n}", client_message_id=str(uuid.uuid4())) for n in range(20)
    ]
    answers = list(call("SendStream", iter([message_pb2.SendStreamRequest(send=note) for note in notes])))
    check([answer.client_message_id for answer in answers] == [note.client_message_id for note in notes],
          "a stream of messages is answered in its order")
    sent = answers[-1].sent
    check(sent.seq - answers[0].sent.seq == 19, "and stored so")
    call("Signal", message_pb2.SignalRequest(user_id=user, typing=message_pb2.TYPING_STARTED))
    events = call("Subscribe", message_pb2.SubscribeRequest())
    for event in events:
        if event.WhichOneof("event") == "entry" and event.entry.cursor == sent.cursor:
            check(event.entry.message.text == "note 19", "the stream has what was sent")
            break
    events.cancel()
    pulled = call("PullTimeline", message_pb2.PullTimelineRequest(limit=500))
    call("Acknowledge", message_pb2.AcknowledgeRequest(cursor=pulled.next_after))
    check(pulled.next_after == sent.cursor, "so has the timeline")
    listed = call("ListConversations", message_pb2.ListConversationsRequest())
    check([c.conversation_id for c in listed.conversations] == [f"user:{user}"], "so has the list")
    mark = message_pb2.MarkReadRequest(conversation_id=f"user:{user}", seq=sent.seq)
    check(call("MarkRead", mark).read_seq == sent.seq, "it can be marked as read")
    call("SetDraft", message_pb2.SetDraftRequest(conversation_id=f"user:{user}", text="begun"))
    update = message_pb2.UpdateConversationRequest(conversation_id=f"user:{user}", pinned=True)
    check(call("UpdateConversation", update).settings.pinned, "its conversation can be pinned")
    history = call("ListHistory", message_pb2.ListHistoryRequest(conversation_id=f"user:{user}"))
    check([entry.seq for entry in history.entries][0] == sent.seq, "the history has it")
    edit = message_pb2.EditMessageRequest(
        message_id=sent.message_id, client_edit_id=str(uuid.uuid4()), text="a better note"
    )
    check(call("EditMessage", edit).edit_no == 1, "a message can be edited")
    edits = call("ListEdits", message_pb2.ListEditsRequest(message_id=sent.message_id)).edits
    check([edit.edit_no for edit in edits] == [1], "and its edits are listed")
    like = {"message_id": sent.message_id, "reaction": "👍"}
    added = call("AddReaction", message_pb2.AddReactionRequest(**like)).reactions
    check([(one.reaction, one.count, one.own) for one in added] == [("👍", 1, True)], "a message takes reactions")
    listed = call("ListReactions", message_pb2.ListReactionsRequest(message_id=sent.message_id)).reactions
    check([(one.reaction, one.user_id) for one in listed] == [("👍", user)], "which are listed")
    check(not call("RemoveReaction", message_pb2.RemoveReactionRequest(**like)).reactions, "and taken back")
    call("PinMessage", message_pb2.PinMessageRequest(message_id=sent.message_id))
    pins = message_pb2.ListPinnedMessagesRequest(conversation_id=f"user:{user}")
    check([pin.message.seq for pin in call("ListPinnedMessages", pins).pinned_messages] == [sent.seq], "it can be pinned")
    search = message_pb2.SearchMessagesRequest(q="NOTE", conversation_id=f"user:{user}")
    search.MergeFrom(message_pb2.SearchMessagesRequest(**{"from": user}))
    call("SearchMessages", search)
    call("UnpinMessage", message_pb2.UnpinMessageRequest(message_id=sent.message_id))
    call("Recall", message_pb2.RecallRequest(message_id=sent.message_id))
    call("DeleteMessage", message_pb2.DeleteMessageRequest(conversation_id=f"user:{user}", seq=sent.seq))
    history = call("ListHistory", message_pb2.ListHistoryRequest(conversation_id=f"user:{user}"))
    check(sent.seq not in [entry.seq for entry in history.entries], "and can be recalled and deleted")


def attachments(caller, server, user):
    text = b"the plan"
    request = attachment_pb2.CreateAttachmentRequest(file_name="plan.txt", content_type="text/plain", size=len(text))
    created = caller.call("AttachmentService", "CreateAttachment", request)

    def make(request, body=None):
        url = f"http://{server}{request.url}"
        made = urllib.request.Request(url, body, dict(request.headers), method=request.method)
        with urllib.request.urlopen(made) as answer:
            return answer.read()

    make(created.upload, text)
    message = message_pb2.SendRequest(
        user_id=user, client_message_id=str(uuid.uuid4()), text="look", attachments=[created.attachment_id]
    )
    sent = caller.call("MessageService", "Send", message)
    request = attachment_pb2.GetAttachmentLinkRequest(
        message_id=sent.message_id, attachment_id=created.attachment_id
    )
    link = caller.call("AttachmentService", "GetAttachmentLink", request)
    check(make(link.download) == text, "a message can have an attachment")


def blocks(caller, peer):
    def blocked():
        listed = caller.call("BlockService", "ListBlockedUsers", block_pb2.ListBlockedUsersRequest())
        return [user.user_id for user in listed.blocked_users]

    caller.call("BlockService", "BlockUser", block_pb2.BlockUserRequest(user_id=peer))
    check(blocked() == [peer], "a user can be blocked")
    caller.call("BlockService", "UnblockUser", block_pb2.UnblockUserRequest(user_id=peer))
    check(not blocked(), "and unblocked")


def contacts(caller, peer):
    def call(method, **members):
        return caller.call("ContactService", method, getattr(contact_pb2, f"{method}Request")(**members))

    asked = call("SetContact", user_id=peer, remark="P", note="It is me").contact
    check((asked.user_id, asked.state) == (peer, contact_pb2.CONTACT_STATE_SENT), "a user can be asked to be a contact")
    check([contact.remark for contact in call("ListContacts").contacts] == ["P"], "who is then listed")
    call("RemoveContact", user_id=peer)
    check(not call("ListContacts").contacts, "and removed again")
    changed = call("UpdateSettings", messages_from=contact_pb2.WHO_MAY_CONTACTS).settings
    check(call("GetSettings").settings == changed, "a user says who may write to it")
    call("UpdateSettings", messages_from=contact_pb2.WHO_MAY_DEFAULT)


def profiles(caller, user):
    def call(method, **members):
        return caller.call("ProfileService", method, getattr(profile_pb2, f"{method}Request")(**members))

    changed = call("UpdateProfile", name="Alice", attributes='{"pronouns":"she/her"}').profile
    check((changed.user_id, changed.name) == (user, "Alice"), "a user says what it is called")
    check(call("GetProfile").profile == changed, "and reads it")
    check(list(call("BatchGetProfiles", user_ids=[user, "nobody"]).profiles) == [changed], "one among others, too")


def schedule(caller, user):
    def call(method, **members):
        return caller.call("ScheduleService", method, getattr(schedule_pb2, f"{method}Request")(**members))

    message = message_pb2.SendRequest(user_id=user, client_message_id=str(uuid.uuid4()), text="later")
    send_at = {"seconds": int(time.time()) + 3600}
    waits = call("ScheduleMessage", message=message, send_at=send_at).scheduled_message
    check([one.text for one in call("ListScheduledMessages").scheduled_messages] == ["later"], "a message can be scheduled")
    changed = call("UpdateScheduledMessage", client_message_id=waits.client_message_id, text="later still")
    check(changed.scheduled_message.text == "later still", "and changed")
    call("CancelScheduledMessage", client_message_id=waits.client_message_id)
    check(not call("ListScheduledMessages").scheduled_messages, "and taken back")


def presence(caller, peer):
    caller.call("PresenceService", "SetIdle", presence_pb2.SetIdleRequest(idle=True))
    seen = caller.call("PresenceService", "GetPresence", presence_pb2.GetPresenceRequest(user_ids=[peer])).users
    check([user.user_id for user in seen] == [peer], "one sees how a user is")
    watch = message_pb2.SubscribeRequest(after="now", watch=[peer])
    events = caller.call("MessageService", "Subscribe", watch)
    told = next(event for event in events if event.WhichOneof("event") == "presence")
    check(told.presence.users[0].user_id == peer, "and a stream that watches is told")
    events.cancel()


def push(caller):
    try:
        caller.call("PushService", "SetPush", push_pb2.SetPushRequest(provider="pigeon", token="one"))
        check(False, "an unknown provider of push is refused")
    except grpc.RpcError as error:
        check(error.code() == grpc.StatusCode.INVALID_ARGUMENT, "an unknown provider of push is refused")
    check(not caller.call("PushService", "GetPush", push_pb2.GetPushRequest()).provider, "and nothing is pushed")
    caller.call("PushService", "RemovePush", push_pb2.RemovePushRequest())
    hours = push_pb2.QuietHours(**{"from": "22:00", "to": "07:00", "time_zone": "Asia/Tokyo"})
    caller.call("PushService", "SetQuietHours", push_pb2.SetQuietHoursRequest(quiet_hours=hours))
    set_now = caller.call("PushService", "GetPush", push_pb2.GetPushRequest()).quiet_hours
    check(set_now == hours, "hours that are quiet are set")
    caller.call("PushService", "RemoveQuietHours", push_pb2.RemoveQuietHoursRequest())


def groups(caller, user, peer):
    def call(method, **members):
        request = getattr(group_pb2, f"{method}Request")(**members)
        return caller.call("GroupService", method, request)

    def refused(method, **members):
        try:
            call(method, **members)
        except grpc.RpcError as error:
            return error.code()
        return None

    made = call("CreateGroup", name="Trip", member_ids=[peer]).group
    of = {"group_id": made.group_id}
    check(call("GetGroup", **of).group.member_count == 2, "a group can be made")
    check([group.group_id for group in call("ListGroups").groups] == [made.group_id], "and is listed")
    changed = call("UpdateGroup", name="Trip to Oslo", **of).group
    check((changed.name, changed.version) == ("Trip to Oslo", 2), "and changed")
    request = message_pb2.SendRequest(group_id=made.group_id, text="hello", client_message_id=str(uuid.uuid4()))
    sent = caller.call("MessageService", "Send", request)
    check(call("ListReaders", message_id=sent.message_id).unread_count == 1, "nobody has read a message yet")
    check(call("AddGroupMember", user_id=peer, **of).is_member, "a member stays one")
    call("UpdateGroupMember", user_id=peer, nickname="B", **of)
    members = call("ListGroupMembers", **of).members
    check({member.user_id: member.nickname for member in members} == {user: "", peer: "B"}, "members are listed")
    call("RemoveGroupMember", user_id=peer, **of)
    check(not call("ListGroupRequests", **of).requests, "nobody asks to join")
    unknown = refused("AnswerGroupRequest", user_id=peer, approve=True, **of)
    check(unknown == grpc.StatusCode.NOT_FOUND, "so that nobody is let in")
    check(call("JoinGroup", **of).is_member, "who is in need not join")
    check(refused("LeaveGroup", **of) == grpc.StatusCode.FAILED_PRECONDITION, "and its owner does not leave")
    call("DissolveGroup", **of)
    check(refused("GetGroup", **of) == grpc.StatusCode.NOT_FOUND, "but can dissolve it")


def around(caller, channel):
    info = caller.call("InfoService", "GetInfo", info_pb2.GetInfoRequest())
    check("phone" in {kind.name for kind in info.terminal_types}, "the server tells its terminal types")
    serving = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="im.v1.MessageService"))
    check(serving.status == health_pb2.HealthCheckResponse.SERVING, "and that it is well")
    reflected = ProtoReflectionDescriptorDatabase(channel)
    pool = DescriptorPool(reflected)
    told = {name for name in reflected.get_services() if name.startswith("im.v1.")}
    check(
        told == {service.full_name for service, _ in caller.stubs.values()}
        and pool.FindServiceByName("im.v1.MessageService").methods_by_name.keys()
        == caller.stubs["MessageService"][0].methods_by_name.keys(),
        "and by reflection, what it can do",
    )


def main(server, user, peer):
    channel = grpc.insecure_channel(server)
    modules = [
        (auth_pb2, auth_pb2_grpc),
        (message_pb2, message_pb2_grpc),
        (attachment_pb2, attachment_pb2_grpc),
        (group_pb2, group_pb2_grpc),
        (block_pb2, block_pb2_grpc),
        (contact_pb2, contact_pb2_grpc),
        (presence_pb2, presence_pb2_grpc),
        (profile_pb2, profile_pb2_grpc),
        (push_pb2, push_pb2_grpc),
        (schedule_pb2, schedule_pb2_grpc),
        (info_pb2, info_pb2_grpc),
    ]
    caller = Caller(channel, modules)
    sessions(caller, user, os.environ["ALICE_PASSWORD"])
    messages(caller, user)
    attachments(caller, server, user)
    blocks(caller, peer)
    contacts(caller, peer)
    presence(caller, peer)
    profiles(caller, user)
    schedule(caller, user)
    push(caller)
    groups(caller, user, peer)
    around(caller, channel)
    caller.call("AuthService", "Logout", auth_pb2.LogoutRequest())
    left = caller.not_made()
    check(not left, "every call of the public services was made" + (f", but {sorted(left)}" if left else ""))


if __name__ == "__main__":
    main(*sys.argv[1:])

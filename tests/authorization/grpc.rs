//! Every call of every service.

use std::collections::BTreeSet;

use futures::future::{BoxFuture, FutureExt};
use http::uri::PathAndQuery;
use imd_proto::{
    FILE_DESCRIPTOR_SET,
    v1::{
        self, import_messages_request::Step, kick_sessions_request::Which,
        login_request::Credential, preview_user_limits_request::Limits as TriedLimits,
        send_request, set_user_limits_request::Limits, start_epoch_request::Whose,
        trace_message_request::Message as Traced,
    },
};
use prost::Message;
use tonic::{Request, client, transport::Channel};
use tonic_prost::ProstCodec;
use uuid::Uuid;

use super::{
    Access::{self, Admin, Anyone, User},
    credentials::{forgeries, wrong_keys},
};
use crate::support::{
    api::{Result, Transport},
    cluster::{Cluster, PASSWORD},
    eventually,
    failure::Failure,
    grpc::{channel, with_bearer},
    node::ADMIN_KEY,
    terminal::Terminal,
    types::Sent,
};

/// A call with a request that is valid as far as that does not depend on who asks.
struct Call {
    path: &'static str,
    access: Access,
    make: Make,
}

/// Makes a call with a token or without.
type Make = Box<dyn Fn(Channel, Option<String>) -> BoxFuture<'static, Result<()>>>;

impl Call {
    fn new<T: Message + Clone + 'static>(path: &'static str, access: Access, request: T) -> Self {
        let make = move |channel, token: Option<String>| {
            let request = match token {
                Some(token) => with_bearer(&token, request.clone()),
                None => Request::new(request.clone()),
            };
            make(channel, path, request).boxed()
        };
        Self { path, access, make: Box::new(make) }
    }

    /// Makes the call on the listener that serves it.
    async fn on(&self, imd: &Cluster, token: Option<&str>) -> Result<()> {
        let address = match self.access {
            Admin => imd.node.admin_address(),
            Anyone | User => imd.node.public_address(),
        };
        (self.make)(channel(address), token.map(str::to_owned)).await
    }

    /// Makes the call; how it was refused.
    async fn refused(&self, imd: &Cluster, token: Option<&str>, with: &str) -> Failure {
        let answer = self.on(imd, token).await;
        answer.expect_err(&format!("{} with {with}", self.path))
    }
}

/// Makes any call with one request and reads the first answer: to those that know of no stream, both are
/// streams of one.
async fn make<T: Message + 'static>(
    channel: Channel,
    path: &'static str,
    request: Request<T>,
) -> Result<()> {
    let mut client = client::Grpc::new(channel);
    client.ready().await.map_err(Failure::lost)?;
    let path = PathAndQuery::from_static(path);
    // `()` reads any message and keeps nothing of it.
    let codec = ProstCodec::<T, ()>::default();
    let mut answer = client.server_streaming(request, path, codec).await?.into_inner();
    answer.message().await?;
    Ok(())
}

/// Every call there is, for `ann` on a phone and a pc, with a note to herself. Those that end something
/// come last.
#[expect(clippy::too_many_lines, reason = "a table with a row for each call")]
fn calls(phone: &Terminal, pc: &Terminal, note: &Sent) -> Vec<Call> {
    let ann = || "ann".to_owned();
    let send = v1::SendRequest {
        to: Some(send_request::To::UserId(ann())),
        client_message_id: Uuid::new_v4().to_string(),
        content: Some(send_request::Content::Text("a note".to_owned())),
        ..Default::default()
    };
    let stream = v1::SendStreamRequest { send: Some(send.clone()) };
    let terminal = v1::Terminal {
        r#type: "pad".to_owned(),
        device_id: "pad".to_owned(),
        device_name: String::new(),
    };
    let login = v1::LoginRequest {
        user_id: ann(),
        credential: Some(Credential::Password(PASSWORD.to_owned())),
        terminal: Some(terminal),
        if_occupied: 0,
    };
    let refresh = v1::RefreshRequest { refresh_token: phone.refresh_token.clone() };
    let history =
        v1::ListHistoryRequest { conversation_id: "user:ann".to_owned(), ..Default::default() };
    let mark = v1::MarkReadRequest { conversation_id: "user:ann".to_owned(), seq: note.seq };
    let recall = v1::RecallRequest { message_id: note.message_id.clone() };
    let delete = v1::DeleteMessageRequest { conversation_id: "user:ann".to_owned(), seq: note.seq };
    let end = v1::EndMySessionRequest { session_id: pc.session_id().to_owned() };
    let create = v1::CreateUserRequest {
        user_id: Uuid::new_v4().to_string(),
        password: Some(PASSWORD.to_owned()),
        tier: String::new(),
    };
    let password =
        v1::SetPasswordRequest { user_id: "zoe".to_owned(), password: PASSWORD.to_owned() };
    let disable = v1::DisableUserRequest { user_id: "zoe".to_owned(), note: String::new() };
    let enable = v1::EnableUserRequest { user_id: "zoe".to_owned() };
    let limits = v1::SetUserLimitsRequest {
        user_id: "zoe".to_owned(),
        limits: Some(Limits::Tier("unlimited".to_owned())),
    };
    let name = Uuid::new_v4().to_string();
    let create_key =
        v1::CreateAdminKeyRequest { name: name.clone(), role: v1::Role::Viewer.into() };
    let revoke_key = v1::RevokeAdminKeyRequest { name };
    let kick = v1::KickSessionsRequest {
        user_id: "zoe".to_owned(),
        which: Some(Which::All(true)),
        note: String::new(),
    };
    let mut calls = Vec::from(message_life_calls(note));
    calls.extend([
        Call::new("/im.v1.InfoService/GetInfo", Anyone, v1::GetInfoRequest {}),
        Call::new("/im.v1.AuthService/Login", Anyone, login),
        Call::new("/im.v1.AuthService/Refresh", Anyone, refresh),
        Call::new("/im.v1.AuthService/ListMySessions", User, v1::ListMySessionsRequest {}),
        Call::new("/im.v1.MessageService/SendStream", User, stream),
        Call::new("/im.v1.MessageService/Send", User, send),
        Call::new("/im.v1.MessageService/Subscribe", User, v1::SubscribeRequest::default()),
        Call::new("/im.v1.MessageService/PullTimeline", User, v1::PullTimelineRequest::default()),
        Call::new(
            "/im.v1.MessageService/Acknowledge",
            User,
            v1::AcknowledgeRequest { cursor: "1.1".to_owned() },
        ),
        Call::new(
            "/im.v1.MessageService/ListConversations",
            User,
            v1::ListConversationsRequest::default(),
        ),
        Call::new("/im.v1.MessageService/ListHistory", User, history),
        Call::new("/im.v1.MessageService/MarkRead", User, mark),
        Call::new("/im.v1.MessageService/Recall", User, recall),
        Call::new("/im.v1.MessageService/DeleteMessage", User, delete),
        Call::new("/im.v1.AdminService/CreateUser", Admin, create),
        Call::new("/im.v1.AdminService/ListUsers", Admin, v1::ListUsersRequest::default()),
        Call::new("/im.v1.AdminService/GetUser", Admin, v1::GetUserRequest { user_id: ann() }),
        Call::new("/im.v1.AdminService/SetPassword", Admin, password),
        Call::new("/im.v1.AdminService/DisableUser", Admin, disable),
        Call::new("/im.v1.AdminService/EnableUser", Admin, enable),
        Call::new("/im.v1.AdminService/SetUserLimits", Admin, limits),
        Call::new("/im.v1.AdminService/Purge", Admin, v1::PurgeRequest {}),
        Call::new("/im.v1.AdminService/ListSessions", Admin, v1::ListSessionsRequest::default()),
        Call::new("/im.v1.AdminService/KickSessions", Admin, kick),
        Call::new("/im.v1.AdminService/GetStatus", Admin, v1::GetStatusRequest {}),
        Call::new("/im.v1.AdminService/ListChecks", Admin, v1::ListChecksRequest {}),
        Call::new("/im.v1.AdminService/GetLoad", Admin, v1::GetLoadRequest {}),
        Call::new("/im.v1.AdminService/TailEvents", Admin, v1::TailEventsRequest { seconds: 1 }),
        Call::new("/im.v1.AdminService/TailTimeline", Admin, tail_timeline()),
        Call::new(
            "/im.v1.AdminService/ListAuditRecords",
            Admin,
            v1::ListAuditRecordsRequest::default(),
        ),
        Call::new("/im.v1.AdminService/CreateAdminKey", Admin, create_key),
        Call::new("/im.v1.AdminService/ListAdminKeys", Admin, v1::ListAdminKeysRequest {}),
        Call::new("/im.v1.AdminService/RevokeAdminKey", Admin, revoke_key),
    ]);
    calls.extend(arranging_calls());
    calls.extend(tier_calls());
    calls.extend(passing_calls());
    calls.extend(timeline_calls(note));
    calls.push(Call::new("/im.v1.AuthService/EndMySession", User, end));
    calls.push(Call::new("/im.v1.AuthService/Logout", User, v1::LogoutRequest {}));
    calls
}

/// Those about what a user has set and begun for a conversation.
fn arranging_calls() -> [Call; 2] {
    let update = v1::UpdateConversationRequest {
        conversation_id: "user:ann".to_owned(),
        pinned: Some(true),
        ..Default::default()
    };
    let draft =
        v1::SetDraftRequest { conversation_id: "user:ann".to_owned(), text: "begun".to_owned() };
    [
        Call::new("/im.v1.MessageService/UpdateConversation", User, update),
        Call::new("/im.v1.MessageService/SetDraft", User, draft),
    ]
}

/// Those about what stands in no timeline.
fn passing_calls() -> [Call; 8] {
    let signal = v1::SignalRequest {
        to: Some(v1::signal_request::To::UserId("ann".to_owned())),
        signal: Some(v1::signal_request::Signal::Typing(v1::Typing::Started.into())),
    };
    let push = v1::SetPushRequest {
        provider: "webhook".to_owned(),
        token: "a device".to_owned(),
        ..Default::default()
    };
    let presence = v1::GetPresenceRequest { user_ids: vec!["zoe".to_owned()] };
    let [from, to, time_zone] = ["22:00", "07:00", "Asia/Shanghai"].map(str::to_owned);
    let quiet = v1::QuietHours { from, to, time_zone };
    let quiet = v1::SetQuietHoursRequest { quiet_hours: Some(quiet) };
    [
        Call::new("/im.v1.MessageService/Signal", User, signal),
        Call::new("/im.v1.PresenceService/GetPresence", User, presence),
        Call::new("/im.v1.PushService/GetPush", User, v1::GetPushRequest {}),
        Call::new("/im.v1.PushService/SetPush", User, push),
        Call::new("/im.v1.PushService/RemovePush", User, v1::RemovePushRequest {}),
        Call::new("/im.v1.PushService/SetQuietHours", User, quiet),
        Call::new("/im.v1.PushService/RemoveQuietHours", User, v1::RemoveQuietHoursRequest {}),
        Call::new("/im.v1.PresenceService/SetIdle", User, v1::SetIdleRequest { idle: true }),
    ]
}

/// Those that send from no terminal.
fn admin_send_calls() -> [Call; 2] {
    let message = || v1::AdminSendRequest {
        from: Some(v1::AdminSender {
            from: Some(v1::admin_sender::From::System("notices".to_owned())),
        }),
        message: Some(v1::SendRequest {
            to: Some(send_request::To::UserId("zoe".to_owned())),
            client_message_id: Uuid::new_v4().to_string(),
            content: Some(send_request::Content::Text("a notice".to_owned())),
            ..Default::default()
        }),
        ..Default::default()
    };
    let batch = v1::AdminSendBatchRequest { messages: vec![message(), message()] };
    [
        Call::new("/im.v1.AdminService/AdminSend", Admin, message()),
        Call::new("/im.v1.AdminService/AdminSendBatch", Admin, batch),
    ]
}

fn tail_timeline() -> v1::TailTimelineRequest {
    v1::TailTimelineRequest { user_id: "ann".to_owned(), seconds: 1 }
}

/// Those about broadcasts, of which there is one that waits.
fn broadcast_calls() -> [Call; 6] {
    let broadcast_id = || super::BROADCAST.to_owned();
    let to =
        v1::broadcast_audience::To::Users(v1::BroadcastUsers { user_ids: vec!["zoe".to_owned()] });
    let create = v1::CreateBroadcastRequest {
        broadcast_id: Uuid::new_v4().to_string(),
        from: Some(v1::AdminSender {
            from: Some(v1::admin_sender::From::System("notices".to_owned())),
        }),
        to: Some(v1::BroadcastAudience { to: Some(to) }),
        content: Some(v1::create_broadcast_request::Content::Text("news".to_owned())),
        ..Default::default()
    };
    let list = v1::ListBroadcastsRequest::default();
    let get = v1::GetBroadcastRequest { broadcast_id: broadcast_id() };
    let pause = v1::PauseBroadcastRequest { broadcast_id: broadcast_id() };
    let resume = v1::ResumeBroadcastRequest { broadcast_id: broadcast_id() };
    let abort = v1::AbortBroadcastRequest { broadcast_id: broadcast_id() };
    [
        Call::new("/im.v1.AdminService/CreateBroadcast", Admin, create),
        Call::new("/im.v1.AdminService/ListBroadcasts", Admin, list),
        Call::new("/im.v1.AdminService/GetBroadcast", Admin, get),
        Call::new("/im.v1.AdminService/PauseBroadcast", Admin, pause),
        Call::new("/im.v1.AdminService/ResumeBroadcast", Admin, resume),
        Call::new("/im.v1.AdminService/AbortBroadcast", Admin, abort),
    ]
}

/// Those about the jobs of the cluster, of which `assertions` is kept at work.
/// Those about webhooks, of which there is one.
fn webhook_calls(webhook_id: &str) -> Vec<Call> {
    let webhook_id = || webhook_id.to_owned();
    let create = v1::CreateWebhookRequest {
        url: super::WEBHOOK.to_owned(),
        kinds: vec!["read".to_owned()],
        ..Default::default()
    };
    let update = v1::UpdateWebhookRequest {
        webhook_id: webhook_id(),
        description: Some("changed".to_owned()),
        ..Default::default()
    };
    let from = Some(prost_types::Timestamp::default());
    let replay = v1::ReplayWebhookRequest { webhook_id: webhook_id(), from };
    let rotate = v1::RotateWebhookSecretRequest { webhook_id: webhook_id(), ..Default::default() };
    let get = v1::GetWebhookRequest { webhook_id: webhook_id() };
    let test = v1::TestWebhookRequest { webhook_id: webhook_id() };
    let tail = v1::TailWebhookRequest { webhook_id: webhook_id(), seconds: 1 };
    let pause = v1::PauseWebhookRequest { webhook_id: webhook_id() };
    let resume = v1::ResumeWebhookRequest { webhook_id: webhook_id() };
    let delete = v1::DeleteWebhookRequest { webhook_id: webhook_id() };
    vec![
        Call::new("/im.v1.AdminService/ListWebhooks", Admin, v1::ListWebhooksRequest {}),
        Call::new("/im.v1.AdminService/CreateWebhook", Admin, create),
        Call::new("/im.v1.AdminService/GetWebhook", Admin, get),
        Call::new("/im.v1.AdminService/UpdateWebhook", Admin, update),
        Call::new("/im.v1.AdminService/TestWebhook", Admin, test),
        Call::new("/im.v1.AdminService/TailWebhook", Admin, tail),
        Call::new("/im.v1.AdminService/PauseWebhook", Admin, pause),
        Call::new("/im.v1.AdminService/ResumeWebhook", Admin, resume),
        Call::new("/im.v1.AdminService/ReplayWebhook", Admin, replay),
        Call::new("/im.v1.AdminService/RotateWebhookSecret", Admin, rotate),
        Call::new("/im.v1.AdminService/DeleteWebhook", Admin, delete),
    ]
}

fn job_calls() -> [Call; 3] {
    let name = || "assertions".to_owned();
    [
        Call::new("/im.v1.AdminService/ListJobs", Admin, v1::ListJobsRequest {}),
        Call::new("/im.v1.AdminService/RetryJob", Admin, v1::RetryJobRequest { name: name() }),
        Call::new("/im.v1.AdminService/CancelJob", Admin, v1::CancelJobRequest { name: name() }),
    ]
}

fn tier_calls() -> [Call; 5] {
    let tiers = || vec![v1::Tier { name: "free".to_owned(), ..Default::default() }];
    let preview = v1::PreviewTiersRequest { tiers: tiers(), ..Default::default() };
    let apply = v1::ApplyTiersRequest { tiers: tiers(), ..Default::default() };
    let preview_user = v1::PreviewUserLimitsRequest {
        user_id: "zoe".to_owned(),
        limits: Some(TriedLimits::Tier("unlimited".to_owned())),
    };
    let delete = v1::DeleteTierRequest { name: "free".to_owned() };
    [
        Call::new("/im.v1.AdminService/ListTiers", Admin, v1::ListTiersRequest {}),
        Call::new("/im.v1.AdminService/PreviewTiers", Admin, preview),
        Call::new("/im.v1.AdminService/ApplyTiers", Admin, apply),
        Call::new("/im.v1.AdminService/PreviewUserLimits", Admin, preview_user),
        Call::new("/im.v1.AdminService/DeleteTier", Admin, delete),
    ]
}

/// What is the same on all nodes: terminal types, and the keys of access tokens.
fn calls_for_all_nodes() -> [Call; 5] {
    let terminal_types = v1::SetTerminalTypesRequest {
        names: vec!["tv".to_owned()],
        session_limit: Some(1),
        ..Default::default()
    };
    let delete_types = v1::DeleteTerminalTypesRequest { names: vec!["tv".to_owned()] };
    [
        Call::new("/im.v1.AdminService/ListTerminalTypes", Admin, v1::ListTerminalTypesRequest {}),
        Call::new("/im.v1.AdminService/SetTerminalTypes", Admin, terminal_types),
        Call::new("/im.v1.AdminService/DeleteTerminalTypes", Admin, delete_types),
        Call::new(
            "/im.v1.AdminService/ListAccessTokenKeys",
            Admin,
            v1::ListAccessTokenKeysRequest {},
        ),
        Call::new(
            "/im.v1.AdminService/RotateAccessTokenKey",
            Admin,
            v1::RotateAccessTokenKeyRequest {},
        ),
    ]
}

/// Those of administrators that are about timelines.
fn timeline_calls(note: &Sent) -> Vec<Call> {
    let trace =
        v1::TraceMessageRequest { message: Some(Traced::MessageId(note.message_id.clone())) };
    let describe = v1::DescribeUserRequest { user_id: "ann".to_owned() };
    let search = v1::SearchUserMessagesRequest {
        user_id: "ann".to_owned(),
        search: Some(v1::SearchMessagesRequest { q: "note".to_owned(), ..Default::default() }),
    };
    let delete_user = v1::DeleteUserRequest { user_id: "zoe".to_owned(), ..Default::default() };
    let export = v1::ExportMessagesRequest { user_id: "ann".to_owned(), since: None };
    let end_of_import =
        v1::ImportMessagesRequest { step: Some(Step::End(v1::ImportEnd::default())) };
    let epoch = v1::StartEpochRequest { whose: Some(Whose::UserId("zoe".to_owned())) };
    let tokens = v1::ListPushTokensRequest::default();
    let test = v1::TestPushRequest { user_id: "zoe".to_owned(), ..Default::default() };
    vec![
        Call::new("/im.v1.AdminService/ListPushTokens", Admin, tokens),
        Call::new("/im.v1.AdminService/TestPush", Admin, test),
        Call::new("/im.v1.AdminService/TraceMessage", Admin, trace),
        Call::new("/im.v1.AdminService/SearchUserMessages", Admin, search),
        Call::new("/im.v1.AdminService/DescribeUser", Admin, describe),
        Call::new(
            "/im.v1.AdminService/ListAttachments",
            Admin,
            v1::ListAttachmentsRequest::default(),
        ),
        Call::new("/im.v1.AdminService/PurgeAttachments", Admin, v1::PurgeAttachmentsRequest {}),
        Call::new("/im.v1.AdminService/ExportMessages", Admin, export),
        Call::new("/im.v1.AdminService/ImportMessages", Admin, end_of_import),
        Call::new("/im.v1.AdminService/StartEpoch", Admin, epoch),
        Call::new("/im.v1.AdminService/DeleteUser", Admin, delete_user),
    ]
}

/// Those about what becomes of a message.
fn message_life_calls(note: &Sent) -> [Call; 17] {
    let message_id = || note.message_id.clone();
    let edit = v1::EditMessageRequest {
        message_id: message_id(),
        client_edit_id: Uuid::new_v4().to_string(),
        content: Some(v1::edit_message_request::Content::Text("edited".to_owned())),
        ..Default::default()
    };
    let edits = v1::ListEditsRequest { message_id: message_id(), ..Default::default() };
    let batch = v1::BatchGetProfilesRequest { user_ids: vec!["ann".to_owned()] };
    let id = || super::SCHEDULED.to_owned();
    let message = v1::SendRequest {
        to: Some(v1::send_request::To::UserId("ann".to_owned())),
        client_message_id: id(),
        content: Some(v1::send_request::Content::Text("later".to_owned())),
        ..Default::default()
    };
    let in_an_hour = time::OffsetDateTime::now_utc() + std::time::Duration::from_hours(1);
    let send_at = Some(prost_types::Timestamp { seconds: in_an_hour.unix_timestamp(), nanos: 0 });
    let schedule = v1::ScheduleMessageRequest { message: Some(message), send_at };
    let scheduled = v1::ListScheduledMessagesRequest::default();
    let reschedule =
        v1::UpdateScheduledMessageRequest { client_message_id: id(), ..Default::default() };
    let cancel = v1::CancelScheduledMessageRequest { client_message_id: id() };
    let file = v1::CreateAttachmentRequest {
        file_name: "a".to_owned(),
        content_type: "text/plain".to_owned(),
        size: 1,
        sha256: String::new(),
    };
    let search = v1::SearchMessagesRequest { q: "note".to_owned(), ..Default::default() };
    let pin = v1::PinMessageRequest { message_id: message_id() };
    let unpin = v1::UnpinMessageRequest { message_id: message_id() };
    let pins = v1::ListPinnedMessagesRequest { conversation_id: "user:ann".to_owned() };
    let reaction = || "👍".to_owned();
    let add = v1::AddReactionRequest { message_id: message_id(), reaction: reaction() };
    let remove = v1::RemoveReactionRequest { message_id: message_id(), reaction: reaction() };
    let reactions = v1::ListReactionsRequest { message_id: message_id(), ..Default::default() };
    [
        Call::new("/im.v1.MessageService/EditMessage", User, edit),
        Call::new("/im.v1.MessageService/ListEdits", User, edits),
        Call::new("/im.v1.MessageService/SearchMessages", User, search),
        Call::new("/im.v1.AttachmentService/CreateAttachment", User, file),
        Call::new("/im.v1.MessageService/PinMessage", User, pin),
        Call::new("/im.v1.MessageService/ListPinnedMessages", User, pins),
        Call::new("/im.v1.MessageService/UnpinMessage", User, unpin),
        Call::new("/im.v1.ScheduleService/ScheduleMessage", User, schedule),
        Call::new("/im.v1.ScheduleService/ListScheduledMessages", User, scheduled),
        Call::new("/im.v1.ScheduleService/UpdateScheduledMessage", User, reschedule),
        Call::new("/im.v1.ScheduleService/CancelScheduledMessage", User, cancel),
        Call::new("/im.v1.ProfileService/GetProfile", User, v1::GetProfileRequest::default()),
        Call::new("/im.v1.ProfileService/BatchGetProfiles", User, batch),
        Call::new("/im.v1.ProfileService/UpdateProfile", User, v1::UpdateProfileRequest::default()),
        Call::new("/im.v1.MessageService/AddReaction", User, add),
        Call::new("/im.v1.MessageService/RemoveReaction", User, remove),
        Call::new("/im.v1.MessageService/ListReactions", User, reactions),
    ]
}

/// Those of blocks; they end nothing.
fn block_calls() -> [Call; 3] {
    let user_id = || "zoe".to_owned();
    let block = v1::BlockUserRequest { user_id: user_id() };
    let unblock = v1::UnblockUserRequest { user_id: user_id() };
    let list = v1::ListBlockedUsersRequest::default();
    [
        Call::new("/im.v1.BlockService/BlockUser", User, block),
        Call::new("/im.v1.BlockService/UnblockUser", User, unblock),
        Call::new("/im.v1.BlockService/ListBlockedUsers", User, list),
    ]
}

/// Those of contacts and settings; they end nothing.
fn contact_calls() -> [Call; 5] {
    let user_id = || "zoe".to_owned();
    let set = v1::SetContactRequest { user_id: user_id(), ..Default::default() };
    let remove = v1::RemoveContactRequest { user_id: user_id() };
    let list = v1::ListContactsRequest::default();
    let update = v1::UpdateSettingsRequest {
        messages_from: v1::WhoMay::Contacts.into(),
        ..Default::default()
    };
    [
        Call::new("/im.v1.ContactService/SetContact", User, set),
        Call::new("/im.v1.ContactService/RemoveContact", User, remove),
        Call::new("/im.v1.ContactService/ListContacts", User, list),
        Call::new("/im.v1.ContactService/GetSettings", User, v1::GetSettingsRequest {}),
        Call::new("/im.v1.ContactService/UpdateSettings", User, update),
    ]
}

/// Those of groups; they end nothing but one.
fn group_calls(message: &str) -> Vec<Call> {
    let (own, zoe) = (|| "own".to_owned(), || "zoe".to_owned());
    let create = v1::CreateGroupRequest { name: "new".to_owned(), ..Default::default() };
    let update = v1::UpdateGroupRequest {
        group_id: own(),
        name: Some("changed".to_owned()),
        ..Default::default()
    };
    let members = v1::ListGroupMembersRequest { group_id: own(), ..Default::default() };
    let add = v1::AddGroupMemberRequest { group_id: own(), user_id: zoe() };
    let change = v1::UpdateGroupMemberRequest {
        group_id: own(),
        user_id: zoe(),
        nickname: Some("Z".to_owned()),
        ..Default::default()
    };
    let remove = v1::RemoveGroupMemberRequest { group_id: own(), user_id: zoe() };
    let requests = v1::ListGroupRequestsRequest { group_id: own(), ..Default::default() };
    let answer =
        v1::AnswerGroupRequestRequest { group_id: own(), user_id: "yan".to_owned(), approve: true };
    let join = v1::JoinGroupRequest { group_id: "open".to_owned(), note: String::new() };
    let leave = v1::LeaveGroupRequest { group_id: "yans".to_owned() };
    let readers = v1::ListReadersRequest { message_id: message.to_owned(), ..Default::default() };
    vec![
        Call::new("/im.v1.GroupService/CreateGroup", User, create),
        Call::new("/im.v1.GroupService/ListGroups", User, v1::ListGroupsRequest::default()),
        Call::new("/im.v1.GroupService/GetGroup", User, v1::GetGroupRequest { group_id: own() }),
        Call::new("/im.v1.GroupService/UpdateGroup", User, update),
        Call::new("/im.v1.GroupService/ListGroupMembers", User, members),
        Call::new("/im.v1.GroupService/AddGroupMember", User, add),
        Call::new("/im.v1.GroupService/UpdateGroupMember", User, change),
        Call::new("/im.v1.GroupService/RemoveGroupMember", User, remove),
        Call::new("/im.v1.GroupService/ListGroupRequests", User, requests),
        Call::new("/im.v1.GroupService/AnswerGroupRequest", User, answer),
        Call::new("/im.v1.GroupService/JoinGroup", User, join),
        Call::new("/im.v1.GroupService/LeaveGroup", User, leave),
        Call::new("/im.v1.GroupService/ListReaders", User, readers),
        Call::new(
            "/im.v1.GroupService/DissolveGroup",
            User,
            v1::DissolveGroupRequest { group_id: own() },
        ),
    ]
}

/// Those of administrators that are about groups.
fn admin_group_calls() -> Vec<Call> {
    let (theirs, zoe) = (|| "theirs".to_owned(), || "zoe".to_owned());
    let create = v1::AdminCreateGroupRequest {
        owner_id: "yan".to_owned(),
        group: Some(v1::CreateGroupRequest { name: "new".to_owned(), ..Default::default() }),
    };
    let change = v1::UpdateGroupRequest {
        group_id: theirs(),
        announcement: Some("changed".to_owned()),
        ..Default::default()
    };
    let member = v1::UpdateGroupMemberRequest {
        group_id: theirs(),
        user_id: zoe(),
        nickname: Some("Zo".to_owned()),
        ..Default::default()
    };
    let members = v1::AdminListGroupMembersRequest { group_id: theirs(), ..Default::default() };
    let add = v1::AdminAddGroupMembersRequest { group_id: theirs(), user_ids: vec![zoe()] };
    let remove = v1::AdminRemoveGroupMemberRequest { group_id: theirs(), user_id: zoe() };
    let list = v1::AdminListGroupsRequest::default();
    let contacts = v1::AdminListContactsRequest { user_id: zoe(), ..Default::default() };
    let get = v1::AdminGetGroupRequest { group_id: theirs() };
    let update = v1::AdminUpdateGroupRequest { group: Some(change) };
    let set = v1::AdminUpdateGroupMemberRequest { member: Some(member) };
    let export = v1::ExportGroupRequest { group_id: theirs() };
    let dissolve = v1::AdminDissolveGroupRequest { group_id: theirs() };
    vec![
        Call::new("/im.v1.AdminService/AdminListContacts", Admin, contacts),
        Call::new("/im.v1.AdminService/AdminListGroups", Admin, list),
        Call::new("/im.v1.AdminService/AdminGetGroup", Admin, get),
        Call::new("/im.v1.AdminService/AdminCreateGroup", Admin, create),
        Call::new("/im.v1.AdminService/AdminUpdateGroup", Admin, update),
        Call::new("/im.v1.AdminService/AdminListGroupMembers", Admin, members),
        Call::new("/im.v1.AdminService/AdminAddGroupMembers", Admin, add),
        Call::new("/im.v1.AdminService/AdminUpdateGroupMember", Admin, set),
        Call::new("/im.v1.AdminService/AdminRemoveGroupMember", Admin, remove),
        Call::new("/im.v1.AdminService/ExportGroup", Admin, export),
        Call::new("/im.v1.AdminService/AdminDissolveGroup", Admin, dissolve),
    ]
}

/// Has a node that is not there work at the job `assertions`.
pub(super) async fn occupy_job(imd: &Cluster) {
    let sql = imd.database.sql().await;
    let occupy = "UPDATE jobs SET lease = gen_random_uuid(), leased_by = 'ghost',
                      leased_until = now() + interval '1 hour'
                  WHERE name = 'assertions' AND finished_at IS NOT NULL";
    eventually("a job to cancel", async || {
        sql.execute(occupy, &[]).await.is_ok_and(|jobs| jobs == 1).then_some(())
    })
    .await;
}

async fn scene() -> (Cluster, Terminal, Vec<Call>) {
    let imd = crate::push::with_webhook(Transport::Grpc, "http://127.0.0.1:9").await;
    occupy_job(&imd).await;
    imd.user("zoe").await;
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let file = crate::attachments::upload(&imd, &phone, "a", b"a").await;
    let note = crate::attachments::with_files("ann", "a note", &[&file]);
    let note = phone.send(&note).await.expect("sent");
    let rest = calls(&phone, &pc, &note);
    let groups = group_calls(&super::groups(&imd, &phone).await);
    let first = calls_for_all_nodes().into_iter().chain(block_calls()).chain(contact_calls());
    let first =
        first.chain(admin_group_calls()).chain(groups).chain(job_calls()).chain(admin_send_calls());
    let webhooks = webhook_calls(&super::webhook(&imd).await);
    super::broadcast(&imd).await;
    let link =
        v1::GetAttachmentLinkRequest { message_id: note.message_id.clone(), attachment_id: file };
    let link = Call::new("/im.v1.AttachmentService/GetAttachmentLink", User, link);
    let calls = first.chain(webhooks).chain(broadcast_calls()).chain([link]).chain(rest).collect();
    (imd, phone, calls)
}

#[tokio::test]
async fn every_call_of_the_contract_is_checked_here() {
    let contract =
        prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("descriptors");
    let services = contract
        .file
        .iter()
        .filter(|file| file.package() == "im.v1")
        .flat_map(|file| &file.service);
    let paths = services.flat_map(|service| {
        let path = |method: &prost_types::MethodDescriptorProto| {
            format!("/im.v1.{}/{}", service.name(), method.name())
        };
        service.method.iter().map(path).collect::<Vec<_>>()
    });
    let (_imd, _phone, calls) = scene().await;
    let checked: BTreeSet<String> = calls.iter().map(|call| call.path.to_owned()).collect();
    assert_eq!(checked, paths.collect());
}

#[tokio::test]
async fn every_call_succeeds_with_the_right_credentials() {
    let (imd, phone, calls) = scene().await;
    for call in calls {
        let token = match call.access {
            Anyone => None,
            User => Some(phone.token.as_str()),
            Admin => Some(ADMIN_KEY),
        };
        call.on(&imd, token).await.unwrap_or_else(|error| panic!("{}: {error:?}", call.path));
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_to_be_had() {
    let (imd, _phone, calls) = scene().await;
    for call in calls {
        match call.access {
            Anyone => call.on(&imd, None).await.expect(call.path),
            User => assert_eq!(call.refused(&imd, None, "no token").await.code, "invalid_token"),
            Admin => assert_eq!(call.refused(&imd, None, "no key").await.code, "invalid_admin_key"),
        }
    }
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let (imd, phone, calls) = scene().await;
    for (what, token) in forgeries(&imd, &phone).await {
        for call in calls.iter().filter(|call| call.access == User) {
            let refused = call.refused(&imd, Some(&token), what).await;
            assert_eq!(refused.code, "invalid_token", "{} with {what}", call.path);
        }
    }
    assert!(phone.sessions().await.is_ok());
}

#[tokio::test]
async fn i3_the_token_of_an_ended_session_is_refused_with_the_reason() {
    let (imd, phone, calls) = scene().await;
    let which = Which::SessionId(phone.session_id().to_owned());
    imd.admin().kick("ann", Some(which), "lost").await.expect("kicked");
    for call in calls.iter().filter(|call| call.access == User) {
        let refused = call.refused(&imd, Some(&phone.token), "an ended session").await;
        assert_eq!(refused.end_reason(), "KICKED", "{}", call.path);
        assert_eq!(refused.detail("note"), "lost", "{}", call.path);
    }
}

#[tokio::test]
async fn only_the_admin_key_administrates() {
    let (imd, phone, calls) = scene().await;
    for (what, key) in wrong_keys(&phone) {
        for call in calls.iter().filter(|call| call.access == Admin) {
            let refused = call.refused(&imd, Some(&key), what).await;
            assert_eq!(refused.code, "invalid_admin_key", "{} with {what}", call.path);
        }
    }
    let records = imd.admin().audit("zoe", 0, "").await.expect("the records").records;
    assert_eq!(records.len(), 1, "nothing was done to zoe but to create her");
}

/// What a key of each role may not do.
const NEEDS_SUPPORT: [&str; 10] = [
    "ListAttachments",
    "TestPush",
    "DisableUser",
    "EnableUser",
    "KickSessions",
    "TraceMessage",
    "AdminUpdateGroup",
    "AdminAddGroupMembers",
    "AdminUpdateGroupMember",
    "AdminRemoveGroupMember",
];
const NEEDS_BACKEND: [&str; 20] = [
    "TailWebhook",
    "CreateBroadcast",
    "PauseBroadcast",
    "ResumeBroadcast",
    "AbortBroadcast",
    "CreateWebhook",
    "UpdateWebhook",
    "DeleteWebhook",
    "TestWebhook",
    "PauseWebhook",
    "ResumeWebhook",
    "ReplayWebhook",
    "RotateWebhookSecret",
    "AdminSend",
    "AdminSendBatch",
    "CreateUser",
    "SetPassword",
    "DeleteUser",
    "AdminCreateGroup",
    "AdminDissolveGroup",
];
const NEEDS_ADMIN: [&str; 19] = [
    "PurgeAttachments",
    "TailTimeline",
    "SearchUserMessages",
    "RetryJob",
    "CancelJob",
    "SetUserLimits",
    "ApplyTiers",
    "DeleteTier",
    "Purge",
    "SetTerminalTypes",
    "DeleteTerminalTypes",
    "CreateAdminKey",
    "ListAdminKeys",
    "RevokeAdminKey",
    "ExportMessages",
    "ExportGroup",
    "ImportMessages",
    "RotateAccessTokenKey",
    "StartEpoch",
];

#[tokio::test]
async fn a_role_may_do_what_it_is_for() {
    use v1::Role::{Admin as Administrator, Backend, Support, Viewer};
    for role in [Viewer, Support, Backend, Administrator] {
        // What one role deletes, another one is to find.
        let (imd, _phone, calls) = scene().await;
        let key = imd.admin().create_key(role.as_str_name(), role).await.expect("a key");
        for call in calls.iter().filter(|call| call.access == Admin) {
            let name = call.path.rsplit('/').next().expect("a name");
            let denied = match role {
                Administrator => false,
                Backend => NEEDS_ADMIN.contains(&name),
                Support => NEEDS_ADMIN.contains(&name) || NEEDS_BACKEND.contains(&name),
                _ => [&NEEDS_ADMIN[..], &NEEDS_BACKEND, &NEEDS_SUPPORT].concat().contains(&name),
            };
            let answer = call.on(&imd, Some(&key)).await.map_err(|refused| refused.code);
            let expected = if denied { Err("permission_denied".to_owned()) } else { Ok(()) };
            assert_eq!(answer, expected, "{name} as {role:?}");
        }
    }
}

#[tokio::test]
async fn each_listener_serves_its_own_calls_only() {
    let (imd, phone, calls) = scene().await;
    for call in calls {
        let (wrong, token) = match call.access {
            Admin => (imd.node.public_address(), ADMIN_KEY),
            Anyone | User => (imd.node.admin_address(), phone.token.as_str()),
        };
        let refused =
            (call.make)(channel(wrong), Some(token.to_owned())).await.expect_err(call.path);
        assert!(refused.message.contains("not implemented"), "{}: {refused:?}", call.path);
    }
}

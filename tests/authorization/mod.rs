//! Who may do what: each call of the contract, over both transports, with each kind of credentials.

mod admin_rest;
mod credentials;
mod grpc;
mod order;
mod rest;
mod strangers;

use imd_proto::v1;
use serde_json::json;

use crate::support::{
    api::{GroupCall, Outgoing},
    cluster::Cluster,
    terminal::Terminal,
};

pub(crate) use credentials::forgeries;

/// The id of a message that is scheduled, changed and taken back.
const SCHEDULED: &str = "0199e0a4-5b1c-7c3e-9d2f-3a1b5c7d9e12";

/// Who may make a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Anyone,
    User,
    Admin,
}

/// Groups for `ann`: `own`, hers with `zoe`, which `yan` asks to join; `yans`, which she is in; and `open`,
/// which she is not, and `theirs`, for administrators. Returns a message in `own`.
async fn groups(imd: &Cluster, ann: &Terminal) -> String {
    let yan = imd.user_with_phone("yan").await;
    let make = |id: &str, members: &[&str], join: &str| {
        GroupCall::Create(
            json!({ "group_id": id, "name": id, "member_ids": members, "join": join }),
        )
    };
    ann.group(make("own", &["zoe"], "REQUEST")).await.expect("a group");
    yan.group(make("yans", &["ann"], "INVITE")).await.expect("a group");
    yan.group(make("open", &[], "OPEN")).await.expect("a group");
    yan.group(make("theirs", &[], "INVITE")).await.expect("a group");
    yan.group(GroupCall::Join("own".to_owned())).await.expect("asked");
    ann.send(&Outgoing::text("group:own", "hello")).await.expect("sent").message_id
}

/// Where webhooks are that are told of nothing: of no public address.
const WEBHOOK: &str = "https://localhost:9/";

/// Makes a webhook for administrators, and returns its id.
async fn webhook(imd: &Cluster) -> String {
    let made = imd.admin().create_webhook(WEBHOOK, &["message.sent"]).await;
    made.expect("a webhook").0.webhook_id
}

/// The id of a broadcast that waits.
const BROADCAST: &str = "0199e0a4-5b1c-7c3e-9d2f-3a1b5c7d9e13";

/// Makes the broadcast, to more users than there are seconds until it is aborted.
async fn broadcast(imd: &Cluster) {
    let users = v1::BroadcastUsers { user_ids: vec!["ann".to_owned(), "zoe".to_owned()] };
    let to = v1::broadcast_audience::To::Users(users);
    let from = v1::admin_sender::From::System("notices".to_owned());
    let request = v1::CreateBroadcastRequest {
        broadcast_id: BROADCAST.to_owned(),
        from: Some(v1::AdminSender { from: Some(from) }),
        to: Some(v1::BroadcastAudience { to: Some(to) }),
        content: Some(v1::create_broadcast_request::Content::Text("news".to_owned())),
        rate: 1,
        ..Default::default()
    };
    let admin = imd.admin();
    admin.create_broadcast(request).await.expect("a broadcast");
    admin.pause_broadcast(BROADCAST).await.expect("paused");
}

//! Broadcasts in the contract's messages.

use imd_proto::v1::{self, admin_sender::From as Sender, broadcast_audience::To};

use super::send::sender;
use crate::{
    grpc::convert::{self, timestamp},
    model::{Broadcast, BroadcastAudience, Notice},
    service::CreateBroadcast,
};

pub(super) fn decode(request: v1::CreateBroadcastRequest) -> CreateBroadcast {
    let to = request.to.and_then(|to| to.to).and_then(|to| match to {
        To::All(all) => all.then_some(BroadcastAudience::All),
        To::Tier(tier) => Some(BroadcastAudience::Tier(tier)),
        To::Users(users) => Some(BroadcastAudience::Users(users.user_ids)),
    });
    let content = request.content.map(convert::send_content);
    CreateBroadcast {
        broadcast_id: request.broadcast_id,
        from: sender(request.from),
        to,
        content,
        notice: Notice { silent: request.silent, no_push: request.no_push },
        bypass: request.bypass,
        rate: request.rate,
    }
}

pub(super) fn broadcast(broadcast: Broadcast) -> v1::Broadcast {
    let sender_id = broadcast.sender_id.to_string();
    let from =
        if broadcast.from_system { Sender::System(sender_id) } else { Sender::UserId(sender_id) };
    let to = match broadcast.audience {
        BroadcastAudience::All => To::All(true),
        BroadcastAudience::Tier(tier) => To::Tier(tier),
        BroadcastAudience::Users(()) => To::Users(v1::BroadcastUsers::default()),
    };
    v1::Broadcast {
        broadcast_id: broadcast.broadcast_id.to_string(),
        // The numbers are the contract's.
        state: broadcast.state as i32,
        from: Some(v1::AdminSender { from: Some(from) }),
        to: Some(v1::BroadcastAudience { to: Some(to) }),
        silent: broadcast.notice.silent,
        no_push: broadcast.notice.no_push,
        bypass: broadcast.bypass,
        rate: broadcast.rate,
        created_by: broadcast.created_by,
        created_at: Some(timestamp(broadcast.created_at)),
        finished_at: broadcast.finished_at.map(timestamp),
        total: broadcast.total,
        sent: broadcast.sent,
        refused: broadcast.refused,
        refusals: broadcast.refusals.into_iter().collect(),
    }
}

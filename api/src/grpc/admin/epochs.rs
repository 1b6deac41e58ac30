//! New numberings in the contract's messages.

use imd_proto::v1::{self, start_epoch_request::Whose as Asked};

use crate::service::{Progress, Whose};

pub(super) fn whose(asked: Asked) -> Option<Whose> {
    match asked {
        Asked::UserId(id) => Some(Whose::User(id)),
        Asked::All(all) => all.then_some(Whose::All),
    }
}

pub(super) fn progress(Progress { done, total }: Progress) -> v1::StartEpochResponse {
    v1::StartEpochResponse { done, total }
}

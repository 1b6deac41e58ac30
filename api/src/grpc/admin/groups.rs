//! Groups in the contract's messages, as administrators see them.

use imd_proto::v1;

use crate::{grpc::group, service::AdminGroup};

pub(super) fn group(found: AdminGroup) -> v1::AdminGroup {
    v1::AdminGroup {
        dissolved: found.group.dissolved,
        group: Some(group::group(found.group)),
        owner_id: found.owner.map(|owner| owner.to_string()).unwrap_or_default(),
    }
}

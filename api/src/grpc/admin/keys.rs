//! The administrators' keys, and those that sign access tokens, in the contract's messages.

use imd_proto::v1;

use crate::{
    grpc::convert::timestamp,
    service::{AccessKey, AdminKey},
};

pub(super) fn admin_key(key: AdminKey) -> v1::AdminKey {
    v1::AdminKey {
        name: key.name,
        // The numbers are the contract's.
        role: key.role as i32,
        created_at: Some(timestamp(key.created_at)),
        created_by: key.created_by,
        revoked_at: key.revoked_at.map(timestamp),
    }
}

pub(super) fn access_keys(keys: Vec<AccessKey>) -> Vec<v1::AccessTokenKey> {
    let key = |key: AccessKey| v1::AccessTokenKey {
        key_id: key.key_id,
        created_at: Some(timestamp(key.created_at)),
        retired_at: key.retired_at.map(timestamp),
        good_until: key.good_until.map(timestamp),
    };
    keys.into_iter().map(key).collect()
}

//! The keys of access tokens in the contract's messages.

use imd_proto::v1;

use super::convert::timestamp;
use crate::service::AccessKey;

pub(super) fn access_keys(keys: Vec<AccessKey>) -> Vec<v1::AccessTokenKey> {
    let key = |key: AccessKey| v1::AccessTokenKey {
        key_id: key.key_id,
        created_at: Some(timestamp(key.created_at)),
        retired_at: key.retired_at.map(timestamp),
        good_until: key.good_until.map(timestamp),
    };
    keys.into_iter().map(key).collect()
}

//! Marking what has been read.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How far a conversation has been read.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "seq": 42 })))]
pub(crate) struct MarkReadRequest {
    /// A place in the caller's timeline, usually that of the last message shown. All messages of the
    /// conversation up to it are read.
    #[serde(default)]
    #[schema(required = true, minimum = 1)]
    pub(in crate::rest) seq: i64,
}

/// Where the mark stands now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({ "read_seq": 42 })))]
pub(crate) struct MarkReadResponse {
    /// A place in the caller's timeline; 0 when the conversation has no message up to the one given.
    #[schema(minimum = 0)]
    pub(in crate::rest) read_seq: i64,
}

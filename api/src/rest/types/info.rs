//! Facts about the server.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{model, service};

/// The version, the limits and the terminal types of the server.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "version": "0.1.0",
    "terminal_types": [{ "name": "phone", "session_limit": 1, "excludes": ["pad"] }],
    "max_body_bytes": 16384,
    "heartbeat_interval": 20,
    "recall_window": 120,
    "edit_window": 900,
    "read_receipts": false,
    "search": true,
    "max_attachment_bytes": 26_214_400,
})))]
pub(crate) struct Info {
    /// The server's version, as in `SemVer`.
    version: &'static str,
    /// The terminal types that can log in.
    terminal_types: Vec<TerminalType>,
    /// The largest body of a message, in bytes: of the UTF-8 of a text, of data before base64.
    #[schema(value_type = u64, minimum = 1)]
    max_body_bytes: usize,
    /// How often a quiet stream sends a heartbeat, in seconds. A client that hears nothing for three
    /// times as long opens the stream again.
    #[schema(minimum = 1)]
    heartbeat_interval: u64,
    /// How long after sending a message can be recalled, in seconds; 0 when it never can.
    recall_window: u64,
    /// How long after sending a message can be edited, in seconds; 0 when it never can.
    edit_window: u64,
    /// Whether a peer is told how far a conversation has been read (`read_receipt`).
    read_receipts: bool,
    /// Whether messages can be searched.
    search: bool,
    /// The largest attachment of a message, in bytes; 0 where messages have none.
    #[schema(minimum = 0)]
    max_attachment_bytes: i64,
}

/// A kind of terminal.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TerminalType {
    /// `phone`, `pc`, `web` …
    name: String,
    /// How many sessions of the type one user can have at a time.
    #[schema(minimum = 1)]
    session_limit: i32,
    /// The types of which a login of this one ends all sessions, and the other way round. By name.
    excludes: Vec<String>,
}

/// The server is fine.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({ "status": "ok" })))]
pub(crate) struct Health {
    /// `ok`.
    status: &'static str,
}

impl Health {
    pub(in crate::rest) const OK: Self = Self { status: "ok" };
}

impl From<model::TerminalType> for TerminalType {
    fn from(terminal_type: model::TerminalType) -> Self {
        Self {
            name: terminal_type.name,
            session_limit: terminal_type.session_limit,
            excludes: terminal_type.excludes,
        }
    }
}

impl From<service::Info> for Info {
    fn from(info: service::Info) -> Self {
        Self {
            version: info.version,
            terminal_types: info.terminal_types.into_iter().map(Into::into).collect(),
            max_body_bytes: info.max_body_bytes,
            heartbeat_interval: info.heartbeat.as_secs(),
            recall_window: info.recall_window.as_secs(),
            edit_window: info.edit_window.as_secs(),
            read_receipts: info.read_receipts,
            search: info.search,
            max_attachment_bytes: info.max_attachment_bytes,
        }
    }
}

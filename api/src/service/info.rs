//! What a client may want to know before it logs in.

use std::time::Duration;

use super::Service;
use crate::model::{Result, TerminalType};

/// Facts about the server.
#[derive(Debug)]
pub struct Info {
    /// The server's version.
    pub version: &'static str,
    /// The terminal types that can log in.
    pub terminal_types: Vec<TerminalType>,
    /// The largest body of a message, in bytes.
    pub max_body_bytes: usize,
    /// How often a quiet stream sends a heartbeat.
    pub heartbeat: Duration,
    /// How long after sending a message can be recalled; zero for never.
    pub recall_window: Duration,
    /// How long after sending a message can be edited; zero for never.
    pub edit_window: Duration,
    /// Whether a reader's peer is told how far it has read.
    pub read_receipts: bool,
    /// Whether messages can be searched.
    pub search: bool,
    /// The largest attachment of a message, in bytes; 0 where messages have none.
    pub max_attachment_bytes: i64,
}

impl Service {
    /// The version, the limits and the terminal types.
    pub async fn info(&self) -> Result<Info> {
        Ok(Info {
            version: env!("CARGO_PKG_VERSION"),
            terminal_types: self.store.terminal_types().await?,
            max_body_bytes: self.limits.max_body_bytes,
            heartbeat: self.limits.heartbeat,
            recall_window: self.limits.recall_window,
            edit_window: self.limits.edit_window,
            read_receipts: self.limits.read_receipts,
            search: self.limits.search,
            max_attachment_bytes: self.max_attachment_bytes(),
        })
    }
}

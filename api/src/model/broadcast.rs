//! Messages to many users at a time.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Notice, UserId};

/// How far a broadcast is. Numbered as in the database and in the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BroadcastState {
    /// It is being sent.
    Running = 1,
    /// It was paused: what was not sent yet waits.
    Paused = 2,
    /// All of its users are done.
    Done = 3,
    /// It was aborted: what was not sent is not sent any more.
    Aborted = 4,
}

impl BroadcastState {
    const ALL: [Self; 4] = [Self::Running, Self::Paused, Self::Done, Self::Aborted];

    /// The state with this number, if there is one.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i16 == number)
    }
}

/// Whom a broadcast is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BroadcastAudience<List> {
    /// All users who may log in, but its sender.
    All,
    /// Those of them whose tier has this name.
    Tier(String),
    /// Users by id.
    Users(List),
}

/// A broadcast as administrators see it.
#[derive(Debug, Clone)]
pub struct Broadcast {
    /// Grows with each that is made.
    pub broadcast_no: i64,
    /// The id that its caller gave it.
    pub broadcast_id: Uuid,
    /// How far it is.
    pub state: BroadcastState,
    /// Who sends it.
    pub sender_id: UserId,
    /// Whether that is the system.
    pub from_system: bool,
    /// Whom it is for. A list is not kept any longer than it is needed.
    pub audience: BroadcastAudience<()>,
    /// How terminals are to make it known.
    pub notice: Notice,
    /// Whether it is stored whatever its recipients want.
    pub bypass: bool,
    /// How many users a second it is sent to at most; 0 for as many as can be.
    pub rate: i32,
    /// The name of the admin key that made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was done or aborted.
    pub finished_at: Option<OffsetDateTime>,
    /// How many users it was for when it was made.
    pub total: i64,
    /// How many have it.
    pub sent: i64,
    /// How many it was refused for.
    pub refused: i64,
    /// The same by the code of the error.
    pub refusals: BTreeMap<String, i64>,
}

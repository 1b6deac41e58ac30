//! Login: the one transaction that opens a session and ends those in its way.

use std::time::Duration;

use super::{live, write_ends};
use crate::{
    model::{
        Entry, EntryKind, Error, IfOccupied, Result, Session, SessionChanged, SessionEnd,
        SessionId, Terminal, UserId, UserNo, UserState, make_room,
    },
    store::{
        Store, Transaction,
        profiles::begin_walk,
        terminal_types::terminal_type,
        tiers::check_tier,
        timelines::{About, Place},
        transaction,
        users::read_state,
    },
};
use time::OffsetDateTime;

/// Why an assertion is refused whose tier does not exist.
pub const UNKNOWN_TIER: &str = "the assertion's tier is not known";

/// A login whose credential has been checked.
#[derive(Debug)]
pub struct NewSession {
    /// Who.
    pub user_no: UserNo,
    /// Who, by the id that the refusal of an occupied place names.
    pub user_id: UserId,
    /// What it was checked against.
    pub proof: Proof,
    /// The id to give it.
    pub session_id: SessionId,
    /// On what.
    pub terminal: Terminal,
    /// When there is no place free.
    pub if_occupied: IfOccupied,
    /// SHA-256 of the first refresh token.
    pub refresh_hash: [u8; 32],
    /// How long that token lasts.
    pub refresh_ttl: Duration,
}

/// What shows who is logging in, and must still hold behind the locks.
#[derive(Debug)]
pub enum Proof {
    /// A password.
    Password {
        /// Its hash, which must still be the user's.
        password_hash: String,
    },
    /// An assertion, which must not have opened a session before.
    Assertion {
        /// Names it among all assertions about the user.
        digest: [u8; 32],
        /// Until when it would be taken.
        expires_at: OffsetDateTime,
        /// What people call the user, if it says so.
        name: Option<String>,
        /// The user's tier from now on, if it says so.
        tier: Option<String>,
    },
}

/// What a login did.
#[derive(Debug)]
pub struct Opened {
    /// The new session.
    pub session: Session,
    /// Those it ended, with their ends.
    pub ended: Vec<Session>,
    /// The entry that tells the user's terminals.
    pub entry: Entry,
}

impl Store {
    /// Opens a session; ends those that [`make_room`] names (I1).
    ///
    /// Errors: [`Error::InvalidCredentials`] or [`Error::InvalidAssertion`] when the proof does not
    /// hold any more or the user is disabled or deleted; [`Error::TerminalOccupied`];
    /// [`Error::ImportUnfinished`]; [`Error::InvalidArgument`] for an unknown terminal type.
    pub async fn open_session(&self, new: NewSession) -> Result<Opened> {
        transaction!(self, async |tx| {
            let place = Place::take_if_open(&tx, new.user_no).await?;
            new.proof.check(&tx, new.user_no).await?;
            let place = place.ok_or_else(|| Error::ImportUnfinished(new.user_id.to_string()))?;
            let terminal_type = terminal_type(&tx, &new.terminal.terminal_type).await?;

            let at = place.at;
            let in_the_way =
                make_room(&live(&tx, new.user_no).await?, &new.terminal, &terminal_type);
            if new.if_occupied == IfOccupied::Refuse {
                let occupied = in_the_way
                    .iter()
                    .find_map(|(session, reason)| session.occupant(&new.user_id, *reason, at));
                if let Some(occupant) = occupied {
                    return Err(Error::TerminalOccupied(Box::new(occupant)));
                }
            }
            let end = |(session, reason)| Session {
                end: Some(SessionEnd {
                    reason,
                    by_terminal_type: new.terminal.terminal_type.clone(),
                    by_device_name: new.terminal.device_name.clone(),
                    ended_at: at,
                    note: String::new(),
                }),
                online: false,
                ..session
            };
            let ended: Vec<Session> = in_the_way.into_iter().map(end).collect();
            write_ends(&tx, new.user_no, &ended).await?;
            insert(&tx, &new, at).await?;
            let session = Session {
                session_id: new.session_id,
                terminal: new.terminal.clone(),
                created_at: at,
                last_used_at: at,
                online: false,
                end: None,
            };
            let change = SessionChanged { started: Some(session.clone()), ended: ended.clone() };
            let entry =
                place.fill(&tx, About::default(), EntryKind::SessionChanged(change)).await?;
            tx.commit().await?;
            Ok(Opened { session, ended, entry })
        })
    }
}

impl Proof {
    /// Checks it, and uses up an assertion.
    async fn check(&self, tx: &Transaction<'_>, user_no: UserNo) -> Result<()> {
        let user = tx
            .query_one("SELECT state, password_hash FROM users WHERE user_no = $1", &[&user_no.0])
            .await?;
        let active = read_state(&user) == UserState::Active;
        match self {
            Self::Password { password_hash } => {
                let current: Option<&str> = user.get("password_hash");
                let holds = active && current == Some(password_hash);
                holds.then_some(()).ok_or(Error::InvalidCredentials)
            }
            Self::Assertion { .. } if !active => {
                Err(Error::InvalidAssertion("the user may not log in"))
            }
            Self::Assertion { digest, expires_at, name, tier } => {
                use_up(tx, user_no, digest, *expires_at).await?;
                if let Some(name) = name {
                    let rename = "UPDATE users SET name = $2, profile_version = profile_version + 1
                        WHERE user_no = $1 AND name IS DISTINCT FROM $2";
                    if tx.execute(rename, &[&user_no.0, name]).await? > 0 {
                        begin_walk(tx, user_no).await?;
                    }
                }
                match tier {
                    Some(tier) => take_tier(tx, user_no, tier).await,
                    None => Ok(()),
                }
            }
        }
    }
}

/// Gives the user the tier that an assertion names; limits of the user's own stay.
async fn take_tier(tx: &Transaction<'_>, user_no: UserNo, tier: &str) -> Result<()> {
    check_tier(tx, tier).await.map_err(|error| match error {
        Error::TierNotFound { .. } => Error::InvalidAssertion(UNKNOWN_TIER),
        error => error,
    })?;
    tx.execute(
        "UPDATE users SET tier = $2, limits_changed_at = now() WHERE user_no = $1 AND tier <> $2",
        &[&user_no.0, &tier],
    )
    .await?;
    Ok(())
}

async fn use_up(
    tx: &Transaction<'_>,
    user_no: UserNo,
    digest: &[u8; 32],
    expires_at: OffsetDateTime,
) -> Result<()> {
    let used = tx
        .execute(
            "INSERT INTO used_assertions (user_no, digest, expires_at) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING",
            &[&user_no.0, &digest.as_slice(), &expires_at],
        )
        .await?;
    match used {
        0 => Err(Error::InvalidAssertion("the assertion was used before")),
        _ => Ok(()),
    }
}

async fn insert(tx: &Transaction<'_>, new: &NewSession, at: OffsetDateTime) -> Result<()> {
    tx.execute(
        "INSERT INTO sessions (user_no, session_id, terminal_type, device_id, device_name,
             created_at, last_used_at, refresh_hash, refresh_expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8)",
        &[
            &new.user_no.0,
            &new.session_id.0,
            &new.terminal.terminal_type,
            &new.terminal.device_id.as_str(),
            &new.terminal.device_name,
            &at,
            &new.refresh_hash.as_slice(),
            &(at + new.refresh_ttl),
        ],
    )
    .await?;
    Ok(())
}

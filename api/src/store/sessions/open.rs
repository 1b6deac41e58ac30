//! Login: the one transaction that opens a session and ends those in its way.

use std::time::Duration;

use time::OffsetDateTime;

use super::{live, write_ends};
use crate::{
    model::{
        Entry, EntryKind, Error, IfOccupied, Result, Session, SessionChanged, SessionEnd,
        SessionId, Terminal, UserId, UserNo, UserState, make_room,
    },
    store::{Store, timelines::Place, users::read_state},
};

/// A login whose password has been checked.
#[derive(Debug)]
pub struct NewSession {
    /// Who.
    pub user_no: UserNo,
    /// Who, by the id that the refusal of an occupied place names.
    pub user_id: UserId,
    /// The password hash that was checked: it must still be the user's.
    pub password_hash: String,
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
    /// Errors: [`Error::InvalidCredentials`] when the password has changed or the user is disabled
    /// since the check; [`Error::TerminalOccupied`]; [`Error::InvalidArgument`] for an unknown
    /// terminal type.
    pub async fn open_session(&self, new: NewSession) -> Result<Opened> {
        let mut client = self.client().await?;
        let tx = client.transaction().await?;
        let place = Place::take(&tx, new.user_no).await?;
        let user = tx
            .query_one(
                "SELECT state, password_hash FROM users WHERE user_no = $1",
                &[&new.user_no.0],
            )
            .await?;
        let unchanged = user.get::<_, Option<&str>>("password_hash") == Some(&new.password_hash);
        if !unchanged || read_state(&user) != UserState::Active {
            return Err(Error::InvalidCredentials);
        }
        let limit = tx
            .query_opt(
                "SELECT session_limit FROM terminal_types WHERE name = $1",
                &[&new.terminal.terminal_type],
            )
            .await?
            .ok_or_else(|| {
                Error::invalid("terminal.type", "is not a terminal type of this server")
            })?
            .get::<_, i32>(0);

        let at = place.at;
        let in_the_way = make_room(&live(&tx, new.user_no).await?, &new.terminal, limit);
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
            terminal: new.terminal,
            created_at: at,
            last_used_at: at,
            online: false,
            end: None,
        };
        let change = SessionChanged { started: Some(session.clone()), ended: ended.clone() };
        let entry = place.fill(&tx, None, EntryKind::SessionChanged(change)).await?;
        tx.commit().await?;
        Ok(Opened { session, ended, entry })
    }
}

async fn insert(
    tx: &tokio_postgres::Transaction<'_>,
    new: &NewSession,
    at: OffsetDateTime,
) -> Result<()> {
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

//! Profiles. They stand with the accounts, and say nothing in timelines: the entry that tells of a change names the
//! user alone, so that whoever may not see the profile any more learns nothing from it.
//!
//! A change is told to the user's own terminals at once, and to its *peers* (those with whom it has conversations, and
//! the members of its groups) by a *walk*: a row of `profile_walks` says up to which of them all are told. Each is told
//! in a transaction of its own that moves the row, so that a walk can be broken off anywhere, and two that meet tell
//! nobody twice. A change while a walk is under way has it begin once more when it is done, and no walk begins within a
//! minute after another. A walk goes on in portions, between which others have their turn: a user with many peers
//! holds up nobody else's.

use tokio_postgres::{Row, types::ToSql};

use super::{
    Store, Transaction,
    blocks::either_blocks,
    conversations::SAID,
    reading,
    sessions::require_live,
    timelines::{About, Place, no_timeline},
    transaction,
    users::{DELETED, read_state},
};
use crate::model::{
    ChangeProfile, Entry, EntryKind, Error, IfBlocked, Profile, ProfileChanged, Result, SessionId,
    UserId, UserNo, UserState, WhoMay,
};

/// How soon after a change others are told.
const FIRST: &str = "interval '2 seconds'";

/// How soon after a walk has begun the next one does, at the soonest.
const EVERY: &str = "interval '1 minute'";

/// How long a walk rests before another node takes it up.
const RESTING: &str = "interval '10 seconds'";

/// A profile, or why the caller may not see it.
pub type SeenProfile = Result<Profile>;

/// The columns of a [`Profile`].
const COLUMNS: &str =
    "user_no, user_id, state, coalesce(name, '') AS name, coalesce(avatar_url, '') AS avatar_url,
    coalesce(attributes, '{}') AS attributes, profile_version";

/// What says whether a user may see another one's profile.
struct Standing {
    blocked: bool,
    /// From whom the other takes messages, where that leaves the user out and nothing else brings the two together.
    accepts_from: Option<WhoMay>,
}

fn read(row: &Row) -> Profile {
    Profile {
        user_id: UserId::from_stored(row.get("user_id")),
        name: row.get("name"),
        avatar_url: row.get("avatar_url"),
        attributes: row.get("attributes"),
        version: row.get("profile_version"),
    }
}

impl Store {
    /// The profiles of users as a user sees them, in the order of their ids: those of whom it may write to, of its
    /// contacts, of who asks to be one, and of the members of its groups. Ids of nobody are left out.
    pub async fn profiles(
        &self,
        caller: UserNo,
        user_ids: &[UserId],
        if_blocked: IfBlocked,
        messages_from: WhoMay,
    ) -> Result<Vec<SeenProfile>> {
        let ids: Vec<&str> = user_ids.iter().map(UserId::as_str).collect();
        let sql = format!("SELECT {COLUMNS} FROM users WHERE user_id = ANY($1) ORDER BY user_id");
        let rows = reading!(self, async |client| {
            let statement = client.prepare_cached(&sql).await?;
            Ok(client.query(&statement, &[&ids]).await?)
        })?;
        let numbers: Vec<i64> = rows.iter().map(|row| row.get("user_no")).collect();
        let standings = self.standings(caller, &numbers, messages_from).await?;
        let seen = |(row, standing): (&Row, Standing)| {
            let profile = read(row);
            if read_state(row) == UserState::Deleted {
                return Err(Error::UserNotFound(profile.user_id));
            }
            if UserNo(row.get("user_no")) == caller {
                return Ok(profile);
            }
            match standing {
                Standing { blocked: true, .. } if if_blocked == IfBlocked::Refuse => {
                    Err(Error::Blocked(profile.user_id))
                }
                Standing { accepts_from: Some(from), .. } => {
                    Err(Error::NotAccepted { user_id: profile.user_id, from })
                }
                Standing { .. } => Ok(profile),
            }
        };
        Ok(rows.iter().zip(standings).map(seen).collect())
    }

    async fn standings(
        &self,
        caller: UserNo,
        others: &[i64],
        messages_from: WhoMay,
    ) -> Result<Vec<Standing>> {
        let from = messages_from as i16;
        let values: [&(dyn ToSql + Sync); 3] = [&caller.0, &others, &from];
        let rows = reading!(self, async |client| {
            let statement = client
                .prepare_cached(
                    "SELECT EXISTS (
                             SELECT FROM blocks b WHERE b.owner = o.user_no AND b.blocked = $1
                         ) AS blocked,
                         CASE WHEN coalesce(t.messages_from, $3::smallint) = 1 OR EXISTS (
                             SELECT FROM contacts c WHERE c.owner = o.user_no AND c.contact = $1
                                 AND c.state IN (1, 3)
                         ) OR EXISTS (
                             SELECT FROM group_members own JOIN group_members theirs USING (group_no)
                             WHERE own.user_no = $1 AND own.left_seq IS NULL
                                 AND theirs.user_no = o.user_no AND theirs.left_seq IS NULL
                         ) THEN NULL ELSE coalesce(t.messages_from, $3::smallint) END AS accepts_from
                     FROM unnest($2::bigint[]) WITH ORDINALITY o (user_no, place)
                     LEFT JOIN timelines t ON t.owner = o.user_no ORDER BY o.place",
                )
                .await?;
            Ok(client.query(&statement, &values).await?)
        })?;
        let standing = |row: &Row| {
            let from: Option<i16> = row.get("accepts_from");
            let from = from.map(|from| WhoMay::from_number(from).unwrap_or(WhoMay::Nobody));
            Standing { blocked: row.get("blocked"), accepts_from: from }
        };
        Ok(rows.iter().map(standing).collect())
    }

    /// Changes the profile of a user: what it is then, and the entry that says so; none where nothing has changed.
    ///
    /// Errors: [`Error::VersionConflict`]; [`Error::SessionEnded`], [`Error::InvalidToken`].
    pub async fn change_profile(
        &self,
        owner: UserNo,
        session_id: SessionId,
        change: &ChangeProfile,
    ) -> Result<(Profile, Option<Entry>)> {
        transaction!(self, async |tx| {
            let place = Place::take_if_open(&tx, owner).await?;
            require_live(&tx, owner, session_id).await?;
            let place = place.ok_or_else(|| no_timeline(owner))?;
            let find = format!("SELECT {COLUMNS} FROM users WHERE user_no = $1 FOR UPDATE");
            let statement = tx.prepare_cached(&find).await?;
            let before = read(&tx.query_one(&statement, &[&owner.0]).await?);
            if change.version.is_some_and(|version| version != before.version) {
                return Err(Error::VersionConflict(before.version));
            }
            let changed = |to: &Option<String>, from: &String| to.as_ref().unwrap_or(from).clone();
            let mut after = Profile {
                user_id: before.user_id.clone(),
                name: changed(&change.name, &before.name),
                avatar_url: changed(&change.avatar_url, &before.avatar_url),
                attributes: changed(&change.attributes, &before.attributes),
                version: before.version,
            };
            if after == before {
                // Nothing is committed: the place is given back.
                return Ok((before, None));
            }
            after.version += 1;
            let write = tx
                .prepare_cached(
                    "UPDATE users SET name = nullif($2, ''), avatar_url = nullif($3, ''),
                         attributes = nullif($4, '{}'), profile_version = $5
                     WHERE user_no = $1",
                )
                .await?;
            let values: [&(dyn ToSql + Sync); 5] =
                [&owner.0, &after.name, &after.avatar_url, &after.attributes, &after.version];
            tx.execute(&write, &values).await?;
            begin_walk(&tx, owner).await?;
            let event =
                EntryKind::ProfileChanged(ProfileChanged { user_id: after.user_id.clone() });
            let entry = place.fill(&tx, About::user(owner), event).await?;
            tx.commit().await?;
            Ok((after, Some(entry)))
        })
    }

    /// A user of whose profile others are to be told now, taken up with this call, with the one who was told last;
    /// `None` when there is nobody.
    pub async fn take_up_profile_walk(&self) -> Result<Option<(UserNo, UserNo)>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&format!(
                "WITH idle AS (
                     DELETE FROM profile_walks WHERE due_at <= now() AND told_to IS NULL AND NOT pending
                 )
                 UPDATE profile_walks SET due_at = now() + {RESTING}, told_to = coalesce(told_to, 0),
                     pending = pending AND told_to IS NOT NULL
                 WHERE user_no = (
                     SELECT user_no FROM profile_walks
                     WHERE due_at <= now() AND (told_to IS NOT NULL OR pending)
                     ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
                 ) RETURNING user_no, told_to"
            ))
            .await?;
        let row = client.query_opt(&statement, &[]).await?;
        Ok(row.map(|row| (UserNo(row.get("user_no")), UserNo(row.get("told_to")))))
    }

    /// The peers of a user behind `after`, in the order of numbers, each once: at most `limit`.
    pub async fn next_peers(
        &self,
        owner: UserNo,
        after: UserNo,
        limit: i64,
    ) -> Result<Vec<UserNo>> {
        let client = self.client().await?;
        // From one conversation to the next, whatever they have; and of each group no more than the limit.
        let statement = client
            .prepare_cached(&format!(
                "WITH RECURSIVE talked AS (
                     (
                         SELECT conversation, 1::bigint AS no FROM entries
                         WHERE owner = $1 AND conversation > greatest($2::bigint, 0) AND {SAID}
                         ORDER BY conversation, seq LIMIT 1
                     )
                     UNION ALL
                     SELECT next.conversation, t.no + 1 FROM talked t CROSS JOIN LATERAL (
                         SELECT conversation FROM entries
                         WHERE owner = $1 AND conversation > t.conversation AND {SAID}
                         ORDER BY conversation, seq LIMIT 1
                     ) next WHERE t.no < $3
                 )
                 SELECT user_no FROM (
                     SELECT conversation AS user_no FROM talked
                     UNION
                     SELECT theirs.user_no FROM group_members own CROSS JOIN LATERAL (
                         SELECT m.user_no FROM group_members m
                         WHERE m.group_no = own.group_no AND m.user_no > $2 AND m.left_seq IS NULL
                         ORDER BY m.user_no LIMIT $3
                     ) theirs WHERE own.user_no = $1 AND own.left_seq IS NULL
                 ) peers ORDER BY user_no LIMIT $3"
            ))
            .await?;
        let rows = client.query(&statement, &[&owner.0, &after.0, &limit]).await?;
        Ok(rows.iter().map(|row| UserNo(row.get(0))).collect())
    }

    /// Tells a peer of a user that the user's profile has changed, unless one of the two blocks the other: the
    /// entry; none, too, where the walk that this is of has been at the peer before.
    pub async fn tell_of_profile(
        &self,
        user: (UserNo, UserId),
        told_to: UserNo,
        peer: UserNo,
    ) -> Result<Option<Entry>> {
        let (user_no, user_id) = user;
        transaction!(self, async |tx| {
            let place = Place::take_if_open(&tx, peer).await?;
            let go_on = tx
                .prepare_cached(&format!(
                    "UPDATE profile_walks SET told_to = $3, due_at = now() + {RESTING}
                     WHERE user_no = $1 AND told_to = $2"
                ))
                .await?;
            let moved = tx.execute(&go_on, &[&user_no.0, &told_to.0, &peer.0]).await?;
            if moved == 0 {
                // Nothing is committed: the place is given back.
                return Ok(None);
            }
            let is_told = peer != user_no && !either_blocks(&tx, user_no, peer).await?;
            let entry = match place {
                Some(place) if is_told => {
                    let user_id = user_id.clone();
                    let event = EntryKind::ProfileChanged(ProfileChanged { user_id });
                    Some(place.fill(&tx, About::user(user_no), event).await?)
                }
                Some(place) => {
                    place.give_back(&tx).await?;
                    None
                }
                None => None,
            };
            tx.commit().await?;
            Ok(entry)
        })
    }

    /// Has a walk go on behind `told_to`, after those that are due already.
    pub async fn put_off_profile_walk(&self, user_no: UserNo, told_to: UserNo) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "UPDATE profile_walks SET due_at = now() WHERE user_no = $1 AND told_to = $2",
            )
            .await?;
        client.execute(&statement, &[&user_no.0, &told_to.0]).await?;
        Ok(())
    }

    /// Notes that all are told, the last of them `told_to`. Of what has changed meanwhile they are told later.
    pub async fn end_profile_walk(&self, user_no: UserNo, told_to: UserNo) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&format!(
                "UPDATE profile_walks SET told_to = NULL, due_at = now() + {EVERY}
                 WHERE user_no = $1 AND told_to = $2"
            ))
            .await?;
        client.execute(&statement, &[&user_no.0, &told_to.0]).await?;
        Ok(())
    }

    /// The id of a user, for those who are told of it; `None` for one that is deleted.
    pub async fn walking_user(&self, user_no: UserNo) -> Result<Option<UserId>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("SELECT user_id FROM users WHERE user_no = $1 AND state <> $2")
            .await?;
        let row = client.query_opt(&statement, &[&user_no.0, &DELETED]).await?;
        Ok(row.map(|row| UserId::from_stored(row.get(0))))
    }
}

/// Has the peers of a user told of its profile. Behind the lock of the user's timeline.
pub(super) async fn begin_walk(tx: &Transaction<'_>, user_no: UserNo) -> Result<()> {
    let statement = tx
        .prepare_cached(&format!(
            "INSERT INTO profile_walks (user_no, due_at, pending) VALUES ($1, now() + {FIRST}, true)
             ON CONFLICT (user_no) DO UPDATE SET pending = true"
        ))
        .await?;
    tx.execute(&statement, &[&user_no.0]).await?;
    Ok(())
}

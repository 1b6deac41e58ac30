//! Who blocks whom. A send reads this in its own transaction: see `append`.

use tokio_postgres::{Row, types::ToSql};

use super::{
    Store, Transaction,
    sessions::require_live,
    timelines::{About, Place, no_timeline},
    transaction,
};
use crate::model::{
    BlockChanged, BlockedUser, Entry, EntryKind, Error, MOST_BLOCKS, Result, SessionId, UserId,
    UserNo,
};

/// A user's wish to block another, or to do so no longer.
#[derive(Debug)]
pub struct ChangeBlock {
    /// Who blocks.
    pub owner: UserNo,
    /// The session that says so, which must be live.
    pub session_id: SessionId,
    /// Whom.
    pub user_no: UserNo,
    /// The same, by id.
    pub user_id: UserId,
    /// Whether that user is to be blocked from now on.
    pub blocked: bool,
}

impl Store {
    /// Changes a block and says so in the owner's timeline: returns the entry; none when it is as wished
    /// already.
    ///
    /// Errors: [`Error::TooManyBlocks`]; [`Error::SessionEnded`], [`Error::InvalidToken`].
    pub async fn change_block(&self, change: &ChangeBlock) -> Result<Option<Entry>> {
        transaction!(self, async |tx| {
            // Whoever sends to the owner holds this lock, too, when it looks for blocks.
            let place = Place::take_if_open(&tx, change.owner).await?;
            require_live(&tx, change.owner, change.session_id).await?;
            let place = place.ok_or_else(|| no_timeline(change.owner))?;
            let changed = if change.blocked {
                change.block(&tx, &place).await?
            } else {
                change.unblock(&tx).await?
            };
            if !changed {
                // Nothing is committed: the place is given back.
                return Ok(None);
            }
            let event = EntryKind::BlockChanged(BlockChanged {
                user_id: change.user_id.clone(),
                blocked: change.blocked,
            });
            let entry = place.fill(&tx, About::conversation(change.user_no), event).await?;
            tx.commit().await?;
            Ok(Some(entry))
        })
    }

    /// The users that the owner blocks, the one blocked last first: at most `limit`, all blocked below
    /// the place `before` of the owner's timeline.
    pub async fn blocked_users(
        &self,
        owner: UserNo,
        before: i64,
        limit: i64,
    ) -> Result<Vec<BlockedUser>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT u.user_id, b.blocked_at, b.seq
                 FROM blocks b JOIN users u ON u.user_no = b.blocked
                 WHERE b.owner = $1 AND b.seq < $2
                 ORDER BY b.seq DESC LIMIT $3",
            )
            .await?;
        let rows = client.query(&statement, &[&owner.0, &before, &limit]).await?;
        let blocked_user = |row: &Row| BlockedUser {
            user_id: UserId::from_stored(row.get("user_id")),
            blocked_at: row.get("blocked_at"),
            seq: row.get("seq"),
        };
        Ok(rows.iter().map(blocked_user).collect())
    }
}

impl ChangeBlock {
    /// Whether the user was not blocked before.
    async fn block(&self, tx: &Transaction<'_>, place: &Place) -> Result<bool> {
        let statement = tx
            .prepare_cached(
                "SELECT count(*), count(*) FILTER (WHERE blocked = $2) > 0
                 FROM blocks WHERE owner = $1",
            )
            .await?;
        let row = tx.query_one(&statement, &[&self.owner.0, &self.user_no.0]).await?;
        if row.get(1) {
            return Ok(false);
        }
        if row.get::<_, i64>(0) >= MOST_BLOCKS {
            return Err(Error::TooManyBlocks);
        }
        let statement = tx
            .prepare_cached(
                "WITH noted AS (
                     UPDATE timelines SET has_blocks = true WHERE owner = $1 AND NOT has_blocks
                 )
                 INSERT INTO blocks (owner, blocked, seq, blocked_at) VALUES ($1, $2, $3, $4)",
            )
            .await?;
        let seq = place.seq();
        let values: [&(dyn ToSql + Sync); 4] = [&self.owner.0, &self.user_no.0, &seq, &place.at];
        tx.execute(&statement, &values).await?;
        Ok(true)
    }

    /// Whether the user was blocked before.
    async fn unblock(&self, tx: &Transaction<'_>) -> Result<bool> {
        let statement =
            tx.prepare_cached("DELETE FROM blocks WHERE owner = $1 AND blocked = $2").await?;
        Ok(tx.execute(&statement, &[&self.owner.0, &self.user_no.0]).await? > 0)
    }
}

/// Whether `owner` blocks `user`. Behind the lock of the owner's timeline.
pub(super) async fn blocks(tx: &Transaction<'_>, owner: UserNo, user: UserNo) -> Result<bool> {
    let statement = tx
        .prepare_cached("SELECT EXISTS (SELECT FROM blocks WHERE owner = $1 AND blocked = $2)")
        .await?;
    Ok(tx.query_one(&statement, &[&owner.0, &user.0]).await?.get(0))
}

/// Whether one of the two blocks the other. Behind the locks of both timelines, where the answer holds
/// until the commit.
pub(super) async fn either_blocks(
    tx: &Transaction<'_>,
    one: UserNo,
    other: UserNo,
) -> Result<bool> {
    let statement = tx
        .prepare_cached(
            "SELECT EXISTS (SELECT FROM blocks WHERE owner = $1 AND blocked = $2)
                 OR EXISTS (SELECT FROM blocks WHERE owner = $2 AND blocked = $1)",
        )
        .await?;
    Ok(tx.query_one(&statement, &[&one.0, &other.0]).await?.get(0))
}

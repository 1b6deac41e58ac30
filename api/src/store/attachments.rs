//! Attachments: whose they are, and which messages have them. Their bytes stand elsewhere.
//!
//! An attachment is deleted when no message has it any more. Whoever takes a message away notes of its attachments since
//! when they may be unused; a job looks later whether they are. It waits for [`GRACE`], so that a message that was admitted
//! with the attachment meanwhile is stored by then.

use time::OffsetDateTime;
use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;

use super::{Store, Transaction, reading, since::lowest_id, transaction};
use crate::model::{
    Attachment, AttachmentState, ConversationNo, Error, MessageId, Result, ScheduledMessage,
    StoredAttachment, TimelineNo, UserNo, hex,
};

/// For how long an attachment is left alone that may be unused. Longer than any message takes from its admission to its
/// commit, and than a link or the right to upload is good.
const GRACE: &str = "interval '10 minutes'";

/// From when on a message may not take it any more.
const TOO_LATE: &str = "interval '5 minutes'";

/// How long after it was created an attachment is deleted that no message ever had.
const UNUSED_FOR: &str = "interval '1 day'";

/// The class of the locks behind which a user's attachments are counted. Any fixed number.
const QUOTA_LOCK: i32 = 0x696d_6404;

/// Which attachments to list.
#[derive(Debug, Default)]
pub struct AttachmentFilter {
    /// Only those that this user created.
    pub owner: Option<UserNo>,
    /// Only those in this state.
    pub state: Option<AttachmentState>,
    /// Only those created then or later.
    pub since: Option<OffsetDateTime>,
}

const COLUMNS: &str = "a.attachment_id, a.file_name, a.content_type, a.size, a.sha256, a.object";

fn read(row: &Row) -> Attachment {
    let sha256: Option<&[u8]> = row.get("sha256");
    Attachment {
        attachment_id: row.get("attachment_id"),
        file_name: row.get("file_name"),
        content_type: row.get("content_type"),
        size: row.get("size"),
        sha256: sha256.map(hex).unwrap_or_default(),
    }
}

/// The bytes of hexadecimal digits; `None` for none.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    (!hex.is_empty()).then(|| (0..hex.len()).step_by(2).filter_map(byte).collect())
}

fn read_state(row: &Row) -> AttachmentState {
    AttachmentState::from_number(row.get("state")).unwrap_or(AttachmentState::Deleting)
}

/// The attachments of a message, as its row of `entries` has them.
pub(super) fn read_attachments(json: Option<&str>) -> Result<Vec<Attachment>> {
    json.map_or(Ok(Vec::new()), |json| serde_json::from_str(json).map_err(Error::internal))
}

/// As [`read_attachments`] reads them; `None` for none.
pub(super) fn write_attachments(attachments: &[Attachment]) -> Option<String> {
    if attachments.is_empty() { None } else { serde_json::to_string(attachments).ok() }
}

impl Store {
    /// Creates an attachment that its owner is to upload. `open` says that the upload goes past this server.
    ///
    /// Errors: [`Error::AttachmentQuotaUsed`] where the owner's attachments would have more than `quota` bytes; 0 is no
    /// quota.
    pub async fn create_attachment(
        &self,
        owner: UserNo,
        attachment: &Attachment,
        quota: i64,
        open: bool,
    ) -> Result<()> {
        transaction!(self, async |tx| {
            if quota > 0 {
                // Two that are created at a time see each other.
                #[expect(clippy::cast_possible_truncation, reason = "some share a lock")]
                let key = owner.0 as i32;
                let lock = tx.prepare_cached("SELECT pg_advisory_xact_lock($1, $2)").await?;
                tx.execute(&lock, &[&QUOTA_LOCK, &key]).await?;
                let used = tx.prepare_cached(BYTES_OF).await?;
                let used: i64 = tx.query_one(&used, &[&owner.0]).await?.get(0);
                if used.saturating_add(attachment.size) > quota {
                    return Err(Error::AttachmentQuotaUsed);
                }
            }
            let insert = tx
                .prepare_cached(&format!(
                    "INSERT INTO attachments (attachment_id, owner, file_name, content_type, size, sha256,
                         created_at, unused_since, upload_open)
                     VALUES ($1, $2, $3, $4, $5, $6, now(), now() + {UNUSED_FOR} - {GRACE}, $7)"
                ))
                .await?;
            let values: [&(dyn ToSql + Sync); 7] = [
                &attachment.attachment_id,
                &owner.0,
                &attachment.file_name,
                &attachment.content_type,
                &attachment.size,
                &bytes(&attachment.sha256),
                &open,
            ];
            tx.execute(&insert, &values).await?;
            tx.commit().await?;
            Ok(())
        })
    }

    /// An attachment that waits for its upload, or is there, and under which name.
    ///
    /// Errors: [`Error::AttachmentNotFound`].
    pub async fn attachment(&self, attachment_id: Uuid) -> Result<(Attachment, Option<Uuid>)> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM attachments a WHERE a.attachment_id = $1 AND a.state <> 3"
            ))
            .await?;
        let row = client.query_opt(&statement, &[&attachment_id]).await?;
        let row = row.ok_or(Error::AttachmentNotFound)?;
        Ok((read(&row), row.get("object")))
    }

    /// Notes under which name an attachment is there; `false` where it is already, or is gone: the first upload counts.
    pub async fn attachment_stored(&self, attachment_id: Uuid, object: Uuid) -> Result<bool> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "UPDATE attachments SET state = 2, object = $2 WHERE attachment_id = $1 AND state = 1",
            )
            .await?;
        Ok(client.execute(&statement, &[&attachment_id, &object]).await? > 0)
    }

    /// Attachments of a user that a message is to have, in their order, and under which names they are there.
    ///
    /// Errors: [`Error::AttachmentNotFound`] where one is not the user's, or it is too late to use it.
    pub async fn own_attachments(
        &self,
        owner: UserNo,
        attachment_ids: &[Uuid],
    ) -> Result<Vec<(Attachment, Option<Uuid>)>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&format!(
                "SELECT {COLUMNS}
                 FROM unnest($2::uuid[]) WITH ORDINALITY i (attachment_id, no)
                 JOIN attachments a ON a.attachment_id = i.attachment_id AND a.owner = $1 AND a.state <> 3
                     AND (a.unused_since IS NULL OR a.unused_since > now() - {TOO_LATE} OR {IS_SCHEDULED})
                 ORDER BY i.no"
            ))
            .await?;
        let rows = client.query(&statement, &[&owner.0, &attachment_ids]).await?;
        if rows.len() != attachment_ids.len() {
            return Err(Error::AttachmentNotFound);
        }
        Ok(rows.iter().map(|row| (read(row), row.get("object"))).collect())
    }

    /// The name under which an attachment is there of a message that a user has and may see.
    ///
    /// Errors: [`Error::MessageNotFound`], [`Error::AttachmentNotFound`].
    pub async fn attachment_of(
        &self,
        user_no: UserNo,
        message_id: MessageId,
        attachment_id: Uuid,
    ) -> Result<Uuid> {
        let (seq, conversation): (i64, ConversationNo) =
            self.readable_copy(user_no, message_id).await?;
        let (owner, seq) = match conversation.group() {
            Some(group_no) => (TimelineNo::from(group_no), message_id.seq),
            None => (user_no.into(), seq),
        };
        let row = reading!(self, async |client| {
            let statement = client
                .prepare_cached(
                    "SELECT a.object FROM attachment_uses u JOIN attachments a USING (attachment_id)
                     WHERE u.owner = $1 AND u.seq = $2 AND u.attachment_id = $3 AND a.state = 2",
                )
                .await?;
            Ok(client.query_opt(&statement, &[&owner.0, &seq, &attachment_id]).await?)
        })?;
        row.map(|row| row.get("object")).ok_or(Error::AttachmentNotFound)
    }

    /// An attachment that some message has, and the name under which it is there.
    ///
    /// Errors: [`Error::AttachmentNotFound`].
    pub async fn used_attachment(&self, attachment_id: Uuid) -> Result<(Attachment, Uuid)> {
        let row = reading!(self, async |client| {
            let statement = client
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM attachments a WHERE a.attachment_id = $1 AND a.state = 2
                         AND EXISTS (SELECT FROM attachment_uses u WHERE u.attachment_id = $1)"
                ))
                .await?;
            Ok(client.query_opt(&statement, &[&attachment_id]).await?)
        })?;
        row.map(|row| (read(&row), row.get("object"))).ok_or(Error::AttachmentNotFound)
    }

    /// Attachments whose upload went past this server and can no longer be made, in the order of their ids: at most `limit`,
    /// all behind `after`; and under which names they are kept.
    pub async fn open_uploads(
        &self,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<(Attachment, Option<Uuid>)>> {
        let client = self.client().await?;
        let rows = client
            .query(
                &format!(
                    "SELECT {COLUMNS} FROM attachments a
                     WHERE a.upload_open AND a.attachment_id > $1 AND a.created_at < now() - {GRACE}
                     ORDER BY a.attachment_id LIMIT $2"
                ),
                &[&after, &limit],
            )
            .await?;
        Ok(rows.iter().map(|row| (read(row), row.get("object"))).collect())
    }

    /// Notes that nothing is left of the uploads of these but what is kept.
    pub async fn close_uploads(&self, attachment_ids: &[Uuid]) -> Result<()> {
        let client = self.client().await?;
        let close = "UPDATE attachments SET upload_open = false WHERE attachment_id = ANY($1)";
        client.execute(close, &[&attachment_ids]).await?;
        Ok(())
    }

    /// Marks up to `limit` attachments that no message has, nor one that is to be sent later, as going, and forgets of
    /// others that they may be unused; whether there may be more.
    pub async fn mark_unused_attachments(&self, limit: i64) -> Result<bool> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&format!(
                "WITH due AS MATERIALIZED (
                     SELECT attachment_id FROM attachments
                     WHERE unused_since <= now() - {GRACE} AND state <> 3
                     ORDER BY unused_since LIMIT $1 FOR UPDATE SKIP LOCKED
                 )
                 UPDATE attachments a
                 SET state = CASE WHEN used.is THEN a.state ELSE 3 END, unused_since = NULL
                 FROM due d CROSS JOIN LATERAL (
                     SELECT EXISTS (
                         SELECT FROM attachment_uses u WHERE u.attachment_id = d.attachment_id
                         UNION ALL
                         SELECT FROM scheduled_attachments s WHERE s.attachment_id = d.attachment_id
                     ) AS is
                 ) used
                 WHERE a.attachment_id = d.attachment_id"
            ))
            .await?;
        let marked = client.execute(&statement, &[&limit]).await?;
        Ok(i64::try_from(marked).unwrap_or(limit) >= limit)
    }

    /// Has attachments that no message ever had not wait for the day after which they go.
    pub async fn hurry_unused_attachments(&self) -> Result<()> {
        let client = self.client().await?;
        client
            .execute(
                &format!(
                    "UPDATE attachments a SET unused_since = created_at
                     WHERE a.unused_since > now() AND NOT {IS_SCHEDULED} AND NOT EXISTS (
                         SELECT FROM attachment_uses u WHERE u.attachment_id = a.attachment_id
                     )"
                ),
                &[],
            )
            .await?;
        Ok(())
    }

    /// Attachments that are going, with their sizes, in the order of their ids: at most `limit`, all behind `after`.
    pub async fn going_attachments(&self, after: Uuid, limit: i64) -> Result<Vec<(Uuid, i64)>> {
        let client = self.client().await?;
        let going =
            "SELECT attachment_id, size FROM attachments WHERE state = 3 AND attachment_id > $1
                     ORDER BY attachment_id LIMIT $2";
        let rows = client.query(going, &[&after, &limit]).await?;
        Ok(rows.iter().map(|row| (row.get("attachment_id"), row.get("size"))).collect())
    }

    /// Forgets attachments whose bytes are gone.
    pub async fn forget_attachments(&self, attachment_ids: &[Uuid]) -> Result<()> {
        let client = self.client().await?;
        let delete = "DELETE FROM attachments WHERE attachment_id = ANY($1) AND state = 3";
        client.execute(delete, &[&attachment_ids]).await?;
        Ok(())
    }

    /// The attachments that `filter` lets through, the newest first: at most `limit`, all older than `before`.
    pub async fn list_attachments(
        &self,
        filter: &AttachmentFilter,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<StoredAttachment>> {
        let client = self.client().await?;
        let rows = client
            .query(
                &format!(
                    "SELECT {COLUMNS}, a.owner, a.state, a.created_at, (
                         SELECT count(*) FROM attachment_uses u WHERE u.attachment_id = a.attachment_id
                     ) + (
                         SELECT count(*) FROM scheduled_attachments s WHERE s.attachment_id = a.attachment_id
                     ) AS uses
                     FROM attachments a
                     WHERE ($1::bigint IS NULL OR a.owner = $1) AND ($2::smallint IS NULL OR a.state = $2)
                         AND ($3::timestamptz IS NULL OR a.created_at >= $3)
                         AND a.attachment_id >= $4 AND a.attachment_id < $5
                     ORDER BY a.attachment_id DESC LIMIT $6"
                ),
                &[
                    &filter.owner.map(|no| no.0),
                    &filter.state.map(|state| state as i16),
                    &filter.since,
                    &lowest_id(filter.since),
                    &before.unwrap_or(Uuid::max()),
                    &limit,
                ],
            )
            .await?;
        let owners = rows.iter().map(|row| row.get("owner")).collect();
        drop(client);
        let owners = self.known_users(&owners).await?;
        let stored = |row: &Row| {
            let owner = owners.get(&row.get::<_, i64>("owner"))?.user_id.clone();
            let created_at: OffsetDateTime = row.get("created_at");
            let (state, uses) = (read_state(row), row.get("uses"));
            Some(StoredAttachment { attachment: read(row), owner, state, uses, created_at })
        };
        Ok(rows.iter().filter_map(stored).collect())
    }
}

/// Whether an attachment waits with a message that is to be sent later.
const IS_SCHEDULED: &str =
    "EXISTS (SELECT FROM scheduled_attachments s WHERE s.attachment_id = a.attachment_id)";

/// How many bytes the attachments of a user have.
const BYTES_OF: &str = "SELECT coalesce(sum(size), 0)::bigint FROM attachments WHERE owner = $1";

/// Ends a statement whose `gone` has the attachments of messages that went. Rows are locked in the order of their ids, so
/// that two which take away messages with the same attachments do not wait for each other.
const MAY_BE_UNUSED: &str = ", locked AS MATERIALIZED (
         SELECT attachment_id FROM attachments WHERE attachment_id IN (SELECT attachment_id FROM gone)
         ORDER BY attachment_id FOR NO KEY UPDATE
     )
     UPDATE attachments a SET unused_since = now() FROM locked l WHERE a.attachment_id = l.attachment_id";

/// Notes which attachments wait with a message that is to be sent later.
pub(super) async fn hold_attachments(
    tx: &Transaction<'_>,
    owner: UserNo,
    message: &ScheduledMessage,
) -> Result<()> {
    if message.attachments.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = message.attachments.iter().map(|one| one.attachment_id).collect();
    let statement = tx
        .prepare_cached(
            "INSERT INTO scheduled_attachments (attachment_id, owner, client_message_id)
             SELECT unnest($1::uuid[]), $2, $3",
        )
        .await?;
    tx.execute(&statement, &[&ids, &owner.0, &message.client_message_id]).await?;
    Ok(())
}

/// Notes that no attachments wait any more with a scheduled message of a user, or with any of its own where none is named:
/// how many waited.
pub(super) async fn release_scheduled(
    tx: &Transaction<'_>,
    owner: UserNo,
    client_message_id: Option<Uuid>,
) -> Result<u64> {
    let statement = tx
        .prepare_cached(&format!(
            "WITH gone AS (
                 DELETE FROM scheduled_attachments
                 WHERE owner = $1 AND client_message_id = coalesce($2::uuid, client_message_id)
                 RETURNING attachment_id
             ){MAY_BE_UNUSED}"
        ))
        .await?;
    Ok(tx.execute(&statement, &[&owner.0, &client_message_id]).await?)
}

/// Notes that the messages at these places have no attachments any more.
pub(super) async fn release(tx: &Transaction<'_>, places: &[(TimelineNo, i64)]) -> Result<()> {
    let (owners, seqs): (Vec<i64>, Vec<i64>) =
        places.iter().map(|(owner, seq)| (owner.0, *seq)).unzip();
    let statement = tx
        .prepare_cached(&format!(
            "WITH gone AS (
                 DELETE FROM attachment_uses u USING unnest($1::bigint[], $2::bigint[]) c (owner, seq)
                 WHERE u.owner = c.owner AND u.seq = c.seq RETURNING u.attachment_id
             ){MAY_BE_UNUSED}"
        ))
        .await?;
    tx.execute(&statement, &[&owners, &seqs]).await?;
    Ok(())
}

/// Notes that the messages after the place `after` and up to `to` have no attachments any more.
pub(super) async fn release_between(
    tx: &Transaction<'_>,
    owner: TimelineNo,
    after: i64,
    to: i64,
) -> Result<()> {
    let statement = tx
        .prepare_cached(&format!(
            "WITH gone AS (
                 DELETE FROM attachment_uses WHERE owner = $1 AND seq > $2 AND seq <= $3
                 RETURNING attachment_id
             ){MAY_BE_UNUSED}"
        ))
        .await?;
    tx.execute(&statement, &[&owner.0, &after, &to]).await?;
    Ok(())
}

/// Notes that the messages after the place `after` and up to `to` that say nothing any more have no attachments either.
pub(super) async fn release_erased(
    tx: &Transaction<'_>,
    owner: TimelineNo,
    after: i64,
    to: i64,
) -> Result<()> {
    let statement = tx
        .prepare_cached(&format!(
            "WITH gone AS (
                 DELETE FROM attachment_uses u USING entries e
                 WHERE u.owner = $1 AND u.seq > $2 AND u.seq <= $3 AND e.owner = $1 AND e.seq = u.seq
                     AND e.tombstone IS NOT NULL
                 RETURNING u.attachment_id
             ){MAY_BE_UNUSED}"
        ))
        .await?;
    tx.execute(&statement, &[&owner.0, &after, &to]).await?;
    Ok(())
}

//! What there is of a user, in numbers: for administrators who look into one account.

use super::{Store, reading};
use crate::model::{Error, Result, UserId, UserNo};

/// What there is of a user, beside its account and its sessions.
#[derive(Debug)]
pub struct UserDescription {
    /// Where a picture of the user is; empty for none.
    pub avatar_url: String,
    /// A JSON object of the customer's own.
    pub attributes: String,
    /// Counts the changes of the profile.
    pub profile_version: i64,
    /// Conversations with messages that say something.
    pub conversations: i64,
    /// Groups that it is a member of.
    pub groups: i64,
    /// Contacts; requests are not.
    pub contacts: i64,
    /// Users whom it blocks.
    pub blocks: i64,
    /// Messages that wait to be sent.
    pub scheduled_messages: i64,
    /// Entries of its timeline that are stored.
    pub entries: i64,
    /// Messages among them that say something.
    pub messages: i64,
    /// The bytes of what stands in its timeline.
    pub body_bytes: i64,
    /// Attachments that it created and that are not deleted.
    pub attachments: i64,
    /// Their bytes.
    pub attachment_bytes: i64,
}

impl Store {
    /// Describes a user, deleted ones, too; and its number. Reads all of its timeline.
    ///
    /// Errors: [`Error::UserNotFound`].
    pub async fn describe_user(&self, user_id: &UserId) -> Result<(UserNo, UserDescription)> {
        reading!(self, async |client| {
            let profile = "SELECT user_no, coalesce(avatar_url, '') AS avatar_url,
                               coalesce(attributes, '{}') AS attributes, profile_version
                           FROM users WHERE user_id = $1";
            let profile = client.query_opt(profile, &[&user_id.as_str()]).await?;
            let profile = profile.ok_or_else(|| Error::UserNotFound(user_id.clone()))?;
            let user_no: i64 = profile.get("user_no");
            let counts = "
                SELECT (
                    SELECT count(*) FROM group_members WHERE user_no = $1 AND left_seq IS NULL
                ) AS groups, (
                    SELECT count(*) FROM contacts WHERE owner = $1 AND state = 3
                ) AS contacts, (
                    SELECT count(*) FROM blocks WHERE owner = $1
                ) AS blocks, (
                    SELECT count(*) FROM scheduled_messages WHERE owner = $1
                ) AS scheduled_messages, t.*, a.*
                FROM (
                    SELECT count(*) AS entries,
                        count(*) FILTER (WHERE kind = 1 AND tombstone IS NULL) AS messages,
                        count(DISTINCT conversation) FILTER (WHERE kind = 1 AND tombstone IS NULL) AS conversations,
                        coalesce(sum(octet_length(body)), 0)::bigint AS body_bytes
                    FROM entries WHERE owner = $1
                ) t, (
                    SELECT count(*) AS attachments, coalesce(sum(size), 0)::bigint AS attachment_bytes
                    FROM attachments WHERE owner = $1
                ) a";
            let counts = client.query_one(counts, &[&user_no]).await?;
            let description = UserDescription {
                avatar_url: profile.get("avatar_url"),
                attributes: profile.get("attributes"),
                profile_version: profile.get("profile_version"),
                conversations: counts.get("conversations"),
                groups: counts.get("groups"),
                contacts: counts.get("contacts"),
                blocks: counts.get("blocks"),
                scheduled_messages: counts.get("scheduled_messages"),
                entries: counts.get("entries"),
                messages: counts.get("messages"),
                body_bytes: counts.get("body_bytes"),
                attachments: counts.get("attachments"),
                attachment_bytes: counts.get("attachment_bytes"),
            };
            Ok((UserNo(user_no), description))
        })
    }
}

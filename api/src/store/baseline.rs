//! What PostgreSQL does alone with the rows that imd writes, for benchmarks to compare imd with.
//!
//! The statements are not copied: a batch goes through the very function by which a lane appends its
//! batches, and a fan-out through the very transaction that brings members up to their group. So a
//! change of either changes the baseline with it. What is left out is all that costs PostgreSQL nothing:
//! queues, message ids, streams, hints.
//!
//! Everything happens in a schema of its own, which has the tables of imd without their rows and goes
//! when it is over.

use std::sync::Arc;

use bytes::Bytes;
use tokio_postgres::NoTls;
use uuid::Uuid;

use super::{
    Append, Store,
    append::{LaneConnection, Layout},
};
use crate::model::{
    Content, ConversationId, ConversationNo, Error, GroupNo, IfBlocked, Mentions, MessageIdCipher,
    Notice, Result, SessionId, UserId, UserNo, WhoMay,
};

/// The schema. One that an aborted run left behind is replaced.
pub const BASELINE_SCHEMA: &str = "imd_bench_baseline";

/// Makes imd's own tables and functions anew, to the last index, from those that the search path leads to. What LIKE
/// leaves out are the table's options: room on a page, for one.
const COPY_SCHEMA: &str = "
    DO $$
    DECLARE
        imd oid := (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('timelines'));
        original record;
    BEGIN
        IF imd IS NULL THEN
            RAISE EXCEPTION 'imd has no tables in this database';
        END IF;
        FOR original IN
            SELECT relname, relnamespace::regnamespace AS schema,
                coalesce('WITH (' || array_to_string(reloptions, ', ') || ')', '') AS options
            FROM pg_class WHERE relnamespace = imd AND relkind = 'r'
        LOOP
            EXECUTE format('CREATE TABLE {schema}.%I (LIKE %s.%I INCLUDING ALL) %s',
                original.relname, original.schema, original.relname, original.options);
        END LOOP;
        FOR original IN
            SELECT pg_get_functiondef(oid) AS definition, pronamespace::regnamespace AS schema
            FROM pg_proc p WHERE pronamespace = imd AND NOT EXISTS (
                SELECT FROM pg_depend d
                WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
            ORDER BY oid
        LOOP
            EXECUTE replace(original.definition, format('FUNCTION %s.', original.schema),
                'FUNCTION {schema}.');
        END LOOP;
    END $$";

/// The schema, ready to be measured on.
pub struct Baseline {
    store: Store,
    url: String,
    /// By user: the live session that is checked with each message.
    sessions: Vec<Uuid>,
}

/// A connection that appends batches as a lane does.
pub struct BaselineLane {
    connection: LaneConnection,
}

/// A message to append. Users and groups are counted from 0.
#[derive(Debug, Clone, Copy)]
pub struct BaselineMessage {
    /// Who sends it.
    pub sender: usize,
    /// Where to.
    pub to: BaselineTarget,
}

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaselineTarget {
    /// To this user.
    User(usize),
    /// To this group.
    Group(usize),
}

impl Baseline {
    /// Makes the schema in imd's database at `url`, with a timeline and a live session for each of
    /// `users`, and `groups` given by their members.
    ///
    /// Errors: what PostgreSQL says, as [`Error::Unavailable`] or [`Error::Internal`].
    pub async fn prepare(url: &str, users: usize, groups: &[Vec<usize>]) -> Result<Self> {
        let client = connect(url).await?;
        client.batch_execute(&drop_schema()).await?;
        client.batch_execute(&format!("CREATE SCHEMA {BASELINE_SCHEMA}")).await?;
        client.batch_execute(&COPY_SCHEMA.replace("{schema}", BASELINE_SCHEMA)).await?;
        client.batch_execute(&format!("SET search_path = {BASELINE_SCHEMA}")).await?;
        let sessions: Vec<Uuid> = (0..users).map(|_| Uuid::new_v4()).collect();
        make_users(&client, &sessions).await?;
        make_groups(&client, groups).await?;
        let store = Store::new(url, 4)?;
        store.0.connector.use_schema(BASELINE_SCHEMA.to_owned());
        Ok(Self { store, url: url.to_owned(), sessions })
    }

    /// Opens a connection for batches.
    pub async fn lane(&self) -> Result<BaselineLane> {
        // No id is sealed with it.
        let cipher = Arc::new(MessageIdCipher::new(&[0; MessageIdCipher::KEY_LENGTH])?);
        let connection =
            LaneConnection::open(&self.store, cipher, 0, "BEGIN", WhoMay::Anyone).await?;
        Ok(BaselineLane { connection })
    }

    /// Messages as [`BaselineLane::append`] takes them, each with an id of its own.
    #[must_use]
    pub fn batch(&self, messages: &[BaselineMessage], body: &Bytes) -> Vec<Append> {
        messages.iter().map(|message| self.message(*message, body.clone())).collect()
    }

    fn message(&self, BaselineMessage { sender, to }: BaselineMessage, body: Bytes) -> Append {
        // Neither id is stored: they are for those who are told of the message.
        let nobody = UserId::from_stored("");
        let content = Content::from_stored(None, body);
        let conversation = match to {
            BaselineTarget::User(user) => user_no(user),
            BaselineTarget::Group(group) => -group_no(group).0,
        };
        Append {
            sender: UserNo(user_no(sender)),
            sender_id: nobody.clone(),
            session_id: Some(SessionId(self.sessions[sender])),
            conversation: ConversationNo(conversation),
            conversation_id: ConversationId::User(nobody),
            client_message_id: Uuid::new_v4(),
            content_hash: content.hash(),
            content,
            mentions: Mentions::default(),
            if_blocked: IfBlocked::Refuse,
            bypass: false,
            notice: Notice::default(),
            sender_timeline: true,
            quote: None,
            forward: None,
            attachments: Arc::default(),
        }
    }

    /// Brings the members of a group up to its timeline; how many references that took. To be called for
    /// one group by one caller at a time, as nodes do.
    pub async fn fan_out(&self, group: usize) -> Result<usize> {
        let mut references = 0;
        while let Some((_, rows)) = self.store.bring_up_some(group_no(group)).await? {
            references += rows.len();
        }
        Ok(references)
    }

    /// Drops the schema.
    pub async fn remove(self) -> Result<()> {
        Ok(connect(&self.url).await?.batch_execute(&drop_schema()).await?)
    }
}

impl BaselineLane {
    /// Appends messages and commits: the one round trip of a lane. As there, a batch must not hold
    /// messages of two senders to one group.
    pub async fn append(&self, batch: &[Append]) -> Result<()> {
        let refused = self.connection.append_unread(batch, &Layout::of(batch)).await?;
        if refused > 0 {
            return Err(Error::internal(format!(
                "{refused} messages of the baseline were refused"
            )));
        }
        Ok(())
    }
}

async fn connect(url: &str) -> Result<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn make_users(client: &tokio_postgres::Client, sessions: &[Uuid]) -> Result<()> {
    // Each connection asks for it.
    client
        .execute("INSERT INTO generations (generation, reason) VALUES (0, 'a benchmark')", &[])
        .await?;
    let owners: Vec<i64> = (0..sessions.len()).map(user_no).collect();
    client
        .execute("INSERT INTO timelines (owner, epoch) SELECT unnest($1::bigint[]), 1", &[&owners])
        .await?;
    client
        .execute(
            "INSERT INTO sessions (user_no, session_id, terminal_type, device_id, device_name,
                created_at, last_used_at, refresh_hash, refresh_expires_at)
             SELECT u.user_no, u.session_id, 'phone', '', '', now(), now(), '', now()
             FROM unnest($1::bigint[], $2::uuid[]) u (user_no, session_id)",
            &[&owners, &sessions],
        )
        .await?;
    Ok(())
}

async fn make_groups(client: &tokio_postgres::Client, groups: &[Vec<usize>]) -> Result<()> {
    for (group, members) in groups.iter().enumerate() {
        let members: Vec<i64> = members.iter().map(|member| user_no(*member)).collect();
        client
            .execute(
                "WITH made AS (
                     INSERT INTO groups (group_no, group_id, name, join_rule, history)
                     OVERRIDING SYSTEM VALUE VALUES ($1, $1::bigint::text, '', 1, 0)
                     RETURNING group_no
                 ), timeline AS (
                     INSERT INTO timelines (owner, epoch) SELECT -group_no, 1 FROM made
                 )
                 INSERT INTO group_members (group_no, user_no, role, joined_at, joined_seq, fanned_to)
                 SELECT group_no, unnest($2::bigint[]), 1, now(), 0, 0 FROM made",
                &[&group_no(group).0, &members],
            )
            .await?;
    }
    Ok(())
}

fn drop_schema() -> String {
    format!("SET client_min_messages = warning; DROP SCHEMA IF EXISTS {BASELINE_SCHEMA} CASCADE")
}

/// The user's number in the tables.
fn user_no(user: usize) -> i64 {
    i64::try_from(user).unwrap_or(i64::MAX - 1) + 1
}

fn group_no(group: usize) -> GroupNo {
    GroupNo(user_no(group))
}

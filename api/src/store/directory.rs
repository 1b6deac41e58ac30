//! `user_id` ↔ `user_no`. The mapping never changes within a generation of the database, so a cached
//! answer is always right.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicI16, Ordering},
    time::Duration,
};

use moka::sync::Cache;
use tokio_postgres::Row;

use super::{Store, users::read_state};
use crate::model::{
    ConversationId, ConversationNo, Error, GroupId, GroupNo, Result, TimelineNo, UserId, UserNo,
    UserState,
};

/// How many users each side remembers: some 100 bytes each.
const REMEMBERED: u64 = 200_000;

/// How long a user is remembered as one that is there: until then another node may show a deleted one
/// so.
const FRESH: Duration = Duration::from_secs(5);

pub(super) struct Directory {
    /// The generation that it is of.
    generation: AtomicI16,
    by_id: Cache<UserId, UserNo>,
    by_no: Cache<i64, KnownUser>,
    groups_by_id: Cache<GroupId, GroupNo>,
    groups_by_no: Cache<i64, GroupId>,
}

/// A user that exists or existed.
#[derive(Debug, Clone)]
pub(super) struct KnownUser {
    pub(super) user_id: UserId,
    /// Whether it was deleted, as far as is known.
    pub(super) deleted: bool,
}

impl Default for Directory {
    fn default() -> Self {
        Self {
            generation: AtomicI16::default(),
            by_id: Cache::new(REMEMBERED),
            by_no: Cache::builder().max_capacity(REMEMBERED).time_to_live(FRESH).build(),
            groups_by_id: Cache::new(REMEMBERED),
            groups_by_no: Cache::new(REMEMBERED),
        }
    }
}

impl Directory {
    /// The directory of this generation. What was known in another may be gone, and its number another's.
    fn of(&self, generation: i16) -> &Self {
        if self.generation.swap(generation, Ordering::Relaxed) != generation {
            self.by_id.invalidate_all();
            self.by_no.invalidate_all();
            self.groups_by_id.invalidate_all();
            self.groups_by_no.invalidate_all();
        }
        self
    }

    /// Reads the columns `user_no`, `user_id` and `state`.
    fn remember(&self, row: &Row) -> (i64, KnownUser) {
        let user_no = row.get("user_no");
        let user_id = UserId::from_stored(row.get("user_id"));
        let known = KnownUser { deleted: read_state(row) == UserState::Deleted, user_id };
        self.by_id.insert(known.user_id.clone(), UserNo(user_no));
        self.by_no.insert(user_no, known.clone());
        (user_no, known)
    }

    fn remember_group(&self, row: &Row) -> (i64, GroupId) {
        let (group_no, group_id) = (row.get("group_no"), GroupId::from_stored(row.get("group_id")));
        self.groups_by_id.insert(group_id.clone(), GroupNo(group_no));
        self.groups_by_no.insert(group_no, group_id.clone());
        (group_no, group_id)
    }

    /// Notes that what is known of a user has changed.
    pub(super) fn forget(&self, user_no: UserNo) {
        self.by_no.invalidate(&user_no.0);
    }
}

impl Store {
    pub(super) fn directory(&self) -> &Directory {
        self.0.directory.of(self.generation())
    }

    /// The number of a user that exists or existed. Errors: [`Error::UserNotFound`].
    pub async fn user_no(&self, user_id: &UserId) -> Result<UserNo> {
        if let Some(user_no) = self.directory().by_id.get(user_id) {
            return Ok(user_no);
        }
        let client = self.client().await?;
        let statement = client
            .prepare_cached("SELECT user_no, user_id, state FROM users WHERE user_id = $1")
            .await?;
        let row = client.query_opt(&statement, &[&user_id.as_str()]).await?;
        let row = row.ok_or_else(|| Error::UserNotFound(user_id.clone()))?;
        let (user_no, _) = self.directory().remember(&row);
        Ok(UserNo(user_no))
    }

    /// The numbers of users that exist or existed, in the order of their ids; as [`Store::user_no`], for many
    /// in one statement. Errors: [`Error::UserNotFound`] for the first that there is not.
    pub async fn user_nos(&self, user_ids: &[UserId]) -> Result<Vec<UserNo>> {
        let missing: Vec<&str> = user_ids
            .iter()
            .filter(|user_id| !self.0.directory.by_id.contains_key(*user_id))
            .map(UserId::as_str)
            .collect();
        let mut found = HashMap::new();
        if !missing.is_empty() {
            let client = self.client().await?;
            let statement = client
                .prepare_cached("SELECT user_no, user_id, state FROM users WHERE user_id = ANY($1)")
                .await?;
            for row in client.query(&statement, &[&missing]).await? {
                let (user_no, known) = self.0.directory.remember(&row);
                found.insert(known.user_id, UserNo(user_no));
            }
        }
        let mut user_nos = Vec::with_capacity(user_ids.len());
        for user_id in user_ids {
            user_nos.push(match found.get(user_id) {
                Some(user_no) => *user_no,
                None => self.user_no(user_id).await?,
            });
        }
        Ok(user_nos)
    }

    /// The id of a user that exists or existed.
    pub async fn user_id(&self, user_no: UserNo) -> Result<UserId> {
        let mut found = self.known_users(&HashSet::from([user_no.0])).await?;
        found
            .remove(&user_no.0)
            .map(|known| known.user_id)
            .ok_or_else(|| Error::internal(format!("no user has number {}", user_no.0)))
    }

    /// The number of a group that exists or existed. Errors: [`Error::GroupNotFound`].
    pub async fn group_no(&self, group_id: &GroupId) -> Result<GroupNo> {
        if let Some(group_no) = self.directory().groups_by_id.get(group_id) {
            return Ok(group_no);
        }
        let client = self.client().await?;
        let statement = client
            .prepare_cached("SELECT group_no, group_id FROM groups WHERE group_id = $1")
            .await?;
        let row = client.query_opt(&statement, &[&group_id.as_str()]).await?;
        let row = row.ok_or_else(|| Error::GroupNotFound(group_id.clone()))?;
        Ok(GroupNo(self.directory().remember_group(&row).0))
    }

    /// The ids of groups that exist or existed, by number.
    pub(super) async fn group_ids(
        &self,
        group_nos: &HashSet<i64>,
    ) -> Result<HashMap<i64, GroupId>> {
        let mut known = HashMap::with_capacity(group_nos.len());
        let mut missing = Vec::new();
        for &group_no in group_nos {
            match self.directory().groups_by_no.get(&group_no) {
                Some(group_id) => drop(known.insert(group_no, group_id)),
                None => missing.push(group_no),
            }
        }
        if missing.is_empty() {
            return Ok(known);
        }
        let client = self.client().await?;
        let statement = client
            .prepare_cached("SELECT group_no, group_id FROM groups WHERE group_no = ANY($1)")
            .await?;
        let found = client.query(&statement, &[&missing]).await?;
        known.extend(found.iter().map(|row| self.directory().remember_group(row)));
        Ok(known)
    }

    /// The number of a conversation that a user may have. Errors: [`Error::UserNotFound`],
    /// [`Error::GroupNotFound`].
    pub async fn conversation_no(&self, conversation: &ConversationId) -> Result<ConversationNo> {
        Ok(match conversation {
            ConversationId::User(user_id) => self.user_no(user_id).await?.into(),
            ConversationId::Group(group_id) => self.group_no(group_id).await?.into(),
        })
    }

    /// The ids of the users among the owners of these timelines.
    pub async fn owner_ids(
        &self,
        timelines: impl IntoIterator<Item = TimelineNo>,
    ) -> Result<HashMap<TimelineNo, UserId>> {
        let users = timelines.into_iter().filter_map(TimelineNo::user).map(|no| no.0).collect();
        let known = self.known_users(&users).await?;
        Ok(known.into_iter().map(|(no, user)| (TimelineNo(no), user.user_id)).collect())
    }

    /// What is known of users that exist or existed, by number.
    pub(super) async fn known_users(
        &self,
        user_nos: &HashSet<i64>,
    ) -> Result<HashMap<i64, KnownUser>> {
        let mut known = HashMap::with_capacity(user_nos.len());
        let mut missing = Vec::new();
        for &user_no in user_nos {
            match self.directory().by_no.get(&user_no) {
                Some(user) => drop(known.insert(user_no, user)),
                None => missing.push(user_no),
            }
        }
        if missing.is_empty() {
            return Ok(known);
        }
        let client = self.client().await?;
        let statement = client
            .prepare_cached("SELECT user_no, user_id, state FROM users WHERE user_no = ANY($1)")
            .await?;
        let found = client.query(&statement, &[&missing]).await?;
        known.extend(found.iter().map(|row| self.directory().remember(row)));
        Ok(known)
    }
}

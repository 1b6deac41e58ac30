//! `user_id` ↔ `user_no`. The mapping never changes, so a cached answer is always right.

use std::collections::{HashMap, HashSet};

use moka::sync::Cache;

use super::Store;
use crate::model::{Error, Result, UserId, UserNo};

/// How many users each side remembers: some 100 bytes each.
const REMEMBERED: u64 = 200_000;

#[derive(Clone)]
pub(super) struct Directory {
    by_id: Cache<UserId, UserNo>,
    by_no: Cache<i64, UserId>,
}

impl Default for Directory {
    fn default() -> Self {
        Self { by_id: Cache::new(REMEMBERED), by_no: Cache::new(REMEMBERED) }
    }
}

impl Directory {
    pub(super) fn remember(&self, user_id: &UserId, user_no: UserNo) {
        self.by_id.insert(user_id.clone(), user_no);
        self.by_no.insert(user_no.0, user_id.clone());
    }
}

impl Store {
    /// The number of a user. Errors: [`Error::UserNotFound`].
    pub async fn user_no(&self, user_id: &UserId) -> Result<UserNo> {
        if let Some(user_no) = self.directory.by_id.get(user_id) {
            return Ok(user_no);
        }
        let client = self.client().await?;
        let statement =
            client.prepare_cached("SELECT user_no FROM users WHERE user_id = $1").await?;
        let row = client.query_opt(&statement, &[&user_id.as_str()]).await?;
        let row = row.ok_or_else(|| Error::UserNotFound(user_id.clone()))?;
        let user_no = UserNo(row.get(0));
        self.directory.remember(user_id, user_no);
        Ok(user_no)
    }

    /// The id of a user that exists or existed.
    pub async fn user_id(&self, user_no: UserNo) -> Result<UserId> {
        let mut found = self.user_ids(&HashSet::from([user_no.0])).await?;
        found
            .remove(&user_no.0)
            .ok_or_else(|| Error::internal(format!("no user has number {}", user_no.0)))
    }

    /// The ids of users that exist or existed.
    pub(super) async fn user_ids(&self, user_nos: &HashSet<i64>) -> Result<HashMap<i64, UserId>> {
        let mut known = HashMap::with_capacity(user_nos.len());
        let mut missing = Vec::new();
        for &user_no in user_nos {
            match self.directory.by_no.get(&user_no) {
                Some(user_id) => drop(known.insert(user_no, user_id)),
                None => missing.push(user_no),
            }
        }
        if missing.is_empty() {
            return Ok(known);
        }
        let client = self.client().await?;
        let statement = client
            .prepare_cached("SELECT user_no, user_id FROM users WHERE user_no = ANY($1)")
            .await?;
        for row in client.query(&statement, &[&missing]).await? {
            let (user_no, user_id) = (row.get(0), UserId::from_stored(row.get(1)));
            self.directory.remember(&user_id, UserNo(user_no));
            known.insert(user_no, user_id);
        }
        Ok(known)
    }
}

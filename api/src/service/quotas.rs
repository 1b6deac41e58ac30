//! The job that counts how many bytes users have stored.

use std::{collections::HashSet, sync::Arc};

use super::Service;
use crate::model::{Result, UserNo};

/// How many users are looked up at a time.
const PAGE: i64 = 500;

impl Service {
    /// Counts what the users with a quota have sent, and lets them send or not. Whoever has none any more may send.
    pub(super) async fn count_quotas(self: Arc<Self>) -> Result<()> {
        let mut without = self.store.quotas_used().await?.into_iter().collect::<HashSet<_>>();
        let largest = i64::try_from(self.limits.max_body_bytes).unwrap_or(i64::MAX);
        let mut after = UserNo(0);
        loop {
            let page = self.store.quotas(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.user_no;
            for quota in page {
                without.remove(&quota.user_no);
                self.store.count_sent_bytes(quota, largest).await?;
            }
        }
        for user_no in without {
            self.store.forget_sent_bytes(user_no).await?;
        }
        Ok(())
    }
}

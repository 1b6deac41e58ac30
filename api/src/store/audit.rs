//! The audit log: what administrators did, written in the transaction that did it.

use std::{net::IpAddr, time::Duration};

use super::{
    Store, Transaction,
    since::{Numbered, older_up_to},
    transaction,
};
use crate::model::{ClientAddress, Result, UserId, UserNo};
use serde_json::Value;
use time::OffsetDateTime;

/// What is to be recorded of an administrator's action.
#[derive(Debug, Clone)]
pub struct Audit<'a> {
    /// The name of the admin key, or who else did it.
    pub actor: &'a str,
    /// What was done: `create_user` …
    pub action: &'static str,
    /// The particulars, a JSON object. Never a secret or a message body.
    pub details: Value,
    /// Why, in the administrator's words; may be empty.
    pub reason: &'a str,
    /// From where.
    pub address: Option<ClientAddress>,
}

/// Which records to list.
#[derive(Debug, Default)]
pub struct AuditFilter<'a> {
    /// Only those about this user.
    pub user_no: Option<UserNo>,
    /// Only of this action.
    pub action: Option<&'a str>,
    /// Only of what this one did.
    pub actor: Option<&'a str>,
    /// Only those made then or later.
    pub since: Option<OffsetDateTime>,
}

/// A record of the log.
#[derive(Debug)]
pub struct AuditRecord {
    /// Grows with time.
    pub audit_no: i64,
    /// When.
    pub at: OffsetDateTime,
    /// The name of the admin key.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To whom.
    pub user_id: Option<UserId>,
    /// The particulars.
    pub details: Value,
    /// Why; may be empty.
    pub reason: String,
    /// From where, if that is known.
    pub address: Option<IpAddr>,
}

impl<'a> Audit<'a> {
    /// What is done without a call of an administrator: nobody gave a reason, and it came from nowhere.
    #[must_use]
    pub fn unasked(actor: &'a str, action: &'static str, details: Value) -> Self {
        Self { actor, action, details, reason: "", address: None }
    }

    /// Notes how many sessions the action ended.
    pub(super) fn ended(&self, sessions: usize) -> Self {
        let mut audit = self.clone();
        audit.details["sessions_ended"] = sessions.into();
        audit
    }

    pub(super) async fn record(&self, tx: &Transaction<'_>, user_no: Option<UserNo>) -> Result<()> {
        tx.execute(
            "INSERT INTO audit (actor, action, user_no, details, reason, address)
             VALUES ($1, $2, $3, $4, $5, $6)",
            &[
                &self.actor,
                &self.action,
                &user_no.map(|no| no.0),
                &self.details,
                &self.reason,
                &self.address.map(|address| address.0),
            ],
        )
        .await?;
        Ok(())
    }
}

impl Store {
    /// Records what leaves no other trace in the database.
    pub async fn record(&self, audit: Audit<'_>) -> Result<()> {
        transaction!(self, async |tx| {
            audit.record(&tx, None).await?;
            tx.commit().await?;
            Ok(())
        })
    }

    /// As [`Store::record`], of what was done to a user.
    pub async fn record_about(&self, user_no: UserNo, audit: Audit<'_>) -> Result<()> {
        transaction!(self, async |tx| {
            audit.record(&tx, Some(user_no)).await?;
            tx.commit().await?;
            Ok(())
        })
    }

    /// Deletes what of the `limit` oldest records is older than `kept`; how many.
    pub async fn forget_audit_records(&self, kept: Duration, limit: i64) -> Result<i64> {
        let client = self.client().await?;
        let deleted = client
            .execute(
                "WITH oldest AS (SELECT audit_no, at FROM audit ORDER BY audit_no LIMIT $2)
                 DELETE FROM audit a USING oldest o
                 WHERE a.audit_no = o.audit_no AND o.at < now() - make_interval(secs => $1)",
                &[&kept.as_secs_f64(), &limit],
            )
            .await?;
        Ok(i64::try_from(deleted).unwrap_or(limit))
    }

    /// The records that `filter` lets through, the newest first: at most `limit`, all with numbers below `before`.
    pub async fn audit_records(
        &self,
        filter: &AuditFilter<'_>,
        before: i64,
        limit: i64,
    ) -> Result<Vec<AuditRecord>> {
        let client = self.client().await?;
        let older = older_up_to(&client, Numbered::Audit, filter.since).await?;
        let rows = client
            .query(
                "SELECT a.audit_no, a.at, a.actor, a.action, u.user_id, a.details, a.reason,
                     a.address
                 FROM audit a LEFT JOIN users u USING (user_no)
                 WHERE ($1::bigint IS NULL OR a.user_no = $1)
                     AND ($2::text IS NULL OR a.action = $2)
                     AND ($3::text IS NULL OR a.actor = $3)
                     AND ($4::timestamptz IS NULL OR a.at >= $4)
                     AND a.audit_no > $5 AND a.audit_no < $6
                 ORDER BY a.audit_no DESC LIMIT $7",
                &[
                    &filter.user_no.map(|no| no.0),
                    &filter.action,
                    &filter.actor,
                    &filter.since,
                    &older,
                    &before,
                    &limit,
                ],
            )
            .await?;
        let record = |row: &tokio_postgres::Row| AuditRecord {
            audit_no: row.get("audit_no"),
            at: row.get("at"),
            actor: row.get("actor"),
            action: row.get("action"),
            user_id: row.get::<_, Option<&str>>("user_id").map(UserId::from_stored),
            details: row.get("details"),
            reason: row.get("reason"),
            address: row.get("address"),
        };
        Ok(rows.iter().map(record).collect())
    }
}

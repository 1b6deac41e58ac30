//! `imctl audit`

use clap::Args;
use comfy_table::Cell;
use imd_proto::v1::{AuditRecord, ListAuditRecordsRequest};
use serde::Serialize;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    client::Admin,
    clock,
    error::Error,
    output::{self, Row, WatchedOutput},
    paging::LimitArgs,
};

/// Arguments of `imctl audit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  imctl audit --limit 20
  imctl audit --actor zoe --since 7d
  imctl audit --user ann --action kick_sessions -o json")]
pub(crate) struct AuditArgs {
    /// Only what was done to this user
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only records of this action, as the column ACTION has it
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    action: String,
    /// Only what the admin key of this name did
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    actor: String,
    /// Only records made since then: a time (2026-11-23T07:30:00Z), a date, or how long ago (30d)
    #[arg(long, value_name = "TIME", value_parser = clock::since)]
    since: Option<OffsetDateTime>,
    #[command(flatten)]
    limit: LimitArgs,
    #[command(flatten)]
    output: WatchedOutput,
}

#[derive(Debug, Serialize)]
struct AuditView {
    audit_no: i64,
    #[serde(with = "time::serde::rfc3339::option")]
    at: Option<OffsetDateTime>,
    actor: String,
    action: String,
    user_id: Option<String>,
    reason: String,
    address: Option<String>,
    details: Value,
}

/// Prints the audit records, the newest first.
pub(crate) async fn run(args: AuditArgs, admin: &mut Admin) -> Result<(), Error> {
    let records = args
        .limit
        .collect(async |page_size, page_token| {
            let request = ListAuditRecordsRequest {
                user_id: args.user.clone().unwrap_or_default(),
                action: args.action.clone(),
                actor: args.actor.clone(),
                since: args.since.map(clock::timestamp),
                page_size,
                page_token,
            };
            let answer = admin.calls.list_audit_records(request).await;
            let page = answer.map_err(|status| admin.failure(status))?.into_inner();
            Ok((page.records, page.next_page_token))
        })
        .await?;
    let records: Vec<AuditView> = records.into_iter().map(AuditView::from).collect();
    output::list(&records, args.output.output, "no audit record matches")
}

impl From<AuditRecord> for AuditView {
    fn from(record: AuditRecord) -> Self {
        Self {
            audit_no: record.audit_no,
            at: clock::time(record.at),
            actor: record.actor,
            action: record.action,
            user_id: Some(record.user_id).filter(|user| !user.is_empty()),
            reason: record.reason,
            address: Some(record.address).filter(|address| !address.is_empty()),
            details: serde_json::from_str(&record.details).unwrap_or(Value::String(record.details)),
        }
    }
}

impl Row for AuditView {
    const COLUMNS: &[&str] =
        &["AT", "ACTOR", "ACTION", "USER", "DETAILS", "REASON", "NO", "TIME", "ADDRESS"];
    const NARROW: usize = 6;
    const CUT: &[&str] = &["DETAILS", "REASON"];

    fn cells(&self, now: OffsetDateTime) -> Vec<Cell> {
        let time = self.at.and_then(|at| at.format(&Rfc3339).ok());
        vec![
            Cell::new(clock::ago(self.at, now)),
            output::text(&self.actor),
            output::text(&self.action),
            output::text(self.user_id.as_deref().unwrap_or_default()),
            output::text(&self.details.to_string()),
            output::text(&self.reason),
            Cell::new(self.audit_no),
            output::text(&time.unwrap_or_default()),
            output::text(self.address.as_deref().unwrap_or_default()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    fn record(details: &str) -> AuditView {
        AuditView::from(AuditRecord {
            audit_no: 7,
            at: Some(prost_types::Timestamp { seconds: 1_795_435_200, nanos: 0 }),
            actor: "admin".to_owned(),
            action: "kick_sessions".to_owned(),
            user_id: String::new(),
            details: details.to_owned(),
            reason: "ticket 7".to_owned(),
            address: "192.0.2.1".to_owned(),
        })
    }

    #[test]
    fn details_are_part_of_the_json() {
        let record = record(r#"{"note":"lost device","ended":2}"#);
        let json = output::document(&record, Format::Json).expect("it can be written");
        insta::assert_snapshot!(json, @r#"
        {
          "audit_no": 7,
          "at": "2026-11-23T12:00:00Z",
          "actor": "admin",
          "action": "kick_sessions",
          "user_id": null,
          "reason": "ticket 7",
          "address": "192.0.2.1",
          "details": {
            "ended": 2,
            "note": "lost device"
          }
        }
        "#);
    }

    #[test]
    fn details_that_are_not_json_stay_text() {
        assert_eq!(record("none").details, Value::String("none".to_owned()));
    }
}

//! The audit log in the contract's messages.

use imd_proto::v1;

use crate::{
    grpc::convert::{time_if_given, timestamp},
    model::Error,
    service::{AuditQuery, AuditRecord},
};

pub(super) fn query(asked: &v1::ListAuditRecordsRequest) -> Result<AuditQuery, Error> {
    Ok(AuditQuery {
        user_id: asked.user_id.clone(),
        action: asked.action.clone(),
        actor: asked.actor.clone(),
        since: time_if_given("since", asked.since)?,
    })
}

pub(super) fn record(record: AuditRecord) -> v1::AuditRecord {
    v1::AuditRecord {
        audit_no: record.audit_no,
        at: Some(timestamp(record.at)),
        actor: record.actor,
        action: record.action,
        user_id: record.user_id.map(|id| id.to_string()).unwrap_or_default(),
        details: record.details.to_string(),
        reason: record.reason,
        address: record.address.map(|address| address.to_string()).unwrap_or_default(),
    }
}

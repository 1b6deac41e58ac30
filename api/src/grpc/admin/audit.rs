//! The audit log in the contract's messages.

use imd_proto::v1;

use crate::{grpc::convert::timestamp, service::AuditRecord};

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

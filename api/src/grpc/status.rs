//! Errors as gRPC shows them: a status with `google.rpc` details.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    model::{Class, Error},
    telemetry::{self, call},
};

/// `domain` of `google.rpc.ErrorInfo`.
const DOMAIN: &str = "imd";

/// The status for an error.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn status(error: Error) -> Status {
    telemetry::note(&error);
    let metadata: HashMap<String, String> =
        error.details().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let mut details = ErrorDetails::with_error_info(error.code(), DOMAIN, metadata);
    if let Error::InvalidArgument { field, reason } = &error {
        details.add_bad_request_violation(*field, reason);
    }
    if let Some(retry_after) = error.retry_after() {
        details.set_retry_info(Some(retry_after));
    }
    if let Some(request_id) = call::request_id() {
        details.set_request_info(request_id.as_str(), "");
    }
    Status::with_error_details(code(error.class()), error.to_string(), details)
}

pub(super) fn code(class: Class) -> Code {
    Code::from_i32(class.grpc_code())
}

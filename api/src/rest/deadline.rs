//! Deadlines: no request takes for ever, however slowly its body comes.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::time::timeout;

use super::problem::Problem;
use crate::{
    model::{Error, Limit},
    service::Service,
    telemetry,
};

/// Answers `unavailable` when the request's time is up. A stream that has begun goes on.
pub(super) async fn keep(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    timeout(service.call_timeout(), next.run(request)).await.unwrap_or_else(|late| {
        telemetry::note_limit(Limit::CallTimeout);
        Problem::from(Error::unavailable(late)).into_response()
    })
}

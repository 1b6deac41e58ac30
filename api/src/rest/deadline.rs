//! Deadlines: no request takes for ever, however slowly its body comes.

use std::sync::Arc;

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::time::timeout;

use super::problem::Problem;
use crate::{
    model::{Error, Limit},
    service::Service,
    telemetry::{self, call, trace},
};

/// Answers `unavailable` when the request's time is up. A stream that has begun goes on.
pub(super) async fn keep(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    if let Some(route) = request.extensions().get::<MatchedPath>() {
        trace::note_route(request.method(), route.as_str());
        // Clients may make methods up.
        let method = call::current().map_or("OTHER", |call| call.method());
        call::note_method(&format!("{method} {}", route.as_str()));
    }
    timeout(service.call_timeout(), next.run(request)).await.unwrap_or_else(|late| {
        telemetry::note_limit(Limit::CallTimeout);
        Problem::from(Error::unavailable(late)).into_response()
    })
}

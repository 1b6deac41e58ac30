//! Which pages of other origins may call the public listener from a browser.

use std::time::Duration;

use axum::{
    Router,
    http::{
        HeaderName, Method,
        header::{AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, RANGE, RETRY_AFTER},
    },
};
use tower_http::cors::{Any, CorsLayer};

use crate::config::Origins;

/// How long a browser may remember what it was told. Browsers have shorter limits of their own.
const MAX_AGE: Duration = Duration::from_hours(2);

/// What clients send: of REST, of gRPC-web, and of Connect's client for it.
const REQUEST_HEADERS: [HeaderName; 13] = [
    AUTHORIZATION,
    CONTENT_TYPE,
    RANGE,
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("x-grpc-web"),
    HeaderName::from_static("x-user-agent"),
    HeaderName::from_static("grpc-timeout"),
    HeaderName::from_static("grpc-accept-encoding"),
    HeaderName::from_static("connect-protocol-version"),
    HeaderName::from_static("connect-timeout-ms"),
];

/// What clients need to see of an answer, beside what every page may see.
const RESPONSE_HEADERS: [HeaderName; 6] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
    CONTENT_RANGE,
    RETRY_AFTER,
];

/// Lets pages of `origins` call the routes. Never with cookies: access is by tokens alone.
pub fn allow(origins: &Origins, routes: Router) -> Router {
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(REQUEST_HEADERS)
        .expose_headers(RESPONSE_HEADERS)
        .max_age(MAX_AGE);
    match origins {
        Origins::None => routes,
        Origins::Any => routes.layer(layer.allow_origin(Any)),
        Origins::Listed(origins) => routes.layer(layer.allow_origin(origins.clone())),
    }
}

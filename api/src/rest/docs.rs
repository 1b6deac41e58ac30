//! The OpenAPI document, and a page that shows it. The page asks for nothing beyond its own server.

use axum::{
    Router,
    body::Bytes,
    http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    response::{Html, IntoResponse},
    routing::get,
};
use utoipa::openapi::OpenApi;

/// Nothing runs or loads that does not stand in the page itself, save the document it shows.
const POLICY: &str = "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; \
    style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn router<S: Clone + Send + Sync + 'static>(document: &OpenApi) -> Router<S> {
    // Written once, and shared by all who read it.
    let document = Bytes::from(document.to_json().unwrap_or_default());
    Router::new()
        .route(
            "/openapi.json",
            get(async move || ([(CONTENT_TYPE, "application/json")], document.clone())),
        )
        .route("/docs", get(docs))
}

async fn docs() -> impl IntoResponse {
    let headers = [(CONTENT_SECURITY_POLICY, POLICY), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, Html(include_str!("docs.html")))
}

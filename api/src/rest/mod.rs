//! The REST transport: decode, one call of the service, encode. It mirrors the gRPC contract in JSON.

mod admin;
mod attachments;
mod auth;
mod blocks;
mod codes;
mod contacts;
mod deadline;
mod docs;
mod document;
mod events;
mod extract;
mod flat;
mod groups;
mod history;
mod info;
mod messages;
mod objects;
mod page;
mod paging;
mod pins;
mod presence;
mod problem;
mod profiles;
mod push;
mod reactions;
mod schedule;
mod search;
mod socket;
mod types;

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, header::CACHE_CONTROL},
    middleware::{from_fn_with_state, map_response},
    response::{IntoResponse, Response},
    routing::get,
};
use utoipa::{OpenApi as _, openapi::OpenApi};
use utoipa_axum::router::OpenApiRouter;

pub use self::socket::Sockets;
use self::{document::Document, problem::Problem};
use crate::{model::Error, service::Service, telemetry};

/// How many bytes of JSON one byte of a text can take: `a` may be written as `\u0061`.
const LONGEST_ESCAPE: usize = 6;

/// What a request may take in bytes beside the body of a message, every character of it escaped.
const OVERHEAD: usize = 16 * 1024;

/// The routes of the public listener. Without a fallback, so that they can be merged with others; see
/// [`unknown_path`]. Connections over WebSocket are counted in `sockets`; `page` says whether there is a chat at `/`.
pub fn public_router(service: Arc<Service>, sockets: Sockets, page: bool) -> Router {
    let largest = largest_body(&service);
    let (operations, document) = operations().split_for_parts();
    let (contents, of_contents) = attachments::contents().split_for_parts();
    let mut document = document.merge_from(of_contents);
    flat::flatten(&mut document);
    operations
        .layer(map_response(not_to_be_stored))
        .layer(Extension(sockets))
        .merge(docs::router(&document))
        .merge(if page { page::router() } else { Router::new() })
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(largest))
        .layer(from_fn_with_state(service.clone(), deadline::keep))
        // A file takes as long as it takes.
        .merge(
            contents
                .method_not_allowed_fallback(method_not_allowed)
                .layer(map_response(not_to_be_stored)),
        )
        .with_state(service)
}

/// The routes of the admin listener. Without a fallback, as [`public_router`].
pub fn admin_router(service: Arc<Service>) -> Router {
    let (operations, _) = info::health().split_for_parts();
    let operations = operations.route("/metrics", get(async || telemetry::render_metrics()));
    operations
        .layer(from_fn_with_state(service.clone(), deadline::keep))
        .merge(admin::router(&service))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(service)
}

/// The answer to a path that nothing else answers.
#[must_use]
pub fn unknown_path() -> Response {
    Problem::not_found().into_response()
}

/// The answer to a request that is refused for an error, whatever it is.
#[must_use]
pub fn refuse(error: Error) -> Response {
    Problem::from(error).into_response()
}

/// The largest body of a request, in bytes.
fn largest_body(service: &Service) -> usize {
    service.max_body_bytes() * LONGEST_ESCAPE + OVERHEAD
}

/// The OpenAPI document of [`public_router`].
#[must_use]
pub fn openapi() -> OpenApi {
    let document = operations().into_openapi();
    let mut document = document.merge_from(attachments::contents().into_openapi());
    flat::flatten(&mut document);
    document
}

/// [`openapi`] as it is committed, without the line end.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "a tree of strings and numbers always serializes")]
pub fn openapi_json() -> String {
    openapi().to_pretty_json().expect("the document is JSON")
}

/// The OpenAPI document of [`admin_router`], as it is committed, without the line end.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "a tree of strings and numbers always serializes")]
pub fn admin_openapi_json() -> String {
    admin::openapi().to_pretty_json().expect("the document is JSON")
}

fn operations() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(auth::routes())
        .merge(messages::routes())
        .merge(reactions::routes())
        .merge(pins::routes())
        .merge(schedule::routes())
        .merge(search::routes())
        .merge(attachments::routes())
        .merge(events::routes())
        .merge(socket::routes())
        .merge(history::routes())
        .merge(groups::routes())
        .merge(blocks::routes())
        .merge(contacts::routes())
        .merge(presence::routes())
        .merge(profiles::routes())
        .merge(push::routes())
        .merge(info::routes())
}

async fn method_not_allowed() -> Problem {
    Problem::method_not_allowed()
}

/// Tokens and messages are for the one who asked and for no cache.
async fn not_to_be_stored(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_openapi_json_is_current() {
        let committed = include_str!("../../../openapi/openapi.json");
        assert!(
            committed.trim_end() == super::openapi_json(),
            "run: cargo run -- openapi > openapi/openapi.json"
        );
    }

    #[test]
    fn the_committed_admin_json_is_current() {
        let committed = include_str!("../../../openapi/admin.json");
        assert!(
            committed.trim_end() == super::admin_openapi_json(),
            "run: cargo run -- openapi --admin > openapi/admin.json"
        );
    }
}

//! What administrators and backends do over REST: the same calls of the service as over gRPC, with the same keys,
//! roles and audit records.

mod attachments;
mod broadcasts;
mod cluster;
mod document;
mod groups;
mod keys;
mod lines;
mod messages;
mod push;
mod retention;
mod sessions;
mod transfer;
mod users;
mod webhooks;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequestParts, Request, State},
    http::{HeaderMap, request::Parts},
    middleware::{Next, from_fn_with_state, map_response},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use utoipa::{OpenApi as _, openapi::OpenApi};
use utoipa_axum::router::OpenApiRouter;

use self::document::AdminDocument;
use super::{
    deadline, docs, extract::Bearer, flat, info, largest_body, method_not_allowed,
    not_to_be_stored, problem::Problem,
};
use crate::{
    model::{ClientAddress, Error},
    service::{Admin, AdminCall, MOST_SENT, Service},
};

/// Says why a call is made, as a text in UTF-8.
const REASON: &str = "imd-reason";

/// The same in base64, for clients that send nothing but ASCII in headers; as over gRPC.
const REASON_IN_BASE64: &str = "imd-reason-bin";

/// The routes below `/admin/v1`, and the document of them with its page.
pub(super) fn router(service: &Arc<Service>) -> Router<Arc<Service>> {
    let largest = largest_body(service);
    let (operations, _) = operations().split_for_parts();
    let (batches, _) = messages::batches().merge(broadcasts::lists()).split_for_parts();
    let (streams, _) = transfer::imports().split_for_parts();
    operations
        .layer(DefaultBodyLimit::max(largest))
        .merge(
            batches
                .layer(DefaultBodyLimit::max(largest.saturating_mul(MOST_SENT).min(LARGEST_BATCH))),
        )
        .layer(from_fn_with_state(service.clone(), deadline::keep))
        // An import takes as long as it takes.
        .merge(streams.layer(DefaultBodyLimit::disable()))
        .layer(from_fn_with_state(service.clone(), known_first))
        .layer(map_response(not_to_be_stored))
        .merge(docs::router(&openapi()))
        .method_not_allowed_fallback(method_not_allowed)
}

/// The largest body of a batch, in bytes: it is read as one, and each message may be as large as any.
const LARGEST_BATCH: usize = 16 * 1024 * 1024;

fn operations() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::with_openapi(AdminDocument::openapi())
        .merge(users::routes())
        .merge(sessions::routes())
        .merge(messages::routes())
        .merge(attachments::routes())
        .merge(broadcasts::routes())
        .merge(push::routes())
        .merge(webhooks::routes())
        .merge(groups::routes())
        .merge(retention::routes())
        .merge(keys::routes())
        .merge(cluster::routes())
        .merge(transfer::routes())
}

/// The OpenAPI document of the admin listener.
pub(super) fn openapi() -> OpenApi {
    let operations = operations()
        .merge(messages::batches())
        .merge(broadcasts::lists())
        .merge(transfer::imports());
    let mut document = operations.merge(info::health()).into_openapi();
    flat::flatten(&mut document);
    document
}

/// Lets a request in whose key is good, before its body is read. The call checks the key again.
async fn known_first(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    request: Request,
    next: Next,
) -> Response {
    match service.check_admin_key(bearer.token()).await {
        Ok(()) => next.run(request).await,
        Err(error) => Problem::from(error).into_response(),
    }
}

/// Who calls, why, and from where.
pub(super) struct Caller {
    key: Bearer,
    reason: Bytes,
    address: Option<ClientAddress>,
}

impl Caller {
    pub(super) fn call(&self) -> AdminCall<'_> {
        AdminCall { key: self.key.token(), reason: self.reason.clone(), address: self.address }
    }

    /// The administrator, if the key is good.
    pub(super) async fn admin<'a>(&self, service: &'a Service) -> Result<Admin<'a>, Problem> {
        Ok(service.admin(self.call()).await?)
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let reason = reason(&parts.headers)?;
        let address = parts.extensions.get().copied();
        let key = match Bearer::from_request_parts(parts, state).await {
            Ok(key) => key,
            Err(never) => match never {},
        };
        Ok(Self { key, reason, address })
    }
}

fn reason(headers: &HeaderMap) -> Result<Bytes, Problem> {
    if let Some(encoded) = headers.get(REASON_IN_BASE64) {
        let reason = BASE64_STANDARD.decode(encoded.as_bytes());
        return reason
            .map(Bytes::from)
            .map_err(|_| Error::invalid("reason", "must be base64").into());
    }
    let reason = headers.get(REASON).map(|reason| Bytes::copy_from_slice(reason.as_bytes()));
    Ok(reason.unwrap_or_default())
}

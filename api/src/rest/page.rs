//! The chat at `/`: a client like any other, made of a few modules that no build step touches. It asks
//! for nothing beyond its own server.

mod assets;
mod demo;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use axum::{
    Router,
    extract::Path,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
            REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
    routing::get,
};

use self::assets::{ASSETS, Asset, INDEX};
use super::problem::Problem;
use crate::service::Service;

/// Nothing runs or loads that is not one of the page's own files, and no text becomes markup. The policy `worker` lets
/// the address of the service worker pass, which is none that is put together.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types worker";

pub(super) fn router() -> Router<Arc<Service>> {
    Router::new()
        .route("/", get(async |headers: HeaderMap| answer(&INDEX, &headers)))
        .route("/page/{name}", get(asset))
        .route("/page/demo-users", get(demo::offered).post(demo::create))
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let asset = ASSETS.iter().find(|asset| asset.name == name).ok_or_else(Problem::not_found)?;
    Ok(answer(asset, &headers))
}

/// The asset, unless the browser has it already. It asks each time, so that a new version of the server
/// never meets an old page.
fn answer(asset: &Asset, headers: &HeaderMap) -> Response {
    let tag = tag(asset.content);
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let is_known = known.is_some_and(|known| known.split(',').any(|known| known.trim() == tag));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(CONTENT_TYPE, asset.media_type)], asset.content).into_response()
    };
    let set = response.headers_mut();
    set.extend(HeaderValue::from_str(&tag).map(|tag| (ETAG, tag)));
    for (name, value) in [
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        set.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn tag(content: &str) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

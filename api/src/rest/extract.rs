//! What handlers take from a request. What cannot be read is refused with a [`Problem`] that names
//! the field; whether it is valid is for the service to say.

use std::{convert::Infallible, fmt::Display};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{
        HeaderMap,
        header::{AUTHORIZATION, CONTENT_TYPE},
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use serde::{Deserializer, Serialize, de::DeserializeOwned};

use super::problem::Problem;

/// The bearer token, if the request carries one.
pub(super) struct Bearer(Option<String>);

impl Bearer {
    pub(super) fn token(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl<S: Sync> FromRequestParts<S> for Bearer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let token = || {
            let value = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.to_owned())
        };
        Ok(Self(token()))
    }
}

/// A body of JSON, of a request or a response.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::unsupported_media_type());
        }
        let body = Bytes::from_request(request, state).await?;
        let mut json = serde_json::Deserializer::from_slice(&body);
        let value = read("body", &mut json)?;
        json.end().map_err(|error| Problem::invalid("body", &error))?;
        Ok(Self(value))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// The parameters of the query string.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        read("query", serde_urlencoded::Deserializer::new(query)).map(Self)
    }
}

/// The parameters of the path.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let axum::extract::Path(parameters) =
            axum::extract::Path::from_request_parts(parts, state).await?;
        Ok(Self(parameters))
    }
}

/// Reads a value; one of the wrong shape is a problem of the field it stands in, or else of `part`.
fn read<'de, T, D>(part: &str, deserializer: D) -> Result<T, Problem>
where
    T: DeserializeOwned,
    D: Deserializer<'de, Error: Display>,
{
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path();
        match path.iter().next() {
            Some(_) => Problem::invalid(&path.to_string(), error.inner()),
            None => Problem::invalid(part, error.inner()),
        }
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

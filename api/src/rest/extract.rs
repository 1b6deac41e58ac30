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
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{objects::Objects, problem::Problem};
use crate::model::{Error, Result as ServiceResult};

/// The bearer token, if the request carries one.
pub(super) struct Bearer(Option<String>);

impl Bearer {
    pub(super) fn token(&self) -> Option<&str> {
        self.0.as_deref()
    }

    pub(super) fn into_token(self) -> Option<String> {
        self.0
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

/// Reads a value; one of the wrong shape, or an object that is given as the list of its members, is a problem of the
/// field it stands in, or else of `part`.
pub(super) fn read<'de, T, D>(part: &str, deserializer: D) -> Result<T, Problem>
where
    T: DeserializeOwned,
    D: Deserializer<'de, Error: Display>,
{
    serde_path_to_error::deserialize(Objects(deserializer)).map_err(|error| {
        // `.` stands for the whole, `?` for a place that was not reached.
        let path = error.path().to_string();
        let field = Some(path.trim_end_matches(['.', '?'])).filter(|field| !field.is_empty());
        Problem::invalid(field.unwrap_or(part), error.inner())
    })
}

/// The time that a parameter gives as `field`, if it is there.
pub(super) fn time(
    field: &'static str,
    at: Option<String>,
) -> ServiceResult<Option<OffsetDateTime>> {
    let read = |at: String| OffsetDateTime::parse(&at, &Rfc3339);
    let refusal = |_| Error::invalid(field, "must be a time such as 2026-11-23T07:30:00Z");
    at.map(read).transpose().map_err(refusal)
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use axum::{
        Router,
        body::{Body, to_bytes},
        extract::DefaultBodyLimit,
        http::StatusCode,
        routing::{get, post},
    };
    use serde::Deserialize;
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;

    #[derive(Deserialize)]
    struct Outer {
        #[serde(default)]
        inner: Inner,
    }

    #[derive(Default, Deserialize)]
    struct Inner {
        #[serde(default)]
        number: i32,
    }

    fn router() -> Router {
        Router::new()
            .route("/body", post(async |Json(outer): Json<Outer>| outer.inner.number.to_string()))
            .route("/query", get(async |Query(inner): Query<Inner>| inner.number.to_string()))
            .route("/path/{id}", get(async |Path(id): Path<String>| id))
            .route(
                "/number/{number}",
                get(async |Path(inner): Path<Inner>| inner.number.to_string()),
            )
            .route(
                "/token",
                get(async |bearer: Bearer| bearer.token().unwrap_or("none").to_owned()),
            )
            .layer(DefaultBodyLimit::max(64))
    }

    async fn answer(request: Request) -> (StatusCode, String) {
        let response = router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let is_text = parts.headers[CONTENT_TYPE].to_str().unwrap().starts_with("text/plain");
        assert!(is_text == parts.status.is_success(), "{:?}", parts.headers);
        (parts.status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn answer_to(body: &str, content_type: &str) -> (StatusCode, String) {
        let request = Request::post("/body").header(CONTENT_TYPE, content_type);
        answer(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    async fn get_answer(uri: &str) -> (StatusCode, String) {
        answer(Request::get(uri).body(Body::empty()).unwrap()).await
    }

    fn refused(
        (found, problem): (StatusCode, String),
        status: u16,
        code: &str,
        field: Option<&str>,
    ) {
        let problem: Value = serde_json::from_str(&problem).unwrap();
        assert_eq!(found, status, "{problem}");
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["field"].as_str(), field, "{problem}");
    }

    #[tokio::test]
    async fn a_body_is_read_whatever_else_stands_in_it() {
        let json = r#"{"inner": {"number": 7, "new": true}}"#;
        for content_type in ["application/json", "Application/JSON; charset=utf-8"] {
            assert_eq!(answer_to(json, content_type).await, (StatusCode::OK, "7".to_owned()));
        }
        assert_eq!(answer_to("{}", "application/json").await.1, "0");
    }

    #[tokio::test]
    async fn a_body_that_cannot_be_read_is_a_problem_of_the_field() {
        let json = async |body| answer_to(body, "application/json").await;
        let invalid = "invalid_argument";
        refused(json(r#"{"inner": {"number": "7"}}"#).await, 400, invalid, Some("inner.number"));
        refused(json(r#"{"inner": null}"#).await, 400, invalid, Some("inner"));
        refused(json(r#"{"inner": [7]}"#).await, 400, invalid, Some("inner"));
        for body in ["", "[", "[{}]", "{", "7", "{} {}", r#"{"inner": {}, "inner": {}}"#] {
            refused(json(body).await, 400, invalid, Some("body"));
        }
        refused(json(&" ".repeat(65)).await, 413, "body_too_large", None);
        refused(answer_to("{}", "text/plain").await, 415, "unsupported_media_type", None);
    }

    #[tokio::test]
    async fn parameters_that_cannot_be_read_are_problems_of_the_field() {
        assert_eq!(get_answer("/query?number=7&new=1").await.1, "7");
        for value in ["x", "", "99999999999"] {
            let answer = get_answer(&format!("/query?number={value}")).await;
            refused(answer, 400, "invalid_argument", Some("number"));
        }
        refused(
            get_answer("/query?number=1&number=2").await,
            400,
            "invalid_argument",
            Some("query"),
        );
        assert_eq!(get_answer("/path/user:a%40b").await.1, "user:a@b");
        refused(get_answer("/path/%FF").await, 400, "invalid_argument", Some("id"));
        assert_eq!(get_answer("/number/7").await.1, "7");
        refused(get_answer("/number/x").await, 400, "invalid_argument", Some("number"));
    }

    #[tokio::test]
    async fn a_token_is_taken_from_a_bearer_header_alone() {
        for (header, token) in
            [("Bearer abc", "abc"), ("bearer abc", "abc"), ("Basic abc", "none"), ("abc", "none")]
        {
            let request = Request::get("/token").header(AUTHORIZATION, header);
            assert_eq!(answer(request.body(Body::empty()).unwrap()).await.1, token, "{header}");
        }
        assert_eq!(get_answer("/token").await.1, "none");
    }
}

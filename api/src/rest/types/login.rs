//! Logging in, and keeping logged in.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    id::UserId,
    session::{Session, Terminal},
};
use crate::{
    model::{self, Error},
    service::{self, Credential},
};

/// A login.
///
/// Has either a `password` or, where the deployment trusts issuers of its own, an `assertion`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({
    "user_id": "ann",
    "password": "correct horse battery staple",
    "terminal": { "type": "phone", "device_id": "pixel-7f3a", "device_name": "Ann's Pixel" },
})))]
pub(crate) struct LoginRequest {
    /// With an assertion it may be left out, and is otherwise the same as the assertion's `sub`.
    #[serde(default)]
    user_id: UserId,
    /// At most 1,024 bytes.
    #[schema(nullable = false, format = Password, min_length = 1, max_length = 1024)]
    password: Option<String>,
    /// A JWT signed by an issuer that the deployment trusts. Claims: `iss`; `aud`; `sub`, the user id;
    /// `iat` and `exp`; `jti`, which no other assertion of the issuer has, 1–256 bytes. Optional:
    /// `nbf`; `name`, what people call the user, at most 64 characters; `tier`, which the user has from
    /// then on; `terminal_type`, the only one it is good for. It opens one session.
    #[schema(nullable = false, min_length = 1, max_length = 8192)]
    assertion: Option<String>,
    #[serde(default)]
    #[schema(required = true)]
    terminal: Terminal,
    #[serde(default)]
    #[schema(default = json!("REPLACE"))]
    if_occupied: IfOccupied,
}

/// What a login does when its terminal type has no place free.
///
/// `REPLACE`: end the oldest live sessions of the type. `REFUSE`: refuse the login while another
/// device's session of the type has a live stream or was used within the last minutes; a session that
/// nobody uses any more never stands in the way.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum IfOccupied {
    #[default]
    Replace,
    Refuse,
}

/// A pair of tokens.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "access_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJFZERTQSJ9.e30.c2ln",
    "expires_in": 900,
    "refresh_token": "AAAAAAAAAAEBmr3k",
})))]
pub(crate) struct Tokens {
    /// A JWT. Opaque to clients.
    access_token: String,
    /// How long the access token lasts, in seconds from now.
    #[schema(minimum = 1)]
    expires_in: u64,
    /// For `POST /v1/refresh`. Opaque. Keep it as you would a password.
    refresh_token: String,
}

/// What a login brought.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "access_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJFZERTQSJ9.e30.c2ln",
    "expires_in": 900,
    "refresh_token": "AAAAAAAAAAEBmr3k",
    "session": Session::example(),
    "replaced": [],
})))]
pub(crate) struct LoginResponse {
    #[serde(flatten)]
    tokens: Tokens,
    session: Session,
    /// The sessions that this login ended, with the reason of each.
    replaced: Vec<Session>,
}

/// An exchange of tokens.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "refresh_token": "AAAAAAAAAAEBmr3k" })))]
pub(crate) struct RefreshRequest {
    /// The newest refresh token the client has.
    #[serde(default)]
    #[schema(required = true, min_length = 1)]
    pub(in crate::rest) refresh_token: String,
}

impl TryFrom<LoginRequest> for service::Login {
    type Error = Error;

    fn try_from(request: LoginRequest) -> Result<Self, Error> {
        let credential = match (request.password, request.assertion) {
            (Some(password), None) => Some(Credential::Password(password)),
            (None, Some(assertion)) => Some(Credential::Assertion(assertion)),
            (None, None) => None,
            (Some(_), Some(_)) => {
                return Err(Error::invalid("assertion", "there is a password, too"));
            }
        };
        Ok(Self {
            user_id: request.user_id.0,
            credential,
            terminal_type: request.terminal.r#type,
            device_id: request.terminal.device_id.0,
            device_name: request.terminal.device_name,
            if_occupied: match request.if_occupied {
                IfOccupied::Replace => model::IfOccupied::Replace,
                IfOccupied::Refuse => model::IfOccupied::Refuse,
            },
            address: None,
        })
    }
}

impl From<service::Tokens> for Tokens {
    fn from(tokens: service::Tokens) -> Self {
        Self {
            access_token: tokens.access_token,
            expires_in: tokens.expires_in.as_secs(),
            refresh_token: tokens.refresh_token,
        }
    }
}

impl From<service::LoggedIn> for LoginResponse {
    fn from(logged_in: service::LoggedIn) -> Self {
        let session = &logged_in.session;
        Self {
            session: Session::new(session, Some(session.session_id)),
            replaced: Session::list(&logged_in.replaced),
            tokens: logged_in.tokens.into(),
        }
    }
}

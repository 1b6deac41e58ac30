//! `cors.allowed_origins`

use axum::http::{HeaderValue, Uri};
use serde::{Deserialize, Serialize};

/// The origins of pages that may call the public listener. In settings a text: `*`, or origins with
/// commas between them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Origins {
    /// Those of the listener's own origin alone.
    #[default]
    None,
    /// All.
    Any,
    /// These.
    Listed(Vec<HeaderValue>),
}

impl TryFrom<String> for Origins {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.trim() {
            "" => Ok(Self::None),
            "*" => Ok(Self::Any),
            listed => listed.split(',').map(|origin| read(origin.trim())).collect::<Option<_>>().map(Self::Listed)
                .ok_or("expected `*`, or origins such as `https://chat.example.com` with commas between them"),
        }
    }
}

/// An origin as browsers write it: a scheme, a host and perhaps a port.
fn read(origin: &str) -> Option<HeaderValue> {
    let uri: Uri = origin.parse().ok()?;
    let written = format!("{}://{}", uri.scheme_str()?, uri.authority()?);
    if written != origin || origin.contains('@') || origin != origin.to_lowercase() {
        return None;
    }
    origin.parse().ok()
}

impl From<Origins> for String {
    fn from(origins: Origins) -> Self {
        match origins {
            Origins::None => Self::new(),
            Origins::Any => "*".to_owned(),
            Origins::Listed(origins) => {
                let origins: Vec<_> = origins
                    .iter()
                    .map(|origin| String::from_utf8_lossy(origin.as_bytes()))
                    .collect();
                origins.join(",")
            }
        }
    }
}

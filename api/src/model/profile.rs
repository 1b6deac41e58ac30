//! Profiles: what users show of themselves.

use serde::{Deserialize, Serialize};

use super::{Error, Result, UserId, group::check_attributes, is_display_name};

/// The longest URL of an avatar, in bytes.
pub const MAX_AVATAR_URL_BYTES: usize = 2048;

/// What a user shows of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Whose it is.
    pub user_id: UserId,
    /// What people call the user; may be empty.
    pub name: String,
    /// Where a picture of the user is; empty for none.
    pub avatar_url: String,
    /// A JSON object of the customer's own, up to 4,096 bytes.
    pub attributes: String,
    /// Counts the changes of those above.
    pub version: i64,
}

/// What is to change of a profile; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct ChangeProfile {
    /// Up to 64 characters on one line; may be empty.
    pub name: Option<String>,
    /// An `https` or `http` URL; empty for none.
    pub avatar_url: Option<String>,
    /// A JSON object.
    pub attributes: Option<String>,
    /// The version that the caller has read; `None` where it does not matter what that was.
    pub version: Option<i64>,
}

/// Somebody's profile has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileChanged {
    /// Whose.
    pub user_id: UserId,
}

impl ChangeProfile {
    /// Checks all that is to change.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] by the field's name.
    pub fn check(&self) -> Result<()> {
        if self.name.as_deref().is_some_and(|name| !is_display_name(name)) {
            let reason = "must be at most 64 characters, none of them a control character or a change of direction";
            return Err(Error::invalid("name", reason));
        }
        if let Some(url) = &self.avatar_url {
            check_avatar_url(url)?;
        }
        self.attributes.as_deref().map_or(Ok(()), check_attributes)
    }
}

fn check_avatar_url(url: &str) -> Result<()> {
    if url.is_empty() {
        return Ok(());
    }
    if url.len() > MAX_AVATAR_URL_BYTES {
        let reason = format!("must be at most {MAX_AVATAR_URL_BYTES} bytes");
        return Err(Error::invalid("avatar_url", reason));
    }
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let has_host =
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || c == '['));
    if !has_host || !url.chars().all(|c| c.is_ascii_graphic()) {
        return Err(Error::invalid("avatar_url", "must be an https or http URL"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_avatar_is_at_an_http_url() {
        let change =
            |url: &str| ChangeProfile { avatar_url: Some(url.to_owned()), ..Default::default() };
        for good in ["", "https://example.com/a.png", "http://[::1]:80/a?b=c#d"] {
            change(good).check().unwrap();
        }
        for bad in
            ["a.png", "javascript:alert(1)", "https://", "https:///a", "https://a b", "data:,x"]
        {
            change(bad).check().unwrap_err();
        }
        change(&format!("https://{}", "a".repeat(MAX_AVATAR_URL_BYTES))).check().unwrap_err();
    }
}

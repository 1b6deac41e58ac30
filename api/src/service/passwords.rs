//! Passwords: Argon2id over their normal form, off the threads that serve.

mod queue;

use std::{borrow::Cow, thread::available_parallelism};

use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use self::queue::Queue;
pub(super) use self::queue::Requester;
use crate::model::{Error, Result};

/// The shortest password that can be set, in bytes of its normal form.
const MIN_LENGTH: usize = 8;

/// The longest password, in bytes.
const MAX_LENGTH: usize = 1024;

/// One core in so many hashes passwords: each computation takes a core and 19 MiB.
const CORES_A_THREAD: usize = 2;

pub(super) struct Passwords {
    queue: Queue,
    /// A hash for users who do not exist, so that they take as long as those who do.
    decoy: String,
}

impl Passwords {
    pub(super) fn new() -> Result<Self> {
        let cores = available_parallelism().map_or(1, std::num::NonZero::get);
        let decoy = hash(&uuid::Uuid::new_v4().to_string())?;
        Ok(Self { queue: Queue::start((cores / CORES_A_THREAD).max(1))?, decoy })
    }

    /// Hashes a password to be set, given as `field`.
    ///
    /// Errors: [`Error::InvalidArgument`], [`Error::Overloaded`].
    pub(super) async fn hash(&self, field: &'static str, password: String) -> Result<String> {
        let normal = normal_form(&password);
        if normal.len() < MIN_LENGTH || password.len().max(normal.len()) > MAX_LENGTH {
            return Err(Error::invalid(
                field,
                format!("must be {MIN_LENGTH}–{MAX_LENGTH} bytes long"),
            ));
        }
        let normal = normal.into_owned();
        self.queue.compute(Requester::default(), move || hash(&normal)).await
    }

    /// Whether the password is the one that was hashed. Without a hash it is not, after the same time.
    ///
    /// Errors: [`Error::Overloaded`].
    pub(super) async fn verify(
        &self,
        requester: Requester,
        password: String,
        stored: Option<&str>,
    ) -> Result<bool> {
        if password.len() > MAX_LENGTH {
            return Ok(false);
        }
        let known = stored.is_some();
        let stored = stored.unwrap_or(&self.decoy).to_owned();
        let matches = self.queue.compute(requester, move || matches(&password, &stored)).await?;
        Ok(matches && known)
    }
}

/// A password as PRECIS has it in mind (RFC 8265, `OpaqueString`): composed (NFC), and every space a
/// plain one. So it is the same on keyboards that type `é` as one character and as two.
fn normal_form(password: &str) -> Cow<'_, str> {
    if password.is_ascii() {
        return Cow::Borrowed(password);
    }
    let spaced = password.chars().map(|c| if is_space(c) { ' ' } else { c });
    if is_nfc_quick(spaced.clone()) == IsNormalized::Yes && !password.chars().any(is_space) {
        return Cow::Borrowed(password);
    }
    Cow::Owned(spaced.nfc().collect())
}

/// The spaces (Zs) outside of ASCII.
fn is_space(c: char) -> bool {
    matches!(
        c,
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

fn hash(normal: &str) -> Result<String> {
    let hash = Argon2::default().hash_password(normal.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| Error::internal(error.to_string()))
}

fn matches(password: &str, stored: &str) -> Result<bool> {
    let stored = PasswordHash::new(stored).map_err(|error| Error::internal(error.to_string()))?;
    let matches = |text: &str| Argon2::default().verify_password(text.as_bytes(), &stored).is_ok();
    let normal = normal_form(password);
    // Hashes from before passwords were normalised are of what was typed.
    Ok(matches(&normal) || (*normal != *password && matches(password)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_same_however_it_is_typed() {
        let composed = "caf\u{e9} cr\u{e8}me";
        for typed in ["cafe\u{301} cre\u{300}me", "caf\u{e9}\u{a0}cr\u{e8}me", composed] {
            assert_eq!(normal_form(typed), composed);
        }
        assert_eq!(normal_form("Cafe creme"), "Cafe creme");
        assert_ne!(normal_form("\u{ff21}"), "A", "width is kept");
    }

    #[test]
    fn hashes_of_what_was_typed_still_match() {
        let typed = "cafe\u{301} creme";
        assert!(matches(typed, &hash(typed).unwrap()).unwrap());
        assert!(matches(typed, &hash("caf\u{e9} creme").unwrap()).unwrap());
        assert!(!matches("cafe creme", &hash(typed).unwrap()).unwrap());
    }
}

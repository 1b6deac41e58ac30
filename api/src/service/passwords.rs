//! Passwords: Argon2id, off the threads that serve, and not more at a time than there are cores.

use std::{sync::Arc, thread::available_parallelism};

use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier};
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::model::{Error, Result};

/// The shortest password that can be set, in bytes.
const MIN_LENGTH: usize = 8;

/// The longest password, in bytes.
const MAX_LENGTH: usize = 1024;

pub(super) struct Passwords {
    /// Each computation takes 19 MiB and a core.
    places: Arc<Semaphore>,
    /// A hash for users who do not exist, so that they take as long as those who do.
    decoy: String,
}

impl Passwords {
    pub(super) fn new() -> Result<Self> {
        let cores = available_parallelism().map_or(2, std::num::NonZero::get);
        let decoy = hash(uuid::Uuid::new_v4().to_string().as_bytes())?;
        Ok(Self { places: Arc::new(Semaphore::new(cores)), decoy })
    }

    /// Hashes a password to be set, given as `field`.
    pub(super) async fn hash(&self, field: &'static str, password: String) -> Result<String> {
        if !(MIN_LENGTH..=MAX_LENGTH).contains(&password.len()) {
            return Err(Error::invalid(
                field,
                format!("must be {MIN_LENGTH}–{MAX_LENGTH} bytes long"),
            ));
        }
        self.compute(move || hash(password.as_bytes())).await?
    }

    /// Whether the password is the one that was hashed. Without a hash it is not, after the same time.
    pub(super) async fn verify(&self, password: String, stored: Option<&str>) -> Result<bool> {
        if password.len() > MAX_LENGTH {
            return Ok(false);
        }
        let known = stored.is_some();
        let stored = stored.unwrap_or(&self.decoy).to_owned();
        let matches = self
            .compute(move || {
                let stored =
                    PasswordHash::new(&stored).map_err(|e| Error::internal(e.to_string()))?;
                Ok::<_, Error>(
                    Argon2::default().verify_password(password.as_bytes(), &stored).is_ok(),
                )
            })
            .await??;
        Ok(matches && known)
    }

    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let _place = self.places.acquire().await.map_err(Error::internal)?;
        spawn_blocking(work).await.map_err(Error::internal)
    }
}

fn hash(password: &[u8]) -> Result<String> {
    let hash = Argon2::default().hash_password(password);
    hash.map(|hash| hash.to_string()).map_err(|error| Error::internal(error.to_string()))
}

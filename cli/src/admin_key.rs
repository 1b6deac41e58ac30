//! Where the admin key comes from.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret as _, SecretString};
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::Uri,
};

use crate::{
    client::{bearer, is_local},
    error::Error,
    profile::{Profile, warn_if_others_can_read},
};

/// The file that imd writes into its data folder.
const FILE_NAME: &str = "admin.key";
/// The data folder of an imd that was told nothing.
const DEFAULT_DATA_DIR: &str = "./imd-data";

/// An admin key and where it was found.
#[derive(Debug)]
pub(crate) struct AdminKey {
    /// As the `authorization` metadata of a call.
    pub(crate) bearer: MetadataValue<Ascii>,
    /// For messages.
    pub(crate) origin: String,
}

impl AdminKey {
    /// Takes the first place that is given: argument, environment, profile, data folder. The default
    /// data folder counts for a server on this machine alone, so that its key is not sent elsewhere.
    pub(crate) fn find(
        file: Option<&Path>,
        profile: &Profile,
        server: &Uri,
    ) -> Result<Self, Error> {
        if let Some(path) = file {
            return Self::read(path);
        }
        if let Some(key) = env::var_os("IMCTL_ADMIN_KEY") {
            let key = SecretString::from(key.to_string_lossy().into_owned());
            return Self::new(&key, "IMCTL_ADMIN_KEY".to_owned());
        }
        if let Some(path) = &profile.admin_key_file {
            return Self::read(path);
        }
        if let Some(key) = &profile.admin_key {
            return Self::new(key, "the profile".to_owned());
        }
        Self::of_data_dir(env::var_os("IMD_DATA_DIR").map(PathBuf::from), is_local(server))
    }

    fn of_data_dir(data_dir: Option<PathBuf>, local: bool) -> Result<Self, Error> {
        let mut looked: Vec<String> = [
            "--admin-key-file, IMCTL_ADMIN_KEY_FILE, IMCTL_ADMIN_KEY: not given",
            "profile: has none",
        ]
        .map(str::to_owned)
        .into();
        if data_dir.is_none() && !local {
            looked.push(format!("{DEFAULT_DATA_DIR}: not for a server on another machine"));
            return Err(Error::NoKey(looked));
        }
        let path = data_dir.unwrap_or_else(|| DEFAULT_DATA_DIR.into()).join(FILE_NAME);
        if path.try_exists().is_ok_and(|exists| !exists) {
            looked.push(format!("{}: no such file", path.display()));
            return Err(Error::NoKey(looked));
        }
        Self::read(&path)
    }

    fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|cause| unreadable(path, &cause))?;
        warn_if_others_can_read(path);
        Self::new(&SecretString::from(text), path.display().to_string())
    }

    fn new(key: &SecretString, origin: String) -> Result<Self, Error> {
        let key = key.expose_secret().trim();
        if key.is_empty() {
            return Err(Error::BadKey(format!("the admin key from {origin} is empty")));
        }
        let bearer = bearer(key)
            .map_err(|_| Error::BadKey(format!("what {origin} holds is not an admin key")))?;
        Ok(Self { bearer, origin })
    }
}

fn unreadable(path: &Path, cause: &io::Error) -> Error {
    Error::BadKey(format!("cannot read the admin key file {}: {cause}", path.display()))
}

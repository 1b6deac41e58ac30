//! Named profiles: which servers there are and where their admin keys lie.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
};

use secrecy::SecretString;
use serde::Deserialize;

use crate::{args::Connection, error::Error, output};

/// The profile that is used when none is asked for.
const DEFAULT: &str = "default";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    #[serde(default)]
    profiles: BTreeMap<String, Profile>,
}

/// One server, as the configuration file describes it. Everything may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// URL of the admin listener.
    pub(crate) server: Option<String>,
    /// URL of the public listener.
    pub(crate) public_server: Option<String>,
    /// The file of the admin key. In the configuration file it may be relative to that file.
    pub(crate) admin_key_file: Option<PathBuf>,
    /// The admin key itself.
    pub(crate) admin_key: Option<SecretString>,
    /// The authorities to trust, and the certificate and private key to show. Files may be relative,
    /// too.
    pub(crate) ca: Option<PathBuf>,
    pub(crate) client_cert: Option<PathBuf>,
    pub(crate) client_key: Option<PathBuf>,
}

impl Profile {
    /// The profile that the arguments ask for; when they ask for none, `default`, or an empty one.
    /// Warns when others can read a file with a key in it.
    pub(crate) fn load(args: &Connection) -> Result<Self, Error> {
        let path = args.config.clone().or_else(default_path);
        let file = match &path {
            Some(path) => ConfigFile::read(path, args.config.is_some())?,
            None => ConfigFile::default(),
        };
        file.pick(args.profile.as_deref(), path.as_deref())
    }
}

impl ConfigFile {
    fn read(path: &Path, required: bool) -> Result<Self, Error> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound && !required => String::new(),
            Err(cause) => {
                let path = path.display();
                return Err(Error::Usage(format!("cannot read {path}: {cause}")));
            }
        };
        let file = Self::parse(&text)
            .map_err(|wrong| Error::Usage(format!("{}{wrong}", path.display())))?;
        if file.profiles.values().any(|profile| profile.admin_key.is_some()) {
            warn_if_others_can_read(path);
        }
        Ok(file)
    }

    /// The error names the line and does not show it: there may be a key in it.
    fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|wrong| {
            let line = wrong.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            format!(":{line}: {}", wrong.message())
        })
    }

    fn pick(mut self, name: Option<&str>, path: Option<&Path>) -> Result<Profile, Error> {
        let Some(mut profile) = self.profiles.remove(name.unwrap_or(DEFAULT)) else {
            return match name {
                None => Ok(Profile::default()),
                Some(name) => Err(self.no_such(name, path)),
            };
        };
        if let Some(folder) = path.and_then(Path::parent) {
            for file in [
                &mut profile.admin_key_file,
                &mut profile.ca,
                &mut profile.client_cert,
                &mut profile.client_key,
            ] {
                *file = file.take().map(|file| folder.join(file));
            }
        }
        Ok(profile)
    }

    fn no_such(&self, name: &str, path: Option<&Path>) -> Error {
        let place = path.map_or("no configuration file".into(), Path::to_string_lossy);
        let known: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
        let known = match known.as_slice() {
            [] => "it has none".to_owned(),
            names => format!("it has {}", names.join(", ")),
        };
        Error::Usage(format!("no profile \"{name}\" in {place}: {known}"))
    }
}

fn default_path() -> Option<PathBuf> {
    let folder = env::var_os("XDG_CONFIG_HOME")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
        .or_else(|| Some(env::home_dir()?.join(".config")))?;
    Some(folder.join("imctl").join("config.toml"))
}

/// Warns when the file is open to its group or to everyone.
#[cfg(unix)]
pub(crate) fn warn_if_others_can_read(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;

    let open = fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o044 != 0);
    if open {
        let path = path.display();
        output::warn(&format!(
            "others can read {path}, and it holds an admin key: chmod 600 {path}"
        ));
    }
}

/// Elsewhere permissions are not a matter of mode bits.
#[cfg(not(unix))]
pub(crate) fn warn_if_others_can_read(_path: &Path) {}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"
        [profiles.default]
        server = "http://127.0.0.1:9081"
        [profiles.prod]
        server = "https://imd-admin.example.com"
        admin_key_file = "prod.key"
    "#;

    fn pick(text: &str, name: Option<&str>) -> Result<Profile, Error> {
        ConfigFile::parse(text)
            .expect("the file is well-formed")
            .pick(name, Some(Path::new("/etc/imctl/config.toml")))
    }

    #[test]
    fn default_is_picked_unasked_and_need_not_exist() {
        let server = pick(TWO, None).expect("default").server;
        assert_eq!(server.as_deref(), Some("http://127.0.0.1:9081"));
        assert!(pick("", None).expect("nothing").server.is_none());
    }

    #[test]
    fn a_key_file_is_relative_to_the_configuration() {
        let profile = pick(TWO, Some("prod")).expect("prod");
        let key = profile.admin_key_file.expect("a key file");
        assert_eq!(key, Path::new("/etc/imctl/prod.key"));
    }

    #[test]
    fn an_unknown_profile_lists_the_known_ones() {
        let error = pick(TWO, Some("test")).expect_err("there is none");
        assert_eq!(
            error.to_string(),
            "no profile \"test\" in /etc/imctl/config.toml: it has default, prod"
        );
    }

    #[test]
    fn a_fault_is_named_by_line_without_showing_a_key() {
        let text = "[profiles.a]\nadmin_key = \"hunter2hunter2\nserver = 1";
        let wrong = ConfigFile::parse(text).expect_err("the string does not end");
        assert!(wrong.starts_with(":2: "), "{wrong}");
        assert!(!wrong.contains("hunter2"), "{wrong}");
    }

    #[test]
    fn unknown_settings_are_errors() {
        let wrong = ConfigFile::parse("[profiles.a]\nservre = \"x\"").expect_err("a typing error");
        assert!(wrong.contains("servre"), "{wrong}");
    }
}

//! Named profiles: which servers there are and where their admin keys lie.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
};

use secrecy::SecretString;
use serde::Deserialize;
use toml_edit::{DocumentMut, Table};

use crate::{
    args::Connection,
    client::{display, server_url},
    error::Error,
    output,
};

/// The profile that is used when none is asked for.
const DEFAULT: &str = "default";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    /// The profile that is used when none is asked for, instead of `default`.
    current: Option<String>,
    #[serde(default)]
    profiles: BTreeMap<String, Profile>,
}

/// One server, as the configuration file describes it. Everything may be left out.
#[derive(Debug, Clone, Default, Deserialize)]
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
        let current = self.current.take();
        let name = name.or(current.as_deref());
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

/// The file of profiles, to be changed. Comments in it stay.
pub(crate) struct Contexts {
    path: PathBuf,
    document: DocumentMut,
}

impl Contexts {
    /// Reads the file; one that is not there has no profiles.
    pub(crate) fn open(args: &Connection) -> Result<Self, Error> {
        let path = args.config.clone().or_else(default_path);
        let path = path.ok_or_else(|| {
            Error::Usage(
                "there is no home folder: name the file of profiles with --config".to_owned(),
            )
        })?;
        ConfigFile::read(&path, false)?;
        let text = fs::read_to_string(&path).unwrap_or_default();
        let document = text.parse().map_err(|wrong: toml_edit::TomlError| {
            Error::Usage(format!("{}: {}", path.display(), wrong.message()))
        })?;
        Ok(Self { path, document })
    }

    /// The profiles by name, and whether each is the one that is used unasked.
    pub(crate) fn listed(&self) -> Vec<(String, bool, Profile)> {
        let file = ConfigFile::parse(&self.document.to_string()).unwrap_or_default();
        let current = file.current.as_deref().unwrap_or(DEFAULT).to_owned();
        let with_mark = |(name, profile): (String, Profile)| {
            let is_current = name == current;
            (name, is_current, profile)
        };
        file.profiles.into_iter().map(with_mark).collect()
    }

    /// Adds a profile, or changes what the arguments say of one.
    pub(crate) fn add(
        &mut self,
        name: &str,
        args: &Connection,
        public_server: Option<&str>,
    ) -> Result<(), Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(plain) {
            return Err(Error::Usage(format!(
                "\"{name}\" is no name: letters, digits, - and _ are wanted"
            )));
        }
        if let Some(url) = public_server {
            server_url(url).map_err(|wrong| Error::Usage(format!("--public-server: {wrong}")))?;
        }
        let known = self.document.get("profiles").is_some_and(|all| all.get(name).is_some());
        if args.server.is_none() && !known {
            return Err(Error::Usage("--server is needed: where the admin listener is".to_owned()));
        }
        let profiles = self.document.entry("profiles").or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            table.into()
        });
        let not_a_table = || Error::Usage("profiles is no table".to_owned());
        let profiles = profiles.as_table_mut().ok_or_else(not_a_table)?;
        let profile = profiles.entry(name).or_insert_with(|| Table::new().into());
        let profile = profile.as_table_like_mut().ok_or_else(not_a_table)?;
        let file = |file: &Option<PathBuf>| {
            let absolute = std::path::absolute(file.as_ref()?).ok()?;
            Some(absolute.to_string_lossy().into_owned())
        };
        for (key, said) in [
            ("server", args.server.as_ref().map(display)),
            ("public_server", public_server.map(str::to_owned)),
            ("admin_key_file", file(&args.admin_key_file)),
            ("ca", file(&args.ca)),
            ("client_cert", file(&args.client_cert)),
            ("client_key", file(&args.client_key)),
        ] {
            if let Some(said) = said {
                profile.insert(key, toml_edit::value(said));
            }
        }
        Ok(())
    }

    /// Has a profile used unasked.
    pub(crate) fn make_current(&mut self, name: &str) -> Result<(), Error> {
        self.check(name)?;
        self.document["current"] = toml_edit::value(name);
        Ok(())
    }

    /// Forgets a profile.
    pub(crate) fn remove(&mut self, name: &str) -> Result<(), Error> {
        self.check(name)?;
        if let Some(profiles) = self.document["profiles"].as_table_like_mut() {
            profiles.remove(name);
        }
        if self.document.get("current").and_then(|current| current.as_str()) == Some(name) {
            self.document.remove("current");
        }
        Ok(())
    }

    fn check(&self, name: &str) -> Result<(), Error> {
        let file = ConfigFile::parse(&self.document.to_string()).unwrap_or_default();
        if file.profiles.contains_key(name) {
            Ok(())
        } else {
            Err(file.no_such(name, Some(&self.path)))
        }
    }

    /// Writes the file, as a whole or not at all. Only its owner can read it.
    pub(crate) fn save(&self) -> Result<(), Error> {
        let written = || {
            let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            fs::create_dir_all(folder)?;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            io::Write::write_all(&mut file, self.document.to_string().as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&self.path).map_err(|failed| failed.error)
        };
        written()
            .map(drop)
            .map_err(|cause| Error::Usage(format!("cannot write {}: {cause}", self.path.display())))
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

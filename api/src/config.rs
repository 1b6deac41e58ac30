//! Settings: flags over environment over `imd.toml` over defaults.
//!
//! [`SETTINGS`] lists them all. A name that is not a setting is an error in any of the three
//! places, so that a slip of the pen does not go unnoticed.

mod changes;
mod clients;
mod flags;
mod limits;
mod login;
mod masked;
mod origins;
mod sources;
mod table;
mod terminals;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use config::builder::DefaultState;
use config::{Config, ConfigBuilder, Value};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

pub use self::clients::{Limits, Networks};
pub use self::flags::Flags;
pub use self::login::{Issuer, Login};
pub use self::origins::Origins;
use self::sources::{defaults, imd_variables, read_file, settings_file, with_origin};
pub use self::table::{SETTINGS, Setting, settings_as_markdown};
use self::table::{key_of_variable, nearest_variable};
pub use self::terminals::{ExclusiveGroups, Terminals};
use crate::model::{IfBlocked, PolicyOnFailure, WhoMay};

/// Names the settings file, as `--config` does.
const FILE_VARIABLE: &str = "IMD_CONFIG";

/// Why the settings cannot be used. Messages name the setting and never show a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A name in `imd.toml` or in `--set` that is not a setting.
    #[error("unknown setting `{key}` in {origin}; did you mean `{nearest}`?")]
    UnknownKey {
        /// The name found.
        key: String,
        /// The file, or the flag.
        origin: String,
        /// The most similar setting.
        nearest: &'static str,
    },
    /// An environment variable that starts with `IMD_` but is not a setting.
    #[error("unknown environment variable {name}; did you mean {nearest}?")]
    UnknownVariable {
        /// The name found.
        name: String,
        /// The most similar variable.
        nearest: String,
    },
    /// An environment variable of ours whose name or value is not UTF-8.
    #[error("environment variable {name} is not valid UTF-8")]
    NotUnicode {
        /// Its name, as far as it can be shown.
        name: String,
    },
    /// A settings file with a byte that is no part of a character.
    #[error(
        "{}, line {line}, column {column}: the byte 0x{byte:02x} is not valid UTF-8; save the file as UTF-8",
        path.display()
    )]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The byte.
        byte: u8,
        /// Its line, counted from 1.
        line: usize,
        /// The characters before it in its line, and 1.
        column: usize,
    },
    /// A value out of its limits.
    #[error("invalid {key}: {reason}")]
    Invalid {
        /// The setting.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that cannot be read, or a value of the wrong type.
    #[error(transparent)]
    Source(#[from] config::ConfigError),
}

/// The settings of one `imd`, complete and within their limits. [`SETTINGS`] says what each means.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "SETTINGS documents them")]
pub struct Settings {
    pub data_dir: PathBuf,
    pub listen: SocketAddr,
    pub insecure_listen: bool,
    #[serde(default)]
    pub tls: Tls,
    pub pg_bin: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pg_source: Option<String>,
    pub worker_threads: Option<usize>,
    pub page: bool,
    pub admin: Admin,
    pub database: Database,
    #[serde(default)]
    pub bus: Bus,
    pub login: Login,
    pub tokens: Tokens,
    pub append: Append,
    pub messages: Messages,
    pub attachments: Attachments,
    pub groups: Groups,
    pub presence: Presence,
    pub push: Push,
    pub webhooks: Webhooks,
    pub policy: Policy,
    #[serde(default)]
    pub cors: Cors,
    pub streams: Streams,
    pub limits: Limits,
    #[serde(default)]
    pub trusted_proxies: Networks,
    pub terminals: Terminals,
    pub default_tier: String,
    #[serde(default)]
    pub tiers: BTreeMap<String, Tier>,
    pub retention: Retention,
    pub sessions: Sessions,
    pub audit: Audit,
    pub shutdown: Shutdown,
    pub log: Log,
}

/// `admin.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "SETTINGS documents them")]
pub struct Admin {
    pub listen: SocketAddr,
    #[serde(default)]
    pub tls: Tls,
}

/// `tls.*` and `admin.tls.*`
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "SETTINGS documents them")]
pub struct Tls {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
}

/// `database.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "SETTINGS documents them")]
pub struct Database {
    #[serde(serialize_with = "serialize_masked", skip_serializing_if = "Option::is_none")]
    pub url: Option<SecretString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    #[serde(serialize_with = "serialize_masked", skip_serializing_if = "Option::is_none")]
    pub read_url: Option<SecretString>,
    pub pool_size: u32,
    pub migrate: bool,
}

/// `bus.*`
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "SETTINGS documents them")]
pub struct Bus {
    #[serde(serialize_with = "serialize_masked", skip_serializing_if = "Option::is_none")]
    pub url: Option<SecretString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

/// `append.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "SETTINGS documents them")]
pub struct Append {
    pub lanes: usize,
    pub batch: usize,
    pub queue: usize,
}

/// `tokens.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "SETTINGS documents them")]
pub struct Tokens {
    #[serde(with = "humantime_serde")]
    pub access_ttl: Duration,
    #[serde(with = "humantime_serde")]
    pub refresh_ttl: Duration,
}

/// `messages.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "SETTINGS documents them")]
pub struct Messages {
    pub max_body_bytes: usize,
    #[serde(with = "humantime_serde")]
    pub recall_window: Duration,
    #[serde(with = "humantime_serde")]
    pub edit_window: Duration,
    pub keep_edits: bool,
    #[serde(with = "humantime_serde")]
    pub dedupe_for: Duration,
    pub read_receipts: bool,
    pub search: bool,
    pub if_blocked: IfBlocked,
    pub from: WhoMay,
}

/// `attachments.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "SETTINGS documents them")]
pub struct Attachments {
    pub max_bytes: u64,
    pub quota_bytes: u64,
    pub types: String,
    #[serde(with = "humantime_serde")]
    pub link_ttl: Duration,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    pub region: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

/// `groups.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "SETTINGS documents them")]
pub struct Groups {
    pub max_members: u32,
    pub invite_from: WhoMay,
}

/// `presence.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "SETTINGS documents them")]
pub struct Presence {
    pub visible_to: WhoMay,
    pub terminal_types: bool,
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
}

/// `webhooks.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "SETTINGS documents them")]
pub struct Webhooks {
    #[serde(with = "humantime_serde")]
    pub keep: Duration,
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub undelivered_after: Duration,
    pub allow_private: bool,
}

/// `policy.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "SETTINGS documents them")]
pub struct Policy {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    pub on_failure: PolicyOnFailure,
    pub kinds: String,
}

/// `push.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "SETTINGS documents them")]
pub struct Push {
    #[serde(with = "humantime_serde")]
    pub delay: Duration,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_push_subject: Option<String>,
    pub web_push_services: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_key: Option<PathBuf>,
    pub apns_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apns_key: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apns_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apns_team_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apns_topic: Option<String>,
    pub fcm_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fcm_credentials: Option<PathBuf>,
}

/// `cors.*`
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "SETTINGS documents them")]
pub struct Cors {
    pub allowed_origins: Origins,
}

/// `streams.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "SETTINGS documents them")]
pub struct Streams {
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
}

/// `tiers.<name>.*`
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "SETTINGS documents them")]
pub struct Tier {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// `retention.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "SETTINGS documents them")]
pub struct Retention {
    #[serde(with = "humantime_serde")]
    pub purge_after: Duration,
}

/// `sessions.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "SETTINGS documents them")]
pub struct Sessions {
    #[serde(with = "humantime_serde")]
    pub keep_ended: Duration,
}

/// `audit.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "SETTINGS documents them")]
pub struct Audit {
    #[serde(with = "humantime_serde")]
    pub keep: Duration,
}

/// `shutdown.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "SETTINGS documents them")]
pub struct Shutdown {
    #[serde(with = "humantime_serde")]
    pub delay: Duration,
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
}

/// `log.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "SETTINGS documents them")]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
    pub access: bool,
    #[serde(with = "humantime_serde")]
    pub slow: Duration,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl TryFrom<String> for LogFormat {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        match name.as_str() {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("expected `text` or `json`"),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        defaults()
            .and_then(ConfigBuilder::<DefaultState>::build)
            .and_then(Config::try_deserialize)
            .expect("the defaults in SETTINGS are valid")
    }
}

impl Settings {
    /// Puts the settings together from `flags`, the `environment`, the settings file and the
    /// defaults. An empty environment variable counts as unset. Relative paths are relative to
    /// the working directory.
    ///
    /// # Errors
    /// On the first unknown name, value of the wrong type, or value out of its limits.
    pub fn load(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut variables = imd_variables(environment)?;
        let file_variable = variables.remove(FILE_VARIABLE).map(PathBuf::from);

        let mut builder = defaults()?;
        if let Some(file) = settings_file(flags.config.clone().or(file_variable)) {
            builder = builder.add_source(read_file(&file)?);
        }
        for (name, value) in variables {
            let key = key_of_variable(&name).ok_or_else(|| ConfigError::UnknownVariable {
                nearest: nearest_variable(&name),
                name: name.clone(),
            })?;
            builder = builder.set_override(key, Value::new(Some(&name), value))?;
        }
        for (key, value) in flags.assignments()? {
            let origin = "the flags".to_owned();
            builder = builder.set_override(key, Value::new(Some(&origin), value))?;
        }
        let merged = builder.build()?;
        let settings: Self =
            merged.clone().try_deserialize().map_err(|error| with_origin(error, merged))?;
        settings.validate()?;
        Ok(settings)
    }

    /// How many threads are to serve on a machine of so many cores. Beside a database on the same
    /// machine fewer were faster, on two cores at least: what wakes up for a batch, the database among
    /// it, finds a core.
    #[must_use]
    pub fn worker_threads_on(&self, cores: usize) -> usize {
        let private_database = self.database.url.is_none();
        self.worker_threads.unwrap_or(if private_database { cores.div_ceil(2) } else { cores })
    }

    /// These settings as a settings file, with passwords masked.
    ///
    /// # Panics
    /// Never: settings always have a TOML form.
    #[must_use]
    pub fn to_masked_toml(&self) -> String {
        toml::to_string(self).expect("settings have a TOML form")
    }
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
fn serialize_masked<S: Serializer>(
    url: &Option<SecretString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    url.as_ref().map(|url| masked::masked(url.expose_secret())).serialize(serializer)
}

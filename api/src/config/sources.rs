//! Where settings come from, each with its names checked.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::Utf8Error;

use config::builder::DefaultState;
use config::{Config, ConfigBuilder, FileFormat, Map, Source, Value, ValueKind};

use super::ConfigError;
use super::table::{SETTINGS, is_key, nearest_key};

/// Read if it exists and no other file is named.
const DEFAULT_FILE: &str = "imd.toml";

pub(super) fn defaults() -> Result<ConfigBuilder<DefaultState>, config::ConfigError> {
    let set = SETTINGS.iter().filter_map(|setting| Some((setting.key, setting.default?)));
    set.into_iter()
        .try_fold(Config::builder(), |builder, (key, default)| builder.set_default(key, default))
}

/// The variables that start with `IMD_` and are not empty, without the line end that a value may have
/// that was read from a file.
pub(super) fn imd_variables(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    environment
        .into_iter()
        .filter(|(name, value)| name.as_encoded_bytes().starts_with(b"IMD_") && !value.is_empty())
        .map(|(name, value)| match (name.to_str(), value.to_str()) {
            (Some(name), Some(value)) => {
                Ok((name.to_owned(), value.trim_end_matches(['\r', '\n']).to_owned()))
            }
            _ => Err(ConfigError::NotUnicode { name: name.to_string_lossy().into_owned() }),
        })
        .collect()
}

pub(super) fn settings_file(named: Option<PathBuf>) -> Option<PathBuf> {
    named.or_else(|| Path::new(DEFAULT_FILE).exists().then(|| DEFAULT_FILE.into()))
}

pub(super) fn read_file(path: &Path) -> Result<Config, ConfigError> {
    if let Ok(bytes) = fs::read(path) {
        // The crate would replace what is no character, and the setting would be another one.
        str::from_utf8(&bytes).map_err(|error| not_utf8(path, &bytes, error))?;
    }
    let file = config::File::from(path).format(FileFormat::Toml);
    let content = Config::builder().add_source(file).build()?;
    require_known_keys(&content.collect()?, "", &path.display().to_string())?;
    Ok(content)
}

/// Says where the first byte stands that is no part of a character.
fn not_utf8(path: &Path, bytes: &[u8], error: Utf8Error) -> ConfigError {
    let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
    ConfigError::NotUtf8 {
        path: path.to_owned(),
        byte: bytes[error.valid_up_to()],
        line: before.matches('\n').count() + 1,
        column: before.rsplit('\n').next().unwrap_or_default().chars().count() + 1,
    }
}

fn require_known_keys(
    table: &Map<String, Value>,
    parent: &str,
    origin: &str,
) -> Result<(), ConfigError> {
    for (name, value) in table {
        let key = format!("{parent}{name}");
        match &value.kind {
            ValueKind::Table(table) if !is_key(&key) => {
                require_known_keys(table, &format!("{key}."), origin)?;
            }
            _ => require_known(&key, origin)?,
        }
    }
    Ok(())
}

pub(super) fn require_known(key: &str, origin: &str) -> Result<(), ConfigError> {
    if is_key(key) {
        return Ok(());
    }
    Err(ConfigError::UnknownKey {
        key: key.to_owned(),
        origin: origin.to_owned(),
        nearest: nearest_key(key),
    })
}

/// Adds where the value came from to an error that only names its key.
pub(super) fn with_origin(error: config::ConfigError, merged: Config) -> config::ConfigError {
    let config::ConfigError::At { error, origin: None, key: Some(key) } = error else {
        return error;
    };
    let value =
        key.split('.').try_fold(merged.cache, |value, name| value.into_table().ok()?.remove(name));
    config::ConfigError::At {
        error,
        origin: value.and_then(|value| value.origin().map(str::to_owned)),
        key: Some(key),
    }
}

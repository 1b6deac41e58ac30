//! What imd says when it is ready.

use std::path::Path;

use imd::{app::App, data_folder::DataFolder};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Where imctl looks when it is told nothing: the admin listener, the public one, the admin key.
const DEFAULTS: [&str; 3] =
    ["http://127.0.0.1:8081", "http://127.0.0.1:8080", "./imd-data/admin.key"];

/// Where this node is, and commands to try that reach it as they stand.
///
/// `page` is the address of the page, where there is one.
pub(super) fn greeting(
    app: &App,
    folder: &DataFolder,
    page: Option<&str>,
    embedded: bool,
) -> String {
    let (public, admin) = (app.public_url(), app.admin_url());
    let key = folder.admin_key();
    let imctl = if std::env::var_os("CARGO").is_some() { "cargo imctl" } else { "imctl" };
    let imctl = imctl_at(imctl, &admin, &key);
    let at_public = option("--public-server", &public, DEFAULTS[1]);
    let database =
        if embedded { "a private PostgreSQL in the data folder" } else { "database.url" };
    let chat = page
        .map(|url| format!("A chat, to open in two windows:\n\n  {url}\n\n"))
        .unwrap_or_default();
    format!(
        "\
imd {version} is ready.

  API        {public}   gRPC, gRPC-web, REST and WebSocket; reference at /docs
  Admin API  {admin}   key in {key}
  Data       {folder}   {database}

{chat}Three things to try in another terminal:

  # see four terminals of two users at work
  {imctl} demo{at_public}
  # make an account
  {imctl} users create alice
  # ask the server about itself
  curl {public}/v1/info

Ctrl-C stops it.",
        version = env!("CARGO_PKG_VERSION"),
        key = key.display(),
        folder = folder.path().display(),
    )
}

/// The same facts as an object of one line, for a log in JSON.
pub(super) fn json(app: &App, folder: &DataFolder, embedded: bool) -> String {
    json_line(
        "INFO",
        &serde_json::json!({
            "message": "imd is ready",
            "version": env!("CARGO_PKG_VERSION"),
            "public": app.public_url(),
            "admin": app.admin_url(),
            "admin_key": folder.admin_key().display().to_string(),
            "data": folder.path().display().to_string(),
            "database": if embedded { "private" } else { "database.url" },
        }),
    )
}

/// A line as those of the log.
pub(super) fn json_line(level: &str, fields: &serde_json::Value) -> String {
    let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    let line = serde_json::json!({
        "timestamp": now, "level": level, "fields": fields, "target": "imd",
    });
    line.to_string()
}

/// imctl with the options that it needs to reach this node.
fn imctl_at(imctl: &str, admin: &str, key: &Path) -> String {
    let key = key.to_string_lossy();
    let server = option("--server", admin, DEFAULTS[0]);
    format!("{imctl}{server}{}", option("--admin-key-file", &key, DEFAULTS[2]))
}

/// An option for a shell, where the value is not the default.
fn option(name: &str, value: &str, default: &str) -> String {
    if value == default {
        return String::new();
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:@+=".contains(c);
    if value.chars().all(plain) {
        return format!(" {name} {value}");
    }
    format!(" {name} '{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_reach_the_node_wherever_it_is() {
        let [admin, _, key] = DEFAULTS;
        assert_eq!(imctl_at("imctl", admin, Path::new(key)), "imctl");
        assert_eq!(
            imctl_at("imctl", "http://127.0.0.1:9081", Path::new("/srv/it's imd/admin.key")),
            r"imctl --server http://127.0.0.1:9081 --admin-key-file '/srv/it'\''s imd/admin.key'"
        );
    }
}

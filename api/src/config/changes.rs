//! What differs between the settings that run and those that were read since.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret, SecretString};
use toml::Value;

use super::Settings;

impl Settings {
    /// The settings whose values differ, by their keys. Secrets are compared, too.
    #[must_use]
    pub fn changes_from(&self, before: &Self) -> BTreeSet<String> {
        let (before, after) = (before.values(), self.values());
        let keys = before.keys().chain(after.keys());
        keys.filter(|key| before.get(*key) != after.get(*key)).cloned().collect()
    }

    /// Takes over what [`crate::app::App::reload`] and [`crate::log::change`] apply while a node runs; the keys of
    /// what differs and was not taken over.
    #[must_use]
    pub fn take_over(&mut self, read: &Self) -> BTreeSet<String> {
        self.login.issuers.clone_from(&read.login.issuers);
        let pairs = [(&mut self.tls, &read.tls), (&mut self.admin.tls, &read.admin.tls)];
        for (running, read) in pairs {
            // A listener speaks TLS from its start on, or never.
            if running.cert.is_some() && read.cert.is_some() {
                running.clone_from(read);
            }
        }
        self.log = super::Log { format: self.log.format, ..read.log.clone() };
        read.changes_from(self)
    }

    /// Each value as text, by its key.
    fn values(&self) -> BTreeMap<String, String> {
        let mut values = BTreeMap::new();
        let written = Value::try_from(self).expect("settings have a TOML form");
        collect(String::new(), &written, &mut values);
        let secrets = [
            ("database.url", &self.database.url),
            ("database.read_url", &self.database.read_url),
            ("bus.url", &self.bus.url),
        ];
        for (key, secret) in secrets {
            let text = secret.as_ref().map(SecretString::expose_secret);
            values.insert(key.to_owned(), text.unwrap_or_default().to_owned());
        }
        values
    }
}

fn collect(key: String, value: &Value, values: &mut BTreeMap<String, String>) {
    let Value::Table(table) = value else {
        values.insert(key, value.to_string());
        return;
    };
    for (name, value) in table {
        let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
        collect(key, value, values);
    }
}

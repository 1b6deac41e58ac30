//! Settings on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::ConfigError;
use super::sources::require_known;

/// The flags that set something. Each wins over the environment and over `imd.toml`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Flags {
    /// Settings file [env: `IMD_CONFIG`] [default: imd.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Folder of the admin key and the embedded database [env: `IMD_DATA_DIR`] [default: ./imd-data]
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<String>,

    /// Address of the public listener [env: `IMD_LISTEN`] [default: 127.0.0.1:8080]
    #[arg(long, global = true, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,

    /// Address of the admin listener [env: `IMD_ADMIN_LISTEN`] [default: 127.0.0.1:8081]
    #[arg(long, global = true, value_name = "ADDR:PORT")]
    pub admin_listen: Option<SocketAddr>,

    /// Postgres to use instead of the embedded one [env: `IMD_DATABASE_URL`]
    ///
    /// Other users of this machine can see flags. A URL with a password is safer in the
    /// environment, or in a settings file that only imd can read.
    #[arg(long, global = true, value_name = "URL")]
    pub database_url: Option<String>,

    /// Any other setting, such as `tokens.access_ttl=5m`; can be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
}

fn assignment(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

impl Flags {
    /// Key and value of every setting given, the later one to win.
    pub(super) fn assignments(&self) -> Result<Vec<(String, String)>, ConfigError> {
        for (key, _) in &self.set {
            require_known(key, "--set")?;
        }
        let named = [
            ("data_dir", self.data_dir.clone()),
            ("listen", self.listen.map(|address| address.to_string())),
            ("admin.listen", self.admin_listen.map(|address| address.to_string())),
            ("database.url", self.database_url.clone()),
        ];
        let named = named.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        Ok(self.set.iter().cloned().chain(named).collect())
    }
}

//! Where the database is, and how connections to it are kept from being read or answered by others.

mod connect;
mod verifier;

use std::{path::Path, str::FromStr};

use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};

pub(super) use self::connect::Tls;

use crate::model::{Error, Result};

/// Whether the server has to show who it is. `sslmode` of the URL, as libpq knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// `disable`, `prefer`, `require`: no, unless authorities are given; then its certificate must be of
    /// one of them, for whatever name.
    Authority,
    /// `verify-full`: its certificate must be of an authority, and for the host of the URL.
    Name,
}

/// The URL of a database.
#[derive(Clone)]
pub struct Address {
    pub(super) config: Config,
    check: Check,
}

/// `sslmode=verify-full`, which tokio-postgres does not know.
const VERIFY_FULL: &str = "sslmode=verify-full";

impl FromStr for Address {
    type Err = tokio_postgres::Error;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let ends = |c: Option<char>| c.is_none_or(|c| matches!(c, '?' | '&') || c.is_whitespace());
        let full = url.match_indices(VERIFY_FULL).find(|(at, found)| {
            ends(url[..*at].chars().next_back()) && ends(url[at + found.len()..].chars().next())
        });
        let (url, check) = match full {
            Some((at, found)) => {
                let rest = &url[at + found.len()..];
                (format!("{}sslmode=require{rest}", &url[..at]), Check::Name)
            }
            None => (url.to_owned(), Check::Authority),
        };
        let mut config: Config = url.parse()?;
        // On a socket of this machine there is nobody in between, and the server speaks no TLS.
        if config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_))) {
            config.ssl_mode(SslMode::Disable);
        }
        Ok(Self { config, check })
    }
}

impl Address {
    /// The password in it.
    #[must_use]
    pub fn password(&self) -> Option<&[u8]> {
        self.config.get_password()
    }

    /// Whether connections are never in the clear.
    #[must_use]
    pub fn requires_tls(&self) -> bool {
        self.config.get_ssl_mode() == SslMode::Require
    }

    /// What connections are encrypted with. `ca` is a file of the authorities to trust; without one,
    /// `verify-full` trusts those of the system.
    pub(super) fn tls(&self, ca: Option<&Path>) -> Result<Tls> {
        Tls::new(self.check, ca).map_err(Error::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> (SslMode, Check) {
        let address: Address = url.parse().unwrap();
        (address.config.get_ssl_mode(), address.check)
    }

    #[test]
    fn every_sslmode_is_read_in_both_forms() {
        for (mode, expected) in [
            ("disable", (SslMode::Disable, Check::Authority)),
            ("prefer", (SslMode::Prefer, Check::Authority)),
            ("require", (SslMode::Require, Check::Authority)),
            ("verify-full", (SslMode::Require, Check::Name)),
        ] {
            assert_eq!(read(&format!("postgresql://u:p@db/imd?sslmode={mode}")), expected);
            let with_others = format!("postgresql://db/imd?user=u&sslmode={mode}&password=p");
            assert_eq!(read(&with_others), expected);
            assert_eq!(read(&format!("host=db sslmode={mode} user=u")), expected);
        }
        assert_eq!(read("postgresql://db/imd"), (SslMode::Prefer, Check::Authority));
    }

    #[test]
    fn an_unknown_sslmode_is_refused() {
        for mode in ["", "verify", "verify-ca", "verify-full-er", "allow"] {
            let url = format!("postgresql://db/imd?sslmode={mode}");
            assert!(url.parse::<Address>().is_err(), "{url}");
        }
        assert!("postgresql://db/imd?xsslmode=verify-full".parse::<Address>().is_err());
    }

    #[test]
    fn a_socket_of_this_machine_needs_no_tls() {
        assert_eq!(read("host=/run/postgresql user=u").0, SslMode::Disable);
    }
}

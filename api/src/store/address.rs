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

/// What is wrong with the URL of a database, without a word of what may be secret in it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct AddressError(String);

impl AddressError {
    /// The parser's own message could quote a part of the password: one with `?` or `&` in it ends
    /// before its end.
    fn new(url: &str, error: &tokio_postgres::Error) -> Self {
        let value = |name: &str| {
            let (_, value) = url.split_once(&format!("{name}="))?;
            value.split(['&', ' ']).next()
        };
        let source = std::error::Error::source(error).map(ToString::to_string);
        let said = source.unwrap_or_default();
        let parameter = said.split('`').nth(1).unwrap_or_default();
        let is_name = parameter.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let query = url.split_once('?').map(|(_, query)| query);
        let may_be_shown =
            is_name && url.contains("://") && query.is_some_and(|query| !query.contains('@'));
        Self(match parameter {
            "sslmode" if value("sslmode") == Some("verify-ca") => {
                "imd has no sslmode=verify-ca: use sslmode=require with database.ca, which checks the authority, or verify-full, which also checks the host".to_owned()
            }
            "sslmode" => "sslmode is one of disable, prefer, require and verify-full".to_owned(),
            "" => "not a PostgreSQL URL, as postgresql://user:password@host/database".to_owned(),
            _ if said.starts_with("invalid value") => format!("invalid value of `{parameter}`"),
            _ if may_be_shown => format!(
                "there is no parameter `{parameter}`; check the spelling, or leave it out"
            ),
            _ => "a parameter that imd does not know; `?`, `&` and `@` in a password are written as %3F, %26 and %40".to_owned(),
        })
    }
}

impl From<AddressError> for Error {
    fn from(error: AddressError) -> Self {
        Self::internal(error)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        // A file that a secret comes from ends with a newline.
        let url = url.trim();
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
        let mut config: Config = url.parse().map_err(|error| AddressError::new(&url, &error))?;
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

    fn wrong(url: &str) -> String {
        url.parse::<Address>().err().expect("an error").to_string()
    }

    #[test]
    fn what_is_wrong_is_named_and_what_to_do() {
        let authority = wrong("postgresql://u:p@db/imd?sslmode=verify-ca");
        assert!(authority.contains("sslmode=require with database.ca"), "{authority}");
        let unknown = wrong("postgresql://u:p@db/imd?sslrootcert=ca.pem");
        assert!(unknown.contains("`sslrootcert`"), "{unknown}");
        let value = wrong("postgresql://u:p@db/imd?target_session_attrs=primary");
        assert!(value.contains("`target_session_attrs`"), "{value}");
        let other = wrong("mysql://db/imd");
        assert!(other.contains("postgresql://"), "{other}");
    }

    #[test]
    fn no_part_of_a_password_is_shown() {
        let said = wrong("postgresql://u:p@ss?other=x@db/imd");
        assert!(!said.contains("other") && said.contains("%3F"), "{said}");
    }

    #[test]
    fn a_newline_behind_it_is_harmless() {
        assert_eq!(read("postgresql://db/imd?sslmode=require\r\n").0, SslMode::Require);
    }

    #[test]
    fn many_hosts_are_read() {
        let url = "postgresql://u@a:1,b:2/imd?target_session_attrs=read-write";
        let address: Address = url.parse().unwrap();
        assert_eq!(address.config.get_hosts().len(), 2);
        assert_eq!(address.config.get_ports(), [1, 2]);
    }

    #[test]
    fn a_socket_of_this_machine_needs_no_tls() {
        assert_eq!(read("host=/run/postgresql user=u").0, SslMode::Disable);
    }
}

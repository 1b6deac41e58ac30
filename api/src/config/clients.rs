//! `limits.*` and `trusted_proxies`: what one client may take, and which address is its.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// `limits.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "SETTINGS documents them")]
pub struct Limits {
    pub failed_logins: u32,
    pub failed_logins_per_address: u32,
    pub logins_per_user: u32,
    pub sends_per_session: u32,
    pub sends_per_user: u32,
    pub signals_per_session: u32,
    pub reads_per_user: u32,
    pub reads_at_once: usize,
    pub changes_per_user: u32,
    pub streams_per_session: usize,
    pub pings_per_second: u32,
    pub connections_per_address: usize,
    pub streams_per_connection: u32,
    pub unread_bytes: usize,
    pub calls: usize,
    pub loopback: bool,
    pub header_bytes: usize,
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub call_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub keepalive: Duration,
}

/// Networks whose word is taken on where a call comes from. In settings a text: addresses and networks
/// with commas between them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Networks(Arc<[IpNet]>);

impl Networks {
    /// Whether one of them has this address.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl TryFrom<String> for Networks {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let network = |text: &str| {
            let text = text.trim();
            text.parse().or_else(|_| text.parse().map(|address: IpAddr| address.into()))
        };
        let listed = text.split(',').filter(|network| !network.trim().is_empty()).map(network);
        listed
            .collect::<Result<_, _>>()
            .map(Self)
            .map_err(|_| "expected addresses and networks such as `10.0.0.0/8,192.0.2.7`")
    }
}

impl From<Networks> for String {
    fn from(networks: Networks) -> Self {
        networks.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}

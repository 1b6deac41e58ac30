//! The hosts of a database's URL.

use std::{net::IpAddr, time::Duration};

use tokio::{net::lookup_host, time::timeout};
use tokio_postgres::{Config, config};

use super::error::{ConnectError, Refusal};

/// How long the name of a host may take to be resolved.
const LOOKUP: Duration = Duration::from_secs(2);

/// One address that a server may be at.
pub(super) struct Host {
    /// For people: `db.example:5432`.
    pub(super) name: String,
    /// How to connect to this address alone.
    pub(super) config: Config,
}

/// All addresses of all hosts, in the order of the URL.
pub(super) async fn resolve(config: &Config) -> Result<Vec<Host>, ConnectError> {
    let addresses = config.get_hostaddrs();
    let count = config.get_hosts().len().max(addresses.len());
    let mut found = Vec::new();
    let mut refusals = Vec::new();
    for place in 0..count {
        let ports = config.get_ports();
        let port = ports.get(place).or(ports.first()).copied().unwrap_or(5432);
        let host = config.get_hosts().get(place);
        let name = name(host, addresses.get(place), port);
        match addresses_of(host, addresses.get(place), port).await {
            Ok(addresses) => found.extend(addresses.into_iter().map(|address| Host {
                name: name.clone(),
                config: at(config, host, address, port),
            })),
            Err(refusal) => refusals.push((name, refusal)),
        }
    }
    if found.is_empty() { Err(ConnectError::new(refusals)) } else { Ok(found) }
}

fn name(host: Option<&config::Host>, address: Option<&IpAddr>, port: u16) -> String {
    match (host, address) {
        (Some(config::Host::Tcp(host)), _) => format!("{host}:{port}"),
        (Some(config::Host::Unix(folder)), _) => {
            format!("{}", folder.join(format!(".s.PGSQL.{port}")).display())
        }
        (None, Some(address)) => format!("{address}:{port}"),
        (None, None) => format!("port {port}"),
    }
}

/// `[None]` for a socket of this machine.
async fn addresses_of(
    host: Option<&config::Host>,
    address: Option<&IpAddr>,
    port: u16,
) -> Result<Vec<Option<IpAddr>>, Refusal> {
    let name = match (host, address) {
        (_, Some(address)) => return Ok(vec![Some(*address)]),
        (Some(config::Host::Tcp(name)), None) => name,
        (Some(config::Host::Unix(_)) | None, None) => return Ok(vec![None]),
    };
    let looking = timeout(LOOKUP, lookup_host((name.as_str(), port)));
    let found = looking.await.map_err(|_| Refusal::Silent(LOOKUP))?.map_err(Refusal::Unknown)?;
    Ok(found.map(|address| Some(address.ip())).collect())
}

/// The configuration for one address. What imd decides for itself is left out: which of the servers
/// takes writes, and in which order they are asked.
fn at(all: &Config, host: Option<&config::Host>, address: Option<IpAddr>, port: u16) -> Config {
    let mut one = Config::new();
    match host {
        Some(config::Host::Tcp(name)) => drop(one.host(name)),
        Some(config::Host::Unix(folder)) => drop(one.host_path(folder)),
        None => {}
    }
    if let Some(address) = address {
        one.hostaddr(address);
    }
    one.port(port).ssl_mode(all.get_ssl_mode()).ssl_negotiation(all.get_ssl_negotiation());
    one.channel_binding(all.get_channel_binding()).application_name("imd");
    if let Some(user) = all.get_user() {
        one.user(user);
    }
    if let Some(password) = all.get_password() {
        one.password(password);
    }
    if let Some(database) = all.get_dbname() {
        one.dbname(database);
    }
    if let Some(options) = all.get_options() {
        one.options(options);
    }
    // A server that has vanished without a word is noticed within seconds.
    one.tcp_user_timeout(Duration::from_secs(10))
        .keepalives_idle(Duration::from_secs(5))
        .keepalives_interval(Duration::from_secs(2))
        .keepalives_retries(3);
    one
}

//! What the settings may be.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use humantime::format_duration;
use jsonwebtoken::Algorithm;
use reqwest::Url;
use secrecy::ExposeSecret;
use tracing_subscriber::EnvFilter;

use super::{Bus, ConfigError, Settings, Tls};
use crate::{
    model::{MAX_SESSION_LIMIT, PolicyKind, TerminalType},
    store::Address,
};

/// Connections that the private database takes, less those that imd needs besides the pool.
const LARGEST_POOL_EMBEDDED: u32 = 80;

/// What assertions may be signed with.
const ALGORITHMS: [Algorithm; 4] =
    [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256, Algorithm::HS256];

/// What clouds take in one request, in bytes.
const LARGEST_ATTACHMENT: u64 = 5 * 1024 * 1024 * 1024;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);
/// As humantime reckons it.
const YEAR: Duration = Duration::from_hours(8766);

impl Settings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let tokens = &self.tokens;
        duration_within("tokens.access_ttl", tokens.access_ttl, SECOND..=DAY)?;
        duration_within("tokens.refresh_ttl", tokens.refresh_ttl, tokens.access_ttl..=YEAR * 10)?;
        duration_within("streams.heartbeat", self.streams.heartbeat, SECOND..=MINUTE * 10)?;
        duration_within("shutdown.delay", self.shutdown.delay, Duration::ZERO..=MINUTE * 5)?;
        duration_within("shutdown.grace", self.shutdown.grace, Duration::ZERO..=MINUTE * 10)?;
        duration_within(
            "retention.purge_after",
            self.retention.purge_after,
            Duration::ZERO..=YEAR * 10,
        )?;
        // An access token is refused by its session, as long as it is good otherwise.
        duration_within("sessions.keep_ended", self.sessions.keep_ended, DAY..=YEAR * 10)?;
        duration_within("audit.keep", self.audit.keep, DAY..=YEAR * 100)?;
        if let Some(threads) = self.worker_threads {
            within("worker_threads", threads, 1..=1000)?;
        }
        within("append.lanes", self.append.lanes, 1..=16)?;
        within("append.batch", self.append.batch, 1..=1000)?;
        within("append.queue", self.append.queue, 1..=100_000)?;
        within("messages.max_body_bytes", self.messages.max_body_bytes, 1..=1024 * 1024)?;
        duration_within(
            "messages.recall_window",
            self.messages.recall_window,
            Duration::ZERO..=YEAR,
        )?;
        duration_within("messages.edit_window", self.messages.edit_window, Duration::ZERO..=YEAR)?;
        duration_within(
            "messages.dedupe_for",
            self.messages.dedupe_for,
            Duration::ZERO..=YEAR * 10,
        )?;
        duration_within("presence.grace", self.presence.grace, Duration::ZERO..=MINUTE * 10)?;
        self.validate_push()?;
        duration_within("webhooks.keep", self.webhooks.keep, MINUTE * 60..=DAY * 90)?;
        duration_within("webhooks.timeout", self.webhooks.timeout, SECOND..=MINUTE)?;
        let after = self.webhooks.undelivered_after;
        duration_within("webhooks.undelivered_after", after, SECOND * 10..=DAY * 7)?;
        self.validate_policy()?;
        self.validate_attachments()?;
        within("groups.max_members", self.groups.max_members as usize, 2..=2000)?;
        self.validate_limits()?;
        self.validate_listeners()?;
        self.validate_login()?;
        self.validate_database()?;
        self.validate_bus()?;
        self.validate_terminals()?;
        self.validate_tiers()?;
        if self.log.slow > Duration::ZERO {
            duration_within("log.slow", self.log.slow, SECOND / 1000..=MINUTE * 60)?;
        }
        EnvFilter::try_new(&self.log.level).map(drop).map_err(|error| invalid("log.level", error))
    }

    fn validate_attachments(&self) -> Result<(), ConfigError> {
        let attachments = &self.attachments;
        within("attachments.max_bytes", attachments.max_bytes, 0..=LARGEST_ATTACHMENT)?;
        within("attachments.quota_bytes", attachments.quota_bytes, 0..=i64::MAX.unsigned_abs())?;
        duration_within("attachments.link_ttl", attachments.link_ttl, SECOND..=MINUTE * 5)?;
        let is_type = |name: &str| {
            name.trim().split_once('/').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty())
        };
        if !attachments.types.split(',').all(is_type) {
            return Err(invalid(
                "attachments.types",
                "must be media types such as `image/*`, with commas between them",
            ));
        }
        let Some(bucket) = &attachments.bucket else {
            let of_bucket = [&attachments.endpoint, &attachments.key_id];
            let unused = of_bucket.iter().any(|value| value.is_some()) || attachments.key.is_some();
            return if unused {
                Err(invalid("attachments", "endpoint, key_id and key need attachments.bucket"))
            } else {
                Ok(())
            };
        };
        if attachments.folder.is_some() {
            return Err(invalid("attachments", "folder and bucket exclude each other"));
        }
        let is_bucket = Url::parse(bucket).is_ok_and(|url| {
            matches!(url.scheme(), "s3" | "gs" | "az")
                && url.host_str().is_some_and(|name| !name.is_empty())
                && url.query().is_none()
        });
        if !is_bucket {
            return Err(invalid(
                "attachments.bucket",
                "begins with s3://, gs:// or az://, and names a bucket",
            ));
        }
        let is_url = |url: &String| {
            Url::parse(url).is_ok_and(|url| {
                matches!(url.scheme(), "https" | "http") && url.host_str().is_some()
            })
        };
        if !attachments.endpoint.as_ref().is_none_or(is_url) {
            return Err(invalid("attachments.endpoint", "begins with https:// or http://"));
        }
        let needs_id = bucket.starts_with("s3:") && attachments.key.is_some();
        if needs_id && attachments.key_id.is_none() {
            return Err(invalid("attachments", "key needs key_id where the bucket is one of S3"));
        }
        Ok(())
    }

    fn validate_limits(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        for (key, count) in [
            ("limits.failed_logins", limits.failed_logins),
            ("limits.failed_logins_per_address", limits.failed_logins_per_address),
            ("limits.logins_per_user", limits.logins_per_user),
            ("limits.sends_per_session", limits.sends_per_session),
            ("limits.sends_per_user", limits.sends_per_user),
            ("limits.pings_per_second", limits.pings_per_second),
            ("limits.signals_per_session", limits.signals_per_session),
            ("limits.reads_per_user", limits.reads_per_user),
            ("limits.changes_per_user", limits.changes_per_user),
        ] {
            within(key, count, 0..=1_000_000)?;
        }
        within("limits.streams_per_connection", limits.streams_per_connection, 100..=100_000)?;
        within("limits.unread_bytes", limits.unread_bytes, 1024 * 1024..=128 * 1024 * 1024)?;
        within("limits.calls", limits.calls, 100..=1_000_000)?;
        within("limits.reads_at_once", limits.reads_at_once, 0..=1000)?;
        within("limits.header_bytes", limits.header_bytes, 8192..=1024 * 1024)?;
        duration_within("limits.header_timeout", limits.header_timeout, SECOND..=MINUTE * 10)?;
        duration_within("limits.call_timeout", limits.call_timeout, SECOND..=MINUTE * 60)?;
        duration_within("limits.keepalive", limits.keepalive, SECOND..=MINUTE * 60)
    }

    fn validate_policy(&self) -> Result<(), ConfigError> {
        let policy = &self.policy;
        duration_within("policy.timeout", policy.timeout, SECOND / 10..=SECOND * 5)?;
        PolicyKind::parse_list(&policy.kinds).map_err(|wrong| invalid("policy.kinds", wrong))?;
        let Some(url) = &policy.url else { return Ok(()) };
        let wrong = || {
            invalid(
                "policy.url",
                "begins with https:// or grpcs://, or with http:// or grpc:// on this machine",
            )
        };
        let url = Url::parse(url).map_err(|_| wrong())?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let is_here = host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        match url.scheme() {
            "https" | "grpcs" if !host.is_empty() => Ok(()),
            "http" | "grpc" if is_here => Ok(()),
            _ => Err(wrong()),
        }
    }

    fn validate_push(&self) -> Result<(), ConfigError> {
        let push = &self.push;
        duration_within("push.delay", push.delay, Duration::ZERO..=MINUTE * 10)?;
        if let Some(subject) = &push.web_push_subject
            && !subject.starts_with("mailto:")
            && !subject.starts_with("https://")
        {
            return Err(invalid("push.web_push_subject", "begins with mailto: or https://"));
        }
        for (key, url) in [
            ("push.webhook_url", push.webhook_url.as_ref()),
            ("push.apns_url", Some(&push.apns_url)),
            ("push.fcm_url", Some(&push.fcm_url)),
        ] {
            let is_url = |url: &String| url.starts_with("https://") || url.starts_with("http://");
            if !url.is_none_or(is_url) {
                return Err(invalid(key, "begins with https:// or http://"));
            }
        }
        let of_apple = [
            push.apns_key.is_some(),
            push.apns_key_id.is_some(),
            push.apns_team_id.is_some(),
            push.apns_topic.is_some(),
        ];
        if of_apple.contains(&true) && of_apple.contains(&false) {
            let reason = "apns_key, apns_key_id, apns_team_id and apns_topic belong together";
            return Err(invalid("push", reason));
        }
        if push.webhook_url.is_some() != push.webhook_key.is_some() {
            return Err(invalid("push", "webhook_url and webhook_key belong together"));
        }
        Ok(())
    }

    fn validate_listeners(&self) -> Result<(), ConfigError> {
        if self.listen == self.admin.listen && self.listen.port() != 0 {
            return Err(invalid("admin.listen", "the same as listen"));
        }
        if self.tls.client_ca.is_some() {
            return Err(invalid("tls.client_ca", "only the admin listener asks for certificates"));
        }
        self.validate_listener("listen", self.listen, "tls", &self.tls)?;
        self.validate_listener("admin.listen", self.admin.listen, "admin.tls", &self.admin.tls)
    }

    /// What is said to a listener that other machines reach is not to be read on the way.
    fn validate_listener(
        &self,
        key: &str,
        address: SocketAddr,
        tls_key: &str,
        tls: &Tls,
    ) -> Result<(), ConfigError> {
        let asked = tls.client_ca.is_some();
        if tls.cert.is_some() != tls.key.is_some() || (asked && tls.cert.is_none()) {
            return Err(invalid(tls_key, "cert and key belong together"));
        }
        if tls.cert.is_none() && !address.ip().is_loopback() && !self.insecure_listen {
            let reason = format!(
                "other machines reach {address}: set {tls_key}.cert and {tls_key}.key, or insecure_listen where something else speaks TLS"
            );
            return Err(invalid(key, reason));
        }
        Ok(())
    }

    fn validate_login(&self) -> Result<(), ConfigError> {
        let invalid = |reason: &str| invalid("login.issuers", reason);
        let mut names = BTreeSet::new();
        for issuer in &self.login.issuers {
            if issuer.issuer.is_empty() || issuer.audience.is_empty() {
                return Err(invalid("an issuer needs a name and an audience"));
            }
            if !names.insert(&issuer.issuer) {
                return Err(invalid("each issuer stands there once"));
            }
            if issuer.keys.is_empty() || issuer.algorithms.is_empty() {
                return Err(invalid("an issuer needs algorithms and files of keys"));
            }
            if issuer.algorithms.iter().any(|algorithm| !ALGORITHMS.contains(algorithm)) {
                return Err(invalid("the algorithms are EdDSA, ES256, RS256 and HS256"));
            }
            duration_within("login.issuers.max_age", issuer.max_age, SECOND..=MINUTE * 60)?;
        }
        Ok(())
    }

    fn validate_database(&self) -> Result<(), ConfigError> {
        let pool_size = self.database.pool_size;
        let Some(url) = &self.database.url else {
            if self.database.ca.is_some() {
                return Err(invalid("database.ca", "needs a database.url"));
            }
            if self.database.read_url.is_some() {
                return Err(invalid("database.read_url", "needs a database.url"));
            }
            return within("database.pool_size", pool_size, 1..=LARGEST_POOL_EMBEDDED);
        };
        let address: Address =
            url.expose_secret().parse().map_err(|error| invalid("database.url", error))?;
        if self.database.ca.is_some() && !address.requires_tls() {
            let reason = "needs sslmode=verify-full, or require, in database.url";
            return Err(invalid("database.ca", reason));
        }
        if let Some(url) = &self.database.read_url {
            let address: Result<Address, _> = url.expose_secret().parse();
            address.map_err(|error| invalid("database.read_url", error))?;
        }
        within("database.pool_size", pool_size, 1..=1000)
    }

    fn validate_bus(&self) -> Result<(), ConfigError> {
        let Bus { url, ca, cert, key } = &self.bus;
        let mut encrypted = false;
        if let Some(url) = url {
            let address: async_nats::ServerAddr =
                url.expose_secret().parse().map_err(|_| invalid("bus.url", "not a NATS URL"))?;
            encrypted = address.scheme() == "tls";
        }
        if (ca.is_some() || cert.is_some()) && !encrypted {
            return Err(invalid("bus", "ca and cert need a bus.url with tls://"));
        }
        if cert.is_some() != key.is_some() {
            return Err(invalid("bus", "cert and key belong together"));
        }
        Ok(())
    }

    fn validate_tiers(&self) -> Result<(), ConfigError> {
        for (name, tier) in &self.tiers {
            if !TerminalType::is_name(name) {
                let key = format!("tiers.{name}");
                return Err(invalid(&key, "the name of a tier is [a-z][a-z0-9_-]{0,31}"));
            }
            within(&format!("tiers.{name}.days"), tier.days.unwrap_or(0), 0..=36_500)?;
        }
        Ok(())
    }

    fn validate_terminals(&self) -> Result<(), ConfigError> {
        for (terminal_type, limit) in &self.terminals.limits {
            let key = format!("terminals.{terminal_type}");
            if !TerminalType::is_name(terminal_type) {
                return Err(invalid(&key, "a terminal type is [a-z][a-z0-9_-]{0,31}"));
            }
            within(&key, *limit, 1..=MAX_SESSION_LIMIT.unsigned_abs())?;
        }
        let mut grouped = BTreeSet::new();
        for group in &self.terminals.exclusive.0 {
            if group.len() < 2 {
                return Err(invalid("terminals.exclusive", "a group has two types or more"));
            }
            for name in group {
                if !self.terminals.limits.contains_key(name) {
                    let reason = format!("{name:?} is not a terminal type");
                    return Err(invalid("terminals.exclusive", reason));
                }
                if !grouped.insert(name) {
                    return Err(invalid("terminals.exclusive", "a type is in one group at most"));
                }
            }
        }
        Ok(())
    }
}

fn within<T: PartialOrd + Display + Copy>(
    key: &str,
    value: T,
    limits: RangeInclusive<T>,
) -> Result<(), ConfigError> {
    if limits.contains(&value) {
        return Ok(());
    }
    let (least, most) = limits.into_inner();
    Err(invalid(key, format_args!("{value} is not within {least} to {most}")))
}

fn duration_within(
    key: &str,
    value: Duration,
    limits: RangeInclusive<Duration>,
) -> Result<(), ConfigError> {
    let (least, most) = limits.into_inner();
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let reason = format!(
        "{} is not within {} to {}",
        format_duration(value),
        format_duration(least),
        format_duration(most)
    );
    Err(invalid(key, reason))
}

fn invalid(key: &str, reason: impl Display) -> ConfigError {
    ConfigError::Invalid { key: key.to_owned(), reason: reason.to_string() }
}

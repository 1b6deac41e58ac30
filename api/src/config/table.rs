//! The one list of all settings.

use strsim::damerau_levenshtein;

use crate::model::TerminalType;

/// One setting: its names, its default and what it means.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Dotted name, as in `imd.toml` and `--set`.
    pub key: &'static str,
    /// Default as text; `None` if the setting is unset by default.
    pub default: Option<&'static str>,
    /// What it does, with unit and limits.
    pub meaning: &'static str,
}

impl Setting {
    /// The environment variable of this setting: `IMD_`, and the key in capitals with each dot
    /// made an underscore.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("IMD_{}", self.key.to_uppercase().replace('.', "_"))
    }
}

/// Every setting, in the order of the manual. Besides these, any `terminals.<type>` is one, and the
/// settings file may have `[[login.issuers]]`.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "data_dir",
        default: Some("./imd-data"),
        meaning: "folder of the admin key and the embedded database; made if missing; for one imd at a time",
    },
    Setting {
        key: "listen",
        default: Some("127.0.0.1:8080"),
        meaning: "address and port of the public listener: gRPC, gRPC-web, REST and WebSocket",
    },
    Setting {
        key: "admin.listen",
        default: Some("127.0.0.1:8081"),
        meaning: "address and port of the admin listener",
    },
    Setting {
        key: "tls.cert",
        default: None,
        meaning: "file of the public listener's certificate and its chain, PEM; with it, the listener speaks TLS alone; read again at SIGHUP",
    },
    Setting {
        key: "tls.key",
        default: None,
        meaning: "file of the certificate's private key, PEM",
    },
    Setting { key: "admin.tls.cert", default: None, meaning: "the same for the admin listener" },
    Setting { key: "admin.tls.key", default: None, meaning: "the same for the admin listener" },
    Setting {
        key: "admin.tls.client_ca",
        default: None,
        meaning: "file of the authorities, PEM, one of which must have signed the certificate that a client of the admin listener shows; unset: clients show none",
    },
    Setting {
        key: "insecure_listen",
        default: Some("false"),
        meaning: "whether a listener may speak without TLS on an address that other machines reach, as behind a proxy that speaks TLS",
    },
    Setting {
        key: "database.url",
        default: None,
        meaning: "PostgreSQL to use (15 or newer), as `postgresql://user:password@host/database`; many hosts, as `host1:5432,host2:5432`, are the members of one cluster, of which imd uses the one that takes writes, with `target_session_attrs=read-write` or without; unset: a private one in data_dir. `?sslmode=` says how it is spoken to: `disable`, `prefer`, `require`, `verify-full`",
    },
    Setting {
        key: "database.ca",
        default: None,
        meaning: "file of the authorities, PEM, one of which must have signed the database's certificate, with `sslmode=verify-full` for its host; unset: those of the system with `verify-full`, else any certificate is taken",
    },
    Setting {
        key: "database.read_url",
        default: None,
        meaning: "PostgreSQL servers that follow the one of database.url, to read pages of timelines, histories and exports from: each page from one that has everything the primary has at that moment, else from the primary; unset: the primary is read",
    },
    Setting {
        key: "database.pool_size",
        default: Some("16"),
        meaning: "connections to the database for requests, 1 to 1000; at most 80 on the private database",
    },
    Setting {
        key: "database.migrate",
        default: Some("true"),
        meaning: "whether a node applies the migrations that the database lacks when it starts; `false`: it does not start until `imd migrate` has applied them",
    },
    Setting {
        key: "bus.url",
        default: None,
        meaning: "NATS server that carries hints between nodes, as `nats://user:password@host:port`, or `tls://…`; unset: PostgreSQL's NOTIFY",
    },
    Setting {
        key: "bus.ca",
        default: None,
        meaning: "file of the authorities, PEM, one of which must have signed the NATS server's certificate; unset: those of the system",
    },
    Setting {
        key: "bus.cert",
        default: None,
        meaning: "file of the certificate, PEM, that the NATS server is shown; unset: none",
    },
    Setting {
        key: "bus.key",
        default: None,
        meaning: "file of that certificate's private key, PEM",
    },
    Setting {
        key: "pg_bin",
        default: None,
        meaning: "folder of PostgreSQL's programs for the private database; unset: PATH, then the usual system folders",
    },
    Setting {
        key: "pg_source",
        default: None,
        meaning: "where the programs of the private database are fetched from, once, into a folder beside data_dir: a mirror such as `https://mirror.example/postgresql`, a folder that has the archive, or an archive of `bin`, `lib` and `share`; `none` for nowhere; unset: what is installed is used, and where nothing is, the archive of postgresql-binaries on GitHub",
    },
    Setting {
        key: "worker_threads",
        default: None,
        meaning: "threads that serve, 1 to 1000; unset: half as many as there are cores with the private database, which needs the others, else as many. Several imd on one machine do best to share its cores",
    },
    Setting {
        key: "page",
        default: Some("true"),
        meaning: "whether the public listener shows a chat at `/`: `true` or `false`",
    },
    Setting {
        key: "cors.allowed_origins",
        default: None,
        meaning: "origins of the pages that may call the public listener from a browser, as `https://a.example,https://b.example`, or `*` for all; unset: its own alone",
    },
    Setting {
        key: "login.passwords",
        default: Some("true"),
        meaning: "whether passwords are taken; `false` leaves the assertions of `login.issuers`",
    },
    Setting {
        key: "tokens.access_ttl",
        default: Some("15m"),
        meaning: "how long an access token is good for, 1s to 1d",
    },
    Setting {
        key: "tokens.refresh_ttl",
        default: Some("30d"),
        meaning: "how long a session lasts without use; longer than tokens.access_ttl, at most 10 years",
    },
    Setting {
        key: "messages.max_body_bytes",
        default: Some("16384"),
        meaning: "largest message body in bytes, 1 to 1048576",
    },
    Setting {
        key: "messages.recall_window",
        default: Some("2m"),
        meaning: "how long after sending a message can be recalled, at most 1 year; 0s for never",
    },
    Setting {
        key: "messages.edit_window",
        default: Some("15m"),
        meaning: "how long after sending a message can be edited by its sender, at most 1 year; 0s for never",
    },
    Setting {
        key: "messages.keep_edits",
        default: Some("false"),
        meaning: "whether what a message said before each edit is kept, and listed to its participants",
    },
    Setting {
        key: "messages.dedupe_for",
        default: Some("90d"),
        meaning: "for how long after sending, at least, a message that is sent again with the same `client_message_id` is answered with its first result, though it was purged meanwhile; 0s to 10 years",
    },
    Setting {
        key: "messages.read_receipts",
        default: Some("false"),
        meaning: "whether the peer is told how far a conversation has been read",
    },
    Setting {
        key: "messages.search",
        default: Some("true"),
        meaning: "whether users can search their messages: `true` or `false`. For that the texts are indexed in the background, which takes about as much disk space as the messages",
    },
    Setting {
        key: "messages.if_blocked",
        default: Some("refuse"),
        meaning: "what becomes of a message whose recipient blocks its sender: `refuse` says so; `drop` stores it for the sender alone, who is not told",
    },
    Setting {
        key: "messages.from",
        default: Some("anyone"),
        meaning: "from whom users take messages who have not said: `anyone`, `contacts` or `nobody`; blocks hold besides",
    },
    Setting {
        key: "attachments.max_bytes",
        default: Some("26214400"),
        meaning: "largest attachment of a message, in bytes, at most 5368709120; 0: messages have no attachments",
    },
    Setting {
        key: "attachments.quota_bytes",
        default: Some("1073741824"),
        meaning: "how many bytes all attachments of one user may have together; 0: no limit",
    },
    Setting {
        key: "attachments.types",
        default: Some("*/*"),
        meaning: "media types that attachments may have, with commas between them, as `image/*,application/pdf`",
    },
    Setting {
        key: "attachments.link_ttl",
        default: Some("5m"),
        meaning: "for how long a link to an attachment is good, and the right to upload one, 1s to 5m; a transfer that has begun goes on",
    },
    Setting {
        key: "attachments.folder",
        default: None,
        meaning: "folder for the bytes of attachments; several nodes must share it. Unset: `attachments` in the data folder",
    },
    Setting {
        key: "attachments.bucket",
        default: None,
        meaning: "bucket for the bytes of attachments, in place of a folder: `s3://bucket/folder`, `gs://bucket/folder` or `az://container/folder`; clients upload to it and download from it",
    },
    Setting {
        key: "attachments.endpoint",
        default: None,
        meaning: "URL of what speaks the protocol of S3, Google or Azure in their place, as `https://minio.example:9000`; clients have to reach it, too",
    },
    Setting {
        key: "attachments.region",
        default: Some("us-east-1"),
        meaning: "region of an S3 bucket",
    },
    Setting {
        key: "attachments.key_id",
        default: None,
        meaning: "id of the access key of an S3 bucket, or the name of the Azure account",
    },
    Setting {
        key: "attachments.key",
        default: None,
        meaning: "file of the secret access key (S3), of the service account in JSON (Google) or of the account key (Azure). Unset: what the environment and the machine's role give",
    },
    Setting {
        key: "groups.invite_from",
        default: Some("anyone"),
        meaning: "who adds users to groups at once, where these have not said: `anyone`, `contacts` or `nobody`; what others wish becomes an invitation",
    },
    Setting {
        key: "groups.max_members",
        default: Some("500"),
        meaning: "how many members a group may have, 2 to 2000",
    },
    Setting {
        key: "presence.visible_to",
        default: Some("anyone"),
        meaning: "who sees whether users are there who have not said: `anyone`, `contacts` or `nobody`; blocks hold besides",
    },
    Setting {
        key: "presence.terminal_types",
        default: Some("true"),
        meaning: "whether the types of their terminals are shown, too, of users who have not said: `true` or `false`",
    },
    Setting {
        key: "presence.grace",
        default: Some("15s"),
        meaning: "how long a terminal that has lost its stream still counts as there, 0s to 10m",
    },
    Setting {
        key: "push.delay",
        default: Some("3s"),
        meaning: "how long after a message the terminals that have no stream and do not have it are told, 0s to 10m; less than 3s may tell some that have it",
    },
    Setting {
        key: "push.web_push_subject",
        default: None,
        meaning: "who runs this deployment, as push services of browsers are told: `mailto:…` or `https://…`; unset: no Web Push",
    },
    Setting {
        key: "push.web_push_services",
        default: Some(
            "https://fcm.googleapis.com,https://*.push.services.mozilla.com,https://web.push.apple.com,https://*.notify.windows.com",
        ),
        meaning: "origins of the push services that are written to, with commas between them; `*.` stands for the hosts below",
    },
    Setting {
        key: "push.webhook_url",
        default: None,
        meaning: "server of the deployment's own that tells terminals, by a signed request for each; unset: none",
    },
    Setting {
        key: "push.webhook_key",
        default: None,
        meaning: "file of the key that these requests are signed with",
    },
    Setting {
        key: "push.apns_url",
        default: Some("https://api.push.apple.com"),
        meaning: "where Apple's service is; for apps under development `https://api.sandbox.push.apple.com`",
    },
    Setting {
        key: "push.apns_key",
        default: None,
        meaning: "file of the key that requests to Apple are signed with, as Apple gives it (`.p8`); unset: no push by Apple",
    },
    Setting { key: "push.apns_key_id", default: None, meaning: "id of that key" },
    Setting {
        key: "push.apns_team_id",
        default: None,
        meaning: "id of the team that the key is of",
    },
    Setting { key: "push.apns_topic", default: None, meaning: "bundle id of the app that is told" },
    Setting {
        key: "push.fcm_url",
        default: Some("https://fcm.googleapis.com"),
        meaning: "where Google's service is",
    },
    Setting {
        key: "push.fcm_credentials",
        default: None,
        meaning: "file of the service account that requests to Google are made with, as Google gives it (JSON); unset: no push by Google",
    },
    Setting {
        key: "webhooks.keep",
        default: Some("7d"),
        meaning: "how long events are kept for webhooks that do not answer or are paused, and for a replay, 1h to 90d",
    },
    Setting {
        key: "webhooks.timeout",
        default: Some("10s"),
        meaning: "how long a webhook may take to answer, 1s to 1m",
    },
    Setting {
        key: "webhooks.undelivered_after",
        default: Some("5m"),
        meaning: "after how long webhooks are told that no terminal of a user has got a message (`delivery.undelivered`), 10s to 7d",
    },
    Setting {
        key: "webhooks.allow_private",
        default: Some("false"),
        meaning: "whether webhooks may be on private and loopback addresses, and their URLs begin with `http://`: who may make webhooks can then reach what the node reaches",
    },
    Setting {
        key: "policy.url",
        default: None,
        meaning: "server that is asked before what a user writes is stored: `https://…`, or `grpcs://host:port` over gRPC; on this machine also `http://…` and `grpc://…`; unset: none",
    },
    Setting {
        key: "policy.key",
        default: None,
        meaning: "file of the key that these requests are signed with, and that calls over gRPC show; unset: neither",
    },
    Setting {
        key: "policy.timeout",
        default: Some("1500ms"),
        meaning: "how long it may take to answer, 100ms to 5s",
    },
    Setting {
        key: "policy.on_failure",
        default: Some("allow"),
        meaning: "what becomes of what it does not answer for: `allow` or `refuse`",
    },
    Setting {
        key: "policy.kinds",
        default: Some("user,group,edit"),
        meaning: "what it is asked for, with commas between them: messages to users (`user`), messages to groups (`group`), edits (`edit`)",
    },
    Setting {
        key: "append.lanes",
        default: Some("1"),
        meaning: "connections that append messages, 1 to 16; more than one helps only where many thousands of users write at a time, since batches that share a user wait for each other",
    },
    Setting {
        key: "append.batch",
        default: Some("256"),
        meaning: "most messages in one transaction of a lane, 1 to 1000",
    },
    Setting {
        key: "append.queue",
        default: Some("4096"),
        meaning: "most messages that wait in a lane, 1 to 100000; more are refused with `overloaded`",
    },
    Setting {
        key: "streams.heartbeat",
        default: Some("30s"),
        meaning: "how often an idle stream carries a sign of life, 1s to 10m",
    },
    Setting {
        key: "limits.failed_logins",
        default: Some("5"),
        meaning: "failed logins of one account from one address, after which the next has to wait for 1 s, and twice as long after each further one, up to 15 min; 0 for no limit. The limits hold on each node by itself; an IPv6 address counts by its /64, and with four times the limit by its /48",
    },
    Setting {
        key: "limits.failed_logins_per_address",
        default: Some("60"),
        meaning: "failed logins from one address in a minute; 0 for no limit",
    },
    Setting {
        key: "limits.logins_per_user",
        default: Some("60"),
        meaning: "successful logins of one user in a minute; 0 for no limit",
    },
    Setting {
        key: "limits.sends_per_session",
        default: Some("100"),
        meaning: "messages of one session in a second, those of 10 s at once; 0 for no limit",
    },
    Setting {
        key: "limits.sends_per_user",
        default: Some("200"),
        meaning: "the same of all sessions of one user",
    },
    Setting {
        key: "limits.signals_per_session",
        default: Some("5"),
        meaning: "signals of one session in a second, those of 10 s at once; 0 for no limit",
    },
    Setting {
        key: "limits.reads_per_user",
        default: Some("50"),
        meaning: "reads of one user in a second, those of 10 s at once: pages, listings, the opening of streams; 0 for no limit",
    },
    Setting {
        key: "limits.reads_at_once",
        default: Some("4"),
        meaning: "reads of one user that the database does at a time, 0 to 1000; eight times as many wait for their turn, more are refused; 0 for no limit",
    },
    Setting {
        key: "limits.changes_per_user",
        default: Some("50"),
        meaning: "changes of one user in a second other than messages, those of 10 s at once: read marks, recalls, deletions, blocks, changes of groups, refreshed tokens, ended sessions; 0 for no limit",
    },
    Setting {
        key: "limits.streams_per_session",
        default: Some("16"),
        meaning: "open streams of one session; 0 for no limit",
    },
    Setting {
        key: "limits.pings_per_second",
        default: Some("20"),
        meaning: "pings over one WebSocket in a second, beyond which it is closed; 0 for no limit",
    },
    Setting {
        key: "limits.connections_per_address",
        default: Some("1000"),
        meaning: "open connections of one address to a listener, four times as many of the /48 of an IPv6 address; 0 for no limit, as behind a proxy",
    },
    Setting {
        key: "limits.streams_per_connection",
        default: Some("1000"),
        meaning: "calls and streams that one HTTP/2 connection may carry at a time, 100 to 100000; 100 until an access token or an admin key that is good has come on it",
    },
    Setting {
        key: "limits.unread_bytes",
        default: Some("8388608"),
        meaning: "answers in bytes that one connection may leave unread before a further large one is refused, 1048576 to 134217728; all connections of a listener together 32 times as much",
    },
    Setting {
        key: "limits.calls",
        default: Some("10000"),
        meaning: "calls that a listener works on at a time, 100 to 1000000; further ones are refused with `overloaded`. Clients that have shown no good token or key may take a quarter of them, and one address of such clients a quarter of that",
    },
    Setting {
        key: "limits.loopback",
        default: Some("false"),
        meaning: "whether limits.connections_per_address holds for this machine, too",
    },
    Setting {
        key: "limits.header_bytes",
        default: Some("32768"),
        meaning: "largest header of a request in bytes, 8192 to 1048576",
    },
    Setting {
        key: "limits.header_timeout",
        default: Some("20s"),
        meaning: "how long a client may take to send the header of a request, or to answer when it is asked whether it is there, 1s to 10m",
    },
    Setting {
        key: "limits.call_timeout",
        default: Some("1m"),
        meaning: "how long a call may take, its body included, 1s to 1h; streams that have begun go on. An answer of which the client takes nothing for so long ends",
    },
    Setting {
        key: "limits.keepalive",
        default: Some("1m"),
        meaning: "how often a quiet connection is asked whether its client is there, 1s to 1h",
    },
    Setting {
        key: "trusted_proxies",
        default: None,
        meaning: "addresses and networks of the proxies that are believed when they say in `x-forwarded-for` where a call comes from, as `10.0.0.0/8,192.0.2.7`; unset: none",
    },
    Setting {
        key: "terminals.phone",
        default: Some("1"),
        meaning: "live sessions a user may have on phones, 1 to 100, where the database has no limit yet; likewise for any terminals.<type>; later it is changed with `imctl terminals`",
    },
    Setting { key: "terminals.pc", default: Some("1"), meaning: "the same for PCs" },
    Setting { key: "terminals.web", default: Some("3"), meaning: "the same for browsers" },
    Setting { key: "terminals.pad", default: Some("1"), meaning: "the same for tablets" },
    Setting { key: "terminals.watch", default: Some("1"), meaning: "the same for watches" },
    Setting {
        key: "terminals.exclusive",
        default: None,
        meaning: "groups of types that exclude each other, so that a login on one ends the sessions on the others: `[[\"phone\", \"pad\"]]` in the file, `phone+pad,pc+web` elsewhere; like the limits for a new database alone, later it is changed with `imctl terminals`",
    },
    Setting {
        key: "default_tier",
        default: Some("unlimited"),
        meaning: "tier of users that are created without one; `unlimited` always exists and hides nothing",
    },
    Setting {
        key: "tiers.free.days",
        default: None,
        meaning: "makes a tier `free`, if there is none, whose users see entries of so many days, 0 to 36500; likewise for any tiers.<name>; later it is changed with `imctl retention`",
    },
    Setting {
        key: "tiers.free.messages",
        default: None,
        meaning: "how many of their newest messages the users of this tier see; where both limits are set, the stricter holds; likewise for any tiers.<name>",
    },
    Setting {
        key: "tiers.free.bytes",
        default: None,
        meaning: "how many bytes the messages that a user of this tier has sent may take; beyond it the user sends nothing more until some are deleted or purged; counted each minute; likewise for any tiers.<name>",
    },
    Setting {
        key: "retention.purge_after",
        default: Some("7d"),
        meaning: "how long an entry must have been hidden before it is deleted, 0s to 10 years",
    },
    Setting {
        key: "sessions.keep_ended",
        default: Some("30d"),
        meaning: "how long a session is remembered after its end, 1d to 10 years; until then its tokens are refused with the reason, later as unknown",
    },
    Setting {
        key: "audit.keep",
        default: Some("365d"),
        meaning: "how long a record of the audit is kept, 1d to 100 years",
    },
    Setting {
        key: "shutdown.delay",
        default: Some("0s"),
        meaning: "for how long a node that is asked to stop says with `/readyz` that it is not ready, and serves on, until load balancers have noticed; its streams are then sent elsewhere one after the other over the same time, 0s to 5m",
    },
    Setting {
        key: "shutdown.grace",
        default: Some("10s"),
        meaning: "how long requests may take to end after a stop signal, 0s to 10m",
    },
    Setting {
        key: "log.level",
        default: Some("info,refinery_core=warn,tokio_postgres=warn"),
        meaning: "what is logged: `error`, `warn`, `info`, `debug`, `trace`, or filters such as `info,imd=debug`; read again at SIGHUP",
    },
    Setting {
        key: "log.format",
        default: Some("text"),
        meaning: "`text`, or `json` with one object a line",
    },
    Setting {
        key: "log.access",
        default: Some("false"),
        meaning: "whether each call is logged at the level `info`; else it is at `debug`; read again at SIGHUP",
    },
    Setting {
        key: "log.slow",
        default: Some("1s"),
        meaning: "how long a call or a statement to the database takes that is logged as slow, 1ms to 1h; 0s for none; read again at SIGHUP",
    },
];

/// The table of settings as it stands in `docs/settings.md`.
#[must_use]
pub fn settings_as_markdown() -> String {
    let header = "| setting | environment | default | meaning |\n|---|---|---|---|\n".to_owned();
    SETTINGS.iter().fold(header, |table, setting| {
        let (key, variable, meaning) = (setting.key, setting.variable(), setting.meaning);
        let default = setting.default.map(|text| format!("`{text}`")).unwrap_or_default();
        format!("{table}| `{key}` | `{variable}` | {default} | {meaning} |\n")
    })
}

/// Start of the keys of terminal types, which are open-ended.
const TERMINALS: &str = "terminals.";

/// A list of tables, which only the settings file can hold.
const ISSUERS: &str = "login.issuers";

pub(super) fn is_key(key: &str) -> bool {
    let listed = SETTINGS.iter().any(|setting| setting.key == key);
    let terminal = || key.strip_prefix(TERMINALS).is_some_and(|name| !name.contains('.'));
    listed || key == ISSUERS || terminal() || is_tier_key(key)
}

/// `tiers.<name>.days`, `tiers.<name>.messages` or `tiers.<name>.bytes`.
fn is_tier_key(key: &str) -> bool {
    let limit = key.strip_prefix("tiers.").and_then(|rest| rest.split_once('.'));
    limit.is_some_and(|(_, limit)| ["days", "messages", "bytes"].contains(&limit))
}

/// The key that the environment variable `name` sets.
pub(super) fn key_of_variable(name: &str) -> Option<String> {
    let listed = SETTINGS.iter().find(|setting| setting.variable() == name);
    if let Some(setting) = listed {
        return Some(setting.key.to_owned());
    }
    let terminal_type = name.strip_prefix("IMD_TERMINALS_")?.to_lowercase();
    TerminalType::is_name(&terminal_type).then(|| format!("{TERMINALS}{terminal_type}"))
}

pub(super) fn nearest_key(key: &str) -> &'static str {
    let distance = |setting: &&Setting| damerau_levenshtein(setting.key, key);
    SETTINGS.iter().min_by_key(distance).map_or("", |setting| setting.key)
}

pub(super) fn nearest_variable(name: &str) -> String {
    let variables = SETTINGS.iter().map(Setting::variable);
    variables
        .chain(["IMD_CONFIG".to_owned()])
        .min_by_key(|variable| damerau_levenshtein(variable, name))
        .unwrap_or_default()
}

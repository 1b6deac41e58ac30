//! `imctl support`

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use flate2::{Compression, write::GzEncoder};
use imd_proto::v1::{
    GetLoadRequest, GetStatusRequest, ListAuditRecordsRequest, ListChecksRequest, ListJobsRequest,
    ListTerminalTypesRequest, ListTiersRequest, ListWebhooksRequest,
};
use serde_json::{Value, json};
use tar::{Builder, Header};
use time::{OffsetDateTime, macros::format_description};

use crate::{client::Admin, clock, error::Error, output};

/// How many of the newest audit records go into a bundle.
const AUDIT_RECORDS: i32 = 200;

/// What stands for what is left out.
const REDACTED: &str = "(redacted)";

/// `imctl support …`
#[derive(Debug, Subcommand)]
pub(crate) enum SupportCommand {
    /// Gather in one file what somebody needs who is to find out what is wrong
    #[command(after_help = "\
The bundle is a .tar.gz of text files: versions, nodes, checks, jobs, settings with secrets masked, metrics, the slowest calls, webhooks \
without their URLs, and the newest audit records without users, addresses and reasons. It has no message, no user id, no key, \
no token and no password in it. Look through it before it goes to somebody else.

Example:
  imctl support bundle --to imd.tar.gz")]
    Bundle(BundleArgs),
}

/// Arguments of `imctl support bundle`.
#[derive(Debug, Args)]
pub(crate) struct BundleArgs {
    /// The file to make; it must not be there yet [default: imd-support-<time>.tar.gz]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

/// Runs one of the commands.
pub(crate) async fn run(command: SupportCommand, admin: &mut Admin) -> Result<(), Error> {
    match command {
        SupportCommand::Bundle(args) => bundle(args, admin).await,
    }
}

async fn bundle(args: BundleArgs, admin: &mut Admin) -> Result<(), Error> {
    let now = OffsetDateTime::now_utc();
    let time = now.format(format_description!("[year][month][day]-[hour][minute][second]"));
    let name = format!("imd-support-{}", time.unwrap_or_default());
    let path = args.to.unwrap_or_else(|| format!("{name}.tar.gz").into());
    let files = gather(admin).await?;
    write(&path, &name, now, &files)
        .map_err(|cause| Error::Usage(format!("cannot write {}: {cause}", path.display())))?;
    for (name, _) in &files {
        output::note(&format!("  {name}"));
    }
    output::print(path.display())
}

/// The files by name. What the server does not tell, a file says why.
async fn gather(admin: &mut Admin) -> Result<Vec<(&'static str, String)>, Error> {
    let status = admin.calls.get_status(GetStatusRequest {}).await;
    let status = status.map_err(|status| admin.failure(status))?.into_inner();
    let nodes: Vec<Value> = status
        .nodes
        .iter()
        .map(|node| {
            json!({
                "node_id": node.node_id, "version": node.version, "alive": node.alive,
                "streams": node.streams, "started_at": rfc3339(node.started_at),
                "heartbeat_at": rfc3339(node.heartbeat_at),
            })
        })
        .collect();
    let replication = status.replication.unwrap_or_default();
    let cluster = json!({
        "imctl": env!("CARGO_PKG_VERSION"), "imd": status.version, "asked": status.node_id,
        "postgresql": status.postgres_version, "users": status.users, "entries": status.entries,
        "live_sessions": status.live_sessions, "online_sessions": status.online_sessions,
        "database_bytes": status.database_bytes, "nodes": nodes,
        "synchronous": replication.synchronous, "standbys": replication.standbys.len(),
        "generation": replication.generation, "generation_reason": replication.generation_reason,
    });
    let mut files = vec![("cluster.json", pretty(&cluster))];
    files.push(("checks.json", checks(admin).await));
    files.push(("jobs.json", jobs(admin).await));
    files.push(("retention.json", retention(admin).await));
    files.push(("webhooks.json", webhooks(admin).await));
    files.push(("audit.json", audit(admin).await));
    let metrics = admin.metrics().await;
    files.push(("metrics.txt", metrics.unwrap_or_else(|error| error.to_string())));
    let load = admin.calls.get_load(GetLoadRequest {}).await;
    match load.map(tonic::Response::into_inner) {
        Ok(load) => {
            let slowest: Vec<Value> = load
                .slowest
                .iter()
                .map(|call| {
                    json!({
                        "at": rfc3339(call.at), "took_ms": call.took_ms, "method": call.method,
                        // Paths of REST may name users.
                        "path": route(&call.path), "request_id": call.request_id,
                    })
                })
                .collect();
            let shown = json!({
                "period_s": load.period_s, "calls": load.calls, "errors": load.errors,
                "p50_ms": load.p50_ms, "p90_ms": load.p90_ms, "p99_ms": load.p99_ms,
                "queued": load.queued, "streams": load.streams, "slowest": slowest,
            });
            files.push(("load.json", pretty(&shown)));
            let settings = match load.settings.as_str() {
                "" => "# the settings are shown to the role admin alone\n".to_owned(),
                settings => without_urls(settings),
            };
            files.push(("settings.toml", settings));
        }
        Err(status) => files.push(("load.json", admin.failure(status).to_string())),
    }
    Ok(files)
}

/// What the answer to a call shows, or why there is none.
macro_rules! shown {
    ($admin:ident, $call:ident($request:expr), $show:expr) => {
        match $admin.calls.$call($request).await {
            Ok(answer) => pretty(&Value::from($show(answer.into_inner()))),
            Err(status) => $admin.failure(status).to_string(),
        }
    };
}

async fn checks(admin: &mut Admin) -> String {
    shown!(admin, list_checks(ListChecksRequest {}), |answer: imd_proto::v1::ListChecksResponse| {
        let shown = answer.checks.into_iter().map(|check| {
            let result = check.result().as_str_name();
            json!({ "name": check.name, "result": result, "found": check.found, "advice": check.advice })
        });
        shown.collect::<Vec<_>>()
    })
}

async fn jobs(admin: &mut Admin) -> String {
    shown!(admin, list_jobs(ListJobsRequest {}), |answer: imd_proto::v1::ListJobsResponse| {
        let shown = answer.jobs.into_iter().map(|job| {
            json!({
                "name": job.name, "node_id": job.node_id, "failures": job.failures,
                "error": job.error, "due_at": rfc3339(job.due_at),
                "finished_at": rfc3339(job.finished_at),
            })
        });
        shown.collect::<Vec<_>>()
    })
}

async fn retention(admin: &mut Admin) -> String {
    let types = shown!(
        admin,
        list_terminal_types(ListTerminalTypesRequest {}),
        |answer: imd_proto::v1::ListTerminalTypesResponse| {
            let shown = answer
                .terminal_types
                .into_iter()
                .map(|of| json!({ "name": of.name, "session_limit": of.session_limit }));
            shown.collect::<Vec<_>>()
        }
    );
    let tiers = shown!(
        admin,
        list_tiers(ListTiersRequest {}),
        |answer: imd_proto::v1::ListTiersResponse| {
            answer
                .tiers
                .into_iter()
                .map(|tier| json!({ "tier": tier.name, "users": tier.users }))
                .collect::<Vec<_>>()
        }
    );
    format!("{types}\n{tiers}")
}

async fn webhooks(admin: &mut Admin) -> String {
    shown!(
        admin,
        list_webhooks(ListWebhooksRequest {}),
        |answer: imd_proto::v1::ListWebhooksResponse| {
            let shown = answer.webhooks.into_iter().map(|webhook| {
                json!({
                    "webhook_id": webhook.webhook_id, "url": REDACTED, "kinds": webhook.kinds,
                    "state": webhook.state().as_str_name(), "failures": webhook.failures,
                    "error": webhook.error, "waiting": webhook.waiting,
                    "delivered_at": rfc3339(webhook.delivered_at),
                })
            });
            shown.collect::<Vec<_>>()
        }
    )
}

async fn audit(admin: &mut Admin) -> String {
    let request = ListAuditRecordsRequest { page_size: AUDIT_RECORDS, ..Default::default() };
    shown!(admin, list_audit_records(request), |answer: imd_proto::v1::ListAuditRecordsResponse| {
        let shown = answer.records.into_iter().map(|record| {
            json!({
                "at": rfc3339(record.at), "action": record.action, "audit_no": record.audit_no,
            })
        });
        shown.collect::<Vec<_>>()
    })
}

/// A path without what its parts name: `/v1/users/ann` is `/v1/users/…`.
fn route(path: &str) -> String {
    let keeps = |part: &str| {
        part.is_empty()
            || ["v1", "admin", "messages", "conversations", "users", "groups", "sessions"]
                .contains(&part)
            || part.starts_with("im.v1.")
    };
    if path.starts_with("/im.v1.") {
        return path.to_owned();
    }
    let parts: Vec<&str> =
        path.split('/').map(|part| if keeps(part) { part } else { "…" }).collect();
    parts.join("/")
}

/// Settings without the values that name servers of others': their URLs can have secrets in them.
fn without_urls(settings: &str) -> String {
    let shown = settings.lines().map(|line| match line.split_once(" = ") {
        Some((key, value)) if value.contains("://") => format!("{key} = \"{REDACTED}\""),
        _ => line.to_owned(),
    });
    shown.collect::<Vec<_>>().join("\n") + "\n"
}

fn rfc3339(at: Option<prost_types::Timestamp>) -> Option<String> {
    clock::time(at)?.format(&time::format_description::well_known::Rfc3339).ok()
}

fn pretty(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    output::escaped(&text) + "\n"
}

fn write(
    path: &Path,
    folder: &str,
    now: OffsetDateTime,
    files: &[(&'static str, String)],
) -> io::Result<()> {
    let file = new_file(path)?;
    let mut archive = Builder::new(GzEncoder::new(file, Compression::default()));
    for (name, text) in files {
        let mut header = Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(now.unix_timestamp()).unwrap_or_default());
        archive.append_data(&mut header, format!("{folder}/{name}"), text.as_bytes())?;
    }
    archive.into_inner()?.finish()?.flush()
}

/// A file that nobody else can read.
fn new_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_path_or_a_url_names_is_left_out() {
        assert_eq!(route("/v1/conversations/user:ann/messages"), "/v1/conversations/…/messages");
        assert_eq!(route("/im.v1.MessageService/Send"), "/im.v1.MessageService/Send");
        let settings = "listen = \"127.0.0.1:1\"\n[policy]\nurl = \"https://x/?token=secret\"";
        assert!(!without_urls(settings).contains("secret"));
        assert!(without_urls(settings).contains("listen = \"127.0.0.1:1\""));
    }
}

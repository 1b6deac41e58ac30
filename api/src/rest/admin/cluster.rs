//! Nodes, jobs, terminal types and the audit.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use futures::TryStreamExt;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Caller, lines};
use crate::{
    rest::{
        document::Refusal,
        extract::{Json, Path, Query, time},
        problem::Problem,
        types::{
            Entry,
            admin::{
                AuditRecordList, CheckList, Job, JobList, Load, SecurityEvent,
                SetTerminalTypesRequest, Status, TerminalTypeList,
            },
        },
    },
    service::{AuditQuery, Service},
};

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default()
        .routes(routes!(get_status))
        .routes(routes!(get_load))
        .routes(routes!(tail_events))
        .routes(routes!(tail_timeline))
        .routes(routes!(list_checks))
        .routes(routes!(list_jobs))
        .routes(routes!(retry_job))
        .routes(routes!(cancel_job))
        .routes(routes!(list_terminal_types, set_terminal_types))
        .routes(routes!(delete_terminal_type))
        .routes(routes!(list_audit_records))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct JobPath {
    /// Which job.
    #[param(example = "purge")]
    name: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct TypePath {
    /// Which terminal type.
    #[param(example = "tv")]
    name: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RecordQuery {
    /// Those about this user alone; absent or empty for all.
    #[serde(default)]
    user_id: String,
    /// Those of this action alone, such as `kick_sessions`; absent or empty for all.
    #[serde(default)]
    #[param(max_length = 256, example = "kick_sessions")]
    action: String,
    /// Those of what the admin key of this name did, or whoever else records name; absent or empty for all.
    #[serde(default)]
    #[param(max_length = 256, example = "zoe")]
    actor: String,
    /// Those made at this time or later alone; absent for all.
    #[param(format = DateTime, example = "2026-11-23T07:30:00Z")]
    since: Option<String>,
    /// The most records to return: 100 when absent or 0; more than 1,000 counts as so many.
    #[serde(default)]
    #[param(minimum = 0, maximum = 2_147_483_647)]
    page_size: i32,
    /// `next_page_token` of the page before; absent or empty for the first page.
    #[serde(default)]
    page_token: String,
}

/// Get the state of the cluster.
///
/// The nodes, what they hold, how large the database is, and its jobs. Needs the role `viewer`.
#[utoipa::path(
    get, path = "/admin/v1/status", tag = "Cluster", security(("admin_key" = [])),
    responses(
        (status = 200, description = "The state.", body = Status),
        Refusal<401>, Refusal<403>, Refusal<500>, Refusal<503>,
    ),
)]
async fn get_status(
    State(service): State<Arc<Service>>,
    caller: Caller,
) -> Result<Json<Status>, Problem> {
    Ok(Json(caller.admin(&service).await?.status().await?.into()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TailQuery {
    /// For how many seconds; absent or 0 for as long as the caller stays.
    #[serde(default)]
    #[param(minimum = 0, maximum = 2_147_483_647)]
    seconds: i32,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct UserPath {
    /// Whose timeline.
    #[param(example = "ann")]
    user_id: String,
}

/// Get how the node fares.
///
/// Its calls of the last minute, and what waits. Needs the role `viewer`; the settings are shown to the role
/// `admin` alone.
#[utoipa::path(
    get, path = "/admin/v1/load", tag = "Cluster", security(("admin_key" = [])),
    responses(
        (status = 200, description = "How it fares.", body = Load),
        Refusal<401>, Refusal<403>, Refusal<500>, Refusal<503>,
    ),
)]
async fn get_load(
    State(service): State<Arc<Service>>,
    caller: Caller,
) -> Result<Json<Load>, Problem> {
    Ok(Json(caller.admin(&service).await?.load()?.into()))
}

/// Watch security events.
///
/// As they happen, on whichever node: a line of JSON for each. None that happened before. Needs the role `viewer`.
#[utoipa::path(
    get, path = "/admin/v1/events", tag = "Cluster", security(("admin_key" = [])),
    params(TailQuery),
    responses(
        (status = 200, description = "The events.", body = SecurityEvent, content_type = "application/x-ndjson"),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<500>, Refusal<503>,
    ),
)]
async fn tail_events(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Query(asked): Query<TailQuery>,
) -> Result<Response, Problem> {
    let events = caller.admin(&service).await?.tail_events(asked.seconds).await?;
    Ok(lines::answer(events.map_ok(SecurityEvent::from)))
}

/// Watch a user's timeline.
///
/// The entries that it gets, as they come: a line of JSON for each. None that came before. Whoever watches does not count as
/// a terminal. Leaves an audit record.
///
/// Errors: `user_not_found`. Needs the role `admin`.
#[utoipa::path(
    get, path = "/admin/v1/users/{user_id}/timeline/tail", tag = "Cluster", security(("admin_key" = [])),
    params(UserPath, TailQuery),
    responses(
        (status = 200, description = "The entries.", body = Entry, content_type = "application/x-ndjson"),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn tail_timeline(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<UserPath>,
    Query(asked): Query<TailQuery>,
) -> Result<Response, Problem> {
    let admin = caller.admin(&service).await?;
    let entries = admin.tail_timeline(&path.user_id, asked.seconds).await?;
    Ok(lines::answer(entries.map_ok(|entry| Entry::from(&entry))))
}

/// Check the node and its database.
///
/// How they are set up, and how they do: what should be known, or mended, before it matters. Needs the role `viewer`.
#[utoipa::path(
    get, path = "/admin/v1/checks", tag = "Cluster", security(("admin_key" = [])),
    responses(
        (status = 200, description = "What was looked at.", body = CheckList),
        Refusal<401>, Refusal<403>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_checks(
    State(service): State<Arc<Service>>,
    caller: Caller,
) -> Result<Json<CheckList>, Problem> {
    Ok(Json(caller.admin(&service).await?.checks().await?.into()))
}

/// List the jobs.
///
/// What the nodes do unasked, each by one node at a time. Needs the role `viewer`.
#[utoipa::path(
    get, path = "/admin/v1/jobs", tag = "Cluster", security(("admin_key" = [])),
    responses(
        (status = 200, description = "The jobs, by name.", body = JobList),
        Refusal<401>, Refusal<403>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_jobs(
    State(service): State<Arc<Service>>,
    caller: Caller,
) -> Result<Json<JobList>, Problem> {
    Ok(Json(caller.admin(&service).await?.list_jobs().await?.into()))
}

/// Run a job now.
///
/// Whether it waits for its time or for another try after a failure. One that runs goes on, and runs once more.
///
/// Errors: `job_not_found`. Needs the role `admin`.
#[utoipa::path(
    post, path = "/admin/v1/jobs/{name}/retry", tag = "Cluster", security(("admin_key" = [])),
    params(JobPath),
    responses(
        (status = 200, description = "The job, which is due now.", body = Job),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn retry_job(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<JobPath>,
) -> Result<Json<Job>, Problem> {
    Ok(Json(caller.admin(&service).await?.retry_job(&path.name).await?.into()))
}

/// End the run of a job that is under way.
///
/// Within seconds; the next run comes at its time.
///
/// Errors: `job_not_found`; `job_not_running`. Needs the role `admin`.
#[utoipa::path(
    post, path = "/admin/v1/jobs/{name}/cancel", tag = "Cluster", security(("admin_key" = [])),
    params(JobPath),
    responses(
        (status = 200, description = "The job, at which nobody works any more.", body = Job),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<500>, Refusal<503>,
    ),
)]
async fn cancel_job(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<JobPath>,
) -> Result<Json<Job>, Problem> {
    Ok(Json(caller.admin(&service).await?.cancel_job(&path.name).await?.into()))
}

/// List the terminal types.
///
/// Needs the role `viewer`.
#[utoipa::path(
    get, path = "/admin/v1/terminal_types", tag = "Cluster", security(("admin_key" = [])),
    responses(
        (status = 200, description = "The terminal types, by name.", body = TerminalTypeList),
        Refusal<401>, Refusal<403>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_terminal_types(
    State(service): State<Arc<Service>>,
    caller: Caller,
) -> Result<Json<TerminalTypeList>, Problem> {
    Ok(Json(caller.admin(&service).await?.list_terminal_types().await?.into()))
}

/// Make or change terminal types.
///
/// All or none; others stay as they are. Holds from the next login on, on every node.
///
/// Errors: `invalid_argument` for a type that does not exist and is not made; `terminal_type_exists` where `expect` is
/// not met. Needs the role `admin`.
#[utoipa::path(
    patch, path = "/admin/v1/terminal_types", tag = "Cluster", security(("admin_key" = [])),
    responses(
        (status = 200, description = "The terminal types, by name.", body = TerminalTypeList),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<409>, Refusal<413>, Refusal<415>, Refusal<500>,
        Refusal<503>,
    ),
)]
async fn set_terminal_types(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Json(request): Json<SetTerminalTypesRequest>,
) -> Result<Json<TerminalTypeList>, Problem> {
    let admin = caller.admin(&service).await?;
    Ok(Json(admin.set_terminal_types(request.into()).await?.into()))
}

/// Delete a terminal type.
///
/// Nobody can log in as one any more.
///
/// Errors: `invalid_argument` for a type that does not exist; `terminal_type_in_use` while a session of it is live. Needs
/// the role `admin`.
#[utoipa::path(
    delete, path = "/admin/v1/terminal_types/{name}", tag = "Cluster", security(("admin_key" = [])),
    params(TypePath),
    responses(
        (status = 200, description = "The terminal types that are left.", body = TerminalTypeList),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<409>, Refusal<500>, Refusal<503>,
    ),
)]
async fn delete_terminal_type(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<TypePath>,
) -> Result<Json<TerminalTypeList>, Problem> {
    let admin = caller.admin(&service).await?;
    Ok(Json(admin.delete_terminal_types(vec![path.name]).await?.into()))
}

/// List what administrators did.
///
/// The newest first. Paged. Errors: `user_not_found`. Needs the role `viewer`.
#[utoipa::path(
    get, path = "/admin/v1/audit", tag = "Cluster", security(("admin_key" = [])), params(RecordQuery),
    responses(
        (status = 200, description = "A page of records.", body = AuditRecordList),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_audit_records(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Query(asked): Query<RecordQuery>,
) -> Result<Json<AuditRecordList>, Problem> {
    let admin = caller.admin(&service).await?;
    let RecordQuery { user_id, action, actor, since, page_size, page_token } = asked;
    let query = AuditQuery { user_id, action, actor, since: time("since", since)? };
    Ok(Json(admin.list_audit_records(&query, page_size, &page_token).await?.into()))
}

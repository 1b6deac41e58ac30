//! Moving messages in and out, and numbering timelines anew.

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Caller,
    lines::{self, parse},
    users::UserPath,
};
use crate::{
    model::{Error, Result as ServiceResult},
    rest::{
        document::Refusal,
        extract::{Json, Path, Query, time},
        groups::GroupPath,
        largest_body,
        problem::Problem,
        types::admin::{
            ExportedLine, ExportedRecord, ImportRecord, ImportResult, Progress, StartEpochRequest,
        },
    },
    service::{ImportProgress, ImportStep, Service},
};

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default()
        .routes(routes!(export_messages))
        .routes(routes!(export_group))
        .routes(routes!(start_epoch))
}

/// What takes a body that may be as long as it likes.
pub(super) fn imports() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default().routes(routes!(import_messages))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ExportQuery {
    /// From the first message of this time or later; absent for all.
    #[param(format = DateTime, example = "2026-11-23T07:30:00Z")]
    since: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ImportQuery {
    /// Whether participants that do not exist get an account.
    #[serde(default)]
    create_users: bool,
    /// Whether what other imports have left unfinished is finished, too.
    #[serde(default)]
    finish_all: bool,
}

/// Export a user's messages.
///
/// Every message of the user's timeline that still says something, the oldest first, a line each: all that is stored,
/// also what the user's tier hides, with its edits, reactions, quote and pin. In the last line, if there is any of it, what the
/// user shows of itself, has set for its conversations and has begun in them.
///
/// Errors: `user_not_found`. Needs the role `admin`.
#[utoipa::path(
    get, path = "/admin/v1/users/{user_id}/messages", tag = "Messages", security(("admin_key" = [])),
    params(UserPath, ExportQuery),
    responses(
        (status = 200, description = "The messages, a line each, and the user.", body = ExportedLine,
            content_type = "application/x-ndjson"),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn export_messages(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<UserPath>,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let since = time("since", query.since)?;
    let exporting = service.export_messages(caller.call(), &path.user_id, since).await?;
    let messages = exporting.try_filter_map(async |step| Ok(ExportedLine::of(step)));
    Ok(lines::answer(messages))
}

/// Export what became of a group's members.
///
/// For an import, a line each: the group with those whom it had at first, then who came and who went, in the order of
/// times, as far back as the group's timeline reaches, and that it was dissolved, if it was. What is set of the group is
/// what holds now, and so is what a member is. Messages are in the members' exports.
///
/// Errors: `group_not_found`, also for a dissolved one of which nothing is left. Needs the role `admin`.
#[utoipa::path(
    get, path = "/admin/v1/groups/{group_id}/export", tag = "Groups", security(("admin_key" = [])),
    params(GroupPath),
    responses(
        (status = 200, description = "The group and the changes of its members, a line each.", body = ExportedRecord,
            content_type = "application/x-ndjson"),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn export_group(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<GroupPath>,
) -> Result<Response, Problem> {
    let records = service.export_group(caller.call(), &path.group_id).await?;
    Ok(lines::answer(stream::iter(records).map(|record| Ok(ExportedRecord::of(record)))))
}

/// Import messages, groups and what users have set with their own times.
///
/// From another system or from an export, a line each, in the order of times: appends each to the timelines of all
/// participants, and answers when all are stored. A timeline must be empty: of a user that has neither logged in nor
/// been written to. What breaks off is repeated with the same messages: those that stand are left.
///
/// Errors, with the `line`: `user_not_found`, `group_not_found`; `member_not_found` for a sender who is not in the group;
/// `timeline_not_empty`; `group_exists` for one that was made at another time; `group_full`; `too_many_pins`;
/// `too_many_scheduled`; `client_message_id_conflict`. All up to that line may stand then; the import is unfinished. Needs the role `admin`.
#[utoipa::path(
    post, path = "/admin/v1/messages/import", tag = "Messages", security(("admin_key" = [])),
    params(ImportQuery),
    request_body(content = ImportRecord, content_type = "application/x-ndjson"),
    responses(
        (status = 200, description = "All messages are stored.", body = ImportResult),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<500>, Refusal<503>,
    ),
)]
async fn import_messages(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Query(query): Query<ImportQuery>,
    body: Body,
) -> Result<Json<ImportResult>, Problem> {
    let ImportQuery { create_users, finish_all } = query;
    let messages = lines::lines(body, largest_body(&service)).map(|line| {
        let (number, line) = line?;
        let message = parse::<ImportRecord>(&line).and_then(|record| record.at(number));
        message
            .map(|line| ImportStep::Line(Box::new(line)))
            .map_err(|error| Error::at_line(number, error))
    });
    let begin = stream::iter([Ok(ImportStep::Begin { create_users })]);
    let end = stream::iter([Ok(ImportStep::End { finish_all })]);
    let steps = begin.chain(messages).chain(end);
    let importing = service.import_messages(caller.call(), steps).await?;
    let last = importing.try_fold(ImportProgress::default(), async |_, progress| Ok(progress));
    let done: ServiceResult<ImportProgress> = last.await;
    Ok(Json(done?.into()))
}

/// Start a new numbering of one timeline or of all.
///
/// For the day after a database was restored from a backup: every open stream starts anew from the floor, on every node,
/// and no cursor from before is good any more. No entry is touched. To be called again when it breaks off.
///
/// Errors: `user_not_found`. Needs the role `admin`.
#[utoipa::path(
    post, path = "/admin/v1/epochs", tag = "Messages", security(("admin_key" = [])),
    responses(
        (status = 200, description = "The progress, a line each.", body = Progress,
            content_type = "application/x-ndjson"),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<413>, Refusal<415>, Refusal<500>,
        Refusal<503>,
    ),
)]
async fn start_epoch(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Json(request): Json<StartEpochRequest>,
) -> Result<Response, Problem> {
    let renumbering = caller.admin(&service).await?.start_epoch(request.into()).await?;
    Ok(lines::answer(renumbering.into_stream().map_ok(Progress::from)))
}

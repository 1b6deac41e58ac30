//! Lists of what is as new as some time, and other filters of them, over gRPC and REST alike.

use imd_proto::v1::{
    self, AdminListGroupsRequest, AdminSender, AttachmentState, BroadcastAudience, BroadcastState,
    CreateBroadcastRequest, ListAttachmentsRequest, ListAuditRecordsRequest, ListBroadcastsRequest,
    ListSessionsRequest, ListUsersRequest, SessionState, admin_sender::From,
    broadcast_audience::To, create_broadcast_request::Content,
};
use prost_types::Timestamp;
use reqwest::Client;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use crate::{
    attachments::upload,
    support::{
        admin::Admin, api::Transport, cluster::Cluster, failure::Failure, grpc::at,
        node::ADMIN_KEY, types::FileCall,
    },
};

/// The ids of a page, and the token of the next.
type Ids = (Vec<String>, String);

/// A list of the admin listener's REST API.
pub(crate) struct RestList {
    pub(crate) path: &'static str,
    /// The member that has the rows.
    pub(crate) rows: &'static str,
    /// Where in a row its id is.
    pub(crate) id: &'static str,
}

const USERS: RestList = RestList { path: "/admin/v1/users", rows: "users", id: "/user_id" };
const SESSIONS: RestList =
    RestList { path: "/admin/v1/sessions", rows: "sessions", id: "/session/session_id" };
const AUDIT: RestList = RestList { path: "/admin/v1/audit", rows: "records", id: "/audit_no" };
const GROUPS: RestList =
    RestList { path: "/admin/v1/groups", rows: "groups", id: "/group/group_id" };
const ATTACHMENTS: RestList =
    RestList { path: "/admin/v1/attachments", rows: "attachments", id: "/attachment_id" };
const BROADCASTS: RestList =
    RestList { path: "/admin/v1/broadcasts", rows: "broadcasts", id: "/broadcast_id" };

/// What a list answers.
async fn get(imd: &Cluster, path: &str, asked: &[(&str, &str)]) -> Value {
    let url = format!("http://{}{path}", imd.node.admin_address());
    let answer = Client::new().get(url).bearer_auth(ADMIN_KEY).query(asked).send().await;
    answer.expect("an answer").json().await.expect("JSON")
}

/// The field of which REST says that it is wrong.
pub(crate) async fn rest_field(imd: &Cluster, path: &str, asked: (&str, &str)) -> String {
    let refused = get(imd, path, &[asked]).await;
    assert_eq!(refused["code"], "invalid_argument", "{refused}");
    refused["field"].as_str().unwrap_or_default().to_owned()
}

impl RestList {
    async fn page(&self, imd: &Cluster, asked: &[(&str, &str)], size: i32, token: &str) -> Ids {
        let size = size.to_string();
        let mut asked = asked.to_vec();
        asked.extend([("page_size", size.as_str()), ("page_token", token)]);
        let page = get(imd, self.path, &asked).await;
        let rows = page[self.rows].as_array().unwrap_or_else(|| panic!("{page}"));
        let id = |row: &Value| match row.pointer(self.id).expect("an id") {
            Value::String(id) => id.clone(),
            number => number.to_string(),
        };
        let next = page["next_page_token"].as_str().expect("a token").to_owned();
        (rows.iter().map(id).collect(), next)
    }
}

/// The rows of all pages, of which each but the last is full.
async fn pages(size: i32, page: impl AsyncFn(i32, String) -> Ids) -> Vec<String> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let (ids, next) = page(size, token).await;
        let is_full = i32::try_from(ids.len()).expect("a number") == size;
        assert!(is_full || next.is_empty(), "{} of {size}, and more to come", ids.len());
        all.extend(ids);
        if next.is_empty() {
            return all;
        }
        token = next;
    }
}

/// Asserts that a list has these rows, over gRPC and over REST, in pages of any size.
pub(crate) async fn assert_lists(
    imd: &Cluster,
    grpc: impl AsyncFn(i32, String) -> Result<Ids, Failure>,
    (rest, asked): (&RestList, &[(&str, &str)]),
    expected: &[&str],
) {
    for size in [1, 2, 1000] {
        let over_grpc =
            pages(size, async |size, token| grpc(size, token).await.expect("a page")).await;
        assert_eq!(over_grpc, expected, "over gRPC, in pages of {size}: {asked:?}");
        let over_rest =
            pages(size, async |size, token: String| rest.page(imd, asked, size, &token).await);
        assert_eq!(over_rest.await, expected, "over REST, in pages of {size}: {asked:?}");
    }
}

/// A time as REST has it; empty for none.
pub(crate) fn rfc3339(time: Option<Timestamp>) -> String {
    time.map(|time| at(Some(time)).format(&Rfc3339).expect("a time")).unwrap_or_default()
}

/// The parameters that have a value.
pub(crate) fn given<'a>(asked: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    asked.iter().copied().filter(|(_, value)| !value.is_empty()).collect()
}

fn timestamp(time: OffsetDateTime) -> Timestamp {
    let nanos = i32::try_from(time.nanosecond()).expect("a number");
    Timestamp { seconds: time.unix_timestamp(), nanos }
}

#[tokio::test]
async fn users_are_listed_since_they_were_created() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["dave", "cleo", "ann", "cyd", "bob", "anna"]).await;
    let admin = imd.admin();
    let created = async |user_id: &str| admin.user(user_id).await.expect("a user").created_at;
    let (cleo, ann, anna) = (created("cleo").await, created("ann").await, created("anna").await);
    admin.delete("bob", false).await.expect("deleted");
    let assert_users = async |prefix: &str, since: Option<Timestamp>, expected: &[&str]| {
        let grpc = async |page_size, page_token| {
            let prefix = prefix.to_owned();
            let request = ListUsersRequest { page_size, page_token, prefix, since };
            let page = admin.list_users(request).await?;
            Ok((page.users.into_iter().map(|user| user.user_id).collect(), page.next_page_token))
        };
        let since = rfc3339(since);
        let asked = given(&[("prefix", prefix), ("since", &since)]);
        assert_lists(&imd, grpc, (&USERS, &asked), expected).await;
    };
    assert_users("", None, &["ann", "anna", "cleo", "cyd", "dave"]).await;
    assert_users("", cleo, &["ann", "anna", "cleo", "cyd"]).await;
    assert_users("", ann, &["ann", "anna", "cyd"]).await;
    assert_users("c", ann, &["cyd"]).await;
    assert_users("c", cleo, &["cleo", "cyd"]).await;
    assert_users("d", cleo, &[]).await;
    assert_users("", anna, &["anna"]).await;

    let asked = |prefix: &str, since| ListUsersRequest {
        page_size: 1,
        prefix: prefix.to_owned(),
        since,
        ..ListUsersRequest::default()
    };
    let page_token = admin.list_users(asked("", cleo)).await.expect("a page").next_page_token;
    for other in [asked("", None), asked("", ann), asked("c", cleo)] {
        let other = ListUsersRequest { page_token: page_token.clone(), ..other };
        let refused = admin.list_users(other).await.expect_err("of another listing");
        assert_eq!(refused.field(), "page_token");
    }
}

#[tokio::test]
async fn sessions_are_listed_since_they_started() {
    let imd = Cluster::start(Transport::Grpc).await;
    let admin = imd.admin();
    let replaced = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let phone = imd.log_in("ann", "phone", "second").await;
    let bob = imd.user_with_phone("bob").await;
    let all = [SessionState::Unspecified, SessionState::Ended]
        .map(|state| ListSessionsRequest { state: state.into(), ..ListSessionsRequest::default() });
    let mut known = Vec::new();
    for request in all {
        let page = admin.sessions(request).await.expect("sessions");
        known.extend(page.sessions.into_iter().filter_map(|listed| listed.session));
    }
    let started = |session_id: &str| {
        let session = known.iter().find(|session| session.session_id == session_id);
        session.expect("a session").created_at
    };
    let assert_sessions = async |asked: ListSessionsRequest, expected: &[&str]| {
        let grpc = async |page_size, page_token| {
            let request = ListSessionsRequest { page_size, page_token, ..asked.clone() };
            let page = admin.sessions(request).await?;
            let ids = page.sessions.into_iter().filter_map(|listed| listed.session);
            Ok((ids.map(|session| session.session_id).collect(), page.next_page_token))
        };
        let state = asked.state().as_str_name().strip_prefix("SESSION_STATE_").expect("a state");
        let (state, since) = (state.replace("UNSPECIFIED", ""), rfc3339(asked.since));
        let asked = given(&[
            ("user_id", asked.user_id.as_str()),
            ("terminal_type", asked.terminal_type.as_str()),
            ("state", state.as_str()),
            ("since", since.as_str()),
        ]);
        assert_lists(&imd, grpc, (&SESSIONS, &asked), expected).await;
    };
    let (replaced, pc, phone, bob) =
        (replaced.session_id(), pc.session_id(), phone.session_id(), bob.session_id());
    let since = |session_id| ListSessionsRequest {
        since: started(session_id),
        ..ListSessionsRequest::default()
    };
    assert_sessions(since(replaced), &[bob, phone, pc]).await;
    assert_sessions(since(phone), &[bob, phone]).await;
    assert_sessions(since(bob), &[bob]).await;
    let of_ann = |of| ListSessionsRequest { user_id: "ann".to_owned(), ..of };
    assert_sessions(of_ann(since(phone)), &[phone]).await;
    let pcs = |of| ListSessionsRequest { terminal_type: "pc".to_owned(), ..of };
    assert_sessions(pcs(since(pc)), &[pc]).await;
    assert_sessions(pcs(since(phone)), &[]).await;
    let ended = |of| ListSessionsRequest { state: SessionState::Ended.into(), ..of };
    assert_sessions(ended(since(replaced)), &[replaced]).await;
    assert_sessions(ended(since(pc)), &[]).await;
}

/// Lists records over gRPC.
async fn records(
    admin: &Admin,
    asked: &ListAuditRecordsRequest,
    page_size: i32,
    page_token: String,
) -> Result<Ids, Failure> {
    let request = ListAuditRecordsRequest { page_size, page_token, ..asked.clone() };
    let page = admin.list_audit_records(request).await?;
    let numbers = page.records.iter().map(|record| record.audit_no.to_string());
    Ok((numbers.collect(), page.next_page_token))
}

#[tokio::test]
async fn records_are_listed_by_time_and_by_what_was_done_and_who_did_it() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann", "bob"]).await;
    let admin = imd.admin();
    let key = admin.create_key("zoe", v1::Role::Support).await.expect("a key");
    let zoe = Admin::new(imd.node.admin_address(), &key);
    for user_id in ["ann", "bob"] {
        zoe.disable(user_id, "").await.expect("disabled");
        admin.enable(user_id).await.expect("enabled");
    }
    let all = admin.audit("", 0, "").await.expect("records").records;
    let made: Vec<_> = all.iter().rev().map(|r| (&*r.actor, &*r.action, &*r.user_id)).collect();
    let due = [
        ("tests", "create_user", "ann"),
        ("tests", "create_user", "bob"),
        ("local", "create_admin_key", ""),
        ("zoe", "disable_user", "ann"),
        ("local", "enable_user", "ann"),
        ("zoe", "disable_user", "bob"),
        ("local", "enable_user", "bob"),
    ];
    assert_eq!(made, due);
    // Numbered as above.
    let numbers: Vec<String> = all.iter().rev().map(|r| r.audit_no.to_string()).collect();
    let time = |n: usize| all[all.len() - 1 - n].at;
    let assert_records = async |filter: [&str; 3], since: Option<Timestamp>, expected: &[usize]| {
        let [user_id, action, actor] = filter.map(str::to_owned);
        let asked = ListAuditRecordsRequest {
            user_id,
            action,
            actor,
            since,
            ..ListAuditRecordsRequest::default()
        };
        let since = rfc3339(since);
        let [user_id, action, actor] = filter;
        let on_rest =
            given(&[("user_id", user_id), ("action", action), ("actor", actor), ("since", &since)]);
        let expected: Vec<&str> = expected.iter().map(|n| numbers[*n].as_str()).collect();
        let grpc = async |size, token| records(&admin, &asked, size, token).await;
        assert_lists(&imd, grpc, (&AUDIT, &on_rest), &expected).await;
    };
    assert_records(["", "", ""], time(4), &[6, 5, 4]).await;
    assert_records(["", "", ""], time(0), &[6, 5, 4, 3, 2, 1, 0]).await;
    assert_records(["", "disable_user", ""], None, &[5, 3]).await;
    assert_records(["", "disable_user", ""], time(4), &[5]).await;
    assert_records(["", "", "local"], None, &[6, 4, 2]).await;
    assert_records(["", "", "local"], time(3), &[6, 4]).await;
    assert_records(["", "enable_user", "local"], time(3), &[6, 4]).await;
    assert_records(["ann", "enable_user", "local"], time(3), &[4]).await;
    assert_records(["ann", "", ""], time(1), &[4, 3]).await;
    assert_records(["", "enable_user", "zoe"], None, &[]).await;
    assert_records(["", "enable", ""], None, &[]).await;

    let asked = |action: &str, actor: &str| ListAuditRecordsRequest {
        action: action.to_owned(),
        actor: actor.to_owned(),
        ..ListAuditRecordsRequest::default()
    };
    let disabled = asked("disable_user", "zoe");
    let (_, token) = records(&admin, &disabled, 1, String::new()).await.expect("a page");
    for other in [asked("", "zoe"), asked("disable_user", ""), asked("enable_user", "zoe")] {
        let refused = records(&admin, &other, 1, token.clone()).await;
        assert_eq!(refused.expect_err("of another listing").field(), "page_token");
    }
    for (field, wrong) in [("action", asked("a\nb", "")), ("actor", asked("", "\0"))] {
        let refused = records(&admin, &wrong, 1, String::new()).await;
        assert_eq!(refused.expect_err("no name").field(), field);
    }
}

#[tokio::test]
async fn groups_are_listed_since_they_were_made() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann", "bob"]).await;
    let admin = imd.admin();
    for (group_id, owner) in
        [("oslo", "ann"), ("rome", "bob"), ("lima", "ann"), ("kyiv", "bob"), ("bern", "ann")]
    {
        let group = v1::CreateGroupRequest {
            group_id: group_id.to_owned(),
            name: group_id.to_owned(),
            ..v1::CreateGroupRequest::default()
        };
        admin.create_group(owner, group).await.expect("a group");
    }
    admin.dissolve_group("bern").await.expect("dissolved");
    // As an import makes it: with a time of its own.
    let imported = "UPDATE groups SET created_at = '2020-02-02' WHERE group_id = 'kyiv'";
    imd.database.sql().await.execute(imported, &[]).await.expect("an old group");
    let made = async |group_id: &str| {
        let found = admin.group(group_id).await.expect("the group");
        found.group.expect("a group").created_at
    };
    let assert_groups = async |user_id: &str, since: Option<Timestamp>, expected: &[&str]| {
        let grpc = async |page_size, page_token| {
            let user_id = user_id.to_owned();
            let request = AdminListGroupsRequest { user_id, since, page_size, page_token };
            let page = admin.list_groups(request).await?;
            let ids = page.groups.into_iter().filter_map(|listed| listed.group);
            Ok((ids.map(|group| group.group_id).collect(), page.next_page_token))
        };
        let since = rfc3339(since);
        let asked = given(&[("user_id", user_id), ("since", &since)]);
        assert_lists(&imd, grpc, (&GROUPS, &asked), expected).await;
    };
    let (oslo, rome, lima) = (made("oslo").await, made("rome").await, made("lima").await);
    assert_groups("", oslo, &["oslo", "rome", "lima", "bern"]).await;
    assert_groups("", lima, &["lima", "bern"]).await;
    assert_groups("", made("kyiv").await, &["oslo", "rome", "lima", "kyiv", "bern"]).await;
    assert_groups("ann", rome, &["lima"]).await;
    assert_groups("bob", rome, &["rome"]).await;
}

#[tokio::test]
async fn attachments_are_listed_by_time_and_by_state() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let admin = imd.admin();
    let mut ids = Vec::new();
    for (owner, is_uploaded) in
        [(&ann, true), (&ann, false), (&bob, true), (&ann, true), (&bob, false)]
    {
        let file = FileCall {
            file_name: "a.txt".to_owned(),
            content_type: "text/plain".to_owned(),
            size: 1,
            sha256: String::new(),
        };
        ids.push(if is_uploaded {
            upload(&imd, owner, "a.txt", b"a").await
        } else {
            owner.api.create_attachment(&owner.token, &file).await.expect("an attachment").0
        });
    }
    let all = ListAttachmentsRequest::default();
    let all = admin.list_attachments(all).await.expect("attachments").attachments;
    assert_eq!(all.len(), ids.len());
    let time = |n: usize| all[all.len() - 1 - n].created_at;
    let assert_attachments =
        async |user_id: &str, state: AttachmentState, since: Option<Timestamp>, due: &[usize]| {
            let grpc = async |page_size, page_token| {
                let (user_id, state) = (user_id.to_owned(), state.into());
                let request =
                    ListAttachmentsRequest { user_id, state, since, page_size, page_token };
                let page = admin.list_attachments(request).await?;
                let ids = page.attachments.into_iter().filter_map(|listed| listed.attachment);
                Ok((ids.map(|found| found.attachment_id).collect(), page.next_page_token))
            };
            let state = state.as_str_name().trim_start_matches("ATTACHMENT_STATE_");
            let (state, since) = (state.replace("UNSPECIFIED", ""), rfc3339(since));
            let asked = given(&[("user_id", user_id), ("state", &state), ("since", &since)]);
            let due: Vec<&str> = due.iter().map(|n| ids[*n].as_str()).collect();
            assert_lists(&imd, grpc, (&ATTACHMENTS, &asked), &due).await;
        };
    let any = AttachmentState::Unspecified;
    assert_attachments("", any, time(2), &[4, 3, 2]).await;
    assert_attachments("ann", any, time(1), &[3, 1]).await;
    assert_attachments("", AttachmentState::Waiting, None, &[4, 1]).await;
    assert_attachments("", AttachmentState::Waiting, time(2), &[4]).await;
    assert_attachments("ann", AttachmentState::Stored, None, &[3, 0]).await;
    assert_attachments("bob", AttachmentState::Stored, time(3), &[]).await;
    assert_attachments("", AttachmentState::Deleting, None, &[]).await;
}

#[tokio::test]
async fn broadcasts_are_listed_by_time_and_by_state() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann", "bob", "cleo", "dora", "eve"]).await;
    let admin = imd.admin();
    let mut made = Vec::new();
    let (paused, aborted) = (BroadcastState::Paused, BroadcastState::Aborted);
    for state in [aborted, paused, aborted, paused] {
        let request = CreateBroadcastRequest {
            broadcast_id: Uuid::new_v4().to_string(),
            from: Some(AdminSender { from: Some(From::System("news".to_owned())) }),
            to: Some(BroadcastAudience { to: Some(To::All(true)) }),
            content: Some(Content::Text("slowly".to_owned())),
            // A user a second: it is not done before it is paused or aborted.
            rate: 1,
            ..CreateBroadcastRequest::default()
        };
        let (broadcast, _) = admin.create_broadcast(request).await.expect("made");
        let changed = if state == paused {
            admin.pause_broadcast(&broadcast.broadcast_id).await
        } else {
            admin.abort_broadcast(&broadcast.broadcast_id).await
        };
        assert_eq!(changed.expect("changed").state(), state);
        made.push(broadcast);
    }
    let assert_broadcasts =
        async |state: BroadcastState, since: Option<Timestamp>, due: &[usize]| {
            let grpc = async |page_size, page_token| {
                let state = state.into();
                let request = ListBroadcastsRequest { state, since, page_size, page_token };
                let page = admin.list_broadcasts(request).await?;
                let ids = page.broadcasts.into_iter().map(|found| found.broadcast_id);
                Ok((ids.collect(), page.next_page_token))
            };
            let state = state.as_str_name().trim_start_matches("BROADCAST_STATE_");
            let (state, since) = (state.replace("UNSPECIFIED", ""), rfc3339(since));
            let asked = given(&[("state", &state), ("since", &since)]);
            let due: Vec<&str> = due.iter().map(|n| made[*n].broadcast_id.as_str()).collect();
            assert_lists(&imd, grpc, (&BROADCASTS, &asked), &due).await;
        };
    assert_broadcasts(BroadcastState::Unspecified, made[2].created_at, &[3, 2]).await;
    assert_broadcasts(BroadcastState::Unspecified, made[0].created_at, &[3, 2, 1, 0]).await;
    assert_broadcasts(paused, None, &[3, 1]).await;
    assert_broadcasts(paused, made[2].created_at, &[3]).await;
    assert_broadcasts(aborted, made[1].created_at, &[2]).await;
    assert_broadcasts(BroadcastState::Running, None, &[]).await;
}

/// The rows that a statement finds, as text.
async fn found(imd: &Cluster, statement: &str, since: OffsetDateTime) -> Vec<String> {
    let sql = imd.database.sql().await;
    let rows = sql.query(statement, &[&since]).await.expect("rows");
    rows.iter().map(|row| row.get(0)).collect()
}

/// Where a list begins is searched, not read: that must not leave out what is out of order by as much as transactions that
/// run side by side are, nor stumble over gaps.
#[tokio::test]
async fn what_is_as_new_is_found_among_many() {
    let imd = Cluster::start(Transport::Grpc).await;
    let admin = imd.admin();
    let sql = imd.database.sql().await;
    sql.batch_execute(
        "INSERT INTO audit (at, actor, action, details)
         SELECT now() - make_interval(mins => 15000 - n), 'crowd', 'counted', '{}'
         FROM generate_series(1, 15000) n;
         DELETE FROM audit WHERE audit_no % 3 = 0 OR audit_no BETWEEN 4000 AND 7000;
         UPDATE audit SET at = at - interval '30 minutes' WHERE audit_no % 7 = 0;
         INSERT INTO users (user_id, created_at)
         SELECT md5(n::text), now() - make_interval(mins => 15000 - n)
         FROM generate_series(1, 15000) n",
    )
    .await
    .expect("many rows");
    for minutes in [-10, 0, 1, 29, 61, 3000, 9000, 9500, 14_990, 20_000] {
        let since = OffsetDateTime::now_utc() - time::Duration::minutes(minutes);
        let since = since.replace_nanosecond(0).expect("a whole second");
        let asked = ListAuditRecordsRequest {
            since: Some(timestamp(since)),
            ..ListAuditRecordsRequest::default()
        };
        let listed = pages(1000, async |size, token| {
            records(&admin, &asked, size, token).await.expect("a page")
        });
        let due = "SELECT audit_no::text FROM audit WHERE at >= $1 ORDER BY audit.audit_no DESC";
        assert!(listed.await == found(&imd, due, since).await, "records of {minutes} minutes");
        let listed = pages(1000, async |page_size, page_token| {
            let since = Some(timestamp(since));
            let request =
                ListUsersRequest { page_size, page_token, since, ..ListUsersRequest::default() };
            let page = admin.list_users(request).await.expect("a page");
            (page.users.into_iter().map(|user| user.user_id).collect(), page.next_page_token)
        });
        let due = "SELECT user_id FROM users WHERE created_at >= $1 ORDER BY user_id";
        assert!(listed.await == found(&imd, due, since).await, "users of {minutes} minutes");
    }
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_names_its_field() {
    let imd = Cluster::start(Transport::Rest).await;
    for list in [USERS, SESSIONS, AUDIT, GROUPS, ATTACHMENTS, BROADCASTS] {
        for wrong in ["yesterday", "2026-11-23", "7d", ""] {
            let field = rest_field(&imd, list.path, ("since", wrong)).await;
            assert_eq!(field, "since", "{}: {wrong}", list.path);
        }
    }
    for list in [SESSIONS, ATTACHMENTS, BROADCASTS] {
        let field = rest_field(&imd, list.path, ("state", "ASLEEP")).await;
        assert_eq!(field, "state", "{}", list.path);
    }
    let admin = imd.admin();
    // One second before the year 1.
    let since = Some(Timestamp { seconds: -62_135_596_801, nanos: 0 });
    let refused = [
        admin.list_users(ListUsersRequest { since, ..Default::default() }).await.err(),
        admin.sessions(ListSessionsRequest { since, ..Default::default() }).await.err(),
        admin
            .list_audit_records(ListAuditRecordsRequest { since, ..Default::default() })
            .await
            .err(),
        admin.list_groups(AdminListGroupsRequest { since, ..Default::default() }).await.err(),
        admin.list_attachments(ListAttachmentsRequest { since, ..Default::default() }).await.err(),
        admin.list_broadcasts(ListBroadcastsRequest { since, ..Default::default() }).await.err(),
    ];
    for refused in refused {
        assert_eq!(refused.expect("no such time").field(), "since");
    }
    let state = 99;
    let refused = [
        admin.sessions(ListSessionsRequest { state, ..Default::default() }).await.err(),
        admin.list_attachments(ListAttachmentsRequest { state, ..Default::default() }).await.err(),
        admin.list_broadcasts(ListBroadcastsRequest { state, ..Default::default() }).await.err(),
    ];
    for refused in refused {
        assert_eq!(refused.expect("no such state").field(), "state");
    }
}

//! Groups and their members as they are printed.

use comfy_table::{Cell, Color};
use imd_proto::v1::{AdminGroup, GroupMember, GroupRole, JoinRule};
use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    clock,
    output::{self, Row},
};

#[derive(Debug, Serialize)]
pub(super) struct GroupView {
    group_id: String,
    pub(super) name: String,
    owner_id: String,
    pub(super) members: i64,
    join: &'static str,
    history: i32,
    muted: bool,
    dissolved: bool,
    announcement: String,
    attributes: serde_json::Value,
    version: i64,
    #[serde(with = "time::serde::rfc3339::option")]
    created_at: Option<OffsetDateTime>,
}

impl From<AdminGroup> for GroupView {
    fn from(found: AdminGroup) -> Self {
        let group = found.group.unwrap_or_default();
        Self {
            join: match group.join() {
                JoinRule::Unspecified | JoinRule::Invite => "invite",
                JoinRule::Request => "request",
                JoinRule::Open => "open",
            },
            group_id: group.group_id,
            name: group.name,
            owner_id: found.owner_id,
            members: group.member_count,
            history: group.history,
            muted: group.muted,
            dissolved: found.dissolved,
            announcement: group.announcement,
            attributes: serde_json::from_str(&group.attributes).unwrap_or_default(),
            version: group.version,
            created_at: clock::time(group.created_at),
        }
    }
}

impl Row for GroupView {
    const COLUMNS: &[&str] = &[
        "GROUP",
        "NAME",
        "OWNER",
        "MEMBERS",
        "JOIN",
        "STATE",
        "CREATED",
        "HISTORY",
        "VERSION",
        "ANNOUNCEMENT",
        "ATTRIBUTES",
    ];
    const NARROW: usize = 7;
    const CUT: &[&str] = &["NAME"];

    fn cells(&self, now: OffsetDateTime) -> Vec<Cell> {
        let state = match (self.dissolved, self.muted) {
            (true, _) => Cell::new("dissolved").fg(Color::DarkYellow),
            (false, true) => Cell::new("muted").fg(Color::DarkYellow),
            (false, false) => Cell::new("active"),
        };
        vec![
            output::text(&self.group_id),
            output::text(&self.name),
            output::text(&self.owner_id),
            Cell::new(self.members),
            Cell::new(self.join),
            state,
            Cell::new(clock::ago(self.created_at, now)),
            Cell::new(self.history),
            Cell::new(self.version),
            output::text(&self.announcement),
            output::text(&self.attributes.to_string()),
        ]
    }
}

#[derive(Debug, Serialize)]
pub(super) struct MemberView {
    user_id: String,
    role: &'static str,
    nickname: String,
    #[serde(with = "time::serde::rfc3339::option")]
    muted_until: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    joined_at: Option<OffsetDateTime>,
}

impl From<GroupMember> for MemberView {
    fn from(member: GroupMember) -> Self {
        Self {
            role: match member.role() {
                GroupRole::Unspecified => "unknown",
                GroupRole::Member => "member",
                GroupRole::Admin => "admin",
                GroupRole::Owner => "owner",
            },
            user_id: member.user_id,
            nickname: member.nickname,
            muted_until: clock::time(member.muted_until),
            joined_at: clock::time(member.joined_at),
        }
    }
}

impl Row for MemberView {
    const COLUMNS: &[&str] = &["USER", "ROLE", "NICKNAME", "MUTED", "JOINED"];
    const NARROW: usize = 5;
    const CUT: &[&str] = &["NICKNAME"];

    fn cells(&self, now: OffsetDateTime) -> Vec<Cell> {
        // A mute that is over is none.
        let muted = match self.muted_until.filter(|until| *until > now) {
            None => Cell::new("-"),
            until => Cell::new(format!("ends {}", clock::ahead(until, now))).fg(Color::DarkYellow),
        };
        vec![
            output::text(&self.user_id),
            Cell::new(self.role),
            output::text(&self.nickname),
            muted,
            Cell::new(clock::ago(self.joined_at, now)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use imd_proto::v1::Group;
    use prost_types::Timestamp;
    use time::macros::datetime;

    use super::*;
    use crate::output::Format;

    const NOW: OffsetDateTime = datetime!(2026-11-23 12:00:00 UTC);

    fn at(seconds_ago: i64) -> Timestamp {
        Timestamp { seconds: NOW.unix_timestamp() - seconds_ago, nanos: 0 }
    }

    fn group(group_id: &str, muted: bool, dissolved: bool) -> GroupView {
        GroupView::from(AdminGroup {
            group: Some(Group {
                group_id: group_id.to_owned(),
                name: "The \u{202e}team".to_owned(),
                join: JoinRule::Open.into(),
                history: 20,
                muted,
                attributes: r#"{"colour":"red"}"#.to_owned(),
                version: 3,
                member_count: 12,
                created_at: Some(at(86_400)),
                ..Group::default()
            }),
            owner_id: "ann".to_owned(),
            dissolved,
        })
    }

    #[test]
    fn groups_as_a_table() {
        let rows = [group("team", false, false), group("old", true, false), group("x", true, true)];
        let narrow = output::table(&rows, false, Some(80), NOW);
        insta::assert_snapshot!(anstream::adapter::strip_str(&narrow), @"
        GROUP  NAME       OWNER  MEMBERS  JOIN  STATE      CREATED
        team   The �team  ann    12       open  active     1day ago
        old    The �team  ann    12       open  muted      1day ago
        x      The �team  ann    12       open  dissolved  1day ago
        ");
        let wide = output::table(&rows[..1], true, None, NOW);
        insta::assert_snapshot!(anstream::adapter::strip_str(&wide), @r#"
        GROUP  NAME       OWNER  MEMBERS  JOIN  STATE   CREATED   HISTORY  VERSION  ANNOUNCEMENT  ATTRIBUTES
        team   The �team  ann    12       open  active  1day ago  20       3        -             {"colour":"red"}
        "#);
    }

    #[test]
    fn a_group_as_json() {
        let json = output::document(&group("team", false, false), Format::Json).expect("JSON");
        insta::assert_snapshot!(json, @r#"
        {
          "group_id": "team",
          "name": "The \u202eteam",
          "owner_id": "ann",
          "members": 12,
          "join": "open",
          "history": 20,
          "muted": false,
          "dissolved": false,
          "announcement": "",
          "attributes": {
            "colour": "red"
          },
          "version": 3,
          "created_at": "2026-11-22T12:00:00Z"
        }
        "#);
    }

    #[test]
    fn members_as_a_table() {
        let member = |user_id: &str, role: GroupRole, muted_until| {
            MemberView::from(GroupMember {
                user_id: user_id.to_owned(),
                role: role.into(),
                nickname: String::new(),
                muted_until,
                joined_at: Some(at(7_200)),
            })
        };
        let rows = [
            member("ann", GroupRole::Owner, None),
            member("ben", GroupRole::Admin, Some(at(60))),
            member("cleo", GroupRole::Member, Some(at(-3_600))),
        ];
        let table = output::table(&rows, false, Some(80), NOW);
        insta::assert_snapshot!(anstream::adapter::strip_str(&table), @"
        USER  ROLE    NICKNAME  MUTED       JOINED
        ann   owner   -         -           2h ago
        ben   admin   -         -           2h ago
        cleo  member  -         ends in 1h  2h ago
        ");
    }
}

//! A user as it is printed.

use comfy_table::{Cell, Color};
use imd_proto::v1::{User, UserState};
use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    clock,
    commands::retention::age,
    output::{self, Row},
};

#[derive(Debug, Serialize)]
pub(super) struct UserView {
    pub(super) user_id: String,
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) tier: String,
    pub(super) limits_overridden: bool,
    pub(super) max_age_seconds: Option<i64>,
    pub(super) max_messages: Option<i64>,
    pub(super) max_bytes: Option<i64>,
    pub(super) live_sessions: i32,
    pub(super) online_sessions: i32,
    #[serde(with = "time::serde::rfc3339::option")]
    pub(super) last_at: Option<OffsetDateTime>,
    pub(super) last_seq: i64,
    #[serde(with = "time::serde::rfc3339::option")]
    pub(super) created_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub(super) deleted_at: Option<OffsetDateTime>,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        let retention = user.retention.clone().unwrap_or_default();
        Self {
            state: match user.state() {
                UserState::Active => "active",
                UserState::Disabled => "disabled",
                UserState::Deleted => "deleted",
                UserState::System => "system",
                UserState::Unspecified => "unknown",
            },
            user_id: user.user_id,
            tier: retention.tier,
            limits_overridden: retention.overridden,
            max_age_seconds: retention.max_age.map(|age| age.seconds),
            max_messages: retention.max_messages,
            max_bytes: retention.max_bytes,
            name: user.name,
            live_sessions: user.live_sessions,
            online_sessions: user.online_sessions,
            last_at: clock::time(user.last_at),
            last_seq: user.last_seq,
            created_at: clock::time(user.created_at),
            deleted_at: clock::time(user.deleted_at),
        }
    }
}

impl Row for UserView {
    const COLUMNS: &[&str] = &[
        "USER",
        "STATE",
        "TIER",
        "LIVE",
        "ONLINE",
        "LAST ENTRY",
        "LAST SEQ",
        "MAX AGE",
        "MAX MESSAGES",
        "CREATED",
        "NAME",
    ];
    const NARROW: usize = 6;
    const CUT: &[&str] = &["NAME"];

    fn cells(&self, now: OffsetDateTime) -> Vec<Cell> {
        let state = match self.state {
            "active" => Cell::new(self.state),
            other => Cell::new(other).fg(Color::DarkYellow),
        };
        // The limits are not the tier's.
        let mark = if self.limits_overridden { "*" } else { "" };
        let tier = format!("{}{mark}", self.tier);
        vec![
            output::text(&self.user_id),
            state,
            output::text(&tier),
            Cell::new(self.live_sessions),
            Cell::new(self.online_sessions),
            Cell::new(clock::ago(self.last_at, now)),
            Cell::new(self.last_seq),
            Cell::new(self.max_age_seconds.map_or("-".to_owned(), age)),
            Cell::new(self.max_messages.map_or("-".to_owned(), |count| count.to_string())),
            Cell::new(clock::ago(self.created_at, now)),
            output::text(&self.name),
        ]
    }
}

#[cfg(test)]
mod tests {
    use imd_proto::v1::Retention;
    use prost_types::Timestamp;
    use time::macros::datetime;

    use super::*;
    use crate::output::Format;

    fn ann() -> UserView {
        UserView::from(User {
            user_id: "ann".to_owned(),
            name: "Ann".to_owned(),
            state: UserState::Disabled.into(),
            created_at: Some(Timestamp { seconds: 1_795_348_800, nanos: 0 }),
            live_sessions: 3,
            online_sessions: 2,
            last_seq: 41,
            last_at: None,
            deleted_at: None,
            retention: Some(Retention {
                tier: "free".to_owned(),
                overridden: true,
                max_age: None,
                max_messages: Some(100),
                max_bytes: None,
            }),
        })
    }

    #[test]
    fn a_user_as_a_table() {
        let now = datetime!(2026-11-23 12:00:00 UTC);
        let wide = output::table(&[ann()], true, None, now);
        insta::assert_snapshot!(anstream::adapter::strip_str(&wide), @r#"
        USER  STATE     TIER   LIVE  ONLINE  LAST ENTRY  LAST SEQ  MAX AGE  MAX MESSAGES  CREATED   NAME
        ann   disabled  free*  3     2       -           41        -        100           1day ago  Ann
        "#);
    }

    #[test]
    fn a_user_as_json() {
        let json = output::document(&ann(), Format::Json).expect("it can be written");
        insta::assert_snapshot!(json, @r#"
        {
          "user_id": "ann",
          "name": "Ann",
          "state": "disabled",
          "tier": "free",
          "limits_overridden": true,
          "max_age_seconds": null,
          "max_messages": 100,
          "max_bytes": null,
          "live_sessions": 3,
          "online_sessions": 2,
          "last_at": null,
          "last_seq": 41,
          "created_at": "2026-11-22T12:00:00Z",
          "deleted_at": null
        }
        "#);
    }
}

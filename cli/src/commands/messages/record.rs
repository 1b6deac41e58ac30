//! A message, a group, a change of its members or a user as a line of a file.

use imd_proto::v1::{
    ExportedMessage, GroupDissolvedRecord, GroupMember, GroupRecord, GroupRole, JoinRule,
    MemberChange, MemberChangeRecord, MessageRecord, UserRecord, export_group_response::Record,
};
use prost_types::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::{Map, Value};
use time::{
    OffsetDateTime, UtcOffset,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};

use super::records::{Edit, Forward, Name, Pin, Reaction, Said, User};
use crate::clock;

/// Of a fixed width, so that lines sort by time as they are.
const SENT_AT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// A line: of a message, or of a `group` as it was at first, or of a `member` who came or went, or of a `user`. Others
/// write such lines, too: a member that is not known is refused, so that a slip of the pen loses nothing.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::commands) struct Line {
    /// Comes first, so that lines sort by it.
    #[serde(serialize_with = "write_time", deserialize_with = "read_time")]
    sent_at: OffsetDateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<GroupMembers>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    sender_id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    recipient_id: String,
    /// Instead of the recipient, in a group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    group_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    change: Option<Change>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    member: Option<Member>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    client_message_id: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mentions: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    mention_all: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    /// In base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply_to: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forwarded: Option<Forward>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    edits: Vec<Edit>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    reactions: Vec<Reaction>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pinned: Option<Pin>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<User>,
    /// Of a group: it was, and there is nothing else in the line.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    dissolved: bool,
    /// Of the system that it is from. Not imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    /// In the exported timeline. Not imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
}

/// What is set of a group, and whom it had at first.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupMembers {
    group_id: String,
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    announcement: String,
    #[serde(default)]
    join: Join,
    #[serde(default)]
    history: i32,
    #[serde(default)]
    muted: bool,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    attributes: Map<String, Value>,
    #[serde(default)]
    members: Vec<Member>,
}

/// A member of a group.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    user_id: String,
    #[serde(default)]
    role: Role,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    nickname: String,
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    muted_until: Option<OffsetDateTime>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Join {
    #[default]
    Invite,
    Request,
    Open,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Role {
    #[default]
    Member,
    Admin,
    Owner,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Change {
    Joined,
    Left,
    Removed,
}

/// What a line has.
#[derive(Debug, PartialEq)]
pub(super) enum Parsed {
    Message(Box<MessageRecord>),
    Group(GroupRecord),
    MemberChange(MemberChangeRecord),
    User(UserRecord),
    Dissolved(GroupDissolvedRecord),
}

fn write_time<S: Serializer>(at: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    let text = at.to_offset(UtcOffset::UTC).format(SENT_AT).map_err(ser::Error::custom)?;
    serializer.serialize_str(&text)
}

fn read_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OffsetDateTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    OffsetDateTime::parse(&text, &Rfc3339)
        .map_err(|_| de::Error::custom("must be a time such as 2026-11-23T07:30:00Z"))
}

impl Line {
    /// Reads the JSON; what is wrong with it is said with the member that it is about.
    fn deserialize_whole(text: &str) -> Result<Self, String> {
        let mut json = serde_json::Deserializer::from_str(text);
        let line = serde_path_to_error::deserialize(&mut json).map_err(|wrong| {
            let (path, cause) = (wrong.path().to_string(), without_line(wrong.inner()));
            // That is how it is put when it is about none.
            if [".", "?"].contains(&path.as_str()) { cause } else { format!("{path}: {cause}") }
        })?;
        json.end().map_err(|wrong| without_line(&wrong))?;
        Ok(line)
    }

    /// Reads a line of a file.
    pub(super) fn parse(text: &str) -> Result<Parsed, String> {
        let line = Self::deserialize_whole(text)?;
        let sent_at = Some(clock::timestamp(line.sent_at));
        if line.dissolved {
            let group_id = line.group_id;
            return Ok(Parsed::Dissolved(GroupDissolvedRecord { sent_at, group_id }));
        }
        match (line.group, line.member, line.user) {
            (Some(group), None, None) => {
                return Ok(Parsed::Group(GroupRecord { sent_at, ..group.into() }));
            }
            (None, None, Some(user)) => {
                return Ok(Parsed::User(UserRecord { sent_at, ..user.try_into()? }));
            }
            (None, Some(member), None) => {
                let change = line.change.ok_or("change: must be given with member")?;
                return Ok(Parsed::MemberChange(MemberChangeRecord {
                    sent_at,
                    group_id: line.group_id,
                    change: MemberChange::from(change).into(),
                    member: Some(member.into()),
                }));
            }
            (None, None, None) => {}
            _ => return Err("only one of group, member and user may be given".to_owned()),
        }
        let said = Said { text: line.text, content_type: line.content_type, data: line.data };
        let content = said.content()?;
        let content = content.ok_or("either text or content_type and data must be given")?;
        let edits = line.edits.into_iter().map(TryInto::try_into);
        Ok(Parsed::Message(Box::new(MessageRecord {
            sent_at,
            sender_id: line.sender_id,
            recipient_id: line.recipient_id,
            group_id: line.group_id,
            mentions: line.mentions,
            mention_all: line.mention_all,
            client_message_id: line.client_message_id,
            content: Some(content.into()),
            reply_to: line.reply_to.map(Into::into),
            forwarded: line.forwarded.map(Into::into),
            edits: edits.collect::<Result<_, String>>()?,
            reactions: line.reactions.into_iter().map(Into::into).collect(),
            pinned: line.pinned.map(Into::into),
        })))
    }

    /// A line of nothing but a time.
    fn at(sent_at: Option<Timestamp>) -> Self {
        Self {
            sent_at: clock::time(sent_at).unwrap_or(OffsetDateTime::UNIX_EPOCH),
            group: None,
            sender_id: String::new(),
            recipient_id: String::new(),
            group_id: String::new(),
            change: None,
            member: None,
            client_message_id: String::new(),
            mentions: Vec::new(),
            mention_all: false,
            text: None,
            content_type: None,
            data: None,
            reply_to: None,
            forwarded: None,
            edits: Vec::new(),
            reactions: Vec::new(),
            pinned: None,
            user: None,
            dissolved: false,
            message_id: None,
            seq: None,
        }
    }
}

/// An error as it is put, less the place: that would be in line 1, as everything is.
fn without_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

impl From<ExportedMessage> for Line {
    fn from(exported: ExportedMessage) -> Self {
        let record = exported.message.unwrap_or_default();
        let Said { text, content_type, data } = record.content.map(Said::of).unwrap_or_default();
        Self {
            sender_id: record.sender_id,
            recipient_id: record.recipient_id,
            group_id: record.group_id,
            mentions: record.mentions,
            mention_all: record.mention_all,
            client_message_id: record.client_message_id,
            text,
            content_type,
            data,
            reply_to: record.reply_to.map(Into::into),
            forwarded: record.forwarded.map(Into::into),
            edits: record.edits.into_iter().map(Into::into).collect(),
            reactions: record.reactions.into_iter().map(Into::into).collect(),
            pinned: record.pinned.map(Into::into),
            message_id: Some(exported.message_id),
            seq: Some(exported.seq),
            ..Self::at(record.sent_at)
        }
    }
}

impl From<UserRecord> for Line {
    fn from(user: UserRecord) -> Self {
        let sent_at = user.sent_at;
        Self { user: Some(user.into()), ..Self::at(sent_at) }
    }
}

impl From<Record> for Line {
    fn from(record: Record) -> Self {
        match record {
            Record::Group(group) => {
                Self { group: Some(group.clone().into()), ..Self::at(group.sent_at) }
            }
            Record::MemberChange(changed) => Self {
                change: match changed.change() {
                    MemberChange::Joined => Some(Change::Joined),
                    MemberChange::Removed => Some(Change::Removed),
                    _ => Some(Change::Left),
                },
                member: changed.member.map(Into::into),
                group_id: changed.group_id,
                ..Self::at(changed.sent_at)
            },
            Record::Dissolved(ended) => {
                Self { group_id: ended.group_id, dissolved: true, ..Self::at(ended.sent_at) }
            }
        }
    }
}

impl From<GroupRecord> for GroupMembers {
    fn from(group: GroupRecord) -> Self {
        Self {
            join: match group.join() {
                JoinRule::Unspecified | JoinRule::Invite => Join::Invite,
                JoinRule::Request => Join::Request,
                JoinRule::Open => Join::Open,
            },
            group_id: group.group_id,
            name: group.name,
            announcement: group.announcement,
            history: group.history,
            muted: group.muted,
            attributes: serde_json::from_str(&group.attributes).unwrap_or_default(),
            members: group.members.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<GroupMembers> for GroupRecord {
    fn from(group: GroupMembers) -> Self {
        let join = match group.join {
            Join::Invite => JoinRule::Invite,
            Join::Request => JoinRule::Request,
            Join::Open => JoinRule::Open,
        };
        Self {
            sent_at: None,
            group_id: group.group_id,
            name: group.name,
            announcement: group.announcement,
            join: join.into(),
            history: group.history,
            muted: group.muted,
            attributes: Value::Object(group.attributes).to_string(),
            members: group.members.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<GroupMember> for Member {
    fn from(member: GroupMember) -> Self {
        Self {
            role: match member.role() {
                GroupRole::Unspecified | GroupRole::Member => Role::Member,
                GroupRole::Admin => Role::Admin,
                GroupRole::Owner => Role::Owner,
            },
            muted_until: clock::time(member.muted_until),
            user_id: member.user_id,
            nickname: member.nickname,
        }
    }
}

impl From<Member> for GroupMember {
    fn from(member: Member) -> Self {
        let role = match member.role {
            Role::Member => GroupRole::Member,
            Role::Admin => GroupRole::Admin,
            Role::Owner => GroupRole::Owner,
        };
        Self {
            user_id: member.user_id,
            role: role.into(),
            nickname: member.nickname,
            muted_until: member.muted_until.map(clock::timestamp),
            joined_at: None,
        }
    }
}

impl From<Change> for MemberChange {
    fn from(change: Change) -> Self {
        match change {
            Change::Joined => Self::Joined,
            Change::Left => Self::Left,
            Change::Removed => Self::Removed,
        }
    }
}

#[cfg(test)]
mod tests {
    use imd_proto::v1::{Data, message_record::Content};

    use super::*;

    fn exported(content: Content) -> ExportedMessage {
        ExportedMessage {
            message: Some(MessageRecord {
                sent_at: Some(prost_types::Timestamp {
                    seconds: 1_795_432_500,
                    nanos: 120_000_000,
                }),
                sender_id: "ann".to_owned(),
                recipient_id: "ben".to_owned(),
                client_message_id: "4a7be2a2-64a3-4a59-8f5d-2f6d1c9a6f10".to_owned(),
                content: Some(content),
                ..MessageRecord::default()
            }),
            message_id: "AAAAAAAAAAEAAAAAAAAAKg".to_owned(),
            seq: 42,
        }
    }

    fn written(exported: ExportedMessage) -> String {
        serde_json::to_string(&Line::from(exported)).expect("it can be written")
    }

    #[test]
    fn a_text_as_a_line() {
        let line = written(exported(Content::Text("On my way\n".to_owned())));
        insta::assert_snapshot!(line, @r#"{"sent_at":"2026-11-23T11:15:00.120000Z","sender_id":"ann","recipient_id":"ben","client_message_id":"4a7be2a2-64a3-4a59-8f5d-2f6d1c9a6f10","text":"On my way\n","message_id":"AAAAAAAAAAEAAAAAAAAAKg","seq":42}"#);
    }

    #[test]
    fn data_as_a_line() {
        let data = Data { content_type: "image/png".to_owned(), data: vec![0, 255].into() };
        insta::assert_snapshot!(written(exported(Content::Data(data))), @r#"{"sent_at":"2026-11-23T11:15:00.120000Z","sender_id":"ann","recipient_id":"ben","client_message_id":"4a7be2a2-64a3-4a59-8f5d-2f6d1c9a6f10","content_type":"image/png","data":"AP8=","message_id":"AAAAAAAAAAEAAAAAAAAAKg","seq":42}"#);
    }

    #[test]
    fn what_is_written_reads_back() {
        let data = Data { content_type: "image/png".to_owned(), data: vec![0, 255].into() };
        for content in [Content::Text("On my way".to_owned()), Content::Data(data)] {
            let exported = exported(content);
            let record = exported.message.clone().expect("a message");
            assert_eq!(Line::parse(&written(exported)), Ok(Parsed::Message(Box::new(record))));
        }
    }

    #[test]
    fn a_group_and_its_changes_as_lines() {
        let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
        let member = |user_id: &str, role: GroupRole| GroupMember {
            user_id: user_id.to_owned(),
            role: role.into(),
            ..GroupMember::default()
        };
        let group = GroupRecord {
            sent_at: at(1_795_432_500),
            group_id: "oslo".to_owned(),
            name: "Trip to Oslo".to_owned(),
            join: JoinRule::Open.into(),
            history: 20,
            attributes: r#"{"colour":"red"}"#.to_owned(),
            members: vec![member("ann", GroupRole::Owner)],
            ..GroupRecord::default()
        };
        let change = MemberChangeRecord {
            sent_at: at(1_795_432_560),
            group_id: "oslo".to_owned(),
            change: MemberChange::Removed.into(),
            member: Some(member("ben", GroupRole::Member)),
        };
        let line = |record| serde_json::to_string(&Line::from(record)).expect("it can be written");
        let made = line(Record::Group(group.clone()));
        insta::assert_snapshot!(made, @r#"{"sent_at":"2026-11-23T11:15:00.000000Z","group":{"group_id":"oslo","name":"Trip to Oslo","join":"OPEN","history":20,"muted":false,"attributes":{"colour":"red"},"members":[{"user_id":"ann","role":"OWNER"}]}}"#);
        let removed = line(Record::MemberChange(change.clone()));
        insta::assert_snapshot!(removed, @r#"{"sent_at":"2026-11-23T11:16:00.000000Z","group_id":"oslo","change":"REMOVED","member":{"user_id":"ben","role":"MEMBER"}}"#);
        assert_eq!(Line::parse(&made), Ok(Parsed::Group(group)));
        assert_eq!(Line::parse(&removed), Ok(Parsed::MemberChange(change)));
    }

    #[test]
    fn what_stands_with_a_message_and_a_user_read_back() {
        let line = r#"{"sent_at":"2026-11-23T11:15:00.120000Z","sender_id":"ann","recipient_id":"ben","client_message_id":"4a7be2a2-64a3-4a59-8f5d-2f6d1c9a6f10","text":"at seven","reply_to":{"sender_id":"ben","client_message_id":"5a7be2a2-64a3-4a59-8f5d-2f6d1c9a6f10"},"forwarded":{"sender_id":"carol","sent_at":"2026-11-22T09:00:00Z"},"edits":[{"edited_at":"2026-11-23T11:16:00Z","text":"at six"},{"edited_at":"2026-11-23T11:17:00Z"}],"reactions":[{"reaction":"👍","user_ids":["ben"]}],"pinned":{"pinned_by":"ann","pinned_at":"2026-11-23T11:18:00Z"},"message_id":"","seq":0}"#;
        let Ok(Parsed::Message(message)) = Line::parse(line) else { panic!("no message") };
        let message = Some(*message);
        let again = ExportedMessage { message, ..ExportedMessage::default() };
        assert_eq!(written(again), line);
        let line = r#"{"sent_at":"2026-11-23T11:15:00.000000Z","user":{"user_id":"ann","name":"Ann","attributes":{"team":"blue"},"conversations":[{"conversation_id":"user:ben","pinned":true,"muted_until":"2026-12-24T00:00:00Z","draft":"I mean"}],"scheduled":[{"client_message_id":"4a7be2a2-64a3-4a59-8f5d-2f6d1c9a6f10","send_at":"2026-12-24T00:00:00Z","conversation_id":"user:ben","text":"Merry Christmas"}]}}"#;
        let Ok(Parsed::User(user)) = Line::parse(line) else { panic!("no user") };
        assert_eq!(serde_json::to_string(&Line::from(user)).expect("it can be written"), line);
    }

    #[test]
    fn what_others_write_needs_no_more_than_it_must() {
        let line = r#"{"sender_id":"ann","recipient_id":"ben","text":"hi",
            "client_message_id":"4a7be2a2-64a3-4a59-8f5d-2f6d1c9a6f10","sent_at":"2026-11-23T08:30:00+01:00"}"#;
        let Ok(Parsed::Message(record)) = Line::parse(line) else { panic!("no message") };
        assert_eq!(record.sent_at.map(|at| at.seconds), Some(1_795_419_000));
    }

    #[test]
    fn what_is_wrong_is_said() {
        const REST: &str = r#""sender_id":"a","recipient_id":"b","client_message_id":"c""#;
        for (members, wrong) in [
            (r#""sent_at":"2026-11-23T08:30:00Z""#, "either text or"),
            (r#""sent_at":"2026-11-23T08:30:00Z","text":"a","data":"AA==""#, "either text or"),
            (r#""sent_at":"2026-11-23T08:30:00Z","content_type":"a/b","data":"?""#, "base64"),
            (r#""sent_at":"yesterday","text":"a""#, "sent_at: must be a time"),
            (r#""sent_at":"2026-11-23T08:30:00Z","text":7"#, "text: invalid type"),
            (r#""sent_at":"2026-11-23T08:30:00Z","text":"a","to":"b""#, "unknown field `to`"),
            (r#""sent_at":"2026-11-23T08:30:00Z","text":"a","text":"b""#, "duplicate field `text`"),
            (r#""text":"a""#, "missing field `sent_at`"),
        ] {
            let refused = Line::parse(&format!("{{{REST},{members}}}")).expect_err(members);
            assert!(refused.contains(wrong), "{members}: {refused}");
        }
        for (line, wrong) in [
            ("", "EOF while parsing a value"),
            ("{", "EOF while parsing an object"),
            ("sent_at,sender_id", "expected value"),
        ] {
            assert_eq!(Line::parse(line), Err(wrong.to_owned()));
        }
        let two = format!("{line} {line}", line = written(exported(Content::Text("a".to_owned()))));
        assert_eq!(Line::parse(&two), Err("trailing characters".to_owned()));
    }
}

//! A message as a line of a file.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use imd_proto::v1::{Data, ExportedMessage, MessageRecord, message_record::Content};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use time::{
    OffsetDateTime, UtcOffset,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};

use crate::clock;

/// Of a fixed width, so that lines sort by time as they are.
const SENT_AT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// A line. Others write such lines, too: a member that is not known is refused, so that a slip of the
/// pen loses nothing.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    /// Comes first, so that lines sort by it.
    #[serde(serialize_with = "write_time", deserialize_with = "read_time")]
    sent_at: OffsetDateTime,
    sender_id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    recipient_id: String,
    /// Instead of the recipient, in a group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    group_id: String,
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
    /// Of the system that it is from. Not imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    /// In the exported timeline. Not imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
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
    pub(super) fn parse(text: &str) -> Result<MessageRecord, String> {
        let line = Self::deserialize_whole(text)?;
        let content = match (line.text, line.content_type, line.data) {
            (Some(text), None, None) => Content::Text(text),
            (None, Some(content_type), Some(data)) => {
                let data = BASE64_STANDARD.decode(data).map_err(|_| "data: must be base64")?;
                Content::Data(Data { content_type, data: data.into() })
            }
            _ => return Err("either text or content_type and data must be given".to_owned()),
        };
        Ok(MessageRecord {
            sent_at: Some(clock::timestamp(line.sent_at)),
            sender_id: line.sender_id,
            recipient_id: line.recipient_id,
            group_id: line.group_id,
            mentions: line.mentions,
            mention_all: line.mention_all,
            client_message_id: line.client_message_id,
            content: Some(content),
        })
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
        let (text, typed) = match record.content {
            Some(Content::Text(text)) => (Some(text), None),
            Some(Content::Data(typed)) => (None, Some(typed)),
            None => (None, None),
        };
        Self {
            sent_at: clock::time(record.sent_at).unwrap_or(OffsetDateTime::UNIX_EPOCH),
            sender_id: record.sender_id,
            recipient_id: record.recipient_id,
            group_id: record.group_id,
            mentions: record.mentions,
            mention_all: record.mention_all,
            client_message_id: record.client_message_id,
            text,
            data: typed.as_ref().map(|typed| BASE64_STANDARD.encode(&typed.data)),
            content_type: typed.map(|typed| typed.content_type),
            message_id: Some(exported.message_id),
            seq: Some(exported.seq),
        }
    }
}

#[cfg(test)]
mod tests {
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
            assert_eq!(Line::parse(&written(exported)), Ok(record));
        }
    }

    #[test]
    fn what_others_write_needs_no_more_than_it_must() {
        let line = r#"{"sender_id":"ann","recipient_id":"ben","text":"hi",
            "client_message_id":"4a7be2a2-64a3-4a59-8f5d-2f6d1c9a6f10","sent_at":"2026-11-23T08:30:00+01:00"}"#;
        let record = Line::parse(line).expect("a message");
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

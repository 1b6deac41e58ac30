//! Server-Sent Events, read off the bytes of a response.

use std::collections::VecDeque;

use futures::{StreamExt, stream};
use reqwest::Response;

use super::{WireEntry, WireReset, read};
use crate::support::{
    api::{Events, Result},
    failure::Failure,
    types::{Event, PresenceList},
};

/// The events of a response. Bytes are read only as events are asked for.
pub(super) fn events(response: Response) -> Events {
    stream::unfold(Some(Reader::new(response)), |reader| async {
        let mut reader = reader?;
        match reader.next().await {
            Ok(event) => event.map(|event| (Ok(event), Some(reader))),
            Err(lost) => Some((Err(lost), None)),
        }
    })
    .boxed()
}

struct Reader {
    response: Response,
    /// What has been read and is not yet a whole event.
    rest: Vec<u8>,
    ready: VecDeque<Event>,
}

impl Reader {
    fn new(response: Response) -> Self {
        let media_type = response.headers().get("content-type").cloned();
        assert_eq!(media_type.expect("a media type"), "text/event-stream");
        Self { response, rest: Vec::new(), ready: VecDeque::new() }
    }

    async fn next(&mut self) -> Result<Option<Event>> {
        while self.ready.is_empty() {
            let Some(bytes) = self.response.chunk().await.map_err(Failure::lost)? else {
                return Ok(None);
            };
            self.rest.extend_from_slice(&bytes);
            self.split();
        }
        Ok(self.ready.pop_front())
    }

    /// Takes the whole events off what has been read: each ends with an empty line.
    fn split(&mut self) {
        while let Some(end) = self.rest.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.rest.drain(..end + 2).collect();
            self.ready.push_back(event(std::str::from_utf8(&block).expect("UTF-8")));
        }
    }
}

fn event(block: &str) -> Event {
    let (mut name, mut id, mut data) = (None, None, String::new());
    for line in block.lines().filter(|line| !line.is_empty()) {
        match line.split_once(':').expect("a field") {
            ("event", value) => name = Some(value.trim_start()),
            ("id", value) => id = Some(value.trim_start()),
            ("data", value) => data.push_str(value.trim_start()),
            ("", _comment) => {}
            (field, _) => panic!("an unknown field {field:?}"),
        }
    }
    let Some(name) = name else {
        assert!(data.is_empty() && id.is_none(), "no name: {block:?}");
        return Event::Heartbeat;
    };
    let event = match name {
        "opened" => Event::Opened(read(&data)),
        "entry" => Event::Entry(read::<WireEntry>(&data).into()),
        "history_truncated" => Event::HistoryTruncated(read(&data)),
        "timeline_reset" => Event::TimelineReset { epoch: read::<WireReset>(&data).epoch },
        "presence" => Event::Presence(read::<PresenceList>(&data).users),
        "signal" => Event::Signal(read(&data)),
        "session_ended" => Event::SessionEnded(read(&data)),
        "reconnect" => Event::Reconnect,
        _ => panic!("an unknown event {name:?}"),
    };
    let cursor = match &event {
        Event::Entry(entry) => Some(entry.cursor.as_str()),
        _ => None,
    };
    assert_eq!(id, cursor, "the id of an entry is its cursor; nothing else has one");
    event
}

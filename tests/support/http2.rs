//! HTTP/2, frame by frame: a client that does what no library lets it do.

use std::{collections::BTreeMap, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Kinds of frames.
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;

/// Flags.
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The setting of the window that each stream begins with.
const INITIAL_WINDOW_SIZE: u8 = 4;

/// How a stream was answered, as far as a client can tell that takes nothing of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    Ok,
    Refused,
    /// With the code of the error.
    Reset(u32),
}

/// A connection. It reads when it is asked to.
pub(crate) struct Http2 {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    next_stream: u32,
    /// The last answer of each stream.
    answered: BTreeMap<u32, Answered>,
}

impl Http2 {
    /// Connects; each stream has room for `window` bytes of its answer.
    pub(crate) async fn connect(address: SocketAddr, window: u32) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        let (reader, mut writer) = stream.into_split();
        let setting = [&[0, INITIAL_WINDOW_SIZE], &window.to_be_bytes()[..]].concat();
        let beginning = [PREFACE, &frame(SETTINGS, 0, 0, &setting)].concat();
        writer.write_all(&beginning).await.expect("it is there");
        Self { reader: BufReader::new(reader), writer, next_stream: 1, answered: BTreeMap::new() }
    }

    /// Sends a GET, or the header of a POST whose body never comes; its stream.
    pub(crate) async fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        let mut block = vec![if method == "GET" { 0x82 } else { 0x83 }, 0x86];
        field(&mut block, ":path", path);
        field(&mut block, ":authority", "imd");
        for (name, value) in headers {
            field(&mut block, name, value);
        }
        let end = if method == "GET" { END_STREAM } else { 0 };
        let frame = frame(HEADERS, END_HEADERS | end, stream, &block);
        let _ = self.writer.write_all(&frame).await;
        stream
    }

    /// Waits until the server has read all that was sent before, or has ended the connection.
    pub(crate) async fn is_read(&mut self) {
        // The server ends a connection that goes too far.
        let _ = self.writer.write_all(&frame(PING, 0, 0, b"are here")).await;
        while self.read().await.is_some_and(|frame| frame != (PING, ACK)) {}
    }

    /// Waits until so many streams have been answered or reset, or the connection has ended.
    pub(crate) async fn answers(&mut self, count: usize) -> Vec<Answered> {
        while self.answered.len() < count && self.read().await.is_some() {}
        self.answered.values().copied().collect()
    }

    /// Waits until a stream is answered or, after that, reset.
    pub(crate) async fn answer_of(&mut self, stream: u32) -> Answered {
        let before = self.answered.get(&stream).copied();
        while self.answered.get(&stream).copied() == before {
            self.read().await.expect("the connection goes on");
        }
        self.answered[&stream]
    }

    /// The kind and the flags of the next frame; `None` when the connection has ended.
    async fn read(&mut self) -> Option<(u8, u8)> {
        let mut head = [0; 9];
        self.reader.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let length = u32::from_be_bytes([0, a, b, c]);
        let mut payload = vec![0; usize::try_from(length).expect("it fits")];
        self.reader.read_exact(&mut payload).await.ok()?;
        let answer = match (kind, &payload[..]) {
            // `:status: 200` stands in the static table.
            (HEADERS, [0x88, ..]) => Some(Answered::Ok),
            (HEADERS, _) => Some(Answered::Refused),
            (RESET, &[a, b, c, d]) => Some(Answered::Reset(u32::from_be_bytes([a, b, c, d]))),
            _ => None,
        };
        if let Some(answer) = answer {
            self.answered.insert(u32::from_be_bytes(stream), answer);
        }
        Some((kind, flags))
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field of a header, written out and not to be remembered.
fn field(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        length(block, text.len());
        block.extend(text.as_bytes());
    }
}

/// As HPACK writes integers with a prefix of seven bits.
fn length(block: &mut Vec<u8>, mut length: usize) {
    let byte = |n: usize| u8::try_from(n).expect("seven bits");
    if length < 127 {
        block.push(byte(length));
        return;
    }
    block.push(127);
    length -= 127;
    while length >= 128 {
        block.push(byte(length % 128) | 128);
        length /= 128;
    }
    block.push(byte(length));
}

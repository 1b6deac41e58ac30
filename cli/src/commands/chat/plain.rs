//! The chat where the output is no terminal: a line for each message, and each line of the input is one.

use std::{
    collections::HashSet,
    io::{self, BufRead as _},
    pin::pin,
    thread,
};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{
    conversation::{Conversation, Row, Voice},
    line::{Line, News},
    over,
};
use crate::{error::Error, interrupt::Interrupts, output};

/// Chats until the input ends and all of it is stored.
pub(super) async fn chat(mut line: Line, mut conversation: Conversation) -> Result<(), Error> {
    let mut input = lines();
    let mut printer = Printer::default();
    let mut reading = true;
    let mut interrupted = pin!(Interrupts::listen().next());
    while reading || conversation.is_sending() {
        tokio::select! {
            news = line.next() => {
                let news = news.map_err(over)?;
                let failed = matches!(news, News::Sent { outcome: Err(_), .. });
                let is_first_page = matches!(news, News::Page(_));
                conversation.take(news);
                printer.open |= is_first_page;
                printer.print(&conversation)?;
                if failed {
                    return Err(Error::Chat("a message could not be sent".to_owned()));
                }
            }
            () = &mut interrupted => return Ok(()),
            typed = input.recv(), if reading && printer.open && conversation.is_ready() => match typed.transpose()? {
                Some(text) if text.trim().is_empty() => {}
                Some(text) => {
                    let id = line.send(&text, conversation.mentioned_in(&text));
                    conversation.echo(id, &text);
                }
                None => reading = false,
            },
        }
    }
    Ok(())
}

/// The lines of the input as they come. The thread ends with the process: it waits for a line.
fn lines() -> UnboundedReceiver<Result<String, Error>> {
    let (read, lines) = unbounded_channel();
    thread::spawn(move || {
        for (number, line) in (1..).zip(io::stdin().lock().split(b'\n')) {
            if read.send(text(number, line)).is_err() {
                return;
            }
        }
    });
    lines
}

/// A line of the input: what is no text is not sent.
fn text(number: u64, line: io::Result<Vec<u8>>) -> Result<String, Error> {
    let line = line.map_err(|cause| Error::Chat(format!("cannot read the input: {cause}")))?;
    let mut text = String::from_utf8(line).map_err(|wrong| {
        let byte = wrong.utf8_error().valid_up_to() + 1;
        Error::Chat(format!(
            "line {number} of the input is not UTF-8, from byte {byte} on; it was not sent"
        ))
    })?;
    if text.ends_with('\r') {
        text.pop();
    }
    Ok(text)
}

/// Prints each row once.
#[derive(Default)]
struct Printer {
    /// Whether the history is there, so that what is printed first is what came first.
    open: bool,
    printed: HashSet<(i64, String)>,
}

impl Printer {
    fn print(&mut self, conversation: &Conversation) -> Result<(), Error> {
        if !self.open {
            return Ok(());
        }
        let rows: Vec<Row> = conversation.rows().filter(|row| row.voice != Voice::Echo).collect();
        for row in rows {
            if self.printed.insert((row.seq, row.text.clone())) {
                output::print(row.text)?;
            }
        }
        Ok(())
    }
}

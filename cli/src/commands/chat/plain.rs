//! The chat where the output is no terminal: a line for each message, and each line of the input is one.

use std::{collections::HashSet, io, thread};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{
    conversation::{Conversation, Row, Voice},
    line::{Line, News},
    over,
};
use crate::{error::Error, output};

/// Chats until the input ends and all of it is stored.
pub(super) async fn chat(mut line: Line, mut conversation: Conversation) -> Result<(), Error> {
    let mut input = lines();
    let mut printer = Printer::default();
    let mut reading = true;
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
            typed = input.recv(), if reading && printer.open => match typed.transpose()? {
                Some(text) if text.trim().is_empty() => {}
                Some(text) => {
                    let id = line.send(&text);
                    conversation.echo(id, &text);
                }
                None => reading = false,
            },
        }
    }
    Ok(())
}

/// The lines of the input as they come. The thread ends with the process: it waits for a line.
fn lines() -> UnboundedReceiver<io::Result<String>> {
    let (read, lines) = unbounded_channel();
    thread::spawn(move || {
        for line in io::stdin().lines() {
            if read.send(line).is_err() {
                return;
            }
        }
    });
    lines
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

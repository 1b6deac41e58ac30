//! The chat on a screen: what was said, one line to type on, and keys to scroll back.

use std::{
    io::{self, Write as _},
    pin::pin,
    thread,
};

use crossterm::{
    cursor::{Hide, MoveTo, Show},
    event::{self, Event as Input, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    execute, queue,
    style::{Attribute, Print, SetAttribute},
    terminal::{
        Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
        enable_raw_mode, size,
    },
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use unicode_width::UnicodeWidthChar as _;

use super::{
    conversation::{Conversation, Row, Voice},
    line::Line,
    over,
};
use crate::{error::Error, interrupt::Interrupts};

/// Where the size of the terminal is not known.
const USUAL_SIZE: (u16, u16) = (80, 24);

const HELP: &str = "Enter sends · PageUp, PageDown scroll · Ctrl-C leaves";

/// Chats until the user leaves.
pub(super) async fn chat(mut line: Line, mut conversation: Conversation) -> Result<(), Error> {
    let mut interrupted = pin!(Interrupts::listen().next());
    let mut screen = Screen::enter()
        .map_err(|cause| Error::Chat(format!("the terminal cannot be used: {cause}")))?;
    let mut keys = keys();
    loop {
        screen.draw(&conversation)?;
        tokio::select! {
            () = &mut interrupted => return Ok(()),
            news = line.next() => conversation.take(news.map_err(over)?),
            () = conversation.around_changes() => {}
            Some(input) = keys.recv() => match screen.take(&input) {
                Wish::Nothing => line.draft(&screen.typed),
                Wish::Send(text) => {
                    let id = line.send(&text, conversation.mentioned_in(&text));
                    conversation.echo(id, &text);
                }
                Wish::Older => {
                    if let Some(token) = conversation.take_older() {
                        line.ask_for_page(token);
                    }
                }
                Wish::Leave => return Ok(()),
            },
        }
    }
}

/// Keys as they are typed. The thread ends with the process: it waits for a key.
fn keys() -> UnboundedReceiver<Input> {
    let (typed, keys) = unbounded_channel();
    thread::spawn(move || {
        while let Ok(input) = event::read() {
            if typed.send(input).is_err() {
                return;
            }
        }
    });
    keys
}

/// What the user wants.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Nothing,
    Send(String),
    /// More of what was said before.
    Older,
    Leave,
}

/// The screen, given back as it was when this is dropped.
struct Screen {
    typed: String,
    /// How many rows up from the newest.
    back: usize,
    /// How many rows a page has.
    page: usize,
    /// How many rows there are above and on the screen.
    total: usize,
}

impl Screen {
    fn enter() -> io::Result<Self> {
        enable_raw_mode()?;
        // Dropped, it gives the terminal back, also when the next step fails.
        let screen = Self { typed: String::new(), back: 0, page: 1, total: 0 };
        execute!(io::stdout(), EnterAlternateScreen)?;
        Ok(screen)
    }

    fn take(&mut self, input: &Input) -> Wish {
        match input {
            Input::Key(key) if key.kind != KeyEventKind::Release => self.key(*key),
            // Of another size: it is drawn anew.
            _ => Wish::Nothing,
        }
    }

    fn key(&mut self, key: KeyEvent) -> Wish {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'd') if control => return Wish::Leave,
            KeyCode::Char('u') if control => self.typed.clear(),
            KeyCode::Char(typed) if !control => self.typed.push(typed),
            KeyCode::Backspace => drop(self.typed.pop()),
            KeyCode::Enter if !self.typed.trim().is_empty() => {
                self.back = 0;
                return Wish::Send(std::mem::take(&mut self.typed));
            }
            KeyCode::PageUp | KeyCode::Up => return self.scroll_up(key.code == KeyCode::PageUp),
            KeyCode::PageDown => self.back = self.back.saturating_sub(self.page),
            KeyCode::Down => self.back = self.back.saturating_sub(1),
            _ => {}
        }
        Wish::Nothing
    }

    /// At the top there may be an older page.
    fn scroll_up(&mut self, by_page: bool) -> Wish {
        let step = if by_page { self.page } else { 1 };
        let top = self.total.saturating_sub(self.page);
        self.back = (self.back + step).min(top);
        if self.back == top { Wish::Older } else { Wish::Nothing }
    }

    fn draw(&mut self, conversation: &Conversation) -> Result<(), Error> {
        let (width, height) =
            size().ok().filter(|size| size.0 > 0 && size.1 > 3).unwrap_or(USUAL_SIZE);
        let rows: Vec<Row> =
            conversation.rows().flat_map(|row| wrapped(&row, usize::from(width))).collect();
        self.page = usize::from(height - 2);
        self.total = rows.len();
        let end = rows.len().saturating_sub(self.back);
        let shown = &rows[end.saturating_sub(self.page)..end];

        let bar = match conversation.around() {
            around if around.is_empty() => HELP.to_owned(),
            around => format!("{around} · {HELP}"),
        };
        self.paint(shown, &bar, (width, height)).map_err(Error::Output)
    }

    fn paint(&self, shown: &[Row], bar: &str, (width, height): (u16, u16)) -> io::Result<()> {
        let mut out = io::stdout().lock();
        queue!(out, Hide, MoveTo(0, 0), Clear(ClearType::All))?;
        for (row, y) in shown.iter().zip(0..) {
            queue!(out, MoveTo(0, y), SetAttribute(attribute(row.voice)), Print(&row.text))?;
            queue!(out, SetAttribute(Attribute::Reset))?;
        }
        let bar: String = bar.chars().take(usize::from(width)).collect();
        queue!(out, MoveTo(0, height - 2), SetAttribute(Attribute::Reverse), Print(bar))?;
        queue!(out, SetAttribute(Attribute::Reset), MoveTo(0, height - 1))?;
        queue!(
            out,
            Print("> "),
            Print(tail(&self.typed, usize::from(width).saturating_sub(3))),
            Show
        )?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // There is nobody to tell that it cannot be given back.
        let _ = execute!(io::stdout(), Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}

fn attribute(voice: Voice) -> Attribute {
    match voice {
        Voice::Own => Attribute::Bold,
        Voice::Peer => Attribute::Reset,
        Voice::Echo | Voice::Notice => Attribute::Dim,
    }
}

/// A row as rows that are no wider than the screen.
fn wrapped(row: &Row, width: usize) -> Vec<Row> {
    let (mut lines, mut used) = (vec![String::new()], 0);
    for character in row.text.chars() {
        let its = character.width().unwrap_or(0);
        if used + its > width {
            lines.push(String::new());
            used = 0;
        }
        used += its;
        lines.last_mut().expect("there is one").push(character);
    }
    lines.into_iter().map(|text| Row { text, ..*row }).collect()
}

/// As much of the end of a text as is no wider.
fn tail(text: &str, width: usize) -> String {
    let mut used = 0;
    let fits = |character: &char| {
        used += character.width().unwrap_or(0);
        used <= width
    };
    let kept: Vec<char> = text.chars().rev().take_while(fits).collect();
    kept.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(screen: &mut Screen, text: &str) {
        for character in text.chars() {
            assert_eq!(screen.key(KeyCode::Char(character).into()), Wish::Nothing);
        }
    }

    /// Without a terminal, and forgotten at the end, so that none is given back.
    fn screen() -> std::mem::ManuallyDrop<Screen> {
        let screen = Screen { typed: String::new(), back: 0, page: 10, total: 25 };
        std::mem::ManuallyDrop::new(screen)
    }

    #[test]
    fn what_is_typed_is_sent_with_enter() {
        let mut screen = screen();
        assert_eq!(screen.key(KeyCode::Enter.into()), Wish::Nothing, "there is nothing");
        typed(&mut screen, "hex");
        screen.key(KeyCode::Backspace.into());
        typed(&mut screen, "y");
        assert_eq!(screen.key(KeyCode::Enter.into()), Wish::Send("hey".to_owned()));
        let leave = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(screen.key(leave), Wish::Leave);
    }

    #[test]
    fn scrolling_up_to_the_top_asks_for_more() {
        let mut screen = screen();
        assert_eq!(screen.key(KeyCode::PageUp.into()), Wish::Nothing);
        assert_eq!(screen.key(KeyCode::PageUp.into()), Wish::Older);
        assert_eq!(screen.back, 15, "no further than there is");
        screen.key(KeyCode::PageDown.into());
        screen.key(KeyCode::PageDown.into());
        assert_eq!(screen.back, 0);
    }

    #[test]
    fn rows_are_as_wide_as_they_look() {
        let row = |text: &str| Row { seq: 1, voice: Voice::Peer, text: text.to_owned() };
        let lines =
            |text: &str| wrapped(&row(text), 4).into_iter().map(|r| r.text).collect::<Vec<_>>();
        assert_eq!(lines("abcdefg"), ["abcd", "efg"]);
        assert_eq!(lines("漢字漢"), ["漢字", "漢"]);
        assert_eq!(lines(""), [""]);
        assert_eq!(tail("a漢字", 3), "字");
    }
}

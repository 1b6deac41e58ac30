//! Asking for a password: what is typed is not shown, and the terminal is given back as it was whatever
//! happens.

use std::{
    io::{self, Write as _},
    thread,
};

use crossterm::{
    event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    terminal::{disable_raw_mode, enable_raw_mode},
};
use secrecy::SecretString;
use tokio::sync::oneshot;

use crate::{error::Error, interrupt::unless_interrupted};

/// Asks on the terminal. Ctrl-C, and a signal that ends the process, end the question.
pub(crate) async fn hidden(question: &str) -> Result<SecretString, Error> {
    // Signals are listened to before the echo goes, so that none ends the process without it.
    unless_interrupted(async {
        let raw = Raw::enter(question).map_err(|cause| impossible(&cause))?;
        let (tell, typed) = oneshot::channel();
        // A thread that nobody waits for: it reads on when a signal has ended the question.
        thread::spawn(move || tell.send(read_line()));
        let answer = typed.await;
        drop(raw);
        match answer {
            Ok(Ok(Some(line))) => Ok(line.into()),
            Ok(Ok(None)) | Err(_) => Err(Error::Interrupted),
            Ok(Err(cause)) => Err(impossible(&cause)),
        }
    })
    .await
}

fn impossible(cause: &io::Error) -> Error {
    Error::Usage(format!("cannot ask for the password: {cause}; give it with --password-stdin"))
}

/// The terminal without echo, as long as this is there. Ctrl-C comes as a key, so that it cannot end the
/// process before the echo is back.
struct Raw;

impl Raw {
    fn enter(question: &str) -> io::Result<Self> {
        let mut stderr = io::stderr().lock();
        enable_raw_mode()?;
        let raw = Self;
        write!(stderr, "{question}")?;
        stderr.flush()?;
        Ok(raw)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // There is nobody to tell that it cannot be given back.
        let _ = disable_raw_mode();
        let _ = writeln!(io::stderr());
    }
}

/// What is typed up to Enter; none when the user gives up.
fn read_line() -> io::Result<Option<String>> {
    let mut line = String::new();
    loop {
        let Event::Key(key) = event::read()? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match edit(&mut line, key) {
            Typed::More => {}
            Typed::Done => return Ok(Some(line)),
            Typed::GivenUp => return Ok(None),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Typed {
    More,
    Done,
    GivenUp,
}

fn edit(line: &mut String, key: KeyEvent) -> Typed {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Enter => return Typed::Done,
        KeyCode::Char('j' | 'm') if control => return Typed::Done,
        KeyCode::Char('c') if control => return Typed::GivenUp,
        KeyCode::Char('d') if control && line.is_empty() => return Typed::GivenUp,
        KeyCode::Char('u') if control => line.clear(),
        KeyCode::Backspace => drop(line.pop()),
        KeyCode::Char(typed) if !control => line.push(typed),
        _ => {}
    }
    Typed::More
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_edited_and_ended_as_usual() {
        let mut line = String::new();
        for code in [KeyCode::Char('a'), KeyCode::Char('x'), KeyCode::Backspace, KeyCode::Char('É')]
        {
            assert_eq!(edit(&mut line, code.into()), Typed::More);
        }
        assert_eq!(line, "aÉ");
        let control = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
        assert_eq!(edit(&mut line, control('d')), Typed::More, "it is not empty");
        assert_eq!(edit(&mut line, KeyCode::Enter.into()), Typed::Done);
        assert_eq!(edit(&mut line, control('u')), Typed::More);
        assert_eq!(line, "");
        assert_eq!(edit(&mut line, control('d')), Typed::GivenUp);
        assert_eq!(edit(&mut line, control('c')), Typed::GivenUp);
    }
}

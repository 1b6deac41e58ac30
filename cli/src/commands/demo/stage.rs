//! What the demo prints.

use std::time::Duration;

use anstyle::{AnsiColor, Style};

use crate::{error::Error, output::print};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default();

/// How wide it is at most, in characters.
const WIDTH: usize = 80;

/// The printed demo, with what its last line counts.
#[derive(Debug, Default)]
pub(super) struct Stage {
    acts: usize,
    checks: usize,
    /// For each message, from its sending to its sight on the last terminal.
    spreads: Vec<Duration>,
}

impl Stage {
    /// Begins a part of the story.
    pub(super) fn act(&mut self, title: &str) -> Result<(), Error> {
        self.acts += 1;
        print(format_args!("\n{BOLD}{}  {title}{BOLD:#}", self.acts))
    }

    /// A check held.
    pub(super) fn saw(&mut self, what: &str, aside: &str) -> Result<(), Error> {
        self.line(what, "", aside)
    }

    /// As [`Stage::saw`], with how long it took.
    pub(super) fn saw_after(
        &mut self,
        took: Duration,
        what: &str,
        aside: &str,
    ) -> Result<(), Error> {
        self.line(what, &milliseconds(took), aside)
    }

    fn line(&mut self, what: &str, took: &str, aside: &str) -> Result<(), Error> {
        self.checks += 1;
        // As wide whatever the time, so that lines are the same in each run.
        let took = if took.is_empty() { String::new() } else { format!("{took:>10}") };
        let seen = format!("{what}{took}");
        if aside.is_empty() {
            return print(format_args!("   {GREEN}✓{GREEN:#} {seen}"));
        }
        let in_columns = format!("{what:<36}{took:10}");
        let fits = |seen: &str| 5 + seen.chars().count() + 2 + aside.chars().count() <= WIDTH;
        // In columns where there is room, else beside it, else below it.
        let (seen, gap) = match (fits(&in_columns), fits(&seen)) {
            (true, _) => (in_columns, "  "),
            (false, true) => (seen, "  "),
            (false, false) => (seen, "\n       "),
        };
        print(format_args!("   {GREEN}✓{GREEN:#} {seen}{gap}{DIM}{aside}{DIM:#}"))
    }

    /// A message has been seen everywhere.
    pub(super) fn spread(&mut self, took: Duration) {
        self.spreads.push(took);
    }

    /// The last line.
    pub(super) fn summary(mut self) -> Result<(), Error> {
        self.spreads.sort_unstable();
        let median = self.spreads.get(self.spreads.len() / 2).copied().unwrap_or_default();
        let slowest = self.spreads.last().copied().unwrap_or_default();
        print(format_args!(
            "\n{GREEN}✓{GREEN:#} {BOLD}{} checks{BOLD:#}, {} messages\n  from sending to the last terminal: \
             median {}, slowest {}",
            self.checks,
            self.spreads.len(),
            milliseconds(median),
            milliseconds(slowest),
        ))
    }
}

/// Says what this is.
pub(super) fn title(text: &str) -> Result<(), Error> {
    print(format_args!("{BOLD}{text}{BOLD:#}"))
}

/// Explains something.
pub(super) fn aside(text: &str) -> Result<(), Error> {
    print(format_args!("   {DIM}{text}{DIM:#}"))
}

/// A check did not hold.
pub(super) fn failed(why: &Error) -> Result<(), Error> {
    print(format_args!("   {RED}✗ {why}{RED:#}"))
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", 1_000.0 * time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_milliseconds() {
        assert_eq!(milliseconds(Duration::from_micros(1_849)), "1.8 ms");
        assert_eq!(milliseconds(Duration::from_secs(2)), "2000.0 ms");
    }
}

//! Results to stdout as table, JSON or YAML; notes, warnings and errors to stderr.

use std::{
    fmt::{Display, Write as _},
    io::{self, IsTerminal as _, Write as _},
    ops::Deref,
    sync::OnceLock,
};

use anstyle::{AnsiColor, Style};
use clap::{Args, ValueEnum, builder::ArgPredicate};
use comfy_table::{Attribute, Cell, ColumnConstraint, ContentArrangement, Table, presets};
use serde::Serialize;
use time::OffsetDateTime;
use unicode_width::UnicodeWidthStr as _;

use crate::{error::Error, jq, watch::WatchArgs};

/// The filter that results go through as JSON.
static FILTER: OnceLock<String> = OnceLock::new();

/// Has results go through this filter.
pub(crate) fn filter_by(filter: String) {
    let _ = FILTER.set(filter);
}

/// The blanks between columns.
const GAP: usize = 2;

/// How short a column is cut at most, in columns of characters.
const SHORTEST_CUT: usize = 10;

/// How a result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Wide,
    Json,
    Yaml,
}

/// The option of every command that has a result.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// How to print the result; wide has all columns
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FORMAT",
        default_value_t = Format::Table,
        default_value_if("jq", ArgPredicate::IsPresent, "json")
    )]
    pub(crate) output: Format,
    /// Print what this filter of jq makes of the result as JSON
    #[arg(long, value_name = "FILTER", conflicts_with = "output", value_parser = jq::check)]
    #[allow(dead_code, reason = "`jq::filter` reads it, whichever the command")]
    jq: Option<String>,
}

/// The options of a list that can be watched.
#[derive(Debug, Args)]
pub(crate) struct WatchedOutput {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    _watch: WatchArgs,
}

impl Deref for WatchedOutput {
    type Target = OutputArgs;

    fn deref(&self) -> &OutputArgs {
        &self.output
    }
}

/// What can be a row of a table. As JSON and YAML it is what its `Serialize` says.
pub(crate) trait Row: Serialize {
    /// The headings of all columns; those from [`Row::NARROW`] on are of the wide table alone.
    const COLUMNS: &'static [&'static str];
    /// How many columns the narrow table has.
    const NARROW: usize;

    /// The headings of columns that are cut short where the terminal is too narrow for all of them. Where that is not
    /// enough, the last columns are left out.
    const CUT: &'static [&'static str] = &[];

    /// A cell for each column; `now` is what times are relative to.
    fn cells(&self, now: OffsetDateTime) -> Vec<Cell>;
}

/// Prints a list. An empty one is `[]`, or no table at all and a note.
pub(crate) fn list<T: Row>(rows: &[T], format: Format, if_empty: &str) -> Result<(), Error> {
    match format {
        Format::Table | Format::Wide if rows.is_empty() => {
            note(if_empty);
            Ok(())
        }
        Format::Table | Format::Wide => {
            let wide = format == Format::Wide;
            let width = if wide { None } else { terminal_width() };
            print(table(rows, wide, width, OffsetDateTime::now_utc()))
        }
        Format::Json | Format::Yaml => print(document(rows, format)?),
    }
}

/// Prints one thing: a table of one row, or an object.
pub(crate) fn one<T: Row>(row: &T, format: Format) -> Result<(), Error> {
    match format {
        Format::Json | Format::Yaml => print(document(row, format)?),
        Format::Table | Format::Wide => list(std::slice::from_ref(row), format, ""),
    }
}

/// The value as JSON, or else as YAML.
pub(crate) fn document(value: &(impl Serialize + ?Sized), format: Format) -> Result<String, Error> {
    if format == Format::Yaml {
        let yaml = serde_yaml_ng::to_string(value)
            .map_err(|cause| Error::Output(io::Error::other(cause)))?;
        // What is unfit for a terminal can be escaped in JSON, which is YAML, too.
        if !yaml.contains(|character| is_unfit(character) && character != '\n') {
            return Ok(yaml.trim_end().to_owned());
        }
    }
    let json = serde_json::to_string_pretty(value)
        .map_err(|cause| Error::Output(io::Error::other(cause)))?;
    match FILTER.get() {
        None => Ok(escaped(&json)),
        Some(filter) => {
            let filtered = jq::run(filter, &json);
            let filtered = filtered.map_err(|error| Error::Usage(format!("--jq: {error}")))?;
            Ok(filtered.split('\n').map(printable).collect::<Vec<_>>().join("\n"))
        }
    }
}

/// How many columns of characters the terminal has that stdout is; none when it is no terminal.
fn terminal_width() -> Option<u16> {
    if !io::stdout().is_terminal() {
        return None;
    }
    crossterm::terminal::size().ok().map(|(width, _)| width).filter(|width| *width > 0)
}

/// The rows as a table without lines; in `fit` columns of characters, as far as [`Row::CUT`] allows.
pub(crate) fn table<T: Row>(
    rows: &[T],
    wide: bool,
    fit: Option<u16>,
    now: OffsetDateTime,
) -> String {
    let most = if wide { T::COLUMNS.len() } else { T::NARROW };
    let cells: Vec<Vec<Cell>> = rows.iter().map(|row| row.cells(now)).collect();
    let width = fit.map_or(most, |fit| fitting::<T>(&cells, most, fit));
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        // A row is a line, however wide: it can be cut or searched.
        .set_content_arrangement(ContentArrangement::Disabled)
        // What is not to be coloured after all loses its colours in `print`.
        .enforce_styling()
        .style_text_only();
    table.set_header(
        T::COLUMNS[..width].iter().map(|heading| Cell::new(heading).add_attribute(Attribute::Dim)),
    );
    for row in cells {
        let mut row = comfy_table::Row::from(row.into_iter().take(width));
        row.max_height(1);
        table.add_row(row);
    }
    let headings = T::COLUMNS.iter();
    for (column, heading) in table.column_iter_mut().zip(headings) {
        column.set_padding((0, 2));
        if fit.is_some() && !T::CUT.contains(heading) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    if let Some(fit) = fit {
        // The blanks behind the last column do not count.
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(fit + 2)
            .set_truncation_indicator("…");
    }
    table.trim_fmt()
}

/// How many of the columns, of `most`, have room in `fit` columns of characters.
fn fitting<T: Row>(rows: &[Vec<Cell>], most: usize, fit: u16) -> usize {
    let content = |cell: &Cell| cell.content().width();
    let mut left = usize::from(fit) + GAP;
    let needed = |column: usize| {
        let heading = T::COLUMNS[column];
        let widest = rows.iter().filter_map(|row| row.get(column)).map(content).max();
        let needed = widest.unwrap_or_default().max(heading.width());
        let needed = if T::CUT.contains(&heading) { needed.min(SHORTEST_CUT) } else { needed };
        needed + GAP
    };
    let fits = (0..most).take_while(|column| match left.checked_sub(needed(*column)) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    });
    fits.count().max(1)
}

/// A cell of text that others wrote: what could move the cursor or begin a line is replaced.
pub(crate) fn text(value: &str) -> Cell {
    Cell::new(if value.is_empty() { "-".to_owned() } else { printable(value) })
}

/// A text of others as a terminal may show it: nothing in it can move the cursor, begin a line where none
/// does, or turn around what stands beside it.
pub(crate) fn printable(text: &str) -> String {
    text.replace('\n', " ⏎ ").replace(is_unfit, "\u{fffd}")
}

/// Control characters, line ends, and what changes the direction of the text around it.
fn is_unfit(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// JSON in which what is unfit for a terminal is escaped: to a program it says the same.
pub(crate) fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        // Between its strings JSON has such characters as line ends alone.
        if is_unfit(character) && character != '\n' {
            let code = u32::from(character);
            write!(escaped, "\\u{code:04x}").expect("a string takes it");
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// Writes a line to stdout, with colours where they are wanted.
pub(crate) fn print(text: impl Display) -> Result<(), Error> {
    let mut stdout = anstream::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(Error::Output)
}

/// Writes an object as a line of JSON to stdout.
pub(crate) fn json_line(value: &impl Serialize) -> Result<(), Error> {
    let line = serde_json::to_string(value);
    print(escaped(&line.map_err(|cause| Error::Output(io::Error::other(cause)))?))
}

/// Clears the terminal, if stdout is one.
pub(crate) fn clear() {
    if io::stdout().is_terminal() {
        let _ = write!(io::stdout(), "\x1b[H\x1b[2J\x1b[3J");
    }
}

/// Says something beside the result.
pub(crate) fn note(text: &str) {
    to_stderr(text);
}

/// Says that something is not as it should be.
pub(crate) fn warn(text: &str) {
    let style = AnsiColor::Yellow.on_default();
    to_stderr(format!("{style}warning:{style:#} {text}"));
}

/// Says why the command failed, and what could be done about it.
pub(crate) fn error(error: &Error) {
    let style = AnsiColor::Red.on_default().bold();
    to_stderr(format!("{style}error:{style:#} {error}"));
    if let Some(hint) = error.hint() {
        let style = Style::new().bold();
        to_stderr(format!("{style}hint:{style:#} {hint}"));
    }
}

/// There is nobody to tell that stderr is closed.
fn to_stderr(line: impl Display) {
    let _ = writeln!(anstream::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Line(&'static str, &'static str, &'static str);

    impl Row for Line {
        const COLUMNS: &[&str] = &["AT", "DETAILS", "ID"];
        const NARROW: usize = 3;
        const CUT: &[&str] = &["DETAILS"];

        fn cells(&self, _now: OffsetDateTime) -> Vec<Cell> {
            vec![text(self.0), text(self.1), text(self.2)]
        }
    }

    fn lines(fit: Option<u16>) -> Vec<String> {
        let rows = [
            Line("now", "{\"note\":\"a long story of a lost phone\"}", "4a7be2a2-64a3"),
            Line("1day ago", "{}", "5a7be2a2-64a3"),
        ];
        let table = table(&rows, false, fit, OffsetDateTime::UNIX_EPOCH);
        anstream::adapter::strip_str(&table).to_string().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_table_fits_the_terminal_and_cuts_no_id() {
        let narrow = lines(Some(50));
        assert_eq!(narrow.len(), 3, "{narrow:#?}");
        assert!(narrow.iter().all(|line| line.chars().count() <= 50), "{narrow:#?}");
        assert!(narrow[1].ends_with("4a7be2a2-64a3") && narrow[1].contains('…'), "{narrow:#?}");
        assert!(narrow[2].starts_with("1day ago  {}"), "{narrow:#?}");
        assert!(
            lines(None)[1].contains("a long story of a lost phone"),
            "a pipe is as wide as need be"
        );
    }

    #[test]
    fn columns_that_have_no_room_are_left_out_from_the_end() {
        struct Session;
        impl Serialize for Session {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_unit()
            }
        }
        impl Row for Session {
            const COLUMNS: &[&str] = &["SESSION", "USER", "DETAILS", "STATE", "ADDRESS"];
            const NARROW: usize = 5;
            const CUT: &[&str] = &["DETAILS"];

            fn cells(&self, _now: OffsetDateTime) -> Vec<Cell> {
                let id = "01936e3c-8f5a-7c1e-9d0b-2f6a1c3b4d5e";
                [
                    id,
                    "ann",
                    "a long story of a lost phone",
                    "online",
                    "2001:db8:85a3::8a2e:370:7334",
                ]
                .map(Cell::new)
                .to_vec()
            }
        }
        for (fit, last) in [(120, "7334"), (80, "online"), (60, "…"), (36, "4d5e"), (10, "4d5e")]
        {
            let table = super::table(&[Session], false, Some(fit), OffsetDateTime::UNIX_EPOCH);
            let table = anstream::adapter::strip_str(&table).to_string();
            let row = table.lines().nth(1).expect("a row").trim_end();
            assert!(row.ends_with(last), "{fit}: {row}");
            // An id is never cut.
            assert!(row.chars().count() <= usize::from(fit).max(36), "{fit}: {row}");
        }
    }

    #[test]
    fn what_is_unfit_for_a_terminal_is_not_printed() {
        assert_eq!(printable("a\nb\u{9b}2J\u{202e}c\u{2069}"), "a ⏎ b\u{fffd}2J\u{fffd}c\u{fffd}");
        let value = ["\u{202e}\u{7f}é\n"];
        let json = document(&value, Format::Json).expect("JSON");
        assert_eq!(json, "[\n  \"\\u202e\\u007fé\\n\"\n]");
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).expect("JSON"), value);
        let yaml = document(&value, Format::Yaml).expect("YAML");
        assert_eq!(yaml, json);
        assert_eq!(serde_yaml_ng::from_str::<Vec<String>>(&yaml).expect("YAML"), value);
        assert_eq!(document(&["é"], Format::Yaml).expect("YAML"), "- é");
    }
}

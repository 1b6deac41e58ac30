//! Results to stdout as table, JSON or YAML; notes, warnings and errors to stderr.

use std::{
    fmt::Display,
    io::{self, Write as _},
};

use anstyle::{AnsiColor, Style};
use clap::{Args, ValueEnum};
use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets};
use serde::Serialize;
use time::OffsetDateTime;

use crate::error::Error;

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
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    pub(crate) output: Format,
}

/// What can be a row of a table. As JSON and YAML it is what its `Serialize` says.
pub(crate) trait Row: Serialize {
    /// The headings of all columns; those from [`Row::NARROW`] on are of the wide table alone.
    const COLUMNS: &'static [&'static str];
    /// How many columns the narrow table has.
    const NARROW: usize;

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
            print(table(rows, wide, OffsetDateTime::now_utc()))
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
    let text = if format == Format::Json {
        serde_json::to_string_pretty(value).map_err(io::Error::other)?
    } else {
        serde_yaml_ng::to_string(value).map_err(io::Error::other)?
    };
    Ok(text.trim_end().to_owned())
}

/// The rows as a table without lines.
pub(crate) fn table<T: Row>(rows: &[T], wide: bool, now: OffsetDateTime) -> String {
    let width = if wide { T::COLUMNS.len() } else { T::NARROW };
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
    for row in rows {
        table.add_row(row.cells(now).into_iter().take(width));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// A cell of text that others wrote: what could move the cursor or begin a line is replaced.
pub(crate) fn text(value: &str) -> Cell {
    if value.is_empty() {
        return Cell::new("-");
    }
    Cell::new(value.replace(char::is_control, "\u{fffd}"))
}

/// Writes a line to stdout, with colours where they are wanted.
pub(crate) fn print(text: impl Display) -> Result<(), Error> {
    let mut stdout = anstream::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
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

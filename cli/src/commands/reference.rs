//! `imctl reference`

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, Command, CommandFactory as _, builder::StyledStr};

use crate::{args::Cli, error::Error, output};

/// Arguments of `imctl reference`.
#[derive(Debug, Args)]
pub(crate) struct ReferenceArgs {
    /// Write manual pages into this folder, one for each command, instead of printing Markdown
    #[arg(long, value_name = "FOLDER")]
    man: Option<PathBuf>,
}

/// Prints all commands with their options, or writes manual pages.
pub(crate) fn run(args: &ReferenceArgs) -> Result<(), Error> {
    let mut command = Cli::command();
    command.build();
    match &args.man {
        None => output::print(markdown(&command).trim_end()),
        Some(folder) => write_pages(&command, folder),
    }
}

fn write_pages(command: &Command, folder: &Path) -> Result<(), Error> {
    let failed = |cause: std::io::Error| {
        Error::Usage(format!("cannot write into {}: {cause}", folder.display()))
    };
    fs::create_dir_all(folder).map_err(failed)?;
    for (name, command) in all(command) {
        let name = name.replace(' ', "-");
        let mut page = Vec::new();
        let title: &'static str = Box::leak(name.clone().into_boxed_str());
        let command = command.clone().name(title);
        clap_mangen::Man::new(command).render(&mut page).map_err(failed)?;
        fs::write(folder.join(format!("{name}.1")), page).map_err(failed)?;
    }
    Ok(())
}

/// The command and all below it that are shown, each with its whole name.
fn all(command: &Command) -> Vec<(String, &Command)> {
    let mut found = vec![(command.get_name().to_owned(), command)];
    let mut at = 0;
    while at < found.len() {
        let (name, command) = found[at].clone();
        let below = command
            .get_subcommands()
            .filter(|below| !below.is_hide_set() && below.get_name() != "help")
            .map(|below| (format!("{name} {}", below.get_name()), below));
        let below: Vec<_> = below.collect();
        let place = at + 1;
        found.splice(place..place, below);
        at += 1;
    }
    found
}

fn markdown(command: &Command) -> String {
    let mut text = String::from(
        "# imctl\n\nWhat `imctl COMMAND --help` says, on one page. It is made by `imctl reference`; a test holds that it is current.\n",
    );
    for (name, command) in all(command) {
        let depth = if name.contains(' ') { "##" } else { "" };
        if !depth.is_empty() {
            // Writing to a string does not fail.
            let _ = writeln!(text, "\n{depth} {name}");
        }
        if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
            let _ = writeln!(text, "\n{}.", plain(about).trim_end_matches('.'));
        }
        let mut command = command.clone();
        let usage = plain(&command.render_usage());
        let _ = writeln!(text, "\n```\n{}\n```", usage.trim_start_matches("Usage: "));
        let mut rows = String::new();
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            if argument.get_id() == "help" || argument.get_id() == "version" {
                continue;
            }
            let help = argument.get_help().map(plain).unwrap_or_default();
            let names: Vec<String> = [
                argument.get_short().map(|short| format!("-{short}")),
                argument.get_long().map(|long| format!("--{long}")),
            ]
            .into_iter()
            .flatten()
            .collect();
            let values: Vec<&str> = argument
                .get_value_names()
                .unwrap_or_default()
                .iter()
                .map(clap::builder::Str::as_str)
                .collect();
            let takes = argument.get_action().takes_values();
            let values = if takes { values.join(" ") } else { String::new() };
            let shown = format!("{} {values}", names.join(", "));
            let help = help.replace('\n', " ").replace('|', "\\|");
            let _ = writeln!(rows, "| `{}` | {help} |", shown.trim());
        }
        if !rows.is_empty() {
            let _ = write!(text, "\n| argument | meaning |\n|---|---|\n{rows}");
        }
        if let Some(after) = command.get_after_help() {
            let _ = writeln!(text, "\n```\n{}\n```", plain(after));
        }
    }
    text
}

fn plain(text: &StyledStr) -> String {
    text.to_string()
}

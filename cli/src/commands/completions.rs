//! `imctl completions`

use std::io::{self, Write as _};

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::{args::Cli, error::Error};

/// Arguments of `imctl completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  imctl completions bash > ~/.local/share/bash-completion/completions/imctl")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the completion script of a shell.
pub(crate) fn run(args: &CompletionsArgs) -> Result<(), Error> {
    // Not straight to stdout: the generator panics when that is closed.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "imctl", &mut script);
    io::stdout().write_all(&script).map_err(Error::Output)
}

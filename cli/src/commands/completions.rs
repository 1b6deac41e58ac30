//! `imctl completions`

use std::io::{self, Write as _};

use clap::{Args, ValueEnum};
use clap_complete::env::Shells;

use crate::{completion, error::Error};

/// Arguments of `imctl completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Commands and options are completed, and with a server in reach the ids of users, groups, tiers and
webhooks, too.

Examples:
  imctl completions bash > ~/.local/share/bash-completion/completions/imctl
  imctl completions fish > ~/.config/fish/completions/imctl.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// A shell that can be completed in.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

impl Shell {
    fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Elvish => "elvish",
            Self::Fish => "fish",
            Self::Powershell => "powershell",
            Self::Zsh => "zsh",
        }
    }
}

/// Prints the completion script of a shell: it asks `imctl` itself for what can come next.
pub(crate) fn run(args: &CompletionsArgs) -> Result<(), Error> {
    let shells = Shells::builtins();
    let shell = shells.completer(args.shell.name()).expect("each is built in");
    let mut script = Vec::new();
    let written =
        shell.write_registration(completion::VARIABLE, "imctl", "imctl", "imctl", &mut script);
    written.and_then(|()| io::stdout().write_all(&script)).map_err(Error::Output)
}

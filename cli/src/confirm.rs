//! Asking before something is done that cannot be undone, or that users notice.

use std::io::{self, IsTerminal as _, Write as _};

use clap::Args;

use crate::error::Error;

/// The option of every command that asks.
#[derive(Debug, Args)]
pub(crate) struct ConfirmArgs {
    /// Do not ask, for scripts
    #[arg(short, long)]
    yes: bool,
}

impl ConfirmArgs {
    /// Goes on when `--yes` was given or the operator agrees that `consequence` is what is wanted.
    pub(crate) fn confirm(&self, consequence: &str) -> Result<(), Error> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Error::Usage(format!(
                "{consequence}; there is no terminal to ask on: confirm with --yes"
            )));
        }
        eprint!("{consequence}. Go on? [y/N] ");
        let mut answer = String::new();
        let asked = io::stderr().flush().and_then(|()| io::stdin().read_line(&mut answer));
        asked.map_err(|cause| Error::Usage(format!("cannot ask: {cause}; confirm with --yes")))?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Error::Declined),
        }
    }
}

//! `imctl context`

use clap::Subcommand;
use comfy_table::Cell;
use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    args::Connection,
    error::Error,
    output::{self, OutputArgs, Row},
    profile::Contexts,
};

/// `imctl context …`
#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// Add a server, or change it: what the connection options say is kept under a name
    #[command(after_help = "\
Examples:
  imctl context add prod --server https://imd-admin.example.com --admin-key-file prod.key --ca ca.pem
  imctl context use prod")]
    Add {
        /// What to call it
        name: String,
        /// The public listener, for the demo, the chat and the benchmark
        #[arg(long, value_name = "URL")]
        public_server: Option<String>,
    },
    /// Use a server from now on, unless --profile says otherwise
    Use {
        /// Its name
        name: String,
    },
    /// List the servers
    List(OutputArgs),
    /// Forget a server; its key file stays
    Remove {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Serialize)]
struct ContextView {
    name: String,
    current: bool,
    server: Option<String>,
    public_server: Option<String>,
    admin_key_file: Option<String>,
}

/// Runs one of the commands. None of them needs a server.
pub(crate) fn run(command: ContextCommand, connection: &Connection) -> Result<(), Error> {
    let mut contexts = Contexts::open(connection)?;
    match command {
        ContextCommand::Add { name, public_server } => {
            contexts.add(&name, connection, public_server.as_deref())?;
            contexts.save()?;
            output::note(&format!("added {name}; imctl context use {name} makes it the one used"));
        }
        ContextCommand::Use { name } => {
            contexts.make_current(&name)?;
            contexts.save()?;
            output::note(&format!("{name} is used from now on"));
        }
        ContextCommand::Remove { name } => {
            contexts.remove(&name)?;
            contexts.save()?;
            output::note(&format!("removed {name}"));
        }
        ContextCommand::List(output) => {
            let rows: Vec<ContextView> = contexts
                .listed()
                .into_iter()
                .map(|(name, current, profile)| ContextView {
                    name,
                    current,
                    server: profile.server,
                    public_server: profile.public_server,
                    admin_key_file: profile.admin_key_file.map(|file| file.display().to_string()),
                })
                .collect();
            return output::list(
                &rows,
                output.output,
                "there is none; imctl context add makes one",
            );
        }
    }
    Ok(())
}

impl Row for ContextView {
    const COLUMNS: &[&str] = &["NAME", "USED", "SERVER", "PUBLIC", "KEY FILE"];
    const NARROW: usize = 3;
    const CUT: &[&str] = &["SERVER"];

    fn cells(&self, _now: OffsetDateTime) -> Vec<Cell> {
        let text = |value: &Option<String>| output::text(value.as_deref().unwrap_or_default());
        vec![
            output::text(&self.name),
            Cell::new(if self.current { "*" } else { "" }),
            text(&self.server),
            text(&self.public_server),
            text(&self.admin_key_file),
        ]
    }
}

//! `imctl chat`: a terminal in the terminal, and the reference of how a client uses imd.
//!
//! What every client must get right, [`imd_client`] does: resuming, sending again, stopping when told to.
//! Here is what is left: showing it.

mod around;
mod conversation;
mod groups;
mod line;
mod peer;
mod plain;
mod screen;

use std::{
    env,
    io::{self, IsTerminal as _},
};

use clap::Args;
use imd_client::{Connection as Servers, Error as ClientError, Terminal, proto};
use imd_proto::v1::{SessionEnd, login_request::Credential};
use secrecy::ExposeSecret as _;
use tokio::time::timeout;
use tonic::transport::Uri;

use self::{conversation::Conversation, line::Line, peer::Peer};
use super::demo::public::{PublicServer, PublicServerArgs};
use crate::{
    args::Connection,
    client::{display, explained},
    clock::time,
    error::Error,
    output::printable,
    password::PasswordArgs,
    profile::Profile,
    trust::Trust,
};

/// Arguments of `imctl chat`.
#[derive(Debug, Args)]
#[command(after_help = "\
Logs in as one more terminal of the user; the login may end another one of the same type. Enter sends,
PageUp and PageDown scroll through all of the history there is, Ctrl-C leaves and logs out. The bar above the line
that you type on says whether the other is there, and who types.

Where the output is no terminal, or a dumb one, it prints a line for each message, and sends each line of the input:
  (cat password; echo 'On my way') | imctl chat bob --user ann --password-stdin

Examples:
  imctl chat bob --user ann
  imctl chat group:team --user ann                 @bob in a text mentions bob
  imctl chat bob --user ann --terminal phone --device-name 'Old phone'")]
pub(crate) struct ChatArgs {
    /// Whom to write to: a user's id, or group:ID
    #[arg(value_name = "PEER", value_parser = Peer::read)]
    peer: Peer,
    /// Whose terminal this is
    #[arg(long, value_name = "USER")]
    user: String,
    /// The terminal type to log in as
    #[arg(long = "terminal", value_name = "TYPE", default_value = "pc")]
    terminal_type: String,
    /// The device's own id; a later login with it takes the place of this one
    #[arg(long, value_name = "ID", default_value = "imctl")]
    device_id: String,
    /// What the user's other terminals call this one
    #[arg(long, value_name = "NAME", default_value = "imctl chat")]
    device_name: String,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    public: PublicServerArgs,
}

/// Chats until the user leaves or the session ends.
pub(crate) async fn run(args: ChatArgs, connection: &Connection) -> Result<(), Error> {
    let profile = Profile::load(connection)?;
    let trust = Trust::read(connection, &profile)?;
    let ca = trust.ca.clone();
    let public = PublicServer::find(&args.public, &profile, connection.timeout, trust)?;
    let terminal = log_in(&args, &public.url, ca.as_deref()).await?;
    let line = Line::open(terminal.clone(), &args.peer);
    let conversation = Conversation::new(&args.user, &args.peer);
    let chatted = if io::stdout().is_terminal() && can_move_the_cursor() {
        screen::chat(line, conversation).await
    } else {
        plain::chat(line, conversation).await
    };
    match chatted {
        // What has ended needs no end, and what cannot be reached gets none.
        Ok(()) => drop(timeout(connection.timeout, terminal.logout()).await),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Whether a screen can be drawn on the terminal. One that calls itself dumb, or nothing, gets lines.
fn can_move_the_cursor() -> bool {
    cfg!(not(unix)) || env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

async fn log_in(args: &ChatArgs, server: &Uri, ca: Option<&[u8]>) -> Result<Terminal, Error> {
    let password = args.password.read_known().await?;
    let server_alone = std::slice::from_ref(server);
    let servers = match ca {
        Some(ca) => Servers::with_ca(server_alone, ca),
        None => Servers::new(server_alone),
    };
    let servers = servers.map_err(|error| Error::Usage(error.to_string()))?;
    let login = proto::LoginRequest {
        user_id: args.user.clone(),
        credential: Some(Credential::Password(password.expose_secret().to_owned())),
        terminal: Some(proto::Terminal {
            r#type: args.terminal_type.clone(),
            device_id: args.device_id.clone(),
            device_name: args.device_name.clone(),
        }),
        if_occupied: proto::IfOccupied::Replace.into(),
    };
    Terminal::login(servers, login).await.map_err(|error| match error {
        ClientError::Connection(cause) => {
            Error::Unreachable { server: display(server), cause: explained(server, cause) }
        }
        error => Error::Chat(error.to_string()),
    })
}

/// Why it is over. A session that has ended is told as such, and nobody logs in again by itself.
fn over(error: ClientError) -> Error {
    match error {
        ClientError::SessionEnded(end) => Error::Chat(ended(&end)),
        error => Error::Chat(error.to_string()),
    }
}

fn ended(end: &SessionEnd) -> String {
    let by = match (end.by_device_name.as_str(), end.by_terminal_type.as_str()) {
        ("", "") => String::new(),
        ("", by) | (by, "") => format!(" by {by}"),
        (name, kind) => format!(" by {name} ({kind})"),
    };
    let at = time(end.ended_at).map(|at| format!(" at {}", conversation::clock(at)));
    let note = if end.note.is_empty() { String::new() } else { format!(": {}", end.note) };
    let told = format!(
        "this terminal was signed out, {}{by}{}{note}",
        end.reason().as_str_name().trim_start_matches("END_REASON_"),
        at.unwrap_or_default(),
    );
    printable(&told)
}

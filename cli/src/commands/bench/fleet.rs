//! The users and their terminals.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use imd_client::{Connection, Event, NOW, Terminal, Timeline};
use imd_proto::v1::{
    CreateUserRequest, IfOccupied, LoginRequest, SetPasswordRequest, Terminal as Device,
    login_request::Credential,
};
use tokio::time::timeout;
use tonic::Code;
use uuid::Uuid;

use super::progress;
use crate::{client::Admin, error::Error, output};

/// The terminal types, in the order in which users get them.
const TERMINAL_TYPES: [&str; 4] = ["phone", "pc", "pad", "watch"];

/// Calls at a time while users are made and log in: each costs the server a password hash.
const CONCURRENT: usize = 8;

/// How long a stream may take to open.
const OPENING: Duration = Duration::from_secs(30);

/// Who takes part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cast {
    pub(super) users: usize,
    /// Terminals of each user, four at most.
    pub(super) terminals: u8,
}

/// Users with logged-in terminals.
pub(super) struct Fleet {
    /// The ids of the users.
    pub(super) users: Vec<String>,
    /// The types of each user's terminals.
    pub(super) terminal_types: &'static [&'static str],
    /// All terminals, those of the first user first.
    pub(super) terminals: Vec<Terminal>,
}

/// A terminal's view of its timeline, open.
pub(super) struct Following {
    pub(super) timeline: Timeline,
    /// The seq after which it follows.
    pub(super) after: i64,
}

impl Cast {
    fn user_ids(self) -> Vec<String> {
        (1..=self.users).map(|number| format!("bench-{number:05}")).collect()
    }

    fn terminal_types(self) -> &'static [&'static str] {
        &TERMINAL_TYPES[..usize::from(self.terminals)]
    }
}

impl Fleet {
    /// Makes the users where they do not exist, and logs all their terminals in over `connections`, by
    /// turns.
    pub(super) async fn muster(
        cast: Cast,
        connections: &[Connection],
        admin: &Admin,
    ) -> Result<Self, Error> {
        let password = Uuid::new_v4().to_string();
        let (users, terminal_types) = (cast.user_ids(), cast.terminal_types());

        let bar = progress::bar("users", users.len());
        stream::iter(&users)
            .map(|user_id| prepare(user_id, &password, admin))
            .buffer_unordered(CONCURRENT)
            .inspect_ok(|()| bar.inc(1))
            .try_collect::<()>()
            .await?;
        bar.finish_and_clear();

        let bar = progress::bar("logins", users.len() * terminal_types.len());
        let terminals =
            users.iter().flat_map(|user_id| terminal_types.iter().map(move |t| (user_id, t)));
        let terminals = stream::iter(terminals.zip(connections.iter().cycle()))
            .map(|((user_id, terminal_type), connection)| {
                log_in(connection.clone(), user_id, &password, terminal_type)
            })
            .buffered(CONCURRENT)
            .inspect_ok(|_| bar.inc(1))
            .try_collect()
            .await?;
        bar.finish_and_clear();
        Ok(Self { users, terminal_types, terminals })
    }

    /// Opens a stream for each terminal.
    pub(super) async fn follow(&self) -> Result<Vec<Following>, Error> {
        let open = |terminal: &Terminal| {
            let mut timeline = terminal.follow(NOW);
            async move {
                let opened = timeout(OPENING, timeline.next()).await;
                match opened.unwrap_or(Err(imd_client::Error::Timeout)) {
                    Ok(Event::Opened(state)) => Ok(Following { timeline, after: state.last_seq }),
                    Ok(other) => Err(Error::Bench(format!("a stream began with {other:?}"))),
                    Err(error) => Err(Error::Bench(format!("a stream cannot be opened: {error}"))),
                }
            }
        };
        stream::iter(self.terminals.iter().map(open)).buffered(CONCURRENT).try_collect().await
    }

    /// Logs all terminals out, as far as that can be done.
    pub(super) async fn disband(self) {
        stream::iter(&self.terminals)
            .for_each_concurrent(CONCURRENT, async |terminal| {
                if let Err(error) = terminal.logout().await {
                    output::note(&format!("a terminal could not be logged out: {error}"));
                }
            })
            .await;
    }

    /// The name of a terminal, for people.
    pub(super) fn name(&self, terminal: usize) -> String {
        let user = &self.users[terminal / self.terminal_types.len()];
        format!("{user}'s {}", self.terminal_types[terminal % self.terminal_types.len()])
    }
}

/// Logs each of the users in on a phone, over one connection; makes those that do not exist.
pub(super) async fn log_in_each(
    users: &[&str],
    connection: &Connection,
    admin: &Admin,
) -> Result<Vec<Terminal>, Error> {
    let password = Uuid::new_v4().to_string();
    let mut terminals = Vec::with_capacity(users.len());
    for user_id in users {
        prepare(user_id, &password, admin).await?;
        let terminal = log_in(connection.clone(), user_id, &password, "phone");
        terminals.push(terminal.await?);
    }
    Ok(terminals)
}

/// Creates a user, or takes over the one of an earlier run.
async fn prepare(user_id: &str, password: &str, admin: &Admin) -> Result<(), Error> {
    let mut calls = admin.calls.clone();
    let (user_id, password) = (user_id.to_owned(), password.to_owned());
    let request = CreateUserRequest {
        user_id: user_id.clone(),
        password: Some(password.clone()),
        tier: String::new(),
    };
    match calls.create_user(request).await {
        Err(status) if status.code() == Code::AlreadyExists => {
            let request = SetPasswordRequest { user_id, password };
            calls.set_password(request).await.map(drop)
        }
        created => created.map(drop),
    }
    .map_err(|status| admin.failure(status))
}

async fn log_in(
    connection: Connection,
    user_id: &str,
    password: &str,
    terminal_type: &str,
) -> Result<Terminal, Error> {
    let request = LoginRequest {
        user_id: user_id.to_owned(),
        credential: Some(Credential::Password(password.to_owned())),
        terminal: Some(Device {
            r#type: terminal_type.to_owned(),
            device_id: format!("bench-{terminal_type}"),
            device_name: format!("bench {terminal_type}"),
        }),
        if_occupied: IfOccupied::Replace.into(),
    };
    let login = Terminal::login(connection, request).await;
    login.map_err(|error| {
        Error::Bench(format!("{user_id} cannot log in as {terminal_type}: {error}"))
    })
}

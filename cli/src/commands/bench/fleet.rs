//! The users and their terminals.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use imd_client::{Connection, Event, NOW, Terminal, Timeline};
use imd_proto::v1::{
    AdminCreateGroupRequest, AdminDissolveGroupRequest, CreateGroupRequest, CreateUserRequest,
    IfOccupied, ListTerminalTypesRequest, LoginRequest, SetPasswordRequest, SetPushRequest,
    Terminal as Device, login_request::Credential, push_service_client::PushServiceClient,
};
use tokio::time::timeout;
use uuid::Uuid;

use super::progress;
use crate::{
    client::Admin,
    commands::{together::together, users::delete_user},
    error::Error,
    interrupt::unless_interrupted,
    output,
};

/// The terminal types, in the order in which users get them where the server has them.
const PREFERRED: [&str; 5] = ["phone", "pc", "pad", "watch", "web"];

/// Calls at a time while users are made and log in: each costs the server a password hash.
const CONCURRENT: usize = 8;

/// How long a stream may take to open.
const OPENING: Duration = Duration::from_secs(30);

/// Who takes part.
#[derive(Debug, Clone)]
pub(super) struct Cast {
    pub(super) users: usize,
    /// Terminals of each user, four at most.
    pub(super) terminals: u8,
    /// The provider of push that tells one terminal more of each, which opens no stream.
    pub(super) away: Option<String>,
    /// The members of each group, by number of the user; the first owns it.
    pub(super) groups: Arc<[Vec<usize>]>,
}

/// The users and groups of a run. An id is given out once, so each run has its own.
struct Run {
    users: Vec<String>,
    groups: Vec<Group>,
}

/// A group of the run.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) id: String,
    /// By number of the user.
    pub(super) members: Vec<usize>,
}

/// Users with logged-in terminals.
pub(super) struct Fleet {
    /// The ids of the users.
    pub(super) users: Vec<String>,
    /// The types of each user's terminals.
    pub(super) terminal_types: Vec<String>,
    /// All terminals, those of the first user first.
    pub(super) terminals: Vec<Terminal>,
    /// Those that open no stream.
    pub(super) away: Vec<Terminal>,
    pub(super) groups: Vec<Group>,
}

/// A terminal's view of its timeline, open.
pub(super) struct Following {
    pub(super) timeline: Timeline,
    /// The seq after which it follows.
    pub(super) after: i64,
}

impl Cast {
    async fn terminal_types(&self, admin: &Admin) -> Result<Vec<String>, Error> {
        let answer = admin.calls.clone().list_terminal_types(ListTerminalTypesRequest {}).await;
        let known = answer.map_err(|status| admin.failure(status))?.into_inner().terminal_types;
        let count = usize::from(self.terminals) + usize::from(self.away.is_some());
        match together(&known, &PREFERRED, count, |_, _| true) {
            Ok(chosen) => Ok(chosen.into_iter().map(|chosen| chosen.name.clone()).collect()),
            Err(rules) => Err(Error::Usage(format!(
                "--terminals {count}: so many types cannot be logged in beside each other: {rules}"
            ))),
        }
    }
}

impl Run {
    fn of(cast: &Cast) -> Self {
        let tag = format!("bench-{:08x}", fastrand::u32(..));
        let group = |(number, members): (usize, &Vec<usize>)| Group {
            id: format!("{tag}-group-{}", number + 1),
            members: members.clone(),
        };
        Self {
            users: (1..=cast.users).map(|number| format!("{tag}-{number:05}")).collect(),
            groups: cast.groups.iter().enumerate().map(group).collect(),
        }
    }
}

impl Fleet {
    /// Makes users and groups and logs all terminals in over `connections`, by turns, does `work` with them,
    /// and dissolves the groups and deletes the users again, whether it succeeds, fails or is interrupted;
    /// unless it is to `keep` them.
    pub(super) async fn with<T>(
        cast: Cast,
        connections: &[Connection],
        keep: bool,
        admin: &Admin,
        work: impl AsyncFnOnce(&Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let terminal_types = cast.terminal_types(admin).await?;
        let run = Run::of(&cast);
        let done = unless_interrupted(async {
            let provider = cast.away.as_deref();
            let fleet = Self::muster(&run, terminal_types, provider, connections, admin).await?;
            let done = work(&fleet).await?;
            if keep {
                fleet.disband().await;
            }
            Ok(done)
        })
        .await;
        if !keep {
            dissolve(&run.groups, admin).await;
            delete(&run.users, admin).await;
        }
        done
    }

    async fn muster(
        run: &Run,
        mut terminal_types: Vec<String>,
        provider: Option<&str>,
        connections: &[Connection],
        admin: &Admin,
    ) -> Result<Self, Error> {
        let password = Uuid::new_v4().to_string();
        let users = &run.users;

        let bar = progress::bar("users", users.len());
        stream::iter(users)
            .map(|user_id| create(user_id, &password, admin))
            .buffer_unordered(CONCURRENT)
            .inspect_ok(|()| bar.inc(1))
            .try_collect::<()>()
            .await?;
        bar.finish_and_clear();

        let bar = progress::bar("logins", users.len() * terminal_types.len());
        let log_in_on = async |types: &[String]| {
            let terminals =
                users.iter().flat_map(|user_id| types.iter().map(move |t| (user_id, t)));
            stream::iter(terminals.zip(connections.iter().cycle()))
                .map(|((user_id, terminal_type), connection)| {
                    log_in(connection.clone(), user_id, &password, terminal_type)
                })
                .buffered(CONCURRENT)
                .inspect_ok(|_| bar.inc(1))
                .try_collect::<Vec<_>>()
                .await
        };
        let mut away = Vec::new();
        if let (Some(provider), Some(last)) =
            (provider, terminal_types.pop_if(|_| provider.is_some()))
        {
            away = log_in_on(&[last]).await?;
            for (number, terminal) in away.iter().enumerate() {
                bind(terminal, provider, number).await?;
            }
        }
        let terminals = log_in_on(&terminal_types).await?;
        bar.finish_and_clear();
        for group in &run.groups {
            make_group(group, users, admin).await?;
        }
        let (users, groups) = (users.clone(), run.groups.clone());
        Ok(Self { users, terminal_types, terminals, away, groups })
    }

    /// Opens a stream for each terminal. Each watches as many of the other users as `watched` says.
    pub(super) async fn follow(&self, watched: usize) -> Result<Vec<Following>, Error> {
        let open = |(number, terminal): (usize, &Terminal)| {
            let user = number / self.terminal_types.len();
            let others =
                self.users.iter().cycle().skip(user + 1).take(watched.min(self.users.len() - 1));
            let mut timeline = terminal.follow(NOW).watching(others.cloned().collect());
            async move {
                let opened = timeout(OPENING, timeline.next()).await;
                match opened.unwrap_or(Err(imd_client::Error::Timeout)) {
                    Ok(Event::Opened(state)) => Ok(Following { timeline, after: state.last_seq }),
                    Ok(other) => Err(Error::Bench(format!("a stream began with {other:?}"))),
                    Err(error) => Err(Error::Bench(format!("a stream cannot be opened: {error}"))),
                }
            }
        };
        stream::iter(self.terminals.iter().enumerate().map(open))
            .buffered(CONCURRENT)
            .try_collect()
            .await
    }

    /// Logs all terminals out, as far as that can be done.
    async fn disband(self) {
        stream::iter(self.terminals.iter().chain(&self.away))
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

/// Has a terminal be told by push.
async fn bind(terminal: &Terminal, provider: &str, number: usize) -> Result<(), Error> {
    let failed = |cause: String| Error::Bench(format!("a push token cannot be bound: {cause}"));
    let channel = terminal.channel().await.map_err(|error| failed(error.to_string()))?;
    let request = SetPushRequest {
        provider: provider.to_owned(),
        token: format!("bench-{number}"),
        ..SetPushRequest::default()
    };
    let bound = PushServiceClient::new(channel).set_push(request).await;
    bound.map(drop).map_err(|status| failed(status.message().to_owned()))
}

/// Makes a group, by an administrator's hand: so it has all its members whatever these let others do.
async fn make_group(group: &Group, users: &[String], admin: &Admin) -> Result<(), Error> {
    let members = group.members[1..].iter().map(|member| users[*member].clone());
    let request = AdminCreateGroupRequest {
        owner_id: users[group.members[0]].clone(),
        group: Some(CreateGroupRequest {
            group_id: group.id.clone(),
            name: "imctl bench".to_owned(),
            member_ids: members.collect(),
            ..CreateGroupRequest::default()
        }),
    };
    let made = admin.calls.clone().admin_create_group(request).await;
    made.map(drop).map_err(|status| admin.failure(status))
}

/// Dissolves the groups of a run; what goes wrong is only noted.
async fn dissolve(groups: &[Group], admin: &Admin) {
    for group in groups {
        let request = AdminDissolveGroupRequest { group_id: group.id.clone() };
        let dissolved = admin.calls.clone().admin_dissolve_group(request).await;
        if let Err(error) = dissolved.map_err(|status| admin.failure(status))
            && !error.is("group_not_found")
        {
            output::warn(&format!("the group {} could not be dissolved: {error}", group.id));
        }
    }
}

/// Deletes the users of a run; what goes wrong is only noted.
async fn delete(users: &[String], admin: &Admin) {
    let bar = progress::bar("deleting users", users.len());
    let delete =
        async |user_id: &String| match delete_user(user_id, "the benchmark is over", admin).await {
            Err(error) if !error.is("user_not_found") => Err(format!("{user_id}: {error}")),
            _ => {
                bar.inc(1);
                Ok(())
            }
        };
    let deleted: Vec<_> =
        stream::iter(users).map(delete).buffer_unordered(CONCURRENT).collect().await;
    bar.finish_and_clear();
    let failed: Vec<String> = deleted.into_iter().filter_map(Result::err).collect();
    if let Some(first) = failed.first() {
        output::warn(&format!("{} users could not be deleted; {first}", failed.len()));
    }
}

async fn create(user_id: &str, password: &str, admin: &Admin) -> Result<(), Error> {
    let request = CreateUserRequest {
        user_id: user_id.to_owned(),
        password: Some(password.to_owned()),
        tier: String::new(),
    };
    let created = admin.calls.clone().create_user(request).await;
    created.map(drop).map_err(|status| admin.failure(status))
}

/// Creates a user, or takes over the one of an earlier run.
async fn prepare(user_id: &str, password: &str, admin: &Admin) -> Result<(), Error> {
    match create(user_id, password, admin).await {
        Err(error) if error.is("user_exists") => {
            let (user_id, password) = (user_id.to_owned(), password.to_owned());
            let request = SetPasswordRequest { user_id, password };
            let set = admin.calls.clone().set_password(request).await;
            set.map(drop).map_err(|status| admin.failure(status))
        }
        created => created,
    }
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

//! What can come next on a command line, for the shell that asks. Ids are those that the server has; where it is not in
//! reach, or not soon enough, there are none.

use std::{ffi::OsStr, time::Duration};

use clap::{Arg, Command, CommandFactory as _, FromArgMatches as _};
use clap_complete::{ArgValueCompleter, CompletionCandidate};
use imd_proto::v1::{
    AdminListGroupsRequest, ListTiersRequest, ListUsersRequest, ListWebhooksRequest,
};
use tokio::{runtime, time::timeout};

use crate::{
    args::{Cli, Connection},
    client::Admin,
    error::Error,
    profile::Profile,
};

/// The environment variable by which a shell asks.
pub(crate) const VARIABLE: &str = "IMCTL_COMPLETE";

/// How long somebody who pressed a key waits.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many ids are offered.
const MOST: i32 = 100;

/// How many groups are looked through.
const GROUPS: i32 = 1000;

/// What an argument names.
#[derive(Debug, Clone, Copy)]
enum Named {
    User,
    Group,
    Tier,
    Webhook,
}

impl Named {
    /// By what help shows in the place of a value.
    fn by(arg: &Arg) -> Option<Self> {
        match arg.get_value_names()?.first()?.as_str() {
            "USER" | "USERS" | "PEER" | "USER,…" => Some(Self::User),
            "GROUP" | "GROUPS" => Some(Self::Group),
            "TIER" => Some(Self::Tier),
            "WEBHOOK" => Some(Self::Webhook),
            _ => None,
        }
    }

    /// The ids that begin with `typed`.
    async fn ids(self, typed: &str) -> Result<Vec<String>, Error> {
        let connection = connection();
        let mut admin = Admin::connect(&connection, &Profile::load(&connection)?).await?;
        let calls = &mut admin.calls;
        let found = match self {
            Self::User => {
                let prefix = typed.to_owned();
                let request =
                    ListUsersRequest { page_size: MOST, prefix, ..ListUsersRequest::default() };
                let page = calls.list_users(request).await;
                page.map(|page| {
                    page.into_inner().users.into_iter().map(|one| one.user_id).collect()
                })
            }
            Self::Group => {
                let request = AdminListGroupsRequest {
                    page_size: GROUPS,
                    ..AdminListGroupsRequest::default()
                };
                let page = calls.admin_list_groups(request).await;
                page.map(|page| {
                    let groups = page.into_inner().groups.into_iter().filter_map(|one| one.group);
                    groups.map(|group| group.group_id).collect()
                })
            }
            Self::Tier => {
                let all = calls.list_tiers(ListTiersRequest {}).await;
                all.map(|all| all.into_inner().tiers.into_iter().map(|one| one.name).collect())
            }
            Self::Webhook => {
                let all = calls.list_webhooks(ListWebhooksRequest {}).await;
                all.map(|all| {
                    all.into_inner().webhooks.into_iter().map(|one| one.webhook_id).collect()
                })
            }
        };
        let mut ids: Vec<String> = found.map_err(|status| admin.failure(status))?;
        ids.retain(|id| id.starts_with(typed));
        Ok(ids)
    }

    fn candidates(self, typed: &OsStr) -> Vec<CompletionCandidate> {
        let Some(typed) = typed.to_str() else { return Vec::new() };
        let Ok(runtime) = runtime::Builder::new_current_thread().enable_all().build() else {
            return Vec::new();
        };
        let ids = runtime.block_on(async { timeout(PATIENCE, self.ids(typed)).await });
        let ids = ids.ok().and_then(Result::ok).unwrap_or_default();
        ids.into_iter().map(CompletionCandidate::new).collect()
    }
}

/// Which server is asked: the one that the command line names so far.
fn connection() -> Connection {
    // A shell gives the line behind `--`.
    let line = std::env::args_os().skip_while(|word| word != "--").skip(1);
    let matches = Cli::command().ignore_errors(true).try_get_matches_from(line);
    let named = matches.ok().and_then(|matches| Connection::from_arg_matches(&matches).ok());
    named.unwrap_or_else(|| {
        let nothing = Cli::command().ignore_errors(true).get_matches_from(["imctl"]);
        Connection::from_arg_matches(&nothing).expect("every option may be left out")
    })
}

/// The command line of imctl, whose ids can be completed.
pub(crate) fn command() -> Command {
    completed(Cli::command())
}

fn completed(command: Command) -> Command {
    let named = |arg: &Arg| Some((arg.get_id().clone(), Named::by(arg)?));
    let named: Vec<_> = command.get_arguments().filter_map(named).collect();
    let command = named.into_iter().fold(command, |command, (id, named)| {
        let completer = ArgValueCompleter::new(move |typed: &OsStr| named.candidates(typed));
        command.mut_arg(id, |arg| arg.add(completer))
    });
    command.mut_subcommands(completed)
}

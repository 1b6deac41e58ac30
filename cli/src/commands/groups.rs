//! `imctl groups`

mod export;
mod members;
mod view;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use imd_proto::v1::{
    AdminCreateGroupRequest, AdminDissolveGroupRequest, AdminGetGroupRequest, AdminGroup,
    AdminListGroupsRequest, AdminUpdateGroupRequest, CreateGroupRequest, JoinRule,
    UpdateGroupRequest,
};
use time::OffsetDateTime;

use self::{export::ExportArgs, members::MembersCommand, view::GroupView};
use crate::{
    client::Admin,
    clock,
    confirm::ConfirmArgs,
    error::Error,
    output::{self, OutputArgs, WatchedOutput},
    paging::LimitArgs,
};

/// `imctl groups …`
#[derive(Debug, Subcommand)]
pub(crate) enum GroupsCommand {
    /// List the groups, the one made first first; dissolved ones too
    List {
        /// Only the groups that this user is a member of
        #[arg(long, value_name = "USER", default_value = "", hide_default_value = true)]
        user: String,
        /// Only groups made since then: a time (2026-11-23T07:30:00Z), a date, or how long ago (30d)
        #[arg(long, value_name = "TIME", value_parser = clock::since)]
        since: Option<OffsetDateTime>,
        #[command(flatten)]
        limit: LimitArgs,
        #[command(flatten)]
        output: WatchedOutput,
    },
    /// Show one group
    Show(GroupArgs),
    /// Create a group
    #[command(after_help = "\
Examples:
  imctl groups create team --owner ann --members ben,cleo
  imctl groups create news --owner ann --name 'The news' --join open --history 100")]
    Create(CreateArgs),
    /// Change a group; its members are told
    #[command(after_help = "\
Examples:
  imctl groups set team --name 'The old team' --announcement ''
  imctl groups set team --muted           only owner and admins may write
  imctl groups set team --attributes '{\"colour\": \"red\"}' --version 3")]
    Set(SetArgs),
    /// Write a group, with those it had at first and who came and went, as JSON Lines
    Export(ExportArgs),
    /// Dissolve a group for good: nothing can be sent to it any more, and its id is not given out again
    Dissolve {
        #[command(flatten)]
        group: GroupArgs,
        #[command(flatten)]
        confirm: ConfirmArgs,
    },
    /// List the members of a group, add and remove some, and change what they may do
    #[command(subcommand)]
    Members(MembersCommand),
}

/// Arguments of a command about one group.
#[derive(Debug, Args)]
pub(crate) struct GroupArgs {
    /// The group's id
    #[arg(value_name = "GROUP")]
    group_id: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// How one gets into a group.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Join {
    /// Owner and admins add members; other members ask them to
    Invite,
    /// Anyone may ask to join, and owner and admins answer
    Request,
    /// Anyone may join
    Open,
}

impl From<Join> for JoinRule {
    fn from(join: Join) -> Self {
        match join {
            Join::Invite => Self::Invite,
            Join::Request => Self::Request,
            Join::Open => Self::Open,
        }
    }
}

/// Arguments of `imctl groups create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    group: GroupArgs,
    /// Who owns it
    #[arg(long, value_name = "USER")]
    owner: String,
    /// What it is called [default: its id]
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Its members beside the owner
    #[arg(long, value_name = "USER,…", value_delimiter = ',')]
    members: Vec<String>,
    /// How one gets in
    #[arg(long, value_enum, default_value_t = Join::Invite)]
    join: Join,
    /// How many of the newest messages who joins gets to see, 0 to 1,000
    #[arg(long, value_name = "N", default_value_t = 0)]
    history: i32,
    /// A JSON object of your own, up to 4,096 bytes
    #[arg(long, value_name = "JSON", default_value = "", hide_default_value = true)]
    attributes: String,
}

/// Arguments of `imctl groups set`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("change")
    .args(["name", "announcement", "join", "history", "muted", "not_muted", "attributes"])
    .required(true).multiple(true)))]
pub(crate) struct SetArgs {
    #[command(flatten)]
    group: GroupArgs,
    /// What it is called
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// What its members are to know, up to 2,000 characters; empty for none
    #[arg(long, value_name = "TEXT")]
    announcement: Option<String>,
    /// How one gets in
    #[arg(long, value_enum)]
    join: Option<Join>,
    /// How many of the newest messages who joins gets to see, 0 to 1,000
    #[arg(long, value_name = "N")]
    history: Option<i32>,
    /// Only owner and admins may write
    #[arg(long, conflicts_with = "not_muted")]
    muted: bool,
    /// All members may write
    #[arg(long)]
    not_muted: bool,
    /// A JSON object of your own, up to 4,096 bytes
    #[arg(long, value_name = "JSON")]
    attributes: Option<String>,
    /// Change it only if it is at this version still, as `imctl groups show -o wide` gives it
    #[arg(long, value_name = "N")]
    version: Option<i64>,
}

/// Runs one of the commands.
pub(crate) async fn run(command: GroupsCommand, admin: &mut Admin) -> Result<(), Error> {
    match command {
        GroupsCommand::List { user, since, limit, output } => {
            list(&user, since, &limit, &output, admin).await
        }
        GroupsCommand::Show(group) => show(group, admin).await,
        GroupsCommand::Create(args) => create(args, admin).await,
        GroupsCommand::Set(args) => set(args, admin).await,
        GroupsCommand::Dissolve { group, confirm } => dissolve(group, &confirm, admin).await,
        GroupsCommand::Export(args) => export::run(args, admin).await,
        GroupsCommand::Members(command) => members::run(command, admin).await,
    }
}

async fn list(
    user_id: &str,
    since: Option<OffsetDateTime>,
    limit: &LimitArgs,
    output: &OutputArgs,
    admin: &mut Admin,
) -> Result<(), Error> {
    let groups = limit
        .collect(async |page_size, page_token| {
            let (user_id, since) = (user_id.to_owned(), since.map(clock::timestamp));
            let request = AdminListGroupsRequest { user_id, since, page_size, page_token };
            let answer = admin.calls.admin_list_groups(request).await;
            let page = answer.map_err(|status| admin.failure(status))?.into_inner();
            Ok((page.groups, page.next_page_token))
        })
        .await?;
    let groups: Vec<GroupView> = groups.into_iter().map(GroupView::from).collect();
    let is_whole = user_id.is_empty() && since.is_none();
    let none = if is_whole { "there are no groups" } else { "no group matches" };
    output::list(&groups, output.output, none)
}

async fn show(args: GroupArgs, admin: &mut Admin) -> Result<(), Error> {
    let group = get(args.group_id, admin).await?;
    print(group, &args.output)
}

async fn create(args: CreateArgs, admin: &mut Admin) -> Result<(), Error> {
    let GroupArgs { group_id, output } = args.group;
    let group = CreateGroupRequest {
        name: args.name.unwrap_or_else(|| group_id.clone()),
        group_id,
        member_ids: args.members,
        join: JoinRule::from(args.join).into(),
        history: args.history,
        attributes: args.attributes,
    };
    let request = AdminCreateGroupRequest { owner_id: args.owner, group: Some(group) };
    let answer = admin.calls.admin_create_group(request).await;
    let made = answer.map_err(|status| admin.failure(status))?.into_inner();
    print(made.group, &output)
}

async fn set(args: SetArgs, admin: &mut Admin) -> Result<(), Error> {
    let GroupArgs { group_id, output } = args.group;
    let group = UpdateGroupRequest {
        group_id,
        name: args.name,
        announcement: args.announcement,
        join: args.join.map(|join| JoinRule::from(join).into()),
        history: args.history,
        muted: (args.muted || args.not_muted).then_some(args.muted),
        attributes: args.attributes,
        version: args.version,
    };
    let request = AdminUpdateGroupRequest { group: Some(group) };
    let answer = admin.calls.admin_update_group(request).await;
    let changed = answer.map_err(|status| admin.failure(status))?.into_inner();
    print(changed.group, &output)
}

async fn dissolve(args: GroupArgs, confirm: &ConfirmArgs, admin: &mut Admin) -> Result<(), Error> {
    let GroupArgs { group_id, output } = args;
    let found = get(group_id.clone(), admin).await?.unwrap_or_default();
    let GroupView { name, members, .. } = GroupView::from(found);
    confirm.confirm(&format!(
        "the group {group_id} ({}) with {members} members will be dissolved for good",
        output::printable(&name)
    ))?;
    let request = AdminDissolveGroupRequest { group_id: group_id.clone() };
    let answer = admin.calls.admin_dissolve_group(request).await;
    answer.map_err(|status| admin.failure(status))?;
    print(get(group_id, admin).await?, &output)
}

async fn get(group_id: String, admin: &mut Admin) -> Result<Option<AdminGroup>, Error> {
    let answer = admin.calls.admin_get_group(AdminGetGroupRequest { group_id }).await;
    Ok(answer.map_err(|status| admin.failure(status))?.into_inner().group)
}

fn print(group: Option<AdminGroup>, output: &OutputArgs) -> Result<(), Error> {
    output::one(&GroupView::from(group.unwrap_or_default()), output.output)
}

//! `imctl groups members`

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use imd_proto::v1::{
    AdminAddGroupMembersRequest, AdminListGroupMembersRequest, AdminRemoveGroupMemberRequest,
    AdminUpdateGroupMemberRequest, GroupRole, UpdateGroupMemberRequest,
};
use time::OffsetDateTime;

use super::{GroupArgs, view::MemberView};
use crate::{
    client::Admin,
    clock,
    error::Error,
    output::{self, Format, OutputArgs},
    paging::LimitArgs,
};

/// `imctl groups members …`
#[derive(Debug, Subcommand)]
pub(crate) enum MembersCommand {
    /// List the members of a group
    List {
        #[command(flatten)]
        group: GroupArgs,
        #[command(flatten)]
        limit: LimitArgs,
    },
    /// Make users members, all or none; prints those who were none before
    #[command(after_help = "\
Example:
  imctl groups members add team ben cleo")]
    Add(UsersArgs),
    /// Remove members, one after the other: nothing that is sent from then on reaches them
    #[command(after_help = "\
The owner stays: hand the group on before, or dissolve it.

Example:
  imctl groups members remove team ben")]
    Remove(UsersArgs),
    /// Change a member's role, nickname or mute
    #[command(after_help = "\
Examples:
  imctl groups members set team ben --role owner     ann, who owned it, is an admin then
  imctl groups members set team ben --mute 2h
  imctl groups members set team ben --not-muted --nickname Benny")]
    Set(SetArgs),
}

/// Arguments of a command about users of a group.
#[derive(Debug, Args)]
pub(crate) struct UsersArgs {
    /// The group's id
    #[arg(value_name = "GROUP")]
    group_id: String,
    /// The users' ids
    #[arg(value_name = "USER", required = true)]
    user_ids: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// What a member may do.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    /// Write, read, leave
    Member,
    /// Also change the group, and add, remove and mute members
    Admin,
    /// Also make admins, hand the group on and dissolve it; who owned it becomes an admin
    Owner,
}

impl From<Role> for GroupRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Member => Self::Member,
            Role::Admin => Self::Admin,
            Role::Owner => Self::Owner,
        }
    }
}

/// Arguments of `imctl groups members set`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("change").args(["role", "nickname", "mute", "not_muted"])
    .required(true).multiple(true)))]
pub(crate) struct SetArgs {
    /// The group's id
    #[arg(value_name = "GROUP")]
    group_id: String,
    /// The member's user id
    #[arg(value_name = "USER")]
    user_id: String,
    /// What the member may do
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// What the member is called in the group; empty for its own name
    #[arg(long, value_name = "TEXT")]
    nickname: Option<String>,
    /// For how long the member may not write, from now on
    #[arg(long, value_name = "TIME", value_parser = clock::some_time, conflicts_with = "not_muted")]
    mute: Option<Duration>,
    /// The member may write again
    #[arg(long)]
    not_muted: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs one of the commands.
pub(super) async fn run(command: MembersCommand, admin: &mut Admin) -> Result<(), Error> {
    match command {
        MembersCommand::List { group, limit } => list(&group, &limit, admin).await,
        MembersCommand::Add(args) => add(args, admin).await,
        MembersCommand::Remove(args) => remove(args, admin).await,
        MembersCommand::Set(args) => set(args, admin).await,
    }
}

async fn list(args: &GroupArgs, limit: &LimitArgs, admin: &mut Admin) -> Result<(), Error> {
    let GroupArgs { group_id, output } = args;
    let members = limit
        .collect(async |page_size, page_token| {
            let group_id = group_id.clone();
            let request = AdminListGroupMembersRequest { group_id, page_size, page_token };
            let answer = admin.calls.admin_list_group_members(request).await;
            let page = answer.map_err(|status| admin.failure(status))?.into_inner();
            Ok((page.members, page.next_page_token))
        })
        .await?;
    let members: Vec<MemberView> = members.into_iter().map(MemberView::from).collect();
    output::list(&members, output.output, "nobody is in the group")
}

async fn add(args: UsersArgs, admin: &mut Admin) -> Result<(), Error> {
    let UsersArgs { group_id, user_ids, output } = args;
    let request = AdminAddGroupMembersRequest { group_id, user_ids };
    let answer = admin.calls.admin_add_group_members(request).await;
    let added = answer.map_err(|status| admin.failure(status))?.into_inner().added;
    print_ids(&added, output.output, "all of them were members already")
}

async fn remove(args: UsersArgs, admin: &mut Admin) -> Result<(), Error> {
    let UsersArgs { group_id, user_ids, output } = args;
    for (done, user_id) in user_ids.iter().enumerate() {
        let (group_id, user_id) = (group_id.clone(), user_id.clone());
        let request = AdminRemoveGroupMemberRequest { group_id, user_id };
        if let Err(status) = admin.calls.admin_remove_group_member(request).await {
            if done > 0 {
                let removed = user_ids[..done].join(", ");
                output::note(&format!("removed before that: {removed}"));
            }
            return Err(admin.failure(status));
        }
    }
    print_ids(&user_ids, output.output, "")
}

async fn set(args: SetArgs, admin: &mut Admin) -> Result<(), Error> {
    // A time that has passed lets the member write again.
    let muted_until = match args.mute {
        Some(mute) => Some(clock::timestamp(OffsetDateTime::now_utc() + mute)),
        None => args.not_muted.then(|| clock::timestamp(OffsetDateTime::UNIX_EPOCH)),
    };
    let member = UpdateGroupMemberRequest {
        group_id: args.group_id,
        user_id: args.user_id.clone(),
        role: args.role.map(|role| GroupRole::from(role).into()),
        nickname: args.nickname,
        muted_until,
    };
    let request = AdminUpdateGroupMemberRequest { member: Some(member) };
    let answer = admin.calls.admin_update_group_member(request).await;
    answer.map_err(|status| admin.failure(status))?;
    print_ids(&[args.user_id], args.output.output, "")
}

/// Prints users by their ids, a line each.
fn print_ids(user_ids: &[String], format: Format, if_empty: &str) -> Result<(), Error> {
    match format {
        Format::Json | Format::Yaml => output::print(output::document(user_ids, format)?),
        Format::Table | Format::Wide if user_ids.is_empty() => {
            output::note(if_empty);
            Ok(())
        }
        Format::Table | Format::Wide => {
            user_ids.iter().try_for_each(|user_id| output::print(output::printable(user_id)))
        }
    }
}

//! `imctl users`

mod delete;
mod show;
mod view;

use clap::{Args, Subcommand};
use imd_proto::v1::{
    CreateUserRequest, DisableUserRequest, EnableUserRequest, ListUsersRequest,
    PreviewUserLimitsRequest, RetentionLimits, SetPasswordRequest, SetUserLimitsRequest, User,
    preview_user_limits_request::Limits as TriedLimits, set_user_limits_request::Limits,
};
use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;

pub(super) use self::delete::delete_user;
use self::view::UserView;
use super::{
    retention::{LimitsArgs, confirm_hiding},
    sessions::print_ended,
};
use crate::{
    client::Admin,
    clock,
    confirm::ConfirmArgs,
    error::Error,
    output::{self, OutputArgs, WatchedOutput},
    paging::LimitArgs,
    password::PasswordArgs,
};

/// `imctl users …`
#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// Create a user
    #[command(after_help = "\
Examples:
  imctl users create ann
  openssl rand -base64 18 | tee ann.password | imctl users create ann --password-stdin")]
    Create {
        #[command(flatten)]
        user: UserArgs,
        /// The user's tier; without it, the setting `default_tier`
        #[arg(long, value_name = "TIER", default_value = "", hide_default_value = true)]
        tier: String,
        #[command(flatten)]
        password: PasswordArgs,
        /// Create the user without a password: it logs in by assertions alone
        #[arg(long, conflicts_with = "password_stdin")]
        no_password: bool,
    },
    /// List the users, by id
    List {
        /// Only users whose ids begin so
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        prefix: String,
        /// Only users created since then: a time (2026-11-23T07:30:00Z), a date, or how long ago (30d)
        #[arg(long, value_name = "TIME", value_parser = clock::since)]
        since: Option<OffsetDateTime>,
        #[command(flatten)]
        limit: LimitArgs,
        #[command(flatten)]
        output: WatchedOutput,
    },
    /// Show one user: its profile, its sessions, and how much there is of it
    Show(UserArgs),
    /// Set a user's password; every live session of the user ends
    SetPassword {
        #[command(flatten)]
        user: UserArgs,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Give a user a tier, and with it the tier's limits of retention; asks before that hides history
    SetTier {
        #[command(flatten)]
        user: UserArgs,
        /// The tier
        #[arg(value_name = "TIER")]
        tier: String,
        #[command(flatten)]
        confirm: ConfirmArgs,
    },
    /// Give a user limits of retention of its own, whatever its tier; asks before that hides history
    #[command(after_help = "\
A limit that is not given does not hold for the user.

Examples:
  imctl users set-limits ann --days 3650
  imctl users set-tier ann free       # takes them away again")]
    SetLimits {
        #[command(flatten)]
        user: UserArgs,
        #[command(flatten)]
        limits: LimitsArgs,
        #[command(flatten)]
        confirm: ConfirmArgs,
    },
    /// Let a user log in no more; every live session of the user ends
    Disable(UserArgs),
    /// Let a disabled user log in again
    Enable(UserArgs),
    /// Delete a user for good: account, sessions and timeline
    Delete(delete::DeleteArgs),
}

/// Arguments of a command about one user.
#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    /// The user's id
    #[arg(value_name = "USER")]
    user_id: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs one of the commands.
pub(crate) async fn run(command: UsersCommand, admin: &mut Admin) -> Result<(), Error> {
    match command {
        UsersCommand::Create { user, tier, password, no_password } => {
            let password = if no_password { None } else { Some(password.read().await?) };
            create(user, tier, password, admin).await
        }
        UsersCommand::List { prefix, since, limit, output } => {
            list(&prefix, since, &limit, &output, admin).await
        }
        UsersCommand::Show(user) => show::run(user, admin).await,
        UsersCommand::SetPassword { user, password } => set_password(user, &password, admin).await,
        UsersCommand::SetTier { user, tier, confirm } => {
            limit(user, Limits::Tier(tier), &confirm, admin).await
        }
        UsersCommand::SetLimits { user, limits, confirm } => {
            limits.check()?;
            let (max_age, max_messages) = (limits.max_age_or(None), limits.max_messages_or(None));
            let limits =
                RetentionLimits { max_age, max_messages, max_bytes: limits.max_bytes_or(None) };
            limit(user, Limits::Override(limits), &confirm, admin).await
        }
        UsersCommand::Disable(user) => disable(user, admin).await,
        UsersCommand::Enable(user) => enable(user, admin).await,
        UsersCommand::Delete(args) => delete::run(args, admin).await,
    }
}

async fn create(
    args: UserArgs,
    tier: String,
    password: Option<SecretString>,
    admin: &mut Admin,
) -> Result<(), Error> {
    let request = CreateUserRequest {
        user_id: args.user_id,
        password: password.map(|password| password.expose_secret().to_owned()),
        tier,
    };
    let answer = admin.calls.create_user(request).await;
    let created = answer.map_err(|status| admin.failure(status))?.into_inner();
    print_user(created.user, &args.output)
}

async fn list(
    prefix: &str,
    since: Option<OffsetDateTime>,
    limit: &LimitArgs,
    output: &OutputArgs,
    admin: &mut Admin,
) -> Result<(), Error> {
    let users = limit
        .collect(async |page_size, page_token| {
            let (prefix, since) = (prefix.to_owned(), since.map(clock::timestamp));
            let request = ListUsersRequest { page_size, page_token, prefix, since };
            let answer = admin.calls.list_users(request).await;
            let page = answer.map_err(|status| admin.failure(status))?.into_inner();
            Ok((page.users, page.next_page_token))
        })
        .await?;
    let users: Vec<UserView> = users.into_iter().map(UserView::from).collect();
    let is_whole = prefix.is_empty() && since.is_none();
    let none = if is_whole { "there are no users" } else { "no user matches" };
    output::list(&users, output.output, none)
}

async fn set_password(
    args: UserArgs,
    password: &PasswordArgs,
    admin: &mut Admin,
) -> Result<(), Error> {
    let request = SetPasswordRequest {
        user_id: args.user_id.clone(),
        password: password.read().await?.expose_secret().to_owned(),
    };
    let answer = admin.calls.set_password(request).await;
    let changed = answer.map_err(|status| admin.failure(status))?.into_inner();
    print_ended(&args.user_id, changed.ended, args.output.output)
}

/// Changes what a user may see, once the operator has agreed to what that hides.
async fn limit(
    args: UserArgs,
    limits: Limits,
    confirm: &ConfirmArgs,
    admin: &mut Admin,
) -> Result<(), Error> {
    let tried = match limits.clone() {
        Limits::Tier(name) => TriedLimits::Tier(name),
        Limits::Override(own) => TriedLimits::Override(own),
    };
    let request = PreviewUserLimitsRequest { user_id: args.user_id.clone(), limits: Some(tried) };
    let answer = admin.calls.preview_user_limits(request).await;
    let effect = answer.map_err(|status| admin.failure(status))?.into_inner();
    confirm_hiding(effect.entries_hidden, &args.user_id, confirm)?;
    let request = SetUserLimitsRequest { user_id: args.user_id, limits: Some(limits) };
    let answer = admin.calls.set_user_limits(request).await;
    let limited = answer.map_err(|status| admin.failure(status))?.into_inner();
    print_user(limited.user, &args.output)
}

async fn disable(args: UserArgs, admin: &mut Admin) -> Result<(), Error> {
    let request = DisableUserRequest { user_id: args.user_id.clone(), note: admin.reason.clone() };
    let answer = admin.calls.disable_user(request).await;
    let disabled = answer.map_err(|status| admin.failure(status))?.into_inner();
    print_ended(&args.user_id, disabled.ended, args.output.output)
}

async fn enable(args: UserArgs, admin: &mut Admin) -> Result<(), Error> {
    let request = EnableUserRequest { user_id: args.user_id };
    let answer = admin.calls.enable_user(request).await;
    let enabled = answer.map_err(|status| admin.failure(status))?.into_inner();
    print_user(enabled.user, &args.output)
}

fn print_user(user: Option<User>, output: &OutputArgs) -> Result<(), Error> {
    output::one(&UserView::from(user.unwrap_or_default()), output.output)
}

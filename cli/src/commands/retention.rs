//! `imctl retention`

mod file;
mod limits;
mod purge;
mod view;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use imd_proto::v1::{
    ApplyTiersRequest, DeleteTierRequest, Expect, ListTiersRequest, PreviewTiersRequest, Tier,
    TierEffect,
};

pub(super) use self::limits::LimitsArgs;
use self::view::{EffectView, TierView};
pub(super) use self::view::{age, count};
use crate::{
    client::Admin,
    confirm::ConfirmArgs,
    error::Error,
    output::{self, OutputArgs},
};

/// `imctl retention …`
#[derive(Debug, Subcommand)]
pub(crate) enum RetentionCommand {
    /// List the tiers
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show one tier
    Get(GetArgs),
    /// Make a tier; without limits its users see everything
    #[command(after_help = "\
Examples:
  imctl retention create free --days 7 --messages 10000
  imctl retention create archive")]
    Create(CreateArgs),
    /// Change a tier; holds from the next read on; asks before it hides history
    #[command(after_help = "\
A limit that is not given stays as it is.

Examples:
  imctl retention set free --days 7 --messages 10000
  imctl retention set premium --days 365
  imctl retention set premium --days none --yes
  imctl retention set free --bytes 100000000")]
    Set(SetArgs),
    /// Delete a tier that no user has
    #[command(after_help = "\
imd makes the tiers of its settings again when it starts: take a tier out of imd.toml, too.

Example:
  imctl retention delete trial")]
    Delete(GetArgs),
    /// Change the tiers of a file, all or none; asks before that hides history
    #[command(after_help = FILE_HELP)]
    Apply(ApplyArgs),
    /// Say what a set or an apply would hide, and change nothing
    #[command(after_help = "\
Examples:
  imctl retention preview free --days 3
  imctl retention preview -f tiers.toml")]
    Preview(PreviewArgs),
    /// Delete now what has been hidden for longer than the setting `retention.purge_after`; imd does so
    /// by itself every hour
    Purge {
        #[command(flatten)]
        output: OutputArgs,
    },
}

const FILE_HELP: &str = "\
The file is TOML, one table a tier, as in imd.toml; a limit that is not there does not hold:
  [tiers.free]
  days = 7
  messages = 10000

  [tiers.premium]
  days = 365

Tiers that are not in the file stay as they are. One that does not exist is an error, so that a
misspelt name makes nothing; --create makes it.";

/// Arguments of `imctl retention get`.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// The tier
    #[arg(value_name = "TIER")]
    tier: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `imctl retention create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The new tier: a letter, then up to 31 of a-z 0-9 _ -
    #[arg(value_name = "TIER")]
    tier: String,
    #[command(flatten)]
    limits: LimitsArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `imctl retention set`.
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// The tier
    #[arg(value_name = "TIER")]
    tier: String,
    #[command(flatten)]
    limits: LimitsArgs,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `imctl retention apply`.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The file of tiers; - for stdin
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Make the tiers of the file that do not exist
    #[arg(long)]
    create: bool,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `imctl retention preview`.
#[derive(Debug, Args)]
pub(crate) struct PreviewArgs {
    /// The tier
    #[arg(value_name = "TIER", required_unless_present = "file", conflicts_with = "file")]
    tier: Option<String>,
    #[command(flatten)]
    limits: LimitsArgs,
    /// A file of tiers, as apply takes it; - for stdin
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["days", "messages", "bytes"])]
    file: Option<PathBuf>,
    /// As apply with this option
    #[arg(long, requires = "file")]
    create: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs one of the commands.
pub(crate) async fn run(command: RetentionCommand, admin: &mut Admin) -> Result<(), Error> {
    match command {
        RetentionCommand::List { output } => list(&output, admin).await,
        RetentionCommand::Get(args) => get(&args, admin).await,
        RetentionCommand::Create(args) => create(args, admin).await,
        RetentionCommand::Set(args) => set(args, admin).await,
        RetentionCommand::Delete(args) => delete(args, admin).await,
        RetentionCommand::Apply(args) => apply(args, admin).await,
        RetentionCommand::Preview(args) => preview(args, admin).await,
        RetentionCommand::Purge { output } => purge::run(&output, admin).await,
    }
}

async fn list(output: &OutputArgs, admin: &mut Admin) -> Result<(), Error> {
    print_tiers(tiers(admin).await?, output)
}

async fn get(args: &GetArgs, admin: &mut Admin) -> Result<(), Error> {
    let known = tiers(admin).await?;
    let Some(tier) = known.iter().find(|tier| tier.name == args.tier) else {
        let names: Vec<&str> = known.iter().map(|tier| tier.name.as_str()).collect();
        let (name, names) = (&args.tier, names.join(", "));
        return Err(Error::NothingMatched(format!("there is no tier {name}; there are {names}")));
    };
    output::one(&TierView::from(tier.clone()), args.output.output)
}

async fn create(args: CreateArgs, admin: &mut Admin) -> Result<(), Error> {
    let tier = Tier {
        name: args.tier.clone(),
        max_age: args.limits.max_age_or(None),
        max_messages: args.limits.max_messages_or(None),
        max_bytes: args.limits.max_bytes_or(None),
        users: 0,
    };
    let after = apply_tiers(vec![tier], Expect::New, admin).await?;
    print_tier(&args.tier, after, &args.output)
}

async fn set(args: SetArgs, admin: &mut Admin) -> Result<(), Error> {
    let tier = changed(&args.tier, &args.limits, admin).await?;
    let after = apply_confirmed(vec![tier], Expect::Existing, &args.confirm, admin).await?;
    print_tier(&args.tier, after, &args.output)
}

async fn delete(args: GetArgs, admin: &mut Admin) -> Result<(), Error> {
    let answer = admin.calls.delete_tier(DeleteTierRequest { name: args.tier }).await;
    let left = answer.map_err(|status| admin.failure(status))?.into_inner().tiers;
    print_tiers(left, &args.output)
}

async fn apply(args: ApplyArgs, admin: &mut Admin) -> Result<(), Error> {
    let tiers = file::read(&args.file)?;
    let after = apply_confirmed(tiers, of_file(args.create), &args.confirm, admin).await?;
    print_tiers(after, &args.output)
}

async fn preview(args: PreviewArgs, admin: &mut Admin) -> Result<(), Error> {
    let tiers = match (&args.file, &args.tier) {
        (Some(file), _) => file::read(file)?,
        (None, tier) => {
            vec![changed(tier.as_deref().unwrap_or_default(), &args.limits, admin).await?]
        }
    };
    let effects = effects(tiers, of_file(args.create), admin).await?;
    let effects: Vec<EffectView> = effects.into_iter().map(EffectView::from).collect();
    output::list(&effects, args.output.output, "")
}

/// Whether tiers must exist already.
fn of_file(create: bool) -> Expect {
    if create { Expect::Unspecified } else { Expect::Existing }
}

/// Changes the tiers, once the operator has agreed to what that hides.
async fn apply_confirmed(
    tiers: Vec<Tier>,
    expect: Expect,
    confirm: &ConfirmArgs,
    admin: &mut Admin,
) -> Result<Vec<Tier>, Error> {
    let effects = effects(tiers.clone(), expect, admin).await?;
    let hidden = effects.iter().map(|effect| effect.entries_hidden).sum();
    let losing = effects.iter().map(|effect| effect.users_losing).sum();
    confirm_hiding(hidden, &count(losing, "user", "users"), confirm)?;
    apply_tiers(tiers, expect, admin).await
}

/// Asks the operator before something hides entries of `whom`.
pub(super) fn confirm_hiding(entries: i64, whom: &str, confirm: &ConfirmArgs) -> Result<(), Error> {
    if entries == 0 {
        return Ok(());
    }
    confirm.confirm(&format!("this hides {} of {whom}", count(entries, "entry", "entries")))
}

async fn apply_tiers(
    tiers: Vec<Tier>,
    expect: Expect,
    admin: &mut Admin,
) -> Result<Vec<Tier>, Error> {
    let request = ApplyTiersRequest { tiers, expect: expect.into() };
    let answer = admin.calls.apply_tiers(request).await;
    Ok(answer.map_err(|status| admin.failure(status))?.into_inner().tiers)
}

/// The tier with the limits that were given in the place of those it has. That it exists is for the
/// server to check.
async fn changed(name: &str, limits: &LimitsArgs, admin: &mut Admin) -> Result<Tier, Error> {
    limits.check()?;
    let found = tiers(admin).await?.into_iter().find(|tier| tier.name == name).unwrap_or_default();
    Ok(Tier {
        name: name.to_owned(),
        max_age: limits.max_age_or(found.max_age),
        max_messages: limits.max_messages_or(found.max_messages),
        max_bytes: limits.max_bytes_or(found.max_bytes),
        users: 0,
    })
}

async fn tiers(admin: &mut Admin) -> Result<Vec<Tier>, Error> {
    let answer = admin.calls.list_tiers(ListTiersRequest {}).await;
    Ok(answer.map_err(|status| admin.failure(status))?.into_inner().tiers)
}

async fn effects(
    tiers: Vec<Tier>,
    expect: Expect,
    admin: &mut Admin,
) -> Result<Vec<TierEffect>, Error> {
    let request = PreviewTiersRequest { tiers, expect: expect.into() };
    let answer = admin.calls.preview_tiers(request).await;
    Ok(answer.map_err(|status| admin.failure(status))?.into_inner().effects)
}

fn print_tier(name: &str, all: Vec<Tier>, output: &OutputArgs) -> Result<(), Error> {
    let tier = all.into_iter().find(|tier| tier.name == name).unwrap_or_default();
    output::one(&TierView::from(tier), output.output)
}

fn print_tiers(tiers: Vec<Tier>, output: &OutputArgs) -> Result<(), Error> {
    let tiers: Vec<TierView> = tiers.into_iter().map(TierView::from).collect();
    output::list(&tiers, output.output, "there are no tiers")
}

//! `imctl retention`

mod file;
mod limits;
mod purge;
mod view;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use imd_proto::v1::{ApplyTiersRequest, ListTiersRequest, PreviewTiersRequest, Tier, TierEffect};

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
    /// Make or change a tier; holds from the next read on; asks when it hides history
    #[command(after_help = "\
Examples:
  imctl retention set free --days 7 --messages 10000
  imctl retention set premium --days 365
  imctl retention set premium --days none --yes")]
    Set(SetArgs),
    /// Make or change the tiers of a file, all or none; asks when that hides history
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

Tiers that are not in the file stay as they are.";

/// Arguments of `imctl retention get`.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// The tier
    #[arg(value_name = "TIER")]
    tier: String,
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
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["days", "messages"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs one of the commands.
pub(crate) async fn run(command: RetentionCommand, admin: &mut Admin) -> Result<(), Error> {
    match command {
        RetentionCommand::List { output } => list(&output, admin).await,
        RetentionCommand::Get(args) => get(&args, admin).await,
        RetentionCommand::Set(args) => set(args, admin).await,
        RetentionCommand::Apply(args) => apply(args, admin).await,
        RetentionCommand::Preview(args) => preview(args, admin).await,
        RetentionCommand::Purge { output } => purge::run(&output, admin).await,
    }
}

async fn list(output: &OutputArgs, admin: &mut Admin) -> Result<(), Error> {
    print_tiers(tiers(admin).await?, output)
}

async fn get(args: &GetArgs, admin: &mut Admin) -> Result<(), Error> {
    let found = find(&args.tier, admin).await?;
    let tier =
        found.ok_or_else(|| Error::NothingMatched(format!("there is no tier {}", args.tier)))?;
    output::one(&TierView::from(tier), args.output.output)
}

async fn set(args: SetArgs, admin: &mut Admin) -> Result<(), Error> {
    let tier = changed(&args.tier, &args.limits, admin).await?;
    let after = apply_confirmed(vec![tier], &args.confirm, admin).await?;
    let tier = after.into_iter().find(|tier| tier.name == args.tier).unwrap_or_default();
    output::one(&TierView::from(tier), args.output.output)
}

async fn apply(args: ApplyArgs, admin: &mut Admin) -> Result<(), Error> {
    let tiers = file::read(&args.file)?;
    let after = apply_confirmed(tiers, &args.confirm, admin).await?;
    print_tiers(after, &args.output)
}

async fn preview(args: PreviewArgs, admin: &mut Admin) -> Result<(), Error> {
    let tiers = match (&args.file, &args.tier) {
        (Some(file), _) => file::read(file)?,
        (None, tier) => {
            vec![changed(tier.as_deref().unwrap_or_default(), &args.limits, admin).await?]
        }
    };
    let effects: Vec<EffectView> =
        effects(tiers, admin).await?.into_iter().map(EffectView::from).collect();
    output::list(&effects, args.output.output, "")
}

/// Changes the tiers, once the operator has agreed to what that hides.
async fn apply_confirmed(
    tiers: Vec<Tier>,
    confirm: &ConfirmArgs,
    admin: &mut Admin,
) -> Result<Vec<Tier>, Error> {
    let effects = effects(tiers.clone(), admin).await?;
    let hidden: i64 = effects.iter().map(|effect| effect.entries_hidden).sum();
    let losing: i64 = effects.iter().map(|effect| effect.users_losing).sum();
    if hidden > 0 {
        confirm.confirm(&format!(
            "this hides {} of {}",
            count(hidden, "entry", "entries"),
            count(losing, "user", "users")
        ))?;
    }
    let answer = admin.calls.apply_tiers(ApplyTiersRequest { tiers }).await;
    Ok(answer.map_err(|status| admin.failure(status))?.into_inner().tiers)
}

/// The tier with the limits that were given in the place of those it has.
async fn changed(name: &str, limits: &LimitsArgs, admin: &mut Admin) -> Result<Tier, Error> {
    limits.check()?;
    let found = find(name, admin).await?.unwrap_or_default();
    Ok(Tier {
        name: name.to_owned(),
        max_age: limits.max_age_or(found.max_age),
        max_messages: limits.max_messages_or(found.max_messages),
        users: 0,
    })
}

async fn find(name: &str, admin: &mut Admin) -> Result<Option<Tier>, Error> {
    Ok(tiers(admin).await?.into_iter().find(|tier| tier.name == name))
}

async fn tiers(admin: &mut Admin) -> Result<Vec<Tier>, Error> {
    let answer = admin.calls.list_tiers(ListTiersRequest {}).await;
    Ok(answer.map_err(|status| admin.failure(status))?.into_inner().tiers)
}

async fn effects(tiers: Vec<Tier>, admin: &mut Admin) -> Result<Vec<TierEffect>, Error> {
    let answer = admin.calls.preview_tiers(PreviewTiersRequest { tiers }).await;
    Ok(answer.map_err(|status| admin.failure(status))?.into_inner().effects)
}

fn print_tiers(tiers: Vec<Tier>, output: &OutputArgs) -> Result<(), Error> {
    let tiers: Vec<TierView> = tiers.into_iter().map(TierView::from).collect();
    output::list(&tiers, output.output, "there are no tiers")
}

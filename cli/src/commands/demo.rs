//! `imctl demo`: the life of two accounts on several terminals, played and checked against a running
//! server.

pub(super) mod public;
mod stage;
mod story;
mod terminal;

use clap::Args;
use imd_proto::v1::{CreateUserRequest, DisableUserRequest};
use uuid::Uuid;

use self::{
    public::{PublicServer, PublicServerArgs},
    stage::Stage,
    story::{Person, Story},
};
use crate::{
    args::Connection,
    client::{Admin, display},
    error::Error,
    output,
    profile::Profile,
};

/// Arguments of `imctl demo`.
#[derive(Debug, Args)]
#[command(after_help = "\
Two users are created for it, demo-alice-… and demo-bob-…, and disabled at the end. Each step prints
what it saw; when one does not see what it should, the demo stops with exit code 1. --timeout bounds
each wait.

Examples:
  imctl demo
  imctl demo --server http://10.0.0.5:8081 --public-server http://10.0.0.5:8080")]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    public: PublicServerArgs,
    /// Leave the users as they are at the end of the story
    #[arg(long)]
    keep: bool,
}

/// Plays the demo.
pub(crate) async fn run(args: DemoArgs, connection: &Connection) -> Result<(), Error> {
    let profile = Profile::load(connection)?;
    let admin = &mut Admin::connect(connection, &profile).await?;
    let public =
        PublicServer::find(&args.public, &profile, connection.timeout, admin.trust.clone())?;
    let version = public.check().await?;
    let mut stage = Stage::default();
    stage::title("One account, every terminal, all of its history")?;
    stage::aside(&format!("imd {version} at {}", display(&public.url)))?;

    let tag = Uuid::new_v4().simple().to_string();
    let [alice, bob] = ["alice", "bob"].map(|name| Person {
        user_id: format!("demo-{name}-{}", &tag[..8]),
        password: Uuid::new_v4().to_string(),
    });
    create(&alice, admin).await?;
    let played = match create(&bob, admin).await {
        Ok(()) => {
            let story = Story::new(&mut stage, &public, admin, [&alice, &bob]);
            tokio::select! {
                played = story.play(args.keep) => played,
                _ = tokio::signal::ctrl_c() => Err(Error::Demo("interrupted".to_owned())),
            }
        }
        failed => failed,
    };
    match played {
        Ok(()) => stage.summary(),
        Err(why) => {
            if !args.keep {
                disable(&[&alice, &bob], admin).await;
            }
            stage::failed(&why)?;
            Err(Error::Demo("the demo failed".to_owned()))
        }
    }
}

async fn create(person: &Person, admin: &mut Admin) -> Result<(), Error> {
    let request = CreateUserRequest {
        user_id: person.user_id.clone(),
        password: Some(person.password.clone()),
        tier: String::new(),
    };
    let created = admin.calls.create_user(request).await;
    created.map_err(|status| admin.failure(status)).map(drop)
}

/// Tidies up after a failure; a further one is only noted.
async fn disable(people: &[&Person], admin: &mut Admin) {
    for Person { user_id, .. } in people {
        let request =
            DisableUserRequest { user_id: user_id.clone(), note: story::CURTAIN.to_owned() };
        if let Err(status) = admin.calls.disable_user(request).await {
            let error = admin.failure(status);
            output::note(&format!("{user_id} could not be disabled: {error}"));
        }
    }
}

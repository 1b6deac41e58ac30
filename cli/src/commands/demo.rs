//! `imctl demo`: the life of two accounts on several terminals, played and checked against a running
//! server.

pub(super) mod public;
mod stage;
mod story;
mod terminal;

use clap::Args;
use imd_proto::v1::CreateUserRequest;
use uuid::Uuid;

use self::{
    public::{PublicServer, PublicServerArgs},
    stage::Stage,
    story::{Person, Story},
};
use crate::{
    args::Connection,
    client::{Admin, display},
    commands::users::delete_user,
    error::Error,
    interrupt::unless_interrupted,
    output,
    profile::Profile,
};

/// Arguments of `imctl demo`.
#[derive(Debug, Args)]
#[command(after_help = "\
Three users are created for it, demo-alice-…, demo-bob-… and demo-carol-…, and deleted at the end, also when
it fails or is interrupted. Each step prints what it saw; when one does not see what it should, the demo stops with exit
code 1. --timeout bounds each wait. The terminals are a phone, a PC and a pad, or other types where the
server's rules do not allow these beside each other.

Examples:
  imctl demo
  imctl demo --server http://10.0.0.5:8081 --public-server http://10.0.0.5:8080")]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    public: PublicServerArgs,
    /// Keep the users
    #[arg(long)]
    keep: bool,
}

/// Plays the demo.
pub(crate) async fn run(args: DemoArgs, connection: &Connection) -> Result<(), Error> {
    let profile = Profile::load(connection)?;
    let admin = &mut Admin::connect(connection, &profile).await?;
    let public =
        PublicServer::find(&args.public, &profile, connection.timeout, admin.trust.clone())?;
    let (version, cast) = public.check().await?;
    let mut stage = Stage::default();
    stage::title("One account, every terminal, all of its history")?;
    stage::aside(&format!("imd {version} at {}", display(&public.url)))?;

    let tag = Uuid::new_v4().simple().to_string();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| Person {
        name,
        user_id: format!("demo-{name}-{}", &tag[..8]),
        password: Uuid::new_v4().to_string(),
    });
    let played = unless_interrupted(async {
        for person in [&alice, &bob, &carol] {
            create(person, admin).await?;
        }
        let people = [&alice, &bob, &carol];
        let story = Story::new(&mut stage, &public, admin, people, &cast);
        Box::pin(story.play(args.keep)).await
    })
    .await;
    match played {
        Ok(()) => stage.summary(),
        Err(why) => {
            if !args.keep {
                delete(&[&alice, &bob, &carol], admin).await;
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

/// Tidies up after a failure; a further one is only noted. What was not made, or is deleted, is no failure.
async fn delete(people: &[&Person], admin: &mut Admin) {
    for Person { user_id, .. } in people {
        if let Err(error) = delete_user(user_id, story::CURTAIN, admin).await
            && !error.is("user_not_found")
        {
            output::note(&format!("{user_id} could not be deleted: {error}"));
        }
    }
}

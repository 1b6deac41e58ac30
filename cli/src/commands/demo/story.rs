//! The story of the demo, act by act.

mod group;
mod roaming;
mod talk;

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use imd_proto::v1::{KickSessionsRequest, Session, SessionEnd, kick_sessions_request::Which};
use tokio::try_join;

use self::talk::Said;
use super::{
    public::{Cast, PublicServer},
    stage::{self, Stage},
    terminal::{FLOOR, NOW, Terminal},
};
use crate::{
    client::Admin,
    commands::{sessions::reason_name, users::delete_user},
    error::Error,
};

/// The note of the sessions that end with the demo.
pub(super) const CURTAIN: &str = "the demo is over";

/// One of the three users.
pub(super) struct Person {
    pub(super) name: &'static str,
    pub(super) user_id: String,
    pub(super) password: String,
}

/// The demo between its users' creation and its last line.
pub(super) struct Story<'a> {
    stage: &'a mut Stage,
    public: &'a PublicServer,
    admin: &'a mut Admin,
    alice: &'a Person,
    bob: &'a Person,
    /// Of the group alone.
    carol: &'a Person,
    cast: &'a Cast,
    /// Every message so far, the oldest first.
    said: Vec<Said>,
}

/// The terminals that the story begins with.
struct Terminals {
    alice_phone: Terminal,
    alice_pc: Terminal,
    bob_phone: Terminal,
    bob_pc: Terminal,
}

impl Terminals {
    const ALICE_PHONE: usize = 0;
    const ALICE_PC: usize = 1;
    const BOB_PHONE: usize = 2;
    const BOB_PC: usize = 3;

    fn all(&mut self) -> [&mut Terminal; 4] {
        [&mut self.alice_phone, &mut self.alice_pc, &mut self.bob_phone, &mut self.bob_pc]
    }
}

impl<'a> Story<'a> {
    pub(super) fn new(
        stage: &'a mut Stage,
        public: &'a PublicServer,
        admin: &'a mut Admin,
        [alice, bob, carol]: [&'a Person; 3],
        cast: &'a Cast,
    ) -> Self {
        Self { stage, public, admin, alice, bob, carol, cast, said: Vec::new() }
    }

    /// Plays it to the end; stops at the first check that does not hold. With `keep` the users are left
    /// as they are.
    pub(super) async fn play(mut self, keep: bool) -> Result<(), Error> {
        let mut on = self.everyone_logs_in().await?;
        self.a_message(&mut on).await?;
        self.an_answer(&mut on).await?;
        self.a_conversation(&mut on).await?;
        self.a_second_phone(&mut on).await?;
        let mut pad = self.a_new_pad().await?;
        let carol = self.a_group(&mut on, &mut pad).await?;
        self.a_kick(&mut on, &mut pad).await?;
        if keep {
            let [alice, bob, carol] = self.people().map(|person| &person.user_id);
            return stage::aside(&format!(
                "{alice}, {bob} and {carol} are kept;\n   imctl users set-password gives them a password"
            ));
        }
        self.the_end([on.alice_phone, on.alice_pc, pad, on.bob_phone, carol]).await
    }

    fn people(&self) -> [&'a Person; 3] {
        [self.alice, self.bob, self.carol]
    }

    async fn everyone_logs_in(&mut self) -> Result<Terminals, Error> {
        let Cast { phone, pc, .. } = self.cast;
        self.stage.act(&format!("Alice and Bob, each on a {phone} and a {pc}"))?;
        let (alice, bob) = (&self.alice.user_id, &self.bob.user_id);
        self.stage.saw("two new users", &format!("{alice}, {bob}"))?;
        let started = Instant::now();
        let login = async |person: &Person, terminal_type: &str| {
            let name = &format!("{}'s {terminal_type}", person.name);
            let (terminal, replaced) =
                Terminal::login(self.public, person, terminal_type, name, FLOOR).await?;
            if replaced.is_empty() {
                return Ok(terminal);
            }
            Err(terminal.fault("its login ended another terminal's session"))
        };
        let (alice_phone, alice_pc, bob_phone, bob_pc) = try_join!(
            login(self.alice, phone),
            login(self.alice, pc),
            login(self.bob, phone),
            login(self.bob, pc),
        )?;
        self.stage.saw_after(
            started.elapsed(),
            "all four are logged in and online",
            "each follows its timeline",
        )?;
        Ok(Terminals { alice_phone, alice_pc, bob_phone, bob_pc })
    }

    async fn a_second_phone(&mut self, on: &mut Terminals) -> Result<(), Error> {
        let Cast { phone, .. } = self.cast;
        self.stage.act(&format!("Alice logs in on a second {phone}"))?;
        let name = &format!("alice's new {phone}");
        let started = Instant::now();
        let (new_phone, replaced) =
            Terminal::login(self.public, self.alice, phone, name, NOW).await?;
        let mut old_phone = std::mem::replace(&mut on.alice_phone, new_phone);
        only_this_one(&old_phone, &replaced)?;
        let end = old_phone.own_end().await?;
        let told_after = started.elapsed();
        let reason = reason_name(&end);
        if reason != "REPLACED" || end.by_terminal_type != *phone || end.by_device_name != *name {
            return Err(old_phone.fault(&format!("was told the wrong end: {end:?}")));
        }
        self.told(&old_phone, told_after, &end)?;
        old_phone.must_be_refused(&reason).await?;
        self.stage.saw("its tokens are refused, for that reason", "access and refresh token")?;
        on.alice_pc.end_of(&old_phone.session).await?;
        let stays = format!("{} stays, and finds it in its timeline", on.alice_pc.name);
        self.stage.saw(&stays, "")
    }

    async fn a_kick(&mut self, on: &mut Terminals, pad: &mut Terminal) -> Result<(), Error> {
        self.stage.act(&format!("An administrator ends the session of {}", on.bob_pc.name))?;
        let note = "this is a demonstration";
        let started = Instant::now();
        let request = KickSessionsRequest {
            user_id: self.bob.user_id.clone(),
            note: note.to_owned(),
            which: Some(Which::SessionId(on.bob_pc.session.session_id.clone())),
        };
        let answer = self.admin.calls.kick_sessions(request).await;
        let answer = answer.map_err(|status| self.admin.failure(status))?;
        only_this_one(&on.bob_pc, &answer.into_inner().ended)?;
        on.bob_pc.must_be_refused("KICKED").await?;
        self.stage.saw("its tokens are refused from that moment", "access and refresh token")?;
        let end = on.bob_pc.own_end().await?;
        if reason_name(&end) != "KICKED" || end.note != note {
            return Err(on.bob_pc.fault(&format!("was told the wrong end: {end:?}")));
        }
        self.told(&on.bob_pc, started.elapsed(), &end)?;
        on.bob_phone.end_of(&on.bob_pc.session).await?;
        let stays = format!("{} stays, and finds it in its timeline", on.bob_phone.name);
        self.stage.saw(&stays, "")?;
        let [alice_phone, alice_pc, bob_phone, _] = on.all();
        let left = &mut [alice_phone, alice_pc, pad, bob_phone];
        let said = talk::say("Bob, are you still there?", Terminals::ALICE_PHONE, left).await?;
        self.everywhere(&said, "the four that are left still talk")
    }

    async fn the_end(&mut self, mut left: [Terminal; 5]) -> Result<(), Error> {
        self.stage.act("The users are deleted")?;
        let mut ended = 0;
        for person in self.people() {
            ended += delete_user(&person.user_id, CURTAIN, self.admin).await?;
        }
        if ended != left.len() {
            let wanted = left.len();
            return Err(Error::Demo(format!(
                "{ended} sessions ended with their users, not {wanted}"
            )));
        }
        let ends = try_join_all(left.iter_mut().map(Terminal::own_end)).await?;
        for (terminal, end) in left.iter().zip(&ends) {
            if reason_name(end) != "USER_DELETED" || end.note != CURTAIN {
                return Err(terminal.fault(&format!("was told the wrong end: {end:?}")));
            }
        }
        self.stage.saw("the last five terminals were told", &format!("\"{CURTAIN}\""))
    }

    /// A terminal was told that its session ended, why, by whom and when.
    fn told(
        &mut self,
        terminal: &Terminal,
        after: Duration,
        end: &SessionEnd,
    ) -> Result<(), Error> {
        let at = crate::clock::time(end.ended_at)
            .ok_or_else(|| terminal.fault("was not told when its session ended"))?;
        let by = match (end.by_device_name.as_str(), end.note.as_str()) {
            ("", note) => format!("\"{note}\""),
            (device, _) => format!("by {device}"),
        };
        let (hour, minute, second) = at.to_hms();
        let aside = format!("{} {by}, {hour:02}:{minute:02}:{second:02} UTC", reason_name(end));
        self.stage.saw_after(after, &format!("{} is told", terminal.name), &aside)
    }
}

/// Exactly the session of this terminal must have ended.
fn only_this_one(terminal: &Terminal, ended: &[Session]) -> Result<(), Error> {
    match ended {
        [one] if one.session_id == terminal.session.session_id => Ok(()),
        _ => Err(terminal.fault(&format!("its session alone should have ended, not {ended:?}"))),
    }
}

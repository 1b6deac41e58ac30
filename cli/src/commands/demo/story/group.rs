//! The act of the group.

use std::time::Instant;

use futures::future::try_join_all;
use imd_proto::v1::{
    CreateGroupRequest, ListReadersRequest, MarkReadRequest, MemberChange,
    RemoveGroupMemberRequest, SendRequest, send_request::To,
};
use tonic_types::StatusExt as _;

use super::{
    Story, Terminals,
    talk::{self, Said},
};
use crate::{
    commands::demo::{
        public::Cast,
        terminal::{FLOOR, Terminal},
    },
    error::Error,
};

/// The place of Carol's terminal, behind those of [`Terminals::all`] and the pad.
const CAROL: usize = 5;

impl Story<'_> {
    /// Alice makes a group with Bob and Carol, they talk, and Carol is removed. Returns her terminal.
    pub(super) async fn a_group(
        &mut self,
        on: &mut Terminals,
        pad: &mut Terminal,
    ) -> Result<Terminal, Error> {
        let Cast { phone, .. } = self.cast;
        self.stage.act("Alice makes a group with Bob and Carol")?;
        let name = format!("carol's {phone}");
        let (mut carol, _) = Terminal::login(self.public, self.carol, phone, &name, FLOOR).await?;
        self.stage.saw(&format!("{name} is logged in"), &self.carol.user_id)?;
        let group_id = self.the_group_is_made(on, pad, &mut carol).await?;

        let [alice_phone, alice_pc, bob_phone, bob_pc] = on.all();
        let all = &mut [alice_phone, alice_pc, bob_phone, bob_pc, pad, &mut carol];
        let question = "Is anybody hungry?";
        let said =
            talk::say_in_group(&group_id, question, &[], Terminals::ALICE_PHONE, all).await?;
        self.everywhere(&said, "all six terminals have it")?;
        let alice_id = self.alice.user_id.clone();
        let answer = "@alice Always.";
        let said =
            talk::say_in_group(&group_id, answer, &[&alice_id], Terminals::BOB_PC, all).await?;
        self.everywhere(&said, "and so it is with one that mentions alice")?;
        self.who_has_read(&said, &group_id, all).await?;

        self.carol_is_removed(&group_id, all).await?;
        let [rest @ .., _] = all;
        let said =
            talk::say_in_group(&group_id, "More cake for us.", &[], Terminals::BOB_PHONE, rest)
                .await?;
        self.everywhere(&said, "the five that are left have what comes")?;
        if carol.entries_behind().await? > 0 {
            return Err(carol.fault("gets what is said after its user was removed"));
        }
        self.stage.saw("and carol does not", "")?;
        Ok(carol)
    }

    async fn the_group_is_made(
        &mut self,
        on: &mut Terminals,
        pad: &mut Terminal,
        carol: &mut Terminal,
    ) -> Result<String, Error> {
        let members = [&self.alice.user_id, &self.bob.user_id, &self.carol.user_id];
        let started = Instant::now();
        let request = CreateGroupRequest {
            name: "Dinner".to_owned(),
            member_ids: members[1..].iter().map(|user_id| (*user_id).clone()).collect(),
            ..CreateGroupRequest::default()
        };
        let made = on.alice_phone.groups.create_group(request).await;
        let made = made.map_err(|status| self.public.failure(status))?.into_inner();
        let group = made.group.unwrap_or_default();
        let [alice_phone, alice_pc, bob_phone, bob_pc] = on.all();
        let all = [alice_phone, alice_pc, bob_phone, bob_pc, pad, carol];
        let told = all.into_iter().map(async |terminal| {
            let joined = terminal.change_of_members(MemberChange::Joined).await?;
            let right = joined.group_id == group.group_id
                && members.iter().all(|member| joined.user_ids.contains(member));
            if right { Ok(()) } else { Err(terminal.fault(&format!("was told {joined:?}"))) }
        });
        try_join_all(told).await?;
        self.stage.saw_after(started.elapsed(), "all six terminals are told", "\"Dinner\"")?;
        Ok(group.group_id)
    }

    /// Carol marks a message of Bob's as read, and he asks who has.
    async fn who_has_read(
        &mut self,
        said: &Said,
        group_id: &str,
        all: &mut [&mut Terminal; 6],
    ) -> Result<(), Error> {
        let failure = |status| self.public.failure(status);
        let mark =
            MarkReadRequest { conversation_id: format!("group:{group_id}"), seq: said.seqs[CAROL] };
        all[CAROL].calls.mark_read(mark).await.map_err(failure)?;
        let bob = &mut *all[Terminals::BOB_PHONE];
        let request =
            ListReadersRequest { message_id: said.message_id.clone(), ..Default::default() };
        let readers = bob.groups.list_readers(request).await.map_err(failure)?.into_inner();
        if readers.user_ids != [self.carol.user_id.clone()] || readers.unread_count != 1 {
            return Err(bob.fault(&format!("hears of the wrong readers: {readers:?}")));
        }
        self.stage.saw("bob can see who has read it", "carol has, alice has not yet")
    }

    async fn carol_is_removed(
        &mut self,
        group_id: &str,
        all: &mut [&mut Terminal; 6],
    ) -> Result<(), Error> {
        let started = Instant::now();
        let request = RemoveGroupMemberRequest {
            group_id: group_id.to_owned(),
            user_id: self.carol.user_id.clone(),
        };
        let removed = all[Terminals::ALICE_PC].groups.remove_group_member(request).await;
        removed.map_err(|status| self.public.failure(status))?;
        let carol = &mut *all[CAROL];
        carol.change_of_members(MemberChange::Removed).await?;
        self.stage.saw_after(started.elapsed(), &format!("{} is told", carol.name), "REMOVED")?;
        let request = SendRequest {
            to: Some(To::GroupId(group_id.to_owned())),
            ..talk::new_message("Wait for me!")
        };
        let refused = carol.calls.send(request).await.err();
        let reason = refused.and_then(|status| status.get_details_error_info());
        let reason = reason.map(|info| info.reason).unwrap_or_default();
        if reason != "not_a_member" {
            return Err(carol.fault(&format!("can still write to the group ({reason:?})")));
        }
        self.stage.saw("she can write to it no more", "not_a_member")
    }
}

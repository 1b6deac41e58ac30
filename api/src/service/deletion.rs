//! Deleting users: the account at once, the rest in small batches. What is begun is finished, if not by
//! the call that began it then by any node.

use std::sync::Arc;

use futures::{Stream, stream};
use serde_json::json;

use super::{AdminCall, SecurityKind, Service, admin::check_note};
use crate::{
    model::{Error, Result, Role, Session, UserId, UserNo},
    store::{self, Erased},
};

/// The most rows in one transaction.
const BATCH: i64 = 500;

/// How far a deletion has come.
#[derive(Debug, Clone, Default)]
pub struct DeletionProgress {
    /// The sessions that the deletion ended.
    pub ended: Vec<Session>,
    /// Entries that are deleted.
    pub entries: i64,
    /// Entries there were when the call began.
    pub entries_total: i64,
    /// Peers whose copies are erased.
    pub peers: i64,
    /// Peers whose copies are to be; known when all entries are deleted.
    pub peers_total: i64,
}

impl Service {
    /// Finishes what others have left half-way.
    pub(super) async fn delete_what_rests(self: Arc<Self>) -> Result<()> {
        while let Some(user_no) = self.store.take_up_deletion().await? {
            let mut deletion = Deletion::of(self.clone(), user_no).await?;
            while deletion.step().await? {}
        }
        Ok(())
    }

    /// Deletes a user, for an administrator; says after each step how far it has come. The account is
    /// gone when this returns: its sessions have ended (`USER_DELETED`), it can neither log in nor be
    /// sent to, and its id is not given out again. The rest goes with what follows, or without it when
    /// that is given up. With `erase_sent` the copies that others have of what the user sent become
    /// tombstones. To be repeated at any time; a user that is deleted stays so.
    ///
    /// Errors: [`Error::UserNotFound`].
    pub async fn delete_user(
        self: Arc<Self>,
        call: AdminCall<'_>,
        user_id: &str,
        erase_sent: bool,
        note: &str,
    ) -> Result<impl Stream<Item = Result<DeletionProgress>> + Send + 'static> {
        let admin = self.admin(call).await?;
        admin.require(Role::Backend)?;
        check_note(note)?;
        let user_no = self.store.user_no(&UserId::parse("user_id", user_id)?).await?;
        let audit = admin.audit("delete_user", json!({ "erase_sent": erase_sent, "note": note }));
        let begun = self.store.begin_deletion(user_no, erase_sent, note, audit).await?;
        let mut deletion = Deletion::of(self.clone(), user_no).await?;
        if let store::Deletion::Begun(ended) = begun {
            deletion.progress.ended = self.announce_end(user_no, *ended);
            self.note_security(admin.security(SecurityKind::UserDeleted).about(user_id));
            admin.note_ended(user_id, &deletion.progress.ended);
        }
        // The account is news, too.
        let steps = stream::try_unfold((deletion, true), |(mut deletion, is_news)| async move {
            let is_news = is_news || deletion.step().await?;
            let progress = deletion.progress.clone();
            deletion.progress.ended.clear();
            Ok::<_, Error>(is_news.then_some((progress, (deletion, false))))
        });
        Ok(steps)
    }
}

/// A user whose account is gone, and what is left of it.
struct Deletion {
    service: Arc<Service>,
    user_no: UserNo,
    stage: Stage,
    progress: DeletionProgress,
}

enum Stage {
    /// The groups that the user was a member of.
    Groups,
    /// Who has the user for a contact.
    Contacts,
    /// What the user reacted with to messages.
    Reactions,
    /// What is the user's own.
    Own,
    /// What others have from the user.
    Sent,
    Done,
}

impl Deletion {
    async fn of(service: Arc<Service>, user_no: UserNo) -> Result<Self> {
        let remains = service.store.remains(user_no).await?;
        let progress =
            DeletionProgress { entries_total: remains.entries, ..DeletionProgress::default() };
        Ok(Self { service, user_no, stage: Stage::Groups, progress })
    }

    /// Deletes the next batch: whether there was one.
    async fn step(&mut self) -> Result<bool> {
        let store = &self.service.store;
        match self.stage {
            Stage::Groups => match store.leave_next_group(self.user_no).await? {
                Some(group_no) => self.service.fan_out([group_no]),
                None => self.stage = Stage::Contacts,
            },
            Stage::Contacts => match store.leave_next_contact(self.user_no).await? {
                Some(told) => self.service.announce(told),
                None => self.stage = Stage::Reactions,
            },
            // While it is known where the copies of the messages are.
            Stage::Reactions => match store.take_back_next_reactions(self.user_no).await? {
                Some(taken) => {
                    self.service.fan_out(taken.group_no);
                    self.service.announce_stored(&taken.told).await;
                }
                None => self.stage = Stage::Own,
            },
            Stage::Own => {
                if let Some(entries) = store.delete_batch(self.user_no, BATCH).await? {
                    self.progress.entries += entries;
                } else {
                    self.progress.peers_total =
                        self.progress.peers + store.remains(self.user_no).await?.peers;
                    self.stage = Stage::Sent;
                }
            }
            Stage::Sent => match store.erase_batch(self.user_no, BATCH).await? {
                Erased::LastOf(peer, entry) => {
                    self.progress.peers += 1;
                    match peer.group() {
                        Some(group_no) => self.service.fan_out([group_no]),
                        None => self.service.announce(entry.map(|entry| (peer, *entry))),
                    }
                }
                Erased::Nothing if store.finish_deletion(self.user_no).await? => {
                    self.stage = Stage::Done;
                }
                // There is more, or the wish to erase came late.
                Erased::Some | Erased::Nothing => {}
            },
            Stage::Done => return Ok(false),
        }
        Ok(true)
    }
}

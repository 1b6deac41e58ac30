//! Exporting the messages of a timeline, page by page, and what became of a group's members.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use futures::{Stream, stream};
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{AdminCall, Service, import::RecordedMember};
use crate::{
    model::{
        Error, Group, GroupId, GroupNo, GroupProfile, GroupRole, MemberChange, Result, Role,
        UserId, UserNo, UserRecord,
    },
    store::ExportedMessage,
};

/// How many messages are read at a time.
const PAGE: i64 = 100;

/// How many members are read at a time.
const MEMBERS_PAGE: i64 = 1000;

/// What an export consists of.
#[derive(Debug)]
pub enum Exported {
    /// The first step: how many messages come at most.
    Begun {
        /// So many.
        messages: i64,
    },
    /// The next message.
    Message(Box<ExportedMessage>),
    /// The last step, where there is more of the user.
    User(Box<UserRecord>),
}

impl Service {
    /// Every message of a user's timeline that still says something, the oldest first: all that is
    /// stored, also what the user's tier hides. From the first one of `since` or later, if that is
    /// given. Then what the user shows of itself, has set and has begun. Read in short transactions.
    ///
    /// Errors: [`Error::UserNotFound`].
    pub async fn export_messages(
        self: Arc<Self>,
        call: AdminCall<'_>,
        user_id: &str,
        since: Option<OffsetDateTime>,
    ) -> Result<impl Stream<Item = Result<Exported>> + Send + 'static> {
        let admin = self.admin(call).await?;
        admin.require(Role::Admin)?;
        let owner = self.store.user_no(&UserId::parse("user_id", user_id)?).await?;
        let shown = since.map(|at| at.format(&Rfc3339).unwrap_or_default());
        let audit = admin.audit("export_messages", json!({ "since": shown }));
        let start = self.store.begin_export(owner, since, audit).await?;
        let begun = Exported::Begun { messages: start.messages };
        let export = Export {
            service: self.clone(),
            owner,
            after: Some(start.after),
            ready: VecDeque::from([begun]),
        };
        Ok(stream::try_unfold(export, |mut export| async move {
            Ok::<_, Error>(export.next().await?.map(|step| (step, export)))
        }))
    }
}

/// What of a group is exported, in the order of times.
#[derive(Debug)]
pub enum ExportedRecord {
    /// The group as it was at first.
    Group {
        /// Which.
        group_id: GroupId,
        /// What is set of it now.
        profile: GroupProfile,
        /// When it was made.
        created_at: OffsetDateTime,
        /// Whom it had at first.
        members: Vec<RecordedMember>,
    },
    /// Somebody came or went.
    MemberChange {
        /// Where.
        group_id: GroupId,
        /// When.
        at: OffsetDateTime,
        /// What became of the user.
        change: MemberChange,
        /// Who, and as what.
        member: RecordedMember,
    },
    /// The group was dissolved.
    Dissolved {
        /// Which.
        group_id: GroupId,
        /// When.
        at: OffsetDateTime,
    },
}

/// Who is in a group, and who came and went.
struct Roster {
    /// The members of now.
    members: HashMap<UserId, RecordedMember>,
    /// In the order of times, as far back as the group's timeline reaches.
    changes: Vec<(OffsetDateTime, MemberChange, UserId)>,
}

impl Roster {
    /// The user as it is now, or was.
    fn recorded(&self, user_id: &UserId) -> RecordedMember {
        self.members.get(user_id).cloned().unwrap_or_else(|| RecordedMember {
            user_id: user_id.to_string(),
            role: GroupRole::Member,
            nickname: String::new(),
            muted_until: None,
        })
    }

    /// Who was in the group before the first of the changes, in the order of ids: who left first of all,
    /// and who is in it and never came.
    fn first_members(&self) -> BTreeSet<UserId> {
        let mut seen = HashSet::new();
        let mut first = BTreeSet::new();
        for (_, change, user_id) in &self.changes {
            if seen.insert(user_id) && *change != MemberChange::Joined {
                first.insert(user_id.clone());
            }
        }
        let never_came = self.members.keys().filter(|user_id| !seen.contains(*user_id));
        first.extend(never_came.cloned());
        first
    }

    /// The records of the group: those who joined as it was made are its first members.
    fn records(self, group: Group) -> Vec<ExportedRecord> {
        let created_at = group.created_at;
        let with_it =
            |at: OffsetDateTime, change| at == created_at && change == MemberChange::Joined;
        let mut first = self.first_members();
        let later = self.changes.iter().position(|(at, change, _)| !with_it(*at, *change));
        let (made_with_it, changes) = self.changes.split_at(later.unwrap_or(self.changes.len()));
        first.extend(made_with_it.iter().map(|(_, _, user_id)| user_id.clone()));
        let group_id = group.group_id;
        let group = ExportedRecord::Group {
            group_id: group_id.clone(),
            profile: group.profile,
            created_at,
            members: first.iter().map(|user_id| self.recorded(user_id)).collect(),
        };
        let change = |(at, change, user_id): &(OffsetDateTime, MemberChange, UserId)| {
            let member = self.recorded(user_id);
            ExportedRecord::MemberChange {
                group_id: group_id.clone(),
                at: *at,
                change: *change,
                member,
            }
        };
        std::iter::once(group).chain(changes.iter().map(change)).collect()
    }
}

impl Service {
    /// What became of a group and its members, for an import: in the order of times.
    ///
    /// Errors: [`Error::NoSuchGroup`]; [`Error::GroupNotFound`] for a dissolved one of which nothing is left.
    pub async fn export_group(
        &self,
        call: AdminCall<'_>,
        group_id: &str,
    ) -> Result<Vec<ExportedRecord>> {
        let admin = self.admin(call).await?;
        admin.require(Role::Admin)?;
        let group_no = admin.group_no(group_id).await?;
        let group = self.store.group(group_no, None).await?;
        let end = if group.dissolved {
            let group_id = group.group_id.clone();
            // Without its end it would come back to life.
            let at = self.store.dissolved_at(group_no).await?;
            let at = at.ok_or_else(|| Error::GroupNotFound(group_id.clone()))?;
            Some(ExportedRecord::Dissolved { group_id, at })
        } else {
            None
        };
        self.store.record(admin.audit("export_group", json!({ "group_id": group_id }))).await?;
        let mut records = self.roster(group_no).await?.records(group);
        records.extend(end);
        Ok(records)
    }

    async fn roster(&self, group_no: GroupNo) -> Result<Roster> {
        let mut members = HashMap::new();
        let mut after = UserNo(0);
        loop {
            let page = self.store.group_members(group_no, after, MEMBERS_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.user_no;
            members.extend(page.into_iter().map(|member| {
                let recorded = RecordedMember {
                    user_id: member.user_id.to_string(),
                    role: member.role,
                    nickname: member.nickname,
                    muted_until: member.muted_until,
                };
                (member.user_id, recorded)
            }));
        }
        let mut changes = Vec::new();
        for (at, change) in self.store.member_changes(group_no).await? {
            let came_or_went = matches!(
                change.change,
                MemberChange::Joined | MemberChange::Left | MemberChange::Removed
            );
            if came_or_went {
                changes.extend(change.user_ids.into_iter().map(|who| (at, change.change, who)));
            }
        }
        Ok(Roster { members, changes })
    }
}

struct Export {
    service: Arc<Service>,
    owner: UserNo,
    /// Where the next page begins, behind this place; `None` once all is read.
    after: Option<i64>,
    ready: VecDeque<Exported>,
}

impl Export {
    async fn next(&mut self) -> Result<Option<Exported>> {
        while self.ready.is_empty()
            && let Some(after) = self.after
        {
            let store = &self.service.store;
            let page = store.export_page(self.owner, after, PAGE).await?;
            let message = |message| Exported::Message(Box::new(message));
            self.ready = page.messages.into_iter().map(message).collect();
            self.after = page.last;
            if self.after.is_none() {
                let user = store.export_user(self.owner).await?;
                self.ready.extend((!user.is_empty()).then(|| Exported::User(Box::new(user))));
            }
        }
        Ok(self.ready.pop_front())
    }
}

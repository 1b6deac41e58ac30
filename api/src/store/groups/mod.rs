//! Groups and their members. A change takes the locks of the group's timeline and of the users whose
//! own timelines change, in that order; everything it depends on is read behind them.

mod changes;
mod create;
mod edit;
mod fan_out;
mod members;
mod pin;
mod purge;
mod react;
mod readers;
mod recall;
mod requests;

use std::collections::{BTreeMap, HashMap};

use time::OffsetDateTime;
use tokio_postgres::Row;

use super::{
    Store, Transaction,
    sessions::require_live,
    timelines::{About, Closed, Place, group_name, no_timeline},
};
use crate::model::{
    EntryKind, Error, Group, GroupId, GroupMember, GroupNo, GroupProfile, GroupRole, JoinRule,
    Result, SessionId, TimelineNo, UserId, UserNo,
};

pub use changes::ChangeGroup;
pub use create::NewGroup;
pub(super) use create::insert as insert_group;
pub use fan_out::{FannedOut, Reference};
pub use members::{MemberSettings, Removal};
pub use readers::Readers;
pub use recall::RecallInGroup;
pub use requests::{JoinOutcome, RequestAnswer};

/// Who changes a group.
#[derive(Debug, Clone)]
pub enum Actor {
    /// A user, from a session that must be live.
    User {
        /// Who.
        user_no: UserNo,
        /// The same, by id.
        user_id: UserId,
        /// The session.
        session_id: SessionId,
    },
    /// An administrator of the server, who may do what an owner may.
    Administrator,
}

impl Actor {
    fn user_no(&self) -> Option<UserNo> {
        match self {
            Self::User { user_no, .. } => Some(*user_no),
            Self::Administrator => None,
        }
    }

    fn user_id(&self) -> Option<UserId> {
        match self {
            Self::User { user_id, .. } => Some(user_id.clone()),
            Self::Administrator => None,
        }
    }
}

/// A group whose timeline is locked, with those of its users that a change is about.
struct LockedGroup<'a> {
    tx: &'a Transaction<'a>,
    group_no: GroupNo,
    group_id: GroupId,
    profile: GroupProfile,
    version: i64,
    actor: Actor,
    /// Of the actor and of those whom the change is about: who is a member, and as what.
    members: BTreeMap<UserNo, GroupRole>,
}

impl<'a> LockedGroup<'a> {
    /// Locks the group, the actor's timeline and those of `users`; to come first in its transaction.
    ///
    /// Errors: [`Error::GroupNotFound`]; [`Error::SessionEnded`], [`Error::InvalidToken`].
    async fn lock(
        tx: &'a Transaction<'a>,
        group_no: GroupNo,
        actor: &Actor,
        users: &[UserNo],
    ) -> Result<Self> {
        let timeline = TimelineNo::from(group_no);
        let concerned: Vec<i64> =
            users.iter().copied().chain(actor.user_no()).map(|no| no.0).collect();
        let mut owners = concerned.clone();
        owners.push(timeline.0);
        lock_timelines(tx, &owners).await?;
        if let Actor::User { user_no, session_id, .. } = actor {
            require_live(tx, *user_no, *session_id).await?;
        }
        let statement = tx
            .prepare_cached(
                "SELECT g.*, t.state AS timeline_state
                 FROM groups g LEFT JOIN timelines t ON t.owner = -g.group_no
                 WHERE g.group_no = $1",
            )
            .await?;
        let row = tx.query_opt(&statement, &[&group_no.0]).await?;
        // Numbers come from message ids, too, and those from anywhere.
        let row = row.ok_or(Error::NotAMember)?;
        let group_id = GroupId::from_stored(row.get("group_id"));
        match row.get::<_, Option<i16>>("timeline_state").map(Closed::read) {
            Some(None) => {}
            Some(Some(Closed::Importing)) => {
                return Err(Error::ImportUnfinished(group_name(group_id.as_str())));
            }
            Some(Some(Closed::Deleted)) | None => return Err(Error::GroupNotFound(group_id)),
        }
        let statement = tx
            .prepare_cached(
                "SELECT user_no, role FROM group_members
                 WHERE group_no = $1 AND user_no = ANY($2) AND left_seq IS NULL",
            )
            .await?;
        let rows = tx.query(&statement, &[&group_no.0, &concerned]).await?;
        let member = |row: &Row| Ok((UserNo(row.get("user_no")), read_role(row)?));
        let members = rows.iter().map(member).collect::<Result<_>>()?;
        Ok(Self {
            tx,
            group_no,
            group_id,
            profile: read_profile(&row)?,
            version: row.get("version"),
            actor: actor.clone(),
            members,
        })
    }

    /// Requires that the actor may change what a member of that role is: an administrator of the server may,
    /// whatever the role. Errors: [`Error::NotAMember`], [`Error::GroupRoleNeeded`].
    fn require_above(&self, member: GroupRole) -> Result<()> {
        match self.actor {
            Actor::Administrator => Ok(()),
            Actor::User { .. } => self.role()?.require_above(member),
        }
    }

    /// What the actor may do. Errors: [`Error::NotAMember`].
    fn role(&self) -> Result<GroupRole> {
        match self.actor.user_no() {
            None => Ok(GroupRole::Owner),
            Some(user_no) => self.members.get(&user_no).copied().ok_or(Error::NotAMember),
        }
    }

    /// Appends an event to the group's timeline: its place there.
    async fn append(&self, event: EntryKind) -> Result<i64> {
        let place = Place::take_if_open(self.tx, self.group_no).await?;
        let place = place.ok_or_else(|| Error::GroupNotFound(self.group_id.clone()))?;
        let seq = place.seq();
        let about = About::group(self.group_no, self.actor.user_no(), seq);
        place.fill(self.tx, about, event).await?;
        Ok(seq)
    }

    /// Locks the group of a message for what an actor does to that: the group, and the actor's role in it. What stands
    /// in a dissolved group stays, and who is no member learns nothing.
    ///
    /// Errors: [`Error::MessageNotFound`]; [`Error::SessionEnded`], [`Error::InvalidToken`].
    async fn lock_for_message(
        tx: &'a Transaction<'a>,
        group_no: GroupNo,
        actor: &Actor,
    ) -> Result<(Self, GroupRole)> {
        let group = match Self::lock(tx, group_no, actor, &[]).await {
            Err(Error::GroupNotFound(_) | Error::NotAMember) => return Err(Error::MessageNotFound),
            locked => locked?,
        };
        let role = group.role().map_err(|_| Error::MessageNotFound)?;
        Ok((group, role))
    }

    /// How many members the group has.
    async fn count(&self) -> Result<i64> {
        let statement = self
            .tx
            .prepare_cached(
                "SELECT count(*) FROM group_members WHERE group_no = $1 AND left_seq IS NULL",
            )
            .await?;
        Ok(self.tx.query_one(&statement, &[&self.group_no.0]).await?.get(0))
    }
}

/// Locks timelines in the order of their numbers, as all do that lock more than one.
pub(super) async fn lock_timelines(tx: &Transaction<'_>, owners: &[i64]) -> Result<()> {
    let statement = tx
        .prepare_cached(
            "SELECT FROM timelines WHERE owner = ANY($1) ORDER BY owner FOR NO KEY UPDATE",
        )
        .await?;
    tx.query(&statement, &[&owners]).await?;
    Ok(())
}

fn read_role(row: &Row) -> Result<GroupRole> {
    let number = row.get("role");
    GroupRole::from_number(number)
        .ok_or_else(|| Error::internal(format!("no role in groups has number {number}")))
}

fn read_profile(row: &Row) -> Result<GroupProfile> {
    let rule = row.get("join_rule");
    Ok(GroupProfile {
        name: row.get("name"),
        announcement: row.get("announcement"),
        join: JoinRule::from_number(rule)
            .ok_or_else(|| Error::internal(format!("no rule of joining has number {rule}")))?,
        history: row.get("history"),
        muted: row.get("muted"),
        attributes: row.get("attributes"),
    })
}

/// Writes what is set of a group.
async fn write_profile(
    tx: &Transaction<'_>,
    group_no: GroupNo,
    profile: &GroupProfile,
    version: i64,
) -> Result<()> {
    tx.execute(
        "UPDATE groups SET name = $2, announcement = $3, join_rule = $4, history = $5, muted = $6,
             attributes = $7, version = $8
         WHERE group_no = $1",
        &[
            &group_no.0,
            &profile.name,
            &profile.announcement,
            &(profile.join as i16),
            &profile.history,
            &profile.muted,
            &profile.attributes,
            &version,
        ],
    )
    .await?;
    Ok(())
}

/// Selects groups `g` as the user `$1` sees them; 0 is nobody.
const GROUP: &str = "SELECT g.*, coalesce(t.state, 3) = 3 AS dissolved, m.role,
     (SELECT count(*) FROM group_members c WHERE c.group_no = g.group_no AND c.left_seq IS NULL)
         AS members
 FROM groups g LEFT JOIN timelines t ON t.owner = -g.group_no
 LEFT JOIN group_members m ON m.group_no = g.group_no AND m.user_no = $1 AND m.left_seq IS NULL";

fn read_group(row: &Row) -> Result<Group> {
    let role: Option<i16> = row.get("role");
    Ok(Group {
        group_id: GroupId::from_stored(row.get("group_id")),
        profile: read_profile(row)?,
        version: row.get("version"),
        members: row.get("members"),
        created_at: row.get("created_at"),
        role: role.and_then(GroupRole::from_number),
        dissolved: row.get("dissolved"),
    })
}

impl Store {
    /// A group as `user_no` sees it, or as an administrator does.
    pub async fn group(&self, group_no: GroupNo, user_no: Option<UserNo>) -> Result<Group> {
        let client = self.client().await?;
        let statement = client.prepare_cached(&format!("{GROUP} WHERE g.group_no = $2")).await?;
        let viewer = user_no.map_or(0, |no| no.0);
        read_group(&client.query_one(&statement, &[&viewer, &group_no.0]).await?)
    }

    /// The groups that a user is a member of, by number: at most `limit`, all after `after`; only those made at the time
    /// `since` or later, where that is given. With each its number.
    pub async fn groups_of(
        &self,
        user_no: UserNo,
        since: Option<OffsetDateTime>,
        after: i64,
        limit: i64,
    ) -> Result<Vec<(GroupNo, Group)>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&format!(
                "{GROUP} WHERE m.user_no = $1 AND g.group_no > $2 AND t.state = 1
                     AND ($4::timestamptz IS NULL OR g.created_at >= $4)
                 ORDER BY g.group_no LIMIT $3"
            ))
            .await?;
        let rows = client.query(&statement, &[&user_no.0, &after, &limit, &since]).await?;
        rows.iter().map(|row| Ok((GroupNo(row.get("group_no")), read_group(row)?))).collect()
    }

    /// All groups, as [`Store::groups_of`] lists those of a user, dissolved ones too.
    pub async fn groups(
        &self,
        since: Option<OffsetDateTime>,
        after: i64,
        limit: i64,
    ) -> Result<Vec<(GroupNo, Group)>> {
        let client = self.client().await?;
        let list = format!(
            "{GROUP} WHERE g.group_no > $2 AND ($4::timestamptz IS NULL OR g.created_at >= $4)
             ORDER BY g.group_no LIMIT $3"
        );
        // Planned for these values each time: the few newest groups are found by their times.
        let rows = client.query(&list, &[&0_i64, &after, &limit, &since]).await?;
        rows.iter().map(|row| Ok((GroupNo(row.get("group_no")), read_group(row)?))).collect()
    }

    /// Who owns groups, by the groups' numbers. Nobody owns a group that all have left.
    pub async fn group_owners(&self, groups: &[GroupNo]) -> Result<HashMap<GroupNo, UserId>> {
        let client = self.client().await?;
        let groups: Vec<i64> = groups.iter().map(|no| no.0).collect();
        let statement = client
            .prepare_cached(
                "SELECT group_no, user_no FROM group_members
                 WHERE group_no = ANY($1) AND role = $2 AND left_seq IS NULL",
            )
            .await?;
        let rows = client.query(&statement, &[&groups, &(GroupRole::Owner as i16)]).await?;
        drop(client);
        let users = self.known_users(&rows.iter().map(|row| row.get("user_no")).collect()).await?;
        let owner = |row: &Row| {
            let user_no = row.get("user_no");
            let known = users.get(&user_no).ok_or_else(|| no_timeline(UserNo(user_no)))?;
            Ok((GroupNo(row.get("group_no")), known.user_id.clone()))
        };
        rows.iter().map(owner).collect()
    }

    /// Ids of groups that are next to an id in the order of ids: at most `limit` before it, and as many after.
    pub async fn group_ids_near(&self, group_id: &GroupId, limit: i64) -> Result<Vec<String>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "(SELECT group_id FROM groups WHERE group_id < $1 ORDER BY group_id DESC LIMIT $2)
                 UNION ALL
                 (SELECT group_id FROM groups WHERE group_id > $1 ORDER BY group_id LIMIT $2)",
            )
            .await?;
        let rows = client.query(&statement, &[&group_id.as_str(), &limit]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// The members of a group, in the order of their numbers: at most `limit`, all after `after`.
    pub async fn group_members(
        &self,
        group_no: GroupNo,
        after: UserNo,
        limit: i64,
    ) -> Result<Vec<GroupMember>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT user_no, role, nickname, muted_until, joined_at FROM group_members
                 WHERE group_no = $1 AND left_seq IS NULL AND user_no > $2
                 ORDER BY user_no LIMIT $3",
            )
            .await?;
        let rows = client.query(&statement, &[&group_no.0, &after.0, &limit]).await?;
        drop(client);
        let users = self.known_users(&rows.iter().map(|row| row.get("user_no")).collect()).await?;
        let member = |row: &Row| {
            let user_no = row.get("user_no");
            let known = users.get(&user_no).ok_or_else(|| no_timeline(UserNo(user_no)))?;
            Ok(GroupMember {
                user_id: known.user_id.clone(),
                user_no: UserNo(user_no),
                role: read_role(row)?,
                nickname: row.get("nickname"),
                muted_until: row.get("muted_until"),
                joined_at: row.get("joined_at"),
            })
        };
        rows.iter().map(member).collect()
    }

    /// The role of a user in a group; `None` for who is no member. What is read here may have changed
    /// since: a change reads it again behind the locks.
    pub async fn group_role(
        &self,
        group_no: GroupNo,
        user_no: UserNo,
    ) -> Result<Option<GroupRole>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT role FROM group_members
                 WHERE group_no = $1 AND user_no = $2 AND left_seq IS NULL",
            )
            .await?;
        let row = client.query_opt(&statement, &[&group_no.0, &user_no.0]).await?;
        row.map(|row| read_role(&row)).transpose()
    }

    /// Those of the users who are members of a group.
    pub async fn members_among(&self, group_no: GroupNo, users: &[UserNo]) -> Result<Vec<UserNo>> {
        let client = self.client().await?;
        let users: Vec<i64> = users.iter().map(|no| no.0).collect();
        let statement = client
            .prepare_cached(
                "SELECT user_no FROM group_members
                 WHERE group_no = $1 AND user_no = ANY($2) AND left_seq IS NULL",
            )
            .await?;
        let rows = client.query(&statement, &[&group_no.0, &users]).await?;
        Ok(rows.iter().map(|row| UserNo(row.get(0))).collect())
    }
}

//! What happens in a group, in words, and whom a text mentions.

use std::collections::BTreeSet;

use imd_proto::v1::{GroupChanged, GroupRole, MemberChange, MemberChanged};

use super::conversation::clock;
use crate::clock::time;

/// The members of a group, as far as is known.
#[derive(Debug, Default)]
pub(super) struct Members(BTreeSet<String>);

impl Members {
    pub(super) fn add(&mut self, user_ids: impl IntoIterator<Item = String>) {
        self.0.extend(user_ids);
    }

    pub(super) fn take(&mut self, changed: &MemberChanged) {
        match changed.change() {
            MemberChange::Joined => self.add(changed.user_ids.iter().cloned()),
            MemberChange::Left | MemberChange::Removed => {
                self.0.retain(|member| !changed.user_ids.contains(member));
            }
            _ => {}
        }
    }

    /// The members whom a text mentions: their ids stand in it behind an `@`. What else follows one is text.
    pub(super) fn mentioned_in(&self, text: &str) -> Vec<String> {
        // The same characters as in ids; a full stop at the end belongs to the sentence.
        let id = |c: char| c.is_ascii_alphanumeric() || "._@+=-".contains(c);
        let starts = text
            .match_indices('@')
            .map(|(at, _)| at)
            .filter(|at| !text[..*at].chars().next_back().is_some_and(id));
        let names = starts.filter_map(|at| {
            let word = &text[at + 1..];
            let end = word.find(|c| !id(c)).unwrap_or(word.len());
            let word = &word[..end];
            [word, word.trim_end_matches('.')].into_iter().find(|name| self.0.contains(*name))
        });
        let names: BTreeSet<&str> = names.collect();
        names.into_iter().map(str::to_owned).collect()
    }
}

/// What was changed of a group.
pub(super) fn group_change(changed: &GroupChanged) -> String {
    let by = by(&changed.by);
    if changed.dissolved {
        return format!("{by} has dissolved the group");
    }
    let muted = if changed.muted { "; only owner and admins may write" } else { "" };
    let announcement = match changed.announcement.as_str() {
        "" => String::new(),
        text => format!("; announcement: {text}"),
    };
    format!("{by} has set up the group: {}{muted}{announcement}", changed.name)
}

/// What became of members.
pub(super) fn member_change(changed: &MemberChanged) -> String {
    let (by, who) = (by(&changed.by), changed.user_ids.join(", "));
    let itself = changed.user_ids == [changed.by.clone()];
    match changed.change() {
        MemberChange::Joined if itself => format!("{who} has joined"),
        MemberChange::Joined => format!("{by} has added {who}"),
        MemberChange::Left => format!("{who} has left"),
        MemberChange::Removed => format!("{by} has removed {who}"),
        MemberChange::RoleChanged => match changed.role() {
            GroupRole::Owner => format!("{by} has made {who} the owner"),
            GroupRole::Admin => format!("{by} has made {who} an admin"),
            _ => format!("{by} has made {who} a member like others"),
        },
        MemberChange::Muted => match time(changed.muted_until) {
            Some(until) => {
                format!("{by} has muted {who} until {} {}", until.date(), clock(until))
            }
            None => format!("{by} lets {who} write again"),
        },
        MemberChange::NicknameChanged if changed.nickname.is_empty() => {
            format!("{who} is called by its own name again")
        }
        MemberChange::NicknameChanged => format!("{who} is called {} here", changed.nickname),
        MemberChange::Unspecified => format!("something has changed about {who}"),
    }
}

/// Who did it.
fn by(user_id: &str) -> &str {
    if user_id.is_empty() { "an administrator" } else { user_id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_mentioned_by_their_ids() {
        let mut members = Members::default();
        members.add(["ann", "ben", "ben.b", "dora"].map(str::to_owned));
        let gone = MemberChanged {
            change: MemberChange::Left.into(),
            user_ids: vec!["dora".to_owned()],
            ..MemberChanged::default()
        };
        members.take(&gone);
        for (text, mentioned) in [
            ("@ben and @ann, @ben!", &["ann", "ben"][..]),
            ("ask @ben.b, not @ben.", &["ben", "ben.b"]),
            ("@bennet, ben, @ ben, @dora, mail to x@ben", &[]),
            ("(@ann)", &["ann"]),
            ("é@ann", &["ann"]),
        ] {
            assert_eq!(members.mentioned_in(text), mentioned, "{text}");
        }
    }

    #[test]
    fn what_happens_is_told_in_words() {
        let changed = |change: MemberChange, by: &str| MemberChanged {
            by: by.to_owned(),
            change: change.into(),
            user_ids: vec!["ben".to_owned()],
            role: GroupRole::Admin.into(),
            ..MemberChanged::default()
        };
        for (change, by, told) in [
            (MemberChange::Joined, "ann", "ann has added ben"),
            (MemberChange::Joined, "ben", "ben has joined"),
            (MemberChange::Removed, "", "an administrator has removed ben"),
            (MemberChange::RoleChanged, "ann", "ann has made ben an admin"),
            (MemberChange::Muted, "ann", "ann lets ben write again"),
        ] {
            assert_eq!(member_change(&changed(change, by)), told);
        }
    }
}

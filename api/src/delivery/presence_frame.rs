//! How nodes tell each other of whom to look how they are. Not numbered: what is lost a sweep makes up for.

use serde::{Deserialize, Serialize};

use super::presence::Changes;
use crate::model::UserNo;

/// How many users go into a frame: with 20 digits each it fits into a notification.
const USERS: usize = 350;

/// Of whom to look how they are, and how they stand to others.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct PresenceFrame {
    #[serde(rename = "u", default, skip_serializing_if = "Vec::is_empty")]
    users: Vec<UserNo>,
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
    relations: Vec<UserNo>,
    /// Whether all that is watched is to be looked at.
    #[serde(rename = "a", default, skip_serializing_if = "std::ops::Not::not")]
    all: bool,
}

impl From<PresenceFrame> for Changes {
    fn from(PresenceFrame { users, relations, all }: PresenceFrame) -> Self {
        if all { Self::everything() } else { Self::of(users, relations) }
    }
}

/// As many frames as these changes take.
pub(super) fn frames(changes: &Changes) -> Vec<PresenceFrame> {
    if changes.all {
        return vec![PresenceFrame { all: true, ..PresenceFrame::default() }];
    }
    let chunks = |users: Vec<UserNo>| -> Vec<Vec<UserNo>> {
        users.chunks(USERS).map(<[UserNo]>::to_vec).collect()
    };
    let users = chunks(changes.users.iter().copied().collect()).into_iter();
    let users = users.map(|users| PresenceFrame { users, ..PresenceFrame::default() });
    let relations = chunks(changes.relations.iter().copied().collect()).into_iter();
    users
        .chain(relations.map(|relations| PresenceFrame { relations, ..PresenceFrame::default() }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::bus::encode_presence;

    #[test]
    fn every_frame_fits_into_a_notification_and_nobody_is_left_out() {
        let users = (0..1000).map(|n| UserNo(i64::MAX - n));
        let relations = (0..500).map(UserNo);
        let (mut said, changes) = (Changes::default(), Changes::of(users, relations));
        for frame in frames(&changes) {
            assert!(encode_presence(&frame).unwrap().len() < 8000);
            said.extend(frame.into());
        }
        assert_eq!((said.users, said.relations), (changes.users, changes.relations));
    }
}

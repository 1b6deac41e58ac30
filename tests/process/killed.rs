//! `kill -9` in the middle of a conversation: what was acknowledged is kept (I4, I11), every terminal
//! sees it once and in order (I5), and nothing needs a hand.

use nix::sys::signal::{Signal, kill};

use super::conversation::Conversation;
use crate::support::process::DataFolder;

/// What PostgreSQL logs when it was not shut down before.
const RECOVERY: &str = "automatic recovery in progress";

#[tokio::test]
async fn a_killed_imd_is_followed_by_one_that_has_everything() {
    let folder = DataFolder::new();
    let mut imd = folder.start().await;
    let conversation = Conversation::start(&imd).await;
    let orphan = folder.postmaster().expect("PostgreSQL runs");
    imd.end(Signal::SIGKILL).await;

    let next = folder.start().await;
    assert_ne!(folder.postmaster(), Some(orphan));
    conversation.check_on(&next).await;
}

#[tokio::test]
async fn a_killed_postmaster_is_replaced_under_the_running_imd() {
    let folder = DataFolder::new();
    let mut imd = folder.start().await;
    let conversation = Conversation::start(&imd).await;
    let killed = folder.postmaster().expect("PostgreSQL runs");
    kill(killed, Signal::SIGKILL).expect("it runs");

    conversation.check_on(&imd).await;
    assert!(imd.is_running());
    assert_ne!(folder.postmaster(), Some(killed));
    assert!(folder.postgres_log().contains(RECOVERY));
}

#[tokio::test]
async fn both_killed_at_once_come_back_with_one_start() {
    let folder = DataFolder::new();
    let mut imd = folder.start().await;
    let conversation = Conversation::start(&imd).await;
    let postmaster = folder.postmaster().expect("PostgreSQL runs");
    kill(imd.pid(), Signal::SIGKILL).expect("it runs");
    kill(postmaster, Signal::SIGKILL).expect("it runs");
    imd.nothing_left().await;

    let next = folder.start().await;
    conversation.check_on(&next).await;
    assert!(folder.postgres_log().contains(RECOVERY));
}

//! Ending sessions from outside.

use imd_proto::v1::{EndReason, kick_sessions_request::Which};
use uuid::Uuid;

use crate::support::{api::Transport, cluster::Cluster};

/// What the note of an administrator may be.
const LONGEST_NOTE: usize = 256;

#[tokio::test]
async fn a_kick_ends_what_it_names_and_no_more() {
    let imd = Cluster::start(Transport::Grpc).await;
    let admin = imd.admin();
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let (one, two) = (imd.log_in("ann", "web", "1").await, imd.log_in("ann", "web", "2").await);
    let bob = imd.user_with_phone("bob").await;

    let ended = admin.kick("ann", Some(Which::SessionId(pc.session_id().into())), "").await;
    let ended = ended.expect("kicked");
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].session_id, pc.session_id());
    assert_eq!(ended[0].end.as_ref().expect("an end").reason(), EndReason::Kicked);
    assert!(phone.sessions().await.is_ok() && one.sessions().await.is_ok());

    let ended =
        admin.kick("ann", Some(Which::TerminalType("web".into())), "").await.expect("kicked");
    let mut ids: Vec<_> = ended.iter().map(|session| session.session_id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [one.session_id(), two.session_id()]);
    assert!(phone.sessions().await.is_ok());

    let ended = admin.kick("ann", Some(Which::All(true)), "").await.expect("kicked");
    assert_eq!(ended.len(), 1);
    assert_eq!(phone.sessions().await.expect_err("kicked").end_reason(), "KICKED");
    assert!(bob.sessions().await.is_ok());
}

#[tokio::test]
async fn a_kick_of_nothing_changes_nothing() {
    let imd = Cluster::start(Transport::Grpc).await;
    let admin = imd.admin();
    let phone = imd.user_with_phone("ann").await;
    let old = imd.log_in("ann", "pc", "old").await;
    old.logout().await.expect("logged out");
    let state = phone.pull("").await.expect("the timeline").state;
    let nothing =
        [Which::SessionId(old.session_id().to_owned()), Which::TerminalType("pc".to_owned())];
    for which in nothing {
        assert_eq!(
            admin.kick("ann", Some(which.clone()), "").await.expect("no harm"),
            [],
            "{which:?}"
        );
    }
    assert_eq!(phone.pull("").await.expect("the timeline").state, state);
    assert_eq!(old.sessions().await.expect_err("ended").end_reason(), "LOGGED_OUT");
}

#[tokio::test]
async fn a_bad_kick_names_the_field() {
    let imd = Cluster::start(Transport::Grpc).await;
    let admin = imd.admin();
    let phone = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let all = || Some(Which::All(true));
    let long = "n".repeat(LONGEST_NOTE + 1);
    let cases = [
        ("which", admin.kick("ann", None, "").await),
        ("which", admin.kick("ann", Some(Which::All(false)), "").await),
        ("session_id", admin.kick("ann", Some(Which::SessionId("x".into())), "").await),
        ("terminal_type", admin.kick("ann", Some(Which::TerminalType("toaster".into())), "").await),
        ("user_id", admin.kick("a n n", all(), "").await),
        ("note", admin.kick("ann", all(), &long).await),
        ("note", admin.disable("ann", &long).await),
    ];
    for (field, answer) in cases {
        assert_eq!(answer.expect_err(field).field(), field);
    }
    for stranger in [bob.session_id().to_owned(), Uuid::new_v4().to_string()] {
        let refused = admin.kick("ann", Some(Which::SessionId(stranger)), "").await;
        assert_eq!(refused.expect_err("not ann's").code, "session_not_found");
    }
    assert_eq!(admin.kick("nobody", all(), "").await.expect_err("nobody").code, "user_not_found");
    assert!(phone.sessions().await.is_ok() && bob.sessions().await.is_ok());

    let longest = "é".repeat(LONGEST_NOTE);
    admin.kick("ann", all(), &longest).await.expect("a note of just that length");
    assert_eq!(phone.sessions().await.expect_err("kicked").detail("note"), longest);
}

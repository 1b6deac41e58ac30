//! What becomes of the items of a batch.

use futures::future::join;
use imd::{
    model::{EndReason, Error, SessionId, UserId, UserNo},
    store::{Appended, Ending, Store, Which},
};
use uuid::Uuid;

use super::{Sender, assert_dense, lane, message, senders};
use crate::support::postgres::Database;

/// The places of a message's copies: (user, seq).
fn places(appended: &Appended) -> Vec<(i64, i64)> {
    appended.places.iter().map(|(owner, seq)| (owner.0, *seq)).collect()
}

#[tokio::test]
async fn a_batch_keeps_its_order_in_every_timeline() {
    let database = Database::create().await;
    let [ann, bob, carol] = three(&database).await;
    let batch = [
        message(&ann, &bob, Uuid::new_v4(), "1"),
        message(&bob, &ann, Uuid::new_v4(), "2"),
        message(&ann, &ann, Uuid::new_v4(), "3"),
        message(&carol, &ann, Uuid::new_v4(), "4"),
        message(&ann, &bob, Uuid::new_v4(), "5"),
    ];
    let appended = lane(&database).commit(&batch).await;
    let of = |user: &Sender| -> Vec<i64> {
        let places = appended.iter().flat_map(|result| places(result.as_ref().expect("appended")));
        places.filter(|(owner, _)| *owner == user.user_no.0).map(|(_, seq)| seq).collect()
    };
    assert_eq!(of(&ann), [1, 2, 3, 4, 5]);
    assert_eq!(of(&bob), [1, 2, 3]);
    assert_eq!(of(&carol), [1]);
    assert_eq!(assert_dense(&database).await, 9);
}

#[tokio::test]
async fn i7_what_is_wrong_in_a_batch_fails_alone_and_leaves_no_gap() {
    let database = Database::create().await;
    let [ann, bob, carol] = three(&database).await;
    let store = Store::new(database.url(), 2).expect("a store");
    let kicked = Ending::because(EndReason::Kicked);
    store.end_sessions(carol.user_no, &Which::All, &kicked, None).await.expect("kicked");
    let mut lane = lane(&database);
    let first = message(&ann, &bob, Uuid::new_v4(), "first");
    let stands = lane.commit(std::slice::from_ref(&first)).await.remove(0).expect("appended");

    let nobody = Sender {
        user_no: UserNo(9_999),
        user_id: UserId::from_stored("nobody"),
        session_id: SessionId::new(),
    };
    let elsewhere = Sender { session_id: SessionId::new(), ..bob.clone() };
    let batch = [
        message(&ann, &bob, Uuid::new_v4(), "good"),
        message(&carol, &bob, Uuid::new_v4(), "from an ended session"),
        message(&elsewhere, &ann, Uuid::new_v4(), "from no session"),
        first.clone(),
        message(&ann, &bob, first.client_message_id, "another text"),
        message(&ann, &nobody, Uuid::new_v4(), "to nobody"),
        message(&bob, &ann, Uuid::new_v4(), "good as well"),
    ];
    // Twice the same id in one batch is not for a lane to see.
    let [good, ended, unknown, again, conflict, to_nobody, well] = &batch;
    let results =
        lane.commit(&[good, ended, unknown, again, to_nobody, well].map(Clone::clone)).await;
    let [good, ended, unknown, again, to_nobody, well] =
        <[_; 6]>::try_from(results).expect("a result each");

    assert!(matches!(ended, Err(Error::SessionEnded(end)) if end.reason == EndReason::Kicked));
    assert!(matches!(unknown, Err(Error::InvalidToken(_))));
    assert!(matches!(to_nobody, Err(Error::UserNotFound(id)) if id.as_str() == "nobody"));
    let again = again.expect("the first result");
    assert!(again.duplicate && again.entries.is_empty());
    assert_eq!((again.message_id, places(&again)), (stands.message_id, places(&stands)));
    let (ann, bob) = (ann.user_no.0, bob.user_no.0);
    assert_eq!(places(&good.expect("appended")), [(ann, 2), (bob, 2)]);
    assert_eq!(places(&well.expect("appended")), [(bob, 3), (ann, 3)]);
    let conflict = lane.commit(std::slice::from_ref(conflict)).await.remove(0);
    assert!(matches!(conflict, Err(Error::ClientMessageIdConflict)));
    // Three messages of two copies, and the end of carol's session.
    assert_eq!(assert_dense(&database).await, 7);
}

#[tokio::test]
async fn a_batch_of_nothing_but_refusals_takes_no_place() {
    let database = Database::create().await;
    let [ann, bob, _] = three(&database).await;
    let elsewhere = Sender { session_id: SessionId::new(), ..ann };
    let batch = [
        message(&elsewhere, &bob, Uuid::new_v4(), "one"),
        message(&elsewhere, &bob, Uuid::new_v4(), "two"),
    ];
    let results = lane(&database).commit(&batch).await;
    assert!(results.iter().all(|result| matches!(result, Err(Error::InvalidToken(_)))));
    assert_eq!(assert_dense(&database).await, 0);
    assert_eq!(lane(&database).commit(&[]).await.len(), 0);
}

#[tokio::test]
async fn i7_two_nodes_that_race_with_one_id_append_it_once() {
    const ROUNDS: i64 = 100;
    let database = Database::create().await;
    let [ann, bob, carol] = three(&database).await;
    let (mut here, mut there) = (lane(&database), lane(&database));
    for round in 0..ROUNDS {
        let id = Uuid::new_v4();
        let one = message(&ann, &bob, id, "the same");
        // Every other time for something else.
        let other = if round % 2 == 0 { one.clone() } else { message(&ann, &carol, id, "another") };
        let (one, other) = ([one], [other]);
        let (one, other) = Box::pin(join(here.commit(&one), there.commit(&other))).await;
        match (&one[0], &other[0]) {
            (Ok(one), Ok(other)) => {
                assert_eq!(round % 2, 0, "two things under one id");
                assert_ne!(one.duplicate, other.duplicate);
                assert_eq!(places(one), places(other));
            }
            (Ok(first), Err(Error::ClientMessageIdConflict))
            | (Err(Error::ClientMessageIdConflict), Ok(first)) => {
                assert_eq!(round % 2, 1, "one thing is no conflict");
                assert!(!first.duplicate);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(assert_dense(&database).await, 2 * ROUNDS);
}

async fn three(database: &Database) -> [Sender; 3] {
    senders(database, 3).await.try_into().unwrap_or_else(|_| panic!("three users"))
}

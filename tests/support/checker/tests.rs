//! The checker finds the faults that are planted.

use time::OffsetDateTime;

use super::*;
use crate::support::{
    failure::Failure,
    types::{Content, Kind},
};

/// Ann sends `texts` to bob; her phone, her pc and bob's phone see it all.
fn sound(texts: &[&str]) -> Run {
    let mut run = Run::default();
    let (mut of_ann, mut of_bob) = (Vec::new(), Vec::new());
    for (text, seq) in texts.iter().zip(1..) {
        let message = Outgoing::text("bob", *text);
        let sent = Sent {
            message_id: format!("ann/{seq}"),
            seq,
            cursor: format!("1.{seq}"),
            conversation_id: "user:bob".to_owned(),
            sent_at: at(seq),
            duplicate: false,
        };
        of_ann.push(entry(seq, "bob", Some(&message.client_message_id), text));
        of_bob.push(entry(seq, "ann", None, text));
        run.sent("ann", &message, Ok(sent));
    }
    run.saw("ann", "ann's phone", 0, of_ann.clone());
    run.saw("ann", "ann's pc", 0, of_ann);
    run.saw("bob", "bob's phone", 0, of_bob);
    run
}

fn at(seq: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seq).expect("a time")
}

fn entry(seq: i64, peer: &str, client_message_id: Option<&str>, text: &str) -> Entry {
    let message = Message {
        message_id: format!("ann/{seq}"),
        conversation_id: format!("user:{peer}"),
        sender_id: "ann".to_owned(),
        sender_deleted: false,
        client_message_id: client_message_id.map(str::to_owned),
        content: Some(Content::Text(text.to_owned())),
        tombstone: None,
        mentions: Vec::new(),
        mention_all: false,
        mentioned: false,
        silent: false,
        no_push: false,
        edit_no: 0,
        edited_at: None,
        reply_to: None,
        reactions: Vec::new(),
        forwarded: None,
        attachments: Vec::new(),
    };
    Entry { seq, cursor: format!("1.{seq}"), appended_at: at(seq), kind: Kind::Message(message) }
}

#[track_caller]
fn assert_fault(run: &Run, fault: &str) {
    let faults = run.faults();
    assert!(faults.iter().any(|found| found.contains(fault)), "{fault:?} is not in {faults:#?}");
}

#[test]
fn a_sound_run_has_no_faults() {
    assert_eq!(sound(&["one", "two", "three"]).faults(), Vec::<String>::new());
}

#[test]
fn an_entry_that_a_terminal_misses_is_found() {
    let mut run = sound(&["one", "two", "three"]);
    run.terminals[1].entries.remove(1);
    assert_fault(&run, "ann's pc saw 3 in the place of 2");
}

#[test]
fn a_terminal_that_stays_behind_is_found() {
    let mut run = sound(&["one", "two", "three"]);
    run.terminals[1].entries.pop();
    assert_fault(&run, "ann's pc reached 2 of 3");
}

#[test]
fn a_repetition_is_found() {
    let mut run = sound(&["one", "two"]);
    let again = run.terminals[2].entries[0].clone();
    run.terminals[2].entries.insert(1, again);
    assert_fault(&run, "bob's phone saw 1 in the place of 2");
}

#[test]
fn another_order_on_another_terminal_is_found() {
    let mut run = sound(&["one", "two"]);
    run.terminals[1].entries[0] = entry(1, "bob", None, "two");
    assert_fault(&run, "ann's pc saw");
}

#[test]
fn an_acknowledged_message_that_its_recipient_lacks_is_found() {
    let mut run = sound(&["one", "two"]);
    run.terminals[2].entries.pop();
    assert_fault(&run, "bob has not got");
}

#[test]
fn an_acknowledgement_of_another_place_is_found() {
    let mut run = sound(&["one", "two"]);
    run.attempts[0].answer.as_mut().expect("an ack").seq = 2;
    assert_fault(&run, "was acknowledged and is");
}

#[test]
fn a_message_that_nobody_sent_is_found() {
    let mut run = sound(&["one", "two"]);
    run.attempts.pop();
    assert_fault(&run, "nobody sent");
}

#[test]
fn a_message_whose_send_was_refused_is_found() {
    let mut run = sound(&["one", "two"]);
    let refused = Failure { code: "session_ended".to_owned(), ..Failure::lost("") };
    run.attempts[1].answer = Err(refused);
    assert_fault(&run, "nobody sent");
}

#[test]
fn a_message_of_unknown_outcome_may_stand_or_not() {
    let mut run = sound(&["one", "two"]);
    run.attempts[1].answer = Err(Failure::lost("the connection is gone"));
    run.sent("ann", &Outgoing::text("bob", "three"), Err(Failure::lost("the connection is gone")));
    assert_eq!(run.faults(), Vec::<String>::new());
}

#[test]
fn a_changed_body_is_found() {
    let mut run = sound(&["one"]);
    run.terminals[2].entries[0] = entry(1, "ann", None, "another");
    assert_fault(&run, "is a copy of");
}

#[test]
fn a_conversation_that_the_two_sides_tell_differently_is_found() {
    let mut run = sound(&["one", "two"]);
    run.terminals[2].entries = vec![
        Entry { seq: 1, appended_at: at(1), ..entry(2, "ann", None, "two") },
        Entry { seq: 2, appended_at: at(2), ..entry(1, "ann", None, "one") },
    ];
    assert_fault(&run, "tell their conversation differently");
}

#[test]
fn a_time_that_goes_back_is_found() {
    let mut run = sound(&["one", "two"]);
    run.terminals[2].entries[1].appended_at = at(0);
    assert_fault(&run, "times that go back");
}

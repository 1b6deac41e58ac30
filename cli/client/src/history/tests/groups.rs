//! Messages to groups: each member has each once, in one order, and nothing of other times.

use super::super::*;

/// Ann, bob and cat with a terminal each, in a group, and a server that keeps to the contract until a
/// test changes what it told.
struct Run {
    history: History,
    users: [User; 3],
    group: Group,
    terminals: [Sightings; 3],
    /// What each of them got, in order.
    got: [Vec<SendNo>; 3],
}

const ANN: usize = 0;
const BOB: usize = 1;
const CAT: usize = 2;

impl Run {
    /// With the first `members` of the users in the group.
    fn new(members: usize) -> Self {
        let mut history = History::default();
        let users = ["ann", "bob", "cat"].map(|name| history.user(name));
        let group = history.group("team", users[..members].iter().copied());
        let terminals = users.map(|user| history.terminal(user, "phone", 0));
        Self { history, users, group, terminals, got: Default::default() }
    }

    /// Ann writes to the group; those of `to` get it.
    fn send(&mut self, to: &[usize]) -> SendNo {
        let send = self.intend(to);
        self.ack(send);
        send
    }

    fn intend(&mut self, to: &[usize]) -> SendNo {
        let send = self.history.intend_in(self.users[ANN], self.group);
        for user in to {
            self.got[*user].push(send);
        }
        send
    }

    fn ack(&mut self, send: SendNo) {
        let place = self.got[ANN].iter().position(|got| *got == send).expect("ann has her own");
        self.history.acked(send, "m", i64::try_from(place).expect("few") + 1);
    }

    fn check(mut self) -> Vec<String> {
        for (mut terminal, got) in self.terminals.into_iter().zip(self.got) {
            for (send, seq) in got.into_iter().zip(1..) {
                terminal.message(seq, Some(send), "m");
            }
            self.history.add(terminal);
        }
        self.history.check().iter().map(ToString::to_string).collect()
    }
}

/// Three messages that all have.
fn three() -> Run {
    let mut run = Run::new(3);
    for _ in 0..3 {
        run.send(&[ANN, BOB, CAT]);
    }
    run
}

#[test]
fn a_faithful_group_has_no_violation() {
    assert_eq!(three().check(), [""; 0]);
}

#[test]
fn a_message_that_a_member_did_not_get_is_missing() {
    let mut run = three();
    run.got[CAT].remove(1);
    assert_eq!(run.check(), ["cat's phone: message 1 (ann → team), acknowledged, never came"]);
}

#[test]
fn a_message_that_a_member_got_twice_is_a_duplicate() {
    let mut run = three();
    run.got[BOB].push(SendNo(2));
    assert_eq!(run.check(), ["bob's phone: message 2 (ann → team) stands at 3 and again at 4"]);
}

#[test]
fn messages_in_another_order_than_the_other_members_have_are_found() {
    let mut history = Run::new(3);
    // Both under way at a time: either order is good, and only one is.
    let (first, second) = (history.intend(&[ANN, BOB, CAT]), history.intend(&[ANN, BOB, CAT]));
    history.ack(first);
    history.ack(second);
    history.got[BOB].swap(0, 1);
    assert_eq!(
        history.check(),
        ["bob's phone: message 1 (ann → team) stands before message 0 (ann → team), and on cat's \
          phone behind it"]
    );
}

#[test]
fn a_message_before_joining_or_after_leaving_is_none_of_the_users() {
    let mut run = Run::new(2);
    run.send(&[ANN, BOB, CAT]);
    run.history.joining(run.users[CAT], run.group);
    run.history.joined(run.users[CAT], run.group);
    run.send(&[ANN, BOB, CAT]);
    run.history.leaving(run.users[CAT], run.group);
    run.history.left(run.users[CAT], run.group);
    run.send(&[ANN, BOB, CAT]);
    assert_eq!(
        run.check(),
        [0, 2].map(|send| {
            let seq = send + 1;
            format!(
                "cat's phone: entry {seq} is message {send} (ann → team), sent while this user was no member"
            )
        })
    );
}

#[test]
fn who_was_a_member_throughout_must_have_what_was_sent_meanwhile() {
    let mut run = Run::new(2);
    run.send(&[ANN, BOB]);
    run.history.joining(run.users[CAT], run.group);
    run.history.joined(run.users[CAT], run.group);
    run.send(&[ANN, BOB]);
    assert_eq!(run.check(), ["cat's phone: message 1 (ann → team), acknowledged, never came"]);
}

#[test]
fn what_is_sent_while_a_user_joins_or_leaves_may_come_or_not() {
    for came in [&[ANN, BOB, CAT][..], &[ANN, BOB]] {
        let mut run = Run::new(2);
        run.history.joining(run.users[CAT], run.group);
        run.send(came);
        run.history.joined(run.users[CAT], run.group);
        run.history.leaving(run.users[CAT], run.group);
        run.send(came);
        run.history.left(run.users[CAT], run.group);
        assert_eq!(run.check(), [""; 0]);
    }
}

#[test]
fn a_message_of_a_group_that_one_never_was_in_is_astray() {
    let mut run = Run::new(2);
    run.send(&[ANN, BOB, CAT]);
    assert_eq!(
        run.check(),
        ["cat's phone: entry 1 is message 0 (ann → team), which is none of this user's"]
    );
}

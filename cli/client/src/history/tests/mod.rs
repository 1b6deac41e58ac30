//! A faithful run is faultless; each planted fault is found, and nothing beside it.

mod groups;

use proptest::prelude::*;

use super::*;

/// A message as a terminal got it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Got {
    seq: i64,
    send: Option<SendNo>,
    id: &'static str,
}

/// Ann and bob with two terminals each, and a server that keeps to the contract until a test changes
/// what it told.
struct Run {
    history: History,
    ann: User,
    bob: User,
    /// Ann's phone and pc, and bob's phone and pc.
    terminals: [Sightings; 4],
    /// What each of them got.
    got: [Vec<Got>; 4],
}

const ANNS: [usize; 2] = [0, 1];
const BOBS: [usize; 2] = [2, 3];
const IDS: [&str; 4] = ["m0", "m1", "m2", "m3"];

impl Run {
    fn new() -> Self {
        let mut history = History::default();
        let (ann, bob) = (history.user("ann"), history.user("bob"));
        let terminals = [(ann, "phone"), (ann, "pc"), (bob, "phone"), (bob, "pc")]
            .map(|(user, name)| history.terminal(user, name, 0));
        Self { history, ann, bob, terminals, got: Default::default() }
    }

    /// Three messages from ann to bob, one after the other.
    fn of_three() -> Self {
        let mut run = Self::new();
        for _ in 0..3 {
            let send = run.send();
            run.history.acked(send, IDS[send.index()], i64::from(send.0) + 1);
        }
        run
    }

    /// Sends a message and delivers it everywhere.
    fn send(&mut self) -> SendNo {
        let send = self.history.intend(self.ann, self.bob);
        let got = Got { seq: i64::from(send.0) + 1, send: Some(send), id: IDS[send.index()] };
        self.got.iter_mut().for_each(|terminal| terminal.push(got));
        send
    }

    /// Changes what some terminals got.
    fn plant(&mut self, terminals: [usize; 2], mut fault: impl FnMut(&mut Vec<Got>)) {
        for terminal in terminals {
            fault(&mut self.got[terminal]);
        }
    }

    fn check(mut self) -> Vec<String> {
        for (mut terminal, got) in self.terminals.into_iter().zip(self.got) {
            for Got { seq, send, id } in got {
                terminal.message(seq, send, id);
            }
            self.history.add(terminal);
        }
        self.history.check().iter().map(ToString::to_string).collect()
    }
}

/// The same messages in the opposite order.
fn turn_round(got: &mut [Got]) {
    got.reverse();
    for (got, seq) in got.iter_mut().zip(1..) {
        got.seq = seq;
    }
}

#[test]
fn a_faithful_run_has_no_violation() {
    assert_eq!(Run::of_three().check(), [""; 0]);
}

#[test]
fn a_lost_message_is_a_gap_and_missing() {
    let mut run = Run::of_three();
    run.got[3].remove(1);
    assert_eq!(
        run.check(),
        [
            "bob's pc: entries 2 to 2 never came",
            "bob's pc: message 1 (ann → bob), acknowledged, never came",
        ]
    );
}

#[test]
fn the_sending_user_must_see_it_too() {
    let mut run = Run::of_three();
    run.got[0].pop();
    assert_eq!(
        run.check(),
        [
            "ann's phone: message 2 (ann → bob), acknowledged, never came",
            "ann's phone: its last entry is 2, but the timeline reaches 3",
        ]
    );
}

#[test]
fn a_message_lost_for_a_whole_user_is_missing_on_all_terminals() {
    let mut run = Run::of_three();
    run.plant(BOBS, |got| got.truncate(2));
    assert_eq!(
        run.check(),
        [
            "bob's phone: message 2 (ann → bob), acknowledged, never came",
            "bob's pc: message 2 (ann → bob), acknowledged, never came",
        ]
    );
}

#[test]
fn a_terminal_that_left_need_not_have_all() {
    let mut run = Run::of_three();
    run.got[3].pop();
    run.terminals[3].left();
    assert_eq!(run.check(), [""; 0]);
}

#[test]
fn a_repeated_entry_is_found() {
    let mut run = Run::of_three();
    let again = run.got[2][1];
    run.got[2].push(again);
    assert_eq!(
        run.check(),
        [
            "bob's phone: entry 2 came behind entry 3",
            "bob's phone: message 1 (ann → bob) stands at 2 and again at 2",
        ]
    );
}

#[test]
fn a_message_stored_twice_is_found() {
    let mut run = Run::of_three();
    run.plant(BOBS, |got| got.push(Got { seq: 4, send: Some(SendNo(1)), id: "m1" }));
    assert_eq!(
        run.check(),
        [
            "bob's phone: message 1 (ann → bob) stands at 2 and again at 4",
            "bob's pc: message 1 (ann → bob) stands at 2 and again at 4",
            "bob: message 2 (ann → bob) stands before message 1 (ann → bob), which was acknowledged \
             before it was sent",
        ]
    );
}

#[test]
fn two_stories_are_found() {
    let mut run = Run::new();
    for _ in 0..2 {
        run.send();
    }
    // Both at once, so that either order is right, but not both.
    run.history.acked(SendNo(0), "m0", 1);
    run.history.acked(SendNo(1), "m1", 2);
    turn_round(&mut run.got[3]);
    assert_eq!(
        run.check(),
        [
            "bob: entry 1 is not the same on bob's phone and on bob's pc",
            "bob: entry 2 is not the same on bob's phone and on bob's pc",
        ]
    );
}

#[test]
fn sends_at_the_same_time_may_stand_in_either_order() {
    let mut run = Run::new();
    for _ in 0..2 {
        run.send();
    }
    run.plant(ANNS, |got| turn_round(got));
    run.plant(BOBS, |got| turn_round(got));
    run.history.acked(SendNo(0), "m0", 2);
    run.history.acked(SendNo(1), "m1", 1);
    assert_eq!(run.check(), [""; 0]);
}

#[test]
fn sends_one_after_the_other_must_keep_their_order() {
    let mut run = Run::of_three();
    run.plant(BOBS, |got| turn_round(got));
    assert_eq!(
        run.check(),
        [
            "bob: message 2 (ann → bob) stands before message 1 (ann → bob), which was acknowledged \
             before it was sent",
            "bob: message 2 (ann → bob) stands before message 0 (ann → bob), which was acknowledged \
             before it was sent",
        ]
    );
}

#[test]
fn an_invented_message_is_found() {
    for send in [None, Some(SendNo(77))] {
        let mut run = Run::of_three();
        run.plant(BOBS, |got| got.push(Got { seq: 4, send, id: "m9" }));
        assert_eq!(
            run.check(),
            [
                "bob's phone: entry 4 is a message that nobody sent",
                "bob's pc: entry 4 is a message that nobody sent",
            ]
        );
    }
}

#[test]
fn a_refused_message_must_not_be_seen() {
    let mut run = Run::of_three();
    let send = run.send();
    run.history.refused(send);
    run.plant(ANNS, |got| got.truncate(3));
    run.got[2].pop();
    run.terminals[2].left();
    assert_eq!(run.check(), ["bob's pc: entry 4 is message 3 (ann → bob), which was refused"]);
}

#[test]
fn a_message_of_others_is_found() {
    let mut run = Run::of_three();
    let eve = run.history.user("eve");
    let mut terminal = run.history.terminal(eve, "pc", 0);
    terminal.message(1, Some(SendNo(0)), "m0");
    run.history.add(terminal);
    assert_eq!(
        run.check(),
        ["eve's pc: entry 1 is message 0 (ann → bob), which is none of this user's"]
    );
}

#[test]
fn another_message_id_than_acknowledged_is_found() {
    let mut run = Run::of_three();
    run.plant(BOBS, |got| got[0].id = "other");
    let found = run.check();
    assert_eq!(found.len(), 2);
    assert!(found[0].ends_with("with another message_id than its sender was told"), "{found:?}");
}

#[test]
fn another_place_than_acknowledged_is_found() {
    let mut run = Run::of_three();
    run.history.acked(SendNo(2), "m2", 9);
    assert_eq!(
        run.check(),
        [
            "ann's phone: message 2 (ann → bob) stands at 3, but its sender was told 9",
            "ann's pc: message 2 (ann → bob) stands at 3, but its sender was told 9",
        ]
    );
}

#[test]
fn an_unknown_message_is_everywhere_or_nowhere() {
    let everywhere = |run: &mut Run| {
        run.send();
    };
    let nowhere = |run: &mut Run| {
        run.history.intend(run.ann, run.bob);
    };
    for plant in [everywhere, nowhere] {
        let mut run = Run::of_three();
        plant(&mut run);
        assert_eq!(run.check(), [""; 0]);
    }
    let mut run = Run::of_three();
    run.send();
    run.plant(BOBS, |got| got.truncate(3));
    assert_eq!(
        run.check(),
        ["message 3 (ann → bob), given up by its sender, came to 2 of 4 terminals"]
    );
}

#[test]
fn a_terminal_that_came_later_needs_only_what_follows() {
    let mut run = Run::of_three();
    let mut late = run.history.terminal(run.bob, "watch", 3);
    let send = run.send();
    run.history.acked(send, "m3", 4);
    late.message(4, Some(send), "m3");
    run.history.add(late);
    assert_eq!(run.check(), [""; 0]);
}

#[test]
fn events_take_places_and_are_no_messages() {
    let mut history = History::default();
    let ann = history.user("ann");
    let mut phone = history.terminal(ann, "phone", 0);
    let note = history.intend(ann, ann);
    phone.event(1);
    phone.message(2, Some(note), "m");
    history.acked(note, "m", 2);
    history.add(phone);
    assert_eq!(history.check(), []);
}

/// Bob's pc came when the message was gone.
fn with_a_tombstone(seq: i64, id: &str) -> Vec<String> {
    let mut run = Run::of_three();
    let got = std::mem::take(&mut run.got[3]);
    for Got { seq, send, id } in &got[..2] {
        run.terminals[3].message(*seq, *send, id);
    }
    run.terminals[3].tombstone(seq, id);
    run.check()
}

#[test]
fn a_tombstone_stands_for_its_message() {
    assert_eq!(with_a_tombstone(3, "m2"), [""; 0]);
}

#[test]
fn a_tombstone_of_nothing_or_elsewhere_is_found() {
    let found = with_a_tombstone(3, "m9");
    assert!(found.contains(&"bob's pc: entry 3 is a message that nobody sent".to_owned()));
    assert!(
        found.contains(&"bob's pc: message 2 (ann → bob), acknowledged, never came".to_owned())
    );
    let found = with_a_tombstone(3, "m1");
    let twice = "bob's pc: message 1 (ann → bob) stands at 2 and again at 3";
    assert!(found.contains(&twice.to_owned()), "{found:?}");
}

proptest! {
    #[test]
    fn a_body_carries_its_number(run: u32, number: u32, size in Marks::SMALLEST..200) {
        let marks = Marks::new(run, size);
        let body = marks.body(SendNo(number));
        prop_assert_eq!(body.len(), size);
        prop_assert_eq!(marks.read(&body), Some(SendNo(number)));
        prop_assert_eq!(Marks::new(!run, size).read(&body), None);
        prop_assert_eq!(marks.read(&body[1..]), None);
    }

    /// Whatever the server does to one delivery, it does not go unnoticed.
    #[test]
    fn no_single_fault_goes_unnoticed(terminal in 0..4_usize, place in 0..3_usize, fault in 0..5) {
        let mut run = Run::of_three();
        let got = &mut run.got[terminal];
        match fault {
            0 => { got.remove(place); }
            1 => { let again = got[place]; got.push(again); }
            2 => got[place].id = "other",
            3 => got[place].seq += 10,
            _ => got[place].send = Some(SendNo(u32::try_from((place + 1) % 3).expect("small"))),
        }
        prop_assert!(!run.check().is_empty());
    }
}

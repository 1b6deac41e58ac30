//! `imctl demo`

use insta::assert_snapshot;

use super::Shell;
use crate::support::process::DataFolder;

#[tokio::test]
async fn the_demo_passes_and_shows_each_step() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    assert_snapshot!(shell.imctl(&["demo"]).await, @r#"
    One account, every terminal, all of its history
       imd 0.1.0 at http://[address]

    1  Alice and Bob, each on a phone and a pc
       ✓ two new users  demo-alice-[tag], demo-bob-[tag]
       ✓ all four are logged in and online  [ms]  each follows its timeline

    2  Alice writes on her phone
       "Dinner at eight?"
       ✓ alice's phone has it  [ms]  the sender finds it in her own timeline
       ✓ alice's pc has it  [ms]  and so does her other terminal
       ✓ bob's phone has it  [ms]
       ✓ bob's pc has it  [ms]

    3  Bob answers on his pc
       ✓ all four terminals have it  [ms]  "Gladly. Where?"

    4  They go on, on whatever is at hand
       ✓ alice's pc is heard everywhere  [ms]  "The small place by the river."
       ✓ bob's phone is heard everywhere  [ms]  "The one with the blue door?"
       ✓ alice's phone is heard everywhere  [ms]  "That one. I booked for two."
       ✓ bob's pc is heard everywhere  [ms]  "Do they still have the pear cake?"
       ✓ alice's pc is heard everywhere  [ms]  "They do, I asked."
       ✓ bob's phone is heard everywhere  [ms]  "Then I am on my way."
       ✓ alice's phone is heard everywhere  [ms]  "It is four in the afternoon!"
       ✓ bob's pc is heard everywhere  [ms]  "It is a long walk."
       ✓ alice's pc is heard everywhere  [ms]  "Take the tram, line 7."
       ✓ bob's phone is heard everywhere  [ms]  "See you at eight."

    5  Alice logs in on a second phone
       ✓ alice's phone is told  [ms]
           REPLACED by alice's new phone, [time]
       ✓ its tokens are refused, for that reason  access and refresh token
       ✓ alice's pc stays, and finds it in its timeline

    6  Alice logs in on a pad that was never there before
       ✓ it finds the conversation  user:demo-bob-[tag]
       ✓ page 1 has 5 messages  [ms]  back to "Then I am on my way."
       ✓ page 2 has 5 messages  [ms]  back to "The small place by the river."
       ✓ page 3 has 2 messages  [ms]  back to "Dinner at eight?"
       ✓ that is all of it  the conversation begins there

    7  Alice makes a group with Bob and Carol
       ✓ carol's phone is logged in  demo-carol-[tag]
       ✓ all six terminals are told  [ms]  "Dinner"
       ✓ all six terminals have it  [ms]  "Is anybody hungry?"
       ✓ and so it is with one that mentions alice  [ms]  "@alice Always."
       ✓ bob can see who has read it  carol has, alice has not yet
       ✓ carol's phone is told  [ms]  REMOVED
       ✓ she can write to it no more  not_a_member
       ✓ the five that are left have what comes  [ms]  "More cake for us."
       ✓ and carol does not

    8  An administrator ends the session of bob's pc
       ✓ its tokens are refused from that moment  access and refresh token
       ✓ bob's pc is told  [ms]  KICKED "this is a demonstration", [time]
       ✓ bob's phone stays, and finds it in its timeline
       ✓ the four that are left still talk  [ms]  "Bob, are you still there?"

    9  The users are deleted
       ✓ the last five terminals were told  "the demo is over"

    ✓ 39 checks, 16 messages
      from sending to the last terminal: median [ms], slowest [ms]
    "#);
    assert_snapshot!(shell.imctl(&["users", "list"]).await, @"there are no users");
}

#[tokio::test]
async fn the_demo_keeps_to_the_terminal_rules_and_leaves_no_user_behind() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    shell.imctl(&["terminals", "set", "phone", "pad", "--exclusive"]).await;
    let played = shell.imctl(&["demo"]).await;
    assert!(played.contains("Alice logs in on a web that was never there before"), "{played}");
    let wide = played.lines().find(|line| line.chars().count() > 80);
    assert_eq!(wide, None, "it fits 80 columns");

    shell.imctl(&["terminals", "set", "phone", "pad", "pc", "watch", "web", "--exclusive"]).await;
    let refused = shell.failing_imctl(&["demo"]).await;
    assert!(refused.contains("phone (1 session, not beside pad, pc, watch, web)"), "{refused}");
    assert_snapshot!(shell.imctl(&["users", "list"]).await, @"there are no users");
}

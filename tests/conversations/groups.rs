//! Groups in the list: their references are folded, counted and hidden as copies are.

use futures::future::join_all;

use super::fill;
use crate::{
    groups::{IN_OSLO, OSLO, group_of, text},
    support::{
        api::{GroupCall, Outgoing},
        cluster::Cluster,
        eventually, on_both_transports,
        terminal::Terminal,
        types::Conversation,
    },
};

on_both_transports! {
    a_group_stands_where_its_newest_message_does,
    a_group_is_folded_into_a_row_as_others_are,
    a_group_that_moves_while_pages_are_read_is_met,
    any_number_of_messages_hides_no_mention,
    an_answer_that_is_recalled_is_an_answer,
    what_a_member_no_longer_has_is_not_shown,
    who_is_removed_keeps_the_conversation_as_it_was,
}

async fn ids(terminal: &Terminal) -> Vec<String> {
    terminal.conversations(1000).await.into_iter().map(|c| c.conversation_id).collect()
}

/// The conversation with Oslo, once its newest message says `text`.
async fn once_newest(terminal: &Terminal, text: &str) -> Conversation {
    eventually("the newest message", async || {
        let listed = terminal.conversations(1000).await;
        let found = listed.into_iter().find(|c| c.conversation_id == IN_OSLO)?;
        (found.last_message.as_message()?.content.is_some() && found.last_message.text() == text)
            .then_some(found)
    })
    .await
}

/// Sends `count` texts to Oslo, and then one more.
async fn talk(terminal: &Terminal, count: usize, last: &str) {
    join_all((0..count).map(async |n| terminal.say(IN_OSLO, &n.to_string()).await)).await;
    terminal.say(IN_OSLO, last).await;
}

async fn a_group_stands_where_its_newest_message_does(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    assert_eq!(ids(&ben).await, [] as [&str; 0], "nobody has said anything yet");
    ann.say(IN_OSLO, "to all").await;
    once_newest(&ben, "to all").await;
    ann.say("ben", "to you").await;
    assert_eq!(ids(&ben).await, ["user:ann", IN_OSLO]);
    ann.say(IN_OSLO, "again").await;
    let listed = once_newest(&ben, "again").await;
    assert_eq!(ids(&ben).await, [IN_OSLO, "user:ann"]);
    assert_eq!((listed.unread_count, listed.peer_read_seq), (2, 0));
    // A change of the group is no message.
    let name = serde_json::json!({ "name": "Oslo in May" });
    ann.say("ben", "see the name").await;
    ann.group(GroupCall::Update(OSLO.to_owned(), name)).await.expect("renamed");
    assert_eq!(ids(&ben).await, ["user:ann", IN_OSLO]);
}

async fn a_group_is_folded_into_a_row_as_others_are(imd: Cluster) {
    let [ann, ben, _cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    talk(&ann, 30, "last").await;
    once_newest(&ben, "last").await;
    fill(&imd, "ben", 300, 1).await;
    assert_eq!(ids(&ben).await.len(), 301);
    assert_eq!(ids(&ben).await.last().map(String::as_str), Some(IN_OSLO));
    let row = "SELECT c.last_seq FROM conversations c JOIN users ON user_no = owner
         WHERE user_id = 'ben' AND conversation < 0";
    let folded: i64 = imd.database.sql().await.query_one(row, &[]).await.expect("a row").get(0);
    assert_eq!(folded, once_newest(&ben, "last").await.last_message.seq);

    // The newest is deleted, the one before is recalled.
    ben.delete(IN_OSLO, folded).await.expect("deleted");
    let before = once_gone_to(&ben, folded - 1).await;
    ann.recall(&before.last_message.message().message_id).await.expect("recalled");
    eventually("the recall", async || {
        let listed = ben.conversations(1000).await.pop()?;
        listed.last_message.message().tombstone.is_some().then_some(())
    })
    .await;
    assert_eq!(ids(&ben).await.last().map(String::as_str), Some(IN_OSLO), "it keeps its place");
    ann.say(IN_OSLO, "news").await;
    once_newest(&ben, "news").await;
    assert_eq!(ids(&ben).await.first().map(String::as_str), Some(IN_OSLO));
}

/// The conversation with Oslo, the last of the list, whose newest message stands at `seq`.
async fn once_gone_to(terminal: &Terminal, seq: i64) -> Conversation {
    let listed = terminal.conversations(1000).await.pop().expect("a conversation");
    assert_eq!((listed.conversation_id.as_str(), listed.last_message.seq), (IN_OSLO, seq));
    listed
}

async fn a_group_that_moves_while_pages_are_read_is_met(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    ann.say(IN_OSLO, "first of all").await;
    once_newest(&ben, "first of all").await;
    for peer in ["cleo", "dan", "eve"] {
        imd.user_with_phone(peer).await.say("ben", "hello").await;
    }
    let first = ben.api.conversations(&ben.token, 2, "").await.expect("a page");
    ann.say(IN_OSLO, "moved").await;
    once_newest(&ben, "moved").await;
    let (mut met, mut token) = (Vec::new(), first.next_page_token);
    while !token.is_empty() {
        let page = ben.api.conversations(&ben.token, 2, &token).await.expect("a page");
        met.extend(page.conversations.into_iter().map(|c| c.conversation_id));
        token = page.next_page_token;
    }
    assert_eq!(met, ["user:cleo", IN_OSLO]);
}

async fn any_number_of_messages_hides_no_mention(imd: Cluster) {
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    let mention = Outgoing { mentions: vec!["ben".to_owned()], ..text("@ben") };
    ann.send(&mention).await.expect("sent");
    talk(&cleo, 250, "so much").await;
    let listed = once_newest(&ben, "so much").await;
    assert_eq!((listed.unread_count, listed.unread_mentions), (100, 1));
    let listed = once_newest(&ann, "so much").await;
    assert_eq!((listed.unread_count, listed.unread_mentions), (100, 0));
    ben.say(IN_OSLO, "well").await;
    let listed = once_newest(&ben, "well").await;
    assert_eq!((listed.unread_count, listed.unread_mentions), (0, 0), "it has answered");
    talk(&cleo, 150, "and more").await;
    let listed = once_newest(&ben, "and more").await;
    assert_eq!((listed.unread_count, listed.unread_mentions), (100, 0));
}

async fn an_answer_that_is_recalled_is_an_answer(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    ann.send(&Outgoing { mention_all: true, ..text("all of you?") }).await.expect("sent");
    once_newest(&ben, "all of you?").await;
    let answer = ben.say(IN_OSLO, "yes").await;
    // The group's owner may recall what others say.
    ann.recall(&answer.message_id).await.expect("recalled");
    let listed = eventually("the recall", async || {
        let listed = ben.conversation(IN_OSLO).await;
        listed.last_message.message().tombstone.is_some().then_some(listed)
    })
    .await;
    assert_eq!((listed.unread_count, listed.unread_mentions, listed.read_seq), (0, 0, 0));
    ann.say(IN_OSLO, "no?").await;
    let listed = once_newest(&ben, "no?").await;
    assert_eq!((listed.unread_count, listed.unread_mentions), (1, 0));
}

async fn what_a_member_no_longer_has_is_not_shown(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    ann.say(IN_OSLO, "to all").await;
    once_newest(&ben, "to all").await;
    ann.say("ben", "to you").await;
    imd.admin().set_limits("ben", None, Some(1)).await.expect("limits");
    assert_eq!(ids(&ben).await, ["user:ann"]);
    assert_eq!(ids(&ann).await, ["user:ben", IN_OSLO], "the limit is that of the other member");
    ann.send(&Outgoing { mention_all: true, ..text("again") }).await.expect("sent");
    let listed = once_newest(&ben, "again").await;
    assert_eq!((listed.unread_count, listed.unread_mentions), (1, 1));
    assert_eq!(ids(&ben).await, [IN_OSLO]);
}

async fn who_is_removed_keeps_the_conversation_as_it_was(imd: Cluster) {
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    ann.say(IN_OSLO, "before").await;
    ann.group(GroupCall::Remove(OSLO.to_owned(), "ben".to_owned())).await.expect("removed");
    ann.say(IN_OSLO, "after").await;
    once_newest(&cleo, "after").await;
    let listed = once_newest(&ben, "before").await;
    assert_eq!(listed.unread_count, 1);
    ben.mark_read(IN_OSLO, listed.last_message.seq).await.expect("marked");
    assert_eq!(ben.conversation(IN_OSLO).await.unread_count, 0);
}

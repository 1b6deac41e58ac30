//! Messages between users.

use std::collections::BTreeSet;

use imd::config::Settings;
use time::{Duration, OffsetDateTime};

use super::{index, indexed, words};
use crate::{
    append::assert_dense,
    support::{
        api::Outgoing, cluster::Cluster, on_both_transports, terminal::Terminal, types::SearchCall,
    },
};

on_both_transports! {
    words_are_found_in_ones_own_messages_before_and_after_they_are_indexed,
    two_characters_of_chinese_japanese_and_korean_are_found,
    a_search_is_narrowed_to_a_conversation_a_sender_and_a_time,
    pages_neither_repeat_nor_omit_whatever_comes_meanwhile,
    what_is_gone_is_not_found_from_the_moment_that_the_call_has_returned,
    what_was_edited_is_found_as_it_is_now,
    what_a_tier_hides_is_not_found,
    what_a_deleted_user_sent_is_found_until_it_is_erased,
    a_wrong_search_is_refused,
    a_deployment_that_does_not_search_says_so,
    an_administrator_searches_for_a_user_and_leaves_a_record,
}

/// Ann and Bob, on a phone each.
async fn ann_and_bob(imd: &Cluster) -> [Terminal; 2] {
    [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await]
}

async fn words_are_found_in_ones_own_messages_before_and_after_they_are_indexed(imd: Cluster) {
    let [ann, bob] = ann_and_bob(&imd).await;
    let cleo = imd.user_with_phone("cleo").await;
    ann.say("bob", "The train leaves at six").await;
    bob.say("ann", "Which TRAIN?").await;
    ann.say("ann", "buy training shoes").await;
    ann.send(&Outgoing::data("bob", "text/plain", b"a train in data")).await.expect("sent");
    cleo.say("bob", "my train is late").await;
    for _ in 0..2 {
        assert_eq!(
            ann.found("train").await,
            ["buy [train]ing shoes", "Which [TRAIN]?", "The [train] leaves at six"]
        );
        assert_eq!(ann.found("leave train").await, ["The [train] [leave]s at six"]);
        assert_eq!(ann.found("rain").await, [""; 0]);
        assert_eq!(bob.found("train").await.len(), 3);
        assert_eq!(cleo.found("train").await, ["my [train] is late"]);
        index(&imd).await;
    }
    // Of data nothing is indexed.
    assert_eq!(indexed(&imd, "train").await, 2 * 2 + 2);
    let page = ann.search(&words("train leaves")).await.expect("a page");
    let newest = &ann.history("bob", 0, "").await.expect("a page").entries;
    assert_eq!(Some(&page.results[0].0), newest.last(), "as the history has it");
    assert_eq!(page.next_page_token, "");
    assert_dense(&imd.database).await;
}

async fn two_characters_of_chinese_japanese_and_korean_are_found(imd: Cluster) {
    let [ann, bob] = ann_and_bob(&imd).await;
    for text in ["我住在北京市", "明日は東京タワーへ", "우리는 학교에 간다", "北方的南京"]
    {
        ann.say("bob", text).await;
    }
    for _ in 0..2 {
        for (q, found) in [
            ("北京", "我住在[北京]市"),
            ("東京", "明日は[東京]タワーへ"),
            ("ﾀﾜｰ", "明日は東京[タワー]へ"),
            ("학교", "우리는 [학교]에 간다"),
            ("市", "我住在北京[市]"),
        ] {
            for terminal in [&ann, &bob] {
                assert_eq!(terminal.found(q).await, [found], "{q}");
            }
        }
        assert_eq!(bob.found("京").await.len(), 3);
        index(&imd).await;
    }
}

async fn a_search_is_narrowed_to_a_conversation_a_sender_and_a_time(imd: Cluster) {
    let [ann, bob] = ann_and_bob(&imd).await;
    imd.user_with_phone("cleo").await;
    ann.say("bob", "news 1").await;
    bob.say("ann", "news 2").await;
    let third = ann.say("cleo", "news 3").await;
    ann.say("bob", "news 4").await;
    let found = async |asked: SearchCall| -> Vec<String> {
        let page = ann.search(&SearchCall { q: "news".to_owned(), ..asked }).await;
        let page = page.expect("a page");
        page.results.iter().map(|(entry, _)| entry.text()["news ".len()..].to_owned()).collect()
    };
    let of = |conversation_id: &str, from: &str| SearchCall {
        conversation_id: conversation_id.to_owned(),
        from: from.to_owned(),
        ..SearchCall::default()
    };
    for _ in 0..2 {
        assert_eq!(found(of("", "")).await, ["4", "3", "2", "1"]);
        assert_eq!(found(of("user:bob", "")).await, ["4", "2", "1"]);
        assert_eq!(found(of("user:bob", "ann")).await, ["4", "1"]);
        assert_eq!(found(of("", "bob")).await, ["2"]);
        assert_eq!(found(of("user:cleo", "bob")).await, [""; 0]);
        let at = Some(third.sent_at);
        let after = SearchCall { after: at, ..SearchCall::default() };
        assert_eq!(found(after.clone()).await, ["4", "3"]);
        let before = SearchCall { before: at, ..SearchCall::default() };
        assert_eq!(found(before).await, ["2", "1"]);
        let between = Some(third.sent_at + Duration::MICROSECOND);
        assert_eq!(found(SearchCall { before: between, ..after }).await, ["3"]);
        index(&imd).await;
    }
}

async fn pages_neither_repeat_nor_omit_whatever_comes_meanwhile(imd: Cluster) {
    let [ann, bob] = ann_and_bob(&imd).await;
    for n in 0..25 {
        let (from, to) = if n % 2 == 0 { (&ann, "bob") } else { (&bob, "ann") };
        from.say(to, &format!("word {n}")).await;
        from.say(to, "something else").await;
    }
    let (mut seen, mut token) = (Vec::new(), String::new());
    for round in 0.. {
        let asked = SearchCall { page_size: 3, page_token: token, ..words("word") };
        let page = ann.search(&asked).await.expect("a page");
        assert!(page.results.len() <= 3);
        seen.extend(page.results.iter().map(|(entry, _)| entry.text().to_owned()));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
        match round {
            1 => drop(bob.say("ann", "word of now").await),
            // The rest is found by the index, what was found before was not.
            2 => index(&imd).await,
            4 => {
                let oldest = ann.search(&words("word 0")).await.expect("a page").results.pop();
                ann.delete("bob", oldest.expect("a message").0.seq).await.expect("deleted");
            }
            _ => {}
        }
    }
    let all: Vec<String> = (1..25).rev().map(|n| format!("word {n}")).collect();
    assert_eq!(seen, all);
    let unique: BTreeSet<_> = seen.iter().collect();
    assert_eq!(unique.len(), seen.len());
}

async fn what_is_gone_is_not_found_from_the_moment_that_the_call_has_returned(imd: Cluster) {
    let [ann, bob] = ann_and_bob(&imd).await;
    for round in 0..2 {
        let recalled = ann.say("bob", "secret one").await;
        let kept = ann.say("bob", "secret two").await;
        if round == 1 {
            index(&imd).await;
            assert_eq!(indexed(&imd, "one").await, 2);
        }
        assert_eq!(bob.found("secret").await.len(), 2);
        ann.recall(&recalled.message_id).await.expect("recalled");
        assert_eq!(ann.found("secret").await, ["[secret] two"]);
        assert_eq!(bob.found("secret").await, ["[secret] two"]);
        assert_eq!(indexed(&imd, "one").await, 0, "nothing is left of its words");
        ann.delete("bob", kept.seq).await.expect("deleted");
        assert_eq!(ann.found("secret").await, [""; 0]);
        assert_eq!(bob.found("secret").await, ["[secret] two"], "the copy of the other stays");
        index(&imd).await;
        assert_eq!((indexed(&imd, "one").await, indexed(&imd, "two").await), (0, 1));
        let seq = bob.history("ann", 1, "").await.expect("a page").entries[0].seq;
        bob.delete("ann", seq).await.expect("deleted");
        assert_eq!(indexed(&imd, "two").await, 0);
    }
}

async fn what_was_edited_is_found_as_it_is_now(imd: Cluster) {
    let [ann, bob] = ann_and_bob(&imd).await;
    for round in 0..2 {
        let sent = ann.say("bob", "meet at noon").await;
        if round == 1 {
            index(&imd).await;
        }
        ann.edit(&sent.message_id, "meet at dusk").await.expect("edited");
        for terminal in [&ann, &bob] {
            assert_eq!(terminal.found("noon").await, [""; 0]);
            assert_eq!(terminal.found("dusk").await.len(), round + 1);
        }
        index(&imd).await;
        assert_eq!(indexed(&imd, "noon").await, 0);
        assert_eq!(bob.found("dusk").await.len(), round + 1);
    }
}

async fn what_a_tier_hides_is_not_found(imd: Cluster) {
    let [ann, bob] = ann_and_bob(&imd).await;
    for n in 0..4 {
        ann.say("bob", &format!("word {n}")).await;
    }
    for _ in 0..2 {
        imd.admin().set_limits("ann", None, Some(2)).await.expect("limits");
        assert_eq!(ann.found("word").await, ["[word] 3", "[word] 2"]);
        assert_eq!(bob.found("word").await.len(), 4);
        imd.admin().set_limits("ann", None, None).await.expect("no limits");
        assert_eq!(ann.found("word").await.len(), 4);
        index(&imd).await;
    }
    let at_once =
        |settings: &mut Settings| settings.retention.purge_after = std::time::Duration::ZERO;
    let (node, _) = imd.start_node_with(at_once).await;
    imd.admin().set_limits("ann", None, Some(1)).await.expect("limits");
    node.admin().purge().await.expect("a purge");
    assert_eq!(ann.found("word").await, ["[word] 3"]);
    assert_eq!(indexed(&imd, "word").await, 1 + 4);
}

async fn what_a_deleted_user_sent_is_found_until_it_is_erased(imd: Cluster) {
    let [ann, bob] = ann_and_bob(&imd).await;
    let cleo = imd.user_with_phone("cleo").await;
    ann.say("bob", "word of ann").await;
    cleo.say("bob", "word of cleo").await;
    bob.say("ann", "word of bob").await;
    index(&imd).await;
    for (user, erase_sent) in [("ann", true), ("cleo", false)] {
        imd.admin().delete(user, erase_sent).await.expect("deleted");
    }
    assert_eq!(bob.found("word").await, ["[word] of bob", "[word] of cleo"]);
    assert_eq!(indexed(&imd, "word").await, 2, "those of bob's timeline are left");
    let progress = "SELECT count(*) FROM search_progress";
    let left: i64 = imd.database.sql().await.query_one(progress, &[]).await.expect("one").get(0);
    assert_eq!(left, 1);
}

async fn a_wrong_search_is_refused(imd: Cluster) {
    let [ann, _] = ann_and_bob(&imd).await;
    ann.say("bob", "word 1").await;
    ann.say("bob", "word 2").await;
    let now = Some(OffsetDateTime::now_utc());
    let first = ann.search(&SearchCall { page_size: 1, ..words("word") }).await.expect("a page");
    let token = first.next_page_token;
    assert!(!token.is_empty());
    for (asked, field) in [
        (words(""), "q"),
        (words("?!"), "q"),
        (words("a\0b"), "q"),
        (words(&"x".repeat(201)), "q"),
        (SearchCall { conversation_id: "bob".to_owned(), ..words("x") }, "conversation_id"),
        (SearchCall { from: "b b".to_owned(), ..words("x") }, "from"),
        (SearchCall { after: now, before: now, ..words("x") }, "before"),
        (SearchCall { page_size: -1, ..words("x") }, "page_size"),
        (SearchCall { page_token: "x".to_owned(), ..words("x") }, "page_token"),
        (SearchCall { page_token: token.clone(), ..words("words") }, "page_token"),
        (SearchCall { page_token: token, from: "ann".to_owned(), ..words("word") }, "page_token"),
    ] {
        let refused = ann.search(&asked).await.expect_err("a wrong search");
        assert_eq!((refused.code.as_str(), refused.field()), ("invalid_argument", field));
    }
    for (asked, code) in [
        (SearchCall { from: "nobody".to_owned(), ..words("x") }, "user_not_found"),
        (SearchCall { conversation_id: "user:nobody".to_owned(), ..words("x") }, "user_not_found"),
        (SearchCall { conversation_id: "group:none".to_owned(), ..words("x") }, "group_not_found"),
    ] {
        assert_eq!(ann.search(&asked).await.expect_err("a wrong search").code, code);
    }
}

async fn a_deployment_that_does_not_search_says_so(imd: Cluster) {
    let without = |settings: &mut Settings| settings.messages.search = false;
    let (_node, api) = imd.start_node_with(without).await;
    let ann = imd.user_with_phone("ann").await.through(api);
    assert_eq!(ann.search(&words("x")).await.expect_err("none").code, "search_disabled");
}

async fn an_administrator_searches_for_a_user_and_leaves_a_record(imd: Cluster) {
    let [ann, bob] = ann_and_bob(&imd).await;
    ann.say("bob", "word 1").await;
    bob.say("ann", "word 2").await;
    let admin = imd.admin();
    let found = admin.search("bob", &words("word")).await.expect("a page");
    assert_eq!(found, bob.search(&words("word")).await.expect("a page"));
    let records = admin.audit("bob", 0, "").await.expect("records").records;
    let record = (records[0].action.as_str(), records[0].details.as_str());
    assert_eq!(record, ("search_messages", r#"{"q":"word"}"#));
    let refused = admin.search("bob", &words("a\0b")).await.expect_err("nothing that can be kept");
    assert_eq!((refused.code.as_str(), refused.field()), ("invalid_argument", "q"));
    let refused = admin.search("nobody", &words("word")).await.expect_err("no such user");
    assert_eq!(refused.code, "user_not_found");
}

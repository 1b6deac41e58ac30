//! Pages over an order that moves.

use std::collections::BTreeSet;

use crate::support::{cluster::Cluster, on_both_transports, terminal::Terminal};

on_both_transports! {
    a_conversation_that_moves_to_the_front_is_met_all_the_same,
    one_that_moves_and_is_deleted_back_is_met_all_the_same,
    a_listing_ends_whatever_comes_meanwhile,
    a_listing_without_changes_meets_each_once,
}

/// Zed with six conversations, the newest with f.
async fn six(imd: &Cluster) -> (Terminal, Vec<Terminal>) {
    let zed = imd.user_with_phone("zed").await;
    let mut peers = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        let peer = imd.user_with_phone(name).await;
        peer.say("zed", "hello").await;
        peers.push(peer);
    }
    (zed, peers)
}

/// Lists Zed's conversations in pages of `size`; does something after each, with the number of the page.
async fn list(zed: &Terminal, size: i32, mut after: impl AsyncFnMut(usize)) -> Vec<String> {
    let (mut met, mut token) = (Vec::new(), String::new());
    for page in 1..100 {
        let listed = zed.api.conversations(&zed.token, size, &token).await.expect("a page");
        met.extend(listed.conversations.into_iter().map(|c| c.conversation_id));
        if listed.next_page_token.is_empty() {
            return met;
        }
        token = listed.next_page_token;
        after(page).await;
    }
    panic!("the listing does not end: {met:?}");
}

fn ids<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.iter().map(|name| format!("user:{name}")).collect()
}

async fn a_conversation_that_moves_to_the_front_is_met_all_the_same(imd: Cluster) {
    let (zed, peers) = six(&imd).await;
    let met = list(&zed, 2, async |page| {
        if page == 1 {
            peers[0].say("zed", "again").await;
        }
    })
    .await;
    assert_eq!(met, ids(["f", "e", "d", "c", "b", "a"]), "behind the others");
    let met = list(&zed, 2, async |page| {
        if page == 1 {
            peers[2].say("zed", "again").await;
            zed.say("e", "an answer").await;
            peers[1].say("zed", "again").await;
            peers[2].say("zed", "and again").await;
        }
    })
    .await;
    assert_eq!(met, ids(["a", "f", "d", "c", "e", "b"]), "in the order in which they moved");
}

async fn one_that_moves_and_is_deleted_back_is_met_all_the_same(imd: Cluster) {
    let (zed, peers) = six(&imd).await;
    let met = list(&zed, 2, async |page| match page {
        1 => {
            peers[2].say("zed", "again").await;
        }
        2 => {
            let newest = zed.history("c", 1, "").await.expect("a page").entries.remove(0);
            zed.delete("c", newest.seq).await.expect("deleted");
        }
        _ => {}
    })
    .await;
    assert_eq!(BTreeSet::from_iter(met), BTreeSet::from_iter(ids(["a", "b", "c", "d", "e", "f"])));
}

async fn a_listing_ends_whatever_comes_meanwhile(imd: Cluster) {
    let (zed, peers) = six(&imd).await;
    for size in [1, 2, 4] {
        // One conversation after the other moves, each page.
        let met = list(&zed, size, async |page| {
            for n in 0..3 {
                peers[(page * 5 + n) % 6].say("zed", "again").await;
            }
        })
        .await;
        let distinct: BTreeSet<String> = met.iter().cloned().collect();
        assert_eq!(distinct.len(), 6, "pages of {size}: {met:?}");
        assert!(met.len() <= 12, "at most twice each: {met:?}");
    }
}

async fn a_listing_without_changes_meets_each_once(imd: Cluster) {
    let (zed, _peers) = six(&imd).await;
    for size in [1, 2, 3, 5, 6, 7] {
        // An event moves no conversation.
        let met = list(&zed, size, async |page| {
            imd.log_in("zed", "pad", &format!("pad-{page}")).await;
        })
        .await;
        assert_eq!(met, ids(["f", "e", "d", "c", "b", "a"]), "pages of {size}");
    }
}

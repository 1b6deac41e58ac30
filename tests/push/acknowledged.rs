//! Terminals that say how far they have got are told of what was handed over to them in vain.

use super::{bind, provider::Provider, with_webhook};
use crate::support::api::Transport;

#[tokio::test]
async fn i16_what_a_terminal_has_not_said_to_have_is_told() {
    for transport in [Transport::Grpc, Transport::Rest, Transport::WebSocket] {
        let mut provider = Provider::start().await;
        let imd = with_webhook(transport, &provider.url).await;
        let ann = imd.user_with_phone("ann").await;
        let bob = imd.user_with_phone("bob").await;
        bind(&imd, &bob, "phone").await;
        let mut feed = bob.follow_acknowledging("now").await;
        ann.say("bob", "on its way").await;
        let lost = feed.entry().await;
        drop(feed);
        assert_eq!(provider.told(1).await[0].1["text"], "on its way");
        // It comes back, and now it says what it has.
        let mut feed = bob.follow_acknowledging(&lost.cursor).await;
        ann.say("bob", "there").await;
        let there = feed.entry().await;
        bob.acknowledge(&there.cursor).await.expect("noted");
        // One of before, one of another numbering, and one beyond the end change nothing.
        let (epoch, _) = there.cursor.split_once('.').expect("two numbers");
        for other in
            [&lost.cursor, &format!("99999999999999.{}", there.seq), &format!("{epoch}.999")]
        {
            bob.acknowledge(other).await.expect("noted");
        }
        drop(feed);
        provider.gets_nothing().await;
        let mut feed = bob.follow_acknowledging(&there.cursor).await;
        ann.say("bob", "next").await;
        assert_eq!(feed.entry().await.text(), "next");
        drop(feed);
        assert_eq!(provider.told(1).await[0].1["text"], "next", "{transport:?}");
        for cursor in ["", "0", "now", "7", "a.b", "-1.5"] {
            let refused = bob.acknowledge(cursor).await.expect_err("no cursor");
            assert_eq!(refused.field(), "cursor", "{cursor}");
        }
    }
}

//! What happens while a mark, a recall or a deletion waits for its locks: the kick that is first in the
//! queue wins (I3).

use imd_proto::v1::kick_sessions_request::Which;

use super::{
    held::{Held, waiting_for_locks},
    node::{Node, Plan},
};
use crate::{
    append::assert_dense,
    support::{
        api::Result,
        postgres::Database,
        terminal::Terminal,
        types::{Kind, Sent},
        within_deadline,
    },
};

/// A node, ann and ben on their phones, and a message from ann to ben.
struct Stage {
    node: Node,
    database: Database,
    ann: Terminal,
    ben: Terminal,
    sent: Sent,
}

impl Stage {
    async fn start() -> Self {
        let database = Database::create().await;
        let node = Plan::on(database.url()).start().await;
        node.create_users(&["ann", "ben"]).await;
        let (ann, ben) = (node.log_in("ann", "phone").await, node.log_in("ben", "phone").await);
        let sent = ann.say("ben", "hello").await;
        Self { node, database, ann, ben, sent }
    }

    /// Ann is kicked while `change` is behind the kick in the queue for her timeline.
    async fn kicked_before<T>(&self, change: impl Future<Output = Result<T>>) -> Result<T> {
        let held = Held::timeline_of("ann", &self.database).await;
        let admin = self.node.admin();
        let kick = admin.kick("ann", Some(Which::All(true)), "lost phone");
        let changing = async {
            waiting_for_locks(1, &self.database).await;
            change.await
        };
        let release = async {
            waiting_for_locks(2, &self.database).await;
            held.release().await;
        };
        let all = async { tokio::join!(kick, changing, release) };
        let (kicked, changed, ()) = within_deadline("all of it", Box::pin(all)).await;
        assert_eq!(kicked.expect("a kick").len(), 1);
        changed
    }

    /// Nothing has come of what was refused: ann's kick is her last entry, and ben learned nothing.
    async fn assert_unchanged(&self) {
        assert_dense(&self.database).await;
        let phone = self.node.log_in("ann", "phone").await;
        let of_ann = phone.timeline().await;
        let kinds: Vec<_> = of_ann[1..].iter().map(|entry| &entry.kind).collect();
        let [Kind::Message(message), Kind::SessionChanged(_), Kind::SessionChanged(_)] = kinds[..]
        else {
            panic!("{kinds:?}");
        };
        assert_eq!(message.tombstone, None);
        assert_eq!(self.ben.timeline().await.pop().expect("a message").text(), "hello");
        assert_eq!(phone.conversation("ben").await.read_seq, 0);
    }
}

#[tokio::test]
async fn i3_a_reader_kicked_while_its_mark_waits_is_refused() {
    let stage = Stage::start().await;
    let marked = stage.kicked_before(stage.ann.mark_read("ben", stage.sent.seq)).await;
    assert_eq!(marked.expect_err("a refusal").end_reason(), "KICKED");
    stage.assert_unchanged().await;
}

#[tokio::test]
async fn i3_a_sender_kicked_while_its_recall_waits_is_refused() {
    let stage = Stage::start().await;
    let recalled = stage.kicked_before(stage.ann.recall(&stage.sent.message_id)).await;
    assert_eq!(recalled.expect_err("a refusal").end_reason(), "KICKED");
    stage.assert_unchanged().await;
}

#[tokio::test]
async fn i3_an_owner_kicked_while_its_deletion_waits_is_refused() {
    let stage = Stage::start().await;
    let deleted = stage.kicked_before(stage.ann.delete("ben", stage.sent.seq)).await;
    assert_eq!(deleted.expect_err("a refusal").end_reason(), "KICKED");
    stage.assert_unchanged().await;
}

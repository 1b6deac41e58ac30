//! Transactions that meet another one and are run again. PostgreSQL raises the errors, by a trigger: a
//! deadlock cannot be had on demand.

use crate::support::{api::Outgoing, api::Transport, cluster::Cluster};

/// Fails the first two transactions that change a timeline, with each of the two codes. A sequence is
/// not rolled back.
const TROUBLE: &str = "
    CREATE SEQUENCE public.met;
    CREATE FUNCTION meet() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE no bigint := nextval('public.met');
    BEGIN
        IF no = 1 THEN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END IF;
        IF no = 2 THEN RAISE EXCEPTION 'could not serialize access' USING ERRCODE = '40001'; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER meet BEFORE UPDATE ON timelines FOR EACH ROW EXECUTE FUNCTION meet();";

#[tokio::test]
async fn a_transaction_that_meets_another_is_run_again() {
    let imd = Cluster::start(Transport::Grpc).await;
    let (ann, bob) = (imd.user_with_phone("ann").await, imd.user_with_phone("bob").await);
    let sql = imd.database.sql().await;
    sql.batch_execute(TROUBLE).await.expect("a trigger");
    let trouble = async || {
        let met: i64 = sql.query_one("SELECT last_value FROM met", &[]).await.expect("it").get(0);
        sql.batch_execute("ALTER SEQUENCE met RESTART").await.expect("again");
        met
    };
    let sent = ann.send(&Outgoing::text("bob", "hello")).await.expect("a message");
    assert!(trouble().await > 2, "the send met another transaction");
    imd.log_in("bob", "pc", "pc-of-bob").await;
    assert!(trouble().await > 2, "the login met another transaction");
    let seq = bob.timeline().await.last().expect("an entry").seq;
    bob.mark_read("ann", seq).await.expect("a read mark");
    assert!(trouble().await > 2, "the read mark met another transaction");
    ann.recall(&sent.message_id).await.expect("a recall");
    assert!(trouble().await > 2, "the recall met another transaction");
    ann.block("bob").await.expect("a block");
    assert!(trouble().await > 2, "the block met another transaction");
    bob.logout().await.expect("a logout");
    assert!(trouble().await > 2, "the logout met another transaction");
    imd.admin().disable("ann", "gone").await.expect("disabled");
    assert!(trouble().await > 2, "the administrator met another transaction");
}

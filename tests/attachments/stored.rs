//! Which messages have attachments, who sees them, and when they are deleted.

use imd::config::Settings;

use super::{collect, file, make, read, upload, with_files};
use crate::{
    groups::{IN_OSLO, OSLO, group_of},
    support::{
        api::{GroupCall, Outgoing},
        cluster::Cluster,
        eventually, on_both_transports,
        types::{Attachment, FileCall},
    },
};

on_both_transports! {
    whoever_sees_a_message_gets_its_files,
    members_get_the_files_of_a_groups_messages,
    a_file_goes_when_no_message_has_it_any_more,
    files_go_with_the_account_and_what_it_sent,
    a_forwarded_message_brings_its_files,
    a_retry_names_the_same_files,
    a_wrong_file_is_refused,
    the_attachments_of_a_user_are_limited,
}

async fn whoever_sees_a_message_gets_its_files(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let carl = imd.user_with_phone("carl").await;
    let [one, two] =
        [upload(&imd, &ann, "one.txt", b"1").await, upload(&imd, &ann, "zwei.txt", b"22").await];
    let mut feed = bob.follow("now").await;
    let sent = ann.send(&with_files("bob", "two files", &[&one, &two])).await.expect("sent");
    let attachment = |id: &str, name: &str, size| Attachment {
        attachment_id: id.to_owned(),
        file_name: name.to_owned(),
        content_type: "text/plain".to_owned(),
        size,
        sha256: String::new(),
    };
    let files = [attachment(&one, "one.txt", 1), attachment(&two, "zwei.txt", 2)];
    assert_eq!(feed.entries(1).await[0].message().attachments, files);
    for (terminal, peer) in [(&ann, "bob"), (&bob, "ann")] {
        let page = terminal.history(peer, 0, "").await.expect("a page");
        assert_eq!(page.entries[0].message().attachments, files);
        assert_eq!(read(&imd, terminal, &sent, &one).await.as_deref(), Ok("1"));
        assert_eq!(read(&imd, terminal, &sent, &two).await.as_deref(), Ok("22"));
    }
    assert_eq!(read(&imd, &carl, &sent, &one).await, Err("message_not_found".to_owned()));
    let plain = ann.say("bob", "none").await;
    assert_eq!(read(&imd, &bob, &plain, &one).await, Err("attachment_not_found".to_owned()));
}

async fn members_get_the_files_of_a_groups_messages(imd: Cluster) {
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    let id = upload(&imd, &ann, "plan.txt", b"plan").await;
    let sent = ann.send(&with_files(IN_OSLO, "the plan", &[&id])).await.expect("sent");
    ann.group(GroupCall::Remove(OSLO.to_owned(), "cleo".to_owned())).await.expect("removed");
    let later = upload(&imd, &ann, "later.txt", b"later").await;
    let second = ann.send(&with_files(IN_OSLO, "later", &[&later])).await.expect("sent");
    for member in [&ann, &ben, &cleo] {
        let read = eventually("it is there", async || read(&imd, member, &sent, &id).await.ok());
        assert_eq!(read.await, "plan");
    }
    eventually("it is there", async || read(&imd, &ben, &second, &later).await.ok()).await;
    assert_eq!(read(&imd, &cleo, &second, &later).await, Err("message_not_found".to_owned()));
    let page = ben.history(IN_OSLO, 0, "").await.expect("a page");
    assert_eq!(page.entries[0].message().attachments[0].attachment_id, later);
    ann.recall(&sent.message_id).await.expect("recalled");
    for member in [&ann, &ben, &cleo] {
        assert!(read(&imd, member, &sent, &id).await.is_err(), "from the moment of the recall");
    }
    assert_eq!(collect(&imd).await, [later]);
}

async fn a_file_goes_when_no_message_has_it_any_more(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let [recalled, deleted, twice, unused] = [
        upload(&imd, &ann, "a", b"a").await,
        upload(&imd, &ann, "b", b"b").await,
        upload(&imd, &ann, "c", b"c").await,
        upload(&imd, &ann, "d", b"d").await,
    ];
    let first = ann.send(&with_files("bob", "1", &[&recalled])).await.expect("sent");
    let second = ann.send(&with_files("bob", "2", &[&deleted])).await.expect("sent");
    let third = ann.send(&with_files("bob", "3", &[&twice])).await.expect("sent");
    ann.send(&with_files("ann", "4", &[&twice])).await.expect("sent");
    let mut all = [recalled.clone(), deleted.clone(), twice.clone()];
    all.sort();
    assert_eq!(collect(&imd).await, all, "what no message ever had is gone");
    assert!(ann.send(&with_files("bob", "5", &[&unused])).await.is_err());

    let link = bob.api.attachment_link(&bob.token, &first.message_id, &recalled).await;
    let link = link.expect("a link");
    ann.recall(&first.message_id).await.expect("recalled");
    let late = make(&link, imd.node.public_address(), &[]).await;
    assert_eq!(late.status(), 404, "a link from before is good for nothing");
    assert_eq!(read(&imd, &bob, &first, &recalled).await, Err("message_not_found".to_owned()));
    ann.recall(&third.message_id).await.expect("recalled");
    ann.delete("bob", second.seq).await.expect("deleted");
    assert_eq!(read(&imd, &ann, &second, &deleted).await, Err("message_not_found".to_owned()));
    assert_eq!(read(&imd, &bob, &second, &deleted).await.as_deref(), Ok("b"));
    let mut left = [deleted.clone(), twice.clone()];
    left.sort();
    assert_eq!(collect(&imd).await, left);
    let seq = bob.history("ann", 0, "").await.expect("a page").entries[1].seq;
    bob.delete("ann", seq).await.expect("deleted");
    assert_eq!(collect(&imd).await, [twice]);
}

async fn files_go_with_the_account_and_what_it_sent(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let cleo = imd.user_with_phone("cleo").await;
    let of_ann = upload(&imd, &ann, "a", b"a").await;
    let of_cleo = upload(&imd, &cleo, "c", b"c").await;
    let first = ann.send(&with_files("bob", "1", &[&of_ann])).await.expect("sent");
    let second = cleo.send(&with_files("bob", "2", &[&of_cleo])).await.expect("sent");
    imd.admin().delete("ann", true).await.expect("deleted");
    imd.admin().delete("cleo", false).await.expect("deleted");
    assert!(read(&imd, &bob, &first, &of_ann).await.is_err());
    assert_eq!(read(&imd, &bob, &second, &of_cleo).await.as_deref(), Ok("c"));
    assert_eq!(collect(&imd).await, [of_cleo]);
    // The purge of what a tier hides takes the rest.
    let at_once =
        |settings: &mut Settings| settings.retention.purge_after = std::time::Duration::ZERO;
    let (node, _) = imd.start_node_with(at_once).await;
    imd.admin().set_limits("bob", None, Some(0)).await.expect("limits");
    node.admin().purge().await.expect("a purge");
    assert_eq!(collect(&imd).await, [""; 0]);
}

async fn a_forwarded_message_brings_its_files(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let cleo = imd.user_with_phone("cleo").await;
    let id = upload(&imd, &ann, "a", b"a").await;
    let first = ann.send(&with_files("bob", "look", &[&id])).await.expect("sent");
    let second = bob.send(&Outgoing::forward("cleo", &first.message_id)).await.expect("sent");
    ann.recall(&first.message_id).await.expect("recalled");
    assert_eq!(collect(&imd).await, std::slice::from_ref(&id));
    assert_eq!(read(&imd, &cleo, &second, &id).await.as_deref(), Ok("a"));
    let stolen = bob.send(&with_files("cleo", "mine", &[&id])).await.expect_err("it is ann's");
    assert_eq!(stolen.code, "attachment_not_found");
    bob.recall(&second.message_id).await.expect("recalled");
    assert_eq!(collect(&imd).await, [""; 0]);
}

async fn a_retry_names_the_same_files(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    let [one, two] = [upload(&imd, &ann, "1", b"1").await, upload(&imd, &ann, "2", b"2").await];
    let message = with_files("bob", "file", &[&one]);
    let sent = ann.send(&message).await.expect("sent");
    let again = ann.send(&message).await.expect("sent");
    assert_eq!((again.duplicate, again.message_id), (true, sent.message_id));
    for attachments in [vec![two], Vec::new()] {
        let other = Outgoing { attachments, ..message.clone() };
        let refused = ann.send(&other).await.expect_err("another message");
        assert_eq!(refused.code, "client_message_id_conflict");
    }
}

async fn a_wrong_file_is_refused(imd: Cluster) {
    let narrow = |settings: &mut Settings| {
        settings.attachments.max_bytes = 100;
        "image/*, text/plain".clone_into(&mut settings.attachments.types);
    };
    let (_node, api) = imd.start_node_with(narrow).await;
    let ann = imd.user_with_phone("ann").await.through(api);
    let good = file("a.txt", "text/plain", b"abc");
    for (wrong, field) in [
        (FileCall { file_name: String::new(), ..good.clone() }, "file_name"),
        (FileCall { file_name: "a/b".to_owned(), ..good.clone() }, "file_name"),
        (FileCall { file_name: "a\nb".to_owned(), ..good.clone() }, "file_name"),
        (FileCall { file_name: "..\\b".to_owned(), ..good.clone() }, "file_name"),
        (FileCall { file_name: "..".to_owned(), ..good.clone() }, "file_name"),
        (FileCall { file_name: "\u{202e}gpj.exe".to_owned(), ..good.clone() }, "file_name"),
        (FileCall { file_name: "n".repeat(256), ..good.clone() }, "file_name"),
        (
            FileCall { content_type: "image/png, text/html".to_owned(), ..good.clone() },
            "content_type",
        ),
        (
            FileCall { content_type: "text/plain\r\nx: y".to_owned(), ..good.clone() },
            "content_type",
        ),
        (FileCall { content_type: "text".to_owned(), ..good.clone() }, "content_type"),
        (FileCall { content_type: "text/html".to_owned(), ..good.clone() }, "content_type"),
        (FileCall { size: 0, ..good.clone() }, "size"),
        (FileCall { size: 101, ..good.clone() }, "size"),
        (FileCall { sha256: "abc".to_owned(), ..good.clone() }, "sha256"),
    ] {
        let refused = ann.api.create_attachment(&ann.token, &wrong).await.expect_err("wrong");
        assert_eq!((refused.code.as_str(), refused.field()), ("invalid_argument", field));
    }
    let image = FileCall { content_type: "IMAGE/png".to_owned(), ..good };
    let (waiting, _) = ann.api.create_attachment(&ann.token, &image).await.expect("a file");
    let many: Vec<&str> = vec![&waiting; 11];
    for (ids, code) in [
        (vec!["x"], "invalid_argument"),
        (vec![waiting.as_str(), &waiting], "invalid_argument"),
        (many, "invalid_argument"),
        (vec![&waiting], "invalid_argument"),
        (vec!["0199e0a4-5b1c-7c3e-9d2f-3a1b5c7d9e12"], "attachment_not_found"),
    ] {
        let refused = ann.send(&with_files("ann", "x", &ids)).await.expect_err("wrong");
        assert_eq!(refused.code, code, "{ids:?}");
        if code == "invalid_argument" {
            assert_eq!(refused.field(), "attachments");
        }
    }
}

async fn the_attachments_of_a_user_are_limited(imd: Cluster) {
    let little = |settings: &mut Settings| settings.attachments.quota_bytes = 10;
    let (_node, api) = imd.start_node_with(little).await;
    let ann = imd.user_with_phone("ann").await.through(api.clone());
    let bob = imd.user_with_phone("bob").await.through(api);
    let six = file("a", "text/plain", b"sixsix");
    // However many are created at a time.
    let created = (0..16).map(|_| ann.api.create_attachment(&ann.token, &six));
    let created = futures::future::join_all(created).await;
    let (made, refused): (Vec<_>, Vec<_>) = created.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    for refused in refused {
        assert_eq!(refused.expect_err("too much").code, "attachment_quota_used");
    }
    bob.api.create_attachment(&bob.token, &six).await.expect("of another user");
    assert_eq!(collect(&imd).await, [""; 0]);
    ann.api.create_attachment(&ann.token, &six).await.expect("there is room again");
}

//! The Python clients in `clients/python`, against a server.

use crate::support::{
    cluster::PASSWORD,
    packages::{printed, python},
    process::DataFolder,
};

#[tokio::test]
async fn a_python_client_made_from_the_contract_talks_on_several_terminals() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["alice", "bob"]).await;

    let mut example = python("python", "example.py").await;
    example
        .args([&imd.public.to_string(), "alice", "bob"])
        .envs([("ALICE_PASSWORD", PASSWORD), ("BOB_PASSWORD", PASSWORD)]);
    insta::assert_snapshot!(printed(&mut example).await, @r#"
    ok  a phone and a PC are logged in side by side
    ok  Alice's phone has the message
    ok  Alice's PC has the message
    ok  Bob's phone has the message
    ok  sent twice, stored once
    ok  Alice's phone has the answer next
    ok  Alice's PC has the answer next
    ok  Bob's phone has the answer next
    ok  the old phone is told that the new one has replaced it
    ok  the old phone is refused, for the same reason
    ok  the new phone has the history
    ok  Alice's PC hears the new phone
    ok  Bob's phone hears the new phone
    "#);
}

#[tokio::test]
async fn a_python_client_makes_every_call_of_the_public_services() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["alice", "bob"]).await;

    let mut calls = python("python", "every_call.py").await;
    calls.args([&imd.public.to_string(), "alice", "bob"]).env("ALICE_PASSWORD", PASSWORD);
    let told = printed(&mut calls).await;
    assert!(told.ends_with("ok  every call of the public services was made\n"), "{told}");
}

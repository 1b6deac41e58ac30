//! Whose address counts.

use imd::config::Networks;
use imd_proto::v1::{self, admin_service_client::AdminServiceClient};

use super::{limited_to, refused_for};
use crate::support::{
    api::Transport,
    cluster::{Cluster, login},
    grpc::{channel, with_bearer},
    node::ADMIN_KEY,
    process::DataFolder,
};

/// Whether the second guess from there is refused for the limit of its address.
async fn is_counted_from(imd: &Cluster, address: &str) -> bool {
    let api = imd.transport.connect_from(imd.node.public_address(), address);
    let wrong = login("ann", "phone", "p").password("not the password");
    assert_eq!(api.login(&wrong).await.expect_err("wrong").code, "invalid_credentials");
    let again = api.login(&wrong).await.expect_err("wrong");
    if again.code == "invalid_credentials" {
        return false;
    }
    refused_for("failed_logins", &again);
    true
}

async fn cluster(trusted: &str) -> Cluster {
    limited_to(Transport::Rest, |settings| {
        settings.trusted_proxies = Networks::try_from(trusted.to_owned()).expect("networks");
        settings.limits.failed_logins = 1;
    })
    .await
}

#[tokio::test]
async fn what_others_than_trusted_proxies_say_is_not_believed() {
    let imd = cluster("10.0.0.0/8").await;
    assert!(is_counted_from(&imd, "192.0.2.1").await);
    let api = imd.transport.connect_from(imd.node.public_address(), "192.0.2.2");
    let refused = api.login(&login("ann", "phone", "p")).await.expect_err("the same client");
    refused_for("failed_logins", &refused);
}

/// A proxy that says nothing of its clients makes all of them clients of this machine.
#[tokio::test]
async fn this_machine_is_limited_too() {
    let imd = cluster("").await;
    assert!(is_counted_from(&imd, "192.0.2.1").await, "nobody is believed");
    let imd = cluster("127.0.0.0/8").await;
    assert!(is_counted_from(&imd, "192.0.2.1").await);
    assert!(is_counted_from(&imd, "127.0.0.1, 192.0.2.2").await, "only the proxy is believed");
}

#[tokio::test]
async fn a_client_in_a_trusted_network_cannot_claim_to_be_on_this_machine() {
    let imd = cluster("127.0.0.1,10.0.0.0/8").await;
    assert!(is_counted_from(&imd, "10.0.0.5").await);
    let api = imd.transport.connect_from(imd.node.public_address(), "127.0.0.1, 10.0.0.5");
    let refused = api.login(&login("ann", "phone", "p")).await.expect_err("the same client");
    refused_for("failed_logins", &refused);
}

#[tokio::test]
async fn the_audit_has_the_address_that_a_trusted_proxy_tells() {
    let imd = cluster("127.0.0.1").await;
    let user = v1::CreateUserRequest { user_id: "ann".to_owned(), ..Default::default() };
    let mut request = with_bearer(ADMIN_KEY, user);
    let address = "192.0.2.44".parse().expect("ASCII");
    request.metadata_mut().insert("x-forwarded-for", address);
    let mut admin = AdminServiceClient::new(channel(imd.node.admin_address()));
    admin.create_user(request).await.expect("a user");
    let record = &imd.admin().audit("ann", 1, "").await.expect("records").records[0];
    assert_eq!(record.address, "192.0.2.44");
}

#[tokio::test]
async fn a_proxy_that_is_not_trusted_is_warned_of_once() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann"]).await;
    for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        let api = Transport::Rest.connect_from(imd.public, address);
        api.login(&login("ann", "phone", "p")).await.expect("a session");
    }
    imd.says("127.0.0.1 is not in trusted_proxies").await;
    assert_eq!(imd.log().matches("trusted_proxies").count(), 1);
}

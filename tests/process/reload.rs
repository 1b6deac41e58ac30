//! SIGHUP: settings that change while `imd` runs.

use jsonwebtoken::Algorithm;
use nix::sys::signal::{Signal, kill};

use crate::support::{
    api::Transport,
    eventually,
    issuer::{AUDIENCE, Issuer, asserted},
    process::DataFolder,
};

#[tokio::test]
async fn issuers_are_trusted_from_a_hangup_on() {
    let folder = DataFolder::new();
    let mut imd = folder.start().await;
    let api = Transport::Grpc.connect(imd.public);
    let issuer = Issuer::new("https://product.example", Algorithm::EdDSA);
    let login = asserted(issuer.vouch("ann"), "phone", "p");
    assert_eq!(api.login(&login).await.expect_err("a stranger").code, "invalid_assertion");

    for (keys, trusted) in [("no such file", false), (&*issuer.key_file(), true)] {
        folder.write_settings(&format!(
            "[[login.issuers]]\nissuer = {:?}\naudience = {AUDIENCE:?}\nalgorithms = [\"EdDSA\"]\n\
             keys = [{keys:?}]\nprovision = true\n",
            issuer.name
        ));
        kill(imd.pid(), Signal::SIGHUP).expect("it runs");
        if trusted {
            eventually("the issuer is trusted", async || api.login(&login).await.ok()).await;
        } else {
            imd.says("settings not reloaded").await;
        }
    }
    assert!(imd.is_running());
}

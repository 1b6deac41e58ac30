//! `imctl` over TLS.

use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;

use super::Shell;
use crate::support::{certificates::Authority, process::DataFolder};

#[tokio::test]
async fn servers_with_certificates_are_trusted_by_their_authority() {
    let (authority, staff) = (Authority::new(), Authority::new());
    let (server, operator) = (authority.certify(), staff.certify());
    let folder = DataFolder::new();
    folder.write_settings(&format!(
        "[tls]\ncert = {cert:?}\nkey = {key:?}\n[admin.tls]\ncert = {cert:?}\nkey = {key:?}\n\
         client_ca = {client_ca:?}\n",
        cert = server.cert,
        key = server.key,
        client_ca = staff.file(),
    ));
    let imd = folder.start().await;
    assert!(imd.greeting.contains("https://127.0.0.1"), "{}", imd.greeting);
    let shell = Shell::new(&folder, &imd);
    let file = |path: std::path::PathBuf| path.to_str().expect("UTF-8").to_owned();
    let url = format!("https://{}", imd.admin);
    let public = format!("https://{}", imd.public);
    let (ca, cert, key) = (file(authority.file()), file(operator.cert), file(operator.key));
    let base = ["--server", &url, "--ca", &ca];
    let shown = ["--client-cert", &cert, "--client-key", &key];

    let list = ["users", "list"];
    assert_snapshot!(shell.imctl(&[&base[..], &shown, &list].concat()).await, @"there are no users");
    let unshown = shell.failing_imctl(&[&base[..], &list].concat()).await;
    assert!(unshown.contains("cannot reach imd") && unshown.ends_with("exit code 3"), "{unshown}");
    let untrusted = shell.failing_imctl(&[&base[..2], &shown, &list].concat()).await;
    assert!(untrusted.contains("cannot reach imd"), "{untrusted}");
    let half = shell.failing_imctl(&[&base[..], &shown[..2], &list].concat()).await;
    assert_snapshot!(half, @r#"
    error: --client-cert and --client-key belong together
    exit code 2
    "#);

    let demo = ["demo", "--public-server", &public];
    let played = shell.imctl(&[&base[..], &shown, &demo].concat()).await;
    assert!(played.contains("One account, every terminal"), "{played}");
}

#[tokio::test]
async fn a_certificate_for_trials_is_made_and_serves() {
    let folder = DataFolder::new();
    let made = folder.run(&["dev-cert", "--name", "imd.test"]).await;
    let told = String::from_utf8(made.stdout).expect("UTF-8");
    assert!(
        made.status.success() && told.contains("localhost, 127.0.0.1, ::1, imd.test"),
        "{told}"
    );
    let again = folder.run(&["dev-cert"]).await;
    let refused = String::from_utf8(again.stderr).expect("UTF-8");
    assert!(!again.status.success() && refused.contains("is there already"), "{refused}");

    let certificates = folder.path().parent().expect("a folder").join("imd-dev-cert");
    let file = |name: &str| certificates.join(name).to_str().expect("UTF-8").to_owned();
    let (cert, key, ca) = (file("cert.pem"), file("key.pem"), file("ca.pem"));
    let permissions = std::fs::metadata(&key).expect("a file").permissions().mode();
    assert_eq!(permissions & 0o777, 0o600);
    let imd = folder
        .start_with(&[
            ("IMD_TLS_CERT", &cert),
            ("IMD_TLS_KEY", &key),
            ("IMD_ADMIN_TLS_CERT", &cert),
            ("IMD_ADMIN_TLS_KEY", &key),
        ])
        .await;
    let shell = Shell::new(&folder, &imd);
    let at = |scheme: &str| format!("{scheme}://{}", imd.admin);
    let (https, http) = (at("https"), at("http"));
    let list = ["users", "list"];
    let trusting = [&["--server", &https, "--ca", &ca][..], &list].concat();
    assert_snapshot!(shell.imctl(&trusting).await, @"there are no users");

    let untrusting = shell.failing_imctl(&[&["--server", &https][..], &list].concat()).await;
    assert!(untrusting.contains("not trusted here: name the file"), "{untrusting}");
    let plain = shell.failing_imctl(&[&["--server", &http][..], &list].concat()).await;
    assert!(plain.contains("write https://"), "{plain}");
}

#[tokio::test]
async fn the_certificate_of_an_authority_as_that_of_a_server_is_explained() {
    let authority = Authority::new();
    let own = authority.certify_itself();
    let folder = DataFolder::new();
    folder.write_settings(&format!("[admin.tls]\ncert = {:?}\nkey = {:?}\n", own.cert, own.key));
    let imd = folder.start().await;
    let shell = Shell::new(&folder, &imd);
    let ca = own.cert.to_str().expect("UTF-8");
    let url = format!("https://{}", imd.admin);
    let told = shell.failing_imctl(&["--server", &url, "--ca", ca, "users", "list"]).await;
    assert!(told.contains("CA:TRUE") && told.contains("imd dev-cert"), "{told}");
    let public = format!("https://{}", imd.public);
    let chat = ["chat", "ann", "--user", "ben", "--password-stdin", "--public-server", &public];
    let told = shell.run(&chat, "long enough").await.failure();
    assert!(told.contains("does not speak TLS: write http://"), "{told}");
}

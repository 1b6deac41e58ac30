//! `imctl` over TLS.

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

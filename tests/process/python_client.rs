//! The Python client in `clients/python`, against a server.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use tokio::process::Command;

use crate::support::{
    cluster::PASSWORD,
    process::{DataFolder, in_time},
};

/// The folder of the client.
const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/python");

/// What has to be there already; the packages that the client needs are not.
const NEEDS: &str = "python3 with pip (on Debian: apt-get install python3-pip)";

async fn run(command: &mut Command) -> Output {
    // Python would leave its compiled files among the sources.
    let command = command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
    let running = in_time("Python", command.kill_on_drop(true).output());
    let output = running.await.unwrap_or_else(|error| panic!("{error}: this test needs {NEEDS}"));
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{:?}, {NEEDS}:\n{stdout}\n{stderr}", command.as_std());
    output
}

/// The folder of the packages that the client needs. They are installed once, in there alone.
async fn packages() -> PathBuf {
    let requirements = Path::new(CLIENT).join("requirements.txt");
    let wanted = fs::read_to_string(&requirements).expect("the client says what it needs");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-packages");
    // Written last: without it the folder is of other versions, or half of what it should be.
    let installed = folder.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return folder;
    }
    let _ = fs::remove_dir_all(&folder);
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"])
        .arg("--requirement")
        .arg(requirements)
        .arg("--target")
        .arg(&folder);
    run(&mut pip).await;
    fs::write(installed, wanted).expect("pip has made the folder");
    folder
}

#[tokio::test]
async fn a_python_client_made_from_the_contract_talks_on_several_terminals() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["alice", "bob"]).await;

    let mut example = Command::new("python3");
    example
        .arg(Path::new(CLIENT).join("example.py"))
        .args([&imd.public.to_string(), "alice", "bob"])
        .envs([("ALICE_PASSWORD", PASSWORD), ("BOB_PASSWORD", PASSWORD)])
        .env("PYTHONPATH", packages().await);
    let printed = String::from_utf8(run(&mut example).await.stdout).expect("UTF-8");
    insta::assert_snapshot!(printed, @r#"
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

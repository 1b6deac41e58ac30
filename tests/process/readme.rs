//! The README's session with curl, as a reader would paste it.

use std::{fs, process::Stdio};

use tokio::process::Command;

use crate::support::process::{DataFolder, binary, in_time};

/// The script of the section `## {title}`.
fn script_of(title: &str) -> String {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"));
    let readme = readme.expect("there is a README");
    let section = readme.split("\n## ").find(|section| section.starts_with(title));
    let script = section.and_then(|section| section.split("```sh\n").nth(1)?.split("```").next());
    script.unwrap_or_else(|| panic!("no script in the section {title}")).to_owned()
}

#[tokio::test]
async fn the_session_with_curl_goes_as_the_readme_says() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let imctl = format!("'{}'", binary("imctl").display());
    // The default port may be taken, and cargo would build.
    let script = script_of("A session with curl")
        .replace("127.0.0.1:8080", &imd.public.to_string())
        .replace("cargo imctl", &imctl);
    let mut shell = Command::new("bash");
    shell
        .args(["-e", "-c", &script])
        .env("IMCTL_SERVER", format!("http://{}", imd.admin))
        .env_remove("IMD_DATA_DIR")
        // Where imctl finds ./imd-data.
        .current_dir(folder.path().parent().expect("a folder"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let ended = in_time("the session", shell.output()).await.expect("bash runs");
    let printed = String::from_utf8_lossy(&ended.stdout);
    let output = format!("{printed}\n{}", String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{}: {output}", ended.status);

    // The ack, its repetition, the PC's stream and the pad's history, in this order or another.
    assert_eq!(printed.matches(r#""duplicate":true"#).count(), 1, "{output}");
    assert_eq!(printed.matches("Hello, Bob").count(), 2, "{output}");
    let told = [
        "read_mark",
        "blocked",
        "message_recalled",
        "session_ended",
        "REPLACED",
        "KICKED",
        "lost laptop",
    ];
    for told in told {
        assert!(printed.contains(told), "{told} is not in: {output}");
    }
}

//! The sessions with curl of the README and of the quickstart, as a reader would paste them.

use std::{fs, path::Path, process::Stdio};

use tokio::process::Command;

use crate::support::{
    process::{DataFolder, binary, in_time},
    programs::program,
};

/// The script of the section `## {title}` of a page.
fn script_of(page: &str, title: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
    let page = fs::read_to_string(page).expect("the page is there");
    let section = page.split("\n## ").find(|section| section.starts_with(title));
    let script = section.and_then(|section| section.split("```sh\n").nth(1)?.split("```").next());
    script.unwrap_or_else(|| panic!("no script in the section {title}")).to_owned()
}

/// Runs a script against a fresh `imd`, and returns what it printed and what it complained of.
async fn run(script: String) -> (String, String) {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let imctl = format!("'{}'", binary("imctl").display());
    // The default port may be taken, and cargo would build.
    let script =
        script.replace("127.0.0.1:8080", &imd.public.to_string()).replace("cargo imctl", &imctl);
    // Without it the session would only say that some command was not found.
    program("curl");
    let mut shell = Command::new(program("bash"));
    shell
        .args(["-e", "-c", &script])
        .env("IMCTL_SERVER", format!("http://{}", imd.admin))
        .env_remove("IMD_DATA_DIR")
        // Where imctl finds ./imd-data.
        .current_dir(folder.path().parent().expect("a folder"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let ended = in_time("the session", shell.output()).await.expect("bash runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (printed, complaints) = (text(&ended.stdout), text(&ended.stderr));
    assert!(ended.status.success(), "{}: {printed}\n{complaints}", ended.status);
    (printed, complaints)
}

#[tokio::test]
async fn the_ten_lines_of_curl_go_as_the_readme_says() {
    let (printed, complaints) = run(script_of("README.md", "Ten lines of curl")).await;
    // The first send, its repetition, and the history.
    assert_eq!(printed.matches(r#""message_id""#).count(), 3, "{printed}\n{complaints}");
    assert_eq!(printed.matches(r#""duplicate":true"#).count(), 1, "{printed}\n{complaints}");
    assert_eq!(printed.matches("Hello, Ben").count(), 1, "{printed}\n{complaints}");
}

#[tokio::test]
async fn the_session_with_curl_goes_as_the_quickstart_says() {
    let (printed, complaints) = run(script_of("docs/quickstart.md", "A session with curl")).await;
    let output = format!("{printed}\n{complaints}");

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

//! The command line as a shell sees it: help, exit codes, messages. None of it needs a server.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::{Command as Process, Stdio},
    thread,
};

use assert_cmd::{Command, assert::Assert, cargo::cargo_bin_cmd};
use tempfile::TempDir;

/// `imctl` in an empty folder, with no environment.
struct Shell {
    folder: TempDir,
}

impl Shell {
    fn new() -> Self {
        Self { folder: TempDir::new().expect("a folder can be made") }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn imctl(&self, args: &[&str]) -> Command {
        let mut command = cargo_bin_cmd!("imctl");
        command.env_clear().env("HOME", self.path()).current_dir(self.path()).args(args);
        command
    }

    /// Runs it with a key in the environment.
    fn with_key(&self, args: &[&str]) -> Assert {
        self.imctl(args).env("IMCTL_ADMIN_KEY", "k").assert()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).expect("a file can be written");
    }
}

fn stdout(assert: &Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stdout).into_owned()
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

/// A URL at which nothing listens.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    format!("http://{address}")
}

#[test]
fn help_of_every_command() {
    let mut commands = vec![String::new()];
    while let Some(command) = commands.pop() {
        let args: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let help = Shell::new().imctl(&args).assert().success();
        let help = stdout(&help);
        commands.extend(subcommands(&help).map(|name| format!("{command} {name}")));
        let name = format!("help {command}").split_whitespace().collect::<Vec<_>>().join("_");
        insta::assert_snapshot!(name, help);
    }
}

/// The commands that a help lists.
fn subcommands(help: &str) -> impl Iterator<Item = &str> {
    let listed = help.split_once("\nCommands:\n").map_or("", |(_, listed)| listed);
    let listed = listed.split("\n\n").next().unwrap_or_default();
    listed
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        // What a description goes on with stands further in.
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
}

#[test]
fn version_is_printed() {
    let version = Shell::new().imctl(&["--version"]).assert().success();
    assert_eq!(stdout(&version), format!("imctl {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_arguments_exit_with_2() {
    for args in [
        &[][..],
        &["frobnicate"],
        &["users", "create"],
        &["users", "delete"],
        &["sessions", "kick", "ann"],
        &["sessions", "kick", "ann", "--all", "--terminal", "phone"],
        &["sessions", "list", "--state", "asleep"],
        &["sessions", "list", "--limit", "0"],
        &["messages", "trace"],
        &["messages", "export"],
        &["messages", "export", "ann", "--since", "yesterday"],
        &["messages", "import"],
        &["messages", "import", "all.jsonl", "--finish"],
        &["timelines", "new-epoch"],
        &["timelines", "new-epoch", "--all", "--user", "ann"],
        &["messages", "trace", "--client-message-id", "x"],
        &["status", "--server", "127.0.0.1:8081"],
        &["status", "--timeout", "soon"],
        &["status", "-o", "xml"],
    ] {
        let wrong = Shell::new().imctl(args).assert().code(2);
        assert!(stdout(&wrong).is_empty(), "{args:?}");
        assert!(!stderr(&wrong).is_empty(), "{args:?}");
    }
}

#[test]
fn a_password_cannot_be_an_argument() {
    Shell::new().with_key(&["users", "create", "ann", "--password", "secret"]).code(2);
}

#[test]
fn a_tls_server_that_is_not_there_is_told_with_what_tls_needs() {
    let server = nowhere().replace("http:", "https:");
    let failed = Shell::new().with_key(&["status", "--server", &server]).code(3);
    assert!(stderr(&failed).contains("--ca names the authorities"), "{}", stderr(&failed));
}

#[test]
fn a_server_that_is_not_there_exits_with_3_and_says_so() {
    let server = nowhere();
    let failed = Shell::new().with_key(&["status", "--server", &server]).code(3);
    insta::with_settings!({filters => [(r"127\.0\.0\.1:\d+", "[address]")]}, {
        insta::assert_snapshot!(stderr(&failed), @r#"
        error: cannot reach imd at http://[address]: Connection refused (os error 111)
        hint: is imd running there? --server is the URL of its admin listener; for the demo and the chat, --public-server is that of its public one
        "#);
    });
}

#[test]
fn a_server_that_never_answers_exits_with_3() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let server = format!("http://{}", silent.local_addr().expect("it is bound"));
    let failed =
        Shell::new().with_key(&["status", "--server", &server, "--timeout", "200ms"]).code(3);
    assert!(stderr(&failed).contains("did not answer in time"), "{}", stderr(&failed));
}

#[test]
fn a_server_of_another_kind_exits_with_3() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let server = format!("http://{}", listener.local_addr().expect("it is bound"));
    thread::spawn(move || -> io::Result<()> {
        let (mut connection, _) = listener.accept()?;
        let _ = connection.read(&mut [0; 1024])?;
        connection.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
    });
    let failed = Shell::new().with_key(&["status", "--server", &server]).code(3);
    assert!(stderr(&failed).contains("cannot reach imd"), "{}", stderr(&failed));
}

#[test]
fn without_a_key_it_says_where_it_looked() {
    let failed = Shell::new().imctl(&["status"]).assert().code(4);
    insta::assert_snapshot!(stderr(&failed), @r#"
    error: no admin key found; looked at
      --admin-key-file, IMCTL_ADMIN_KEY_FILE, IMCTL_ADMIN_KEY: not given
      profile: has none
      ./imd-data/admin.key: no such file
    hint: imd writes admin.key to its data folder at its first start: run imctl beside that folder, set IMD_DATA_DIR, or name the file with --admin-key-file
    "#);
}

#[test]
fn the_default_data_folder_is_not_for_other_machines() {
    let shell = Shell::new();
    fs::create_dir(shell.path().join("imd-data")).expect("a folder can be made");
    shell.write("imd-data/admin.key", "k");
    let args = ["status", "--server", "http://imd.invalid:8081"];
    let failed = shell.imctl(&args).assert().code(4);
    assert!(stderr(&failed).contains("not for a server on another machine"));
}

#[test]
fn the_key_is_found_in_the_data_folder() {
    let shell = Shell::new();
    fs::create_dir(shell.path().join("data")).expect("a folder can be made");
    shell.write("data/admin.key", "k\n");
    let mut command = shell.imctl(&["status", "--server", &nowhere()]);
    // With a key it comes as far as connecting.
    command.env("IMD_DATA_DIR", "data").assert().code(3);
}

#[test]
fn a_key_file_that_cannot_be_used_exits_with_4() {
    let shell = Shell::new();
    shell.write("empty", "\n");
    for (file, message) in [("missing", "cannot read"), ("empty", "is empty")] {
        let failed = shell.imctl(&["status", "--admin-key-file", file]).assert().code(4);
        assert!(stderr(&failed).contains(message), "{}", stderr(&failed));
    }
}

#[test]
fn a_profile_names_server_and_key() {
    let shell = Shell::new();
    let server = nowhere();
    let profile = format!("[profiles.test]\nserver = \"{server}\"\nadmin_key_file = \"key\"\n");
    shell.write("imctl.toml", &profile);
    shell.write("key", "k");
    let args = ["--config", "imctl.toml", "--profile", "test", "status"];
    let failed = shell.imctl(&args).assert().code(3);
    assert!(stderr(&failed).contains(&server), "{}", stderr(&failed));
}

#[test]
fn an_unknown_profile_exits_with_2() {
    let failed = Shell::new().imctl(&["--profile", "prod", "status"]).assert().code(2);
    assert!(stderr(&failed).contains("no profile \"prod\""), "{}", stderr(&failed));
}

#[cfg(unix)]
#[test]
fn a_configuration_with_a_key_that_others_can_read_is_warned_about() {
    use std::os::unix::fs::PermissionsExt as _;

    let shell = Shell::new();
    shell.write("imctl.toml", "[profiles.default]\nadmin_key = \"k\"\n");
    for (mode, warned) in [(0o640, true), (0o600, false)] {
        let file = shell.path().join("imctl.toml");
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("it is ours");
        let args = ["--config", "imctl.toml", "--server", &nowhere(), "status"];
        let failed = shell.imctl(&args).assert().code(3);
        assert_eq!(stderr(&failed).contains("warning: others can read imctl.toml"), warned);
    }
}

#[test]
fn a_message_id_may_begin_with_a_hyphen() {
    let args = ["--server", &nowhere(), "messages", "trace", "-lAAAAAAAAAAAAAAAAAAAA"];
    // It goes as far as the key that is missing, or the server.
    let failed = Shell::new().imctl(&args).assert().failure();
    assert!(!stderr(&failed).contains("unexpected argument"), "{}", stderr(&failed));
}

#[test]
fn completions_need_neither_key_nor_server() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = Shell::new().imctl(&["completions", shell]).assert().success();
        assert!(stdout(&script).contains("IMCTL_COMPLETE"), "{shell}");
    }
}

#[test]
fn a_reader_that_left_is_no_error() {
    let (reader, writer) = io::pipe().expect("a pipe can be made");
    drop(reader);
    let written = Process::new(assert_cmd::cargo::cargo_bin!("imctl"))
        .args(["completions", "bash"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .expect("imctl runs");
    assert!(written.status.success(), "{written:?}");
    assert!(written.stderr.is_empty(), "{written:?}");
}

#[test]
fn what_is_beyond_a_limit_is_refused_by_name() {
    let shell = Shell::new();
    for (args, limit) in [
        (&["messages", "export", "ann", "--since", "100000y"][..], "not be before the year 1"),
        (&["messages", "export", "ann", "--since", "99999999999999999999y"], "the year 1"),
        (&["--timeout", "100000y", "status"], "at most 30days"),
        (&["bench", "--duration", "100000y"], "at most 30days"),
        (&["bench", "--warmup", "99999999999999999999y"], "at most 30days"),
        (&["bench", "idle", "--rest", "31d"], "at most 30days"),
        (&["retention", "set", "free", "--days", "99999999999"], "from 0 to 36525, or none"),
        (&["users", "set-limits", "ann", "--messages", "99999999999"], "from 0 to 4294967295"),
    ] {
        let refused = shell.with_key(args).code(2);
        let told = stderr(&refused);
        assert!(told.contains(limit) && !told.contains("panicked"), "{args:?}: {told}");
    }
}

#[test]
fn the_reference_in_the_guides_is_current() {
    let printed = stdout(&Shell::new().imctl(&["reference"]).assert().success());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/imctl.md");
    if std::env::var_os("INSTA_UPDATE").is_some_and(|how| how == "always") {
        fs::write(&path, &printed).expect("the guide can be written");
    }
    let committed = fs::read_to_string(&path).expect("docs/imctl.md");
    assert!(committed == printed, "run: imctl reference > docs/imctl.md");
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let shell = Shell::new();
    shell.imctl(&["reference", "--man", "man"]).assert().success();
    let page = |name: &str| fs::read_to_string(shell.path().join("man").join(name)).expect(name);
    assert!(page("imctl.1").contains(".TH"));
    assert!(page("imctl-sessions-kick.1").contains("lost device"));
}

#[test]
fn contexts_are_added_used_listed_and_removed() {
    let shell = Shell::new();
    shell.write("imctl.toml", "# mine\n[profiles.old]\nserver = \"http://127.0.0.1:1\"\n");
    let run =
        |args: &[&str]| shell.imctl(&[&["--config", "imctl.toml"][..], args].concat()).assert();
    run(&["context", "add", "prod"]).code(2);
    run(&["context", "add", "no name", "--server", "http://127.0.0.1:2"]).code(2);
    let add =
        ["context", "add", "prod", "--server", "http://127.0.0.1:2", "--admin-key-file", "key"];
    run(&add).success();
    run(&["context", "use", "nothing"]).code(2);
    run(&["context", "use", "prod"]).success();
    let listed = stdout(&run(&["context", "list", "-o", "json"]).success());
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!((&listed[0]["name"], &listed[0]["current"]), (&"old".into(), &false.into()));
    assert_eq!((&listed[1]["name"], &listed[1]["current"]), (&"prod".into(), &true.into()));
    shell.write("key", "k");
    let failed = run(&["status"]).code(3);
    assert!(stderr(&failed).contains("http://127.0.0.1:2"), "{}", stderr(&failed));
    run(&["context", "remove", "prod"]).success();
    let file = fs::read_to_string(shell.path().join("imctl.toml")).expect("the file");
    assert_eq!(file, "# mine\n[profiles.old]\nserver = \"http://127.0.0.1:1\"\n");
}

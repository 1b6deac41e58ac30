//! The command line of `imd`: what it prints and how it ends when it is not to serve.

use std::{fs, path::Path};

use assert_cmd::{Command, assert::Assert, cargo::cargo_bin_cmd};
use tempfile::TempDir;

/// `imd` in an empty folder, with no environment.
struct Shell(TempDir);

impl Shell {
    fn new() -> Self {
        Self(TempDir::new().expect("a folder can be made"))
    }

    fn imd(&self, args: &[&str]) -> Command {
        let mut command = cargo_bin_cmd!("imd");
        command.env_clear().current_dir(self.0.path()).args(args);
        command
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).expect("a file can be written");
    }

    /// Whether it has left the folder empty.
    fn is_untouched(&self) -> bool {
        fs::read_dir(self.0.path()).expect("it is a folder").next().is_none()
    }
}

fn stdout(assert: &Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stdout).into_owned()
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

#[test]
fn version_is_printed() {
    let version = Shell::new().imd(&["--version"]).assert().success();
    assert_eq!(stdout(&version), format!("imd {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn config_prints_the_defaults_and_the_url_of_the_embedded_database_and_starts_nothing() {
    let shell = Shell::new();
    let config = stdout(&shell.imd(&["config"]).assert().success());
    for line in [r#"listen = "127.0.0.1:8080""#, r#"listen = "127.0.0.1:8081""#, "phone = 1"] {
        assert!(config.lines().any(|printed| printed == line), "no {line} in:\n{config}");
    }
    assert!(
        config.contains("\n# embedded database, while imd runs: postgresql://imd@"),
        "{config}"
    );
    assert!(shell.is_untouched());
}

#[test]
fn config_can_be_used_as_a_settings_file() {
    let shell = Shell::new();
    let config = stdout(&shell.imd(&["config", "--set", "terminals.pad=3"]).assert().success());
    shell.write("imd.toml", &config);
    assert_eq!(stdout(&shell.imd(&["config"]).assert().success()), config);
}

#[test]
fn config_masks_the_password_of_the_database() {
    let shell = Shell::new();
    let mut imd = shell.imd(&["config"]);
    imd.env("IMD_DATABASE_URL", "postgresql://imd:hush@db.example/imd");
    let config = stdout(&imd.assert().success());
    assert!(config.contains(r#"url = "postgresql://imd:***@db.example/imd""#), "{config}");
    assert!(!config.contains("hush") && !config.contains("embedded database"), "{config}");
}

#[test]
fn a_setting_that_does_not_exist_is_named_with_the_nearest_that_does() {
    let shell = Shell::new();
    let wrong = shell.imd(&[]).env("IMD_LISTN", "127.0.0.1:0").assert().code(1);
    let message = "unknown environment variable IMD_LISTN; did you mean IMD_LISTEN?";
    assert!(stderr(&wrong).contains(message), "{}", stderr(&wrong));

    let wrong = shell.imd(&["--set", "token.access_ttl=5m"]).assert().code(1);
    let message = "unknown setting `token.access_ttl` in --set; did you mean `tokens.access_ttl`?";
    assert!(stderr(&wrong).contains(message), "{}", stderr(&wrong));
    assert!(shell.is_untouched());

    shell.write("imd.toml", "[message]\nmax_body_bytes = 100\n");
    let wrong = shell.imd(&[]).assert().code(1);
    let message = "unknown setting `message.max_body_bytes` in imd.toml; \
                   did you mean `messages.max_body_bytes`?";
    assert!(stderr(&wrong).contains(message), "{}", stderr(&wrong));
}

#[test]
fn a_value_out_of_its_limits_is_named_with_them() {
    let shell = Shell::new();
    let wrong = shell.imd(&["--set", "tokens.access_ttl=2d"]).assert().code(1);
    let message = "invalid tokens.access_ttl: 2days is not within 1s to 1day";
    assert!(stderr(&wrong).contains(message), "{}", stderr(&wrong));
    assert!(shell.is_untouched());
}

#[test]
fn arguments_that_make_no_sense_exit_with_2() {
    for args in [&["frobnicate"][..], &["--listen", "8080"], &["--set", "listen"]] {
        let wrong = Shell::new().imd(args).assert().code(2);
        assert!(stdout(&wrong).is_empty(), "{args:?}");
        assert!(!stderr(&wrong).is_empty(), "{args:?}");
    }
}

#[test]
fn the_committed_openapi_descriptions_are_those_that_are_printed() {
    for (file, args) in
        [("openapi.json", &["openapi"][..]), ("admin.json", &["openapi", "--admin"])]
    {
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi").join(file);
        let committed = fs::read_to_string(committed).expect("it is committed");
        let printed = stdout(&Shell::new().imd(args).assert().success());
        let run = args.join(" ");
        assert!(printed == committed, "run: cargo run -p imd -- {run} >openapi/{file}");
    }
}

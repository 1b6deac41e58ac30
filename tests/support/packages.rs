//! What clients in other languages need, installed below the target folder: once, from what their own
//! folder says they need.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{process::Command, sync::Mutex, time::timeout};

use super::programs::program;

/// The folder of the clients.
const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");

/// How long a client may run, or its packages may take to be installed.
const PATIENCE: Duration = Duration::from_mins(5);

/// What has to be there already; the packages of the clients are not.
const NEEDS: &str = "this test needs python3 with pip, npm and chromium \
    (on Debian: apt-get install python3-pip npm chromium fonts-dejavu-core)";

/// Two tests may need the same packages.
static INSTALLING: Mutex<()> = Mutex::const_new(());

/// A file of a client.
pub(crate) fn client(path: &str) -> PathBuf {
    Path::new(CLIENTS).join(path)
}

/// A folder for what is installed or left behind, below the target folder.
pub(crate) fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Runs a program to its end, which must be a success.
pub(crate) async fn run(command: &mut Command) -> Output {
    // Python would leave its compiled files among the sources, and print as the locale says.
    let command =
        command.envs([("PYTHONDONTWRITEBYTECODE", "1"), ("PYTHONUTF8", "1")]).stdin(Stdio::null());
    let running = timeout(PATIENCE, command.kill_on_drop(true).output()).await;
    let output = running.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {command:?}"));
    let output = output.unwrap_or_else(|error| panic!("{error}: {NEEDS}"));
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{:?}, {NEEDS}:\n{stdout}\n{stderr}", command.as_std());
    output
}

/// What a program printed, which must succeed.
pub(crate) async fn printed(command: &mut Command) -> String {
    String::from_utf8(run(command).await.stdout).expect("UTF-8")
}

/// A script of a Python client, with its packages.
pub(crate) async fn python(name: &str, script: &str) -> Command {
    let mut command = Command::new(program("python3"));
    command.arg(client(name).join(script)).env("PYTHONPATH", python_packages(name).await);
    command
}

/// A program that comes with the packages of a Python client.
pub(crate) async fn python_module(name: &str, module: &str) -> Command {
    let mut command = Command::new(program("python3"));
    command.arg("-m").arg(module).env("PYTHONPATH", python_packages(name).await);
    command
}

/// The folder of the packages that a Python client needs.
async fn python_packages(name: &str) -> PathBuf {
    let requirements = client(name).join("requirements.txt");
    let folder = scratch(&format!("{name}-packages"));
    install(&requirements, &folder, async || {
        let mut pip = Command::new(program("python3"));
        pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"])
            .arg("--requirement")
            .arg(&requirements)
            .arg("--target")
            .arg(&folder);
        run(&mut pip).await;
    })
    .await;
    folder
}

/// The folder of the packages that a JavaScript client needs: a copy of the client with them in it.
pub(crate) async fn node_packages(name: &str) -> PathBuf {
    let folder = scratch(&format!("{name}-packages"));
    let source = client(name);
    install(&source.join("package.json"), &folder, async || {
        fs::create_dir_all(&folder).expect("a folder");
        copy(&source, &folder);
        let mut npm = Command::new(program("npm"));
        npm.args(["install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(&folder);
        run(&mut npm).await;
    })
    .await;
    copy(&source, &folder);
    folder
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a client") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        fs::copy(&path, to.join(name)).expect("a copy");
    }
}

/// Installs what the file `wanted` says, unless the folder has just that.
async fn install(wanted: &Path, folder: &Path, make: impl AsyncFnOnce()) {
    let _alone = INSTALLING.lock().await;
    let wanted = fs::read_to_string(wanted).expect("the client says what it needs");
    // Written last: without it the folder is of other versions, or half of what it should be.
    let installed = folder.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return;
    }
    let _ = fs::remove_dir_all(folder);
    make().await;
    fs::write(installed, wanted).expect("the folder has been made");
}

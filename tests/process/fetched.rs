//! PostgreSQL's programs from an archive, here one of this machine's own.

use std::{
    fs::{self, Permissions},
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Response, StatusCode, Uri},
};
use futures::stream;
use imd::model::hex;
use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::{net::TcpListener, process::Command};

use crate::support::{
    api::Transport,
    process::{DataFolder, binary, in_time},
};

fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// An archive of the programs of the PostgreSQL that the tests run on.
async fn archive(folder: &Path) -> PathBuf {
    let output = Command::new("pg_config").arg("--bindir").output().await;
    let listed =
        output.ok().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let folders = listed.into_iter().map(PathBuf::from);
    let system = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let system = system.filter_map(Result::ok).map(|entry| entry.path().join("bin"));
    let bin = std::env::var_os("IMD_PG_BIN").map(PathBuf::from).into_iter();
    let bin = bin.chain(folders).chain(system).find(|bin| bin.join("initdb").is_file());
    let root = bin.expect("PostgreSQL is installed").parent().expect("a folder").to_owned();
    let file = folder.join("programs.tar.gz");
    let (parent, name) = (root.parent().expect("a folder"), root.file_name().expect("a name"));
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(&file).arg("-C").arg(parent).arg(name);
    assert!(in_time("it is packed", tar.status()).await.expect("tar runs").success());
    file
}

#[derive(Clone)]
struct Mirror {
    archive: Bytes,
    asked: Arc<AtomicUsize>,
}

/// Serves the archive under several names, each with something wrong but the first.
async fn serve(State(mirror): State<Mirror>, uri: Uri, headers: HeaderMap) -> Response<Body> {
    let Mirror { archive, asked } = mirror;
    let answer = |status: StatusCode, body: Body| {
        Response::builder().status(status).body(body).expect("an answer")
    };
    let path = uri.path();
    if path.contains("absent") {
        return answer(StatusCode::NOT_FOUND, Body::empty());
    }
    if path.ends_with(".sha256") {
        let of = if path.contains("wrong") { sha256(b"another") } else { sha256(&archive) };
        return answer(StatusCode::OK, format!("{of}  programs.tar.gz\n").into());
    }
    let count = asked.fetch_add(1, Ordering::Relaxed);
    let from = headers.get("range").and_then(|range| range.to_str().ok());
    let from = from.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let from: usize = from.unwrap_or(0);
    let status = if from > 0 { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let rest = archive.slice(from..);
    let body = if path.contains("cut") && count < 2 {
        // A part, and then no more.
        let part: Result<Bytes, std::io::Error> = Ok(rest.slice(..rest.len() / 3));
        let broken = Err(std::io::Error::other("the line is cut"));
        Body::from_stream(stream::iter([part, broken]))
    } else {
        Body::from(rest.clone())
    };
    let mut response = answer(status, body);
    response.headers_mut().insert("content-length", rest.len().into());
    response
}

async fn mirror(archive: Vec<u8>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let asked = Arc::new(AtomicUsize::default());
    let state = Mirror { archive: archive.into(), asked: asked.clone() };
    let app = Router::new().fallback(serve).with_state(state);
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, asked)
}

/// A folder that the account of the server can pass.
fn open_folder() -> DataFolder {
    let folder = DataFolder::new();
    let parent = folder.path().parent().expect("a folder");
    fs::set_permissions(parent, Permissions::from_mode(0o755)).expect("it is ours");
    folder
}

async fn refused(folder: &DataFolder, source: &str) -> String {
    let mut imd = folder.imd();
    let ended =
        in_time("imd ends", imd.env_remove("IMD_PG_BIN").env("IMD_PG_SOURCE", source).output());
    said(&ended.await.expect("it runs"))
}

/// The last line that a failed imd says.
fn said(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    said.lines().last().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_are_fetched_once_and_as_a_whole() {
    let packed = TempDir::new().expect("a folder");
    let archive = archive(packed.path()).await;
    let (mirror, asked) = mirror(fs::read(&archive).expect("an archive")).await;
    let folder = open_folder();
    let programs = folder.path().with_file_name("imd-data.postgresql");

    let wrong = refused(&folder, &format!("http://{mirror}/wrong.tar.gz")).await;
    assert!(wrong.contains("SHA-256") && wrong.contains(&sha256(b"another")), "{wrong}");
    let absent = refused(&folder, &format!("http://{mirror}/absent.tar.gz")).await;
    assert!(absent.contains("404"), "{absent}");
    let offline = refused(&folder, "http://127.0.0.1:1/x.tar.gz").await;
    for text in
        ["cannot be fetched from http://127.0.0.1:1/x.tar.gz", "refused", "Install it with `"]
    {
        assert!(offline.contains(text), "{text} in {offline}");
    }
    let nothing = refused(&folder, "/no/such/archive.tar.gz").await;
    assert!(nothing.contains("no such file"), "{nothing}");
    let left: Vec<_> = fs::read_dir(&programs).expect("a folder").collect();
    assert!(left.is_empty(), "nothing of it is kept: {left:?}");

    asked.store(0, Ordering::Relaxed);
    let cut = format!("http://{mirror}/cut.tar.gz");
    let settings = [("IMD_PG_SOURCE", cut.as_str()), ("IMD_PG_BIN", "")];
    let mut imd = folder.start_with(&settings).await;
    assert!(imd.log().contains("the download broke off; going on"), "{}", imd.log());
    assert_eq!(asked.load(Ordering::Relaxed), 3, "it went on where it was");
    let postmaster = folder.postmaster().expect("PostgreSQL runs");
    let program = fs::read_link(format!("/proc/{postmaster}/exe")).expect("a program");
    assert!(program.starts_with(&programs), "{}", program.display());
    imd.create_users(&["ann"]).await;
    imd.log_in(Transport::Grpc, "ann", "phone").await.say("ann", "a note").await;
    assert!(imd.end(Signal::SIGTERM).await.success());
    drop(imd);
    let mut imd = folder.start_with(&settings).await;
    assert_eq!(asked.load(Ordering::Relaxed), 3, "it is not fetched again");
    assert!(imd.end(Signal::SIGTERM).await.success());

    // Without the network: the archive as a file, with its checksum beside it.
    let beside = packed.path().join("programs.tar.gz.sha256");
    fs::write(&beside, sha256(b"another")).expect("a file");
    let other = open_folder();
    let wrong = refused(&other, archive.to_str().expect("UTF-8")).await;
    assert!(wrong.contains("SHA-256"), "{wrong}");
    fs::remove_file(beside).expect("it is there");
    let settings = [("IMD_PG_SOURCE", archive.to_str().expect("UTF-8")), ("IMD_PG_BIN", "")];
    let mut imd = other.start_with(&settings).await;
    assert!(imd.end(Signal::SIGTERM).await.success());
}

#[tokio::test]
async fn a_full_disk_is_named_and_leaves_nothing() {
    let packed = TempDir::new().expect("a folder");
    let archive = archive(packed.path()).await;
    let folder = open_folder();
    let programs = folder.path().with_file_name("imd-data.postgresql");
    fs::create_dir(&programs).expect("a folder");
    // Its own view of the disks, in which there is little room for the programs.
    let script =
        "mount -t tmpfs -o size=2m none \"$0\" && \"$1\"; code=$?; ls -A \"$0\"; exit $code";
    let mut imd = Command::new("unshare");
    let namespaces = if nix::unistd::geteuid().is_root() { "-m" } else { "-rm" };
    imd.args([namespaces, "sh", "-c", script]).arg(&programs).arg(binary("imd"));
    imd.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    imd.env("IMD_DATA_DIR", folder.path()).env("IMD_PG_SOURCE", &archive);
    imd.env("IMD_LISTEN", "127.0.0.1:0").env("IMD_ADMIN_LISTEN", "127.0.0.1:0");
    let ended = in_time("imd ends", imd.output()).await.expect("unshare runs");
    let said = said(&ended);
    assert!(said.contains("no space left") && said.contains("imd-data.postgresql"), "{said}");
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "", "nothing is left");
}

//! Fetching Postgres's programs where a machine has none, once, into a folder beside the data folder.
//!
//! The archive is one that runs without an installation: `bin`, `lib` and `share` in one folder, as the project
//! postgresql-binaries publishes them. It is taken over as a whole or not at all: it is written under another name, its
//! SHA-256 is compared with the one that the source gives beside it, it is unpacked under another name, and only then the
//! folder gets its own.

use std::{
    env, fs,
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use aws_lc_rs::digest::{Context, SHA256};
use flate2::read::GzDecoder;
use reqwest::{Client, StatusCode, header::RANGE};
use tar::Archive;

use crate::model::hex;

/// What is fetched from a source that has more than one version.
const VERSION: &str = "17.6.0";

/// The source where the settings name none.
const PUBLIC: &str = "https://github.com/theseus-rs/postgresql-binaries/releases/download/17.6.0/";

/// How long the source may keep silent.
const SILENCE: Duration = Duration::from_secs(20);

/// How often a download that broke off goes on.
const TRIES: u32 = 4;

/// The pause before that.
const PAUSE: Duration = Duration::from_millis(500);

/// How often it is said how far a download is.
const SAY: Duration = Duration::from_secs(2);

/// The name of a folder that is complete, in the file that says what was fetched last.
const CURRENT: &str = "current";

/// Where the programs come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// An archive at this URL, and its checksum at the same with `.sha256`.
    Url(String),
    /// An archive on this machine, and its checksum beside it, if there is one.
    File(PathBuf),
}

impl Source {
    /// The source that the setting `pg_source` names: a URL or a path, of an archive or of the folder that has it.
    pub(super) fn named(setting: &str) -> Result<Self, String> {
        let is_archive = |name: &str| name.ends_with(".tar.gz");
        if setting.starts_with("https://") || setting.starts_with("http://") {
            if is_archive(setting) {
                return Ok(Self::Url(setting.to_owned()));
            }
            return Ok(Self::Url(format!("{}/{}", setting.trim_end_matches('/'), archive()?)));
        }
        let path = Path::new(setting);
        let path = if path.is_dir() { path.join(archive()?) } else { path.to_owned() };
        if path.is_file() { Ok(Self::File(path)) } else { Err("there is no such file".to_owned()) }
    }

    /// The source of those who name none.
    pub(super) fn public() -> Result<Self, String> {
        Self::named(PUBLIC)
    }
}

/// Whether the public source has this major version.
pub(super) fn public_has(major: u32) -> bool {
    VERSION.split('.').next().is_some_and(|version| version == major.to_string())
}

/// The name of the archive for this machine.
fn archive() -> Result<String, String> {
    let platform = match (env::consts::ARCH, env::consts::OS) {
        ("x86_64", "linux") => "x86_64-unknown-linux-gnu",
        ("aarch64", "linux") => "aarch64-unknown-linux-gnu",
        ("x86_64", "macos") => "x86_64-apple-darwin",
        ("aarch64", "macos") => "aarch64-apple-darwin",
        (arch, system) => return Err(format!("there is no archive for {system} on {arch}")),
    };
    Ok(format!("postgresql-{VERSION}-{platform}.tar.gz"))
}

/// The folder of the programs from `source`, fetched into `cache` unless they are there from the last time.
pub(super) async fn fetch(source: &Source, cache: &Path) -> Result<PathBuf, String> {
    if let Some(folder) = fetched(source, cache) {
        return Ok(folder);
    }
    let at = |path: &Path, error: &io::Error| told(path, error);
    fs::create_dir_all(cache).map_err(|error| at(cache, &error))?;
    // Another account may have to run what is in it.
    open_to_all(cache);
    let partial = cache.join("archive.partial");
    let (archive, digest) = match source {
        Source::Url(url) => {
            let digest = download(url, &partial).await.inspect_err(|_| {
                let _ = fs::remove_file(&partial);
            })?;
            (partial.clone(), digest)
        }
        Source::File(path) => (path.clone(), local(path)?),
    };
    let unpacked = unpack(archive, cache.to_owned(), digest.clone()).await;
    let _ = fs::remove_file(&partial);
    let name = unpacked?;
    let current = format!("{name}\n{}\n", said(source));
    let noted = cache.join(CURRENT);
    fs::write(&noted, current).map_err(|error| at(&noted, &error))?;
    tracing::info!(folder = %cache.join(&name).display(), sha256 = digest, "PostgreSQL was fetched");
    Ok(cache.join(name).join("bin"))
}

/// What a file says of a source, to know it again: of an archive on this machine also when it was changed.
fn said(source: &Source) -> String {
    match source {
        Source::Url(url) => url.clone(),
        Source::File(path) => {
            let changed = fs::metadata(path).and_then(|file| file.modified());
            format!("{} {changed:?}", path.display())
        }
    }
}

/// The folder of programs that were fetched from this source before.
fn fetched(source: &Source, cache: &Path) -> Option<PathBuf> {
    let current = fs::read_to_string(cache.join(CURRENT)).ok()?;
    let (name, from) = current.split_once('\n')?;
    let folder = cache.join(name).join("bin");
    (from.trim_end() == said(source) && folder.join("postgres").is_file()).then_some(folder)
}

/// Downloads an archive: its digest, which is the one that the source gives.
async fn download(url: &str, to: &Path) -> Result<String, String> {
    let client = Client::builder().connect_timeout(SILENCE).read_timeout(SILENCE).build();
    let client = client.map_err(|error| why(&error))?;
    let expected = checksum(&client, url).await?;
    tracing::info!(url, "fetching PostgreSQL, because none is installed");
    let mut file = File::create(to).map_err(|error| told(to, &error))?;
    let (mut digest, mut done) = (Context::new(&SHA256), 0_u64);
    let mut tries = 1;
    loop {
        match go_on(&client, url, to, &mut file, &mut digest, &mut done).await {
            Ok(()) => break,
            Err(Broken::ForGood(reason)) => return Err(reason),
            Err(Broken::Off(reason)) if tries == TRIES => {
                return Err(format!("{reason}, {TRIES} times"));
            }
            Err(Broken::Off(reason)) => {
                tracing::warn!(reason, bytes = done, "the download broke off; going on");
                tokio::time::sleep(PAUSE).await;
                tries += 1;
            }
        }
    }
    file.sync_all().map_err(|error| told(to, &error))?;
    let found = hex(digest.finish().as_ref());
    if found != expected {
        return Err(format!("its SHA-256 is {found} and should be {expected}"));
    }
    Ok(found)
}

/// Why a download has not come to its end.
enum Broken {
    /// It can go on.
    Off(String),
    ForGood(String),
}

/// Downloads what is still missing.
async fn go_on(
    client: &Client,
    url: &str,
    to: &Path,
    file: &mut File,
    digest: &mut Context,
    done: &mut u64,
) -> Result<(), Broken> {
    let mut request = client.get(url);
    if *done > 0 {
        request = request.header(RANGE, format!("bytes={done}-"));
    }
    let mut answer = request.send().await.map_err(|error| Broken::Off(why(&error)))?;
    match answer.status() {
        StatusCode::PARTIAL_CONTENT if *done > 0 => {}
        StatusCode::OK => {
            // From the beginning, whatever was asked for.
            file.set_len(0).map_err(|error| Broken::ForGood(told(to, &error)))?;
            io::Seek::rewind(file).map_err(|error| Broken::ForGood(told(to, &error)))?;
            (*digest, *done) = (Context::new(&SHA256), 0);
        }
        status if status.is_server_error() => {
            return Err(Broken::Off(format!("it answered {status}")));
        }
        status => return Err(Broken::ForGood(format!("it answered {status}"))),
    }
    let total = answer.content_length().map(|left| left + *done);
    let mut said = Instant::now();
    loop {
        let chunk = answer.chunk().await.map_err(|error| Broken::Off(why(&error)))?;
        let Some(chunk) = chunk else { break };
        file.write_all(&chunk).map_err(|error| Broken::ForGood(told(to, &error)))?;
        digest.update(&chunk);
        *done += chunk.len() as u64;
        if said.elapsed() > SAY {
            let percent = total.map(|total| *done * 100 / total.max(1));
            tracing::info!(percent, megabytes = *done / 1_000_000, "fetching PostgreSQL");
            said = Instant::now();
        }
    }
    match total {
        Some(total) if *done < total => Err(Broken::Off("the connection ended".to_owned())),
        _ => Ok(()),
    }
}

/// What the source says that the digest of the archive is.
async fn checksum(client: &Client, url: &str) -> Result<String, String> {
    let answer = client.get(format!("{url}.sha256")).send().await.map_err(|error| why(&error))?;
    if !answer.status().is_success() {
        return Err(format!("it answered {} where the checksum should be", answer.status()));
    }
    let text = answer.text().await.map_err(|error| why(&error))?;
    digest_in(&text).ok_or_else(|| "what should be its checksum is none".to_owned())
}

/// The digest of an archive on this machine, which is the one in the file beside it, if there is one.
fn local(path: &Path) -> Result<String, String> {
    let mut file = File::open(path).map_err(|error| told(path, &error))?;
    let (mut digest, mut buffer) = (Context::new(&SHA256), vec![0; 1 << 16]);
    loop {
        let read = file.read(&mut buffer).map_err(|error| told(path, &error))?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
    }
    let found = hex(digest.finish().as_ref());
    let beside = format!("{}.sha256", path.display());
    match fs::read_to_string(&beside).ok().map(|text| digest_in(&text)) {
        Some(Some(expected)) if expected != found => {
            Err(format!("its SHA-256 is {found} and should be {expected}"))
        }
        Some(None) => Err(format!("what stands in {beside} is no checksum")),
        _ => Ok(found),
    }
}

fn digest_in(text: &str) -> Option<String> {
    let word = text.split_whitespace().next()?.to_ascii_lowercase();
    (word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(word)
}

/// Unpacks an archive: the name of the folder in the cache.
async fn unpack(archive: PathBuf, cache: PathBuf, digest: String) -> Result<String, String> {
    let unpacking = move || {
        let folder = cache.join("unpacking");
        let _ = fs::remove_dir_all(&folder);
        let unpacked = unpack_into(&archive, &folder, &cache, &digest);
        let _ = fs::remove_dir_all(&folder);
        unpacked
    };
    tokio::task::spawn_blocking(unpacking).await.map_err(|error| error.to_string())?
}

fn unpack_into(
    archive: &Path,
    folder: &Path,
    cache: &Path,
    digest: &str,
) -> Result<String, String> {
    let file = File::open(archive).map_err(|error| told(archive, &error))?;
    fs::create_dir_all(folder).map_err(|error| told(folder, &error))?;
    // Nothing of it comes to lie outside of the folder.
    let unpacked = Archive::new(GzDecoder::new(file)).unpack(folder);
    unpacked.map_err(|error| told(folder, &error))?;
    let root = root_of(folder).ok_or("there is no bin/postgres in it")?;
    // Readable for the account of the server; the folders of an archive may not be.
    open_to_all(folder);
    open_to_all(&root);
    let name = format!("postgresql-{}", &digest[..16]);
    let target = cache.join(&name);
    let _ = fs::remove_dir_all(&target);
    fs::rename(&root, &target).map_err(|error| told(&target, &error))?;
    Ok(name)
}

/// The folder that has `bin/postgres`: this one, or the only one in it.
fn root_of(folder: &Path) -> Option<PathBuf> {
    let has = |folder: &Path| folder.join("bin/postgres").is_file();
    if has(folder) {
        return Some(folder.to_owned());
    }
    let entries = fs::read_dir(folder).ok()?;
    entries.filter_map(Result::ok).map(|entry| entry.path()).find(|path| has(path))
}

fn open_to_all(folder: &Path) {
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o755));
}

/// What went wrong with a file, for an operator.
fn told(path: &Path, error: &io::Error) -> String {
    let full = error.kind() == io::ErrorKind::StorageFull
        || std::error::Error::source(error)
            .and_then(|cause| cause.downcast_ref::<io::Error>())
            .is_some_and(|cause| cause.kind() == io::ErrorKind::StorageFull);
    if full {
        let folder = path.parent().unwrap_or(path);
        return format!("there is no space left in {}; about 200 MB are needed", folder.display());
    }
    format!("{}: {error}", path.display())
}

/// Why there was no answer, with the innermost cause.
fn why(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    if error.is_timeout() { "it does not answer".to_owned() } else { innermost.to_string() }
}

//! What imd is built from: crates of one registry, under licences that ask for nothing but their text,
//! and one crate for each trade. `.cargo/deny.toml` says the same for `cargo deny`.
//!
//! cargo is asked about this machine's platform alone: the crates of others have never been downloaded
//! where imd was only built and tested. The lock file has the names of all.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    process::Command,
};

use semver::{Version, VersionReq};
use serde_json::Value;

/// Licences that ask for nothing but their text.
const LICENCES: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Large crates, and those whose types meet each other: of each there is one version.
const ONCE: [&str; 12] = [
    "aws-lc-rs",
    "axum",
    "bytes",
    "h2",
    "http",
    "hyper",
    "prost",
    "rustls",
    "tokio",
    "tokio-postgres",
    "tonic",
    "tracing",
];

/// Runs cargo, which must need nothing that is not on this machine.
fn cargo(arguments: &[&str]) -> String {
    // The test may have been built by another user, whose cargo this one cannot run.
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(&cargo)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", cargo.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("names are UTF-8")
}

/// The crates that are built for this platform.
fn crates() -> Vec<Value> {
    let version = cargo(&["--version", "--verbose"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let format = ["metadata", "--format-version", "1", "--offline", "--locked"];
    let metadata = cargo(&[&format[..], &["--filter-platform", host]].concat());
    let mut metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    let Value::Array(crates) = metadata["packages"].take() else { panic!("no packages") };
    assert!(crates.len() > 100, "{} crates", crates.len());
    crates
}

fn lock() -> String {
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");
    fs::read_to_string(lock).expect("Cargo.lock")
}

/// The crates that the lock file has, whatever the platform, with their versions.
fn locked() -> Vec<(String, Version)> {
    let lock = lock();
    let quoted = |line: &str, member: &str| {
        let value = line.strip_prefix(member)?.strip_prefix(" = \"")?.strip_suffix('"')?;
        Some(value.to_owned())
    };
    let mut crates = Vec::new();
    let mut name = None;
    for line in lock.lines() {
        name = quoted(line, "name").or(name);
        if let (Some(name), Some(version)) = (&name, quoted(line, "version")) {
            crates.push((name.clone(), version.parse().expect("a version")));
        }
    }
    assert!(crates.len() > 100, "{} crates", crates.len());
    crates
}

/// The ids of the advisories that concern a version of a crate.
fn advisories<'a>(listed: &'a str, name: &str, version: &Version) -> Vec<&'a str> {
    let concerns = |line: &'a str| {
        let mut words = line.splitn(3, ' ');
        let (id, of, safe) = (words.next()?, words.next()?, words.next().unwrap_or_default());
        let is_safe = |range: &str| {
            let range: VersionReq = range.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
            range.matches(version)
        };
        let safe = safe.split(" | ").filter(|range| !range.is_empty()).any(is_safe);
        (of == name && !safe).then_some(id)
    };
    listed.lines().filter(|line| !line.starts_with('#')).filter_map(concerns).collect()
}

/// Whether an SPDX expression leaves a choice that takes licences of the list alone.
fn is_free(expression: &str) -> bool {
    // How some crates still write OR.
    let text = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = text.split_whitespace().peekable();
    let free = alternatives(&mut words);
    assert_eq!(words.next(), None, "{expression}");
    free
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn alternatives(words: &mut Words<'_>) -> bool {
    let mut free = all_of(words);
    while words.next_if_eq(&"OR").is_some() {
        free |= all_of(words);
    }
    free
}

fn all_of(words: &mut Words<'_>) -> bool {
    let mut free = term(words);
    while words.next_if_eq(&"AND").is_some() {
        free &= term(words);
    }
    free
}

fn term(words: &mut Words<'_>) -> bool {
    let word = words.next().unwrap_or_default();
    if word == "(" {
        let free = alternatives(words);
        assert_eq!(words.next(), Some(")"));
        return free;
    }
    let Some(_) = words.next_if_eq(&"WITH") else { return LICENCES.contains(&word) };
    LICENCES.contains(&&*format!("{word} WITH {}", words.next().unwrap_or_default()))
}

/// One to keep up to date, and one to judge. Two would also leave rustls without a default.
#[test]
fn there_is_one_cryptographic_backend() {
    let tree = cargo(&[
        "tree",
        "--workspace",
        "--edges=normal,build,dev",
        "--prefix=none",
        "--format={lib}",
        "--offline",
        "--locked",
    ]);
    let crates: BTreeSet<&str> = tree.lines().collect();
    assert!(crates.contains("aws_lc_rs") && crates.contains("rustls"));
    for other in ["ring", "openssl", "native_tls", "boring", "graviola"] {
        assert!(!crates.contains(other), "{other} is a second backend");
    }

    let lock = lock();
    let is_locked = |name: &str| lock.contains(&format!("\nname = \"{name}\"\n"));
    assert!(is_locked("aws-lc-rs"));
    // `ring` is there by name, as an option of a dependency that nothing turns on. The time that `rsa`
    // takes tells of its key.
    for other in ["openssl", "native-tls", "boring", "graviola", "rsa"] {
        assert!(!is_locked(other), "{other} is a second backend");
    }
}

#[test]
fn every_crate_may_be_used_without_a_condition() {
    for package in crates() {
        let licence = package["license"].as_str().unwrap_or("none");
        assert!(is_free(licence), "{}: {licence}", package["name"]);
    }
}

#[test]
fn a_licence_with_conditions_is_seen() {
    for free in ["MIT/Apache-2.0", "GPL-3.0 OR MIT", "(GPL-3.0 OR ISC) AND Zlib", "Apache-2.0"] {
        assert!(is_free(free), "{free}");
    }
    for other in ["none", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND MPL-2.0", "MIT WITH x"] {
        assert!(!is_free(other), "{other}");
    }
}

#[test]
fn large_crates_are_there_once() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    for package in crates() {
        versions.entry(text(&package["name"])).or_default().insert(text(&package["version"]));
    }
    for name in ONCE {
        let versions = versions.get(name).unwrap_or_else(|| panic!("{name} is not used any more"));
        assert_eq!(versions.len(), 1, "{name}: {versions:?}");
    }
}

/// Neither a branch of somebody's repository nor another registry.
#[test]
fn every_crate_comes_from_the_one_registry() {
    let lock = lock();
    let sources: BTreeSet<&str> =
        lock.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
    assert_eq!(sources.len(), 1, "{sources:?}");
    assert!(sources.iter().all(|source| source.starts_with("\"registry+")), "{sources:?}");
}

/// By the advisories that were known when `.cargo/advisories.txt` was made; `cargo deny check` knows those since.
#[test]
fn no_crate_has_a_known_weakness() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../.cargo/advisories.txt");
    let listed = fs::read_to_string(file).expect("a file of the repository");
    assert!(listed.lines().count() > 500, "few advisories");
    for (name, version) in locked() {
        let found = advisories(&listed, &name, &version);
        assert!(found.is_empty(), "{name} {version}: {found:?}");
    }
}

#[test]
fn a_known_weakness_is_seen() {
    let listed =
        "# made today\nA-1 h2 ^0.3.26 | >= 0.4.4\nA-2 h2 < 0.2.0\nA-3 lost\nA-4 h2c >= 9.0.0\n";
    let of = |name, version: &str| advisories(listed, name, &version.parse().expect("a version"));
    assert_eq!(of("h2", "0.4.3"), ["A-1", "A-2"]);
    assert_eq!(of("h2", "0.4.20"), ["A-2"]);
    assert_eq!(of("lost", "1.0.0"), ["A-3"]);
    assert!(of("found", "1.0.0").is_empty());
}

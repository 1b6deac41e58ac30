//! The layers of the server: each uses only those below it, and each keeps to its own trade.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Each layer, what it may use of the crate besides itself, and what it must not know.
const LAYERS: [(&str, &[&str], &[&str]); 8] = [
    ("model", &[], &["tokio_postgres", "tonic", "axum", "imd_proto", "prost", "hyper", "reqwest"]),
    ("planted_bugs", &[], &["tokio_postgres", "tonic", "axum", "imd_proto", "prost", "hyper"]),
    (
        "tasks",
        &["model", "planted_bugs", "telemetry"],
        &["tokio_postgres", "tonic", "axum", "imd_proto", "prost", "hyper"],
    ),
    ("store", &["model", "telemetry", "tls"], &["tonic", "axum", "imd_proto", "prost", "hyper"]),
    (
        "delivery",
        &["model", "store", "planted_bugs", "tasks", "telemetry", "tls"],
        &["tokio_postgres", "tonic", "axum", "imd_proto", "prost", "hyper"],
    ),
    (
        "service",
        &["model", "store", "delivery", "tasks", "telemetry"],
        &["tokio_postgres", "tonic", "axum", "imd_proto", "prost", "hyper"],
    ),
    ("grpc", &["model", "service", "telemetry"], &["tokio_postgres", "utoipa"]),
    (
        "rest",
        &["model", "service", "telemetry"],
        &["tokio_postgres", "tonic", "imd_proto", "prost"],
    ),
];

/// Beginnings of statements, as they are written in this project.
const SQL: [&str; 8] = [
    "SELECT ",
    "INSERT INTO ",
    "UPDATE ",
    "DELETE FROM ",
    "CREATE TABLE ",
    "ALTER TABLE ",
    "TRUNCATE ",
    "pg_notify",
];

/// Where SQL may stand: the store, and the private server, which has to make a database first.
const WITH_SQL: [&str; 2] = ["store", "embedded_postgres"];

struct Source {
    /// Below `api/src`.
    path: PathBuf,
    /// Without comments, and without the unit tests at the end.
    code: String,
}

impl Source {
    /// `grpc` for all of the layer's files.
    fn layer(&self) -> String {
        let first = self.path.iter().next().expect("a file name").to_string_lossy();
        first.trim_end_matches(".rs").to_owned()
    }

    /// How many modules this one lies in, the crate itself not counted.
    fn depth(&self) -> usize {
        let is_mod = self.path.file_name().is_some_and(|name| name == "mod.rs");
        self.path.iter().count() - usize::from(is_mod)
    }

    /// The modules of the crate's root that the code names.
    fn uses(&self) -> BTreeSet<String> {
        let mut uses: BTreeSet<String> =
            self.code.split("crate::").skip(1).flat_map(first_names).collect();
        // One `super` for each module in which this one lies leads to the root as well.
        let to_the_root = "super::".repeat(self.depth());
        uses.extend(self.code.split(&to_the_root).skip(1).flat_map(first_names));
        uses
    }

    /// Whether the code names the crate `name`.
    fn knows(&self, name: &str) -> bool {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        self.code.match_indices(name).any(|(at, _)| {
            let before = self.code[..at].chars().next_back();
            let after = &self.code[at + name.len()..];
            !before.is_some_and(is_word) && after.starts_with("::")
        })
    }
}

/// The first names of the paths that follow `crate::`: one, or those of a group in braces.
fn first_names(rest: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = rest.strip_prefix('{') else { return vec![name(rest)] };
    let (mut names, mut depth) = (vec![name(group)], 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(&group[at + 1..])),
            _ => {}
        }
    }
    names
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/src");
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source");
                let path = path.strip_prefix(&root).expect("below the root").to_owned();
                sources.push(Source { path, code: code_of(&text) });
            }
        }
    }
    assert!(sources.len() > 50, "the sources are not where they were");
    sources
}

fn code_of(text: &str) -> String {
    let (text, _tests) = text.split_once("#[cfg(test)]\nmod tests {").unwrap_or((text, ""));
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn each_layer_uses_only_those_below_it() {
    let sources = sources();
    let modules: BTreeSet<String> = sources.iter().map(Source::layer).collect();
    for source in &sources {
        let layer = source.layer();
        let Some((_, below, _)) = LAYERS.iter().find(|(name, ..)| *name == layer) else { continue };
        for used in source.uses().intersection(&modules) {
            let allowed = *used == layer || below.contains(&used.as_str());
            assert!(allowed, "{} uses {used}", source.path.display());
        }
    }
}

#[test]
fn each_layer_keeps_to_its_trade() {
    for source in sources() {
        let layer = source.layer();
        let Some((_, _, unknown)) = LAYERS.iter().find(|(name, ..)| *name == layer) else {
            continue;
        };
        for name in *unknown {
            assert!(!source.knows(name), "{} knows {name}", source.path.display());
        }
    }
}

#[test]
fn sql_stands_in_the_store_alone() {
    for source in sources() {
        if WITH_SQL.contains(&&*source.layer()) {
            continue;
        }
        for statement in SQL {
            assert!(!source.code.contains(statement), "{}: {statement}", source.path.display());
        }
    }
}

#[test]
fn the_rules_are_not_blind() {
    let names =
        |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let source = |path: &str, code: &str| Source { path: path.into(), code: code_of(code) };
    let grouped = source(
        "grpc/auth.rs",
        "use crate::{\n    model::{Error, store},\n    service::Service,\n};",
    );
    assert!(grouped.uses().is_superset(&names(&["model", "service"])));
    assert!(grouped.uses().is_disjoint(&names(&["store", "Service"])));
    let inline = source("rest/mod.rs", "fn f() { crate::store::f(); super::delivery::g() }");
    assert_eq!(inline.uses(), names(&["delivery", "store"]));
    let upwards =
        source("service/admin/users.rs", "use super::super::send; use super::super::super::grpc;");
    assert_eq!(upwards.uses(), names(&["grpc"]));
    assert!(source("model/ids.rs", "use axum::Router;").knows("axum"));
    assert!(!source("model/ids.rs", "use my_axum::Router;").knows("axum"));
    assert!(!source("model/ids.rs", "// axum::Router\n/// tonic::Code").knows("axum"));
}

//! The guides: short where they must be, complete, and without dead ends.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// What may stand at the top of the tree, besides names that begin with a dot.
const TOP: [&str; 12] = [
    "Cargo.lock",
    "Cargo.toml",
    "README.md",
    "api",
    "cli",
    "clients",
    "deploy",
    "docs",
    "migrations",
    "openapi",
    "proto",
    "tests",
];

/// Where building and running leave their files; git ignores them.
const LEFT_BEHIND: [&str; 2] = ["target", "imd-data"];

/// As much as is read in a few minutes.
const README_BYTES: usize = 8 << 10;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the tree")
}

/// The README and all guides.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md")];
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of guides") {
            let path = entry.expect("an entry").path();
            // A site that mdbook has made.
            if path.is_dir() && path != root().join("docs/book") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    assert!(pages.len() > 10, "the guides are not where they were");
    pages
}

fn read(page: &Path) -> String {
    fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()))
}

/// The page without its blocks of code.
fn prose(page: &Path) -> String {
    let text = read(page);
    text.split("```").step_by(2).collect::<Vec<_>>().join("\n")
}

/// The targets of the page's links that lead into the tree.
fn links(page: &Path) -> Vec<String> {
    let prose = prose(page);
    let targets = prose.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    targets.filter(|target| !target.contains("://")).map(str::to_owned).collect()
}

/// The names that the page's headings have in links.
fn anchors(page: &Path) -> BTreeSet<String> {
    let prose = prose(page);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let text = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        text.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_of_the_guides_leads_somewhere() {
    for page in pages() {
        for link in links(&page) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() {
                page.clone()
            } else {
                page.parent().expect("a folder").join(file)
            };
            assert!(target.exists(), "{}: nothing at {link}", page.display());
            let is_there = anchor.is_empty() || anchors(&target).contains(anchor);
            assert!(is_there, "{}: no heading for {link}", page.display());
        }
    }
}

#[test]
fn every_guide_is_in_the_table_of_contents() {
    let summary = root().join("docs/SUMMARY.md");
    let listed: BTreeSet<PathBuf> =
        links(&summary).iter().map(|link| root().join("docs").join(link)).collect();
    for page in pages() {
        let is_page = page != root().join("README.md") && page != summary;
        assert!(!is_page || listed.contains(&page), "{} is not in SUMMARY.md", page.display());
    }
}

#[test]
fn the_readme_is_short() {
    let bytes = read(&root().join("README.md")).len();
    assert!(bytes <= README_BYTES, "{bytes} bytes; move a part of it to docs/");
}

#[test]
fn the_top_of_the_tree_holds_nothing_new() {
    for entry in fs::read_dir(root()).expect("the tree") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        let expected = name.starts_with('.')
            || TOP.contains(&name.as_str())
            || LEFT_BEHIND.contains(&name.as_str());
        assert!(expected, "{name} has its place in one of the folders");
    }
}

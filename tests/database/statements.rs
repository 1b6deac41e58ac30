//! Every statement of the store is one that PostgreSQL takes: it parses, and its tables, columns and types
//! are those of the schema. The sources themselves are read for them, so that none can be left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use tokio_postgres::Client;

use crate::support::postgres::Database;

/// What statements begin with.
const VERBS: [&str; 5] = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "];

/// Statements with parts that functions make, by file and beginning. They cannot be read from the source;
/// each is run by the tests of what the file is about. One that is added has to be added here, too.
const COMPOSED: [(&str, &str); 32] = [
    ("connection/settings.rs", "SELECT {}"),
    ("connection/settings.rs", "SELECT pg_is_in_recovery()"),
    ("conversation_list.rs", "WITH newest"),
    ("conversation_list.rs", "WITH RECURSIVE {list}"),
    ("conversation_list.rs", "WITH RECURSIVE hops"),
    ("conversation_settings.rs", "SELECT pinned"),
    ("conversations.rs", "SELECT EXISTS"),
    ("conversations.rs", "WITH RECURSIVE {timeline}"),
    ("deletion.rs", "WITH gone AS (\n             DELETE FROM {table}"),
    ("edits.rs", "WITH RECURSIVE {timeline}"),
    ("entries.rs", "SELECT * FROM (\n             SELECT e.*, count(*)"),
    ("export/mod.rs", "WITH RECURSIVE exported"),
    ("export/user.rs", "SELECT coalesce(s.conversation"),
    ("pins.rs", "WITH RECURSIVE {timeline}"),
    ("push.rs", "WITH lagging"),
    ("purge.rs", "WITH RECURSIVE {}\n"),
    ("purge.rs", "WITH RECURSIVE {} SELECT floor"),
    ("read_marks.rs", "SELECT mark.read_seq"),
    ("read_marks.rs", "INSERT INTO read_marks (owner, conversation, peer_read_seq)"),
    ("search.rs", "WITH RECURSIVE {timeline}, grouped"),
    ("search.rs", "WITH RECURSIVE {ranges}\n             SELECT r.owner"),
    ("search.rs", "WITH RECURSIVE {ranges}\n             SELECT c.owner"),
    ("search.rs", "WITH RECURSIVE {timeline}\n"),
    ("sessions/check.rs", "SELECT ended_at"),
    ("sessions/list.rs", "SELECT {SESSION_COLUMNS}"),
    ("sessions/list.rs", "SELECT u.user_id, {SESSION_COLUMNS}"),
    ("sessions/mod.rs", "SELECT {SESSION_COLUMNS}"),
    ("since.rs", "WITH RECURSIVE narrowed"),
    ("tiers.rs", "WITH RECURSIVE page"),
    ("timelines.rs", "WITH RECURSIVE {timeline}"),
    ("trace/groups.rs", "WITH RECURSIVE traced"),
    ("users.rs", "SELECT u.user_id, u.state"),
];

/// A statement, or the beginning of one, with the file that it stands in.
type InFile = (PathBuf, String);

/// A string of a source file.
struct Literal {
    /// Where in the file it begins.
    at: usize,
    text: String,
}

/// The strings of a source file, without those in comments.
fn literals(source: &str) -> Vec<Literal> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < source.len() {
        let rest = &source[at..];
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("'\\") {
            // A character such as '\''.
            3 + rest[3..].find('\'').map_or(0, |end| end + 1)
        } else if rest.starts_with("'\"'") {
            3
        } else if let Some(raw) = raw(rest, &source[..at]) {
            found.push(Literal { at, text: raw.1.to_owned() });
            raw.0
        } else if rest.starts_with('"') {
            let (length, text) = quoted(rest);
            found.push(Literal { at, text });
            length
        } else {
            rest.chars().next().map_or(1, char::len_utf8)
        };
        at += skipped;
    }
    found
}

/// A raw string at the beginning of `rest`: its length, and what it says.
fn raw<'a>(rest: &'a str, before: &str) -> Option<(usize, &'a str)> {
    if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let hashes = rest.strip_prefix('r')?.find(|c| c != '#')?;
    let text = rest[1 + hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = text.find(&end)?;
    Some((1 + hashes + 1 + length + end.len(), &text[..length]))
}

/// A string at the beginning of `rest`: its length, and what it says.
fn quoted(rest: &str) -> (usize, String) {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (at + 1, text),
            '\\' => match chars.next() {
                Some((_, '\n')) => while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                Some((_, 'n')) => text.push('\n'),
                Some((_, other)) => text.push(other),
                None => break,
            },
            c => text.push(c),
        }
    }
    panic!("a string without an end: {rest:.40}");
}

/// What strings of `format!` name: constants, by name and file. Numbers are 1.
#[derive(Default)]
struct Constants(BTreeMap<String, BTreeMap<PathBuf, String>>);

impl Constants {
    fn read(&mut self, file: &Path, source: &str) {
        for (at, _) in source.match_indices("const ") {
            let Some((name, rest)) = source[at + 6..].split_once(": ") else { continue };
            let Some((kind, value)) = rest.split_once('=') else { continue };
            let value = match kind.trim() {
                "&str" if value.trim_start().starts_with('"') => quoted(value.trim_start()).1,
                "i64" | "i16" | "usize" => "1".to_owned(),
                _ => continue,
            };
            self.0.entry(name.to_owned()).or_default().insert(file.to_owned(), value);
        }
    }

    /// The text with the constants in it; `None` where something else is to be put in.
    fn fill(&self, file: &Path, text: &str) -> Option<String> {
        let (mut filled, mut rest) = (String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            filled.push_str(&rest[..at]);
            if rest[at..].starts_with("{{") || rest[at..].starts_with("}}") {
                filled.push_str(&rest[at..=at]);
                rest = &rest[at + 2..];
                continue;
            }
            let (name, behind) = rest[at + 1..].split_once('}')?;
            let values = self.0.get(name)?;
            filled.push_str(values.get(file).or_else(|| values.values().next())?);
            rest = behind;
        }
        Some(filled + rest)
    }
}

/// The source files in a folder and those below it.
fn sources(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.append(&mut sources(&path));
        } else if path.extension().is_some_and(|kind| kind == "rs" || kind == "sql") {
            let text = fs::read_to_string(&path).expect("a file");
            found.insert(path, text);
        }
    }
    found
}

/// The statements of the sources below `store`, with their files, and the beginnings of those that cannot
/// be read.
fn statements(all: &BTreeMap<PathBuf, String>, store: &Path) -> (Vec<InFile>, Vec<InFile>) {
    let mut constants = Constants::default();
    for (file, source) in all {
        constants.read(file, source);
    }
    let (mut whole, mut composed) = (Vec::new(), Vec::new());
    for (file, source) in all {
        let Ok(file_name) = file.strip_prefix(store) else { continue };
        let file_name = file_name.to_owned();
        if file.extension().is_some_and(|kind| kind == "sql") {
            whole.push((file_name, source.clone()));
            continue;
        }
        for Literal { at, text } in literals(source) {
            let text = text.trim_start();
            if !VERBS.iter().any(|verb| text.starts_with(verb)) {
                continue;
            }
            let filled = if source[..at].trim_end().ends_with("format!(") {
                constants.fill(file, text)
            } else {
                Some(text.to_owned())
            };
            match filled {
                Some(statement) => whole.push((file_name.clone(), statement)),
                None => composed.push((file_name.clone(), text.to_owned())),
            }
        }
    }
    (whole, composed)
}

/// Why PostgreSQL does not take a statement, if it does not.
async fn refusal(sql: &Client, statement: &str) -> Option<String> {
    let refused = sql.prepare(statement).await.err()?;
    Some(refused.as_db_error().map_or_else(|| refused.to_string(), ToString::to_string))
}

#[tokio::test]
async fn every_statement_of_the_store_fits_the_schema() {
    let database = Database::create().await;
    let sql = database.sql().await;
    let api = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/src");
    let store = api.join("store");
    let (whole, composed) = statements(&sources(&api), &store);
    assert!(whole.len() > 150, "{} statements alone", whole.len());
    let mut refused = Vec::new();
    for (file, statement) in whole {
        if let Some(why) = refusal(&sql, &statement).await {
            refused.push(format!("{}: {why}\n{statement}", file.display()));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n\n"));

    let listed = |(file, text): &(PathBuf, String)| {
        COMPOSED.iter().position(|(of, begins)| file == Path::new(of) && text.starts_with(begins))
    };
    let unlisted: Vec<_> = composed.iter().filter(|found| listed(found).is_none()).collect();
    assert!(unlisted.is_empty(), "not to be read, and not listed: {unlisted:#?}");
    let found: BTreeSet<usize> = composed.iter().filter_map(listed).collect();
    let gone: Vec<_> = (0..COMPOSED.len()).filter(|n| !found.contains(n)).collect();
    assert!(gone.is_empty(), "listed, and not there any more: {gone:?}");
}

#[tokio::test]
async fn a_statement_that_does_not_fit_is_found() {
    let database = Database::create().await;
    let sql = database.sql().await;
    let store = Path::new("store");
    let source = r##"
        const COLUMNS: &str = "user_id, \
            nothing";
        // "SELECT 1 FROM a_comment"
        fn run() {
            let ('"', '\'') = quotes;
            query("SELECT user_id FROM users");
            query(&format!("SELECT {COLUMNS} FROM users WHERE state = {STATE}"));
            query(r#"SELECT "user_id" FRM users"#);
            query(&format!("SELECT {made} FROM users"));
        }"##;
    let all = BTreeMap::from([(store.join("a.rs"), source.to_owned())]);
    let constants = "const STATE: i16 = 1;";
    let all = all.into_iter().chain([(PathBuf::from("b.rs"), constants.to_owned())]).collect();
    let (whole, composed) = statements(&all, store);
    assert_eq!((whole.len(), composed.len()), (3, 1));
    assert_eq!(refusal(&sql, &whole[0].1).await, None);
    let missing = refusal(&sql, &whole[1].1).await.expect("there is no such column");
    assert!(missing.contains("\"nothing\" does not exist"), "{missing}");
    let slip = refusal(&sql, &whole[2].1).await.expect("it does not parse");
    assert!(slip.contains("syntax error"), "{slip}");
}

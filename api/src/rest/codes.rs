//! The table of all codes, for the documentation.

use super::problem::OWN_CODES;
use crate::model::{Audience, Code};

/// One code.
struct Row {
    name: &'static str,
    status: u16,
    /// The name of the gRPC status; `None` for what only REST has.
    grpc: Option<&'static str>,
    audience: Audience,
    meaning: &'static str,
}

fn rows() -> impl Iterator<Item = Row> {
    let shared = Code::ALL.iter().map(|code| Row {
        name: code.name(),
        status: code.class().http_status(),
        grpc: Some(code.class().grpc_name()),
        audience: code.audience(),
        meaning: code.meaning(),
    });
    let own = OWN_CODES.into_iter().map(|(name, status, meaning)| Row {
        name,
        status,
        grpc: None,
        audience: Audience::Clients,
        meaning,
    });
    shared.chain(own)
}

/// The codes that clients get with a status, or also those that administrators get: `a`, `b`.
pub(super) fn of_status(status: &str, audience: Audience) -> String {
    let seen = |row: &Row| row.audience == Audience::Clients || row.audience == audience;
    let names: Vec<_> = rows()
        .filter(|row| seen(row) && row.status.to_string() == status)
        .map(|row| format!("`{}`", row.name))
        .collect();
    names.join(", ")
}

/// The table of those that clients get, as Markdown.
pub(super) fn table() -> String {
    let header = "| code | HTTP | gRPC | |\n|---|---|---|---|".to_owned();
    let rows = rows().filter(|row| row.audience == Audience::Clients);
    rows.fold(header, |table, row| {
        let grpc = row.grpc.map(|name| format!("`{name}`")).unwrap_or_default();
        format!("{table}\n| `{}` | {} | {grpc} | {} |", row.name, row.status, row.meaning)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_for_clients_has_the_table() {
        let guide = include_str!("../../../docs/clients.md");
        assert!(guide.contains(&table()), "put into docs/clients.md:\n{}", table());
    }

    #[test]
    fn a_code_has_one_meaning() {
        let names: Vec<_> = rows().map(|row| row.name).collect();
        for (at, name) in names.iter().enumerate() {
            assert!(!names[..at].contains(name), "{name} twice");
        }
    }
}

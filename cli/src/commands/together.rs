//! Which terminal types a user can have sessions of at a time.

use imd_proto::v1::TerminalType;

/// `count` types of which none excludes another, those of `preferred` first; `fits` says which can be the
/// one at a place. The error says which rule of the server stands in the way, and how to change it.
pub(super) fn together<'a>(
    known: &'a [TerminalType],
    preferred: &[&str],
    count: usize,
    fits: impl Fn(usize, &TerminalType) -> bool,
) -> Result<Vec<&'a TerminalType>, String> {
    let place = |name: &str| preferred.iter().position(|preferred| *preferred == name);
    let mut by_preference: Vec<&TerminalType> = known.iter().collect();
    by_preference.sort_by_key(|known| place(&known.name).unwrap_or(preferred.len()));
    let mut chosen: Vec<&TerminalType> = Vec::with_capacity(count);
    while chosen.len() < count {
        let next = by_preference.iter().find(|candidate| {
            fits(chosen.len(), candidate)
                && chosen.iter().all(|other| {
                    other.name != candidate.name && !other.excludes.contains(&candidate.name)
                })
        });
        match next {
            Some(next) => chosen.push(next),
            None => return Err(rules(known)),
        }
    }
    Ok(chosen)
}

fn rules(known: &[TerminalType]) -> String {
    let rule = |known: &TerminalType| {
        let sessions = match known.session_limit {
            1 => "1 session".to_owned(),
            many => format!("{many} sessions"),
        };
        let excludes = match known.excludes.as_slice() {
            [] => String::new(),
            others => format!(", not beside {}", others.join(", ")),
        };
        format!("{} ({sessions}{excludes})", known.name)
    };
    let rules: Vec<String> = known.iter().map(rule).collect();
    format!(
        "the terminal types of this server are {}; imctl terminals create makes others, and \
         imctl terminals set changes the rules",
        rules.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str, session_limit: i32, excludes: &[&str]) -> TerminalType {
        let excludes = excludes.iter().map(|name| (*name).to_owned()).collect();
        TerminalType { name: name.to_owned(), session_limit, excludes }
    }

    #[test]
    fn what_excludes_each_other_is_not_chosen_together() {
        let known = [
            kind("pad", 1, &["phone"]),
            kind("pc", 1, &[]),
            kind("phone", 1, &["pad"]),
            kind("web", 3, &[]),
        ];
        let names = |count, first_limit: i32| {
            let fits =
                |place: usize, kind: &TerminalType| place > 0 || kind.session_limit == first_limit;
            let chosen = together(&known, &["phone", "pc", "pad"], count, fits);
            chosen.map(|chosen| chosen.iter().map(|kind| kind.name.clone()).collect::<Vec<_>>())
        };
        assert_eq!(names(3, 1).expect("three"), ["phone", "pc", "web"]);
        assert_eq!(names(2, 3).expect("two"), ["web", "phone"]);
        let rules = names(4, 1).expect_err("three at most");
        assert!(rules.contains("pad (1 session, not beside phone)"), "{rules}");
    }
}

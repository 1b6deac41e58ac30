//! Names that administrators give: whether they must be known already, and what was probably meant.

use strsim::damerau_levenshtein;

/// Whether what a call names must exist already. A misspelt name is an error then, and does not make
/// something that nobody wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expect {
    /// What exists is changed, and what does not is made.
    #[default]
    Either,
    /// All of it must exist.
    Existing,
    /// None of it may exist.
    New,
}

/// The known name that `name` was probably meant to be: the one that takes the fewest changes of a
/// letter, at most two and fewer than half of its letters.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |known: &'a str| (damerau_levenshtein(known, name), known);
    let (distance, nearest) = known.into_iter().map(distance).min()?;
    (distance <= 2 && 2 * distance < nearest.len()).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["free", "premium", "vip"];
        for (name, meant) in [
            ("fre", Some("free")),
            ("feee", Some("free")),
            ("premuim", Some("premium")),
            ("vop", Some("vip")),
            ("gold", None),
            ("v", None),
        ] {
            assert_eq!(nearest(name, known), meant, "{name}");
        }
        assert_eq!(nearest("free", []), None);
    }
}

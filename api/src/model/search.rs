//! Searching the texts of messages: what words a text has, what a query asks for, and what is shown of a match.
//!
//! Words are compared without case; Latin and Greek letters without their accents, too. A word of a query stands for all
//! words that begin with it. Scripts that put no spaces between words are taken two characters at a time, so that any two
//! characters of a text that stand together are found.

use std::{collections::BTreeSet, ops::Range};

use time::OffsetDateTime;
use unicode_normalization::{
    UnicodeNormalization,
    char::{compose, is_combining_mark},
};

use super::{Entry, Error, Result};

/// How much of a text is searched, in bytes.
pub const SEARCHED_BYTES: usize = 8 * 1024;

/// The longest query, in characters.
const MAX_QUERY_LENGTH: usize = 200;

/// The most words of a query.
const MAX_TERMS: usize = 16;

/// What is kept of a word, in characters.
const MAX_WORD_LENGTH: usize = 64;

/// How much a snippet shows of a text in front of a match, and in all, in characters.
const BEFORE_MATCH: usize = 40;
const SNIPPET_LENGTH: usize = 160;

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchQuery {
    terms: Vec<Term>,
}

/// What a text has to have.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    /// A word that begins so; one of a single character has to be the whole word.
    Word(Vec<char>),
    /// These characters side by side.
    Run(Vec<char>),
}

/// What the index has to have of a text for it to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lexeme {
    /// The lexeme, or what it begins with.
    pub text: String,
    /// Whether it is the beginning.
    pub prefix: bool,
}

/// A message that was found.
#[derive(Debug)]
pub struct FoundMessage {
    /// The message, as the caller has it.
    pub message: Entry,
    /// What is shown of it.
    pub snippet: Vec<SnippetPart>,
}

/// A part of what is shown of a message that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnippetPart {
    /// What it says.
    pub text: String,
    /// Whether it is what was looked for.
    pub matched: bool,
}

/// The place of a message in the order in which messages are found, the newest first: when it was sent, and where its
/// text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SearchPlace {
    /// When the text was stored.
    pub at: OffsetDateTime,
    /// In which timeline.
    pub owner: i64,
    /// At which place of it.
    pub seq: i64,
}

impl SearchPlace {
    /// As a page token carries it.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let at = self.at.unix_timestamp_nanos() / 1000;
        let at = i64::try_from(at).unwrap_or(i64::MAX);
        [at, self.owner, self.seq].into_iter().flat_map(i64::to_be_bytes).collect()
    }

    /// Reads what [`SearchPlace::to_bytes`] made; `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (numbers, []) = bytes.as_chunks::<8>() else { return None };
        let &[at, owner, seq] = numbers else { return None };
        let at = i128::from(i64::from_be_bytes(at)) * 1000;
        Some(Self {
            at: OffsetDateTime::from_unix_timestamp_nanos(at).ok()?,
            owner: i64::from_be_bytes(owner),
            seq: i64::from_be_bytes(seq),
        })
    }
}

impl SearchQuery {
    /// Reads what a client looks for.
    pub fn parse(field: &'static str, query: &str) -> Result<Self> {
        if query.chars().count() > MAX_QUERY_LENGTH {
            let reason = format!("must be at most {MAX_QUERY_LENGTH} characters long");
            return Err(Error::invalid(field, reason));
        }
        // PostgreSQL keeps none in the audit.
        if query.contains('\0') {
            return Err(Error::invalid(field, "must not have a NUL"));
        }
        let term = |token: Token| {
            let characters = token.characters();
            if token.is_run { Term::Run(characters) } else { Term::Word(characters) }
        };
        let terms: Vec<Term> = tokens(query).into_iter().map(term).collect();
        match terms.len() {
            0 => Err(Error::invalid(field, "must have a letter or a digit to look for")),
            1..=MAX_TERMS => Ok(Self { terms }),
            _ => Err(Error::invalid(field, format!("must have at most {MAX_TERMS} words"))),
        }
    }

    /// What the index has to have: all of these.
    #[must_use]
    pub fn lexemes(&self) -> Vec<Lexeme> {
        let lexeme = |characters: &[char], prefix| Lexeme {
            text: characters.iter().take(MAX_WORD_LENGTH).collect(),
            prefix,
        };
        let of_term = |term: &Term| match term {
            Term::Word(word) => vec![lexeme(word, word.len() > 1)],
            Term::Run(run) if run.len() == 1 => vec![lexeme(run, true)],
            Term::Run(run) => run.windows(2).map(|pair| lexeme(pair, false)).collect(),
        };
        self.terms.iter().flat_map(of_term).collect()
    }

    /// Where a text has what is looked for, in bytes; `None` where it does not have all of it.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<Vec<Range<usize>>> {
        let tokens = tokens(searched(text));
        let mut ranges = Vec::new();
        for term in &self.terms {
            let before = ranges.len();
            for token in &tokens {
                token.find(term, &mut ranges);
            }
            if ranges.len() == before {
                return None;
            }
        }
        ranges.sort_by_key(|range| (range.start, range.end));
        Some(ranges)
    }

    /// What is shown of a text that has what is looked for; `None` for one that does not.
    #[must_use]
    pub fn snippet(&self, text: &str) -> Option<Vec<SnippetPart>> {
        Some(cut_out(text, &self.find(text)?))
    }
}

/// What the index keeps of a text.
#[must_use]
pub fn lexemes_of(text: &str) -> BTreeSet<String> {
    let mut lexemes = BTreeSet::new();
    for token in tokens(searched(text)) {
        let characters = token.characters();
        if token.is_run {
            lexemes.extend(characters.windows(2).map(String::from_iter));
            // So that each character begins one.
            lexemes.extend(characters.last().map(char::to_string));
        } else {
            lexemes.insert(characters.iter().take(MAX_WORD_LENGTH).collect());
        }
    }
    lexemes
}

/// The beginning of a text, which is searched.
fn searched(text: &str) -> &str {
    &text[..text.floor_char_boundary(SEARCHED_BYTES)]
}

/// A word of a text; or a run of characters of a script that has no spaces between words.
struct Token {
    is_run: bool,
    /// As they are compared, with what they stand for in the text.
    characters: Vec<(char, Range<usize>)>,
}

impl Token {
    fn characters(&self) -> Vec<char> {
        self.characters.iter().map(|(character, _)| *character).collect()
    }

    /// Adds where it has what a term asks for.
    fn find(&self, term: &Term, ranges: &mut Vec<Range<usize>>) {
        let range = |from: usize, length: usize| {
            let part = &self.characters[from..from + length];
            part[0].1.start..part[length - 1].1.end
        };
        let has = |from: usize, asked: &[char]| {
            let part = self.characters[from..].iter().map(|(character, _)| character);
            part.take(asked.len()).eq(asked)
        };
        match term {
            Term::Word(word) if !self.is_run => {
                let fits = word.len() > 1 || self.characters.len() == 1;
                if fits && has(0, word) {
                    ranges.push(range(0, word.len()));
                }
            }
            Term::Run(run) if self.is_run && run.len() <= self.characters.len() => {
                let places = 0..=self.characters.len() - run.len();
                ranges.extend(
                    places.filter(|from| has(*from, run)).map(|from| range(from, run.len())),
                );
            }
            Term::Word(_) | Term::Run(_) => {}
        }
    }
}

/// The words and runs of a text.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    // Where the last token goes on.
    let mut end = 0;
    for (at, raw) in text.char_indices() {
        let range = at..at + raw.len_utf8();
        for character in compared(raw) {
            let last = tokens.last_mut().filter(|_| end == at || end == range.end);
            if is_combining_mark(character) {
                let Some(token) = last else { continue };
                let Some((base, of_base)) = token.characters.last_mut() else { continue };
                of_base.end = range.end;
                end = range.end;
                if let Some(composed) = compose(*base, character) {
                    // Latin and Greek letters do without.
                    *base = if is_accented(*base) { *base } else { composed };
                } else if !is_accented(*base) && !token.is_run {
                    token.characters.push((character, range.clone()));
                }
                continue;
            }
            if !character.is_alphanumeric() {
                continue;
            }
            let is_run = is_unspaced(character);
            end = range.end;
            match last.filter(|token| token.is_run == is_run) {
                Some(token) => match token.characters.last_mut() {
                    // Parts of a Korean syllable.
                    Some((base, of_base)) if compose(*base, character).is_some() => {
                        *base = compose(*base, character).unwrap_or(*base);
                        of_base.end = range.end;
                    }
                    _ => token.characters.push((character, range.clone())),
                },
                None => tokens.push(Token { is_run, characters: vec![(character, range.clone())] }),
            }
        }
    }
    tokens
}

/// What a character is compared as: without case, width and, where it is Latin or Greek, accents.
fn compared(raw: char) -> impl Iterator<Item = char> {
    let plain = |character: char| {
        let base = std::iter::once(character).nfkd().next().unwrap_or(character);
        if is_accented(base) { base } else { character }
    };
    std::iter::once(raw).nfkc().map(plain).flat_map(char::to_lowercase)
}

/// Whether the accents of a letter count for nothing: it is Latin or Greek.
fn is_accented(base: char) -> bool {
    base.is_alphabetic() && matches!(base, '\0'..='\u{24f}' | '\u{370}'..='\u{3ff}')
}

/// Whether a script has no spaces between words, or, as the Korean one, words that others are put on to.
fn is_unspaced(character: char) -> bool {
    matches!(character,
        '\u{0e00}'..='\u{0eff}'     // Thai, Lao
        | '\u{1000}'..='\u{109f}'   // Burmese
        | '\u{1100}'..='\u{11ff}'   // Korean, in parts
        | '\u{1780}'..='\u{17ff}'   // Khmer
        | '\u{2e80}'..='\u{2fdf}'   // parts of Chinese characters
        | '\u{3005}'..='\u{3007}'
        | '\u{3040}'..='\u{30ff}'   // Japanese
        | '\u{3100}'..='\u{318f}'
        | '\u{31a0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}'   // Chinese characters
        | '\u{4e00}'..='\u{9fff}'
        | '\u{a960}'..='\u{a97f}'
        | '\u{ac00}'..='\u{d7ff}'   // Korean
        | '\u{f900}'..='\u{faff}'
        | '\u{1b000}'..='\u{1b16f}'
        | '\u{20000}'..='\u{3ffff}')
}

/// The part of a text around the first match, with all matches in it.
fn cut_out(text: &str, ranges: &[Range<usize>]) -> Vec<SnippetPart> {
    let first = ranges.first().map_or(0, |range| range.start);
    let start = text[..first].char_indices().rev().take(BEFORE_MATCH).last();
    let start = start.map_or(first, |(at, _)| at);
    let shown = text[start..].char_indices().nth(SNIPPET_LENGTH);
    let end = shown.map_or(text.len(), |(at, _)| start + at);
    let mut parts = Vec::new();
    let mut add = |text: &str, matched| {
        if !text.is_empty() {
            parts.push(SnippetPart { text: text.to_owned(), matched });
        }
    };
    add(if start > 0 { "…" } else { "" }, false);
    let mut at = start;
    for range in ranges.iter().filter(|range| range.start < end) {
        let (from, to) = (range.start.max(at), range.end.min(end));
        if from >= to {
            continue;
        }
        add(&text[at..from], false);
        add(&text[from..to], true);
        at = to;
    }
    add(&text[at..end], false);
    add(if end < text.len() { "…" } else { "" }, false);
    // Matches side by side, and what was cut off beside other text, are one part.
    parts.dedup_by(|next, part| {
        let same = next.matched == part.matched;
        if same {
            part.text.push_str(&next.text);
        }
        same
    });
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(query: &str) -> SearchQuery {
        SearchQuery::parse("q", query).unwrap()
    }

    fn finds(asked: &str, text: &str) -> bool {
        let found = query(asked).find(text).is_some();
        // What the index says agrees, or is less strict.
        let lexemes = lexemes_of(text);
        let has = |asked: &Lexeme| {
            let begins = |lexeme: &String| lexeme.starts_with(&asked.text);
            if asked.prefix { lexemes.iter().any(begins) } else { lexemes.contains(&asked.text) }
        };
        let indexed = query(asked).lexemes().iter().all(has);
        assert!(indexed || !found, "{asked} is found in {text}, and not by the index");
        found
    }

    #[test]
    fn words_are_found_by_their_beginnings_whatever_their_case_width_and_accents() {
        for (asked, text) in [
            ("hello", "Say HELLO, world"),
            ("hel wor", "hello world"),
            ("cafe", "Das Café"),
            ("café", "das cafe"),
            ("cafe", "Cafe\u{301}!"),
            ("ｃａｆｅ", "cafe"),
            ("мой", "Мой дом"),
            ("2024", "on 2024-05-01"),
            ("a", "a b"),
            ("straße", "STRAßE"),
            ("नमस्ते", "नमस्ते दुनिया"),
        ] {
            assert!(finds(asked, text), "{asked} in {text}");
        }
        for (asked, text) in
            [("ello", "hello"), ("hello moon", "hello world"), ("h", "hello"), ("мои", "мой")]
        {
            assert!(!finds(asked, text), "{asked} not in {text}");
        }
    }

    #[test]
    fn two_characters_of_scripts_without_spaces_are_found_where_they_stand_together() {
        for (asked, text) in [
            ("北京", "我住在北京市"),
            ("京市", "我住在北京市"),
            ("市", "我住在北京市"),
            ("我", "我住在北京市"),
            ("東京", "明日は東京タワーへ"),
            ("タワー", "明日は東京ﾀﾜｰへ"),
            ("ガス", "ｶﾞｽ料金"),
            ("학교", "우리는 학교에 간다"),
            ("학교", "\u{1112}\u{1161}\u{11a8}\u{1100}\u{116d}"),
            ("간다", "우리는 학교에 간다"),
            ("ไทย", "ภาษาไทย"),
            ("iphone手机", "新的iPhone手机"),
        ] {
            assert!(finds(asked, text), "{asked} in {text}");
        }
        for (asked, text) in [
            ("京北", "北京"),
            ("北市", "北京市"),
            // All of its pairs are there, and not side by side.
            ("abc京北京", "abc 京北 北京"),
            ("は", "ば"),
            ("가", "학교"),
        ] {
            assert!(!finds(asked, text), "{asked} not in {text}");
        }
    }

    #[test]
    fn a_query_without_a_word_or_with_too_many_is_refused() {
        for wrong in ["", "  ", "?!", "\u{301}", &"a ".repeat(17), &"a".repeat(201)] {
            assert!(SearchQuery::parse("q", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_snippet_shows_the_matches_and_what_is_around_the_first() {
        let part = |text: &str, matched| SnippetPart { text: text.to_owned(), matched };
        let shown = |asked, text| query(asked).snippet(text).unwrap();
        assert_eq!(
            shown("wor", "Hello, World!"),
            [part("Hello, ", false), part("Wor", true), part("ld!", false)]
        );
        assert_eq!(shown("北京", "北京北京"), [part("北京北京", true)]);
        let long = format!("{}needle{}", "é ".repeat(100), " ö".repeat(200));
        let snippet = shown("needle", &long);
        assert_eq!(snippet[1], part("needle", true));
        assert!(snippet[0].text.starts_with('…') && snippet[0].text.chars().count() == 41);
        assert!(snippet[2].text.ends_with('…'));
        let length: usize = snippet.iter().map(|part| part.text.chars().count()).sum();
        assert_eq!(length, SNIPPET_LENGTH + 2);
        assert_eq!(query("x").snippet("y"), None);
    }

    #[test]
    fn what_is_far_behind_is_not_searched() {
        let long = format!("{} needle", "x".repeat(SEARCHED_BYTES));
        assert!(!finds("needle", &long));
    }

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_700_000_000_123_456_000).unwrap();
        let place = SearchPlace { at, owner: -7, seq: 12 };
        assert_eq!(SearchPlace::from_bytes(&place.to_bytes()), Some(place));
        assert_eq!(SearchPlace::from_bytes(&[0; 16]), None);
    }
}

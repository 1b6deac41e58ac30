//! `--jq`: a result filtered, without another program.

use clap::ArgMatches;
use jaq_core::{
    Compiler, Ctx, Vars, data,
    load::{Arena, File, Loader},
    unwrap_valr,
};
use jaq_json::{Val, read};
use serde_json::Value;

use crate::args::option;

/// The filter of the command, if it has one.
pub(crate) fn filter(matches: &ArgMatches) -> Option<String> {
    option(matches, "jq").cloned()
}

/// Whether a filter can be read.
pub(crate) fn check(filter: &str) -> Result<String, String> {
    apply(filter, "null", |_| Ok(())).map(|()| filter.to_owned())
}

/// What a filter makes of a document: a line for each of its results, a text without quotes.
pub(crate) fn run(filter: &str, json: &str) -> Result<String, String> {
    let mut lines = Vec::new();
    apply(filter, json, |results| {
        for result in results {
            let value: Value = serde_json::from_str(&result?).map_err(|error| error.to_string())?;
            lines.push(match value {
                Value::String(text) => text,
                other => serde_json::to_string_pretty(&other).map_err(|error| error.to_string())?,
            });
        }
        Ok(())
    })?;
    Ok(lines.join("\n"))
}

/// Has `take` see the results of a filter, as JSON.
fn apply(
    filter: &str,
    json: &str,
    take: impl FnOnce(&mut dyn Iterator<Item = Result<String, String>>) -> Result<(), String>,
) -> Result<(), String> {
    let definitions = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let functions = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let arena = Arena::default();
    let loaded = Loader::new(definitions).load(&arena, File { path: (), code: filter });
    let modules = loaded.map_err(|_| "it is no filter of jq".to_owned())?;
    let compiled = Compiler::default().with_funs(functions).compile(modules).map_err(|errors| {
        let unknown = errors.iter().flat_map(|(_, errors)| errors).next();
        unknown
            .map_or("it is no filter of jq".to_owned(), |(name, _)| format!("there is no {name}"))
    })?;
    let input = read::parse_single(json.as_bytes()).map_err(|error| error.to_string())?;
    let context = Ctx::<data::JustLut<Val>>::new(&compiled.lut, Vars::new([]));
    let results = compiled.id.run((context, input)).map(unwrap_valr);
    let as_json = |result: Result<Val, jaq_core::Error<Val>>| {
        result.map(|value| value.to_string()).map_err(|error| error.to_string())
    };
    take(&mut results.map(as_json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_applied_and_texts_have_no_quotes() {
        let users = r#"[{"user_id": "ann", "sessions": 2}, {"user_id": "ben", "sessions": 0}]"#;
        assert_eq!(run(".[].user_id", users), Ok("ann\nben".to_owned()));
        assert_eq!(run("map(.sessions) | add", users), Ok("2".to_owned()));
        assert_eq!(run(".[] | select(.sessions > 2)", users), Ok(String::new()));
        assert!(run(".[].user_id.name", users).is_err_and(|error| error.contains("index")));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        assert!(check(".[").is_err());
        assert_eq!(check("nosuch"), Err("there is no nosuch".to_owned()));
        assert_eq!(check(".a | length"), Ok(".a | length".to_owned()));
    }
}

//! The file that `imctl retention apply` takes.

use std::{collections::BTreeMap, fs, io, path::Path};

use imd_proto::v1::Tier;
use serde::Deserialize;

use super::limits::{Bytes, Days, Messages};
use crate::error::Error;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tiers: BTreeMap<String, Limits>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    days: Option<Days>,
    messages: Option<Messages>,
    bytes: Option<Bytes>,
}

/// The tiers of the file; `-` is stdin.
pub(super) fn read(path: &Path) -> Result<Vec<Tier>, Error> {
    let text = if path == Path::new("-") {
        io::read_to_string(io::stdin())
    } else {
        fs::read_to_string(path)
    };
    let text =
        text.map_err(|cause| Error::Usage(format!("cannot read {}: {cause}", path.display())))?;
    parse(&text).map_err(|cause| {
        Error::Usage(format!("{}: {}", path.display(), cause.to_string().trim_end()))
    })
}

fn parse(text: &str) -> Result<Vec<Tier>, toml::de::Error> {
    let file: File = toml::from_str(text)?;
    let tier = |(name, limits): (String, Limits)| Tier {
        name,
        max_age: limits.days.map(Days::seconds),
        max_messages: limits.messages.map(Messages::count),
        max_bytes: limits.bytes.map(Bytes::count),
        users: 0,
    };
    Ok(file.tiers.into_iter().map(tier).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_those_of_the_file() {
        let tiers = parse("[tiers.free]\ndays = 7\nmessages = 10000\n[tiers.premium]\n");
        let [free, premium] = &tiers.expect("it is well-formed")[..] else { panic!("two tiers") };
        assert_eq!((free.name.as_str(), free.max_messages), ("free", Some(10_000)));
        assert_eq!(free.max_age.map(|age| age.seconds), Some(604_800));
        assert_eq!(
            (premium.name.as_str(), premium.max_messages, premium.max_age),
            ("premium", None, None)
        );
    }

    #[test]
    fn what_is_no_limit_is_named() {
        let refused = parse("[tiers.free]\nday = 7\n").expect_err("a misspelt limit");
        assert!(refused.to_string().contains("unknown field `day`"), "{refused}");
        let refused = parse("[tiers.free]\ndays = 99999999999\n").expect_err("too many");
        let told = refused.to_string();
        assert!(told.contains("line 2") && told.contains("from 0 to 36525"), "{told}");
    }
}

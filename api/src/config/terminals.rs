//! `terminals.*`

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Its place among the terminal types; so no type has this name.
pub(super) const EXCLUSIVE: &str = "exclusive";

/// The terminal types of a database that has none yet.
#[derive(Debug, Clone, Default)]
pub struct Terminals {
    /// Terminal type → live sessions a user may have of it.
    pub limits: BTreeMap<String, u32>,
    /// Groups of types that exclude each other.
    pub exclusive: ExclusiveGroups,
}

/// Groups of terminal types, in a settings file `[["phone", "pad"], ["pc", "web"]]`, elsewhere the text
/// `phone+pad,pc+web`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ExclusiveGroups(pub Vec<BTreeSet<String>>);

impl Terminals {
    /// The types that exclude this one.
    #[must_use]
    pub fn excluded_by(&self, terminal_type: &str) -> Vec<String> {
        let groups = self.exclusive.0.iter().filter(|group| group.contains(terminal_type));
        groups.flatten().filter(|other| *other != terminal_type).cloned().collect()
    }
}

/// By hand, because a buffer between would keep `"3"` from being read as a number, as variables and
/// flags give it.
impl<'de> Deserialize<'de> for Terminals {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;

        impl<'de> Visitor<'de> for Table {
            type Value = Terminals;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of terminal types")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Terminals, A::Error> {
                let mut terminals = Terminals::default();
                while let Some(name) = map.next_key::<String>()? {
                    if name == EXCLUSIVE {
                        terminals.exclusive = map.next_value()?;
                    } else {
                        terminals.limits.insert(name, map.next_value()?);
                    }
                }
                Ok(terminals)
            }
        }

        deserializer.deserialize_map(Table)
    }
}

impl Serialize for Terminals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, limit) in &self.limits {
            map.serialize_entry(name, limit)?;
        }
        if !self.exclusive.0.is_empty() {
            map.serialize_entry(EXCLUSIVE, &self.exclusive)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for ExclusiveGroups {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Groups;

        impl<'de> Visitor<'de> for Groups {
            type Value = ExclusiveGroups;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("groups of terminal types, as [[\"phone\", \"pad\"]] or `phone+pad`")
            }

            fn visit_str<E>(self, text: &str) -> Result<ExclusiveGroups, E> {
                let name = |name: &str| name.trim().to_owned();
                let group = |group: &str| group.split('+').map(name).collect();
                Ok(ExclusiveGroups(text.split(',').map(group).collect()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, groups: A) -> Result<ExclusiveGroups, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(groups)).map(ExclusiveGroups)
            }
        }

        deserializer.deserialize_any(Groups)
    }
}

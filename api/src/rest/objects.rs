//! Objects are read from objects alone. What `serde` derives for a structure also reads it from the list of its
//! members, in the order of the source: `"to": ["ann"]` would be a recipient, which the document does not describe, and
//! which would mean something else with the next member. Of all that is read from JSON, however deep, a structure that is
//! a list is refused.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

/// Reads as the deserializer within, but no structure from a list.
pub(super) struct Objects<D>(pub(super) D);

/// A visitor, the access to members, or the seed of one; `is_object` where a list is refused.
struct Within<T> {
    of: T,
    is_object: bool,
}

impl<T> Within<T> {
    fn any(of: T) -> Self {
        Self { of, is_object: false }
    }

    fn object(of: T) -> Self {
        Self { of, is_object: true }
    }
}

macro_rules! deserialize {
    ($($method:ident($($name:ident: $type:ty),*) as $as:ident;)+) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($name,)* Within::$as(visitor))
        }
    )+};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Objects<D> {
    type Error = D::Error;

    deserialize! {
        deserialize_any() as any;
        deserialize_bool() as any;
        deserialize_i8() as any;
        deserialize_i16() as any;
        deserialize_i32() as any;
        deserialize_i64() as any;
        deserialize_i128() as any;
        deserialize_u8() as any;
        deserialize_u16() as any;
        deserialize_u32() as any;
        deserialize_u64() as any;
        deserialize_u128() as any;
        deserialize_f32() as any;
        deserialize_f64() as any;
        deserialize_char() as any;
        deserialize_str() as any;
        deserialize_string() as any;
        deserialize_bytes() as any;
        deserialize_byte_buf() as any;
        deserialize_option() as any;
        deserialize_unit() as any;
        deserialize_unit_struct(name: &'static str) as any;
        deserialize_newtype_struct(name: &'static str) as any;
        deserialize_seq() as any;
        deserialize_tuple(len: usize) as any;
        deserialize_tuple_struct(name: &'static str, len: usize) as any;
        deserialize_map() as any;
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) as object;
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) as any;
        deserialize_identifier() as any;
        deserialize_ignored_any() as any;
    }
}

macro_rules! visit {
    ($($method:ident($type:ty);)+) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.of.$method(value)
        }
    )+};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Within<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.of.expecting(formatter)
    }

    visit! {
        visit_bool(bool);
        visit_i8(i8);
        visit_i16(i16);
        visit_i32(i32);
        visit_i64(i64);
        visit_i128(i128);
        visit_u8(u8);
        visit_u16(u16);
        visit_u32(u32);
        visit_u64(u64);
        visit_u128(u128);
        visit_f32(f32);
        visit_f64(f64);
        visit_char(char);
        visit_str(&str);
        visit_borrowed_str(&'de str);
        visit_string(String);
        visit_bytes(&[u8]);
        visit_borrowed_bytes(&'de [u8]);
        visit_byte_buf(Vec<u8>);
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.of.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.of.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        self.of.visit_some(Objects(value))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        self.of.visit_newtype_struct(Objects(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        if self.is_object {
            return Err(Error::custom("must be an object"));
        }
        self.of.visit_seq(Within::any(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<V::Value, A::Error> {
        self.of.visit_map(Within::any(members))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.of.visit_enum(Within::any(variant))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Within<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<S::Value, D::Error> {
        self.of.deserialize(Objects(value))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Within<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.of.next_element_seed(Within::any(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.of.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Within<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.of.next_key_seed(Within::any(seed))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.of.next_value_seed(Within::any(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.of.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Within<A> {
    type Error = A::Error;
    type Variant = Within<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, variant) = self.of.variant_seed(Within::any(seed))?;
        Ok((value, Within::any(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Within<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.of.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.of.newtype_variant_seed(Within::any(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.of.tuple_variant(len, Within::any(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.of.struct_variant(fields, Within::object(visitor))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Frame {
        Send(Message),
        Mark { seq: i64 },
        Ping {},
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Message {
        to: To,
        #[serde(default)]
        also: Vec<To>,
        #[serde(default)]
        place: Option<To>,
        #[serde(default)]
        numbers: Vec<i64>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct To {
        id: String,
    }

    fn read(text: &str) -> Result<Frame, String> {
        let mut json = serde_json::Deserializer::from_str(text);
        let frame = Frame::deserialize(Objects(&mut json)).map_err(|error| error.to_string())?;
        json.end().map(|()| frame).map_err(|error| error.to_string())
    }

    #[test]
    fn no_structure_is_read_from_a_list_however_deep_it_stands() {
        for list in [
            r#"{"send": [{"id": "ann"}]}"#,
            r#"{"send": {"to": ["ann"]}}"#,
            r#"{"send": {"to": {"id": "ann"}, "also": [{"id": "ben"}, ["cleo"]]}}"#,
            r#"{"send": {"to": {"id": "ann"}, "place": ["ben"]}}"#,
            r#"{"mark": [7]}"#,
            r#"{"ping": []}"#,
        ] {
            let refused = read(list).expect_err(list);
            assert!(refused.starts_with("must be an object"), "{refused}");
        }
    }

    #[test]
    fn everything_else_is_read_as_before() {
        let to = |id: &str| To { id: id.to_owned() };
        let read = |text| read(text).expect(text);
        let text = r#"{"send": {"to": {"id": "ann", "new": [1]}, "also": [{"id": "ben"}],
            "place": {"id": "cleo"}, "numbers": [1, 2]}}"#;
        let expected = Message {
            to: to("ann"),
            also: vec![to("ben")],
            place: Some(to("cleo")),
            numbers: vec![1, 2],
        };
        assert_eq!(read(text), Frame::Send(expected));
        assert_eq!(read(r#"{"mark": {"seq": 7}}"#), Frame::Mark { seq: 7 });
        assert_eq!(read(r#"{"ping": {}}"#), Frame::Ping {});
    }
}

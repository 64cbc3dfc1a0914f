//! Deserializes JSON by way of [`serde_json::Value`].
//!
//! A deserializer that reads text is generic over the text's source, accepts an array as a struct, and has
//! its code generated in every crate for every type. This module parses the text in one place. It makes
//! structs only from objects, so the compiler generates only one of the two functions that serde derives for
//! each struct.
//!
//! Text that is large, is read often, or is written by others is deserialized by [`serde_json::from_str`]. A
//! [`Value`] can take ten times as much memory as its text. It cannot be made from a text with a lone
//! surrogate, even if the field is ignored, and programs write lone surrogates for the bytes of
//! names that are not UTF-8.

use std::fmt;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, IntoDeserializer,
    MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde_json::{Error, Value};

/// Parses JSON.
///
/// ```
/// let words: Vec<String> = truing_core::json::from_str(r#"["one", "two"]"#)?;
/// assert_eq!(words, ["one", "two"]);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// # Errors
/// The text is not JSON, or the value has another form than `T`. In the second case, the error has no
/// position.
pub fn from_str<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, Error> {
    from_value(&parse(text.as_bytes())?)
}

/// Parses JSON, as [`from_str`] does.
///
/// # Errors
/// The errors of [`from_str`]; text that is not UTF-8 is not JSON.
pub fn from_slice<T: for<'de> Deserialize<'de>>(text: &[u8]) -> Result<T, Error> {
    from_value(&parse(text)?)
}

/// Deserializes a value. Strings may be borrowed from it.
///
/// # Errors
/// The value has another form than `T`.
pub fn from_value<'de, T: Deserialize<'de>>(value: &'de Value) -> Result<T, Error> {
    T::deserialize(ValueDeserializer(value))
}

fn parse(text: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(text)
}

/// Returns the error about a value of an unexpected kind.
fn kind_error(value: &Value, expected: &dyn Expected) -> Error {
    let found = match value {
        Value::Null => Unexpected::Other("null"),
        Value::Bool(yes) => Unexpected::Bool(*yes),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Unexpected::Unsigned(number),
            (None, Some(number)) => Unexpected::Signed(number),
            (None, None) => Unexpected::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Unexpected::Str(text),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    };
    Error::invalid_type(found, expected)
}

struct ValueDeserializer<'de>(&'de Value);

impl<'de> IntoDeserializer<'de, Error> for ValueDeserializer<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Forwards the methods of deserializers to others.
macro_rules! forward {
    ($($method:ident)* => $target:ident) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.$target(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for ValueDeserializer<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(yes) => visitor.visit_bool(*yes),
            Value::Number(_) => self.deserialize_u64(visitor),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(_) => self.deserialize_seq(visitor),
            Value::Object(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::Bool(yes) = self.0 else { return Err(kind_error(self.0, &visitor)) };
        visitor.visit_bool(*yes)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::Number(number) = self.0 else { return Err(kind_error(self.0, &visitor)) };
        if let Some(number) = number.as_u64() {
            visitor.visit_u64(number)
        } else if let Some(number) = number.as_i64() {
            visitor.visit_i64(number)
        } else {
            visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN))
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::String(text) = self.0 else { return Err(kind_error(self.0, &visitor)) };
        visitor.visit_borrowed_str(text)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::Null = self.0 else { return Err(kind_error(self.0, &visitor)) };
        visitor.visit_unit()
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::Array(values) = self.0 else { return Err(kind_error(self.0, &visitor)) };
        let mut elements = ArrayElements(values.iter());
        let result = visitor.visit_seq(&mut elements)?;
        elements.check_end(values.len()).map(|()| result)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::Object(fields) = self.0 else { return Err(kind_error(self.0, &visitor)) };
        visitor.visit_map(ObjectFields { fields: fields.iter(), value: None })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(EnumVariant::parse(self.0)?)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward!(deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16
        deserialize_u32 deserialize_f32 deserialize_f64 => deserialize_u64);
    forward!(deserialize_char deserialize_string deserialize_identifier => deserialize_str);
    forward!(deserialize_bytes deserialize_byte_buf => deserialize_any);
}

/// The elements of an array that have not been read yet.
struct ArrayElements<'de>(std::slice::Iter<'de, Value>);

impl ArrayElements<'_> {
    /// Returns an error if not all elements were read.
    fn check_end(&self, length: usize) -> Result<(), Error> {
        let read = length - self.0.len();
        if read == length { Ok(()) } else { Err(Error::invalid_length(length, &ElementCount(read))) }
    }
}

/// A number of elements, as an expectation.
struct ElementCount(usize);

impl Expected for ElementCount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "an array of {} elements", self.0)
    }
}

impl<'de> SeqAccess<'de> for &mut ArrayElements<'de> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        self.0.next().map(|value| seed.deserialize(ValueDeserializer(value))).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

/// The fields of an object that have not been read yet.
struct ObjectFields<'de> {
    fields: serde_json::map::Iter<'de>,
    /// The value of the key that was read last.
    value: Option<&'de Value>,
}

impl<'de> MapAccess<'de> for ObjectFields<'de> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some((key, value)) = self.fields.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(KeyDeserializer(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let value = self.value.take().ok_or_else(|| Error::custom("a field without a key"))?;
        seed.deserialize(ValueDeserializer(value))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.fields.len())
    }
}

/// The key of a field. Maps may have integers as keys.
struct KeyDeserializer<'de>(&'de str);

impl<'de> Deserializer<'de> for KeyDeserializer<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0.parse() {
            Ok(number) => visitor.visit_u64(number),
            Err(_) => Err(Error::invalid_type(Unexpected::Str(self.0), &visitor)),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0.parse() {
            Ok(number) => visitor.visit_i64(number),
            Err(_) => Err(Error::invalid_type(Unexpected::Str(self.0), &visitor)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        BorrowedStrDeserializer::new(self.0).deserialize_enum(name, variants, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    forward!(deserialize_u8 deserialize_u16 deserialize_u32 => deserialize_u64);
    forward!(deserialize_i8 deserialize_i16 deserialize_i32 => deserialize_i64);
    serde::forward_to_deserialize_any! {
        bool f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

/// A variant of an enum: its name, or an object whose only field is its name and content.
struct EnumVariant<'de> {
    name: &'de str,
    content: Option<&'de Value>,
}

impl<'de> EnumVariant<'de> {
    fn parse(value: &'de Value) -> Result<Self, Error> {
        match value {
            Value::String(name) => return Ok(Self { name, content: None }),
            Value::Object(fields) => {
                let mut fields = fields.iter();
                if let (Some((name, content)), None) = (fields.next(), fields.next()) {
                    return Ok(Self { name, content: Some(content) });
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {}
        }
        Err(kind_error(value, &"the name of a variant, or an object with one field"))
    }

    fn content(&self, expected: &'static str) -> Result<&'de Value, Error> {
        self.content.ok_or_else(|| Error::invalid_type(Unexpected::UnitVariant, &expected))
    }
}

impl<'de> EnumAccess<'de> for EnumVariant<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let name = seed.deserialize(BorrowedStrDeserializer::<Error>::new(self.name))?;
        Ok((name, self))
    }
}

impl<'de> VariantAccess<'de> for EnumVariant<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.content {
            None | Some(Value::Null) => Ok(()),
            Some(content) => Err(kind_error(content, &"a variant without content")),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(ValueDeserializer(self.content("a variant with content")?))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        ValueDeserializer(self.content("a variant with a list")?).deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        ValueDeserializer(self.content("a variant with fields")?).deserialize_map(visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;

    #[derive(Deserialize, Serialize, Debug, PartialEq)]
    struct Newtype(u8);

    #[derive(Deserialize, Serialize, Debug, PartialEq, PartialOrd, Ord, Eq)]
    #[serde(rename_all = "snake_case")]
    enum Shape {
        Point,
        Circle(u32),
        Segment(i8, i8),
        Named { name: String },
    }

    #[derive(Deserialize, Serialize, Debug, PartialEq)]
    #[serde(tag = "kind", deny_unknown_fields)]
    enum Tagged {
        One { a: Option<i64> },
        Two,
    }

    #[derive(Deserialize, Serialize, Debug, PartialEq)]
    #[serde(untagged)]
    enum Untagged {
        Number(f64),
        Text(String),
        List(Vec<Untagged>),
    }

    #[derive(Deserialize, Serialize, Debug, PartialEq)]
    struct Whole {
        newtype: Newtype,
        shapes: Vec<Shape>,
        by_number: BTreeMap<u32, bool>,
        by_negative: BTreeMap<i16, ()>,
        by_shape: BTreeMap<Shape, char>,
        pair: (String, f32),
        #[serde(default)]
        missing: Option<String>,
        tagged: Vec<Tagged>,
        untagged: Untagged,
        #[serde(flatten)]
        rest: BTreeMap<String, Value>,
    }

    fn whole() -> Value {
        json!({
            "newtype": 7, "shapes": ["point", { "circle": 3 }, { "segment": [-1, 1] }, { "named": { "name": "n" } }],
            "by_number": { "4294967295": true }, "by_negative": { "-3": null }, "by_shape": { "point": "é" },
            "pair": ["p", 1.5], "tagged": [{ "kind": "One", "a": -9 }, { "kind": "Two" }],
            "untagged": [1, "t", []], "more": { "kept": [null] },
        })
    }

    #[test]
    fn values_of_all_forms_are_read_as_by_serde_json() {
        let ours: Whole = from_value(&whole()).unwrap();
        assert_eq!(ours, serde_json::from_value(whole()).unwrap());
        assert_eq!(ours.rest, BTreeMap::from([("more".to_owned(), json!({ "kept": [null] }))]));
        let text = serde_json::to_string(&ours).unwrap();
        assert_eq!(from_str::<Whole>(&text).unwrap(), ours);
        assert_eq!(from_slice::<Whole>(text.as_bytes()).unwrap(), ours);
        let words = json!(["a\nb"]);
        assert_eq!(from_value::<Vec<&str>>(&words).unwrap(), ["a\nb"]);
    }

    #[test]
    fn what_serde_json_refuses_is_refused() {
        let replaced = |field: &str, value: Value| {
            let mut changed = whole();
            changed[field] = value;
            changed
        };
        for changed in [
            replaced("newtype", json!(256)),
            replaced("newtype", json!(-1)),
            replaced("newtype", json!("7")),
            replaced("newtype", Value::Null),
            replaced("shapes", json!(["square"])),
            replaced("shapes", json!([{ "circle": 3, "point": null }])),
            replaced("shapes", json!(["circle"])),
            replaced("shapes", json!([{ "point": 1 }])),
            replaced("shapes", json!([{ "segment": [1] }])),
            replaced("shapes", json!([{ "segment": [1, 2, 3] }])),
            replaced("shapes", json!([{ "named": {} }])),
            replaced("shapes", json!({})),
            replaced("by_number", json!({ "x": true })),
            replaced("by_number", json!([])),
            replaced("by_shape", json!({ "circle": "c" })),
            replaced("by_shape", json!({ "point": "long" })),
            replaced("pair", json!(["p"])),
            replaced("pair", json!(["p", 1, 2])),
            replaced("missing", json!(1)),
            replaced("tagged", json!([{ "kind": "Two", "a": 1, "b": 2 }, { "kind": "Three" }])),
            replaced("tagged", json!([{ "kind": "One", "b": 1 }])),
            replaced("untagged", json!({})),
            json!(null),
            json!("text"),
        ] {
            assert!(serde_json::from_value::<Whole>(changed.clone()).is_err(), "{changed}");
            assert!(from_value::<Whole>(&changed).is_err(), "{changed}");
        }
    }

    #[test]
    fn a_struct_is_not_read_from_an_array() {
        #[derive(Deserialize, Debug)]
        struct Point {
            #[expect(dead_code, reason = "the test reads only the error")]
            x: u8,
        }
        let error = from_str::<Point>("[1]").unwrap_err().to_string();
        assert!(error.contains("sequence, expected struct Point"), "{error}");
        assert!(from_str::<Point>("{\"x\": 1").unwrap_err().is_eof());
        assert!(from_slice::<String>(b"\"\xff\"").is_err());
    }
}

//! Parses JSON arrays and objects entry by entry. Malformed entries are skipped, and parsing continues.
//!
//! The end of an entry is determined by its brackets before the entry is parsed, without recursion and
//! without copying the entry. A malformed entry therefore does not affect the entries after it. An array with
//! millions of entries needs memory only for the entries that are kept.

use std::fmt;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use regex::Regex;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::value::RawValue;

use crate::output::report::DiagnosticCollector;

/// Lines that golangci-lint 2 prints after each JSON document on standard output: the total number of
/// findings, and the number for each linter.
static GOLANGCI_TOTALS_PATTERN: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(?:(?P<total>\d+) issues?[.:]|\* [\w-]+: \d+)$").ok());

/// Parses a whole JSON document. If lines of text follow the document, lines with totals are used, and all
/// others are recorded as not understood ([`DiagnosticReport::unparsed_lines`]).
///
/// [`DiagnosticReport::unparsed_lines`]: crate::output::report::DiagnosticReport::other_lines
///
/// # Errors
///
/// Returns an error if the document is not JSON, or cannot be parsed as a `T`.
pub(crate) fn parse_document<'de, T: Deserialize<'de>>(
    text: &'de str,
    collector: &mut DiagnosticCollector,
) -> serde_json::Result<T> {
    let mut documents = serde_json::Deserializer::from_str(text).into_iter::<T>();
    let Some(document) = documents.next() else { return Err(serde_json::Error::custom("it is empty")) };
    let document = document?;
    let rest = text.get(documents.byte_offset()..).unwrap_or_default();
    for line in rest.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        match GOLANGCI_TOTALS_PATTERN.as_ref().and_then(|totals| totals.captures(line)) {
            Some(groups) => {
                if let Some(total) = groups.name("total").and_then(|total| total.as_str().parse().ok()) {
                    collector.record_expected_total(total);
                }
            }
            None => collector.record_unparsed_line(line),
        }
    }
    Ok(document)
}

/// Passes each entry of an array and its index to `visit_entry`, until `visit_entry` returns `Break` or the
/// array ends.
///
/// # Errors
///
/// Returns an error if the text is not an array, or if the array is damaged. The entries before the damage
/// have already been passed.
pub(crate) fn for_each_entry<'de>(
    text: &'de str,
    visit_entry: impl FnMut(usize, &'de RawValue) -> ControlFlow<()>,
) -> serde_json::Result<()> {
    let mut walk = ArrayVisitor { visit_entry, is_stopped: false };
    let read = serde_json::Deserializer::from_str(text).deserialize_seq(&mut walk);
    if walk.is_stopped { Ok(()) } else { read }
}

struct ArrayVisitor<F> {
    visit_entry: F,
    is_stopped: bool,
}

impl<'de, F: FnMut(usize, &'de RawValue) -> ControlFlow<()>> Visitor<'de> for &mut ArrayVisitor<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(entry) = entries.next_element::<&RawValue>()? {
            if (self.visit_entry)(index, entry).is_break() {
                self.is_stopped = true;
                break;
            }
            index += 1;
        }
        Ok(())
    }
}

/// The first `MAX_FIELDS` entries of an array. A malformed entry is stored as `None`, so the other entries
/// keep their index. `null` is parsed as an empty array.
#[derive(Debug)]
pub(crate) struct BoundedList<T, const MAX_ENTRIES: usize>(pub(crate) Vec<Option<T>>);

impl<T, const MAX_ENTRIES: usize> Default for BoundedList<T, MAX_ENTRIES> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX_ENTRIES: usize> BoundedList<T, MAX_ENTRIES> {
    /// Returns the entry at this index. Returns `None` for a negative index, which means "not set" in SARIF.
    pub(crate) fn get(&self, index: i64) -> Option<&T> {
        self.0.get(usize::try_from(index).ok()?)?.as_ref()
    }

    /// Returns the well-formed entries in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }
}

impl<'de, T: Deserialize<'de>, const MAX_ENTRIES: usize> Deserialize<'de> for BoundedList<T, MAX_ENTRIES> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor::<T, MAX_ENTRIES>(PhantomData))
    }
}

struct ListVisitor<T, const MAX_ENTRIES: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX_ENTRIES: usize> Visitor<'de> for ListVisitor<T, MAX_ENTRIES> {
    type Value = BoundedList<T, MAX_ENTRIES>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(BoundedList::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while list.len() < MAX_ENTRIES {
            let Some(entry) = entries.next_element::<&RawValue>()? else { return Ok(BoundedList(list)) };
            list.push(serde_json::from_str(entry.get()).ok());
        }
        while entries.next_element::<IgnoredAny>()?.is_some() {}
        Ok(BoundedList(list))
    }
}

/// At most `MAX_FIELDS` fields of an object, in order. Malformed fields are left out. `null` is parsed as an
/// empty object.
#[derive(Debug)]
pub(crate) struct BoundedFields<T, const MAX_FIELDS: usize>(pub(crate) Vec<(String, T)>);

impl<T, const MAX_FIELDS: usize> Default for BoundedFields<T, MAX_FIELDS> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX_FIELDS: usize> BoundedFields<T, MAX_FIELDS> {
    /// Returns the field with this name.
    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

impl<'de, T: Deserialize<'de>, const MAX_FIELDS: usize> Deserialize<'de> for BoundedFields<T, MAX_FIELDS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor::<T, MAX_FIELDS>(PhantomData))
    }
}

struct FieldVisitor<T, const MAX_FIELDS: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX_FIELDS: usize> Visitor<'de> for FieldVisitor<T, MAX_FIELDS> {
    type Value = BoundedFields<T, MAX_FIELDS>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(BoundedFields::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while fields.len() < MAX_FIELDS {
            let Some((name, value)) = map.next_entry::<String, &RawValue>()? else {
                return Ok(BoundedFields(fields));
            };
            if let Ok(value) = serde_json::from_str(value.get()) {
                fields.push((name, value));
            }
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(BoundedFields(fields))
    }
}

/// A whole number. In JSON, this is a string or a number without a fraction, because the JSON of protocol
/// buffers contains some numbers as strings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WholeNumber(pub(crate) i64);

impl WholeNumber {
    /// Returns the number as a line or a column. Returns 0 for a negative number, and the maximum of `u32`
    /// for a larger number.
    pub(crate) fn to_line_or_column(self) -> u32 {
        u32::try_from(self.0.max(0)).unwrap_or(u32::MAX)
    }

    /// Returns the number as an offset or a length, or `None` if the number is negative.
    pub(crate) fn to_offset(self) -> Option<u64> {
        u64::try_from(self.0).ok()
    }
}

impl<'de> Deserialize<'de> for WholeNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WholeNumberVisitor)
    }
}

struct WholeNumberVisitor;

impl Visitor<'_> for WholeNumberVisitor {
    type Value = WholeNumber;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<WholeNumber, E> {
        Ok(WholeNumber(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<WholeNumber, E> {
        Ok(WholeNumber(i64::try_from(number).unwrap_or(i64::MAX)))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<WholeNumber, E> {
        // No file has a larger offset, and a float represents all whole numbers up to this limit exactly.
        const MAX_EXACT_INTEGER: f64 = 9_007_199_254_740_992.0;
        if number.fract() == 0.0 && number.abs() <= MAX_EXACT_INTEGER {
            #[expect(clippy::cast_possible_truncation, reason = "a whole number within the bounds")]
            return Ok(WholeNumber(number as i64));
        }
        Err(E::invalid_value(de::Unexpected::Float(number), &self))
    }

    fn visit_str<E: Error>(self, number: &str) -> Result<WholeNumber, E> {
        number
            .trim()
            .parse()
            .map(WholeNumber)
            .map_err(|_| E::invalid_value(de::Unexpected::Str(number), &self))
    }
}

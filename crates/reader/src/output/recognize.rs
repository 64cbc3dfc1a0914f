//! Recognises the format of an output by the output's content.

use std::ops::ControlFlow;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::output::decode;
use crate::output::entries::{self, BoundedFields};
use crate::output::format::OutputFormat;
use crate::output::known::NAMED_FORMATS;
use crate::output::report::MAX_INPUT_BYTES;
use crate::output::xml::{XmlPart, XmlParts};

/// Maximum number of fields of a document that are examined.
const MAX_FIELDS: usize = 100;
/// Maximum number of parts of an XML document that are searched for the first element, which determines the
/// format.
const MAX_XML_PARTS: usize = 100;

type FieldNames = BoundedFields<IgnoredAny, MAX_FIELDS>;

/// Returns the format of an output, which is recognised by its content. Returns `None` if the output is
/// empty, too large, or in no known format. Also returns `None` for `[]`, which is valid in many formats.
pub fn recognize_format(bytes: &[u8]) -> Option<OutputFormat> {
    if bytes.len() > MAX_INPUT_BYTES {
        return None;
    }
    let text = decode::decode_text(bytes);
    let text = text.trim_start();
    let own = match text.as_bytes().first()? {
        b'{' => recognize_object(text),
        b'[' => is_gitlab_report(text).then_some(OutputFormat::Gitlab),
        b'<' => recognize_xml(text),
        _ => None,
    };
    own.or_else(|| NAMED_FORMATS.iter().find(|named| (named.matches)(bytes)).map(OutputFormat::Named))
}

fn recognize_object(text: &str) -> Option<OutputFormat> {
    let first_line =
        || text.lines().next().filter(|line| is_rdjson_diagnostic(line)).map(|_| OutputFormat::Rdjsonl);
    // Only the first JSON document is parsed, because some tools print further lines after it.
    let mut documents =
        serde_json::Deserializer::from_str(text).into_iter::<BoundedFields<&RawValue, MAX_FIELDS>>();
    let Some(Ok(fields)) = documents.next() else { return first_line() };
    let starts =
        |name: &str, prefix: char| fields.get(name).is_some_and(|value| value.get().starts_with(prefix));
    let schema = fields.get("$schema").is_some_and(|schema| schema.get().contains("sarif"));
    let is_versioned = fields.get("version").is_some_and(|version| {
        // Versions before 2.1.0 are also recognised as SARIF. The SARIF parser then rejects the output with
        // an error that contains the version.
        ["\"1.0", "\"2."].iter().any(|begins| version.get().starts_with(begins))
    });
    if starts("runs", '[') && (schema || is_versioned) {
        return Some(OutputFormat::Sarif);
    }
    let is_own = |name: &str| matches!(name, "diagnostics" | "source" | "severity");
    if starts("diagnostics", '[') && fields.0.iter().all(|(name, _)| is_own(name)) {
        let first = first_entry(fields.get("diagnostics")?.get());
        return first.is_none_or(is_rdjson_diagnostic).then_some(OutputFormat::Rdjson);
    }
    first_line()
}

/// Returns the first entry of an array.
fn first_entry(array: &str) -> Option<&str> {
    let mut first = None;
    let take = |_, entry: &'_ RawValue| {
        first = Some(entry.get().len());
        ControlFlow::Break(())
    };
    entries::for_each_entry(array, take).ok()?;
    let entry = array.get(1..)?.trim_start();
    entry.get(..first?)
}

fn is_rdjson_diagnostic(text: &str) -> bool {
    let Ok(fields) = serde_json::from_str::<BoundedFields<&RawValue, MAX_FIELDS>>(text) else { return false };
    has_location_path(&fields) && fields.get("message").is_some_and(|message| message.get().starts_with('"'))
}

fn has_location_path(fields: &BoundedFields<&RawValue, MAX_FIELDS>) -> bool {
    let location =
        fields.get("location").and_then(|location| serde_json::from_str::<FieldNames>(location.get()).ok());
    location.is_some_and(|location| location.get("path").is_some())
}

fn is_gitlab_report(text: &str) -> bool {
    let entry = first_entry(text)
        .and_then(|entry| serde_json::from_str::<BoundedFields<&RawValue, MAX_FIELDS>>(entry).ok());
    entry.is_some_and(|entry| {
        let is_named = entry.get("fingerprint").is_some() || entry.get("check_name").is_some();
        is_named && entry.get("description").is_some() && has_location_path(&entry)
    })
}

fn recognize_xml(text: &str) -> Option<OutputFormat> {
    let mut parts = XmlParts::new(text);
    for _ in 0..MAX_XML_PARTS {
        if let XmlPart::Start(element) = parts.next_part().ok()?? {
            return match element.name.as_str() {
                "checkstyle" => Some(OutputFormat::Checkstyle),
                "testsuites" | "testsuite" => Some(OutputFormat::Junit),
                _ => None,
            };
        }
    }
    None
}

//! Converts a server's result to plain text for the model. The text has a limited size and contains no
//! secrets.

use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::Value;
use truing_core::line::is_invisible_char;
use truing_reader::redact::{contains_secret, redact_secrets};

use crate::native::ToolCallOutput;

/// Number of bytes after the shown text that are also searched for secrets, because a secret may begin in the
/// shown text and end after it.
const SECRET_SEARCH_MARGIN: usize = 4 << 10;

/// Converts a result to a text of at most `max_bytes` bytes for the model.
pub(super) fn render_result(result: &CallToolResult, max_bytes: usize) -> ToolCallOutput {
    let (mut texts, mut others) = (Vec::new(), 0_usize);
    for block in &result.content {
        if let ContentBlock::Text(text) = block {
            texts.push(text.text.as_str());
        } else {
            others += 1;
        }
    }
    let mut text = texts.join("\n");
    if let (true, Some(structured)) = (texts.is_empty(), &result.structured_content) {
        text = structured.to_string();
    }
    let mut text = redact_and_truncate(&strip_invisible_chars(&text), max_bytes);
    if others > 0 {
        let note = format!("[left out: parts of the answer that are not text ({others})]");
        text = if text.is_empty() { note } else { format!("{text}\n{note}") };
    }
    if text.is_empty() {
        "[an empty answer]".clone_into(&mut text);
    }
    ToolCallOutput { text, is_error: result.is_error == Some(true), is_denied: false }
}

/// Removes control characters and invisible characters; line ends and tabs remain.
pub(super) fn strip_invisible_chars(text: &str) -> String {
    text.chars().filter(|char| matches!(char, '\n' | '\t') || !is_invisible_char(*char)).collect()
}

/// Removes secrets from a text and cuts the text to this many bytes. A note gives the number of bytes left
/// out.
pub(super) fn redact_and_truncate(text: &str, max_bytes: usize) -> String {
    let searched =
        text.get(..text.floor_char_boundary(max_bytes.saturating_add(SECRET_SEARCH_MARGIN))).unwrap_or(text);
    let shown = redact_secrets(searched);
    let (kept, left_out) = match shown.get(..shown.floor_char_boundary(max_bytes)) {
        Some(kept) => (kept, (shown.len() - kept.len()).saturating_add(text.len() - searched.len())),
        None => (shown.as_str(), 0),
    };
    match left_out {
        0 => kept.to_owned(),
        _ => format!("{kept}\n[… {left_out} bytes are left out: at most {max_bytes} are shown]"),
    }
}

/// Returns true if any text or any name in the value holds a secret.
pub(super) fn holds_a_secret(value: &Value) -> bool {
    match value {
        Value::String(text) => contains_secret(text),
        Value::Array(items) => items.iter().any(holds_a_secret),
        Value::Object(fields) => {
            // The name of the field is searched together with the value, because some secrets are recognized
            // only after such a name.
            let named = |(name, value): (&String, &Value)| match value {
                Value::String(text) => contains_secret(&format!("{name} = \"{text}\"")),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
            };
            fields.iter().any(named)
                || fields.values().any(holds_a_secret)
                || fields.keys().any(|name| contains_secret(name))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

//! Decodes the bytes of an output as text.

use std::borrow::Cow;

use crate::content::DecodedContent;
use crate::output::report::{DiagnosticCollector, MAX_INPUT_BYTES, ProblemKind};

/// Returns the text of a JSON or XML document. If the document has more than [`MAX_INPUT_BYTES`], records a
/// problem and returns `None`, because the beginning of a document cannot be parsed.
pub(crate) fn decode_document<'a>(
    bytes: &'a [u8],
    collector: &mut DiagnosticCollector,
) -> Option<Cow<'a, str>> {
    if bytes.len() > MAX_INPUT_BYTES {
        let (size, most) = (bytes.len(), MAX_INPUT_BYTES);
        collector.add_problem(
            ProblemKind::LimitReached,
            &format!("the output has {size} bytes, but Truing reads at most {most} bytes"),
        );
        return None;
    }
    Some(decode_text(bytes))
}

/// Returns the text of an output whose lines are independent. If the output has more than
/// [`MAX_INPUT_BYTES`], records a problem and returns only the whole lines within the limit.
pub(crate) fn decode_lines<'a>(bytes: &'a [u8], collector: &mut DiagnosticCollector) -> Cow<'a, str> {
    let Some(kept) = bytes.get(..MAX_INPUT_BYTES).filter(|kept| kept.len() < bytes.len()) else {
        return decode_text(bytes);
    };
    let (size, most) = (bytes.len(), MAX_INPUT_BYTES);
    collector.add_problem(
        ProblemKind::LimitReached,
        &format!("the output has {size} bytes: Truing reads only the lines in the first {most} bytes"),
    );
    // In UTF-16, the byte `\n` is one of the two bytes of a line feed, so the cut may split a character.
    // U+FFFD then replaces this character.
    let end = memchr::memrchr(b'\n', kept).map_or(0, |at| at + 1);
    decode_text(kept.get(..end).unwrap_or_default())
}

/// Decodes bytes as text, and removes a byte order mark. UTF-16 is supported because PowerShell writes it.
/// All other text is decoded as UTF-8, with U+FFFD in place of invalid bytes.
pub fn decode_text(bytes: &[u8]) -> Cow<'_, str> {
    let is_marked = bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF");
    if is_marked && let Some(text) = DecodedContent::from_bytes(bytes.to_vec()).into_text() {
        let text = String::from_utf8_lossy(&text).into_owned();
        return Cow::Owned(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text));
    }
    let bytes = bytes.strip_prefix(crate::content::BYTE_ORDER_MARK).unwrap_or(bytes);
    String::from_utf8_lossy(bytes)
}

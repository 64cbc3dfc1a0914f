//! Reads XML as a stream of elements with attributes and text. Only the five predefined entities of XML are
//! replaced, no DTD is read, and no other file is opened.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Maximum nesting depth of elements.
pub(crate) const MAX_ELEMENT_DEPTH: usize = 128;
/// Maximum number of bytes that are kept of one element's text.
pub(crate) const MAX_TEXT_BYTES: usize = 32 << 10;
/// Maximum number of attributes of an element that are examined.
const MAX_ATTRIBUTES: usize = 100;

/// Part of a document.
#[derive(Debug)]
pub(crate) enum XmlPart {
    /// An element begins, with its attributes.
    Start(XmlElement),
    /// An element of this name ends. For an element without content, this part is returned in addition to the
    /// start.
    End(String),
    /// Text within an element, with character references and entities replaced. The text between two elements
    /// may be returned in several pieces.
    Text(String),
}

/// The start tag of an element.
#[derive(Debug)]
pub(crate) struct XmlElement {
    /// Name of the element without a prefix.
    pub(crate) name: String,
    attributes: Vec<(String, String)>,
}

impl XmlElement {
    /// Returns an attribute that is not empty.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Returns an attribute as a whole number. Returns 0 if the attribute is not a number, and the largest
    /// `u32` if the number is larger.
    pub(crate) fn numeric_attribute(&self, name: &str) -> u32 {
        let number = self.attribute(name).and_then(|value| value.trim().parse::<i64>().ok()).unwrap_or(0);
        u32::try_from(number.max(0)).unwrap_or(u32::MAX)
    }
}

/// Reads the parts of a document, one after another.
pub(crate) struct XmlParts<'a> {
    reader: Reader<&'a [u8]>,
    /// Name of an element without content whose start was returned, and whose end is returned next.
    empty_element: Option<String>,
    depth: usize,
}

impl<'a> XmlParts<'a> {
    /// Creates a reader of this document.
    pub(crate) fn new(text: &'a str) -> Self {
        let mut reader = Reader::from_str(text);
        // Many tools do not escape ampersands, so single ampersands are accepted.
        reader.config_mut().allow_dangling_amp = true;
        Self { reader, empty_element: None, depth: 0 }
    }

    /// Returns the next part, or `None` at the end.
    ///
    /// # Errors
    ///
    /// The document is malformed at the current position, or nested more deeply than [`MAX_DEPTH`]. No
    /// further part can be read.
    pub(crate) fn next_part(&mut self) -> Result<Option<XmlPart>, String> {
        if let Some(name) = self.empty_element.take() {
            return Ok(Some(XmlPart::End(name)));
        }
        loop {
            let at = self.reader.buffer_position();
            let event = self.reader.read_event().map_err(|error| format!("at byte {at}: {error}"))?;
            let part = match event {
                Event::Eof if self.depth > 0 => return Err(format!("at byte {at}: the document is cut")),
                Event::Eof => return Ok(None),
                Event::Start(start) => {
                    self.depth += 1;
                    if self.depth > MAX_ELEMENT_DEPTH {
                        return Err(format!("at byte {at}: more than {MAX_ELEMENT_DEPTH} nested elements"));
                    }
                    XmlPart::Start(to_element(&start))
                }
                Event::Empty(start) => {
                    let element = to_element(&start);
                    self.empty_element = Some(element.name.clone());
                    XmlPart::Start(element)
                }
                Event::End(end) => {
                    self.depth = self.depth.saturating_sub(1);
                    XmlPart::End(end.local_name().as_ref().to_owned())
                }
                Event::Text(text) => XmlPart::Text(truncate_text(&text).into_owned()),
                Event::CData(text) => XmlPart::Text(truncate_text(&text).into_owned()),
                Event::GeneralRef(reference) => {
                    XmlPart::Text(resolve_references(&format!("&{};", truncate_text(&reference))))
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => continue,
            };
            return Ok(Some(part));
        }
    }
}

fn to_element(start: &BytesStart<'_>) -> XmlElement {
    let mut attributes = start.attributes();
    // Duplicate attribute names are not rejected, because only the first attribute with a name is used.
    let attributes = attributes.with_checks(false).flatten().take(MAX_ATTRIBUTES).map(|attribute| {
        let name = attribute.key.local_name().as_ref().to_owned();
        (name, resolve_references(&truncate_text(&attribute.value)))
    });
    XmlElement { name: start.local_name().as_ref().to_owned(), attributes: attributes.collect() }
}

/// Returns the beginning of a text, up to the size that is kept.
fn truncate_text(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text.get(..text.floor_char_boundary(MAX_TEXT_BYTES)).unwrap_or(text))
}

/// Replaces the character references and the five predefined entities in a text. Other entities are
/// unchanged.
fn resolve_references(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        shown.push_str(before);
        let reference = after.split_once(';').and_then(|(name, after)| Some((reference_char(name)?, after)));
        rest = match reference {
            Some((letter, after)) => {
                shown.push(letter);
                after
            }
            None => {
                shown.push('&');
                after
            }
        };
    }
    shown.push_str(rest);
    shown
}

/// Maximum length of a reference in bytes: enough for `#x10FFFF` with some leading zeros.
const MAX_REFERENCE_BYTES: usize = 16;

fn reference_char(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#').filter(|_| name.len() <= MAX_REFERENCE_BYTES)?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

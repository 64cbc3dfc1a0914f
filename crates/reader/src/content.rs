//! Detects if a file is text, UTF-16 text or binary, and converts UTF-16 text to UTF-8.

/// Byte order mark that some editors write before UTF-8 text. The mark does not belong to the first line.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Number of bytes at the beginning of a file in which a NUL byte is searched. A file with a NUL byte in this
/// range is treated as binary. Git searches the same number of bytes.
pub(crate) const PROBE_BYTES: usize = 8 * 1024;

pub(crate) struct DecodedContent {
    /// Content that rules search, without a byte order mark. UTF-16 text is converted to UTF-8.
    bytes: Vec<u8>,
    bom_bytes: usize,
    kind: ContentKind,
    size: u64,
}

/// Kinds of content that a file can have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ContentKind {
    /// Text, in UTF-8 or another encoding that contains ASCII.
    Text,
    /// Text that was converted from UTF-16. Offsets in the converted text differ from offsets in the file,
    /// and git treats the file as binary.
    Utf16,
    /// Content that is not text.
    Binary,
}

impl DecodedContent {
    /// Detects the kind of a file from its whole content.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        let size = bytes.len() as u64;
        if let Some(text) = decode_utf16(&bytes) {
            return Self { bytes: text, bom_bytes: 0, kind: ContentKind::Utf16, size };
        }
        let bom_bytes = if bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let form = if contains_nul(&bytes) { ContentKind::Binary } else { ContentKind::Text };
        Self { bytes, bom_bytes, kind: form, size }
    }

    /// Returns the content that rules search.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.bom_bytes..).unwrap_or_default()
    }

    pub(crate) fn kind(&self) -> ContentKind {
        self.kind
    }

    /// Returns the size of the file in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Returns the text with its byte order mark, or `None` for a binary file.
    pub(crate) fn into_text(self) -> Option<Vec<u8>> {
        match self.kind {
            ContentKind::Text | ContentKind::Utf16 => Some(self.bytes),
            ContentKind::Binary => None,
        }
    }
}

/// Returns true if `bytes`, the beginning of a file, contain a NUL byte but are not UTF-16.
pub(crate) fn has_binary_start(bytes: &[u8]) -> bool {
    contains_nul(bytes) && decode_utf16(bytes.get(..bytes.len() & !1).unwrap_or_default()).is_none()
}

fn contains_nul(bytes: &[u8]) -> bool {
    bytes.iter().take(PROBE_BYTES).any(|byte| *byte == 0)
}

/// Converts UTF-16 bytes to UTF-8. After a UTF-16 byte order mark, the bytes are always decoded, with U+FFFD
/// in place of invalid characters. Without a mark, they are decoded only under the conditions of
/// [`decode_without_bom`].
fn decode_utf16(bytes: &[u8]) -> Option<Vec<u8>> {
    match bytes {
        // These four bytes are the byte order mark of UTF-32.
        [0xFF, 0xFE, 0, 0, ..] => None,
        [0xFF, 0xFE, text @ ..] => Some(decode_lossy(text, u16::from_le_bytes)),
        [0xFE, 0xFF, text @ ..] => Some(decode_lossy(text, u16::from_be_bytes)),
        _ if contains_nul(bytes) => decode_without_bom(bytes, u16::from_le_bytes)
            .or_else(|| decode_without_bom(bytes, u16::from_be_bytes)),
        _ => None,
    }
}

fn decode_lossy(bytes: &[u8], decode_unit: fn([u8; 2]) -> u16) -> Vec<u8> {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let characters = char::decode_utf16(pairs.iter().map(|pair| decode_unit(*pair)));
    let mut text: String = characters.map(|read| read.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    if !odd.is_empty() {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    text.into_bytes()
}

/// Decodes UTF-16 without a byte order mark. Requires that all bytes are well-formed UTF-16 without control
/// characters and that at least half of the characters are ASCII. Binary data almost never meets these
/// conditions, but text with code usually does.
fn decode_without_bom(bytes: &[u8], decode_unit: fn([u8; 2]) -> u16) -> Option<Vec<u8>> {
    let (pairs, odd) = bytes.as_chunks::<2>();
    if !odd.is_empty() {
        return None;
    }
    let (mut text, mut all, mut ascii) = (String::new(), 0_usize, 0_usize);
    for read in char::decode_utf16(pairs.iter().map(|pair| decode_unit(*pair))) {
        let character = read.ok()?;
        if character.is_control() && !matches!(character, '\t' | '\n' | '\r' | '\x0c') {
            return None;
        }
        text.push(character);
        all += 1;
        ascii += usize::from(character.is_ascii());
    }
    (ascii * 2 >= all).then(|| text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to_utf16_le(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    fn to_utf16_be(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_be_bytes).collect()
    }

    #[test]
    fn utf16_is_text_with_a_mark_or_without() {
        let text = "key = 1\r\né ✓ 😀\n";
        for bytes in [
            [&[0xFF, 0xFE][..], &to_utf16_le(text)].concat(),
            [&[0xFE, 0xFF][..], &to_utf16_be(text)].concat(),
            to_utf16_le(text),
            to_utf16_be(text),
        ] {
            let content = DecodedContent::from_bytes(bytes.clone());
            assert_eq!((content.kind(), content.size()), (ContentKind::Utf16, bytes.len() as u64));
            assert_eq!(content.bytes(), text.as_bytes());
            assert!(!has_binary_start(&bytes));
        }
    }

    #[test]
    fn behind_a_mark_what_is_no_character_is_replaced() {
        let bytes = [&[0xFF, 0xFE][..], &to_utf16_le("a"), &[0x00, 0xD8], &to_utf16_le("b"), b"c"].concat();
        assert_eq!(DecodedContent::from_bytes(bytes).bytes(), "a\u{FFFD}b\u{FFFD}".as_bytes());
    }

    #[test]
    fn bytes_with_nul_that_are_no_utf16_are_binary() {
        for bytes in [
            b"\0".to_vec(),
            b"text\0".to_vec(),
            b"\x7fELF\x02\x01\x01\0\0\0".to_vec(),
            [&to_utf16_le("text")[..], b"x"].concat(),
            to_utf16_le("bell\x07"),
            [&to_utf16_le("a"), &[0x00, 0xD8][..], &to_utf16_le("b")].concat(),
            to_utf16_le("中文中文 a"),
            b"\xFF\xFE\0\0a\0\0\0".to_vec(),
        ] {
            let content = DecodedContent::from_bytes(bytes.clone());
            assert_eq!((content.kind(), content.bytes()), (ContentKind::Binary, &bytes[..]), "{bytes:?}");
        }
    }

    #[test]
    fn other_text_is_as_it_is_but_for_its_mark() {
        let late = [vec![b'a'; PROBE_BYTES], b"\0".to_vec()].concat();
        for (bytes, seen) in [
            (b"\xEF\xBB\xBFa".to_vec(), b"a".to_vec()),
            (b"caf\xE9".to_vec(), b"caf\xE9".to_vec()),
            (Vec::new(), Vec::new()),
            (late.clone(), late),
        ] {
            let content = DecodedContent::from_bytes(bytes);
            assert_eq!((content.kind(), content.bytes()), (ContentKind::Text, &seen[..]));
        }
    }
}

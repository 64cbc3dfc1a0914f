//! Decodes the words of a text that are base64 of other text.

use std::ops::Range;

/// Minimum length of a word that is decoded, in bytes. A shorter word contains no secret of a known form.
const MIN_WORD_BYTES: usize = 24;

/// Decoded texts of the base64 words in a text.
#[derive(Default)]
pub(super) struct DecodedWords {
    /// The decoded texts, one on each line.
    pub(super) text: String,
    /// For each decoded word, its end in the decoded text and its range in the original text.
    word_positions: Vec<(usize, Range<usize>)>,
}

impl DecodedWords {
    pub(super) fn from_text(text: &str) -> Self {
        let (mut decoded, mut at) = (Self::default(), 0);
        for word in text.as_bytes().split(|byte| !is_base64_digit(*byte)) {
            let place = at..at + word.len();
            at = place.end + 1;
            if let Some(plain) = (word.len() >= MIN_WORD_BYTES).then(|| decode_word(word)).flatten() {
                decoded.text.push_str(&plain);
                decoded.word_positions.push((decoded.text.len(), place));
                decoded.text.push('\n');
            }
        }
        decoded
    }

    /// Returns the ranges, in the original text, of the words whose decoded text overlaps this range of the
    /// decoded text.
    pub(super) fn word_ranges(&self, range: &Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let first = self.word_positions.partition_point(|(end, _)| *end <= range.start);
        // The last byte of the range belongs to the first word that ends at or after the range's end.
        let last = self.word_positions.partition_point(|(end, _)| *end < range.end);
        self.word_positions.iter().take(last + 1).skip(first).map(|(_, place)| place.clone())
    }
}

fn is_base64_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte)
}

/// Decodes a word in one of the two base64 alphabets of RFC 4648. Returns `None` if the decoded bytes are not
/// text. Most words that are not base64 are already rejected by their first letters.
fn decode_word(word: &[u8]) -> Option<String> {
    let value = |byte: &u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        _ => 63,
    };
    let bytes = word.chunks(4).flat_map(|group| {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 6 | u32::from(value(byte)));
        let bits = bits << (6 * (4 - group.len()));
        bits.to_be_bytes().into_iter().skip(1).take(group.len() - 1)
    });
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    bytes.map(|byte| is_text(&byte).then(|| char::from(byte))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_text_in_base64_are_decoded_and_others_are_not() {
        // These words are the output of `base64` and `basenc --base64url` of coreutils.
        let text = "é c29tZSB3b3JkcyBvZiBhIHRleHQ= or Pz8_Pj4-YW5kIG1vcmUgd29yZHM, d29yZHM= \
             crates/reader/src/redact/decoded";
        let decoded = DecodedWords::from_text(text);
        assert_eq!(decoded.text, "some words of a text\n???>>>and more words\n");
        let of = |range: Range<usize>| -> Vec<&str> {
            decoded.word_ranges(&range).filter_map(|place| text.get(place)).collect()
        };
        let (one, two) = ("c29tZSB3b3JkcyBvZiBhIHRleHQ", "Pz8_Pj4-YW5kIG1vcmUgd29yZHM");
        assert_eq!(of(0..4), [one]);
        assert_eq!(of(16..20), [one]);
        assert_eq!(of(21..24), [two]);
        assert_eq!(of(16..24), [one, two]);
        let digest = hex::encode([7_u8; 32]) + " 0123456789abcdef0123456789ABCDEF";
        assert_eq!(DecodedWords::from_text(&digest).text, "");
    }
}

//! Where a text holds a known secret in another form: base64, hex, reversed, or with other characters in between (split over
//! lines, spaced out).

use std::ops::Range;

/// The alphabet of base64 (RFC 4648, section 4). The two that are no letters or digits are not compared.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// A shorter secret is not looked for backwards or in pieces: the letters of common words could make it up.
const MIN_SPLIT_BYTES: usize = 16;

/// A text without what separates letters and digits, with the place of each one in the whole text.
struct PlainLetters {
    letters: String,
    places: Vec<usize>,
}

impl PlainLetters {
    /// `leaves_out`: whether two bytes are left out together.
    fn of(text: &str, leaves_out: impl Fn(u8, u8) -> bool) -> Self {
        let (mut letters, mut places) = (String::new(), Vec::new());
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if bytes.get(at + 1).is_some_and(|next| leaves_out(byte, *next)) {
                at += 2;
                continue;
            }
            if byte.is_ascii_alphanumeric() {
                letters.push(char::from(byte));
                places.push(at);
            }
            at += 1;
        }
        Self { letters, places }
    }

    /// The ranges of the whole text whose letters are `form`.
    fn find(&self, form: &str) -> Vec<Range<usize>> {
        let range = |(start, _): (usize, &str)| {
            let last = (start + form.len()).checked_sub(1)?;
            Some(*self.places.get(start)?..self.places.get(last)? + 1)
        };
        self.letters.match_indices(form).filter_map(range).collect()
    }
}

/// A text in which secrets are looked for.
pub(super) struct LetterIndex {
    letters: PlainLetters,
    /// In lower case, without what programs write before a byte in hex.
    hex: PlainLetters,
}

impl LetterIndex {
    pub(super) fn of(text: &str) -> Self {
        let is_prefix = |one, next| matches!((one, next), (b'\\' | b'0', b'x' | b'X'));
        let mut hex = PlainLetters::of(text, is_prefix);
        hex.letters.make_ascii_lowercase();
        // An escaped line end is none of the letters.
        Self { letters: PlainLetters::of(text, |one, next| one == b'\\' && next == b'n'), hex }
    }

    /// The ranges of the whole text that hold `secret` in another form.
    pub(super) fn find(&self, secret: &str) -> Vec<Range<usize>> {
        let reversed: Vec<u8> = secret.bytes().rev().collect();
        let wide: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let encoded = [secret.as_bytes(), &reversed, &wide].map(base64).concat();
        let backwards: Vec<String> = encoded.iter().map(|form| form.chars().rev().collect()).collect();
        let forms = encoded.into_iter().chain(backwards).chain(pieces(secret));
        let mut ranges = self.hex.find(&hex::encode(secret));
        ranges.extend(forms.flat_map(|form| self.letters.find(&form)));
        ranges
    }
}

/// A long secret without what separates letters, forwards and backwards.
fn pieces(secret: &str) -> Vec<String> {
    let letters: String = secret.chars().filter(char::is_ascii_alphanumeric).collect();
    if letters.len() < MIN_SPLIT_BYTES {
        return Vec::new();
    }
    let reversed = letters.chars().rev().collect();
    vec![letters, reversed]
}

/// What base64 makes of these bytes wherever they stand in a longer text: for each of the three places that they can have in
/// a group, the letters that depend on them alone.
fn base64(bytes: &[u8]) -> [String; 3] {
    [0, 1, 2].map(|before| {
        let bit = |at: usize| {
            let byte = (at / 8).checked_sub(before).and_then(|at| bytes.get(at)).copied().unwrap_or(0);
            usize::from(byte >> (7 - at % 8) & 1)
        };
        let first = (before * 8).div_ceil(6);
        let letters = first..(before + bytes.len()) * 8 / 6;
        let value = |letter: usize| (0..6).fold(0, |value, at| value << 1 | bit(letter * 6 + at));
        let letters = letters.filter_map(|letter| ALPHABET.get(value(letter))).map(|byte| char::from(*byte));
        letters.filter(char::is_ascii_alphanumeric).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "tr-Canary_w0rd/17+xyz";

    fn found(text: &str) -> Vec<&str> {
        LetterIndex::of(text).find(SECRET).into_iter().filter_map(|range| text.get(range)).collect()
    }

    #[test]
    fn base64_is_found_at_each_place_of_a_group_in_both_alphabets_and_over_lines() {
        // The encoded texts were made with coreutils' base64 of `x`, `xy` and nothing before the secret.
        for text in [
            "dHItQ2FuYXJ5X3cwcmQvMTcreHl6",
            "eHRyLUNhbmFyeV93MHJkLzE3K3h5eg==",
            "eHl0ci1DYW5hcnlfdzByZC8xNyt4eXo=",
        ] {
            assert_eq!(found(text).len(), 1, "{text}");
            let lines: Vec<&str> =
                [text.get(..9), text.get(9..18), text.get(18..)].into_iter().flatten().collect();
            for between in ["\n  ", "\n+", "\" + \"", "\\n", "\n// "] {
                assert_eq!(found(&lines.join(between)).len(), 1, "{text} with {between:?}");
            }
        }
    }

    #[test]
    fn hex_is_found_in_each_way_to_write_it() {
        let hex = hex::encode(SECRET);
        let pairs: Vec<&str> = (0..hex.len()).step_by(2).filter_map(|at| hex.get(at..at + 2)).collect();
        for text in [
            hex.clone(),
            hex.to_uppercase(),
            pairs.join(":"),
            format!("\\x{}", pairs.join("\\x")),
            format!("0x{}", pairs.join(", 0x")),
        ] {
            assert_eq!(found(&text).len(), 1, "{text}");
        }
    }

    #[test]
    fn pieces_and_reversed_letters_are_found() {
        let reversed: String = SECRET.chars().rev().collect();
        let spaced: Vec<String> = SECRET.chars().map(|letter| letter.to_string()).collect();
        for text in [reversed, spaced.join(" "), SECRET.replace("w0rd", "w0\n> rd")] {
            assert_eq!(found(&format!("before {text} after")).len(), 1, "{text}");
        }
    }

    #[test]
    fn base64_is_found_backwards_of_letters_backwards_and_of_wide_letters() {
        let text = "dHItQ2FuYXJ5X3cwcmQvMTcreHl6";
        for text in [
            text.chars().rev().collect(),
            "enl4KzcxL2RyMHdfeXJhbmFDLXJ0".to_owned(),
            "dAByAC0AQwBhAG4AYQByAHkAXwB3ADAAcgBkAC8AMQA3ACsAeAB5AHoA".to_owned(),
        ] {
            assert_eq!(found(&text).len(), 1, "{text}");
        }
    }

    #[test]
    fn base64_that_holds_what_begins_hex_is_found() {
        let secret = "BpiA84YrNbuBhOwc8fjOWOrOwd8S7Ba16j7pGLou";
        let text = "QnBpQTg0WXJOYnVCaE93Yzhmak9XT3JPd2Q4UzdCYTE2ajdwR0xvdQ==";
        assert_eq!(LetterIndex::of(text).find(secret).len(), 1);
    }

    #[test]
    fn other_texts_hold_nothing() {
        for text in ["", "a", "tr-Canary_w0rd", "dHItQ2FuYXJ5", "a canary says a word: 17"] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
        assert!(LetterIndex::of("short words").find("shortwords").is_empty());
    }
}

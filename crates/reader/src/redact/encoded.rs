//! Where a text holds a known secret in another form: base64, hex, reversed, or with other characters in between (split over
//! lines, spaced out).

use std::ops::Range;

use super::is_apart;

/// The alphabet of base64 (RFC 4648, section 4). Its other one differs in two letters, which count as the same here.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// A shorter secret is not looked for backwards or in pieces: the letters of common words could make it up.
const MIN_SPLIT_BYTES: usize = 16;

/// A text without what separates letters, with the place of each one in the whole text.
pub(super) struct LetterIndex<'a> {
    text: &'a str,
    letters: String,
    places: Vec<usize>,
}

impl<'a> LetterIndex<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let (mut letters, mut places) = (String::new(), Vec::new());
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            // What programs write before a byte in hex.
            let is_prefix = matches!((byte, bytes.get(at + 1)), (b'\\' | b'0', Some(b'x' | b'X')));
            if let Some(letter) = letter(byte).filter(|_| !is_prefix) {
                letters.push(letter);
                places.push(at);
            }
            at += if is_prefix { 2 } else { 1 };
        }
        Self { text, letters, places }
    }

    /// The ranges of the whole text that hold `secret` in another form.
    pub(super) fn find(&self, secret: &str) -> Vec<Range<usize>> {
        let hex = hex::encode(secret);
        let mut ranges = self.places_of(&self.letters.to_ascii_lowercase(), &hex);
        ranges.extend(base64(secret.as_bytes()).iter().flat_map(|form| self.places_of(&self.letters, form)));
        let pieces = pieces(secret);
        let pieces = pieces.iter().flat_map(|form| self.places_of(&self.letters, form));
        ranges.extend(pieces.filter(|range| is_apart(self.text, range)));
        ranges
    }

    /// The ranges of the whole text whose letters are `form`.
    fn places_of(&self, letters: &str, form: &str) -> Vec<Range<usize>> {
        let range = |(start, _): (usize, &str)| {
            let last = (start + form.len()).checked_sub(1)?;
            Some(*self.places.get(start)?..self.places.get(last)? + 1)
        };
        letters.match_indices(form).filter_map(range).collect()
    }
}

/// A letter that a form may hold.
fn letter(byte: u8) -> Option<char> {
    match byte {
        b'-' => Some('+'),
        b'_' => Some('/'),
        b'+' | b'/' => Some(char::from(byte)),
        _ => byte.is_ascii_alphanumeric().then(|| char::from(byte)),
    }
}

/// A long secret without what separates letters, forwards and backwards.
fn pieces(secret: &str) -> Vec<String> {
    let letters: String = secret.bytes().filter_map(letter).collect();
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
        letters.filter_map(|letter| ALPHABET.get(value(letter))).map(|byte| char::from(*byte)).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "tr-Canary_w0rd/17+x";

    fn found(text: &str) -> Vec<&str> {
        LetterIndex::of(text).find(SECRET).into_iter().filter_map(|range| text.get(range)).collect()
    }

    #[test]
    fn base64_is_found_at_each_place_of_a_group_in_both_alphabets_and_over_lines() {
        // The encoded texts were made with coreutils' base64 of `x`, `xy` and nothing before the secret.
        for text in
            ["dHItQ2FuYXJ5X3cwcmQvMTcreA==", "eHRyLUNhbmFyeV93MHJkLzE3K3g=", "eHl0ci1DYW5hcnlfdzByZC8xNyt4"]
        {
            assert_eq!(found(text).len(), 1, "{text}");
            let lines: Vec<&str> =
                [text.get(..9), text.get(9..18), text.get(18..)].into_iter().flatten().collect();
            assert_eq!(found(&lines.join("\n  ")).len(), 1, "{text} over lines");
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
    fn other_texts_hold_nothing() {
        for text in ["", "a", "tr-Canary_w0rd", "dHItQ2FuYXJ5", "a canary says a word: 17"] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
        assert!(LetterIndex::of("short words").find("shortwords").is_empty());
    }
}

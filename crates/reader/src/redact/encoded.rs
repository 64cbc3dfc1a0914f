//! Searches for a known secret in another form: base64, base32, hex, reversed or ROT13. Other characters may
//! separate the letters, for example line breaks or spaces.

use std::ops::Range;

use aho_corasick::AhoCorasick;
use unicode_normalization::UnicodeNormalization as _;

/// Minimum length in bytes of a secret that is searched in all forms. A shorter secret is searched only in
/// hex and base64. A shorter secret must match completely, because common words could match a part of it.
const MIN_LONG_SECRET_BYTES: usize = 16;
/// Minimum number of letters that must match if only the beginning of an encoded secret matches.
const MIN_PREFIX_MATCH_LETTERS: usize = 15;
/// Maximum number of letters that the automaton searches for: the beginning of an encoded secret. If the
/// automaton finds these letters, the remaining letters are then compared.
const MAX_NEEDLE_LETTERS: usize = 64;
/// Minimum number of letters of an encoded secret. Shorter encoded secrets are not searched for.
const MIN_ENCODED_SECRET_LETTERS: usize = 8;

/// Alphabet of an encoding that converts each group of bytes to letters.
struct ByteAlphabet {
    letters: &'static [u8],
    /// Number of bits in one letter.
    bits_per_letter: usize,
    /// Number of bytes that are encoded together as a group.
    group_bytes: usize,
}

/// Alphabet of section 4 of RFC 4648. Two characters of this alphabet are not letters or digits. All
/// comparisons leave these characters out.
const BASE64: ByteAlphabet = ByteAlphabet {
    letters: b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    bits_per_letter: 6,
    group_bytes: 3,
};
/// Alphabet of section 6 of RFC 4648.
const BASE32: ByteAlphabet =
    ByteAlphabet { letters: b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", bits_per_letter: 5, group_bytes: 5 };

impl ByteAlphabet {
    /// Returns the letters that represent these bytes in the encoding of a longer text. The result contains
    /// one text for each position in a group at which the bytes can begin. Letters that also depend on
    /// neighbouring bytes are left out.
    fn encode(&self, bytes: &[u8]) -> Vec<String> {
        let at_place = |before: usize| {
            let bit = |bit_index: usize| {
                let byte = (bit_index / 8)
                    .checked_sub(before)
                    .and_then(|bit_index| bytes.get(bit_index))
                    .copied()
                    .unwrap_or(0);
                usize::from(byte >> (7 - bit_index % 8) & 1)
            };
            let letters = (before * 8).div_ceil(self.bits_per_letter)
                ..(before + bytes.len()) * 8 / self.bits_per_letter;
            let value = |letter: usize| {
                (0..self.bits_per_letter)
                    .fold(0, |value, bit_index| value << 1 | bit(letter * self.bits_per_letter + bit_index))
            };
            let letters = letters.filter_map(|letter| self.letters.get(value(letter)));
            letters.map(|byte| char::from(*byte)).filter(char::is_ascii_alphanumeric).collect()
        };
        (0..self.group_bytes).map(at_place).collect()
    }
}

/// The letters and digits of a text, with the position of each letter in the original text. Plain letters
/// replace full-width, mathematical and similar letters (Unicode normalisation form NFKC).
struct NormalizedLetters {
    letters: String,
    positions: Vec<usize>,
}

impl NormalizedLetters {
    /// Extracts the letters. `is_omitted_pair` returns true for two consecutive characters that are both
    /// omitted.
    fn from_text(text: &str, is_omitted_pair: impl Fn(char, char) -> bool) -> Self {
        let mut plain =
            Self { letters: String::with_capacity(text.len()), positions: Vec::with_capacity(text.len()) };
        let mut chars = text.char_indices().peekable();
        while let Some((at, char)) = chars.next() {
            if chars.next_if(|(_, next)| is_omitted_pair(char, *next)).is_some() {
                continue;
            }
            if char.is_ascii() {
                plain.push(char, at);
            } else {
                std::iter::once(char).nfkc().for_each(|char| plain.push(char, at));
            }
        }
        plain
    }

    fn push(&mut self, char: char, position: usize) {
        if char.is_ascii_alphanumeric() {
            self.letters.push(char);
            self.positions.push(position);
        }
    }
}

/// Letters and digits of a secret in one encoding.
struct EncodedSecret {
    letters: String,
    /// Number of letters from the beginning that are sufficient for a match.
    min_match_letters: usize,
    is_long: bool,
}

impl EncodedSecret {
    fn needle(&self) -> &str {
        self.letters.get(..self.min_match_letters.min(MAX_NEEDLE_LETTERS)).unwrap_or(&self.letters)
    }
}

/// Searches a text for all forms in one pass.
struct EncodedSecretSearch {
    forms: Vec<EncodedSecret>,
    needles: AhoCorasick,
}

impl EncodedSecretSearch {
    fn from_forms(mut forms: Vec<EncodedSecret>) -> Option<Self> {
        forms.retain(|form| form.letters.len() >= MIN_ENCODED_SECRET_LETTERS);
        let needles = forms.iter().map(EncodedSecret::needle);
        let needles = AhoCorasick::builder().ascii_case_insensitive(true).build(needles).ok()?;
        Some(Self { forms, needles })
    }

    /// Returns the ranges of the original text that match a form, or a sufficient beginning of a form.
    fn find_matches<'a>(
        &'a self,
        text: &'a NormalizedLetters,
    ) -> impl Iterator<Item = (&'a EncodedSecret, Range<usize>)> {
        self.needles.find_overlapping_iter(&text.letters).filter_map(|found| {
            let form = self.forms.get(found.pattern().as_usize())?;
            let rest = text.letters.as_bytes().get(found.start()..)?;
            let pairs = rest.iter().zip(form.letters.as_bytes());
            let same = pairs.take_while(|(one, other)| one.eq_ignore_ascii_case(other)).count();
            let places = text.positions.get(found.start()..found.start() + same)?;
            (same >= form.min_match_letters).then_some((form, *places.first()?..*places.last()? + 1))
        })
    }
}

/// Encoded forms of secrets, created once.
pub(super) struct EncodedSecrets {
    letters: EncodedSecretSearch,
    hex: EncodedSecretSearch,
}

impl EncodedSecrets {
    /// Creates the encoded forms. Returns `None` if there are too many forms to search for.
    pub(super) fn from_secrets<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let (mut letters, mut hex) = (Vec::new(), Vec::new());
        for secret in secrets {
            let is_long = secret.len() >= MIN_LONG_SECRET_BYTES;
            // For a secret that contains a URL, the beginning is not sufficient, because many URLs have the
            // same beginning.
            let has_parts = is_long && !secret.contains("://");
            let form = |letters: String| {
                let all = letters.len();
                let min_letters = if has_parts {
                    (all * 3).div_ceil(4).max(MIN_PREFIX_MATCH_LETTERS).min(all)
                } else {
                    all
                };
                EncodedSecret { letters, min_match_letters: min_letters, is_long }
            };
            let reversed: Vec<u8> = secret.bytes().rev().collect();
            let wide: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let base64 = [secret.as_bytes(), &reversed, &wide].map(|bytes| BASE64.encode(bytes)).concat();
            letters.extend(base64.iter().map(|form| form.chars().rev().collect()).map(form));
            letters.extend(base64.into_iter().map(form));
            hex.push(form(hex::encode(secret)));
            if is_long {
                letters.extend(BASE32.encode(secret.as_bytes()).into_iter().map(form));
                letters.extend(secret_variants(secret).into_iter().map(form));
                hex.push(form(hex::encode(&reversed)));
                // In little-endian UTF-16, the last byte of ASCII text is zero. The form is searched without
                // this byte, so it matches both byte orders.
                hex.push(form(hex::encode(wide.split_last().map_or(&[][..], |(_, wide)| wide))));
            }
        }
        Some(Self {
            letters: EncodedSecretSearch::from_forms(letters)?,
            hex: EncodedSecretSearch::from_forms(hex)?,
        })
    }

    /// Returns the ranges of a text that contain a secret in another form.
    pub(super) fn find_ranges(&self, text: &str) -> Vec<Range<usize>> {
        self.find_forms(text, |_| true)
    }

    /// Returns true if a text contains a long secret in another form.
    pub(super) fn contains_long_secret(&self, text: &str) -> bool {
        !self.find_forms(text, |form| form.is_long).is_empty()
    }

    fn find_forms(&self, text: &str, is_wanted: impl Fn(&EncodedSecret) -> bool) -> Vec<Range<usize>> {
        // The search for letters ignores the escape `\n` of a line end. The search for hex ignores the
        // prefixes `\x` and `0x` of a byte.
        let letters = NormalizedLetters::from_text(text, |one, next| one == '\\' && next == 'n');
        let hex =
            NormalizedLetters::from_text(text, |one, next| matches!((one, next), ('\\' | '0', 'x' | 'X')));
        let found = self.letters.find_matches(&letters).chain(self.hex.find_matches(&hex));
        found.filter(|(form, _)| is_wanted(form)).map(|(_, range)| range).collect()
    }
}

/// Returns the letters and digits of a long secret in three forms: forwards, backwards and in ROT13. The
/// search ignores case, so the case of the letters does not matter.
fn secret_variants(secret: &str) -> Vec<String> {
    let letters: String = secret.chars().filter(char::is_ascii_alphanumeric).collect();
    if letters.len() < MIN_LONG_SECRET_BYTES {
        return Vec::new();
    }
    let reversed = letters.chars().rev().collect();
    let rotated = letters.bytes().map(|byte| match byte.to_ascii_lowercase() {
        letter @ b'a'..=b'm' => char::from(letter + 13),
        letter @ b'n'..=b'z' => char::from(letter - 13),
        digit => char::from(digit),
    });
    let rotated = rotated.collect();
    vec![letters, reversed, rotated]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "tr-Canary_w0rd/17+xyz";

    fn find_secrets(text: &str) -> Vec<&str> {
        find_secret(SECRET, text)
    }

    fn find_secret<'t>(secret: &str, text: &'t str) -> Vec<&'t str> {
        let found = EncodedSecrets::from_secrets([secret]).unwrap().find_ranges(text);
        found.into_iter().map(|range| &text[range.start..text.ceil_char_boundary(range.end)]).collect()
    }

    #[test]
    fn base64_is_found_at_each_place_of_a_group_in_both_alphabets_and_over_lines() {
        // The encoded texts are output of coreutils' base64 for the secret alone, and for the secret after
        // `x` and after `xy`.
        for text in [
            "dHItQ2FuYXJ5X3cwcmQvMTcreHl6",
            "eHRyLUNhbmFyeV93MHJkLzE3K3h5eg==",
            "eHl0ci1DYW5hcnlfdzByZC8xNyt4eXo=",
        ] {
            assert_eq!(find_secrets(text).len(), 1, "{text}");
            let lines: Vec<&str> =
                [text.get(..9), text.get(9..18), text.get(18..)].into_iter().flatten().collect();
            for between in ["\n  ", "\n+", "\" + \"", "\\n", "\n// "] {
                assert_eq!(find_secrets(&lines.join(between)).len(), 1, "{text} with {between:?}");
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
            assert_eq!(find_secrets(&text).len(), 1, "{text}");
        }
    }

    #[test]
    fn pieces_and_reversed_letters_are_found() {
        let reversed: String = SECRET.chars().rev().collect();
        let spaced: Vec<String> = SECRET.chars().map(|letter| letter.to_string()).collect();
        for text in [reversed, spaced.join(" "), SECRET.replace("w0rd", "w0\n> rd")] {
            assert_eq!(find_secrets(&format!("before {text} after")).len(), 1, "{text}");
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
            assert_eq!(find_secrets(&text).len(), 1, "{text}");
        }
    }

    #[test]
    fn base64_that_holds_what_begins_hex_is_found() {
        let secret = "BpiA84YrNbuBhOwc8fjOWOrOwd8S7Ba16j7pGLou";
        let text = "QnBpQTg0WXJOYnVCaE93Yzhmak9XT3JPd2Q4UzdCYTE2ajdwR0xvdQ==";
        assert_eq!(find_secret(secret, text).len(), 1);
    }

    #[test]
    fn other_texts_hold_nothing() {
        for text in ["", "a", "tr-Canary_w0rd", "dHItQ2FuYXJ5", "a canary says a word: 17"] {
            assert_eq!(find_secrets(text), [""; 0], "{text}");
        }
        assert!(find_secret("shortwords", "short words").is_empty());
    }

    #[test]
    fn other_letters_and_cases_are_found() {
        let wide = |letter: char| char::from_u32(u32::from(letter) + 0xFEE0).unwrap();
        let swapped = |letter: char| match letter.is_ascii_lowercase() {
            true => letter.to_ascii_uppercase(),
            false => letter.to_ascii_lowercase(),
        };
        let bold = "\u{1d42d}\u{1d42b}-\u{1d402}\u{1d41a}\u{1d427}\u{1d41a}\u{1d42b}\u{1d432}_w0rd/17+xyz";
        for text in [
            SECRET.to_uppercase(),
            SECRET.chars().map(swapped).collect(),
            SECRET.chars().map(wide).collect(),
            bold.to_owned(),
            "ge-Pnanel_j0eq/17+klm".to_owned(),
        ] {
            assert_eq!(find_secrets(&format!("a {text} b")), [text.as_str()]);
        }
    }

    #[test]
    fn base32_is_found_at_each_place_of_a_group() {
        // These texts are the output of coreutils' base32 for the secret after zero to four letters `x`.
        for text in [
            "ORZC2Q3BNZQXE6K7O4YHEZBPGE3SW6DZPI======",
            "PB2HELKDMFXGC4TZL53TA4TEF4YTOK3YPF5A====",
            "PB4HI4RNINQW4YLSPFPXOMDSMQXTCNZLPB4XU===",
            "PB4HQ5DSFVBWC3TBOJ4V65ZQOJSC6MJXFN4HS6Q=",
            "PB4HQ6DUOIWUGYLOMFZHSX3XGBZGILZRG4VXQ6L2",
        ] {
            assert_eq!(find_secrets(text).len(), 1, "{text}");
            assert_eq!(find_secrets(&text.to_lowercase()).len(), 1, "{text}");
        }
    }

    #[test]
    fn hex_of_wide_letters_and_of_reversed_ones_is_found() {
        for to_bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            let wide: Vec<u8> = SECRET.encode_utf16().flat_map(to_bytes).collect();
            assert_eq!(find_secrets(&hex::encode(wide)).len(), 1);
        }
        assert_eq!(find_secrets(&hex::encode(SECRET.chars().rev().collect::<String>())).len(), 1);
    }

    #[test]
    fn the_most_of_a_long_secret_is_found_in_each_form() {
        let cut = |text: &str, letters: usize| text.get(..text.len() - letters).unwrap().to_owned();
        for text in [cut(SECRET, 1), cut("dHItQ2FuYXJ5X3cwcmQvMTcreHl6", 3), cut(&hex::encode(SECRET), 2)] {
            assert_eq!(find_secrets(&format!("{text}, but for the end")), [text.as_str()]);
        }
        assert_eq!(find_secrets(&cut(SECRET, 4)), [""; 0], "fewer than 15 letters");
        let long = "a1".repeat(MAX_NEEDLE_LETTERS);
        assert_eq!(find_secret(&long, &cut(&long, 32)).len(), 1, "three quarters");
        assert_eq!(find_secret(&long, &cut(&long, 33)), [""; 0], "less than three quarters");
        let address = "https://hooks.example.org/services/T1";
        assert_eq!(find_secret(address, "https://hooks.example.org/services/T2"), [""; 0]);
    }

    #[test]
    fn a_text_costs_the_same_for_one_secret_and_for_many() {
        let text = "let x = \"a text of some words and the number 12\";\n".repeat(20_000);
        let cost = |number: usize| {
            let secrets: Vec<String> = (0..number).map(|at| format!("tr-Canary_w0rd/17+{at:03}")).collect();
            let forms = EncodedSecrets::from_secrets(secrets.iter().map(String::as_str)).unwrap();
            allocation_counter::measure(|| assert!(forms.find_ranges(&text).is_empty())).bytes_total
        };
        let (one, many) = (cost(1), cost(50));
        assert!(many < one + 4096, "{one} {many}");
        // Each byte of the text needs two bytes for the letter and eight bytes for its position.
        assert!(many < 19 * text.len() as u64, "{many}");
    }
}

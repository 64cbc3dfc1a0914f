//! Creates alternative readings of a text that may reveal a known secret, by decoding escapes, lists of
//! numbers, numbered lines and dumps of bytes.

use std::sync::LazyLock;

use regex::Regex;

/// Minimum length of a sequence of numbers that is decoded as text.
const MIN_SEQUENCE_NUMBERS: usize = 16;
/// Maximum length in bytes of a text for which alternative readings are created. No finding or response is
/// longer.
const MAX_INPUT_BYTES: usize = 1 << 20;

/// Pattern for an escape of one character: `\u0074`, `\u{74}`, `\x74`, `%74`, `&#x74;`, `&#116;`, `\164`.
/// Names such as `&sol;` also match, because they can separate letters.
static CHAR_ESCAPE_PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let (hex, decimal, octal) = (
        r"\\u\{?0*([0-9a-fA-F]{2})\}?|\\x([0-9a-fA-F]{2})|%([0-9a-fA-F]{2})|&#[xX]0*([0-9a-fA-F]{2});?",
        r"&#0*([0-9]{2,3});?",
        r"\\([0-7]{3})",
    );
    let name = "&[a-zA-Z]{2,8};";
    Regex::new(&format!("{hex}|{decimal}|{octal}|{name}")).ok()
});
/// Number at the beginning of a line, as `nl`, `cat -n`, `grep -n` and diffs write it.
static LINE_NUMBER_PATTERN: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?m)^[ \t]*[0-9]+[:.)|\t -]*").ok());
/// Line of `xxd`, `hexdump -C` or `od`: the offset, the bytes, and their characters.
static HEX_DUMP_LINE_PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?m)^[ \t]*[0-9a-fA-F]{4,}:?[ \t]+((?:[0-9a-fA-F]{2,4}[ ]{1,2})+)[^\n]*$").ok()
});

/// Returns the alternative readings of a text. The list is empty if nothing can be decoded.
pub(super) fn decode_alternatives(text: &str) -> Vec<String> {
    if text.len() > MAX_INPUT_BYTES {
        return Vec::new();
    }
    let once = decode_escapes(text);
    // Some text is escaped twice: `%2574`, `&amp;#116;`.
    let twice = once.as_deref().and_then(decode_escapes);
    [
        once,
        twice,
        decode_numbers(text, 10),
        decode_numbers(text, 8),
        decode_numbers(text, 2),
        strip_line_numbers(text),
        decode_dump(text),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn decode_escapes(text: &str) -> Option<String> {
    let escape = CHAR_ESCAPE_PATTERN.as_ref().filter(|escape| escape.is_match(text))?;
    let read = |captures: &regex::Captures<'_>| {
        let group = (1..captures.len()).find_map(|at| captures.get(at).map(|group| (at, group.as_str())));
        let number = group.and_then(|(at, digits)| {
            let base = match at {
                1..=4 => 16,
                5 => 10,
                _ => 8,
            };
            u32::from_str_radix(digits, base).ok()
        });
        // The only name that is decoded is `&amp;`, because `&` may begin another escape. Other names are
        // removed.
        let name = || if captures.get(0).is_some_and(|all| all.as_str() == "&amp;") { "&" } else { "" };
        number.and_then(char::from_u32).map_or_else(|| name().to_owned(), String::from)
    };
    Some(escape.replace_all(text, read).into_owned())
}

/// Decodes the numbers in a text as characters. Returns `None` if there are too few numbers.
fn decode_numbers(text: &str, base: u32) -> Option<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let number = |word: &str| u8::from_str_radix(word, base).ok().filter(|byte| (b' '..=b'~').contains(byte));
    let read: String = words.map(|word| number(word).map_or('\n', char::from)).collect();
    read.split('\n').any(|run| run.len() >= MIN_SEQUENCE_NUMBERS).then_some(read)
}

fn strip_line_numbers(text: &str) -> Option<String> {
    let number = LINE_NUMBER_PATTERN.as_ref()?;
    number.is_match(text).then(|| number.replace_all(text, "").into_owned())
}

/// Returns the bytes of a dump as hexadecimal digits.
fn decode_dump(text: &str) -> Option<String> {
    let dump = HEX_DUMP_LINE_PATTERN.as_ref()?;
    let lines: String =
        dump.captures_iter(text).filter_map(|line| line.get(1)).map(|bytes| bytes.as_str()).collect();
    (!lines.is_empty()).then_some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "tr-Canary_w0rd/17+xyz";

    #[test]
    fn a_secret_stands_in_a_reading_of_each_disguise() {
        let of = |form: &dyn Fn(char) -> String| SECRET.chars().map(form).collect::<String>();
        for text in [
            of(&|letter| format!("\\u{:04x}", u32::from(letter))),
            of(&|letter| format!("\\u{{{:x}}}", u32::from(letter))),
            of(&|letter| format!("&#x{:x};", u32::from(letter))),
            of(&|letter| format!("&#{};", u32::from(letter))),
            of(&|letter| format!("%{:02X}", u32::from(letter))),
            of(&|letter| format!("\\{:03o}", u32::from(letter))),
            of(&|letter| format!("{}, ", u32::from(letter))),
            of(&|letter| format!("{:o} ", u32::from(letter))),
            of(&|letter| format!("{:08b} ", u32::from(letter))),
            of(&|letter| format!("%25{:02X}", u32::from(letter))),
            of(&|letter| format!("&amp;#{};", u32::from(letter))),
            "    1\ttr-Canary_\n    2\tw0rd/17+xyz".to_owned(),
        ] {
            let found = decode_alternatives(&format!("a.py:1: {text}"));
            let plain = |reading: &String| reading.replace('\n', "");
            assert!(found.iter().any(|reading| plain(reading).contains(SECRET)), "{text}: {found:?}");
        }
    }

    #[test]
    fn a_dump_is_read_by_its_bytes() {
        // These dumps are the output of `xxd` and `hexdump -C`.
        for text in [
            "00000000: 7472 2d43 616e 6172 795f 7730 7264 2f31  tr-Canary_w0rd/1\n00000010: 372b 7879 \
             7a                             7+xyz\n",
            "00000000  74 72 2d 43 61 6e 61 72  79 5f 77 30 72 64 2f 31  |tr-Canary_w0rd/1|\n00000010  37 2b \
             78 79 7a                                    |7+xyz|\n",
        ] {
            let digits: String = decode_alternatives(text).concat().split_whitespace().collect();
            assert!(digits.contains(&hex::encode(SECRET)), "{digits}");
        }
    }

    #[test]
    fn words_have_no_other_reading() {
        assert!(
            decode_alternatives("a.py:12: 3 spaces are expected, 4 found")
                .iter()
                .all(|reading| reading.len() < 60)
        );
        assert!(decode_alternatives("nothing").is_empty());
    }
}

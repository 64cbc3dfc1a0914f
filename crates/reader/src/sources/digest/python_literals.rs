//! Computes the values of Python's literals. Different spellings of the same number or the same text have the
//! same value.

/// Prefix before the quotes of a string, which determines how the string is decoded.
#[derive(Clone, Copy, Default)]
pub(super) struct StringPrefix {
    is_raw: bool,
    is_bytes: bool,
    has_interpolations: bool,
}

impl StringPrefix {
    /// Parses the beginning of a string: its prefix and its opening quotes.
    pub(super) fn parse(start: &str) -> Self {
        let has = |letter: char| start.to_lowercase().contains(letter);
        Self { is_raw: has('r'), is_bytes: has('b'), has_interpolations: has('f') || has('t') }
    }

    /// Decodes the text between quotes. A backslash that is part of the value becomes two backslashes. An
    /// escape that cannot be decoded (`\N{…}`, half of a surrogate pair) keeps its single backslash, so it
    /// never equals a literal backslash.
    pub(super) fn decode(self, text: &str, output: &mut String) {
        let mut rest = text.chars().peekable();
        while let Some(letter) = rest.next() {
            match letter {
                '{' | '}' if self.has_interpolations && rest.peek() == Some(&letter) => {
                    rest.next();
                    output.push(letter);
                }
                '\\' if self.is_raw => output.push_str("\\\\"),
                '\\' => {
                    let after: String = rest.clone().take(MAX_ESCAPE_CHARS).collect();
                    let (taken, value) = self.parse_escape(&after);
                    output.push_str(&value);
                    for _ in 0..taken {
                        rest.next();
                    }
                }
                other => output.push(other),
            }
        }
    }

    /// Returns the number of letters after the backslash that belong to the escape, and the value of the
    /// escape.
    fn parse_escape(self, escape_text: &str) -> (usize, String) {
        let Some(first) = escape_text.chars().next() else { return (0, "\\\\".to_owned()) };
        let one = |value: char| (1, value.to_string());
        match first {
            '\n' => (1, String::new()),
            '\\' => (1, "\\\\".to_owned()),
            '\'' | '"' => one(first),
            'a' => one('\u{7}'),
            'b' => one('\u{8}'),
            'f' => one('\u{c}'),
            'n' => one('\n'),
            'r' => one('\r'),
            't' => one('\t'),
            'v' => one('\u{b}'),
            '0'..='7' => {
                let digits = escape_text.chars().take(3).take_while(|digit| digit.is_digit(8)).count();
                escape_value(escape_text, 0, digits, 8)
            }
            'x' => escape_value(escape_text, 1, 2, 16),
            'u' if !self.is_bytes => escape_value(escape_text, 1, 4, 16),
            'U' if !self.is_bytes => escape_value(escape_text, 1, 8, 16),
            'N' if !self.is_bytes => (1, "\\N".to_owned()),
            // The backslash does not begin an escape, so it is part of the value.
            _ => (0, "\\\\".to_owned()),
        }
    }
}

/// Maximum length of an escape after its backslash, in characters.
const MAX_ESCAPE_CHARS: usize = 9;

/// Returns the length and the value of an escape. The escape consists of `prefix_length` characters and
/// `digit_count` digits.
fn escape_value(escape_text: &str, prefix_length: usize, digit_count: usize, radix: u32) -> (usize, String) {
    let text: String = escape_text.chars().skip(prefix_length).take(digit_count).collect();
    let number = u32::from_str_radix(&text, radix).ok();
    let escaped = match number.and_then(char::from_u32) {
        Some('\\') => "\\\\".to_owned(),
        Some(letter) => letter.to_string(),
        // Half of a surrogate pair is not a character, so the escape is kept.
        None => format!("\\u{text}"),
    };
    (prefix_length + digit_count, escaped)
}

/// Returns the normalised text of a number, which depends only on the number's value.
pub(super) fn normalize_number(text: &str) -> String {
    let text = text.to_lowercase().replace('_', "");
    if let Some(imaginary) = text.strip_suffix('j') {
        return imaginary.parse::<f64>().map_or_else(|_| text.clone(), |value| format!("{value:?}j"));
    }
    let radix = [("0x", 16), ("0o", 8), ("0b", 2)].into_iter();
    let based = radix.clone().find_map(|(prefix, radix)| Some((text.strip_prefix(prefix)?, radix)));
    let whole = match based {
        Some((digits, radix)) => u128::from_str_radix(digits, radix).ok(),
        None => text.parse().ok(),
    };
    let is_fraction = based.is_none() && text.contains(['.', 'e']);
    match (whole, is_fraction) {
        (Some(whole), _) => whole.to_string(),
        // A number with a point is a float, which differs from the integer of the same value.
        (None, true) => text.parse::<f64>().map_or_else(|_| text.clone(), |value| format!("{value:?}f")),
        (None, false) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_its_value_and_its_kind() {
        for (one, two) in
            [("0XFF", "255"), ("1_000", "1000"), ("1e3", "1000.0"), ("1.", "1.0"), ("1J", "1.0j")]
        {
            assert_eq!(normalize_number(one), normalize_number(two));
        }
        for (one, two) in [("1", "1.0"), ("1", "1j"), ("1e3", "1000"), ("0x1e3", "1e3")] {
            assert_ne!(normalize_number(one), normalize_number(two));
        }
    }

    #[test]
    fn a_text_is_what_it_says() {
        let read = |start: &str, text: &str| {
            let mut to = String::new();
            StringPrefix::parse(start).decode(text, &mut to);
            to
        };
        for ((start, text), (other, same)) in [
            (("'", r"\x41\u0042\103"), ("'", "ABC")),
            (("'", r"\d"), ("r'", r"\d")),
            (("'", r"\\n"), ("r'", r"\n")),
            (("f'", "{{x}}"), ("'", "{x}")),
            (("b'", r"\u0041"), ("rb'", r"\u0041")),
            (("'", "a\\\nb"), ("'", "ab")),
        ] {
            assert_eq!(read(start, text), read(other, same), "{start}{text}");
        }
        for ((start, text), (other, another)) in [
            (("'", "{{x}}"), ("f'", "{{x}}")),
            (("'", r"\n"), ("r'", r"\n")),
            (("'", r"\N{DASH}"), ("r'", r"\N{DASH}")),
            (("'", r"\ud800"), ("r'", r"\ud800")),
        ] {
            assert_ne!(read(start, text), read(other, another), "{start}{text}");
        }
    }
}

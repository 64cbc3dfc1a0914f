//! Masks secrets in text that a model receives. The text `[secret cut]` replaces each secret with a format
//! that a rule recognises, and each credential of this process.
//!
//! Masking keeps the number of lines, because findings refer to line numbers of the file. A text is masked
//! before its lines are numbered or divided into pages. Otherwise, a single line of a private key would not
//! be recognised. The operator can disable masking ([`set_secrets_shown`]).

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use truing_core::port::ReaderError;

use crate::redact::{UNSEARCHABLE_PLACEHOLDER, find_secrets, replace_secrets};
use crate::snippet::SecretRanges;

/// Text that replaces a secret.
pub const MASK: &str = "[secret cut]";

/// True if the operator has set `review.redact` to `false`.
static SECRETS_SHOWN: AtomicBool = AtomicBool::new(false);

/// Sets whether models receive secrets. The setting applies to the whole process.
pub fn set_secrets_shown(are_shown: bool) {
    SECRETS_SHOWN.store(are_shown, Ordering::Relaxed);
}

/// Returns true if secrets are shown to models.
pub fn are_secrets_shown() -> bool {
    SECRETS_SHOWN.load(Ordering::Relaxed)
}

/// Returns the text with secrets masked for a model.
pub fn mask_secrets(text: &str) -> Cow<'_, str> {
    if are_secrets_shown() {
        return Cow::Borrowed(text);
    }
    match find_mask_ranges(text) {
        Ok(secrets) if secrets.0.is_empty() => Cow::Borrowed(text),
        Ok(secrets) => Cow::Owned(replace_secrets(text, secrets, secret_mask)),
        Err(_) => Cow::Owned(UNSEARCHABLE_PLACEHOLDER.to_owned()),
    }
}

/// Returns the ranges of secrets in a text. The rules search the text, and copies of the text in which spaces
/// replace underscores or escapes such as `\n`. The lines of private keys are found separately. Rules that
/// report findings do not search these copies, because a false finding does more harm than an unnecessary
/// mask.
fn find_mask_ranges(text: &str) -> Result<SecretRanges, ReaderError> {
    let mut places = find_secrets(text)?.0;
    for measure in [escape_length as fn(&[u8]) -> usize, escape_or_underscore_length] {
        let reading = blank_escapes(text, measure);
        if let Cow::Owned(reading) = reading {
            places.extend(find_secrets(&reading)?.0);
        }
    }
    for nth in 0..MAX_WORD_UNDERSCORES {
        if let Cow::Owned(reading) = blank_underscore(text, nth) {
            places.extend(find_secrets(&reading)?.0);
        }
    }
    places.extend(find_key_lines(text));
    Ok(SecretRanges::new(places))
}

/// Returns a copy of the text in which spaces replace escapes. Returns the text itself if it contains no
/// escapes. `measure_escape` returns the length of the escape with which a text begins, or 0. Offsets in the
/// copy are the same as in the text.
fn blank_escapes(text: &str, measure_escape: fn(&[u8]) -> usize) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let (mut reading, mut at) = (None::<Vec<u8>>, 0);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let length = measure_escape(rest);
        if length > 0 {
            let reading = reading.get_or_insert_with(|| bytes.to_vec());
            reading.iter_mut().skip(at).take(length).for_each(|byte| *byte = b' ');
        }
        at += length.max(1);
    }
    // Spaces replace only ASCII characters, so the copy remains valid UTF-8.
    reading.and_then(|reading| String::from_utf8(reading).ok()).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Maximum number of bytes between `&` and `;` in a character reference.
const MAX_ENTITY_BYTES: usize = 8;
/// Maximum number of underscores in a word after which Truing searches for a token. For example, in
/// `old_ghp_…`, a token follows a name and an underscore.
const MAX_WORD_UNDERSCORES: usize = 6;
/// Minimum number of bytes of a word that may be a name joined to a token.
const MIN_JOINED_WORD_BYTES: usize = 24;

/// Returns a copy of the text. In each long word that contains a digit, a space replaces the `nth`
/// underscore. Offsets in the copy are the same as in the text.
fn blank_underscore(text: &str, nth: usize) -> Cow<'_, str> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let (mut reading, mut at) = (None::<Vec<u8>>, 0);
    for word in text.as_bytes().split(|byte| !is_word(byte)) {
        let joint = word.iter().enumerate().filter(|(_, byte)| **byte == b'_').map(|(at, _)| at).nth(nth);
        if let Some(joint) = joint
            && word.len() >= MIN_JOINED_WORD_BYTES
            && word.iter().any(u8::is_ascii_digit)
        {
            let reading = reading.get_or_insert_with(|| text.as_bytes().to_vec());
            reading.iter_mut().skip(at + joint).take(1).for_each(|byte| *byte = b' ');
        }
        at += word.len() + 1;
    }
    reading.and_then(|reading| String::from_utf8(reading).ok()).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Returns the length of the escape at the beginning of `rest`, or 0 if there is none. Escapes are `\n` and
/// similar escapes, even with several backslashes; `\u0022`, `\x22`, `%3D`, `&quot;`, `&#34;`; and terminal
/// sequences.
fn escape_length(rest: &[u8]) -> usize {
    // Only eight backslashes are counted, because real text does not contain escapes with more.
    let backslashes = rest.iter().take(8).take_while(|byte| **byte == b'\\').count();
    match rest {
        [b'\\', ..] if rest.get(backslashes).is_some_and(|letter| b"nrtbf0".contains(letter)) => {
            backslashes + 1
        }
        [b'\\', ..] => match rest.get(backslashes..) {
            Some([b'u', digits @ ..]) if starts_with_hex(digits, 4) => backslashes + 5,
            Some([b'x', digits @ ..]) if starts_with_hex(digits, 2) => backslashes + 3,
            _ => 0,
        },
        [b'&', ..] => {
            let inner = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'#';
            let inner = rest.iter().skip(1).take(MAX_ENTITY_BYTES).take_while(inner).count();
            if inner > 1 && rest.get(1 + inner) == Some(&b';') { inner + 2 } else { 0 }
        }
        [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => 3,
        [0x1b, b'[', ..] => {
            let inner =
                rest.iter().skip(2).take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
            2 + inner + usize::from(rest.get(2 + inner).is_some_and(u8::is_ascii_alphabetic))
        }
        _ => 0,
    }
}

fn starts_with_hex(bytes: &[u8], count: usize) -> bool {
    bytes.get(..count).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

/// Returns the length of the escape at the beginning of `rest`, or 1 for an underscore, which may separate a
/// name from a secret.
fn escape_or_underscore_length(rest: &[u8]) -> usize {
    if rest.first() == Some(&b'_') { 1 } else { escape_length(rest) }
}

/// Maximum number of bytes of a private key, including the separators between its lines.
const MAX_KEY_BYTES: usize = 16 << 10;
/// Maximum number of bytes of the line that ends a private key (`END … PRIVATE KEY`).
const MAX_KEY_FOOTER_BYTES: usize = 60;
/// Minimum number of base64 characters in a row that may be a line of a private key. Shorter sequences are
/// probably names, because full lines of a key have 64 or 70 characters.
const MIN_KEY_LINE_CHARS: usize = 32;

/// Returns the ranges of base64 characters between the first and the last line of each private key. Any text
/// may separate the lines of a key.
fn find_key_lines(text: &str) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    let mut searched = 0;
    for (begin, _) in text.match_indices("PRIVATE KEY") {
        let before = text.get(text.floor_char_boundary(begin.saturating_sub(40))..begin).unwrap_or_default();
        if begin < searched || !before.contains("BEGIN") {
            continue;
        }
        let most = text.floor_char_boundary((begin + MAX_KEY_BYTES).min(text.len()));
        let rest = text.get(begin..most).unwrap_or_default();
        let ends = rest.match_indices("END ").map(|(at, _)| at);
        let is_end = |at: &usize| {
            let most = rest.floor_char_boundary((*at + MAX_KEY_FOOTER_BYTES).min(rest.len()));
            rest.get(*at..most).is_some_and(|mark| mark.contains("PRIVATE KEY"))
        };
        let end = ends.into_iter().find(is_end).unwrap_or(rest.len());
        let body = rest.get(..end).unwrap_or_default();
        searched = begin + end;
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        let mut from = None;
        for (at, byte) in body.bytes().chain([b' ']).enumerate() {
            match (is_letter(byte), from) {
                (true, None) => from = Some(at),
                (false, Some(first)) => {
                    let run = body.as_bytes().get(first..at).unwrap_or_default();
                    if run.len() >= MIN_KEY_LINE_CHARS && is_key_line(run) {
                        places.push(begin + first..begin + at);
                    }
                    from = None;
                }
                (true, Some(_)) | (false, None) => {}
            }
        }
    }
    places
}

/// Returns true if a sequence of base64 characters may be a line of a private key. Such a line contains
/// digits, upper-case letters and lower-case letters; long names, paths and hexadecimal digests lack one of
/// these kinds.
fn is_key_line(run: &[u8]) -> bool {
    let has = |kind: fn(&u8) -> bool| run.iter().any(kind);
    has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase)
}

/// Returns a file's content with secrets masked for a model. If anything is masked, U+FFFD also replaces all
/// bytes that are not UTF-8.
pub(crate) fn mask_bytes(bytes: &[u8]) -> Cow<'_, [u8]> {
    match mask_secrets(&String::from_utf8_lossy(bytes)) {
        Cow::Borrowed(_) => Cow::Borrowed(bytes),
        Cow::Owned(masked) => Cow::Owned(masked.into_bytes()),
    }
}

/// Returns a command's output with secrets masked for a model. The output is searched twice, the second time
/// without a `+`, `-` or space at the beginning of each line. In a diff, this character would prevent the
/// recognition of a private key.
pub fn mask_command_output(text: &str) -> String {
    let raw: Vec<&str> = text.split('\n').collect();
    let bare: Vec<&str> = raw.iter().map(|line| line.strip_prefix(['+', '-', ' ']).unwrap_or(line)).collect();
    let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<String>>();
    let (mut lines, mut inner) = (owned(&raw), owned(&bare));
    mask_lines(&mut lines, &raw);
    mask_lines(&mut inner, &bare);
    for (((line, inner), raw), bare) in lines.iter_mut().zip(inner).zip(&raw).zip(&bare) {
        if inner == *bare {
            continue;
        }
        let mark = raw.strip_suffix(bare).unwrap_or_default();
        let shown = format!("{mark}{inner}");
        // If the searches found different secrets in this line, the whole line is masked.
        *line = if *line == *raw || *line == shown { shown } else { format!("{mark}{MASK}") };
    }
    lines.join("\n")
}

/// Masks lines in place. The secrets are searched in `unmasked_lines`, which contains the same lines without
/// masks, possibly with other line beginnings. Each line with a secret is replaced by the masked line of
/// `unmasked_lines`. Lines with masks are not searched again, because a mask would prevent the recognition of
/// a private key with several lines.
pub(crate) fn mask_lines<'a>(lines: impl IntoIterator<Item = &'a mut String>, unmasked_lines: &[&str]) {
    let whole = unmasked_lines.join("\n");
    let Cow::Owned(masked) = mask_secrets(&whole) else { return };
    let mut masked = masked.split('\n');
    for (line, before) in lines.into_iter().zip(unmasked_lines) {
        // If the search fails, `masked` has only one line, and the other lines become empty.
        let shown = masked.next().unwrap_or_default();
        if shown != *before {
            // If the searches found different secrets in this line, the whole line is masked.
            let is_other = line.contains(MASK) && line != shown;
            *line = if is_other { MASK.to_owned() } else { shown.to_owned() };
        }
    }
}

/// Returns the number of masks in a text.
pub fn count_masks(text: &str) -> usize {
    text.matches(MASK).count()
}

/// Returns the texts in `text` that are masked for a model.
pub fn masked_secrets(text: &str) -> Vec<&str> {
    find_mask_ranges(text).map_or_else(|_| vec![text], |secrets| secret_texts(text, secrets))
}

/// Returns the texts in `text` that secret rules report as findings.
pub fn find_secrets_by_rules(text: &str) -> Vec<&str> {
    find_secrets(text).map_or_else(|_| vec![text], |secrets| secret_texts(text, secrets))
}

fn secret_texts(text: &str, secrets: SecretRanges) -> Vec<&str> {
    let whole = |Range { start, end }: Range<usize>| {
        text.get(text.floor_char_boundary(start)..text.ceil_char_boundary(end))
    };
    secrets.0.into_iter().filter_map(whole).collect()
}

/// Returns the replacement for a secret, with one mask on each line of the secret.
pub(crate) fn secret_mask(secret: &str) -> String {
    let line = |line: &str| {
        let inner = line.trim_end_matches(['\n', '\r']);
        let mask = if inner.is_empty() { "" } else { MASK };
        format!("{mask}{}", line.get(inner.len()..).unwrap_or_default())
    };
    secret.split_inclusive('\n').map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> String {
        ["AKIA", "73U55XTPLPFT7V4S"].concat()
    }

    fn pem() -> String {
        let line = ["MIIEpAIBAAKCAQEA7Q8zvT4mKx9Lw2", "PqRs6YhUjN3dFgB5cXeZ1aO0iV8kQyTtWn\n"].concat();
        ["-----BEGIN RSA PRIVATE", " KEY-----\n", &line.repeat(6), "-----END RSA PRIVATE", " KEY-----\n"]
            .concat()
    }

    #[test]
    fn a_mask_stands_for_each_secret_and_lines_stay() {
        let text = format!("é `{}` is a key\r\n{}end", key(), pem());
        let shown = mask_secrets(&text);
        assert!(shown.starts_with("é `[secret cut]` is a key\r\n"), "{shown}");
        assert!(
            !shown.contains("AKIA") && !shown.contains("AKCAQEA7Q8z") && shown.ends_with("end"),
            "{shown}"
        );
        assert_eq!(shown.lines().count(), text.lines().count());
        assert_eq!(mask_secrets(&shown), shown, "a mask is no secret");
        assert!(count_masks(&shown) > 1);
        assert_eq!(masked_secrets(&text).first(), Some(&key().as_str()));
        assert!(matches!(mask_secrets("nothing to hide: AKIA"), Cow::Borrowed(_)));
        assert!(matches!(mask_bytes(b"\xff nothing"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_secret_behind_an_escape_or_a_name_is_masked() {
        for before in
            ["\\n", "\\\\t", "\\u0022", "\\x27", "&quot;", "&#x22;", "%3D", "\u{1b}[32m", "prod_", "key="]
        {
            let text = format!("a {before}{} b", key());
            assert_eq!(mask_secrets(&text), format!("a {before}[secret cut] b"), "{before:?}");
        }
        assert_eq!(mask_secrets("a\\nb %20 c_d"), "a\\nb %20 c_d");
        let token = ["ghp", "_1234567890abcdefghijABCDEFGHIJklmnop"].concat();
        for before in ["old_", "my_old_", "x_y_z_", "é_"] {
            assert_eq!(mask_secrets(&format!("({before}{token})")), format!("({before}[secret cut])"));
        }
        for text in ["\\u00 \\xz &amp &; &nbsp;", "a_name_of_a_function_that_is_long_1"] {
            assert_eq!(mask_secrets(text), text);
        }
    }

    #[test]
    fn a_private_key_is_masked_whatever_separates_its_lines() {
        for separator in
            ["\n", "\\n", "\\\\n", "\\n\\\n", "\" .\n\"", "&#10;", "%0A", "\n    | ", "\nX-Note: mine\n"]
        {
            let text = pem().trim_end().replace('\n', separator);
            let shown = mask_secrets(&text);
            assert!(!shown.contains("AKCAQEA") && !shown.contains("FgB5cXeZ1aO0"), "{separator:?}: {shown}");
        }
        let ends = format!("-----BEGIN PRIVATE KEY-----{}", "END ".repeat(200_000));
        assert_eq!(mask_secrets(&ends), ends);
        let many = "-----BEGIN PRIVATE KEY----- é".repeat(100_000) + &"\\".repeat(1_000_000);
        assert_eq!(mask_secrets(&many), many, "in time that grows with the text");
        let public = "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----";
        assert_eq!(mask_secrets(public), public);
    }

    #[test]
    fn a_key_is_masked_in_what_a_difference_prints() {
        let pem = pem();
        let lines: Vec<&str> = pem.lines().collect();
        let marked = |marks: &[&str]| {
            let marked =
                lines.iter().enumerate().map(|(at, line)| format!("{}{line}", marks[at % marks.len()]));
            marked.collect::<Vec<_>>().join("\n")
        };
        for marks in [&["+"][..], &["-"], &[" "], &[" ", " ", "-", "+", " ", " ", " ", " "]] {
            let text = format!("@@ -1,8 +1,8 @@\n{}\n+end", marked(marks));
            let shown = mask_command_output(&text);
            assert!(!shown.contains("AKCAQEA7Q8z"), "{shown}");
            assert!(shown.starts_with("@@ -1,8 +1,8 @@\n") && shown.ends_with("\n+end"), "{shown}");
            assert_eq!(shown.lines().count(), text.lines().count());
        }
        assert_eq!(mask_command_output("+a\n-b\n c\n"), "+a\n-b\n c\n");
        assert_eq!(mask_command_output(&format!("+key = {} # old", key())), "+key = [secret cut] # old");
        assert_eq!(mask_command_output(&format!("    key = {}", key())), "    key = [secret cut]");
    }
}

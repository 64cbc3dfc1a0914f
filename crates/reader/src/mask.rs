//! Text for a model: `[secret cut]` stands for each secret that the rules know by its form or that this process was given.
//!
//! Lines stay, so that findings cite the lines of the file. Text is masked whole, before it is numbered or cut into pages: a key of
//! several lines is not known by one of them. The operator can switch the masks off ([`show_secrets`]).

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::redact::found;

/// Stands for a secret.
pub const MASK: &str = "[secret cut]";
/// Stands for a text that cannot be searched.
const UNKNOWN: &str = "[not shown: it cannot be searched for secrets]";

/// The operator's `review.redact = false`.
static ARE_SHOWN: AtomicBool = AtomicBool::new(false);

/// Shows secrets to models from now on, or no longer, in the whole process.
pub fn show_secrets(are_shown: bool) {
    ARE_SHOWN.store(are_shown, Ordering::Relaxed);
}

/// Tells whether models are shown secrets.
pub fn are_secrets_shown() -> bool {
    ARE_SHOWN.load(Ordering::Relaxed)
}

/// The text as a model is shown it.
pub fn mask(text: &str) -> Cow<'_, str> {
    if are_secrets_shown() {
        return Cow::Borrowed(text);
    }
    match found(text) {
        Ok(secrets) if secrets.0.is_empty() => Cow::Borrowed(text),
        Ok(secrets) => Cow::Owned(with_masks(text, secrets.0)),
        Err(_) => Cow::Owned(UNKNOWN.to_owned()),
    }
}

/// The content of a file as a model is shown it. Bytes that are no UTF-8 are U+FFFD beside a mask.
pub(crate) fn mask_bytes(bytes: &[u8]) -> Cow<'_, [u8]> {
    match mask(&String::from_utf8_lossy(bytes)) {
        Cow::Borrowed(_) => Cow::Borrowed(bytes),
        Cow::Owned(masked) => Cow::Owned(masked.into_bytes()),
    }
}

/// The output of a command as a model is shown it. A difference has a mark before each line, without which a key is known.
pub fn mask_printed(text: &str) -> String {
    let raw: Vec<&str> = text.split('\n').collect();
    let bare: Vec<&str> = raw.iter().map(|line| line.strip_prefix(['+', '-', ' ']).unwrap_or(line)).collect();
    let mut lines: Vec<String> = raw.iter().map(|line| (*line).to_owned()).collect();
    mask_lines(&mut lines, &raw);
    mask_lines(&mut lines, &bare);
    lines.join("\n")
}

/// Masks lines, of which `searched` are another form, of the same number: a line in which a secret is found there becomes the form with
/// its mask. Each form is searched as it is: a mask in it would break a key that has several lines.
pub(crate) fn mask_lines<'a>(lines: impl IntoIterator<Item = &'a mut String>, searched: &[&str]) {
    let whole = searched.join("\n");
    let Cow::Owned(masked) = mask(&whole) else { return };
    let mut masked = masked.split('\n');
    for (line, before) in lines.into_iter().zip(searched) {
        // A text that cannot be searched has one line.
        let shown = masked.next().unwrap_or_default();
        if shown != *before {
            // Two searches may have found different parts of it.
            let is_other = line.contains(MASK) && line != shown;
            *line = if is_other { MASK.to_owned() } else { shown.to_owned() };
        }
    }
}

/// The number of masks in a text.
pub fn count_masks(text: &str) -> usize {
    text.matches(MASK).count()
}

/// The places that a model is shown masks for; none where it is shown secrets.
pub fn masked_places(text: &str) -> Vec<Range<usize>> {
    let whole = 0..text.len();
    match found(text) {
        _ if are_secrets_shown() => Vec::new(),
        Ok(secrets) => secrets.0,
        Err(_) => std::iter::once(whole).collect(),
    }
}

fn with_masks(text: &str, secrets: Vec<Range<usize>>) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    for Range { start, end } in secrets {
        // Rules look at bytes.
        let (start, end) = (text.floor_char_boundary(start).max(at), text.ceil_char_boundary(end));
        let (Some(before), Some(secret)) = (text.get(at..start), text.get(start..end)) else { continue };
        shown.push_str(before);
        for line in secret.split_inclusive('\n') {
            let inner = line.trim_end_matches(['\n', '\r']);
            if !inner.is_empty() {
                shown.push_str(MASK);
            }
            shown.push_str(line.get(inner.len()..).unwrap_or_default());
        }
        at = end;
    }
    shown.push_str(text.get(at..).unwrap_or_default());
    shown
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
        let shown = mask(&text);
        assert!(shown.starts_with("é `[secret cut]` is a key\r\n"), "{shown}");
        assert!(
            !shown.contains("AKIA") && !shown.contains("AKCAQEA7Q8z") && shown.ends_with("end"),
            "{shown}"
        );
        assert_eq!(shown.lines().count(), text.lines().count());
        assert_eq!(mask(&shown), shown, "a mask is no secret");
        assert!(count_masks(&shown) > 1);
        assert_eq!(masked_places(&text).first(), Some(&(4..24)));
        assert!(matches!(mask("nothing to hide: AKIA"), Cow::Borrowed(_)));
        assert!(matches!(mask_bytes(b"\xff nothing"), Cow::Borrowed(_)));
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
            let shown = mask_printed(&text);
            assert!(!shown.contains("AKCAQEA7Q8z"), "{shown}");
            assert!(shown.starts_with("@@ -1,8 +1,8 @@\n") && shown.ends_with("\n+end"), "{shown}");
            assert_eq!(shown.lines().count(), text.lines().count());
        }
        assert_eq!(mask_printed("+a\n-b\n c\n"), "+a\n-b\n c\n");
    }
}

//! Normalises reasons for comparison, by replacing parts that differ in each run, such as the id of a
//! request.

/// Minimum length of a sequence of letters and digits that counts as an id.
const MIN_ID_CHARS: usize = 7;

/// Replaces ids, digests, timestamps and long numbers in a reason by `#`.
pub(super) fn normalize_reason(reason: &str) -> String {
    let words = reason.split_inclusive(char::is_whitespace);
    words
        .map(|word| if is_instant(word) || is_uuid(word) { "# ".to_owned() } else { without_ids(word) })
        .collect()
}

fn without_ids(word: &str) -> String {
    let mut text = String::with_capacity(word.len());
    let mut part = String::new();
    for letter in word.chars().map(Some).chain([None]) {
        match letter {
            Some(letter) if letter.is_ascii_alphanumeric() => part.push(letter),
            _ => {
                text.push_str(if is_id(&part) { "#" } else { &part });
                part.clear();
                text.extend(letter);
            }
        }
    }
    text
}

/// Returns true for a sequence of at least `MIN_ID_CHARS` letters and digits that contains a digit. Words and
/// short numbers are not ids.
fn is_id(part: &str) -> bool {
    part.len() >= MIN_ID_CHARS && part.contains(|letter: char| letter.is_ascii_digit())
}

/// Returns true for a timestamp such as `2026-11-22T18:00:00Z`, with or without punctuation around it.
fn is_instant(word: &str) -> bool {
    trim_punctuation(word).parse::<jiff::Timestamp>().is_ok()
}

/// Returns true for a run's id: parts of 8, 4, 4, 4 and 12 hexadecimal digits.
fn is_uuid(word: &str) -> bool {
    let word = trim_punctuation(word);
    word.split('-').map(str::len).eq([8, 4, 4, 4, 12])
        && word.chars().all(|letter| letter == '-' || letter.is_ascii_hexdigit())
}

fn trim_punctuation(word: &str) -> &str {
    word.trim_matches(|letter: char| !letter.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::normalize_reason;

    #[test]
    fn what_is_new_each_time_does_not_count_and_all_else_does() {
        for (a, b) in [
            ("error 529 (request req_011CVabc9) twice", "error 529 (request req_8Zk2f00PQ) twice"),
            ("nothing at 2f0a1b9, again", "nothing at 99e0c12, again"),
            ("later: 2026-11-22T18:00:00Z.", "later: 2026-11-23T07:12:09Z."),
            (
                "run 01234567-89ab-4def-8123-456789abcdef ended",
                "run 11234567-89ab-4def-9123-456789abcde0 ended",
            ),
        ] {
            assert_eq!(normalize_reason(a), normalize_reason(b), "{a}");
        }
        for (a, b) in [
            ("error 500", "error 502"),
            ("the limit of $2.00 is used up", "the limit of $5.00 is used up"),
            ("check `pytest` failed", "check `ruff` failed"),
        ] {
            assert_ne!(normalize_reason(a), normalize_reason(b), "{a}");
        }
    }
}

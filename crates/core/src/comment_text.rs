//! The part of a comment that its author wrote, in contrast to quoted or copied text.

/// Beginnings of lines with which importers, mail programs and people name another author of a text. Lower
/// case.
const ATTRIBUTIONS: [&str; 9] = [
    "originally posted by",
    "originally written by",
    "originally created by",
    "original comment by",
    "original author",
    "imported from",
    "migrated from",
    "forwarded message",
    "begin forwarded message",
];

/// Returns true if a line outside quotes says that the comment is a copy of somebody else's text.
pub fn names_other_author(body: &str) -> bool {
    body.lines().filter(|line| !is_quote(line)).any(|line| {
        let words = line.trim_start_matches(|letter: char| !letter.is_alphanumeric());
        ATTRIBUTIONS
            .iter()
            .any(|phrase| words.get(..phrase.len()).is_some_and(|start| start.eq_ignore_ascii_case(phrase)))
    })
}

/// Returns the first line that the author of a comment wrote. Skips quotes and code. Returns `None` if there
/// is no such line, if the line begins with HTML, or if the comment is a copy of somebody else's text.
pub fn first_own_line(body: &str) -> Option<&str> {
    if names_other_author(body) {
        return None;
    }
    let mut in_quote = false;
    let mut fence: Option<char> = None;
    for line in body.lines() {
        let text = line.trim();
        let marker = text.chars().next().filter(|letter| matches!(letter, '`' | '~'));
        let is_fence =
            marker.is_some_and(|letter| text.chars().take_while(|next| *next == letter).count() >= 3);
        if let Some(open) = fence {
            if is_fence && marker == Some(open) {
                fence = None;
            }
        } else if is_fence {
            fence = marker;
            in_quote = false;
        } else if is_quote(line) {
            in_quote = true;
        } else if text.is_empty() {
            in_quote = false;
        } else if !in_quote && !line.starts_with("    ") && !line.starts_with('\t') {
            // A line directly below a quote belongs to the quote, as Markdown shows it.
            return (!text.starts_with('<')).then_some(text);
        }
    }
    None
}

fn is_quote(line: &str) -> bool {
    line.trim_start().starts_with('>')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_quotes_and_code_before_own_words() {
        for (body, expected) in [
            ("relax", Some("relax")),
            ("\r\n  bump, please\r\n> skip", Some("bump, please")),
            ("> relax", None),
            (" > relax\n\nbump", Some("bump")),
            ("> a long line of a mail\nrelax", None),
            ("```\nrelax\n```", None),
            ("~~~ text\nrelax\n```\n~~~\nskip", Some("skip")),
            ("```\nrelax", None),
            ("    relax", None),
            ("\trelax", None),
            ("<!-- relax -->", None),
            ("<blockquote>\nrelax\n</blockquote>", None),
            ("relax\n\n_Originally posted by @ann in #3_", None),
            ("relax\n\n> _Originally posted by @ann in #3_", Some("relax")),
            ("---------- Forwarded message ---------\nrelax", None),
            ("", None),
        ] {
            assert_eq!(first_own_line(body), expected, "{body:?}");
        }
    }
}

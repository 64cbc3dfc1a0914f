//! Removes comments and literals from Rust source, so a search finds only code.

/// Returns `source` with spaces in place of every comment, string literal and character literal. Line breaks
/// are kept.
pub(crate) fn code_only(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while let Some(&char) = chars.get(at) {
        let end = match char {
            '/' => end_of_comment(&chars, at),
            '"' => Some(end_of_string(&chars, at + 1)),
            '\'' => end_of_character(&chars, at),
            'r' if !follows_name(&chars, at) => end_of_raw_string(&chars, at),
            _ => None,
        };
        match end {
            Some(end) => {
                let blanked = chars.get(at..end.min(chars.len())).unwrap_or_default();
                code.extend(blanked.iter().map(|&char| if char == '\n' { '\n' } else { ' ' }));
                at = end;
            }
            None => {
                code.push(char);
                at += 1;
            }
        }
    }
    code
}

/// Returns true if the character before `position` belongs to a name. The prefixes of byte strings and C
/// strings do not count as names.
fn follows_name(chars: &[char], position: usize) -> bool {
    let is_name = |at: Option<usize>| {
        at.and_then(|at| chars.get(at)).is_some_and(|char| char.is_alphanumeric() || *char == '_')
    };
    let before = position.checked_sub(1);
    let prefix = before.and_then(|at| chars.get(at)).is_some_and(|char| matches!(char, 'b' | 'c'));
    is_name(if prefix { position.checked_sub(2) } else { before })
}

fn end_of_comment(chars: &[char], comment_start: usize) -> Option<usize> {
    match chars.get(comment_start + 1)? {
        '/' => Some(
            (comment_start..)
                .find(|&at| chars.get(at).is_none_or(|&char| char == '\n'))
                .unwrap_or(chars.len()),
        ),
        '*' => {
            let (mut depth, mut at) = (1_usize, comment_start + 2);
            while depth > 0 {
                match (chars.get(at), chars.get(at + 1)) {
                    (Some('*'), Some('/')) => (depth, at) = (depth - 1, at + 2),
                    (Some('/'), Some('*')) => (depth, at) = (depth + 1, at + 2),
                    (Some(_), _) => at += 1,
                    (None, _) => break,
                }
            }
            Some(at)
        }
        _ => None,
    }
}

/// Returns the end of a string; `position` is the position of the first character inside the quotes.
fn end_of_string(chars: &[char], mut position: usize) -> usize {
    loop {
        match chars.get(position) {
            None => return position,
            Some('"') => return position + 1,
            Some('\\') => position += 2,
            Some(_) => position += 1,
        }
    }
}

/// Returns the end of a character literal, or `None` if the quote opens a lifetime.
fn end_of_character(chars: &[char], quote_position: usize) -> Option<usize> {
    match (chars.get(quote_position + 1)?, chars.get(quote_position + 2)?) {
        // The escaped character may be a quote, so the search for the closing quote begins after the escaped
        // character.
        ('\\', _) => Some((quote_position + 3..chars.len()).find(|&at| chars.get(at) == Some(&'\''))? + 1),
        (_, '\'') => Some(quote_position + 3),
        _ => None,
    }
}

/// Returns the end of a raw string, or `None` if the `r` at `prefix_position` does not open a raw string.
fn end_of_raw_string(chars: &[char], prefix_position: usize) -> Option<usize> {
    let hashes = chars.get(prefix_position + 1..)?.iter().take_while(|char| **char == '#').count();
    let open = prefix_position + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let closes = |at: &usize| {
        let after = chars.get(at + 1..at + 1 + hashes);
        chars.get(*at) == Some(&'"') && after.is_some_and(|after| after.iter().all(|char| *char == '#'))
    };
    Some((open + 1..chars.len()).find(closes).map_or(chars.len(), |quote| quote + 1 + hashes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_stays_and_talk_goes() {
        for (source, code) in [
            ("a // b", "a     "),
            ("a /* b /* c */ d */ e", "a                   e"),
            ("a \"b \\\" c\" d", "a          d"),
            ("a r#\"b \" c\"# d", "a            d"),
            ("a br\"\\\" b", "a b     b"),
            ("for r in 'a'..'b' {}", "for r in    ..    {}"),
            ("&'a str; '\\''; '\"'; b", "&'a str;     ;    ; b"),
            ("var\"x\"", "var   "),
            ("r#type + a / b", "r#type + a / b"),
            ("// b\nc", "    \nc"),
        ] {
            assert_eq!(code_only(source), code, "{source}");
        }
    }

    #[test]
    fn what_is_left_open_ends_with_the_file() {
        for source in ["/* a", "\"a", "\"a\\", "r##\"a\"#", "'\\", "'", "//", "/", "r"] {
            assert!(code_only(source).len() <= source.len(), "{source}");
        }
    }
}

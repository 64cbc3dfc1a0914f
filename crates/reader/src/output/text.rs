//! Cleans texts that tools report, and limits their lengths.

use sha2::{Digest, Sha256};
use truing_core::line::{clean_line, is_invisible_char};

use crate::output::diagnostic::{
    Diagnostic, MAX_EDITS, MAX_FIXES, MAX_HELP_BYTES, MAX_MESSAGE_CHARS, MAX_NAME_CHARS, MAX_NEW_TEXT_BYTES,
    MAX_PAGE_URL_BYTES, MAX_TAGS, MAX_TITLE_CHARS, ToolFix,
};
use crate::redact::{redact_line, redact_secrets};

/// Maximum length in characters of a terminal escape sequence that is removed completely. Programs do not
/// write longer sequences. Without this limit, a sequence without an end could hide the rest of a text.
const MAX_ESCAPE_CHARS: usize = 4096;

/// Returns a diagnostic with cleaned texts. The texts contain no hidden characters, have limited lengths, and
/// consist of one line where required.
pub fn clean_diagnostic(diagnostic: Diagnostic) -> Diagnostic {
    let Diagnostic { tool, rule, message, level, path, range, cell, fingerprint, .. } = diagnostic;
    let Diagnostic {
        rule_page_url: rule_page,
        title,
        help,
        tags,
        fixes,
        has_unsafe_fix,
        is_suppressed: suppressed,
        ..
    } = diagnostic;
    // A finding's texts are searched for secrets later. Only texts that are cut here are searched here,
    // because the rest of a secret that was cut could not be recognised.
    let line = |text: &str, max_chars: usize| {
        if text.len() > max_chars {
            redact_line_escapes(text, max_chars)
        } else {
            strip_line_escapes(text, max_chars)
        }
    };
    let markdown = |text: String| {
        if text.len() > MAX_HELP_BYTES {
            clean_markdown(&redact_secrets(text_start(&text, MAX_HELP_BYTES)))
        } else {
            clean_markdown(&text)
        }
    };
    let name = |text: String| strip_line_escapes(&text, MAX_NAME_CHARS);
    let some_name = |text: Option<String>| text.map(name).filter(|text| !text.is_empty());
    let tags = tags.into_iter().map(|tag| name(tag).to_lowercase()).filter(|tag| !tag.is_empty());
    Diagnostic {
        tool: name(tool),
        rule: some_name(rule),
        message: line(&message, MAX_MESSAGE_CHARS),
        level,
        path,
        range,
        cell,
        fingerprint: fingerprint.map(clean_fingerprint).filter(|mark| !mark.is_empty()),
        rule_page_url: rule_page.filter(|page| is_displayable_url(page)),
        title: title.map(|title| line(&title, MAX_TITLE_CHARS)).filter(|title| !title.is_empty()),
        help: help.map(markdown).filter(|help| !help.is_empty()),
        tags: tags.take(MAX_TAGS).collect(),
        fixes: fixes.into_iter().filter_map(clean_fix).take(MAX_FIXES).collect(),
        has_unsafe_fix,
        is_suppressed: suppressed,
    }
}

/// Returns the fingerprint, or a digest of the fingerprint if it is too long. Different long fingerprints
/// therefore remain different.
fn clean_fingerprint(fingerprint: String) -> String {
    if fingerprint.len() > MAX_NAME_CHARS {
        return hex::encode(Sha256::digest(fingerprint.as_bytes()));
    }
    strip_line_escapes(&fingerprint, MAX_NAME_CHARS)
}

/// Returns a fix with a cleaned description. Returns `None` if the fix exceeds a bound or changes an unsafe
/// path, because a fix must not be applied in part.
fn clean_fix(fix: ToolFix) -> Option<ToolFix> {
    let ToolFix { message, edits } = fix;
    let inserted = edits.iter().fold(0_usize, |sum, edit| sum.saturating_add(edit.new_text.len()));
    let message =
        message.map(|text| strip_line_escapes(&text, MAX_TITLE_CHARS)).filter(|text| !text.is_empty());
    let fits = (1..=MAX_EDITS).contains(&edits.len()) && inserted <= MAX_NEW_TEXT_BYTES;
    (fits && edits.iter().all(|edit| edit.path.is_safe_to_write())).then_some(ToolFix { message, edits })
}

/// Returns the number of bytes of a diagnostic's texts.
pub(crate) fn count_text_bytes(diagnostic: &Diagnostic) -> usize {
    let Diagnostic {
        tool,
        rule,
        message,
        path,
        fingerprint,
        rule_page_url: rule_page,
        title,
        help,
        tags,
        fixes,
        ..
    } = diagnostic;
    let some = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let optional: usize = [rule, fingerprint, rule_page, title, help].into_iter().map(some).sum();
    let tags: usize = tags.iter().map(String::len).sum();
    let edits = fixes.iter().flat_map(|fix| &fix.edits);
    let fixes: usize = edits.map(|edit| edit.path.as_bytes().len() + edit.new_text.len()).sum();
    tool.len() + message.len() + path.as_bytes().len() + optional + tags + fixes
}

/// Returns the beginning of a text, from which at least `max_chars` characters remain after cleaning. If many
/// entries refer to the same text, only this beginning is copied for each entry.
pub(crate) fn text_start(text: &str, max_chars: usize) -> &str {
    let bytes = max_chars.saturating_mul(4).saturating_add(MAX_ESCAPE_CHARS).saturating_mul(2);
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

/// Returns a text as one visible line of at most `max_chars` characters, without terminal escapes. If the
/// text was cut, the line ends with `…`.
pub fn strip_line_escapes(text: &str, max_chars: usize) -> String {
    clean_line(&strip_escapes(text, max_chars), max_chars)
}

/// Returns a text as [`strip_line_escapes`] does, without secrets with a known format.
pub(crate) fn redact_line_escapes(text: &str, max_chars: usize) -> String {
    redact_line(&strip_escapes(text, max_chars), max_chars)
}

/// Returns Markdown source of several lines, without terminal escapes and hidden characters, of at most
/// [`MAX_HELP_BYTES`].
pub fn clean_markdown(text: &str) -> String {
    let text = strip_escapes(text, MAX_HELP_BYTES / 4);
    let mut shown = String::with_capacity(text.len().min(MAX_HELP_BYTES));
    let mut rest = text.chars().peekable();
    while let Some(letter) = rest.next() {
        let letter = match letter {
            '\r' if rest.peek() == Some(&'\n') => continue,
            '\r' => '\n',
            '\n' | '\t' => letter,
            hidden if is_invisible_char(hidden) => ' ',
            letter => letter,
        };
        if shown.len() + letter.len_utf8() + '…'.len_utf8() > MAX_HELP_BYTES {
            shown.push('…');
            break;
        }
        shown.push(letter);
    }
    shown.trim().to_owned()
}

/// Returns true if the URL of a page may be shown: it begins with `https://`, has a host, and consists of
/// visible ASCII without quotes and brackets.
fn is_displayable_url(url: &str) -> bool {
    let host = url.strip_prefix("https://").and_then(|rest| rest.split(['/', '?', '#']).next());
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"'<>[]()\\`{}|^".contains(&byte);
    url.len() <= MAX_PAGE_URL_BYTES
        && url.bytes().all(plain)
        // In a URL with a user name, people could mistake the user name for the host.
        && host.is_some_and(|host| host.contains('.') && !host.contains('@'))
}

/// Returns a text without terminal escapes (ECMA-48). These are control sequences that begin with `ESC [`,
/// and strings that begin with `ESC ]`, `ESC P`, `ESC X`, `ESC ^` or `ESC _`. Other escapes with two or three
/// characters are also removed. The characters U+0080 to U+009F that represent an escape are removed, too.
/// Text far beyond `max_chars` characters is not examined.
pub(crate) fn strip_escapes(text: &str, max_chars: usize) -> String {
    let room = max_chars.saturating_mul(4).saturating_add(MAX_ESCAPE_CHARS);
    let mut kept = String::with_capacity(text.len().min(room));
    let mut rest = text.chars();
    let (mut seen, limit) = (0_usize, room.saturating_mul(2));
    while let Some(letter) = rest.next() {
        seen += 1;
        if kept.len() > room || seen > limit {
            break;
        }
        match letter {
            '\u{1b}' => {
                let after = rest.clone();
                match rest.next() {
                    Some('[') => skip_control_sequence(&mut rest),
                    Some(']' | 'P' | 'X' | '^' | '_') => skip_control_string(&mut rest, &mut kept),
                    // The escape consists of intermediate bytes and one final byte.
                    Some(' '..='/') => {
                        let mut intermediate = rest.clone();
                        while let Some(' '..='/') = intermediate.next() {
                            rest = intermediate.clone();
                        }
                        let last = rest.clone().next();
                        if matches!(last, Some('0'..='~')) {
                            rest.next();
                        }
                    }
                    Some('0'..='~') => {}
                    // This is not an escape, so the character after `ESC` is kept as text.
                    Some(_) | None => rest = after,
                }
            }
            '\u{9b}' => skip_control_sequence(&mut rest),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => skip_control_string(&mut rest, &mut kept),
            letter => kept.push(letter),
        }
    }
    kept
}

/// Skips the rest of a control sequence: its parameters, its intermediate bytes, and its final byte.
fn skip_control_sequence(rest: &mut std::str::Chars<'_>) {
    let mut ahead = rest.clone();
    while let Some(letter) = ahead.next() {
        match letter {
            ' '..='?' => *rest = ahead.clone(),
            '@'..='~' => {
                *rest = ahead;
                return;
            }
            _ => return,
        }
    }
}

/// Skips a control string up to its end: BEL, `ESC \` or U+009C. If the string has no end within the line and
/// within [`MAX_ESCAPE_CHARS`] characters, only its beginning is removed and the rest is kept as text. The
/// running time is linear, because the searched characters are not examined again.
fn skip_control_string(rest: &mut std::str::Chars<'_>, output: &mut String) {
    let text = rest.as_str();
    for _ in 0..MAX_ESCAPE_CHARS {
        let before = rest.clone();
        match rest.next() {
            Some('\u{7}' | '\u{9c}') => return,
            Some('\u{1b}') if rest.as_str().starts_with('\\') => {
                rest.next();
                return;
            }
            Some('\u{1b}' | '\n') | None => {
                *rest = before;
                break;
            }
            Some(_) => {}
        }
    }
    let looked_at = text.len().saturating_sub(rest.as_str().len());
    output.push_str(text.get(..looked_at).unwrap_or_default());
}

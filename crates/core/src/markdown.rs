//! Text that others wrote, as Markdown in which it cannot do anything: no mention, reference, link, image, HTML,
//! marker or command. Whatever is posted to a forge goes through here.
//!
//! Nothing is searched for and taken out. Text is parsed, and written anew from what was understood: words with
//! every special character escaped, code between enough back ticks. Mentions, references and bare addresses are
//! looked for by forges behind the escapes, so there a space without width parts them.

mod blocks;

pub use blocks::block;

use crate::line::is_hidden;

/// Parts what a forge would otherwise see as one.
const APART: char = '\u{200b}';
/// What stands for a character that cannot be seen, in code.
const UNSEEN: char = '\u{fffd}';
/// Hexadecimal words from this length on may name a commit.
const MIN_COMMIT_DIGITS: usize = 7;
/// Languages that a forge may colour. Others could name a diagram, which would be drawn, or a suggestion.
const COLOURED: &[&str] = &[
    "c", "cc", "cpp", "cs", "diff", "go", "h", "hpp", "java", "js", "json", "jsx", "kt", "php", "py",
    "python", "rb", "rs", "rust", "sh", "sql", "swift", "toml", "ts", "tsx", "yaml", "yml",
];

/// One line that shows exactly this text.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_plain(&mut out, text);
    out
}

/// One line in which what stands between back ticks is code, and everything else is shown as it is.
pub fn titled(title: &str) -> String {
    let parts: Vec<&str> = title.split('`').collect();
    let paired = !parts.len().is_multiple_of(2);
    if !paired || parts.iter().skip(1).step_by(2).any(|part| part.is_empty()) {
        return plain(title);
    }
    let mut out = String::new();
    for (at, part) in parts.iter().enumerate() {
        if at.is_multiple_of(2) {
            push_plain(&mut out, part);
        } else {
            push_code(&mut out, part);
        }
    }
    out
}

/// Text as code, on one line.
pub fn code(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { seen(c) }).collect();
    let longest = longest_run(&text);
    let fence = "`".repeat(longest + 1);
    // A blank on both sides is taken away by whoever reads it, unless there is nothing else.
    let spare = longest > 0 || (text.starts_with(' ') && text.ends_with(' ')) || text.is_empty();
    if spare { format!("{fence} {text} {fence}") } else { format!("{fence}{text}{fence}") }
}

/// Lines as code, without a line end behind the last fence. `language` is what their file's name ends with, or a
/// language's name.
pub fn fence(language: &str, lines: &str) -> String {
    let lines: String = lines.chars().map(|c| if matches!(c, '\n' | '\t') { c } else { seen(c) }).collect();
    let lines = lines.strip_suffix('\n').unwrap_or(&lines);
    let language = COLOURED.iter().find(|known| **known == language).copied().unwrap_or_default();
    let fence = "`".repeat(longest_run(lines).max(2) + 1);
    // As many blanks as stand before the fence are taken from each line: what looks like a command to a program
    // that reads comments by lines does not stand at a line's beginning.
    let indent = if has_command(lines) { " " } else { "" };
    let mut out = format!("{indent}{fence}{language}\n");
    for line in lines.split('\n') {
        out.push_str(indent);
        out.push_str(line);
        out.push('\n');
    }
    out + indent + &fence
}

/// A proposed replacement in the form that forges offer to apply; none if it cannot be shown exactly as it is.
pub fn suggestion(replacement: &str) -> Option<String> {
    let altered = |c: char| is_hidden(c) && !matches!(c, '\n' | '\t');
    if replacement.contains(altered) || replacement.contains("<!--") || has_command(replacement) {
        return None;
    }
    let fence = "`".repeat(longest_run(replacement).max(2) + 1);
    let lines = if replacement.is_empty() { String::new() } else { format!("{replacement}\n") };
    Some(format!("{fence}suggestion\n{lines}{fence}"))
}

/// Does a line begin with a slash and a word?
fn has_command(lines: &str) -> bool {
    lines
        .lines()
        .any(|line| line.strip_prefix('/').is_some_and(|word| word.starts_with(char::is_alphanumeric)))
}

/// The most back ticks in a row.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

fn seen(c: char) -> char {
    if is_hidden(c) { UNSEEN } else { c }
}

/// Adds code to a line.
fn push_code(out: &mut String, text: &str) {
    if out.ends_with('`') {
        out.push(APART); // else its back ticks would be counted with those before
    }
    out.push_str(&code(text));
}

/// Adds text so that it is shown as it is, on the line that `out` ends with. What may name a commit is shown as code.
fn push_plain(out: &mut String, text: &str) {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        // Each word is looked at once, where it begins: text without blanks can be long.
        let begins = !out.ends_with(is_word);
        let end = if begins { rest.find(|c| !is_word(c)).unwrap_or(rest.len()) } else { 0 };
        let (word, behind) = rest.split_at(end);
        if is_commit(word) {
            push_code(out, word);
            rest = behind;
        } else if is_numbered(word, behind) {
            out.push_str(word);
            out.push(APART);
            rest = behind;
        } else {
            push_char(out, c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
    }
}

fn is_commit(word: &str) -> bool {
    word.len() >= MIN_COMMIT_DIGITS && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Do word and text begin with `GH-1`?
fn is_numbered(word: &str, behind: &str) -> bool {
    let number = behind.strip_prefix('-').unwrap_or_default();
    word.eq_ignore_ascii_case("gh") && number.starts_with(|c: char| c.is_ascii_digit())
}

fn push_char(out: &mut String, c: char) {
    match c {
        '/' if out.ends_with(':') => out.extend([APART, '/']),
        '.' if ends_with_www(out) => out.extend([APART, '.']),
        '!' if out.ends_with('<') => out.extend([APART, '!']),
        '<' | '>' | '*' | '_' | '[' | ']' | '`' | '\\' | '|' | '~' | '&' | '$' => out.extend(['\\', c]),
        '@' | '#' => out.extend([c, APART]),
        c if is_hidden(c) => out.push(' '),
        c => out.push(c),
    }
}

/// Does an address begin here that has no scheme?
fn ends_with_www(text: &str) -> bool {
    text.as_bytes().last_chunk::<3>().is_some_and(|end| end.eq_ignore_ascii_case(b"www"))
}

//! Renders untrusted text as inert Markdown: without mentions, references, links, images, HTML, markers or
//! commands. All untrusted text that Truing posts to a forge passes through this module.
//!
//! The module does not search for dangerous text. It parses the text and renders the parsed structure. It
//! escapes special characters in words, and encloses code in more back ticks than the code contains. Escapes
//! do not prevent forges from detecting mentions, references and bare addresses. The module therefore inserts
//! a zero-width space into them.

mod blocks;

pub use blocks::sanitize_markdown;

use crate::line::is_invisible_char;

/// Breaks up text that a forge would otherwise detect as a mention, reference or address.
const ZERO_WIDTH_SPACE: char = '\u{200b}';
/// Replaces an invisible character in code.
const INVISIBLE_CHAR_REPLACEMENT: char = '\u{fffd}';
/// Minimum length of a hexadecimal word that may name a commit.
const MIN_COMMIT_DIGITS: usize = 7;
/// Permitted languages of code blocks. With other names, the forge might render the block as a diagram or
/// offer it as a suggestion.
const CODE_BLOCK_LANGUAGES: &[&str] = &[
    "c", "cc", "cpp", "cs", "diff", "go", "h", "hpp", "java", "js", "json", "jsx", "kt", "php", "py",
    "python", "rb", "rs", "rust", "sh", "sql", "swift", "toml", "ts", "tsx", "yaml", "yml",
];

/// Renders one line that displays exactly this text.
pub fn escape_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_literal_text(&mut out, text);
    out
}

/// Renders one line as [`escape_text`] does, except that each of these addresses stays a link. The addresses
/// are Truing's own: other people must not be able to choose them.
pub fn escape_text_around_links(text: &str, own_urls: &[&str]) -> String {
    let is_plain = |url: &&&str| {
        let is_plain_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"/:.-_~%".contains(&byte);
        url.contains("://") && url.bytes().all(is_plain_byte)
    };
    let first = own_urls.iter().filter(is_plain).filter_map(|url| Some((text.find(*url)?, *url)));
    // Of addresses that begin at the same place, the longest counts: `…/pull/5` begins `…/pull/50`.
    match first.min_by_key(|(at, url)| (*at, std::cmp::Reverse(url.len()))) {
        Some((at, url)) => {
            let (before, rest) = text.split_at(at);
            let after = rest.strip_prefix(url).unwrap_or_default();
            let is_longer = after.starts_with(|c: char| c.is_alphanumeric() || "/?#%@-_~&=".contains(c));
            let shown = if is_longer { escape_text(url) } else { url.to_owned() };
            format!("{}{shown}{}", escape_text(before), escape_text_around_links(after, own_urls))
        }
        None => escape_text(text),
    }
}

/// Renders one line: text between back ticks becomes code, all other text is displayed literally.
pub fn render_title(title: &str) -> String {
    let parts: Vec<&str> = title.split('`').collect();
    let paired = !parts.len().is_multiple_of(2);
    if !paired || parts.iter().skip(1).step_by(2).any(|part| part.is_empty()) {
        return escape_text(title);
    }
    let mut out = String::new();
    for (at, part) in parts.iter().enumerate() {
        if at.is_multiple_of(2) {
            push_literal_text(&mut out, part);
        } else {
            push_code(&mut out, part);
        }
    }
    out
}

/// Renders text as code on one line.
pub fn code_span(text: &str) -> String {
    let text: String =
        text.chars().map(|c| if c.is_whitespace() { ' ' } else { replace_invisible_char(c) }).collect();
    let longest = longest_backtick_run(&text);
    let fence = "`".repeat(longest + 1);
    // Renderers strip one blank on each side of code, unless the code consists only of blanks.
    let spare = longest > 0 || (text.starts_with(' ') && text.ends_with(' ')) || text.is_empty();
    if spare { format!("{fence} {text} {fence}") } else { format!("{fence}{text}{fence}") }
}

/// Renders lines as a code block, without a line end after the last fence. `language` is the name of a
/// language or a file name extension.
pub fn code_block(language: &str, lines: &str) -> String {
    let lines: String =
        lines.chars().map(|c| if matches!(c, '\n' | '\t') { c } else { replace_invisible_char(c) }).collect();
    let lines = lines.strip_suffix('\n').unwrap_or(&lines);
    let language = CODE_BLOCK_LANGUAGES.iter().find(|known| **known == language).copied().unwrap_or_default();
    let fence = "`".repeat(longest_backtick_run(lines).max(2) + 1);
    // An indent prevents bots from reading a line as a slash command. The indent is not displayed, because
    // renderers remove the indent of the fence from each line.
    let indent = if has_slash_command(lines) { " " } else { "" };
    let mut out = format!("{indent}{fence}{language}\n");
    for line in lines.split('\n') {
        out.push_str(indent);
        out.push_str(line);
        out.push('\n');
    }
    out + indent + &fence
}

/// Renders a replacement as a suggestion block, which readers can apply at the forge. Returns `None` if the
/// replacement cannot be displayed exactly.
pub fn suggestion_block(replacement: &str) -> Option<String> {
    let altered = |c: char| is_invisible_char(c) && !matches!(c, '\n' | '\t');
    if replacement.contains(altered) || replacement.contains("<!--") || has_slash_command(replacement) {
        return None;
    }
    let fence = "`".repeat(longest_backtick_run(replacement).max(2) + 1);
    let lines = if replacement.is_empty() { String::new() } else { format!("{replacement}\n") };
    Some(format!("{fence}suggestion\n{lines}{fence}"))
}

/// Returns true if a line begins with a slash and a word.
fn has_slash_command(lines: &str) -> bool {
    lines
        .lines()
        .any(|line| line.strip_prefix('/').is_some_and(|word| word.starts_with(char::is_alphanumeric)))
}

/// Returns the length of the longest run of back ticks.
fn longest_backtick_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

fn replace_invisible_char(c: char) -> char {
    if is_invisible_char(c) { INVISIBLE_CHAR_REPLACEMENT } else { c }
}

/// Appends code to a line.
fn push_code(out: &mut String, text: &str) {
    if out.ends_with('`') {
        out.push(ZERO_WIDTH_SPACE); // else its back ticks would be counted with those before
    }
    out.push_str(&code_span(text));
}

/// Appends literal text to the line at the end of `out`. A word that may name a commit is rendered as code.
fn push_literal_text(out: &mut String, text: &str) {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        // Each word is examined once, at its first character, so the time stays linear even for a very long
        // word.
        let begins = !out.ends_with(is_word);
        let end = if begins { rest.find(|c| !is_word(c)).unwrap_or(rest.len()) } else { 0 };
        let (word, behind) = rest.split_at(end);
        if may_be_commit_id(word) {
            push_code(out, word);
            rest = behind;
        } else if is_github_reference(word, behind) {
            out.push_str(word);
            out.push(ZERO_WIDTH_SPACE);
            rest = behind;
        } else {
            push_char(out, c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
    }
}

fn may_be_commit_id(word: &str) -> bool {
    word.len() >= MIN_COMMIT_DIGITS && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns true if `word` and the text that follows form a reference such as `GH-1`.
fn is_github_reference(word: &str, following: &str) -> bool {
    let number = following.strip_prefix('-').unwrap_or_default();
    word.eq_ignore_ascii_case("gh") && number.starts_with(|c: char| c.is_ascii_digit())
}

fn push_char(out: &mut String, c: char) {
    match c {
        '/' if out.ends_with(':') => out.extend([ZERO_WIDTH_SPACE, '/']),
        '.' if ends_with_www(out) => out.extend([ZERO_WIDTH_SPACE, '.']),
        '!' if out.ends_with('<') => out.extend([ZERO_WIDTH_SPACE, '!']),
        '<' | '>' | '*' | '_' | '[' | ']' | '`' | '\\' | '|' | '~' | '&' | '$' => out.extend(['\\', c]),
        '@' | '#' => out.extend([c, ZERO_WIDTH_SPACE]),
        c if is_invisible_char(c) => out.push(' '),
        c => out.push(c),
    }
}

/// Returns true if the text ends with `www`, which begins an address without a scheme.
fn ends_with_www(text: &str) -> bool {
    text.as_bytes().last_chunk::<3>().is_some_and(|end| end.eq_ignore_ascii_case(b"www"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_given_addresses_stay_links() {
        let own = "https://forge.example/acme/ours/pull/5";
        let text = format!("*done* in {own}, not {own}0 or https://elsewhere.example; see {own}.");
        let shown = escape_text_around_links(&text, &[own]);
        assert_eq!(
            shown.replace(ZERO_WIDTH_SPACE, "{zwsp}"),
            format!(
                "\\*done\\* in {own}, not https:{{zwsp}}//forge.example/acme/ours/pull/50 or \
                 https:{{zwsp}}//elsewhere.example; see {own}."
            )
        );
        for odd in ["", "https://forge.example/<x>", "done"] {
            assert_eq!(escape_text_around_links(&text, &[odd]), escape_text(&text), "{odd}");
        }
    }
}

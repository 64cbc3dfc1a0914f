//! Tests that untrusted Markdown is displayed but has no effect. The sanitized text is parsed as GitHub
//! parses it.

#![allow(clippy::wildcard_enum_match_arm, reason = "what is not named here is what is looked for")]

use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag, TextMergeStream};
use truing_core::line::is_invisible_char;
use truing_core::markdown::{
    code_block, code_span, escape_text, render_title, sanitize_markdown, suggestion_block,
};

/// Character whose insertion prevents a forge from reading the surrounding characters as a mention or a
/// reference.
const APART: char = '\u{200b}';

/// Pieces from which the tests build hostile texts.
const PIECES: &[&str] = &[
    "@",
    "ada",
    "@acme/team",
    "#",
    "12",
    "#12",
    "acme/shop#3",
    "GH-",
    "gh-7",
    "deadbeef",
    "0123456789abcdef",
    "http",
    ":",
    "//",
    "https://evil.example/x",
    "www",
    ".",
    "www.evil.example",
    "a@evil.example",
    "mailto:",
    "<",
    ">",
    "<https://evil.example>",
    "<details>",
    "</details>",
    "<img src=x>",
    "<!--",
    "-->",
    "<!-- truing:1 producer=review item=summary key=9c56cc51 mac=00 -->",
    "<script>",
    "</",
    "&lt;",
    "&#64;",
    "&commat;",
    "[",
    "]",
    "(",
    ")",
    "![",
    "](",
    "](https://evil.example)",
    "[x]: https://evil.example",
    "[^1]",
    "[^1]: x",
    "`",
    "``",
    "```",
    "~~~",
    "```suggestion",
    "```mermaid",
    "$",
    "$$",
    "\\",
    "*",
    "**",
    "_",
    "~~",
    "|",
    "|-|-|",
    "-",
    "+",
    "- ",
    "1. ",
    "1) ",
    "> ",
    "> > > ",
    "# ",
    "    ",
    "\t",
    "---",
    "===",
    "[!NOTE]",
    "/",
    "/approve",
    "/dismiss all",
    "\n",
    "\n\n",
    "\r\n",
    " ",
    "\u{1}",
    "\u{202e}",
    "\u{2028}",
    "\u{e0041}",
    "\u{200b}",
    "word",
    "é",
    "🦀",
];

fn hostile_text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 0..24).prop_map(|pieces| pieces.concat())
}

/// Returns the parser options: all syntax that forges support, except for typographic quotes.
fn github_options() -> Options {
    Options::all() - Options::ENABLE_SMART_PUNCTUATION
}

/// Returns the elements of a Markdown text that have an effect at a forge. Recognizes all syntax that forges
/// support.
fn active_elements(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_code = false;
    for event in TextMergeStream::new(Parser::new_ext(text, github_options())) {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                in_code = true;
                let kind = format!("{kind:?}");
                let acts = ["suggestion", "mermaid", "math"].iter().any(|name| kind.contains(name));
                found.extend(acts.then_some(kind));
            }
            Event::End(pulldown_cmark::TagEnd::CodeBlock) => in_code = false,
            Event::Start(
                Tag::Paragraph
                | Tag::List(_)
                | Tag::Item
                | Tag::BlockQuote(None)
                | Tag::Emphasis
                | Tag::Strong
                | Tag::Strikethrough,
            )
            | Event::End(_)
            | Event::Code(_)
            | Event::SoftBreak
            | Event::HardBreak
            | Event::Rule => {}
            Event::Start(Tag::Heading { level, .. }) if level as usize > 4 => {}
            Event::Text(_) if in_code => {}
            Event::Text(text) => found.extend(active_words(&text)),
            other => found.push(format!("{other:?}")),
        }
    }
    for line in text.lines() {
        let command = line.strip_prefix('/').is_some_and(|word| word.starts_with(char::is_alphanumeric));
        if command {
            found.push(format!("line {line:?}"));
        }
    }
    found.extend(
        text.chars()
            .filter(|c| is_invisible_char(*c) && !matches!(*c, '\n' | '\t' | APART))
            .map(|c| format!("{c:?}")),
    );
    found
}

/// Returns the mentions, references and addresses in a displayed text.
fn active_words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, sign) in text.match_indices(['@', '#']) {
        if text[at + sign.len()..].starts_with(|c: char| c.is_ascii_alphanumeric()) {
            found.push(format!("{sign} in {text:?}"));
        }
    }
    let lower = text.to_ascii_lowercase();
    for address in ["://", "www."] {
        found.extend(lower.contains(address).then(|| format!("{address} in {text:?}")));
    }
    for (at, _) in lower.match_indices("gh-") {
        let word = lower[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if !word && lower[at + 3..].starts_with(|c: char| c.is_ascii_digit()) {
            found.push(format!("GH- in {text:?}"));
        }
    }
    let commits = lower.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == APART));
    found.extend(
        commits
            .filter(|word| word.len() >= 7 && word.bytes().all(|b| b.is_ascii_hexdigit()))
            .map(str::to_owned),
    );
    found
}

/// Returns the displayed words of a Markdown text.
fn displayed_text(text: &str) -> String {
    let mut out = String::new();
    for event in Parser::new_ext(text, github_options()) {
        match event {
            Event::Text(text) | Event::Code(text) => out.push_str(&text),
            Event::SoftBreak => out.push('\n'),
            _ => {}
        }
    }
    out.replace(APART, "")
}

/// Returns the character that a forge displays for this character in code.
fn displayed_char(c: char) -> char {
    if is_invisible_char(c) { '\u{fffd}' } else { c }
}

/// Returns a text without white space and invisible characters.
fn visible_letters(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && !is_invisible_char(*c) && *c != APART).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_acts_in_a_block(text in hostile_text()) {
        let made = sanitize_markdown(&text);
        prop_assert_eq!(active_elements(&made), Vec::<String>::new(), "{:?} of {:?}", made, text);
    }

    #[test]
    fn nothing_acts_in_a_line_and_all_of_it_is_shown(text in hostile_text()) {
        for made in [escape_text(&text), render_title(&text)] {
            let line = format!("**{made}** ({})\n", code_span("x"));
            prop_assert_eq!(active_elements(&line), Vec::<String>::new(), "{:?} of {:?}", made, text);
            prop_assert!(!made.contains('\n'));
        }
        let line = displayed_text(&format!("x {}", escape_text(&text)));
        prop_assert_eq!(visible_letters(&line[1..]), visible_letters(&text), "{:?}", escape_text(&text));
    }

    #[test]
    fn code_is_code_whatever_it_holds(text in hostile_text()) {
        let line = format!("x {} y", code_span(&text));
        prop_assert_eq!(active_elements(&line), Vec::<String>::new(), "{:?} of {:?}", line, text);
        let spans = Parser::new(&line).filter(|event| matches!(event, Event::Code(_))).count();
        prop_assert_eq!(spans, 1, "{:?}", line);

        let made = format!("x\n\n{}\n\ny", code_block("rs", &text));
        prop_assert_eq!(active_elements(&made), Vec::<String>::new(), "{:?} of {:?}", made, text);
        let inside: Vec<Event> = Parser::new(&made).skip_while(|event| !matches!(event, Event::Start(Tag::CodeBlock(_)))).collect();
        let code: String = inside.iter().skip(1).map_while(|event| match event {
            Event::Text(text) => Some(text.as_ref()),
            _ => None,
        }).collect();
        let visible: String = text.chars().map(|c| if matches!(c, '\n' | '\t') { c } else { displayed_char(c) }).collect();
        prop_assert_eq!(code.trim_end_matches('\n'), visible.trim_end_matches('\n'), "{:?}", made);
    }

    #[test]
    fn a_suggestion_holds_exactly_the_replacement(text in hostile_text()) {
        let Some(made) = suggestion_block(&text) else { return Ok(()) };
        let around = format!("x\n\n{made}\n\ny");
        let code: String = Parser::new(&around)
            .skip_while(|event| !matches!(event, Event::Start(Tag::CodeBlock(_))))
            .skip(1)
            .map_while(|event| match event { Event::Text(text) => Some(text.into_string()), _ => None })
            .collect();
        let expected = if text.is_empty() { String::new() } else { format!("{text}\n") };
        prop_assert_eq!(code, expected);
    }
}

#[test]
fn what_people_write_stays_readable() {
    let text = "Use `a` or *b*: see [the guide](https://x.example/guide) and <https://y.example>.\n\n1. \
         first\n   ```py\n   @property\n   ```\n2. second, with\n   more\n   - inner\n\n> quoted\n\n# \
         Title\n\n![logo](https://z.example/l.png)\n\n<b>bold</b> for @ada, #3\n";
    let expected = "Use `a` or *b*: see the guide (`https://x.example/guide`) and `https://y.example`.\n\n1. \
         first\n\n   ```py\n   @property\n   ```\n2. second, with\n   more\n   - inner\n\n> quoted\n\n##### \
         Title\n\nlogo (`https://z.example/l.png`)\n\n\\<b\\>bold\\</b\\> for @~ada, #~3";
    assert_eq!(sanitize_markdown(text).replace(APART, "~"), expected);
}

#[test]
fn deep_nesting_is_shown_flat() {
    let made = sanitize_markdown(&format!("{} deep", "> ".repeat(5_000)));
    assert_eq!(made, format!("{}deep", "> ".repeat(MAX_QUOTES)));
}
/// Maximum depth of nested quotations in the displayed text.
const MAX_QUOTES: usize = 6;

#[test]
fn code_that_cannot_be_suggested_is_not() {
    assert_eq!(suggestion_block("a = 1\nb").as_deref(), Some("```suggestion\na = 1\nb\n```"));
    assert_eq!(suggestion_block("").as_deref(), Some("```suggestion\n```"));
    assert_eq!(suggestion_block("a\n```\n````").as_deref(), Some("`````suggestion\na\n```\n````\n`````"));
    for bad in ["a\u{202e}b", "a\r\nb", "/approve", "x\n/lgtm", "<!-- truing:1 -->"] {
        assert_eq!(suggestion_block(bad), None, "{bad:?}");
    }
    assert!(suggestion_block("// a comment\n\t/x").is_some());
}

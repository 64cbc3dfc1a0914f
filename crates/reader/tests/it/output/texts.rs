//! Tests that the reader cleans and shortens the texts of tools.

use proptest::prelude::*;
use truing_reader::output::diagnostic::{
    MAX_EDITS, MAX_FIXES, MAX_HELP_BYTES, MAX_MESSAGE_CHARS, MAX_NAME_CHARS, MAX_NEW_TEXT_BYTES, MAX_TAGS,
};
use truing_reader::output::{Diagnostic, DiagnosticRange, ToolEdit, ToolFix, text};

fn plain() -> Diagnostic {
    Diagnostic::new("lint", "a".into(), DiagnosticRange::from_lines(1, 1), "m")
}

#[test]
fn a_terminal_escape_goes_as_a_whole() {
    for (written, shown) in [
        ("\u{1b}[1;31mred\u{1b}[0m text", "red text"),
        ("\u{1b}[38;2;1;2;3mx\u{1b}[K\u{1b}[m", "x"),
        ("a\u{1b}]8;;https://x.example\u{1b}\\link\u{1b}]8;;\u{7}b", "alinkb"),
        ("\u{1b}P1$r0m\u{1b}\\x\u{1b}(By\u{1b}cz\u{1b}=", "xyz"),
        ("\u{9b}31mred\u{9d}0;title\u{9c}!", "red!"),
        ("\u{1b}]0;never closed", "0;never closed"),
        ("\u{1b}]0;one\nline two", "0;one line two"),
        ("tail\u{1b}", "tail"),
        ("\u{1b}[12", ""),
        ("\u{1b}é", "é"),
        ("a\u{202e}b\u{200b}c\0d\r\n e", "a b c d e"),
    ] {
        assert_eq!(text::strip_line_escapes(written, 100), shown, "{written:?}");
    }
}

#[test]
fn text_without_an_end_of_its_escapes_takes_time_in_its_length() {
    let hostile = "\u{1b}]".repeat(1 << 20);
    assert_eq!(text::strip_line_escapes(&hostile, 1000), "");
    assert_eq!(text::clean_markdown(&"\u{1b}[".repeat(1 << 20)), "");
}

#[test]
fn help_keeps_its_lines_and_loses_what_cannot_be_seen() {
    assert_eq!(text::clean_markdown("\u{1b}[1m# A\u{1b}[0m\r\n\n\tb\u{202e}c\rd \n"), "# A\n\n\tb c\nd");
    let long = text::clean_markdown(&"é".repeat(MAX_HELP_BYTES));
    assert!(long.len() <= MAX_HELP_BYTES && long.ends_with("é…"), "{}", long.len());
}

#[test]
fn a_secret_at_the_place_where_a_text_is_cut_is_removed() {
    let key = ["AKIA73U5", "5XTPLPFT7V4S"].concat();
    let until = |length: usize| format!("{}{key}", "x ".repeat(length / 2 - 5));
    let found =
        Diagnostic { message: until(MAX_MESSAGE_CHARS), help: Some(until(MAX_HELP_BYTES)), ..plain() };
    let found = text::clean_diagnostic(found);
    assert!(found.message.ends_with("x AKIA…"), "{}", found.message);
    assert!(found.help.as_ref().is_some_and(|help| help.ends_with("x AKIA…")), "{:?}", found.help);
}

#[test]
fn every_text_of_a_diagnostic_is_bounded() {
    let long = "x".repeat(1 << 16);
    let tags = (0..100).map(|tag| format!("TAG {tag} {long}")).collect();
    let found = Diagnostic {
        tool: long.clone(),
        rule: Some(long.clone()),
        message: long.clone(),
        fingerprint: Some(long.clone()),
        title: Some(format!("a\n{long}")),
        help: Some(long.clone()),
        rule_page_url: Some(format!("https://x.example/{long}")),
        tags,
        ..plain()
    };
    let found = text::clean_diagnostic(found);
    let chars = |text: &str| text.chars().count();
    assert_eq!(chars(&found.message), MAX_MESSAGE_CHARS + 1);
    assert!(found.tags.len() == MAX_TAGS && found.tags[3].starts_with("tag 3 x"), "{:?}", found.tags);
    assert_eq!(
        (chars(&found.tool), found.rule.as_deref().map(chars)),
        (MAX_NAME_CHARS + 1, Some(MAX_NAME_CHARS + 1))
    );
    assert_eq!((found.rule_page_url, found.help.map(|help| help.len())), (None, Some(MAX_HELP_BYTES)));
    assert!(found.title.is_some_and(|title| title.starts_with("a x") && title.ends_with('…')));
    let digest = found.fingerprint.unwrap();
    let other = text::clean_diagnostic(Diagnostic { fingerprint: Some(long + "y"), ..plain() });
    assert!(digest.len() == 64 && other.fingerprint != Some(digest), "long ones stay apart");
}

#[test]
fn a_page_is_an_https_address_of_a_host_without_a_user() {
    for (page, kept) in [
        ("https://x.example/rules/R1#a?b=c", true),
        ("https://x.example", true),
        ("http://x.example/R1", false),
        ("javascript:alert(1)", false),
        ("https://good.example@evil.example/", false),
        ("https://x.example/a b", false),
        ("https://x.example/\"><script>", false),
        ("https://x.example/a)", false),
        ("https://localhost/", false),
        ("https:///a.b", false),
        (" https://x.example", false),
        ("https://exämple.example/", false),
    ] {
        let found = text::clean_diagnostic(Diagnostic { rule_page_url: Some(page.to_owned()), ..plain() });
        assert_eq!(found.rule_page_url.is_some(), kept, "{page}");
    }
}

#[test]
fn a_fix_beyond_a_bound_is_left_out_whole() {
    let edit = |text: String| ToolEdit {
        path: "a".into(),
        range: DiagnosticRange::from_lines(1, 1),
        new_text: text,
    };
    let fix = |edits: Vec<ToolEdit>| ToolFix { message: Some("\u{1b}[1mfix\nit".to_owned()), edits };
    let fixes = vec![
        fix(vec![edit("a\u{1b}b".to_owned())]),
        fix(vec![]),
        fix(vec![edit("x".to_owned()); MAX_EDITS + 1]),
        fix(vec![edit("x".repeat(MAX_NEW_TEXT_BYTES / 2)), edit("x".repeat(MAX_NEW_TEXT_BYTES / 2 + 1))]),
        fix(vec![ToolEdit { path: ".git/config".into(), ..edit(String::new()) }]),
    ];
    let found = text::clean_diagnostic(Diagnostic { fixes, ..plain() });
    assert_eq!(found.fixes.len(), 1);
    assert_eq!(
        (found.fixes[0].message.as_deref(), found.fixes[0].edits[0].new_text.as_str()),
        (Some("fix it"), "a\u{1b}b")
    );
    let many =
        text::clean_diagnostic(Diagnostic { fixes: vec![fix(vec![edit(String::new())]); 50], ..plain() });
    assert_eq!(many.fixes.len(), MAX_FIXES);
}

proptest! {
    #[test]
    fn any_text_is_one_visible_bounded_line(written in "(\\PC|\u{1b}|\\[|\\]|[0-9;m\n\r\u{7}\u{9b}\u{202e}\u{0}]){0,60}", most in 1..30_usize) {
        let line = text::strip_line_escapes(&written, most);
        prop_assert!(!line.chars().any(char::is_control), "{line:?}");
        prop_assert!(line.chars().count() <= most + 1, "{line:?}");
        let help = text::clean_markdown(&written);
        prop_assert!(!help.chars().any(|letter| letter.is_control() && letter != '\n' && letter != '\t'), "{help:?}");
    }

    #[test]
    fn text_without_escapes_stays(words in "[a-z\\[\\]();,.é ]{0,40}") {
        let expected = words.split_whitespace().collect::<Vec<_>>().join(" ");
        prop_assert_eq!(text::strip_line_escapes(&words, 100), expected);
    }
}

//! Wraps the lines of Markdown prompts at 100 to 120 columns. The parsed Markdown is the same before and
//! after. Front matter, code, tables, HTML, quotations, link definitions and lines with hard breaks stay
//! unchanged. A variable is never split.

use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// Maximum length of a line in columns. Only a longer unbreakable part may exceed it.
const MAX_LINE_WIDTH: usize = 120;
/// Minimum length of a line in columns. A line may be shorter if its next word does not fit.
const MIN_LINE_WIDTH: usize = 100;

/// Returns the text, wrapped.
pub fn wrap_text(text: &str) -> String {
    let (front, body) = text.split_at(front_matter_length(text));
    // A text with carriage returns stays unchanged, because its line ends are deliberate.
    if body.contains('\r') {
        return text.to_owned();
    }
    let (before, mut body) = (parse_events(body), body.to_owned());
    for run in text_runs(&body).into_iter().rev() {
        let Some(changed) = rewrap_run(&body, run) else { continue };
        if parse_events(&changed) == before {
            body = changed;
        }
    }
    format!("{front}{body}")
}

/// Returns the length of the front matter in bytes.
fn front_matter_length(text: &str) -> usize {
    let end = |mark: &str| {
        let rest = text.strip_prefix(mark)?.strip_prefix('\n')?;
        let at = rest
            .find(&format!("\n{mark}\n"))
            .map(|at| at + 1)
            .or_else(|| rest.starts_with(&format!("{mark}\n")).then_some(0))?;
        Some(text.len() - rest.len() + at + mark.len() + 1)
    };
    end("+++").or_else(|| end("---")).unwrap_or(0)
}

fn markdown_parser(text: &str) -> Parser<'_> {
    Parser::new_ext(
        text,
        Options::ENABLE_TABLES
            | Options::ENABLE_FOOTNOTES
            | Options::ENABLE_STRIKETHROUGH
            | Options::ENABLE_TASKLISTS,
    )
}

/// Returns the events of the Markdown parser, with each soft line break replaced by a space.
pub(super) fn parse_events(text: &str) -> Vec<Event<'_>> {
    let mut seen: Vec<Event<'_>> = Vec::new();
    for event in markdown_parser(text) {
        let words = match event {
            Event::Text(words) => words.into_string(),
            Event::SoftBreak => " ".to_owned(),
            Event::Start(_)
            | Event::End(_)
            | Event::Code(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::Html(_)
            | Event::InlineHtml(_)
            | Event::FootnoteReference(_)
            | Event::HardBreak
            | Event::Rule
            | Event::TaskListMarker(_) => {
                seen.push(event);
                continue;
            }
        };
        match seen.last_mut() {
            Some(Event::Text(before)) => *before = format!("{before}{words}").into(),
            Some(_) | None => seen.push(Event::Text(words.into())),
        }
    }
    seen
}

/// Returns the ranges of text that may be wrapped: paragraphs, and the text of list items without paragraphs.
fn text_runs(text: &str) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let (mut open, mut kept): (Option<Range<usize>>, usize) = (None, 0);
    for (event, range) in markdown_parser(text).into_offset_iter() {
        let is_block = match &event {
            Event::Start(tag) => {
                !matches!(tag, Tag::Emphasis | Tag::Strong | Tag::Strikethrough | Tag::Link { .. })
            }
            Event::End(tag) => {
                !matches!(tag, TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Link)
            }
            Event::Html(_) | Event::Rule | Event::DisplayMath(_) => true,
            Event::Text(_)
            | Event::Code(_)
            | Event::InlineMath(_)
            | Event::InlineHtml(_)
            | Event::FootnoteReference(_)
            | Event::SoftBreak
            | Event::HardBreak
            | Event::TaskListMarker(_) => false,
        };
        if is_block {
            runs.extend(open.take());
        }
        // Only elements listed here may be wrapped. Line breaks inside other elements are kept.
        match &event {
            Event::Start(
                Tag::Paragraph
                | Tag::List(_)
                | Tag::Item
                | Tag::Emphasis
                | Tag::Strong
                | Tag::Strikethrough
                | Tag::Link { .. },
            )
            | Event::End(
                TagEnd::Paragraph
                | TagEnd::List(_)
                | TagEnd::Item
                | TagEnd::Emphasis
                | TagEnd::Strong
                | TagEnd::Strikethrough
                | TagEnd::Link,
            ) => {}
            Event::Start(_) => kept += 1,
            Event::End(_) => kept = kept.saturating_sub(1),
            Event::Text(_)
            | Event::Code(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::Html(_)
            | Event::InlineHtml(_)
            | Event::FootnoteReference(_)
            | Event::SoftBreak
            | Event::HardBreak
            | Event::Rule
            | Event::TaskListMarker(_) => {}
        }
        if !is_block && kept == 0 {
            let run = open.get_or_insert(range.clone());
            run.end = run.end.max(range.end);
        }
    }
    runs
}

/// Returns the text with this range wrapped; `None` if no change is needed or allowed.
fn rewrap_run(text: &str, run: Range<usize>) -> Option<String> {
    let (before, words, after) = (text.get(..run.start)?, text.get(run.clone())?, text.get(run.end..)?);
    let words = words.trim_end();
    let tail = text.get(run.start + words.len()..run.end)?;
    let begins = before.rsplit('\n').next()?.chars().count();
    let has_hard_end = words.lines().any(|line| line.ends_with("  ") || line.ends_with('\\'));
    // A variable of the type `data` must stay on a line of its own (`truing prompts check`).
    let is_place = |line: &str| line.trim().starts_with("{{") && line.trim().ends_with("}}");
    if has_hard_end || words.contains('<') || words.lines().any(is_place) {
        return None;
    }
    let parts = split_words(words);
    let width = |line: &str| line.chars().count();
    let lines: Vec<&str> = words.lines().map(str::trim).collect();
    let fits = lines.iter().zip(lines.iter().skip(1).map(Some).chain([None])).all(|(line, next)| {
        let here = begins + width(line);
        let more = next
            .map_or(MAX_LINE_WIDTH, |next| 1 + self::split_words(next).first().map_or(0, |part| width(part)));
        here <= MAX_LINE_WIDTH && (here >= MIN_LINE_WIDTH || here + more > MAX_LINE_WIDTH || next.is_none())
    });
    if fits {
        return None;
    }
    let (mut wrapped, mut column) = (String::new(), begins);
    for (at, part) in parts.iter().enumerate() {
        if at > 0 && column + 1 + width(part) > MAX_LINE_WIDTH {
            wrapped.push('\n');
            wrapped.push_str(&" ".repeat(begins));
            column = begins;
        } else if at > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(part);
        column += width(part);
    }
    Some(format!("{before}{wrapped}{tail}{after}"))
}

/// Splits the text into parts. A line break is allowed before each part. A word is joined to the previous
/// word if it would begin another Markdown element at the start of a line. Variables are not split.
fn split_words(words: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut is_open = false;
    for word in words.split_whitespace() {
        let begins_block = word.starts_with(['-', '+', '*', '#', '>', '=', '|', '~', ':'])
            || word.starts_with("```")
            || word.trim_start_matches(|letter: char| letter.is_ascii_digit()).starts_with(['.', ')']);
        match parts.last_mut() {
            Some(last) if is_open || begins_block => *last = format!("{last} {word}"),
            Some(_) | None => parts.push(word.to_owned()),
        }
        let last = parts.last().map_or("", String::as_str);
        is_open = last.rfind("{{").is_some_and(|open| last.rfind("}}").is_none_or(|close| close < open));
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn long_and_short_lines_are_wrapped_and_nothing_else_is() {
        let words = "word ".repeat(60);
        let text = format!(
            "+++\nname = \"{words}\"\n+++\n\n# {words}\n\n    {words}\n\n- {words}\n  short\n\n| {words} \
             |\n| --- |\n\n[a]: <b> \"{words}\"\n"
        );
        let wrapped = wrap_text(&text);
        assert!(wrapped.contains("\n- word") && wrapped.contains("\n  word"), "{wrapped}");
        let long = wrapped.lines().filter(|line| line.chars().count() > MAX_LINE_WIDTH).count();
        assert_eq!(long, 5, "front matter, heading, code, table and definition stay:\n{wrapped}");
        assert_eq!(super::wrap_text(&wrapped), wrapped);
        assert_eq!(super::wrap_text("{{ title }}\n{{ branch }}\n"), "{{ title }}\n{{ branch }}\n");
        let place = format!("{} {{{{ name }}}} {}", "x".repeat(114), "y ".repeat(30));
        assert!(super::wrap_text(&place).contains("\n{{ name }} y"), "{}", super::wrap_text(&place));
    }

    proptest! {
        #[test]
        fn a_parser_sees_the_same_before_and_after(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "word", "a longer run of words that goes on", " ", " ", "\n", "\n\n", "- ", "1. ", "> ",
                    "# ", "`code  x`", "**", "*", "_",
                    "[link](to there)", "[a]", "[a]: b\n", "{{ name }}", "$NAME", "| a | b |\n",
                    "| - | - |\n", "```\n", "    ", "  \n", "\\\n",
                    "<b>", "<!--", "-->", "---\n", "===\n", "~", "&amp;", "é", "\t", "+ ",
                ]),
                0..120,
            )
        ) {
            let text = parts.concat();
            let once = wrap_text(&text);
            let (_, body) = text.split_at(front_matter_length(&text));
            let (_, after) = once.split_at(front_matter_length(&once));
            prop_assert_eq!(parse_events(body), parse_events(after));
            let letters = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            prop_assert_eq!(letters(&text), letters(&once));
        }
    }
}

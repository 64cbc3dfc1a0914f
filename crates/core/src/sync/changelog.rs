//! Adds a line to a project's changelog, in the newest entry or in a new entry above it. Supported headings
//! are Markdown headings (lines with `#`) and reStructuredText headings (underlined lines).
//!
//! Existing entries other than the newest stay unchanged. In the heading of the newest entry, only the
//! version, the date and the underline may change. Lines that people have written are never changed.

use std::ops::Range;

use pulldown_cmark::{Event, Parser, Tag};

use super::release::VersionTriple;

/// A line to be added to a changelog.
#[derive(Clone, Copy)]
pub struct ChangelogLine<'a> {
    /// One line, without a list marker.
    pub line: &'a str,
    /// Returns true if Truing wrote this earlier line about the same kind of change, so that the new line
    /// replaces it. The argument is the line without its list marker.
    pub is_replaceable: &'a dyn Fn(&str) -> bool,
    /// Date as in `2026-11-21`.
    pub date: &'a str,
}

/// The newest entry of a changelog.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NewestEntry {
    /// The entry has the heading "unreleased" and no version.
    Unreleased,
    /// The entry of this version.
    Version(VersionTriple),
}

/// The entry to which a new line is added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChangelogPlacement {
    /// The newest entry. Its heading does not change.
    Newest,
    /// The newest entry. Its heading changes to this version.
    RenamedNewestEntry(VersionTriple),
    /// A new entry for this version, above the newest entry.
    NewEntry(VersionTriple),
}

/// The reason why a changelog is not changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ChangelogError {
    /// The changelog has no entry.
    #[error("the file has no heading with a version (MAJOR.MINOR.PATCH) or `Unreleased`")]
    NoEntry,
}

/// An entry: a heading and the text below the heading, up to the next heading of the same level.
struct ChangelogSection<'a> {
    /// Line of the heading, without its line end.
    heading: &'a str,
    /// Byte range of the heading's line.
    line_range: Range<usize>,
    /// Line below the heading, if that line is an underline.
    underline: Option<&'a str>,
    /// Version in the heading and its range within the line; `None` for an unreleased entry.
    version: Option<(VersionTriple, Range<usize>)>,
    /// Start of the entry's text, in bytes.
    body_start: usize,
    /// End of the entry's text, in bytes.
    body_end: usize,
}

/// Word in the heading of an unreleased entry, compared case-insensitively.
const UNRELEASED: &str = "unreleased";
/// Markers of list lines.
const LIST_MARKERS: [&str; 3] = ["* ", "- ", "+ "];

/// Parts of a Markdown text that are no entries: byte ranges.
struct QuotedParts {
    /// Code blocks, and blocks of HTML such as comments.
    blocks: Vec<Range<usize>>,
    /// Blocks of HTML, and definitions of links.
    invisible: Vec<Range<usize>>,
}

impl QuotedParts {
    fn find(text: &str) -> Self {
        let parser = Parser::new(text);
        let mut invisible: Vec<Range<usize>> =
            parser.reference_definitions().iter().map(|(_, definition)| definition.span.clone()).collect();
        let mut blocks = Vec::new();
        for (event, range) in parser.into_offset_iter() {
            let Event::Start(tag) = event else { continue };
            if tag == Tag::HtmlBlock {
                invisible.push(range.clone());
            }
            if matches!(tag, Tag::HtmlBlock | Tag::CodeBlock(_)) {
                blocks.push(range);
            }
        }
        Self { blocks, invisible }
    }

    fn is_in_block(&self, position: usize) -> bool {
        self.blocks.iter().any(|block| block.contains(&position))
    }

    fn is_invisible(&self, position: usize) -> bool {
        self.invisible.iter().any(|part| part.contains(&position))
    }
}

/// Returns the newest entry.
///
/// # Errors
/// [`ChangelogError`] if the text has no entry.
pub fn newest_entry(text: &str) -> Result<NewestEntry, ChangelogError> {
    let section = find_newest_section(text, &QuotedParts::find(text))?;
    Ok(section.version.map_or(NewestEntry::Unreleased, |(version, _)| NewestEntry::Version(version)))
}

/// Returns the changelog's text with the line added. If the newest entry already contains the line, no line
/// is added to it.
///
/// # Errors
/// [`ChangelogError`] if the text has no entry.
pub fn add_line(
    text: &str,
    new_line: ChangelogLine<'_>,
    placement: ChangelogPlacement,
) -> Result<String, ChangelogError> {
    let quoted = QuotedParts::find(text);
    let section = find_newest_section(text, &quoted)?;
    let eol = if text.get(section.line_range.end..).is_some_and(|rest| rest.starts_with("\r\n")) {
        "\r\n"
    } else {
        "\n"
    };
    let body = text.get(section.body_start..section.body_end).unwrap_or_default();
    let mark = body.lines().find_map(list_marker).unwrap_or("* ");
    let line = format!("{mark}{}", new_line.line);
    let (before, after) = (
        text.get(..section.line_range.start).unwrap_or_default(),
        text.get(section.body_end..).unwrap_or_default(),
    );
    if let ChangelogPlacement::NewEntry(version) = placement {
        let head = render_heading(&section, version, new_line.date, eol);
        let gap = if body.starts_with(eol) { eol } else { "" };
        let rest = text.get(section.line_range.start..).unwrap_or_default();
        return Ok([before, &head, gap, &line, eol, eol, rest].concat());
    }
    let is_present = body.lines().any(|one| one.trim_end() == line);
    let head = match (placement, &section.version) {
        (ChangelogPlacement::RenamedNewestEntry(version), Some((old, _)))
            if !is_present || *old != version =>
        {
            render_heading(&section, version, new_line.date, eol)
        }
        _ => text.get(section.line_range.start..section.body_start).unwrap_or_default().to_owned(),
    };
    let gap = if head.ends_with('\n') { "" } else { eol };
    let body = if is_present {
        body.to_owned()
    } else {
        let entry = EntryText { text: body, start: section.body_start, quoted: &quoted };
        let is_underlined = section.underline.is_some();
        let part = entry.part_for_dependencies(is_underlined);
        entry.with_line(&part, &line, new_line, eol, after.is_empty())
    };
    Ok([before, &head, gap, &body, after].concat())
}

/// The text below the heading of an entry.
struct EntryText<'a> {
    text: &'a str,
    /// Position of the text in the file, in bytes.
    start: usize,
    quoted: &'a QuotedParts,
}

impl<'a> EntryText<'a> {
    /// Returns the lines, each with its position in the file and its line end.
    fn lines(&self) -> Vec<(usize, &'a str)> {
        let mut start = self.start;
        let lines = self.text.split_inclusive('\n').map(|line| {
            let position = start;
            start += line.len();
            (position, line)
        });
        lines.collect()
    }

    /// Returns the lines (from, to) of the part of the entry in which a changed dependency belongs: the part
    /// below a sub-heading with the word "dependencies", else below "Changed" or "Changes", else the first
    /// part that contains a list. An entry without sub-headings is one part.
    fn part_for_dependencies(&self, is_underlined: bool) -> Range<usize> {
        let lines = self.lines();
        let heading_at = |(index, (position, line)): (usize, &(usize, &'a str))| {
            let heading = line.trim_end();
            let below = lines.get(index + 1).map_or("", |(_, below)| below.trim_end_matches(['\r', '\n']));
            let is_heading = match is_underlined {
                true => is_underline(below, heading),
                false => heading.starts_with('#') && !self.quoted.is_in_block(*position),
            };
            let start = index + if is_underlined { 2 } else { 1 };
            is_heading.then(|| (index, start, heading.trim_matches(['#', ' ', ':']).to_lowercase()))
        };
        let headings: Vec<(usize, usize, String)> = lines.iter().enumerate().filter_map(heading_at).collect();
        let ends = headings.iter().map(|(index, ..)| *index).chain([lines.len()]);
        let starts =
            [(0, "")].into_iter().chain(headings.iter().map(|(_, start, name)| (*start, name.as_str())));
        let parts: Vec<(&str, Range<usize>)> =
            starts.zip(ends).map(|((start, name), end)| (name, start..end.max(start))).collect();
        let has_list = |part: &Range<usize>| {
            lines
                .get(part.clone())
                .is_some_and(|lines| lines.iter().any(|(_, line)| list_marker(line).is_some()))
        };
        let find = |is_wanted: &dyn Fn(&str, &Range<usize>) -> bool| {
            parts.iter().find(|(name, part)| is_wanted(name, part)).map(|(_, part)| part.clone())
        };
        find(&|name, _| name.contains("dependenc"))
            .or_else(|| find(&|name, _| matches!(name, "changed" | "changes")))
            .or_else(|| find(&|_, part| has_list(part)))
            .unwrap_or(0..lines.len())
    }

    /// Returns the text with the new line. The new line replaces Truing's earlier line, or is inserted after
    /// the last line of the part that readers see.
    fn with_line(
        &self,
        part: &Range<usize>,
        line: &str,
        new_line: ChangelogLine<'_>,
        eol: &str,
        is_last: bool,
    ) -> String {
        let is_ours = |written: &str| {
            let written = written.trim_end();
            let item = list_marker(written).and_then(|mark| written.strip_prefix(mark));
            item.is_some_and(new_line.is_replaceable)
        };
        let positions = self.lines();
        let mut lines: Vec<&str> = positions.iter().map(|(_, line)| *line).collect();
        let full = format!("{line}{eol}");
        if let Some(old) = lines.iter_mut().find(|written| is_ours(written)) {
            *old = &full;
            return lines.concat();
        }
        let is_visible = |(position, written): &(usize, &str)| {
            let indent = written.len() - written.trim_start().len();
            !written.trim().is_empty() && !self.quoted.is_invisible(position + indent)
        };
        let visible = positions.get(part.clone()).and_then(|lines| lines.iter().rposition(is_visible));
        // In a part without text, the line is inserted after one empty line.
        let index = visible.map_or(part.end.min(part.start + 1), |visible| part.start + visible + 1);
        let unended = lines.get(index.wrapping_sub(1)).is_some_and(|last| !last.ends_with('\n'));
        let (before, after) = lines.split_at(index.min(lines.len()));
        let gap = if unended { eol } else { "" };
        // If the part had no text, an empty line separates the new list from the next heading.
        let end = if visible.is_none() && !(is_last && part.end == lines.len()) { eol } else { "" };
        [&before.concat(), gap, full.as_str(), end, &after.concat()].concat()
    }
}

/// Returns the heading's text after the version, without the version's link and the `[YANKED]` mark.
fn strip_version_links(heading_tail: &str) -> String {
    let linked = heading_tail.strip_prefix("](").and_then(|rest| rest.split_once(')'));
    let rest = linked.map_or_else(|| heading_tail.to_owned(), |(_, rest)| format!("]{rest}"));
    rest.replace(" [YANKED]", "")
}

/// Renders the heading of a section with another version and date, in the same format. The underline gets the
/// length of the new heading.
fn render_heading(section: &ChangelogSection<'_>, version: VersionTriple, date: &str, eol: &str) -> String {
    let ChangelogSection { heading: head, underline, version: old, .. } = section;
    let words = match old {
        Some((_, at)) => {
            let (before, after) =
                (head.get(..at.start).unwrap_or_default(), head.get(at.end..).unwrap_or_default());
            format!("{before}{version}{}", replace_date(&strip_version_links(after), date))
        }
        None => format!("{head} {version} ({date})"),
    };
    match underline.and_then(|line| line.chars().next()) {
        Some(letter) => {
            let line: String = std::iter::repeat_n(letter, words.trim_end().chars().count()).collect();
            format!("{words}{eol}{line}{eol}")
        }
        None => format!("{words}{eol}"),
    }
}

/// Replaces the first date in the text that follows the version in a heading.
fn replace_date(words: &str, date: &str) -> String {
    let is_date = |part: &str| {
        part.len() == 10
            && part
                .bytes()
                .enumerate()
                .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() })
    };
    let found =
        words.char_indices().map(|(at, _)| at).find(|at| words.get(*at..at + 10).is_some_and(is_date));
    match found {
        Some(at) => {
            let (before, after) =
                (words.get(..at).unwrap_or_default(), words.get(at + 10..).unwrap_or_default());
            format!("{before}{date}{after}")
        }
        None => words.to_owned(),
    }
}

/// Finds the newest entry: the first heading that contains a version or the word "unreleased".
fn find_newest_section<'a>(
    text: &'a str,
    quoted: &QuotedParts,
) -> Result<ChangelogSection<'a>, ChangelogError> {
    let mut found = sections(text).filter(|section| !quoted.is_in_block(section.line_range.start));
    let mut first = found.next().ok_or(ChangelogError::NoEntry)?;
    if let Some(next) = found.find(|next| next.heading_marker() == first.heading_marker()) {
        first.body_end = next.line_range.start;
    }
    Ok(first)
}

impl ChangelogSection<'_> {
    /// Returns the marker that headings of the same level share.
    fn heading_marker(&self) -> String {
        match self.underline.and_then(|line| line.chars().next()) {
            Some(letter) => letter.to_string(),
            None => self.heading.chars().take_while(|letter| *letter == '#').collect(),
        }
    }
}

/// Returns the sections that begin at a heading with a version or "unreleased". Their field `end` is not
/// final: it is the end of the whole text.
fn sections(text: &str) -> impl Iterator<Item = ChangelogSection<'_>> {
    let mut start = 0;
    let lines: Vec<(usize, &str)> = text
        .split_inclusive('\n')
        .map(|line| {
            let at = start;
            start += line.len();
            (at, line)
        })
        .collect();
    let count = lines.len();
    (0..count).filter_map(move |index| {
        let (at, line) = *lines.get(index)?;
        let head = line.trim_end_matches(['\r', '\n']);
        let below =
            lines.get(index + 1).map(|(at, line)| (*at, line.trim_end_matches(['\r', '\n']), line.len()));
        let underline = below.filter(|(_, below, _)| is_underline(below, head));
        if !head.starts_with('#') && underline.is_none() {
            return None;
        }
        let version = find_version(head);
        if version.is_none() && !head.to_lowercase().contains(UNRELEASED) {
            return None;
        }
        let body = underline.map_or(at + line.len(), |(at, _, length)| at + length);
        Some(ChangelogSection {
            heading: head,
            line_range: at..at + head.len(),
            underline: underline.map(|(_, below, _)| below),
            version,
            body_start: body,
            body_end: text.len(),
        })
    })
}

/// Returns true if `next_line` is an underline of `head`: one punctuation character, repeated until the line
/// is at least as long as `head`.
fn is_underline(next_line: &str, head: &str) -> bool {
    let Some(first) = next_line.chars().next().filter(char::is_ascii_punctuation) else { return false };
    let length = head.trim_end().chars().count();
    !head.starts_with([' ', '\t'])
        && length > 0
        && next_line.chars().count() >= length
        && next_line.chars().all(|letter| letter == first)
}

/// Finds the first version in a heading, with its byte range.
fn find_version(head: &str) -> Option<(VersionTriple, Range<usize>)> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || ".+-_".contains(letter);
    let mut rest = 0;
    head.split(|letter| !is_part(letter)).find_map(|word| {
        let at = rest;
        rest += word.len() + head.get(rest + word.len()..)?.chars().next().map_or(0, char::len_utf8);
        let bare = word.strip_prefix('v').unwrap_or(word);
        let version = VersionTriple::parse(bare)?;
        let start = at + word.len() - bare.len();
        Some((version, start..start + bare.len()))
    })
}

/// Returns the list marker that a line begins with.
fn list_marker(line: &str) -> Option<&'static str> {
    LIST_MARKERS.into_iter().find(|mark| line.starts_with(mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RST: &str = "Changes\n-------\n\n1.2.3 (2026-01-02)\n^^^^^^^^^^^^^^^^^^\n\n* relax demo to 1\n* \
         fix it\n\n1.2.2 (2025-12-31)\n^^^^^^^^^^^^^^^^^^\n* first\n";
    const MD: &str =
        "# Changelog\n\n## [v1.2.3] - 2026-01-02\n\n- relax demo to 1\n\n## [v1.2.2] - 2025-12-31\n- first\n";

    fn changelog_line<'a>(line: &'a str, date: &'a str) -> ChangelogLine<'a> {
        ChangelogLine { line, is_replaceable: &|one| one.starts_with("relax demo to"), date }
    }

    fn parse_version(text: &str) -> VersionTriple {
        VersionTriple::parse(text).unwrap()
    }

    #[test]
    fn a_new_entry_is_written_like_the_newest_and_its_underline_is_as_long_as_the_heading() {
        let new = ChangelogPlacement::NewEntry(parse_version("1.2.10"));
        let rst = add_line(RST, changelog_line("relax demo to 2", "2026-11-21"), new).unwrap();
        let entry = "1.2.10 (2026-11-21)\n^^^^^^^^^^^^^^^^^^^\n\n* relax demo to 2\n\n";
        assert_eq!(rst, RST.replace("1.2.3 (", &format!("{entry}1.2.3 (")));
        let md = add_line(MD, changelog_line("relax demo to 2", "2026-11-21"), new).unwrap();
        let entry = "## [v1.2.10] - 2026-11-21\n\n- relax demo to 2\n\n";
        assert_eq!(md, MD.replace("## [v1.2.3]", &format!("{entry}## [v1.2.3]")));
        assert_eq!(newest_entry(&md).unwrap(), NewestEntry::Version(parse_version("1.2.10")));
        // A new heading does not copy the link and the `[YANKED]` mark of the previous version.
        for (head, expected) in [
            ("## [1.2.3] - 2026-01-02 [YANKED]", "## [1.2.10] - 2026-11-21"),
            ("## [1.2.3](https://e.example/v1.2.2...v1.2.3) (2026-01-02)", "## [1.2.10] (2026-11-21)"),
        ] {
            let text = format!("# Changes\n\n{head}\n\n- it\n");
            let now = add_line(&text, changelog_line("relax demo to 2", "2026-11-21"), new).unwrap();
            assert!(now.starts_with(&format!("# Changes\n\n{expected}\n\n")), "{now}");
        }
        // Added lines have the same line ends as the file.
        let crlf = add_line(&RST.replace('\n', "\r\n"), changelog_line("relax demo to 2", "2026-11-21"), new)
            .unwrap();
        assert_eq!(crlf, rst.replace('\n', "\r\n"));
    }

    #[test]
    fn what_is_not_released_is_renamed_our_line_replaced_and_that_of_people_kept() {
        let renamed = ChangelogPlacement::RenamedNewestEntry(parse_version("1.3.0"));
        for (text, mark) in [(RST, "* "), (MD, "- ")] {
            let now = add_line(text, changelog_line("relax demo to 2", "2026-11-21"), renamed).unwrap();
            let head = text.replace("1.2.3", "1.3.0").replace("2026-01-02", "2026-11-21");
            assert_eq!(
                now,
                head.replace(&format!("{mark}relax demo to 1"), &format!("{mark}relax demo to 2"))
            );
            // Adding the same line a second time changes nothing, even with another date.
            assert_eq!(
                add_line(&now, changelog_line("relax demo to 2", "2027-01-01"), renamed).unwrap(),
                now
            );
        }
        let theirs = RST.replace("* relax demo to 1\n", "");
        let other =
            add_line(&theirs, changelog_line("bump demo", "2026-11-21"), ChangelogPlacement::Newest).unwrap();
        assert_eq!(other, theirs.replace("* fix it\n", "* fix it\n* bump demo\n"), "behind what is there");
        let open = "## [Unreleased]\n\n## 1.0.0\n- first\n";
        assert_eq!(newest_entry(open).unwrap(), NewestEntry::Unreleased);
        let now =
            add_line(open, changelog_line("bump demo", "2026-11-21"), ChangelogPlacement::Newest).unwrap();
        assert_eq!(now, "## [Unreleased]\n\n* bump demo\n\n## 1.0.0\n- first\n");
        let bare =
            add_line("## 1.0.0", changelog_line("bump demo", "d"), ChangelogPlacement::Newest).unwrap();
        assert_eq!(bare, "## 1.0.0\n* bump demo\n");
        let cut = add_line("## 1.0.0\n- first", changelog_line("bump demo", "d"), ChangelogPlacement::Newest)
            .unwrap();
        assert_eq!(cut, "## 1.0.0\n- first\n- bump demo\n");
    }

    #[test]
    fn adds_line_outside_comments_code_and_link_definitions() {
        let line = changelog_line("bump demo", "2026-11-21");
        for (text, expected) in [
            (
                "## [Unreleased]\n\n- first\n\n<!-- template\n\n## 0.0.0\n- line\n-->\n\n## 1.0.0\n- old\n",
                "## [Unreleased]\n\n- first\n- bump demo\n\n<!-- template",
            ),
            (
                "# Changes\n\n```\n## 9.9.9\n- example\n```\n\n## 1.0.0\n\n- first\n",
                "# Changes\n\n```\n## 9.9.9\n- example\n```\n\n## 1.0.0\n\n- first\n- bump demo\n",
            ),
            (
                "<!--\n## 9.9.9\n-->\n## Unreleased\n\n<!-- one line a change -->\n\n## 1.0.0\n- old\n",
                "<!--\n## 9.9.9\n-->\n## Unreleased\n\n* bump demo\n\n<!-- one line a change -->",
            ),
            (
                "## [1.0.0]\n\n- first\n\n[1.0.0]: https://host/1.0.0\n[other]: https://host/x\n",
                "## [1.0.0]\n\n- first\n- bump demo\n\n[1.0.0]: https://host/1.0.0\n",
            ),
            (
                "## 1.0.0\n\n- first\n\n  ```\n  code\n  ```\n\n[x]: https://host/x\n",
                "## 1.0.0\n\n- first\n\n  ```\n  code\n  ```\n- bump demo\n\n[x]: https://host/x\n",
            ),
        ] {
            let changed = add_line(text, line, ChangelogPlacement::Newest).unwrap();
            assert!(changed.starts_with(expected), "{changed}");
        }
    }

    #[test]
    fn adds_line_below_the_sub_heading_for_dependencies() {
        let line = changelog_line("bump demo", "2026-11-21");
        for (text, expected) in [
            (
                "## 1.0.0\n\n### Dependencies\n\n- old\n\n### Fixed\n\n- it\n",
                "## 1.0.0\n\n### Dependencies\n\n- old\n- bump demo\n\n### Fixed\n\n- it\n",
            ),
            (
                "## 1.0.0\n### Added\n- new\n### Changed\n\n### Fixed\n- it\n",
                "## 1.0.0\n### Added\n- new\n### Changed\n\n- bump demo\n\n### Fixed\n- it\n",
            ),
            (
                "## 1.0.0\n\n```\n# changed\n```\n\n### Added\n\n- new\n\n### Fixed\n\n- it\n",
                "## 1.0.0\n\n```\n# changed\n```\n\n### Added\n\n- new\n- bump demo\n\n### Fixed\n\n- it\n",
            ),
            (
                "1.0.0\n=====\n\nAdded\n-----\n* new\n\nChanged\n-------\n* old\n\nFixed\n-----\n* it\n",
                "1.0.0\n=====\n\nAdded\n-----\n* new\n\nChanged\n-------\n* old\n* bump demo\n\nFixed\n-----\n* it\n",
            ),
        ] {
            assert_eq!(add_line(text, line, ChangelogPlacement::Newest).unwrap(), expected);
        }
    }

    #[test]
    fn what_has_no_entry_stays_as_it_is() {
        for text in ["", "# Changelog\n", "Changes\n=======\n", "1.2.3\n", "see 1.2.3\n---\n"] {
            assert_eq!(newest_entry(text), Err(ChangelogError::NoEntry), "{text:?}");
        }
    }

    proptest! {
        /// Checks for any file that adding a line only inserts text, and that adding the line again changes
        /// nothing.
        #[test]
        fn what_is_added_can_be_taken_away_and_is_added_once(
            lines in prop::collection::vec(
                prop::sample::select(vec![
                    "1.2.3 (2026-01-02)", "^^^^^^^^^^^^^^^^^^^^", "## 1.2.2", "## Unreleased", "* a",
                    "- relax demo to 1", "\tb", "", "=====", "é 1.0.0",
                ]),
                0..12,
            ),
            crlf: bool,
            ends: bool,
        ) {
            let eol = if crlf { "\r\n" } else { "\n" };
            let text = lines.join(eol) + if ends { eol } else { "" };
            let Ok(_) = newest_entry(&text) else { return Ok(()) };
            let version = parse_version("9.9.9");
            let once = add_line(&text, changelog_line("relax demo to 2", "2026-11-21"),
                ChangelogPlacement::NewEntry(version)).unwrap();
            let (added, at) = (once.len() - text.len(),
                text.chars().zip(once.chars()).take_while(|(a, b)| a == b).map(|(a,
                    _)| a.len_utf8()).sum::<usize>());
            let without = (0..=at).rev().find_map(|at| Some([once.get(..at)?,
                once.get(at + added..)?].concat()).filter(|left| *left == text));
            prop_assert_eq!(without, Some(text.clone()));
            for entry in [ChangelogPlacement::Newest, ChangelogPlacement::RenamedNewestEntry(version)] {
                let once = add_line(&text, changelog_line("relax demo to 2", "2026-11-21"), entry).unwrap();
                prop_assert_eq!(&add_line(&once, changelog_line("relax demo to \
                    2", "2026-12-31"), entry).unwrap(),
                    &once);
            }
        }
    }
}

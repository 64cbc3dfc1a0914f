//! Tool `grep`: finds lines by a regular expression, with the engine of ripgrep.

use std::borrow::Cow;
use std::io::{self, Read};
use std::time::Instant;

use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::sinks::Bytes;
use grep_searcher::{Searcher, SearcherBuilder, Sink, SinkContext, SinkContextKind, SinkMatch};
use memchr::memmem;
use serde::Deserialize;
use truing_diff::RepoPath;

use super::index::FileIndex;
use super::list::{compile_pattern, format_count};
use super::page::{ReplyPage, reply_line, visible_text};
use super::{ToolCallError, read};
use crate::file::FileTree;

/// Largest number of matching lines in one response.
const MAX_MATCHES: usize = 200;
/// Largest number of characters that are shown of one line.
const MAX_LINE_CHARS: usize = 300;
/// Largest number of context lines before and after a match.
const MAX_CONTEXT_LINES: usize = 10;
/// Longest regular expression, in bytes.
const MAX_PATTERN_BYTES: usize = 1_000;
/// Memory limit in bytes, both for a compiled expression and for its cache during a search.
const MAX_REGEX_BYTES: usize = 1 << 20;
/// Greatest nesting depth of an expression.
const MAX_NESTING: u32 = 50;
/// Memory limit of the buffer in which a search collects lines, in bytes. A file is searched only up to the
/// first line that exceeds the buffer.
const MAX_HEAP_BYTES: usize = 1 << 20;
/// Number of bytes of a file that are searched between two checks of the clock.
const READ_CHUNK_BYTES: usize = 16 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrepInput {
    pattern: String,
    path: Option<String>,
    glob: Option<String>,
    #[serde(default)]
    ignore_case: bool,
    #[serde(default)]
    literal: bool,
    context: Option<usize>,
    skip: Option<usize>,
}

pub(super) fn grep_files(
    tree: &FileTree,
    index: &FileIndex,
    input: GrepInput,
    deadline: Instant,
) -> Result<String, ToolCallError> {
    let regex = build_matcher(&input)?;
    let only = input.glob.as_deref().map(compile_pattern).transpose()?;
    let context = input.context.unwrap_or(0);
    if context > MAX_CONTEXT_LINES {
        return Err(ToolCallError::OutOfRange { argument: "context", min: 0, max: MAX_CONTEXT_LINES });
    }
    let files = index.files_at(input.path.as_deref())?;
    let mut searcher = SearcherBuilder::new();
    searcher.line_number(true).before_context(context).after_context(context).bom_sniffing(false);
    let mut searcher = searcher.heap_limit(Some(MAX_HEAP_BYTES)).build();

    let mut found = GrepSink::new(input.skip);
    let mut gaps = UnsearchedFileCounts::default();
    for path in files.iter().filter(|path| only.as_ref().is_none_or(|only| only.matches(path))) {
        if Instant::now() >= deadline {
            gaps.timed_out += 1;
            continue;
        }
        let Ok(content) = read::read_text(tree, path) else {
            gaps.unreadable += 1;
            continue;
        };
        // The first search only tests for a match. It uses the unmasked text, because masking takes time and
        // most files contain no match. Only matches in the masked text are reported.
        let (text, mut matches) = (to_unix_lines(content.bytes()), false);
        let first = Bytes(|_, _| {
            matches = true;
            Ok(false)
        });
        if searcher.search_reader(&regex, TimeLimitedText { rest: &text, deadline }, first).is_ok()
            && !matches
        {
            continue;
        }
        found.begin_file(path);
        let content = read::mask_content(content);
        let text = to_unix_lines(content.bytes());
        match searcher.search_reader(&regex, TimeLimitedText { rest: &text, deadline }, &mut found) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => gaps.timed_out += 1,
            Err(_) => gaps.with_long_lines += 1,
        }
        if found.is_full {
            break;
        }
    }
    let pattern = visible_text(&input.pattern);
    let notes = format!("{}{}", gaps.describe(), index.truncation_note());
    match found.page.item_count() {
        0 => Ok(format!("No line matches `{pattern}`{notes}")),
        seen if found.is_full => found
            .page
            .finish(&format!("At least {} for `{pattern}`{notes}", format_count(seen, "match")), "matches"),
        seen => {
            found.page.finish(&format!("{} for `{pattern}`{notes}", format_count(seen, "match")), "matches")
        }
    }
}

fn build_matcher(input: &GrepInput) -> Result<RegexMatcher, ToolCallError> {
    let bytes = input.pattern.len();
    if bytes > MAX_PATTERN_BYTES {
        return Err(ToolCallError::LongPattern { bytes, max_bytes: MAX_PATTERN_BYTES });
    }
    let mut builder = RegexMatcherBuilder::new();
    builder.case_insensitive(input.ignore_case).fixed_strings(input.literal).line_terminator(Some(b'\n'));
    builder.size_limit(MAX_REGEX_BYTES).dfa_size_limit(MAX_REGEX_BYTES).nest_limit(MAX_NESTING);
    builder.multi_line(true);
    let hint = "It is a regular expression of ripgrep, matched against single lines, without look-around and \
                back-references; with \"literal\": true it is plain text";
    builder.build(&input.pattern).map_err(|error| {
        // The text before `error: ` repeats the pattern.
        let reason = error.to_string().rsplit("error: ").next().unwrap_or_default().to_owned();
        ToolCallError::InvalidPattern { reason, hint }
    })
}

/// Replaces CRLF by LF, because `$` matches only before LF. The number of lines and their texts stay the
/// same.
fn to_unix_lines(text: &[u8]) -> Cow<'_, [u8]> {
    if memmem::find(text, b"\r\n").is_none() {
        return text.into();
    }
    let mut unix = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\r\n") {
            Some(line) => unix.extend(line.iter().chain(b"\n")),
            None => unix.extend(line),
        }
    }
    unix.into()
}

/// Numbers of files that were not searched to their end, by reason.
#[derive(Default)]
struct UnsearchedFileCounts {
    /// Number of files that are binary, too large, or cannot be opened.
    unreadable: usize,
    /// Number of files with lines that are too long.
    with_long_lines: usize,
    /// Number of files that were not searched to their end in time.
    timed_out: usize,
}

impl UnsearchedFileCounts {
    fn describe(&self) -> String {
        let Self { unreadable, with_long_lines: long, timed_out } = *self;
        let mut text = String::new();
        if unreadable > 0 {
            text.push_str(&format!(
                "; files not searched because they are binary or too large: {unreadable}"
            ));
        }
        if long > 0 {
            text.push_str(&format!(
                "; files not searched to the end because some lines are too long: {long}"
            ));
        }
        if timed_out > 0 {
            text.push_str(&format!(
                "; files not searched to the end because the time limit was reached: {timed_out} (narrow \
                the search with `path` or `glob`)"
            ));
        }
        text
    }
}

/// Reader that returns a file's text in parts of at most `READ_CHUNK_BYTES`, and fails after the time limit.
struct TimeLimitedText<'text> {
    rest: &'text [u8],
    deadline: Instant,
}

impl Read for TimeLimitedText<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if Instant::now() >= self.deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let most = into.len().min(READ_CHUNK_BYTES);
        self.rest.read(into.get_mut(..most).unwrap_or_default())
    }
}

/// Collects matches, with their context lines, on a page.
struct GrepSink {
    page: ReplyPage,
    /// Heading of the file that is being searched; empty after it is shown.
    heading: String,
    /// Context lines before the next match. They are left out if the match is left out.
    context_before: String,
    /// True if the last match was shown. The context lines after a match are shown only if the match is
    /// shown.
    is_last_match_shown: bool,
    is_full: bool,
}

impl GrepSink {
    fn new(skip: Option<usize>) -> Self {
        let page = ReplyPage::new(skip, MAX_MATCHES);
        Self {
            page,
            heading: String::new(),
            context_before: String::new(),
            is_last_match_shown: false,
            is_full: false,
        }
    }

    fn begin_file(&mut self, path: &RepoPath) {
        self.heading = format!("{}\n", visible_text(&path.to_string()));
        self.context_before.clear();
        self.is_last_match_shown = false;
    }
}

impl Sink for GrepSink {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, sink_match: &SinkMatch<'_>) -> io::Result<bool> {
        self.is_last_match_shown = !self.page.is_next_skipped();
        let lines = || {
            format!(
                "{}{}{}",
                self.heading,
                self.context_before,
                render_line(sink_match.line_number(), ':', sink_match.bytes())
            )
        };
        self.is_full = !self.page.add_item(lines);
        self.context_before.clear();
        if self.is_last_match_shown {
            self.heading.clear();
        }
        Ok(!self.is_full)
    }

    fn context(&mut self, _: &Searcher, sink_context: &SinkContext<'_>) -> io::Result<bool> {
        let line = render_line(sink_context.line_number(), '-', sink_context.bytes());
        match sink_context.kind() {
            SinkContextKind::Before => self.context_before.push_str(&line),
            SinkContextKind::After | SinkContextKind::Other if self.is_last_match_shown => {
                self.page.add_to_item(&line);
            }
            SinkContextKind::After | SinkContextKind::Other => {}
        }
        Ok(true)
    }

    fn context_break(&mut self, _: &Searcher) -> io::Result<bool> {
        self.context_before.push_str("     --\n");
        Ok(true)
    }
}

fn render_line(number: Option<u64>, mark: char, bytes: &[u8]) -> String {
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    format!("{:>6}{mark} {}\n", number.unwrap_or_default(), reply_line(text, 1, MAX_LINE_CHARS))
}

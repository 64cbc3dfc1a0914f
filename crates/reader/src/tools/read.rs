//! Tool `read`: numbered lines of a file.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Deserialize;
use truing_core::outcome::SkipReason;
use truing_diff::RepoPath;

use super::ToolCallError;
use super::index::FileIndex;
use super::page::{ReplyPage, reply_line, visible_text};
use crate::content::{ContentKind, DecodedContent};
use crate::file::FileTree;
use crate::lines::LineIndex;
use crate::mask::mask_bytes;

/// Largest number of lines in one response.
const MAX_LINES: usize = 800;
/// Largest number of characters that are shown of one line.
pub(super) const MAX_LINE_CHARS: usize = 1_000;

/// Largest column that a line can have, because larger files are not read.
const MAX_COLUMN: usize = 5 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadInput {
    path: String,
    start_line: Option<u32>,
    end_line: Option<u32>,
    column: Option<usize>,
}

pub(super) fn read_file(
    tree: &FileTree,
    index: &FileIndex,
    input: ReadInput,
) -> Result<String, ToolCallError> {
    let path = index.find_file(&input.path)?;
    let content = mask_content(read_text(tree, &path)?);
    let lines = LineIndex::new(content.bytes());
    let (count, first) = (lines.line_count(), input.start_line.unwrap_or(1));
    if count == 0 {
        return Ok(format!("{} is empty", visible_text(&path.to_string())));
    }
    if first == 0 || first > count {
        return Err(ToolCallError::NoSuchLine { path, lines: count });
    }
    let last = input.end_line.unwrap_or(count).min(count);
    if last < first {
        return Err(ToolCallError::EndBeforeStart);
    }
    let column = input.column.unwrap_or(1);
    if !(1..=MAX_COLUMN).contains(&column) {
        return Err(ToolCallError::OutOfRange { argument: "column", min: 1, max: MAX_COLUMN });
    }

    let mut page = ReplyPage::new(None, MAX_LINES);
    let mut reached = first;
    let mut is_cut = false;
    for number in first..=last {
        let bytes = lines.bytes(lines.line_range(number));
        let text = || render_numbered_line(number, &reply_line(bytes, column, MAX_LINE_CHARS));
        if !page.add_item(text) {
            break;
        }
        // The number of bytes is checked first because counting characters is slow. A line cannot have more
        // characters than bytes.
        is_cut |= bytes.len() >= MAX_LINE_CHARS + column
            && String::from_utf8_lossy(bytes).chars().nth(MAX_LINE_CHARS + column - 1).is_some();
        reached = number;
    }
    let name = visible_text(&path.to_string());
    let mut answer = page.into_text(&format!("{name}, lines {first} to {reached} of {count}"));
    if reached < last {
        let next = reached + 1;
        let _ = writeln!(
            answer,
            "[lines {next} to {last} are not shown: call again with \"start_line\": {next}]"
        );
    }
    if is_cut {
        let next = column + MAX_LINE_CHARS;
        let _ = writeln!(
            answer,
            "[some lines were cut: to show the rest of them, call again with \"column\": {next}]"
        );
    }
    Ok(answer)
}

/// Returns the content of a text file. Secrets in the content are not masked.
pub(super) fn read_text(tree: &FileTree, path: &RepoPath) -> Result<DecodedContent, ToolCallError> {
    let why = |why| ToolCallError::NotReadable { path: path.clone(), reason: why };
    let content = tree.read(path).map_err(|reason| match reason {
        SkipReason::Binary => why("it is binary"),
        SkipReason::TooLarge => why("it is larger than 5 MiB"),
        SkipReason::Symlink => why("it is a link"),
        SkipReason::BecameBinary
        | SkipReason::BinarySource
        | SkipReason::Deleted
        | SkipReason::Submodule
        | SkipReason::Lfs
        | SkipReason::Unchanged
        | SkipReason::Ignored
        | SkipReason::MoreFindings
        | SkipReason::TooComplex
        | SkipReason::OutOfTime
        | SkipReason::Unreadable
        | SkipReason::NotShown
        | SkipReason::Unmerged
        | SkipReason::DoesNotApply => why("it cannot be opened"),
    })?;
    match content.kind() {
        ContentKind::Text | ContentKind::Utf16 => Ok(content),
        ContentKind::Binary => Err(why("it is binary")),
    }
}

/// Masks the secrets in a file's content.
pub(super) fn mask_content(content: DecodedContent) -> DecodedContent {
    match mask_bytes(content.bytes()) {
        Cow::Borrowed(_) => content,
        Cow::Owned(bytes) => DecodedContent::from_bytes(bytes),
    }
}

/// Returns a line with its number.
pub(super) fn render_numbered_line(number: u32, text: &str) -> String {
    format!("{number:>6}\t{text}\n")
}

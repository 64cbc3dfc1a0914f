//! Tool `diff`: shows the change under review, with the line numbers that findings use.

use serde::Deserialize;
use serde_json::Value;
use truing_diff::{FileDiff, FileStatus, Hunk, HunkLine, LineKind, parse_files};

use super::index::FileIndex;
use super::list::format_count;
use super::page::{ReplyPage, reply_line, visible_text};
use super::{ToolCallError, ToolReply, parse_input};
use crate::mask::{mask_bytes, mask_lines};

/// Name that the model uses.
pub const DIFF_TOOL_NAME: &str = "diff";

/// Largest number of lines in one response.
const MAX_LINES: usize = 800;
/// Largest number of characters that are shown of one line.
const MAX_LINE_CHARS: usize = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DiffToolInput {
    path: Option<String>,
    skip: Option<usize>,
}

/// Responds to a call of `diff`. `diff_bytes` is the unified diff, as git printed it.
pub fn answer_diff_call(diff_bytes: &[u8], input: &Value) -> ToolReply {
    parse_input(DIFF_TOOL_NAME, input).and_then(|input| render_diff(diff_bytes, input)).into()
}

fn render_diff(diff_bytes: &[u8], input: DiffToolInput) -> Result<String, ToolCallError> {
    let wanted = input.path.as_deref().map(|path| FileIndex::parse_path(Some(path))).transpose()?;
    let wanted = wanted.filter(|path| !path.as_bytes().is_empty());
    let is_wanted =
        |file: &FileDiff<'_>| wanted.as_ref().is_none_or(|path| matches_path(file, path.as_bytes()));
    let chosen: Vec<_> = parse_files(diff_bytes).filter_map(Result::ok).filter(is_wanted).collect();
    if chosen.is_empty() {
        return match wanted {
            Some(path) => Err(ToolCallError::NotInChange(path)),
            None => Ok("The change is empty".to_owned()),
        };
    }
    render_files(&chosen, input.skip)
}

/// Renders the diff of one file as the first page of the tool's response for the file.
pub fn render_file_diff(file: &FileDiff<'_>) -> String {
    ToolReply::from(render_files(std::slice::from_ref(file), None)).text
}

fn render_files(files: &[FileDiff<'_>], skip: Option<usize>) -> Result<String, ToolCallError> {
    let mut added = 0_u64;
    let mut deleted = 0_u64;
    for file in files {
        added += u64::from(file.added_lines);
        deleted += u64::from(file.deleted_lines);
    }
    let heading = format!("The change touches {}: +{added} -{deleted}", format_count(files.len(), "file"));
    let mut page = ReplyPage::new(skip, MAX_LINES);
    if files.len() > 1 {
        // The list of files comes first, because the whole diff may not fit in one response.
        for file in files {
            page.add_item(|| format!("  {}\n", file_heading(file)));
        }
    }
    for file in files {
        page.add_item(|| format!("\n{}\n", file_heading(file)));
        let mut texts = masked_lines(file).into_iter();
        for hunk in &file.hunks {
            page.add_item(|| hunk_heading(hunk));
            for shown in hunk.lines() {
                let text = texts.next().unwrap_or_default();
                page.add_item(|| render_numbered_line(&shown, &text));
            }
        }
    }
    page.finish(&heading, "lines")
}

/// Returns true if the old or the new path of a file is this path or is in this folder.
fn matches_path(file: &FileDiff<'_>, wanted_path: &[u8]) -> bool {
    let at = |path: &[u8]| {
        path.strip_prefix(wanted_path).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    at(file.path.as_bytes()) || file.old_path.as_ref().is_some_and(|old| at(old.as_bytes()))
}

fn file_heading(file: &FileDiff<'_>) -> String {
    let path = visible_text(&file.path.to_string());
    let what = match file.status {
        FileStatus::Added => "added",
        FileStatus::Deleted => "deleted",
        FileStatus::Modified => "modified",
        FileStatus::Renamed => "renamed",
        FileStatus::Copied => "copied",
        FileStatus::ModeChanged => "mode changed",
        FileStatus::BinaryModified => "modified, binary",
    };
    let from = file.old_path.as_ref().map(|old| format!(" from {}", visible_text(&old.to_string())));
    let binary = if file.is_binary && file.status != FileStatus::BinaryModified { ", binary" } else { "" };
    let (from, added, deleted) = (from.unwrap_or_default(), file.added_lines, file.deleted_lines);
    format!("{path} ({what}{from}{binary}, +{added} -{deleted})")
}

fn hunk_heading(hunk: &Hunk<'_>) -> String {
    let Hunk { old_start, old_lines, new_start, new_lines, heading: section, .. } = hunk;
    let section = reply_line(&mask_bytes(section), 1, MAX_LINE_CHARS);
    let text = format!("@@ -{old_start},{old_lines} +{new_start},{new_lines} @@ {section}");
    format!("{}\n", text.trim_end())
}

/// Returns the texts of the lines in all hunks of a file, with secrets masked. Secrets are searched for in
/// all old lines together, and in all new lines together.
fn masked_lines(file: &FileDiff<'_>) -> Vec<String> {
    let lines: Vec<HunkLine<'_>> = file.hunks.iter().flat_map(Hunk::lines).collect();
    let text = |line: &HunkLine<'_>| {
        String::from_utf8_lossy(line.text.strip_suffix(b"\r").unwrap_or(line.text)).into_owned()
    };
    let raw: Vec<String> = lines.iter().map(text).collect();
    let mut shown = raw.clone();
    for left_out in [LineKind::Added, LineKind::Deleted] {
        let is_of = |(line, _): &(&HunkLine<'_>, &mut String)| line.kind != left_out;
        let side: Vec<&str> = lines
            .iter()
            .zip(&raw)
            .filter(|(line, _)| line.kind != left_out)
            .map(|(_, text)| text.as_str())
            .collect();
        let of_side = lines.iter().zip(&mut shown).filter(is_of).map(|(_, text)| text);
        mask_lines(of_side, &side);
    }
    shown
}

/// Formats a line as its old number, new number, mark (`+`, `-` or space) and text.
fn render_numbered_line(line: &HunkLine<'_>, text: &str) -> String {
    let number = |number: Option<u32>| number.map_or_else(String::new, |number| number.to_string());
    let mark = match line.kind {
        LineKind::Context => ' ',
        LineKind::Added => '+',
        LineKind::Deleted => '-',
    };
    let text = reply_line(text.as_bytes(), 1, MAX_LINE_CHARS);
    format!("{:>6} {:>6} {mark}{text}\n", number(line.old_line), number(line.new_line))
}

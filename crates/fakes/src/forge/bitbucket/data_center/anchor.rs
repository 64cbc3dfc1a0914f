//! Parses and creates the anchors of comments. An anchor consists of the file, the line and its kind, and the
//! two commits of the diff.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::errors::{invalid_field, no_commit};
use super::{MULTILINE_COMMENTS_MIN_VERSION, is_version_at_least};
use crate::forge::diff::{FakeDiffSide, FakeFileDiff, HunkLineKind};
use crate::forge::http::call::ApiResponse;
use crate::forge::operations::comments::CommentCommits;
use crate::forge::state::StoredRepository;
use crate::forge::state::pulls::{InlinePlace, StoredInlineComment};
use crate::repo::FakeGitError;

/// Returns Data Center's name for a kind of line.
pub(super) fn line_type(kind: HunkLineKind) -> &'static str {
    match kind {
        HunkLineKind::Added => "ADDED",
        HunkLineKind::Removed => "REMOVED",
        HunkLineKind::Context => "CONTEXT",
    }
}

/// Returns the commits, the file, the lines and the hunk to which an anchor refers. Silently ignores fields
/// that the server's version does not support.
///
/// The check is stricter than a real server's check: it rejects unchanged lines that the diff does not show,
/// and a renamed file without its old path.
pub(super) fn parse_anchor(
    repo: &mut StoredRepository,
    pull_number: u64,
    version: &str,
    anchor: &Value,
) -> Result<(CommentCommits, InlinePlace, String), ApiResponse> {
    let path = anchor["path"].as_str().ok_or_else(|| invalid_field("anchor.path", "a path is expected"))?;
    let text = |field: &str| anchor[field].as_str();
    let has_hashes = text("fromHash").or(text("toHash")).is_some();
    match text("diffType") {
        None if has_hashes => return Err(invalid_field("anchor.diffType", "it is needed with hashes")),
        None | Some("EFFECTIVE" | "RANGE" | "COMMIT") => {}
        Some(_) => return Err(invalid_field("anchor.diffType", "it is not a known one")),
    }
    for sha in [text("fromHash"), text("toHash")].into_iter().flatten() {
        if !repo.git.contains(sha) {
            return Err(no_commit(sha));
        }
    }
    let commits =
        CommentCommits::from_pull(repo, pull_number, text("toHash")).map_err(|_| no_commit("toHash"))?;
    let base = repo.pulls.get(&pull_number).map(|pull| pull.base.clone()).unwrap_or_default();
    let diff = repo.diffs.pull_diff(&repo.git, &base, commits.commit())?;
    let former = diff.file_sections(path).map(FakeFileDiff::old_path).find(|former| *former != path);
    if former != text("srcPath") {
        return Err(invalid_field("anchor.srcPath", "it is not the file's former path"));
    }
    let number_of = |value: &Value| value.as_u64().and_then(|line| u32::try_from(line).ok());
    let Some(line) = number_of(&anchor["line"]) else {
        let place = InlinePlace { path: path.to_owned(), line: None, start: None };
        let hunk = commits
            .find_commented_hunk(repo, pull_number, &place)
            .map_err(|words| invalid_field("anchor.path", &words))?;
        return Ok((commits, place, hunk));
    };
    let side = match (text("lineType"), text("fileType")) {
        (Some("ADDED"), Some("TO") | None) => FakeDiffSide::Right,
        (Some("REMOVED"), Some("FROM") | None) => FakeDiffSide::Left,
        (Some("CONTEXT"), Some("FROM")) => FakeDiffSide::Left,
        (Some("CONTEXT"), Some("TO") | None) => FakeDiffSide::Right,
        (_, _) => return Err(invalid_field("anchor.lineType", "line type and file type do not go together")),
    };
    let marker = &anchor["multilineMarker"];
    let span = &anchor["multilineSpan"];
    let has_span = number_of(&span["dstSpanStart"]).or(number_of(&span["srcSpanStart"])).is_some();
    let start = number_of(&marker["startLine"])
        .filter(|_| is_version_at_least(version, MULTILINE_COMMENTS_MIN_VERSION) && has_span)
        .map(|first| {
            let side = if marker["startLineType"] == "REMOVED" { FakeDiffSide::Left } else { side };
            (side, first)
        })
        .filter(|start| *start != (side, line));
    let place = InlinePlace { path: path.to_owned(), line: Some((side, line)), start };
    let hunk = commits
        .find_commented_hunk(repo, pull_number, &place)
        .map_err(|words| invalid_field("anchor.line", &words))?;
    let kind = diff.line_kind(path, side, line);
    if kind.map(line_type) != text("lineType") {
        return Err(invalid_field("anchor.lineType", "the line is of another type"));
    }
    Ok((commits, place, hunk))
}

/// Returns the current anchors of all comments on a pull request's code.
pub(super) fn current_anchors(
    repo: &mut StoredRepository,
    number: u64,
) -> Result<HashMap<u64, Value>, FakeGitError> {
    let lines = repo.current_lines(number)?;
    let Some(pull) = repo.pulls.get(&number) else { return Ok(HashMap::new()) };
    let (base, head) = (pull.base.clone(), pull.head.clone());
    let base_now = repo.git.merge_base(&base, &head).unwrap_or_else(|| base.clone());
    let mut anchors = HashMap::new();
    for comment in &pull.inline_comments {
        let now = lines.get(&comment.comment.id).copied().flatten();
        // A comment on a whole file has no line, so it cannot be orphaned.
        let orphaned = now.is_none() && comment.place.line.is_some();
        let (from, to) = if orphaned { (&comment.merge_base, &comment.commit) } else { (&base_now, &head) };
        let mut anchor = json!({
            "path": comment.place.path, "diffType": "EFFECTIVE", "fromHash": from, "toHash": to,
            "orphaned": orphaned,
        });
        if let Some((side, line)) = comment.place.line {
            let (line, first) = now.unwrap_or((line, comment.place.start.map(|(_, first)| first)));
            let diff = repo.diffs.pull_diff(&repo.git, &base, to)?;
            let kind = |side, line| {
                line_type(diff.line_kind(&comment.place.path, side, line).unwrap_or(HunkLineKind::Context))
            };
            anchor["line"] = line.into();
            anchor["lineType"] = kind(side, line).into();
            anchor["fileType"] = if side == FakeDiffSide::Left { "FROM" } else { "TO" }.into();
            if let Some(first) = first {
                set_multiline_span(&mut anchor, comment, side, line, first, &kind);
            }
        }
        anchors.insert(comment.comment.id, anchor);
    }
    Ok(anchors)
}

fn set_multiline_span(
    anchor: &mut Value,
    comment: &StoredInlineComment,
    side: FakeDiffSide,
    line: u32,
    first_line: u32,
    kind: &impl Fn(FakeDiffSide, u32) -> &'static str,
) {
    let start = comment.place.start.map_or(side, |(side, _)| side);
    anchor["multilineMarker"] = json!({"startLine": first_line, "startLineType": kind(start, first_line)});
    anchor["multilineSpan"] = match side {
        FakeDiffSide::Left => json!({"srcSpanStart": first_line, "srcSpanEnd": line}),
        FakeDiffSide::Right => json!({"dstSpanStart": first_line, "dstSpanEnd": line}),
    };
}

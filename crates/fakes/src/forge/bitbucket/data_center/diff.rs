//! Handles calls about the diff of a pull request. Each line of a diff contains the line's kind, and its
//! number before and after the change.

use serde_json::{Value, json};

use super::admission::find_pull;
use super::anchor::line_type;
use super::errors::{error_response, no_pull};
use super::json as forms;
use crate::forge::diff::{FakeDiff, FakeFileDiff, FakeHunk, HunkLineKind};
use crate::forge::http::call::{ApiCall, ApiResponse, CallResult};
use crate::forge::state::FakeForgeState;

/// Handles `GET …/diff`: returns the diff of all files between the merge base and the head.
pub(super) fn get_full_diff(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    diff_response(state, call, |diff| Ok(diff.files().map(|file| section_json(file, file.path())).collect()))
}

/// Handles `GET …/diff/{path}`: returns the diff of one file. Returns 404 for a file that the pull request
/// does not change. For a renamed file, the request must contain both paths.
pub(super) fn get_file_diff(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let path = call.path_param("path");
    let source = call.query_param("srcPath").unwrap_or(path);
    diff_response(state, call, |diff| {
        let mut sections = diff.file_sections(path).peekable();
        match sections.peek() {
            None => Err(format!("The path \"{path}\" does not exist")),
            Some(file) if file.old_path() != source => {
                Err(format!("the diff of {path} was asked for without its former path {}", file.old_path()))
            }
            Some(_) => Ok(sections.map(|file| section_json(file, path)).collect()),
        }
    })
}

fn diff_response(
    state: &mut FakeForgeState,
    call: &ApiCall,
    sections: impl FnOnce(&FakeDiff) -> Result<Vec<Value>, String>,
) -> CallResult {
    let (_, repo, number) = find_pull(state, call)?;
    let of = repo.pulls.get(&number).ok_or_else(no_pull)?;
    let (base, head) = (of.base.clone(), of.head.clone());
    let diff = repo.diffs.pull_diff(&repo.git, &base, &head)?;
    let diffs =
        sections(&diff).map_err(|words| error_response(404, &words, "content.NoSuchPathException"))?;
    let from = repo.git.merge_base(&base, &head).unwrap_or(base);
    let body = json!({
        "fromHash": from, "toHash": head, "contextLines": 3, "whitespace": "SHOW", "truncated": false,
        "diffs": diffs,
    });
    Ok(ApiResponse::json(200, body))
}

fn section_json(file: &FakeFileDiff, path: &str) -> Value {
    json!({
        "source": forms::path_parts(file.old_path()), "destination": forms::path_parts(path),
        "truncated": false,
        "hunks": file.hunks().iter().map(hunk_json).collect::<Vec<_>>(),
    })
}

fn hunk_json(hunk: &FakeHunk) -> Value {
    let ((source, source_span), (destination, destination_span)) = hunk.ranges();
    let mut segments: Vec<(HunkLineKind, Vec<Value>)> = Vec::new();
    for (kind, (old, new), text) in hunk.numbered_lines() {
        let line = json!({"source": old, "destination": new, "line": text, "truncated": false});
        match segments.last_mut().filter(|(last, _)| *last == kind) {
            Some((_, lines)) => lines.push(line),
            None => segments.push((kind, vec![line])),
        }
    }
    let shown = segments
        .into_iter()
        .map(|(kind, lines)| json!({"type": line_type(kind), "lines": lines, "truncated": false}));
    json!({
        "sourceLine": source, "sourceSpan": source_span, "destinationLine": destination,
        "destinationSpan": destination_span, "truncated": false, "segments": shown.collect::<Vec<_>>(),
    })
}

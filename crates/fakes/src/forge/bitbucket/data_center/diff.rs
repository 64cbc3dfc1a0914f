//! The diff of one file of a pull request: its lines with the kind and both numbers of each.

use serde_json::{Value, json};

use super::admission::pull;
use super::anchor::word;
use super::errors::{no_pull, refused};
use super::json as forms;
use crate::forge::diff::{FakeDiff, FakeFileDiff, FakeHunk, HunkLineKind};
use crate::forge::http::call::{ApiCall, ApiReply, CallResult};
use crate::forge::state::FakeForgeState;

/// Handles `GET …/diff`: all files, between the merge base and the head.
pub(super) fn whole(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    shown(state, call, |diff| Ok(diff.files().map(|file| section(file, file.path())).collect()))
}

/// Handles `GET …/diff/{path}`: one file. A file that the pull request does not change has no diffs. A
/// renamed file is found only by both its paths.
pub(super) fn one(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let path = call.param("path");
    let source = call.asked("srcPath").unwrap_or(path);
    shown(state, call, |diff| {
        let mut sections = diff.sections(path).peekable();
        match sections.peek() {
            None => Err(format!("The path \"{path}\" does not exist")),
            Some(file) if file.old_path() != source => {
                Err(format!("the diff of {path} was asked for without its former path {}", file.old_path()))
            }
            Some(_) => Ok(sections.map(|file| section(file, path)).collect()),
        }
    })
}

fn shown(
    state: &mut FakeForgeState,
    call: &ApiCall,
    sections: impl FnOnce(&FakeDiff) -> Result<Vec<Value>, String>,
) -> CallResult {
    let (_, repo, number) = pull(state, call)?;
    let of = repo.pulls.get(&number).ok_or_else(no_pull)?;
    let (base, head) = (of.base.clone(), of.head.clone());
    let diff = repo.diffs.of_pull(&repo.git, &base, &head)?;
    let diffs = sections(&diff).map_err(|words| refused(404, &words, "content.NoSuchPathException"))?;
    let from = repo.git.merge_base(&base, &head).unwrap_or(base);
    let body = json!({
        "fromHash": from, "toHash": head, "contextLines": 3, "whitespace": "SHOW", "truncated": false, "diffs": diffs,
    });
    Ok(ApiReply::json(200, body))
}

fn section(file: &FakeFileDiff, path: &str) -> Value {
    json!({
        "source": forms::path(file.old_path()), "destination": forms::path(path), "truncated": false,
        "hunks": file.hunks().iter().map(hunk).collect::<Vec<_>>(),
    })
}

fn hunk(hunk: &FakeHunk) -> Value {
    let ((source, source_span), (destination, destination_span)) = hunk.ranges();
    let mut segments: Vec<(HunkLineKind, Vec<Value>)> = Vec::new();
    for (kind, (old, new), text) in hunk.rows() {
        let line = json!({"source": old, "destination": new, "line": text, "truncated": false});
        match segments.last_mut().filter(|(last, _)| *last == kind) {
            Some((_, lines)) => lines.push(line),
            None => segments.push((kind, vec![line])),
        }
    }
    let shown = segments
        .into_iter()
        .map(|(kind, lines)| json!({"type": word(kind), "lines": lines, "truncated": false}));
    json!({
        "sourceLine": source, "sourceSpan": source_span, "destinationLine": destination,
        "destinationSpan": destination_span, "truncated": false, "segments": shown.collect::<Vec<_>>(),
    })
}

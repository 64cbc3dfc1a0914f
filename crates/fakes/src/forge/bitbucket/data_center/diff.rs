//! The diff of one file of a pull request: its lines with the kind and both numbers of each.

use serde_json::{Value, json};

use super::admission::pull;
use super::anchor::word;
use super::errors::{no_pull, refused};
use super::json as forms;
use crate::forge::diff::{FileDiff, Hunk, LineKind};
use crate::forge::http::call::{Answer, Call, Reply};
use crate::forge::state::State;

/// `GET …/diff/{path}`: between the merge base and the head. A file that the pull request leaves alone has no diffs. One that
/// was renamed is shown as renamed, also where the call does not send `srcPath`; a real server then shows a new file.
pub(super) fn one(state: &mut State, call: &Call) -> Answer {
    let (_, repo, number) = pull(state, call)?;
    let of = repo.pulls.get(&number).ok_or_else(no_pull)?;
    let (base, head) = (of.base.clone(), of.head.clone());
    let path = call.param("path");
    let diff = repo.diffs.of_pull(&repo.git, &base, &head)?;
    if !diff.has(path) {
        let words = format!("The path \"{path}\" does not exist at revision \"{head}\"");
        return Err(refused(404, &words, "content.NoSuchPathException"));
    }
    let diffs: Vec<Value> = diff.sections(path).map(|file| section(file, path)).collect();
    let from = repo.git.merge_base(&base, &head).unwrap_or(base);
    let body = json!({
        "fromHash": from, "toHash": head, "contextLines": 3, "whitespace": "SHOW", "truncated": false, "diffs": diffs,
    });
    Ok(Reply::json(200, body))
}

fn section(file: &FileDiff, path: &str) -> Value {
    json!({
        "source": forms::path(file.old_path()), "destination": forms::path(path), "truncated": false,
        "hunks": file.hunks().iter().map(hunk).collect::<Vec<_>>(),
    })
}

fn hunk(hunk: &Hunk) -> Value {
    let ((source, source_span), (destination, destination_span)) = hunk.ranges();
    let mut segments: Vec<(LineKind, Vec<Value>)> = Vec::new();
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

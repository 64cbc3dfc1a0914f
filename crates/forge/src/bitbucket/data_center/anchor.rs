//! Determines the position of a comment for a Data Center. The server requires the type of each line (added,
//! removed or context). Truing's locations do not contain the type, so it is read from the server's own diff
//! of the file.

use std::sync::{Arc, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};
use truing_core::finding::{CodeLocation, DiffSide};
use truing_core::id::Sha;
use truing_core::port::ForgeError;

use super::super::address::{rejected_error, with_query};
use super::super::calls::{BitbucketApi as _, DiffPlace};
use super::wire::path_text;
use super::{BitbucketDataCenter, wire};
use crate::capability::CommentableLines;

/// The server's diff of a pull request, or of one of its files.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PullDiff {
    from_hash: Option<String>,
    to_hash: Option<String>,
    truncated: bool,
    diffs: Vec<DataCenterFileDiff>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct DataCenterFileDiff {
    truncated: bool,
    source: Option<Value>,
    destination: Option<Value>,
    hunks: Vec<DataCenterHunk>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct DataCenterHunk {
    truncated: bool,
    segments: Vec<HunkSegment>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct HunkSegment {
    #[serde(rename = "type")]
    kind: String,
    truncated: bool,
    lines: Vec<SegmentLine>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct SegmentLine {
    source: u32,
    destination: u32,
}

impl DataCenterFileDiff {
    /// Returns true if this is the diff of the file with this path. The path is the old path for a deleted
    /// file, and the new path for any other file. A diff without paths belongs to the file that was
    /// requested.
    fn is_for_path(&self, path: &str) -> bool {
        self.destination.as_ref().or(self.source.as_ref()).map(path_text).is_none_or(|there| there == path)
    }

    fn is_truncated(&self) -> bool {
        let is_cut =
            |hunk: &DataCenterHunk| hunk.truncated || hunk.segments.iter().any(|segment| segment.truncated);
        self.truncated || self.hunks.iter().any(is_cut)
    }
}

impl PullDiff {
    /// Returns the diffs of a file: two diffs if the file was replaced by a link, otherwise at most one.
    fn file_diffs(&self, path: &str) -> impl Iterator<Item = &DataCenterFileDiff> {
        self.diffs.iter().filter(move |file| file.is_for_path(path))
    }

    /// Returns true if the diff may lack lines of the file because it is truncated.
    fn is_truncated(&self, path: &str) -> bool {
        let mut files = self.file_diffs(path).peekable();
        match files.peek() {
            None => self.truncated,
            Some(_) => files.any(DataCenterFileDiff::is_truncated),
        }
    }

    /// Returns the type of a line. A line that a truncated diff lacks counts as added on the new side, and as
    /// removed on the old side.
    fn line_type(
        &self,
        purpose: &str,
        path: &str,
        side: DiffSide,
        line_number: u32,
    ) -> Result<&'static str, ForgeError> {
        let hunks = self.file_diffs(path).flat_map(|file| &file.hunks);
        for segment in hunks.flat_map(|hunk| &hunk.segments) {
            let kind = match (segment.kind.as_str(), side) {
                ("ADDED", DiffSide::New) => "ADDED",
                ("REMOVED", DiffSide::Old) => "REMOVED",
                ("CONTEXT", DiffSide::New | DiffSide::Old) => "CONTEXT",
                (_, _) => continue,
            };
            let is_it = |line: &SegmentLine| match side {
                DiffSide::New => line.destination == line_number,
                DiffSide::Old => line.source == line_number,
            };
            if segment.lines.iter().any(is_it) {
                return Ok(kind);
            }
        }
        match side {
            _ if !self.is_truncated(path) => {
                Err(rejected_error(purpose, "the line is not in the server's diff of the file"))
            }
            DiffSide::New => Ok("ADDED"),
            DiffSide::Old => Ok("REMOVED"),
        }
    }

    /// Returns the path of the file before the change; `None` if it equals `path`.
    fn source_path(&self, path: &str) -> Option<String> {
        let sources = self.file_diffs(path).filter_map(|file| file.source.as_ref()).map(path_text);
        let mut other = sources.filter(|source| !source.is_empty() && source != path);
        other.next()
    }
}

impl BitbucketDataCenter {
    /// Returns the JSON object for the position of a comment. Returns an error if the commit of `diff_place`
    /// is not the head.
    pub(super) async fn build_anchor(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        diff_place: DiffPlace<'_>,
    ) -> Result<Value, ForgeError> {
        let (DiffPlace::Lines(commit, place) | DiffPlace::File(commit, place)) = diff_place;
        let Some(path) = place.path.as_str() else {
            return Err(rejected_error(purpose, "Bitbucket does not accept a path that is not UTF-8"));
        };
        let diff = self.load_diff_for_file(purpose, repo, number, commit, path).await?;
        let (from, to) = match (&diff.from_hash, &diff.to_hash) {
            (Some(from), Some(to)) => (from.clone(), to.clone()),
            (_, _) => {
                let pull = self.pull(purpose, repo, number).await?;
                (pull.base.commit.to_string(), pull.head.commit.to_string())
            }
        };
        if Sha::parse(&to).ok().as_ref() != Some(commit) {
            return Err(rejected_error(purpose, "the head of the pull request has changed"));
        }
        let mut anchor = json!({ "path": path, "diffType": "EFFECTIVE", "fromHash": from, "toHash": to });
        if let Some(source) = diff.source_path(path) {
            anchor["srcPath"] = source.into();
        }
        if let DiffPlace::Lines(..) = diff_place {
            self.set_anchor_lines(purpose, &mut anchor, &diff, path, place)?;
        }
        Ok(anchor)
    }

    /// Adds the lines to an anchor. Servers before version 9.3 accept only one line. At such a server, only
    /// the last line is added.
    fn set_anchor_lines(
        &self,
        purpose: &str,
        anchor: &mut Value,
        diff: &PullDiff,
        path: &str,
        location: &CodeLocation,
    ) -> Result<(), ForgeError> {
        let CodeLocation { side, start_line, end_line, .. } = location;
        let (file, span) = match side {
            DiffSide::New => ("TO", ("dstSpanStart", "dstSpanEnd")),
            DiffSide::Old => ("FROM", ("srcSpanStart", "srcSpanEnd")),
        };
        anchor["line"] = (*end_line).into();
        anchor["lineType"] = diff.line_type(purpose, path, *side, *end_line)?.into();
        anchor["fileType"] = file.into();
        match self.version_capability().commentable_lines {
            CommentableLines::OneHunk if start_line < end_line => {
                let first = diff.line_type(purpose, path, *side, *start_line)?;
                anchor["multilineMarker"] = json!({ "startLine": start_line, "startLineType": first });
                anchor["multilineSpan"] = json!({ span.0: start_line, span.1: end_line });
            }
            CommentableLines::OneHunk | CommentableLines::OneLine => {}
        }
        Ok(())
    }

    /// Returns the server's diff of the pull request, which is read once for each head. If this diff is
    /// truncated for the file, returns the server's diff of the file alone.
    async fn load_diff_for_file(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        commit: &Sha,
        path: &str,
    ) -> Result<Arc<PullDiff>, ForgeError> {
        let url = |path: Option<&str>, source: Option<&str>| {
            let tail: Vec<&str> =
                std::iter::once("diff").chain(path.into_iter().flat_map(|path| path.split('/'))).collect();
            let query = [("withComments", Some("false")), ("srcPath", source)];
            let query: Vec<_> = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            Ok::<_, ForgeError>(with_query(self.pull_url(purpose, repo, number, &tail)?, &query))
        };
        let kept = || self.inner.diff.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |(of, diff): &&(u64, Arc<PullDiff>)| {
            *of == number && diff.to_hash.as_deref() == Some(commit.as_str())
        };
        let known = kept().as_ref().filter(is_it).map(|(_, diff)| diff.clone());
        let whole = match known {
            Some(whole) => whole,
            None => {
                let whole = Arc::new(self.get::<PullDiff>(purpose, url(None, None)?).await?);
                *kept() = Some((number, whole.clone()));
                whole
            }
        };
        if !whole.is_truncated(path) {
            return Ok(whole);
        }
        // For a renamed file, the request needs both paths. With the new path alone, the server returns the
        // diff of a new file.
        Ok(Arc::new(self.get(purpose, url(Some(path), whole.source_path(path).as_deref())?).await?))
    }

    /// Logs a warning if the server attached a comment to other lines than requested. This is possible
    /// because the server ignores unknown field names without an error.
    pub(super) fn warn_if_anchor_differs(
        &self,
        repo: &str,
        requested_anchor: &Value,
        created_anchor: Option<&wire::DataCenterAnchor>,
    ) {
        let Some(created_anchor) = created_anchor else { return };
        let is_line =
            requested_anchor.get("line").and_then(Value::as_u64) == created_anchor.line.map(u64::from);
        let is_long = requested_anchor.get("multilineMarker").is_none()
            || created_anchor.multiline_marker.is_some()
            || created_anchor.multiline_span.is_some();
        if !is_line || !is_long {
            tracing::warn!(repo, line = ?created_anchor.line, "the server put the comment on other lines \
                than requested");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(truncated: bool) -> PullDiff {
        let body = json!({
            "fromHash": "a", "toHash": "b", "truncated": truncated,
            "diffs": [
                {
                    "source": { "toString": "other.py" }, "destination": { "toString": "other.py" },
                    "hunks": [{ "segments": [{ "type": "ADDED",
                        "lines": [{ "source": 1, "destination": 1 }] }] }],
                },
                {
                    "source": { "toString": "old.py" }, "destination": { "components": ["src", "new.py"] },
                    "truncated": truncated,
                    "hunks": [{ "segments": [
                        { "type": "CONTEXT", "lines": [{ "source": 1, "destination": 1, "line": "a" }] },
                        { "type": "REMOVED", "lines": [{ "source": 2, "destination": 2, "line": "b" }] },
                        { "type": "ADDED", "lines": [{ "source": 3, "destination": 2, "line": "c" }] },
                        { "type": "CONTEXT", "lines": [{ "source": 3, "destination": 3, "line": "d" }] },
                    ] }],
                },
                { "source": { "toString": "gone.py" }, "destination": null, "hunks": [] },
            ],
        });
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn the_kind_of_a_line_is_of_its_file_and_side() {
        let whole = diff(false);
        for (path, side, number, expected) in [
            ("src/new.py", DiffSide::New, 1, "CONTEXT"),
            ("src/new.py", DiffSide::Old, 2, "REMOVED"),
            ("src/new.py", DiffSide::New, 2, "ADDED"),
            ("src/new.py", DiffSide::Old, 3, "CONTEXT"),
            ("other.py", DiffSide::New, 1, "ADDED"),
        ] {
            assert_eq!(whole.line_type("x", path, side, number), Ok(expected), "{path} {side:?} {number}");
        }
        for (path, number) in [("src/new.py", 9), ("gone.py", 1), ("none.py", 1), ("old.py", 1)] {
            let missing = whole.line_type("x", path, DiffSide::Old, number);
            assert!(matches!(missing, Err(ForgeError::Rejected { .. })), "{path}: {missing:?}");
        }
        assert_eq!(diff(true).line_type("x", "src/new.py", DiffSide::New, 9), Ok("ADDED"));
        assert_eq!(diff(true).line_type("x", "src/new.py", DiffSide::Old, 9), Ok("REMOVED"));
    }

    #[test]
    fn a_file_that_a_cut_diff_may_have_left_out_is_read_alone() {
        for (path, is_cut) in [("src/new.py", true), ("other.py", false), ("none.py", true)] {
            assert_eq!(
                (diff(true).is_truncated(path), diff(false).is_truncated(path)),
                (is_cut, false),
                "{path}"
            );
        }
    }

    #[test]
    fn the_former_path_of_a_renamed_file_is_told() {
        assert_eq!(diff(false).source_path("src/new.py").as_deref(), Some("old.py"));
        assert_eq!(diff(false).source_path("other.py"), None);
        assert_eq!(PullDiff::default().source_path("a"), None);
    }
}

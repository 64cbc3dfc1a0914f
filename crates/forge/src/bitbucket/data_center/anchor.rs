//! The place of a comment at a Data Center. It takes the kind of each line (added, removed, or around those), which a place
//! of ours does not have: it is read from the server's own diff of the file.

use serde::Deserialize;
use serde_json::{Value, json};
use truing_core::finding::{Place, Side};
use truing_core::id::Sha;
use truing_core::port::ForgeError;

use super::super::address::{rejected, with_query};
use super::super::calls::{Calls as _, Diff};
use super::wire::path_text;
use super::{BitbucketDataCenter, wire};
use crate::capability::Lines;

/// The server's diff of a file: one, or a list of one.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct FileDiff {
    from_hash: Option<String>,
    to_hash: Option<String>,
    truncated: bool,
    source: Option<Value>,
    destination: Option<Value>,
    hunks: Vec<Hunk>,
    diffs: Vec<FileDiff>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Hunk {
    truncated: bool,
    segments: Vec<Segment>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Segment {
    #[serde(rename = "type")]
    kind: String,
    truncated: bool,
    lines: Vec<Line>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Line {
    source: u32,
    destination: u32,
}

/// A line's number in the file on one side, and its kind.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Kind(&'static str),
    /// The diff is cut: it may be there.
    Unread,
    Missing,
}

impl FileDiff {
    /// The kind of a line.
    fn kind(&self, side: Side, number: u32) -> Found {
        let mut is_cut = self.truncated;
        for hunk in self.hunks.iter().chain(self.diffs.iter().flat_map(|diff| &diff.hunks)) {
            is_cut |= hunk.truncated;
            for segment in &hunk.segments {
                is_cut |= segment.truncated;
                let kind = match (segment.kind.as_str(), side) {
                    ("ADDED", Side::New) => "ADDED",
                    ("REMOVED", Side::Old) => "REMOVED",
                    ("CONTEXT", Side::New | Side::Old) => "CONTEXT",
                    (_, _) => continue,
                };
                let is_it = |line: &Line| match side {
                    Side::New => line.destination == number,
                    Side::Old => line.source == number,
                };
                if segment.lines.iter().any(is_it) {
                    return Found::Kind(kind);
                }
            }
        }
        if is_cut || self.diffs.iter().any(|diff| diff.truncated) { Found::Unread } else { Found::Missing }
    }

    /// The path that the file had before, if that was another.
    fn source_path(&self, path: &str) -> Option<String> {
        let of = |diff: &Self| {
            let source = diff.source.as_ref().map(path_text)?;
            let is_here = diff.destination.as_ref().map(path_text).is_none_or(|there| there == path);
            (is_here && !source.is_empty() && source != path).then_some(source)
        };
        of(self).or_else(|| self.diffs.iter().find_map(of))
    }
}

/// The kind of a line, or the likeliest where the diff is cut.
fn kind_of(what: &str, diff: &FileDiff, side: Side, number: u32) -> Result<&'static str, ForgeError> {
    match (diff.kind(side, number), side) {
        (Found::Kind(kind), _) => Ok(kind),
        (Found::Unread, Side::New) => Ok("ADDED"),
        (Found::Unread, Side::Old) => Ok("REMOVED"),
        (Found::Missing, _) => Err(rejected(what, "the line is not in the server's diff of the file")),
    }
}

impl BitbucketDataCenter {
    /// The anchor of a comment on a place of this commit, which must be the head.
    pub(super) async fn anchor(
        &self,
        what: &str,
        repo: &str,
        number: u64,
        on: Diff<'_>,
    ) -> Result<Value, ForgeError> {
        let (Diff::Lines(commit, place) | Diff::File(commit, place)) = on;
        let Some(path) = place.path.as_str() else {
            return Err(rejected(what, "a path that is not UTF-8 cannot be named to Bitbucket"));
        };
        let diff = match on {
            Diff::File(..) => FileDiff::default(),
            Diff::Lines(..) => self.diff_of(what, repo, number, path).await?,
        };
        let (from, to) = match (&diff.from_hash, &diff.to_hash) {
            (Some(from), Some(to)) => (from.clone(), to.clone()),
            (_, _) => {
                let pull = self.pull(what, repo, number).await?;
                (pull.base.commit.to_string(), pull.head.commit.to_string())
            }
        };
        if Sha::parse(&to).ok().as_ref() != Some(commit) {
            return Err(rejected(what, "the head has moved on"));
        }
        let mut anchor = json!({ "path": path, "diffType": "EFFECTIVE", "fromHash": from, "toHash": to });
        if let Some(source) = diff.source_path(path) {
            anchor["srcPath"] = source.into();
        }
        if let Diff::Lines(..) = on {
            self.lines(what, &mut anchor, &diff, place)?;
        }
        Ok(anchor)
    }

    /// The lines of an anchor. On several lines only from 9.3 on: before, the last of them is the comment's.
    fn lines(
        &self,
        what: &str,
        anchor: &mut Value,
        diff: &FileDiff,
        place: &Place,
    ) -> Result<(), ForgeError> {
        let Place { side, start_line, end_line, .. } = place;
        let (file, span) = match side {
            Side::New => ("TO", ("dstSpanStart", "dstSpanEnd")),
            Side::Old => ("FROM", ("srcSpanStart", "srcSpanEnd")),
        };
        anchor["line"] = (*end_line).into();
        anchor["lineType"] = kind_of(what, diff, *side, *end_line)?.into();
        anchor["fileType"] = file.into();
        match self.narrowed().lines {
            Lines::OneHunk if start_line < end_line => {
                let first = kind_of(what, diff, *side, *start_line)?;
                anchor["multilineMarker"] = json!({ "startLine": start_line, "startLineType": first });
                anchor["multilineSpan"] = json!({ span.0: start_line, span.1: end_line });
            }
            Lines::OneHunk | Lines::OneLine => {}
        }
        Ok(())
    }

    async fn diff_of(&self, what: &str, repo: &str, number: u64, path: &str) -> Result<FileDiff, ForgeError> {
        let tail: Vec<&str> = std::iter::once("diff").chain(path.split('/')).collect();
        let url = with_query(self.of_pull(what, repo, number, &tail)?, &[("withComments", "false")]);
        self.get(what, url).await
    }

    /// Says so where a server has put a comment elsewhere than it was asked to: names that it does not know are ignored
    /// without an error.
    pub(super) fn check_place(&self, repo: &str, wanted: &Value, made: Option<&wire::Anchor>) {
        let Some(made) = made else { return };
        let is_line = wanted.get("line").and_then(Value::as_u64) == made.line.map(u64::from);
        let is_long = wanted.get("multilineMarker").is_none()
            || made.multiline_marker.is_some()
            || made.multiline_span.is_some();
        if !is_line || !is_long {
            tracing::warn!(repo, line = ?made.line, "the forge has put a comment on other lines than it was given");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(truncated: bool) -> FileDiff {
        let body = json!({
            "fromHash": "a", "toHash": "b", "truncated": truncated,
            "diffs": [{
                "source": { "toString": "old.py" }, "destination": { "components": ["src", "new.py"] },
                "hunks": [{ "segments": [
                    { "type": "CONTEXT", "lines": [{ "source": 1, "destination": 1, "line": "a" }] },
                    { "type": "REMOVED", "lines": [{ "source": 2, "destination": 2, "line": "b" }] },
                    { "type": "ADDED", "lines": [{ "source": 3, "destination": 2, "line": "c" }] },
                    { "type": "CONTEXT", "lines": [{ "source": 3, "destination": 3, "line": "d" }] },
                ] }],
            }],
        });
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn the_kind_of_a_line_is_of_its_side() {
        let whole = diff(false);
        for (side, number, expected) in [
            (Side::New, 1, Found::Kind("CONTEXT")),
            (Side::Old, 2, Found::Kind("REMOVED")),
            (Side::New, 2, Found::Kind("ADDED")),
            (Side::Old, 3, Found::Kind("CONTEXT")),
            (Side::New, 9, Found::Missing),
        ] {
            assert_eq!(whole.kind(side, number), expected, "{side:?} {number}");
        }
        assert_eq!(diff(true).kind(Side::New, 9), Found::Unread);
        assert_eq!(kind_of("x", &diff(true), Side::Old, 9).unwrap(), "REMOVED");
        assert!(matches!(kind_of("x", &whole, Side::Old, 9), Err(ForgeError::Rejected { .. })));
    }

    #[test]
    fn the_former_path_of_a_renamed_file_is_told() {
        assert_eq!(diff(false).source_path("src/new.py").as_deref(), Some("old.py"));
        assert_eq!(diff(false).source_path("src/other.py"), None);
        assert_eq!(FileDiff::default().source_path("a"), None);
    }
}

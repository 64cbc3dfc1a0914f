//! Positions from standard input, one JSON object a line, and `truing diff anchor`, which answers where a comment on
//! them can be placed.

use std::fmt::Display;
use std::io::{BufRead, Read, stdin};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use truing_diff::{Anchored, RepoPath, Side};

use super::{Compared, malformed};
use crate::cli::error::{CliError, Exit};
use crate::cli::{Context, runtime};

/// How much is read from standard input, in bytes.
const MAX_INPUT_BYTES: u64 = 256 << 20;

/// A line of the input of `anchor`. Further fields may stand in it: a finding is a position, too.
#[derive(Deserialize)]
struct Position {
    /// Given back as it came.
    #[serde(default)]
    id: Value,
    path: RepoPath,
    side: Side,
    start_line: u32,
    end_line: u32,
}

#[derive(Serialize)]
struct Answer {
    id: Value,
    #[serde(flatten)]
    anchored: Anchored,
}

pub(super) fn anchor(base: &str, head: &str, path: &Path, context: &Context) -> Result<Exit, CliError> {
    let compared = runtime::start()?.block_on(Compared::open(base, head, path, context))?;
    let parsed = truing_diff::parse(&compared.diff);
    if let Some(error) = &parsed.error {
        return Err(malformed("the answer of `git diff`", error));
    }
    let mut error = None;
    let positions = positions::<Position>().map_while(|read| read.map_err(|wrong| error = Some(wrong)).ok());
    context.output.json_lines(positions.map(|(_, Position { id, path, side, start_line, end_line })| {
        Answer { id, anchored: truing_diff::anchor(&parsed.files, &path, side, start_line, end_line) }
    }))?;
    error.map_or(Ok(Exit::Done), Err)
}

/// The positions on standard input with the numbers of their lines; an error is the last item. Empty lines are passed
/// over.
pub(super) fn positions<T: DeserializeOwned>() -> impl Iterator<Item = Result<(usize, T), CliError>> {
    let mut lines = stdin().lock().take(MAX_INPUT_BYTES);
    let (mut number, mut ended) = (0_usize, false);
    std::iter::from_fn(move || {
        let mut line = Vec::new();
        while !ended {
            line.clear();
            number += 1;
            match lines.read_until(b'\n', &mut line) {
                Ok(0) if lines.limit() == 0 => {
                    ended = true;
                    let message = format!("standard input is larger than {} MiB", MAX_INPUT_BYTES >> 20);
                    return Some(
                        Err(CliError::usage("too_large", message).hint("ask about fewer positions")),
                    );
                }
                Ok(0) => ended = true,
                Ok(_) if line.trim_ascii().is_empty() => {}
                Ok(_) => {
                    let read = serde_json::from_slice(&line);
                    ended = read.is_err();
                    return Some(
                        read.map(|position| (number, position)).map_err(|error| not_json(number, &error)),
                    );
                }
                Err(error) => {
                    ended = true;
                    let message = format!("cannot read standard input: {error}");
                    return Some(Err(CliError::failed("unreadable", message)));
                }
            }
        }
        None
    })
}

/// A line that is no position.
fn not_json(number: usize, error: &serde_json::Error) -> CliError {
    let text = error.to_string();
    // The place that serde_json adds counts its own lines.
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    bad_line(number, format_args!("{what} (column {})", error.column()))
}

/// A line that cannot be answered.
pub(super) fn bad_line(number: usize, what: impl Display) -> CliError {
    CliError::usage("bad_line", format!("line {number} of standard input: {what}"))
        .hint(r#"a line is like {"id":"1","path":"a/b.py","side":"new","start_line":10,"end_line":12}"#)
}

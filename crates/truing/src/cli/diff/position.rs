//! Reads positions from standard input. For `truing diff anchor`, places a comment on each position.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use truing_diff::{CommentAnchor, DiffSide, RepoPath};

use super::compared::{ComparedCommits, malformed_diff_error};
use crate::cli::error::{CliError, CommandExit};
use crate::cli::json_lines::JsonLinesReader;
use crate::cli::{CommandContext, runtime};

/// Reader of positions from standard input.
pub(super) const POSITION_READER: JsonLinesReader =
    JsonLinesReader { example: r#"{"id":"1","path":"a/b.py","side":"new","start_line":10,"end_line":12}"# };

/// A line of the input of `anchor`. Unknown fields are allowed, since the JSON of a finding is also accepted
/// as a position.
#[derive(Deserialize)]
struct AnchorRequest {
    /// Identifier that is returned unchanged.
    #[serde(default)]
    id: Value,
    path: RepoPath,
    side: DiffSide,
    start_line: u32,
    end_line: u32,
}

#[derive(Serialize)]
struct AnchorJson {
    id: Value,
    #[serde(flatten)]
    anchor: CommentAnchor,
}

pub(super) fn run_anchor(
    base: &str,
    head: &str,
    repository: &Path,
    context: &CommandContext,
) -> Result<CommandExit, CliError> {
    let compared = runtime::start()?.block_on(ComparedCommits::open(base, head, repository, context))?;
    let parsed = truing_diff::parse(&compared.diff);
    if let Some(error) = &parsed.error {
        return Err(malformed_diff_error("the output of `git diff`", error));
    }
    let mut error = None;
    let has_lines = |position: &AnchorRequest| check_lines(position.start_line, position.end_line);
    let positions = POSITION_READER.read(has_lines, &mut error);
    context.output.print_json_lines(positions.map(
        |AnchorRequest { id, path: repository, side, start_line, end_line }| AnchorJson {
            id,
            anchor: truing_diff::find_anchor(&parsed.files, &repository, side, start_line, end_line),
        },
    ))?;
    error.map_or(Ok(CommandExit::Success), Err)
}

/// Returns an error if the line numbers are less than 1 or out of order.
pub(super) fn check_lines(start_line: u32, end_line: u32) -> Result<(), &'static str> {
    if 1 <= start_line && start_line <= end_line {
        return Ok(());
    }
    Err("line numbers start at 1, and end_line must not be less than start_line")
}

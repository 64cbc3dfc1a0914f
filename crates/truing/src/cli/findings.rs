//! The command `truing findings match`: decides whether two findings are the same, by the same comparison as
//! every review. It reads and prints JSON lines, for programs.

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use truing_core::identity::{ComparableFinding, MIN_SAME_SCORE, similarity};

use super::CommandContext;
use super::error::{CliError, CommandExit};
use super::json_lines::JsonLinesReader;

/// Reader of pairs of findings.
const FINDING_PAIR_READER: JsonLinesReader = JsonLinesReader {
    example: r#"{"id":"1","a":{"path":"a.py","text":"…","snippet":"…"},"b":{"path":"a.py","text":"…"}}"#,
};

/// Compare findings: are two of them the same? JSON lines for scripts
#[derive(clap::Args, Debug)]
pub struct FindingsArgs {
    #[command(subcommand)]
    command: FindingsCommand,
}

#[derive(Subcommand, Debug)]
enum FindingsCommand {
    /// Compare the two findings on each line of standard input
    ///
    /// Reads one object on each line: id, and the findings a and b. Each finding has path, text (title and
    /// body) and, if known, snippet (the lines of code that the finding is about). Answers with id, same
    /// (true or false) and score, from 0 to 1. Findings with a score of at least 0.5 are the same. Paths are
    /// compared unchanged. For a renamed file, use the new path in both findings.
    Match,
}

/// A line of the input. Unknown fields are allowed, for example a field with the expected answer.
#[derive(Deserialize)]
struct MatchRequest {
    /// Identifier that is returned unchanged.
    #[serde(default)]
    id: Value,
    a: MatchFinding,
    b: MatchFinding,
}

/// Text and location of one finding.
#[derive(Deserialize)]
struct MatchFinding {
    path: String,
    text: String,
    snippet: Option<String>,
}

#[derive(Serialize)]
struct MatchJson {
    id: Value,
    #[serde(rename = "same")]
    is_same: bool,
    score: f64,
}

pub(crate) fn run(args: &FindingsArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    match &args.command {
        FindingsCommand::Match => match_findings(context),
    }
}

fn match_findings(context: &CommandContext) -> Result<CommandExit, CliError> {
    let mut error = None;
    let questions = FINDING_PAIR_READER.read(|_: &MatchRequest| Ok(()), &mut error);
    context.output.print_json_lines(questions.map(|MatchRequest { id, a, b }| {
        let score = similarity(&comparable_finding(&a), &comparable_finding(&b));
        // The score is rounded down to four decimal places, because rounding up could raise it to the
        // threshold.
        MatchJson { id, is_same: score >= MIN_SAME_SCORE, score: (score * 1e4).floor() / 1e4 }
    }))?;
    error.map_or(Ok(CommandExit::Success), Err)
}

fn comparable_finding(finding: &MatchFinding) -> ComparableFinding {
    ComparableFinding::new(&finding.path, &finding.text, finding.snippet.as_deref())
}

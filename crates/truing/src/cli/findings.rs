//! `truing findings match`: whether two findings are one, as every review decides it. JSON lines, for programs.

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use truing_core::identity::{SAME, Statement, similarity};

use super::Context;
use super::error::{CliError, Exit};
use super::json_lines::Questions;

/// What is asked.
const PAIRS: Questions = Questions {
    example: r#"{"id":"1","a":{"path":"a.py","text":"…","snippet":"…"},"b":{"path":"a.py","text":"…"}}"#,
};

/// Compare findings: are two of them the same? JSON lines for scripts
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Compare two findings a line: reads them from standard input
    ///
    /// One object a line: id, and a and b, each with path, text (title and body) and, if known, snippet (the lines of
    /// code it is about). Answers with id, same (true or false) and score, from 0 to 1; from 0.5 on it is the same.
    /// Paths are compared as they are: of a renamed file give both the new one.
    Match,
}

/// A line of the input. Further fields may stand in it, such as the right answer.
#[derive(Deserialize)]
struct Question {
    /// Given back as it came.
    #[serde(default)]
    id: Value,
    a: Said,
    b: Said,
}

/// What one finding says.
#[derive(Deserialize)]
struct Said {
    path: String,
    text: String,
    snippet: Option<String>,
}

#[derive(Serialize)]
struct Answer {
    id: Value,
    same: bool,
    score: f64,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    match &args.what {
        What::Match => matches(context),
    }
}

fn matches(context: &Context) -> Result<Exit, CliError> {
    let mut error = None;
    let questions = PAIRS.read(|_: &Question| Ok(()), &mut error);
    context.output.json_lines(questions.map(|Question { id, a, b }| {
        let score = similarity(&read(&a), &read(&b));
        // Four digits are all that it means; rounding down never lifts it over the threshold.
        Answer { id, same: score >= SAME, score: (score * 1e4).floor() / 1e4 }
    }))?;
    error.map_or(Ok(Exit::Done), Err)
}

fn read(said: &Said) -> Statement {
    Statement::new(&said.path, &said.text, said.snippet.as_deref())
}

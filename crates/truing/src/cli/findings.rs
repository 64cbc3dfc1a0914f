//! `truing findings match`: whether two findings are one, as every review decides it. JSON lines, for programs.

use std::io::{BufRead, Read, stdin};

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use truing_core::identity::{SAME, Statement, similarity};

use super::Context;
use super::error::{CliError, Exit};

/// How much is read from standard input, in bytes.
const MAX_INPUT_BYTES: u64 = 256 << 20;

/// Tell whether two findings are the same one: JSON lines for scripts
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
    let questions = questions().map_while(|read| read.map_err(|wrong| error = Some(wrong)).ok());
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

/// The lines of standard input; an error is the last item. Empty lines are passed over.
fn questions() -> impl Iterator<Item = Result<Question, CliError>> {
    let mut input = stdin().lock().take(MAX_INPUT_BYTES);
    let (mut number, mut ended) = (0_usize, false);
    std::iter::from_fn(move || {
        while !ended {
            let mut line = Vec::new();
            number += 1;
            let answer = match input.read_until(b'\n', &mut line) {
                Ok(0) if input.limit() == 0 => Err(too_large()),
                Ok(0) => return None,
                Ok(_) if line.trim_ascii().is_empty() => continue,
                Ok(_) => serde_json::from_slice(&line).map_err(|error| bad_line(number, &error)),
                Err(error) => {
                    Err(CliError::failed("unreadable", format!("cannot read standard input: {error}")))
                }
            };
            ended = answer.is_err();
            return Some(answer);
        }
        None
    })
}

fn too_large() -> CliError {
    let message = format!("standard input is larger than {} MiB", MAX_INPUT_BYTES >> 20);
    CliError::usage("too_large", message).hint("ask about fewer findings")
}

fn bad_line(number: usize, error: &serde_json::Error) -> CliError {
    let text = error.to_string();
    // The place that serde_json adds counts its own lines.
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    let message = format!("line {number} of standard input: {what} (column {})", error.column());
    CliError::usage("bad_line", message)
        .hint(r#"a line is like {"id":"1","a":{"path":"a.py","text":"…","snippet":"…"},"b":{"path":"a.py","text":"…"}}"#)
}

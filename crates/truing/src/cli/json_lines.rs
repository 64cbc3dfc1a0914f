//! Questions on standard input, one JSON object a line: what is common to the commands that answer them.

use std::fmt::Display;
use std::io::{BufRead, Read, stdin};

use serde::de::DeserializeOwned;

use super::error::CliError;

/// How much is read from standard input, in bytes.
const MAX_INPUT_BYTES: u64 = 256 << 20;

/// A form of question.
pub(super) struct Questions {
    /// What a line looks like, for who sent another.
    pub(super) example: &'static str,
}

impl Questions {
    /// Those on standard input with the numbers of their lines; an error is the last item. Empty lines are passed
    /// over.
    pub(super) fn read<T: DeserializeOwned>(&self) -> impl Iterator<Item = Result<(usize, T), CliError>> {
        let mut input = stdin().lock().take(MAX_INPUT_BYTES);
        let (mut number, mut ended) = (0_usize, false);
        std::iter::from_fn(move || {
            let mut line = Vec::new();
            while !ended {
                line.clear();
                number += 1;
                let question = match input.read_until(b'\n', &mut line) {
                    Ok(0) if input.limit() == 0 => Err(too_large()),
                    Ok(0) => return None,
                    Ok(_) if line.trim_ascii().is_empty() => continue,
                    Ok(_) => serde_json::from_slice(&line).map_err(|error| self.not_json(number, &error)),
                    Err(error) => {
                        Err(CliError::failed("unreadable", format!("cannot read standard input: {error}")))
                    }
                };
                ended = question.is_err();
                return Some(question.map(|question| (number, question)));
            }
            None
        })
    }

    /// A line that cannot be answered.
    pub(super) fn bad_line(&self, number: usize, what: impl Display) -> CliError {
        CliError::usage("bad_line", format!("line {number} of standard input: {what}"))
            .hint(format!("a line is like {}", self.example))
    }

    /// A line that is no question.
    fn not_json(&self, number: usize, error: &serde_json::Error) -> CliError {
        let text = error.to_string();
        // The place that serde_json adds counts its own lines.
        let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
        self.bad_line(number, format_args!("{what} (column {})", error.column()))
    }
}

fn too_large() -> CliError {
    let message = format!("standard input is larger than {} MiB", MAX_INPUT_BYTES >> 20);
    CliError::usage("too_large", message).hint("ask in several runs")
}

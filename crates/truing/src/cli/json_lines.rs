//! Reads requests from standard input, as one JSON object on each line.

use std::fmt::Display;
use std::io::{self, BufRead, stdin};

use serde::de::DeserializeOwned;

use super::error::CliError;

/// Maximum bytes that are read from standard input.
const MAX_INPUT_BYTES: u64 = 256 << 20;

/// A reader of one kind of request.
pub(super) struct JsonLinesReader {
    /// Example of a valid line, for the error about an invalid line.
    pub(super) example: &'static str,
}

impl JsonLinesReader {
    /// Returns the requests from standard input, up to the first line that is invalid or rejected by `check`.
    /// The error for that line is stored in `line_error`. Empty lines are skipped.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        check: impl Fn(&T) -> Result<(), &'static str>,
        line_error: &mut Option<CliError>,
    ) -> impl Iterator<Item = T> {
        self.read_from(stdin().lock(), MAX_INPUT_BYTES, check, line_error)
    }

    /// Reads requests from any input of at most `max_bytes` bytes.
    fn read_from<T: DeserializeOwned>(
        &self,
        input: impl BufRead,
        max_bytes: u64,
        check: impl Fn(&T) -> Result<(), &'static str>,
        line_error: &mut Option<CliError>,
    ) -> impl Iterator<Item = T> {
        // One byte more than the limit is read, to detect an input that exceeds the limit.
        let mut input = input.take(max_bytes.saturating_add(1));
        let (mut line, mut number) = (Vec::new(), 0_usize);
        let mut next = move || -> Result<Option<T>, CliError> {
            loop {
                line.clear();
                number += 1;
                let read = input.read_until(b'\n', &mut line).map_err(stdin_error)?;
                if input.limit() == 0 {
                    return Err(too_large_error(max_bytes));
                }
                if read == 0 {
                    return Ok(None);
                }
                if line.trim_ascii().is_empty() {
                    continue;
                }
                let question =
                    serde_json::from_slice(&line).map_err(|error| self.invalid_json_error(number, &error))?;
                check(&question).map_err(|reason| self.line_error(number, reason))?;
                return Ok(Some(question));
            }
        };
        std::iter::from_fn(move || match line_error {
            Some(_) => None,
            None => next().unwrap_or_else(|error| {
                *line_error = Some(error);
                None
            }),
        })
    }

    /// Returns the error for a line whose request cannot be answered.
    fn line_error(&self, number: usize, problem: impl Display) -> CliError {
        CliError::usage("bad_line", format!("line {number} of standard input: {problem}"))
            .hint(format!("each line must have the form {}", self.example))
    }

    /// Returns the error for a line that is not a valid request.
    fn invalid_json_error(&self, number: usize, error: &serde_json::Error) -> CliError {
        let text = error.to_string();
        // `serde_json` appends a position within this single line, which would be misleading. The position is
        // removed.
        let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
        self.line_error(number, format_args!("{what} (column {})", error.column()))
    }
}

fn stdin_error(error: io::Error) -> CliError {
    CliError::failure("unreadable", format!("cannot read standard input: {error}"))
}

fn too_large_error(max_bytes: u64) -> CliError {
    let message = format!("standard input is larger than {} MiB", max_bytes >> 20);
    CliError::usage("too_large", message).hint("split the input over several runs")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the numbers that are read, and the code of the error.
    fn read_numbers(input: &str, max_bytes: u64) -> (Vec<u32>, Option<&'static str>) {
        let mut wrong = None;
        let check = |number: &u32| if *number < 100 { Ok(()) } else { Err("too many") };
        let numbers = JsonLinesReader { example: "1" }
            .read_from(input.as_bytes(), max_bytes, check, &mut wrong)
            .collect();
        (numbers, wrong.map(|error| error.code))
    }

    #[test]
    fn input_of_the_largest_size_is_read_and_of_one_byte_more_is_too_large_wherever_it_is_cut() {
        for whole in ["1\n22\n", "1\n2\n3", "1\n2\n\n"] {
            let all = read_numbers(whole, 99);
            let size = whole.len() as u64;
            assert_eq!(read_numbers(whole, size), all, "{whole:?}");
            assert_eq!(read_numbers(whole, size - 1).1, Some("too_large"), "{whole:?}");
        }
        assert_eq!(read_numbers("1\n2222222", 5), (vec![1], Some("too_large")));
        assert_eq!(
            read_numbers("1\n2\n\n\n\n3", 4),
            (vec![1, 2], Some("too_large")),
            "also where it is empty"
        );
    }

    #[test]
    fn a_line_that_cannot_be_answered_is_the_end() {
        for bad in ["x", "100", "-1"] {
            assert_eq!(
                read_numbers(&format!("1\n\n2\n{bad}\n3\n"), 99),
                (vec![1, 2], Some("bad_line")),
                "{bad}"
            );
        }
    }
}

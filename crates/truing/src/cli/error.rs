//! The result of a command: a documented exit code, or an error. An error has a stable code word, a message
//! that names its subject, and hints for the next step.

use std::process::ExitCode;

use serde::Serialize;
use truing_core::money::MicroUsd;

/// The exit codes that scripts rely on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CommandExit {
    /// 0: done, nothing blocks.
    Success,
    /// 1: done, with a negative answer: blocking findings, a partial result, or a failed check.
    NegativeAnswer,
    /// 2: usage error: invalid arguments, configuration or input. Nothing was changed.
    Usage,
    /// 3: failed: git, forge or store. The message names the failed part, and a hint names the next step.
    Failure,
    /// 4: refused by policy, for example by a budget, by the kill switch, or because another run is active.
    Refusal,
    /// Exit code of a command that was run for the user.
    Passthrough(u8),
    /// 130: interrupted; the state is consistent and the run can be resumed.
    Interrupted,
}

impl CommandExit {
    /// Returns the exit code as a number.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::NegativeAnswer => 1,
            Self::Usage => 2,
            Self::Failure => 3,
            Self::Refusal => 4,
            Self::Passthrough(code) => code,
            Self::Interrupted => 130,
        }
    }
}

impl From<CommandExit> for ExitCode {
    fn from(exit: CommandExit) -> Self {
        Self::from(exit.code())
    }
}

/// The reason why a command failed. `OutputPrinter::print_error` prints the error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CliError {
    pub exit: CommandExit,
    /// A stable word for scripts, in snake case, such as `unknown_key`.
    pub code: &'static str,
    /// One line that describes the problem and names its subject.
    pub message: String,
    /// Lines that illustrate the error, such as the difference of two texts; usually empty.
    pub illustration: Box<[String]>,
    /// Next steps for the user, one line each.
    pub hints: Vec<String>,
    /// Further errors of the same kind, such as the other unknown keys of a configuration file. Their exit
    /// codes are ignored.
    pub other_errors: Vec<CliError>,
    /// Money that was spent before the error, in micro-dollars.
    pub cost: MicroUsd,
}

impl CliError {
    /// Returns an error without hints. A TOML parser appends an excerpt to its message. The excerpt is moved
    /// to the lines below the message.
    pub fn new(exit: CommandExit, code: &'static str, message: impl Into<String>) -> Self {
        let (hints, other_errors) = (Vec::new(), Vec::new());
        let mut message = message.into();
        let excerpt: Box<[String]> = match message.split_once('\n') {
            Some((_, rest)) if rest.trim_start().starts_with("|\n") => {
                rest.lines().map(str::to_owned).collect()
            }
            Some(_) | None => Box::default(),
        };
        if !excerpt.is_empty() {
            message.truncate(message.find('\n').unwrap_or(message.len()));
        }
        Self { exit, code, message, illustration: excerpt, hints, other_errors, cost: MicroUsd(0) }
    }

    /// Returns a usage error (exit 2).
    pub fn usage(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(CommandExit::Usage, code, message)
    }

    /// Returns a failure (exit 3).
    pub fn failure(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(CommandExit::Failure, code, message)
    }

    /// Returns a refusal by policy (exit 4).
    pub fn refusal(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(CommandExit::Refusal, code, message)
    }

    /// Adds lines that illustrate the error.
    #[must_use]
    pub fn with_excerpt(mut self, lines: &str) -> Self {
        let before = std::mem::take(&mut self.illustration).into_iter();
        self.illustration = before.chain(lines.lines().map(str::to_owned)).collect();
        self
    }

    /// Sets the money that was spent before the error.
    #[must_use]
    pub(crate) fn with_cost(mut self, cost: MicroUsd) -> Self {
        self.cost = cost;
        self
    }

    /// Adds a hint for the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Applies `map_hint` to each hint of this error and of its further errors.
    #[must_use]
    pub(crate) fn map_hints(mut self, map_hint: impl Fn(String) -> String + Copy) -> Self {
        self.hints = self.hints.into_iter().map(map_hint).collect();
        self.other_errors = self.other_errors.into_iter().map(|error| error.map_hints(map_hint)).collect();
        self
    }

    /// Returns the object that `--format json` prints on stdout.
    pub(crate) fn to_json(&self) -> impl Serialize {
        let more = self.other_errors.iter().map(Self::to_error_json).collect();
        ErrorOutputJson {
            error: self.to_error_json(),
            other_errors: more,
            cost_micro_usd: Some(self.cost).filter(|cost| *cost > MicroUsd(0)),
        }
    }

    fn to_error_json(&self) -> ErrorJson {
        let hint = (!self.hints.is_empty()).then(|| self.hints.join("\n"));
        ErrorJson {
            code: self.code,
            message: self.message.clone(),
            illustration: self.illustration.to_vec(),
            hint,
        }
    }
}

/// The JSON object `{"error":{…}}`. The field `more` exists only if there are several errors. The field
/// `cost_micro_usd` exists only if money was spent.
#[derive(Serialize)]
struct ErrorOutputJson {
    error: ErrorJson,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[serde(rename = "more")]
    other_errors: Vec<ErrorJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_micro_usd: Option<MicroUsd>,
}

#[derive(Serialize)]
struct ErrorJson {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[serde(rename = "shown")]
    illustration: Vec<String>,
    hint: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_in_a_file_is_shown_in_lines() {
        let parsed = "a.toml: TOML parse error at line 1, column 2\n  |\n1 | [\n  |  ^\nunclosed table, \
             expected `]`\n";
        let error = CliError::usage("constraint", parsed).with_excerpt("more");
        assert_eq!(error.message, "a.toml: TOML parse error at line 1, column 2");
        assert_eq!(
            *error.illustration,
            ["  |", "1 | [", "  |  ^", "unclosed table, expected `]`", "more"].map(str::to_owned)
        );
        let other = CliError::usage("bad_target", "`a\nhint: b` is no folder");
        assert_eq!((other.message.as_str(), other.illustration.len()), ("`a\nhint: b` is no folder", 0));
    }
}

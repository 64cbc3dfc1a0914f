//! What a command ends with: an exit code of the contract, or an error with a stable code word, a message that
//! names the thing, and hints that say what to do next.

use std::process::ExitCode;

use serde::Serialize;
use truing_core::money::MicroUsd;

/// How a command ended: the exit codes that scripts rely on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CommandExit {
    /// 0: done, nothing that blocks.
    Done,
    /// 1: done, and the answer is "no": blocking findings, partial, a check failed.
    No,
    /// 2: wrong use: arguments, configuration, input that cannot be parsed. Nothing was changed.
    Usage,
    /// 3: could not do it: git, forge, store. The message names which and what to do.
    Failed,
    /// 4: refused by policy: already running, budget, kill switch.
    Refused,
    /// What a command ended with that was run for the user.
    Of(u8),
    /// 130: interrupted; state is consistent and the run can be resumed.
    Interrupted,
}

impl CommandExit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::No => 1,
            Self::Usage => 2,
            Self::Failed => 3,
            Self::Refused => 4,
            Self::Of(code) => code,
            Self::Interrupted => 130,
        }
    }
}

impl From<CommandExit> for ExitCode {
    fn from(exit: CommandExit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command did not do it. `Output::error` prints it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CliError {
    /// The exit code.
    pub exit: CommandExit,
    /// A stable word for scripts, in snake case, such as `unknown_key`.
    pub code: &'static str,
    /// What happened, to which thing: one line.
    pub message: String,
    /// Lines that show it, such as a difference; mostly none.
    pub shown: Box<[String]>,
    /// What to do next: one line each.
    pub hints: Vec<String>,
    /// Further errors of the same kind, found in the same pass (a file with three unknown keys). Their exit
    /// codes do not count.
    pub more: Vec<CliError>,
    /// What was paid all the same.
    pub cost: MicroUsd,
}

impl CliError {
    /// An error without hints. The lines in which a parser of TOML shows the place in the file stand below the message.
    pub fn new(exit: CommandExit, code: &'static str, message: impl Into<String>) -> Self {
        let (hints, more) = (Vec::new(), Vec::new());
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
        Self { exit, code, message, shown: excerpt, hints, more, cost: MicroUsd(0) }
    }

    /// Wrong use: exit 2.
    pub fn usage(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(CommandExit::Usage, code, message)
    }

    /// Could not do it: exit 3.
    pub fn failed(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(CommandExit::Failed, code, message)
    }

    /// Refused by policy: exit 4.
    pub fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(CommandExit::Refused, code, message)
    }

    /// With lines that show it.
    #[must_use]
    pub fn showing(mut self, lines: &str) -> Self {
        let before = std::mem::take(&mut self.shown).into_iter();
        self.shown = before.chain(lines.lines().map(str::to_owned)).collect();
        self
    }

    /// With what was paid all the same.
    #[must_use]
    pub(crate) fn costing(mut self, cost: MicroUsd) -> Self {
        self.cost = cost;
        self
    }

    /// With one more thing to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// With each hint, also of further errors, made anew.
    #[must_use]
    pub(crate) fn with_hints(mut self, anew: impl Fn(String) -> String + Copy) -> Self {
        self.hints = self.hints.into_iter().map(anew).collect();
        self.more = self.more.into_iter().map(|error| error.with_hints(anew)).collect();
        self
    }

    /// The object that `--format json` prints on stdout.
    pub(crate) fn to_json(&self) -> impl Serialize {
        let more = self.more.iter().map(Self::body).collect();
        ErrorObject {
            error: self.body(),
            more,
            cost_micro_usd: Some(self.cost).filter(|cost| *cost > MicroUsd(0)),
        }
    }

    fn body(&self) -> ErrorJson {
        let hint = (!self.hints.is_empty()).then(|| self.hints.join("\n"));
        ErrorJson { code: self.code, message: self.message.clone(), shown: self.shown.to_vec(), hint }
    }
}

/// `{"error":{…}}`; `more` only where there is more than one, `cost_micro_usd` only where something was paid.
#[derive(Serialize)]
struct ErrorObject {
    error: ErrorJson,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    more: Vec<ErrorJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_micro_usd: Option<MicroUsd>,
}

#[derive(Serialize)]
struct ErrorJson {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shown: Vec<String>,
    hint: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_in_a_file_is_shown_in_lines() {
        let parsed = "a.toml: TOML parse error at line 1, column 2\n  |\n1 | [\n  |  ^\nunclosed table, expected `]`\n";
        let error = CliError::usage("constraint", parsed).showing("more");
        assert_eq!(error.message, "a.toml: TOML parse error at line 1, column 2");
        assert_eq!(
            *error.shown,
            ["  |", "1 | [", "  |  ^", "unclosed table, expected `]`", "more"].map(str::to_owned)
        );
        let other = CliError::usage("bad_target", "`a\nhint: b` is no folder");
        assert_eq!((other.message.as_str(), other.shown.len()), ("`a\nhint: b` is no folder", 0));
    }
}

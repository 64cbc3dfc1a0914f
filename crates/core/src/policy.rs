//! What an agent may do: commands, files and operations of MCP servers, each allowed by name in its profile.
//!
//! Everything else is denied, and each denial names the rule that would allow it. Profiles are data
//! (`crates/core/profiles/*.toml`), and so is what no profile can allow (`never.toml` there). The policy judges words;
//! a link that leads elsewhere, or a test that does more than it says, is what the sandbox is for.

mod never;
mod profile;

use serde::Serialize;
use truing_diff::RepoPath;

use crate::grammar::{Grammar, GrammarError};
use never::Never;
use profile::{Profile, Verb};
pub use profile::{ProfileError, ProfileName};

/// What an agent asks to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action<'a> {
    /// Run a command.
    Run(&'a [&'a str]),
    /// Read a file.
    Read(&'a str),
    /// Change a file that exists.
    Edit(&'a str),
    /// Write a file, new or whole.
    Write(&'a str),
    /// Call an operation, `SERVER/NAME`.
    Mcp(&'a str),
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Verdict {
    /// It may be done.
    Allow {
        /// The rule that allows it.
        rule: String,
    },
    /// It may not.
    Deny {
        /// The rule that would allow it; none where no rule can.
        rule: Option<String>,
        /// What is wrong.
        reason: String,
    },
}

/// A policy that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PolicyError {
    /// A grammar is wrong.
    #[error(transparent)]
    Grammar(#[from] GrammarError),
    /// A profile is wrong.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The list of paths that nobody changes is wrong.
    #[error("the list of paths that no agent changes is wrong: {0}")]
    Never(String),
}

/// One profile over the known commands.
#[derive(Clone, Debug)]
pub struct Policy {
    name: ProfileName,
    profile: Profile,
    never: Never,
    grammar: Grammar,
}

impl Policy {
    /// The shipped policy of a profile.
    ///
    /// # Errors
    /// If one of its files is wrong.
    pub fn shipped(name: ProfileName) -> Result<Self, PolicyError> {
        let grammar = Grammar::shipped()?;
        let known: Vec<String> = grammar.commands().iter().map(|command| command.name()).collect();
        let never = Never::shipped().map_err(PolicyError::Never)?;
        Ok(Self { name, profile: Profile::shipped(name, &known)?, never, grammar })
    }

    /// Decides.
    pub fn judge(&self, action: Action<'_>) -> Verdict {
        match action {
            Action::Run(argv) => self.run(argv),
            Action::Read(path) => self.file(Verb::Read, path),
            Action::Edit(path) => self.file(Verb::Edit, path),
            Action::Write(path) => self.file(Verb::Write, path),
            Action::Mcp(operation) => self.mcp(operation),
        }
    }

    /// A command line, and the one that it runs, where it runs one. Both must be allowed.
    fn run(&self, argv: &[&str]) -> Verdict {
        let accepted = match self.command(argv) {
            Ok(accepted) => accepted,
            Err(denied) => return denied,
        };
        let Some(inner) = accepted.runs else {
            return Verdict::Allow { rule: self.run_rule(&accepted.command) };
        };
        match self.command(inner) {
            Ok(within) if within.runs.is_some() => {
                deny(format!("`{}` may not run `{}`", accepted.command, within.command), None)
            }
            Ok(within) => {
                let rules = [accepted.command, within.command].map(|command| self.run_rule(&command));
                Verdict::Allow { rule: rules.join(", ") }
            }
            Err(denied) => denied,
        }
    }

    fn command<'a>(&'a self, argv: &'a [&str]) -> Result<crate::grammar::Accepted<'a>, Verdict> {
        let accepted =
            self.grammar.accept(argv).map_err(|refusal| deny(refusal.to_string(), refusal.needed()))?;
        if self.profile.runs(&accepted.command) {
            return Ok(accepted);
        }
        let reason = format!("`{}` is not allowed to `{}`", accepted.command, self.name.as_str());
        Err(deny(reason, Some(self.run_rule(&accepted.command))))
    }

    fn run_rule(&self, command: &str) -> String {
        format!("{}: run {command:?}", self.name.as_str())
    }

    fn file(&self, verb: Verb, path: &str) -> Verdict {
        let inside = path.chars().all(|letter| !letter.is_control());
        let as_file = RepoPath::from_bytes(path);
        if !inside || !as_file.may_be_written() {
            return deny(format!("{path:?} is no path of a file in the tree"), None);
        }
        let (profile, does) = (self.name.as_str(), verb.as_str());
        let rule = |glob: &str| format!("{profile}: {does} {glob:?}");
        if verb != Verb::Read
            && let Some((class, entry)) = self.never.forbids(&as_file)
        {
            return deny(format!("no agent may {does} {path:?}: it {class} ({entry:?})"), None);
        }
        match self.profile.file(verb, path) {
            Some(glob) => Verdict::Allow { rule: rule(glob) },
            None => deny(format!("`{profile}` may not {does} {path:?}"), Some(rule(path))),
        }
    }

    fn mcp(&self, operation: &str) -> Verdict {
        let rule = format!("{}: mcp {operation:?}", self.name.as_str());
        if self.profile.calls(operation) {
            return Verdict::Allow { rule };
        }
        deny(format!("`{}` may not call {operation:?}", self.name.as_str()), Some(rule))
    }
}

impl Verdict {
    /// Is it an allowance?
    pub fn is_allowed(&self) -> bool {
        match self {
            Self::Allow { .. } => true,
            Self::Deny { .. } => false,
        }
    }
}

fn deny(reason: String, rule: Option<String>) -> Verdict {
    Verdict::Deny { rule, reason }
}

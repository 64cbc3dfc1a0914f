//! `truing policy check`: what an agent may do, and which rule says so. Decides as every run does; does nothing.

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::{ArgGroup, Subcommand, ValueEnum};
use serde::Serialize;
use truing_core::policy::{Action, Policy, ProfileName, Verdict};

use super::Context;
use super::error::{CliError, Exit};

/// Show what an agent may do, and which rule decides
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Show whether an agent may run a command, read or edit a file, or call a tool
    ///
    /// Prints allow (exit 0) or deny (exit 1), and the rule that allows it or that would be needed. Runs nothing.
    Check(Check),
}

#[derive(clap::Args, Debug)]
#[command(group = ArgGroup::new("action").required(true).args(["read", "edit", "write", "mcp", "argv"]))]
struct Check {
    /// Whose permissions
    #[arg(long, value_name = "P", value_enum, default_value = "fixer")]
    profile: ProfileFlag,
    /// May it read this file?
    #[arg(long, value_name = "PATH")]
    read: Option<OsString>,
    /// May it change this file?
    #[arg(long, value_name = "PATH")]
    edit: Option<OsString>,
    /// May it write this file?
    #[arg(long, value_name = "PATH")]
    write: Option<OsString>,
    /// May it call this operation of an MCP server?
    #[arg(long, value_name = "SERVER/NAME")]
    mcp: Option<OsString>,
    /// May it run this command?
    #[arg(last = true, value_name = "ARGV")]
    argv: Vec<OsString>,
}

/// The profiles that there are.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ProfileFlag {
    /// Reviews pull requests: reads
    Reviewer,
    /// Audits changes: reads
    Auditor,
    /// Fixes findings: edits, writes, runs tests and checks
    Fixer,
    /// Follows an upstream package: as a fixer, and the lock file
    Sync,
}

impl From<ProfileFlag> for ProfileName {
    fn from(flag: ProfileFlag) -> Self {
        match flag {
            ProfileFlag::Reviewer => Self::Reviewer,
            ProfileFlag::Auditor => Self::Auditor,
            ProfileFlag::Fixer => Self::Fixer,
            ProfileFlag::Sync => Self::Sync,
        }
    }
}

/// The answer for scripts.
#[derive(Serialize)]
struct Answer {
    decision: &'static str,
    profile: ProfileName,
    /// The rule that allows it, or would; none where no rule can.
    rule: Option<String>,
    reason: Option<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    match &args.what {
        What::Check(check) => check.run(context),
    }
}

impl Check {
    fn run(&self, context: &Context) -> Result<Exit, CliError> {
        let profile = ProfileName::from(self.profile);
        let policy =
            Policy::shipped(profile).map_err(|error| CliError::failed("policy", error.to_string()))?;
        let verdict = self.judged(&policy);
        let exit = if verdict.is_allowed() { Exit::Done } else { Exit::No };
        let answer = match verdict {
            Verdict::Allow { rule } => Answer { decision: "allow", profile, rule: Some(rule), reason: None },
            Verdict::Deny { rule, reason } => {
                Answer { decision: "deny", profile, rule, reason: Some(reason) }
            }
        };
        context.output.answer(&answer, || answer.text())?;
        Ok(exit)
    }

    /// Rules are text: what is none matches none.
    fn judged(&self, policy: &Policy) -> Verdict {
        let not_text = || Verdict::Deny { rule: None, reason: "it is not UTF-8".to_owned() };
        let one = |what: &Option<OsString>, action: fn(&str) -> Action<'_>| {
            let what = what.as_ref()?;
            Some(what.to_str().map_or_else(not_text, |what| policy.judge(action(what))))
        };
        let named = one(&self.read, |path| Action::Read(path))
            .or_else(|| one(&self.edit, |path| Action::Edit(path)))
            .or_else(|| one(&self.write, |path| Action::Write(path)))
            .or_else(|| one(&self.mcp, |operation| Action::Mcp(operation)));
        named.unwrap_or_else(|| {
            let words: Option<Vec<&str>> = self.argv.iter().map(|word| word.to_str()).collect();
            words.map_or_else(not_text, |words| policy.judge(Action::Run(&words)))
        })
    }
}

impl Answer {
    fn text(&self) -> String {
        let mut text = self.decision.to_owned();
        if let Some(reason) = &self.reason {
            let _ = write!(text, ": {reason}");
        }
        if let Some(rule) = &self.rule {
            let _ = write!(text, "\nrule: {rule}");
        }
        text + "\n"
    }
}

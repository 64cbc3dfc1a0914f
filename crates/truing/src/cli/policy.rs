//! The command `truing policy`: shows which actions an agent may take, and the rule for each. The command
//! uses the same rules as a run, and executes nothing.

mod hook;
mod show;

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::{ArgGroup, Subcommand, ValueEnum};
use serde::Serialize;
use truing_core::policy::{AgentAction, AgentPolicy, PolicyRule, PolicyVerdict, ProfileName};

use super::CommandContext;
use super::error::{CliError, CommandExit};
use crate::wiring;

/// Show what an agent may do, and which rule decides
#[derive(clap::Args, Debug)]
pub struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Subcommand, Debug)]
enum PolicyCommand {
    /// Show whether an agent may run a command, read or edit a file, or call a tool
    ///
    /// Prints allow (exit 0) or deny (exit 1). Also prints the rule that allows the action, or the rule that
    /// would allow it, and the file of that rule. Runs nothing.
    Check(PolicyCheckArgs),
    /// Print the lists in effect, as templates for your own files
    ///
    /// Without a name, prints the list of the files and the source of each file. With the name of a profile,
    /// of a program, or `never`, prints that file. To change the policy, save the printed file in the folder
    /// that `policy.dir` names.
    Show(show::PolicyShowArgs),
    /// Answer one PreToolUse call of Claude Code
    ///
    /// Reads the call as JSON on standard input and prints allow or deny with the reason. A call that cannot
    /// be judged is blocked (exit 2).
    Hook(hook::PolicyHookArgs),
}

/// The usage of `policy check`. The usage that clap derives is one line of more than 80 columns.
const CHECK_USAGE: &str = "truing policy check [OPTIONS] <--read|--edit|--write> <PATH>
       truing policy check [OPTIONS] --mcp <SERVER/NAME>
       truing policy check [OPTIONS] --tool <Skill/NAME|Task/NAME>
       truing policy check [OPTIONS] -- <ARGV>...";

#[derive(clap::Args, Debug)]
#[command(
    group = ArgGroup::new("action").required(true).args(["read", "edit", "write", "mcp", "tool", "argv"]),
    override_usage = CHECK_USAGE
)]
struct PolicyCheckArgs {
    /// Whose permissions
    #[arg(long, value_name = "P", value_enum, default_value = "fixer")]
    profile: ProfileFlag,
    /// Check whether an agent may read this file
    #[arg(long, value_name = "PATH")]
    read: Option<OsString>,
    /// Check whether an agent may change this file
    #[arg(long, value_name = "PATH")]
    edit: Option<OsString>,
    /// Check whether an agent may write this file
    #[arg(long, value_name = "PATH")]
    write: Option<OsString>,
    /// Check whether an agent may call this operation of an MCP server
    #[arg(long, value_name = "SERVER/NAME")]
    mcp: Option<OsString>,
    /// Check whether an agent of Claude Code may use this skill, or start this subagent
    #[arg(long, value_name = "Skill/NAME|Task/NAME")]
    tool: Option<OsString>,
    /// Check whether an agent may run this command
    #[arg(last = true, value_name = "ARGV")]
    argv: Vec<OsString>,
}

/// The available profiles.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ProfileFlag {
    /// Reviews pull requests: reads
    Reviewer,
    /// Audits changes: reads
    Auditor,
    /// Fixes findings: edits, writes, runs tests and checks
    Fixer,
    /// Follows an upstream package: has the permissions of the fixer, and may also edit the lock file
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

/// The answer as JSON.
#[derive(Serialize)]
struct PolicyCheckJson {
    decision: &'static str,
    profile: ProfileName,
    /// Rules that allow the action, or a rule that would allow it. `None` if no rule can allow the action.
    rule: Option<String>,
    /// File that contains the rule.
    file: Option<String>,
    reason: Option<String>,
}

pub(crate) fn run(args: &PolicyArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    match &args.command {
        PolicyCommand::Check(check) => check.run(context),
        PolicyCommand::Show(show) => show.run(context),
        PolicyCommand::Hook(hook) => hook.run(context),
    }
}

impl PolicyCheckArgs {
    fn run(&self, context: &CommandContext) -> Result<CommandExit, CliError> {
        let profile = ProfileName::from(self.profile);
        let config = context.config(&[])?;
        let policy = wiring::policy::profile_policy(&config, profile)?;
        let verdict = self.judge(&policy);
        let exit = if verdict.is_allowed() { CommandExit::Success } else { CommandExit::NegativeAnswer };
        let joined = |rules: &[PolicyRule], text_of: fn(&PolicyRule) -> &str| {
            let mut parts: Vec<&str> = rules.iter().map(text_of).collect();
            parts.dedup();
            Some(parts.join(", ")).filter(|all| !all.is_empty())
        };
        let (decision, rules, reason) = match verdict {
            PolicyVerdict::Allow { rules, runs_code: _ } => ("allow", rules, None),
            PolicyVerdict::Deny { rule, reason } => ("deny", rule.into_iter().collect(), Some(reason)),
        };
        let (rule, file) = (joined(&rules, |rule| &rule.text), joined(&rules, |rule| &rule.file));
        let answer = PolicyCheckJson { decision, profile, rule, file, reason };
        context.output.print_answer(&answer, || answer.text())?;
        Ok(exit)
    }

    /// Judges an action. Rules are UTF-8 text, so an argument that is not UTF-8 matches no rule.
    fn judge(&self, policy: &AgentPolicy) -> PolicyVerdict {
        let not_text = || PolicyVerdict::Deny { rule: None, reason: "it is not UTF-8".to_owned() };
        let one = |option_value: &Option<OsString>, action: fn(&str) -> AgentAction<'_>| {
            let option_value = option_value.as_ref()?;
            Some(
                option_value
                    .to_str()
                    .map_or_else(not_text, |option_value| policy.judge(action(option_value))),
            )
        };
        let named = one(&self.read, |path| AgentAction::Read(path))
            .or_else(|| one(&self.edit, |path| AgentAction::Edit(path)))
            .or_else(|| one(&self.write, |path| AgentAction::Write(path)))
            .or_else(|| one(&self.mcp, |operation| AgentAction::Mcp(operation)))
            .or_else(|| one(&self.tool, |tool| AgentAction::Tool(tool)));
        named.unwrap_or_else(|| {
            let words: Option<Vec<&str>> = self.argv.iter().map(|word| word.to_str()).collect();
            words.map_or_else(not_text, |words| policy.judge(AgentAction::Run(&words)))
        })
    }
}

impl PolicyCheckJson {
    fn text(&self) -> String {
        let mut text = self.decision.to_owned();
        if let Some(reason) = &self.reason {
            let _ = write!(text, ": {reason}");
        }
        if let Some(rule) = &self.rule {
            let _ = write!(text, "\nrule: {rule}");
        }
        if let Some(file) = &self.file {
            let _ = write!(text, "\nfile: {file}");
        }
        text + "\n"
    }
}

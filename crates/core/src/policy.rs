//! Decides which actions of an agent are permitted: commands, file accesses and operations of MCP servers.
//! The agent's profile lists each permitted action by name.
//!
//! All other actions are denied. A denial names the rule that would allow the action, if a rule can allow it.
//! Profiles are data files (`crates/core/profiles/*.toml`, or an operator's replacements). The list of paths
//! that no profile can make writable is a data file, too (`never.toml` in the same folder).
//!
//! The policy checks only the text of an action. The sandbox prevents access through links that lead out of
//! the tree, and limits the side effects of tests.

mod profile;
mod protected_paths;
mod shell;

use std::sync::Arc;

use truing_diff::RepoPath;

use crate::grammar::{AcceptedCommand, CommandClass, CommandGrammar, SHIPPED_GRAMMARS};
pub use crate::grammar::{PolicyFile, PolicyFileError};
pub use profile::ProfileName;
use profile::{AgentProfile, FileAccess};
use protected_paths::ProtectedPaths;
pub use shell::{ShellSyntaxError, plain_words};

/// An action that an agent requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AgentAction<'a> {
    /// Run a command line.
    Run(&'a [&'a str]),
    /// Read a file of the clone.
    Read(&'a str),
    /// Change an existing file.
    Edit(&'a str),
    /// Write a whole file, new or existing.
    Write(&'a str),
    /// Call an MCP operation, `SERVER/NAME`.
    Mcp(&'a str),
    /// Use a skill or start a subagent of Claude Code, `Skill/NAME` or `Task/NAME`.
    Tool(&'a str),
}

/// A line that allows an action or would allow it, and the file of the line: a profile or a grammar.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyRule {
    /// Text of the line: `fixer: run "cargo test"`.
    pub text: String,
    /// File name for display.
    pub file: String,
}

/// Decision on an action.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PolicyVerdict {
    /// The action is allowed.
    Allow {
        /// Rules that allow the action.
        rules: Vec<PolicyRule>,
        /// True if the action runs code of the repository.
        runs_code: bool,
    },
    /// The action is denied.
    Deny {
        /// Rule that would allow the action; `None` if no rule can allow it.
        rule: Option<PolicyRule>,
        /// Reason for the denial.
        reason: String,
    },
}

/// Policies of all profiles, from the shipped files and an operator's files.
#[derive(Clone, Debug)]
pub struct PolicySet {
    reviewer: Arc<AgentPolicy>,
    auditor: Arc<AgentPolicy>,
    fixer: Arc<AgentPolicy>,
    sync: Arc<AgentPolicy>,
    files: Vec<PolicyFile>,
    notes: Vec<String>,
}

/// Policy of one profile: the profile's permissions, the grammar of commands, and the protected paths.
#[derive(Clone, Debug)]
pub struct AgentPolicy {
    name: ProfileName,
    profile: AgentProfile,
    protected_paths: Arc<ProtectedPaths>,
    grammar: Arc<CommandGrammar>,
    /// Command lines that are allowed verbatim, each with the configuration key that lists it.
    exact_commands: Vec<(String, Vec<String>)>,
}

impl PolicySet {
    /// Loads the shipped policies.
    ///
    /// # Errors
    /// If one of the files is invalid.
    pub fn load_shipped() -> Result<Self, Vec<PolicyFileError>> {
        Self::new(&[])
    }

    /// Loads the shipped policies with an operator's files. `profiles/NAME.toml` replaces a profile.
    /// `grammar/NAME.toml` adds commands, or replaces the shipped file of the same name. `never.toml` adds
    /// paths that no agent may change.
    ///
    /// # Errors
    /// All problems of the files, including unknown file names.
    pub fn new(files: &[PolicyFile]) -> Result<Self, Vec<PolicyFileError>> {
        let mut problems: Vec<_> =
            files.iter().filter(|file| !is_file_name(&file.name)).map(unknown_file_error).collect();
        let grammars: Vec<&PolicyFile> = files
            .iter()
            .filter(|file| file.name.starts_with(GRAMMAR_FOLDER) && is_file_name(&file.name))
            .collect();
        let shipped = CommandGrammar::load_shipped()?;
        let grammar = shipped.with_files(&grammars).map_err(|more| problems.extend(more)).unwrap_or(shipped);
        let grammar = Arc::new(grammar);
        let find = |name: &str| files.iter().find(|file| file.name == name);
        let protected_paths = ProtectedPaths::new(find(protected_paths::FILE))
            .map_err(|error| problems.push(error))
            .ok()
            .map(Arc::new);
        let mut read = |name: ProfileName| {
            let shipped = name.shipped_file();
            let file = find(&name.file_name()).unwrap_or(&shipped);
            let profile =
                AgentProfile::from_file(name, file, &grammar).map_err(|more| problems.extend(more)).ok()?;
            let (protected_paths, grammar) = (Arc::clone(protected_paths.as_ref()?), Arc::clone(&grammar));
            Some(Arc::new(AgentPolicy {
                name,
                profile,
                protected_paths,
                grammar,
                exact_commands: Vec::new(),
            }))
        };
        let [reviewer, auditor, fixer, sync] = ProfileName::ALL.map(&mut read);
        let (Some(reviewer), Some(auditor), Some(fixer), Some(sync), true) =
            (reviewer, auditor, fixer, sync, problems.is_empty())
        else {
            return Err(problems);
        };
        let notes = grammar.duplicate_commands().into_iter().map(|(command, [one, other])| {
            format!(
                "{one} and {other} both list `{command}`: a call is refused if either of them refuses \
                it"
            )
        });
        let notes = notes.collect();
        let mut in_effect: Vec<PolicyFile> =
            shipped_files().filter(|file| find(&file.name).is_none()).collect();
        in_effect.extend(files.iter().cloned());
        in_effect.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Self { reviewer, auditor, fixer, sync, files: in_effect, notes })
    }

    /// Returns the policy of a profile.
    pub fn policy_for(&self, name: ProfileName) -> &Arc<AgentPolicy> {
        match name {
            ProfileName::Reviewer => &self.reviewer,
            ProfileName::Auditor => &self.auditor,
            ProfileName::Fixer => &self.fixer,
            ProfileName::Sync => &self.sync,
        }
    }

    /// Returns the files in effect, sorted by name: the operator's files, and the shipped files that no file
    /// of the operator replaces.
    pub fn files(&self) -> &[PolicyFile] {
        &self.files
    }

    /// Returns notes that inform the operator about commands listed in two grammar files.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

fn shipped_files() -> impl Iterator<Item = PolicyFile> {
    let grammars = SHIPPED_GRAMMARS.iter().map(|(name, text)| PolicyFile::from_shipped(name, text));
    grammars.chain(ProfileName::ALL.map(ProfileName::shipped_file)).chain([protected_paths::shipped_file()])
}

/// Folder of grammars within a policy's folder.
const GRAMMAR_FOLDER: &str = "grammar/";

/// Returns true if `name` is a valid name of a policy file.
fn is_file_name(name: &str) -> bool {
    let is_grammar =
        name.strip_prefix(GRAMMAR_FOLDER).is_some_and(|rest| rest.ends_with(".toml") && !rest.contains('/'));
    is_grammar
        || name == protected_paths::FILE
        || ProfileName::ALL.iter().any(|profile| profile.file_name() == name)
}

fn unknown_file_error(file: &PolicyFile) -> PolicyFileError {
    let profiles = ProfileName::ALL.map(ProfileName::file_name).join(", ");
    file.error(
        None,
        format!(
            "this is not the name of a policy file; the valid names are {profiles}, grammar/PROGRAM.toml \
                and never.toml"
        ),
    )
}

impl AgentPolicy {
    /// Adds command lines that are allowed verbatim, each with the configuration key that lists it, such as
    /// `verify.check`. A profile that only reads ignores these command lines.
    #[must_use]
    pub fn with_exact_commands(&self, exact_commands: Vec<(String, Vec<String>)>) -> Self {
        let exact_commands = match self.name {
            ProfileName::Reviewer | ProfileName::Auditor => Vec::new(),
            ProfileName::Fixer | ProfileName::Sync => exact_commands,
        };
        Self { exact_commands, ..self.clone() }
    }

    pub fn name(&self) -> ProfileName {
        self.name
    }

    /// Decides if an action is allowed.
    pub fn judge(&self, action: AgentAction<'_>) -> PolicyVerdict {
        match action {
            AgentAction::Run(argv) => self.judge_run(argv),
            AgentAction::Read(path) => self.judge_file(FileAccess::Read, path),
            AgentAction::Edit(path) => self.judge_file(FileAccess::Edit, path),
            AgentAction::Write(path) => self.judge_file(FileAccess::Write, path),
            AgentAction::Mcp(operation) => self.judge_mcp(operation),
            AgentAction::Tool(tool) => self.judge_tool(tool),
        }
    }

    /// Judges a command line. If this command runs another command line, that inner line must be allowed,
    /// too.
    fn judge_run(&self, argv: &[&str]) -> PolicyVerdict {
        if let Some((key, _)) = self.exact_commands.iter().find(|(_, words)| words == argv) {
            let rule = PolicyRule { text: format!("{key}: {argv:?}"), file: "the configuration".to_owned() };
            return PolicyVerdict::Allow { rules: vec![rule], runs_code: true };
        }
        let accepted = match self.accept_argv(argv) {
            Ok(accepted) => accepted,
            Err(denied) => return denied,
        };
        let is_code = |accepted: &AcceptedCommand<'_>| accepted.class == CommandClass::RunsCode;
        let Some(inner) = accepted.inner_command else {
            let rules = vec![self.run_rule(&accepted.command)];
            return PolicyVerdict::Allow { rules, runs_code: is_code(&accepted) };
        };
        match self.accept_argv(inner) {
            Ok(within) if within.inner_command.is_some() => {
                deny(format!("`{}` may not run `{}`", accepted.command, within.command), None)
            }
            Ok(within) => {
                let runs_code = is_code(&accepted) || is_code(&within);
                let rules = [accepted.command, within.command].map(|command| self.run_rule(&command));
                PolicyVerdict::Allow { rules: rules.into(), runs_code }
            }
            Err(denied) => denied,
        }
    }

    fn accept_argv<'a>(&'a self, argv: &'a [&str]) -> Result<AcceptedCommand<'a>, PolicyVerdict> {
        let accepted = self.grammar.accept(argv).map_err(|refusal| {
            let whole = argv.first().copied().unwrap_or_default();
            let program = whole.rsplit('/').next().unwrap_or_default();
            let find = |name: &str| self.grammar.commands().iter().find(|command| command.is_program(name));
            let listed = find(whole).or_else(|| find(program));
            let file = listed.map_or_else(
                || format!("{GRAMMAR_FOLDER}{program}.toml"),
                |command| command.file().to_owned(),
            );
            let rule = refusal.required_grammar_rule().map(|text| PolicyRule { text, file });
            deny(refusal.to_string(), rule)
        })?;
        let may = accepted.class == CommandClass::Reads || self.name.runs_code();
        if may && self.profile.may_run(&accepted.command) {
            return Ok(accepted);
        }
        let reason = format!("`{}` is not a command that `{}` may run", accepted.command, self.name.as_str());
        Err(deny(reason, Some(self.run_rule(&accepted.command)).filter(|_| may)))
    }

    /// Creates the rule for this line of the profile.
    fn profile_rule(&self, text: String) -> PolicyRule {
        let text = format!("{}: {text}", self.name.as_str());
        PolicyRule { text, file: self.profile.file.clone() }
    }

    fn run_rule(&self, command: &str) -> PolicyRule {
        self.profile_rule(format!("run {command:?}"))
    }

    fn judge_file(&self, access: FileAccess, path: &str) -> PolicyVerdict {
        let inside = path.chars().all(|letter| !letter.is_control());
        let as_file = RepoPath::from_bytes(path);
        if !inside || !as_file.is_safe_to_write() {
            return deny(format!("{path:?} is not a path of a file in the tree"), None);
        }
        let (profile, does) = (self.name.as_str(), access.as_str());
        let rule = |glob: &str| self.profile_rule(format!("{does} {glob:?}"));
        if access != FileAccess::Read
            && let Some((class, entry)) = self.protected_paths.protecting_entry(&as_file)
        {
            return deny(format!("no agent may {does} {path:?}: the path {class} ({entry:?})"), None);
        }
        match self.profile.matching_glob(access, path) {
            Some(glob) => allow(rule(glob)),
            None => deny(format!("`{profile}` may not {does} {path:?}"), Some(rule(path))),
        }
    }

    fn judge_mcp(&self, operation: &str) -> PolicyVerdict {
        let rule = self.profile_rule(format!("mcp {operation:?}"));
        if self.profile.may_call(operation) {
            return allow(rule);
        }
        deny(format!("`{}` may not call {operation:?}", self.name.as_str()), Some(rule))
    }

    /// Judges a skill or a subagent. The repository may define one of any name, with commands that run when
    /// it is loaded, so an allowed skill or subagent runs code.
    fn judge_tool(&self, tool: &str) -> PolicyVerdict {
        let rule = self.profile_rule(format!("tools {tool:?}"));
        if self.profile.may_use(tool) {
            return PolicyVerdict::Allow { rules: vec![rule], runs_code: true };
        }
        let reason = format!("`{}` may not use {tool:?}", self.name.as_str());
        deny(reason, Some(rule).filter(|_| self.name.runs_code()))
    }
}

impl PolicyVerdict {
    pub fn is_allowed(&self) -> bool {
        match self {
            Self::Allow { .. } => true,
            Self::Deny { .. } => false,
        }
    }
}

fn allow(rule: PolicyRule) -> PolicyVerdict {
    PolicyVerdict::Allow { rules: vec![rule], runs_code: false }
}

fn deny(reason: String, rule: Option<PolicyRule>) -> PolicyVerdict {
    PolicyVerdict::Deny { rule, reason }
}

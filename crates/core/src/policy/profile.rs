//! Profiles: the permissions of one kind of agent.

use std::collections::BTreeSet;
use std::ops::Range;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::glob::check_bounds;
use crate::grammar::{CommandClass, CommandGrammar, CommandSpec, PolicyFile, PolicyFileError};

/// The kinds of agents.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileName {
    /// Agent that reviews pull requests.
    Reviewer,
    /// Agent that audits changes for the converge loop.
    Auditor,
    /// Agent that fixes findings.
    Fixer,
    /// Agent that ports changes of an upstream package.
    Sync,
}

impl ProfileName {
    /// All kinds, in order.
    pub const ALL: [Self; 4] = [Self::Reviewer, Self::Auditor, Self::Fixer, Self::Sync];

    /// Returns the word used in text, arguments and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reviewer => "reviewer",
            Self::Auditor => "auditor",
            Self::Fixer => "fixer",
            Self::Sync => "sync",
        }
    }

    /// Returns the shipped file of this profile.
    pub(super) fn shipped_file(self) -> PolicyFile {
        let text = match self {
            Self::Reviewer => include_str!("../../profiles/reviewer.toml"),
            Self::Auditor => include_str!("../../profiles/auditor.toml"),
            Self::Fixer => include_str!("../../profiles/fixer.toml"),
            Self::Sync => include_str!("../../profiles/sync.toml"),
        };
        PolicyFile::from_shipped(&self.file_name(), text)
    }

    /// Returns the name of the profile's file, relative to a policy's folder.
    pub fn file_name(self) -> String {
        format!("profiles/{}.toml", self.as_str())
    }

    /// Returns true for the profiles `Fixer` and `Sync`, whose agents change files and run code in the
    /// sandbox.
    pub(super) fn runs_code(self) -> bool {
        match self {
            Self::Reviewer | Self::Auditor => false,
            Self::Fixer | Self::Sync => true,
        }
    }
}

/// The format of a profile's file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileFile {
    /// Commands, by their names in the grammars.
    run: Vec<Spanned<String>>,
    /// Globs of files that may be read.
    read: Vec<Spanned<String>>,
    /// Globs of files that may be changed.
    edit: Vec<Spanned<String>>,
    /// Globs of files that may be written.
    write: Vec<Spanned<String>>,
    /// Operations of MCP servers, `SERVER/NAME`.
    mcp: BTreeSet<String>,
    /// Skills and subagents of Claude Code, `Skill/NAME` and `Task/NAME`.
    #[serde(default)]
    tools: Vec<Spanned<String>>,
}

/// The parsed permissions of one kind of agent.
#[derive(Clone, Debug)]
pub(super) struct AgentProfile {
    /// File as displayed to users.
    pub(super) file: String,
    run: BTreeSet<String>,
    read: GlobList,
    edit: GlobList,
    write: GlobList,
    mcp: BTreeSet<String>,
    tools: BTreeSet<String>,
}

/// A list of globs that can return the first glob that matches a path.
#[derive(Clone, Debug)]
struct GlobList {
    patterns: Vec<String>,
    set: GlobSet,
}

impl AgentProfile {
    /// Reads a profile.
    ///
    /// # Errors
    /// All errors of the file: unknown commands, invalid globs, and code execution or file changes in a
    /// profile that does not allow them.
    pub(super) fn from_file(
        name: ProfileName,
        file: &PolicyFile,
        grammar: &CommandGrammar,
    ) -> Result<Self, Vec<PolicyFileError>> {
        let form: ProfileFile = file.parse().map_err(|error| vec![error])?;
        let mut problems = Vec::new();
        for command in &form.run {
            let wrong = match grammar.find(command.get_ref()).map(CommandSpec::class) {
                None => format!("no grammar has the command {:?}", command.get_ref()),
                Some(CommandClass::RunsCode) if !name.runs_code() => {
                    format!(
                        "`{}` runs code of the repository, which only `fixer` and `sync` may do",
                        command.get_ref()
                    )
                }
                Some(CommandClass::RunsCode | CommandClass::Reads) => continue,
            };
            problems.push(file.error(Some(command.span()), wrong));
        }
        let changes = form.edit.iter().chain(&form.write);
        if let Some(glob) = changes.into_iter().next().filter(|_| !name.runs_code()) {
            let what =
                format!("`{}` may not change files: its `edit` and `write` must be empty", name.as_str());
            problems.push(file.error(Some(glob.span()), what));
        }
        for tool in &form.tools {
            let wrong = match is_tool_name(tool.get_ref()) {
                true if name.runs_code() => continue,
                true => format!(
                    "skills and subagents may run code of the repository, which only `fixer` and `sync` may \
                    do: `{}` must list no `tools`",
                    name.as_str()
                ),
                false => format!("{:?} is neither `Skill/NAME` nor `Task/NAME`", tool.get_ref()),
            };
            problems.push(file.error(Some(tool.span()), wrong));
        }
        let mut globs = |texts: Vec<Spanned<String>>| {
            GlobList::new(texts).map_err(|(at, what)| problems.push(file.error(Some(at), what))).ok()
        };
        let built = (globs(form.read), globs(form.edit), globs(form.write));
        match built {
            (Some(read), Some(edit), Some(write)) if problems.is_empty() => Ok(Self {
                file: file.display_path.clone(),
                run: form.run.into_iter().map(Spanned::into_inner).collect(),
                read,
                edit,
                write,
                mcp: form.mcp,
                tools: form.tools.into_iter().map(Spanned::into_inner).collect(),
            }),
            _ => Err(problems),
        }
    }

    pub(super) fn may_run(&self, command: &str) -> bool {
        self.run.contains(command)
    }

    pub(super) fn may_use(&self, tool: &str) -> bool {
        self.tools.contains(tool)
    }

    pub(super) fn may_call(&self, operation: &str) -> bool {
        self.mcp.contains(operation)
    }

    /// Returns the glob that permits this kind of access to `path`.
    pub(super) fn matching_glob(&self, access: FileAccess, path: &str) -> Option<&str> {
        match access {
            FileAccess::Read => self.read.first_match(path),
            FileAccess::Edit => self.edit.first_match(path),
            FileAccess::Write => self.write.first_match(path),
        }
    }
}

/// Returns true for `Skill/NAME` and `Task/NAME`. The name of a plugin may precede `NAME`, as in
/// `docs:review`.
fn is_tool_name(text: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-:.".contains(letter);
    text.strip_prefix("Skill/")
        .or_else(|| text.strip_prefix("Task/"))
        .is_some_and(|name| !name.is_empty() && name.chars().all(is_plain))
}

/// The kind of access to a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FileAccess {
    Read,
    /// Change an existing file.
    Edit,
    /// Write a whole file.
    Write,
}

impl FileAccess {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Edit => "edit",
            Self::Write => "write",
        }
    }
}

impl GlobList {
    fn new(texts: Vec<Spanned<String>>) -> Result<Self, (Range<usize>, String)> {
        let mut set = GlobSetBuilder::new();
        for text in &texts {
            let wrong =
                |reason: String| (text.span(), format!("{:?} is not a valid glob: {reason}", text.get_ref()));
            check_bounds(text.get_ref()).map_err(wrong)?;
            // Case is ignored, because some file systems treat `.GitHub` and `.github` as equal.
            let glob =
                GlobBuilder::new(text.get_ref()).literal_separator(true).case_insensitive(true).build();
            set.add(glob.map_err(|error| wrong(error.kind().to_string()))?);
        }
        let end = texts.last().map_or(0..0, Spanned::span);
        let set = set.build().map_err(|error| (end, error.to_string()))?;
        Ok(Self { patterns: texts.into_iter().map(Spanned::into_inner).collect(), set })
    }

    fn first_match(&self, path: &str) -> Option<&str> {
        let at = self.set.matches(path).into_iter().min()?;
        self.patterns.get(at).map(String::as_str)
    }
}

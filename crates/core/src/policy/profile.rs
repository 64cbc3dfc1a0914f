//! A profile: the list of what one kind of agent may do.

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

/// The kinds of agents.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileName {
    /// Reviews pull requests.
    Reviewer,
    /// Audits changes for the converge loop.
    Auditor,
    /// Fixes findings.
    Fixer,
    /// Follows an upstream package.
    Sync,
}

impl ProfileName {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Reviewer, Self::Auditor, Self::Fixer, Self::Sync];

    /// The word used in text, arguments and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reviewer => "reviewer",
            Self::Auditor => "auditor",
            Self::Fixer => "fixer",
            Self::Sync => "sync",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Reviewer => include_str!("../../profiles/reviewer.toml"),
            Self::Auditor => include_str!("../../profiles/auditor.toml"),
            Self::Fixer => include_str!("../../profiles/fixer.toml"),
            Self::Sync => include_str!("../../profiles/sync.toml"),
        }
    }
}

/// A profile that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the profile `{}` is wrong: {what}", .profile.as_str())]
pub struct ProfileError {
    /// Which one.
    pub profile: ProfileName,
    /// What is wrong with it.
    pub what: String,
}

/// The form of a profile's file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileFile {
    /// Commands, by their names in the grammars.
    run: BTreeSet<String>,
    /// Globs of files that may be read.
    read: Vec<String>,
    /// Globs of files that may be changed.
    edit: Vec<String>,
    /// Globs of files that may be written.
    write: Vec<String>,
    /// Operations of MCP servers, `SERVER/NAME`.
    mcp: BTreeSet<String>,
}

/// A profile.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    run: BTreeSet<String>,
    read: Globs,
    edit: Globs,
    write: Globs,
    mcp: BTreeSet<String>,
}

/// Globs that know which of them matched.
#[derive(Clone, Debug)]
struct Globs {
    texts: Vec<String>,
    set: GlobSet,
}

impl Profile {
    /// A shipped profile; `known` are the commands that there are.
    pub(super) fn shipped(name: ProfileName, known: &[String]) -> Result<Self, ProfileError> {
        Self::parse(name.text(), known).map_err(|what| ProfileError { profile: name, what })
    }

    pub(super) fn parse(text: &str, known: &[String]) -> Result<Self, String> {
        let file: ProfileFile = toml::from_str(text).map_err(|error| error.to_string())?;
        if let Some(command) = file.run.iter().find(|command| !known.contains(command)) {
            return Err(format!("no grammar has the command {command:?}"));
        }
        Ok(Self {
            run: file.run,
            read: Globs::new(file.read)?,
            edit: Globs::new(file.edit)?,
            write: Globs::new(file.write)?,
            mcp: file.mcp,
        })
    }

    pub(super) fn runs(&self, command: &str) -> bool {
        self.run.contains(command)
    }

    pub(super) fn calls(&self, operation: &str) -> bool {
        self.mcp.contains(operation)
    }

    /// The glob that lets `path` be read, edited or written.
    pub(super) fn file(&self, verb: Verb, path: &str) -> Option<&str> {
        match verb {
            Verb::Read => self.read.first(path),
            Verb::Edit => self.edit.first(path),
            Verb::Write => self.write.first(path),
        }
    }
}

/// What may be done to a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verb {
    /// Read it.
    Read,
    /// Change it.
    Edit,
    /// Write it.
    Write,
}

impl Verb {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Edit => "edit",
            Self::Write => "write",
        }
    }
}

impl Globs {
    fn new(texts: Vec<String>) -> Result<Self, String> {
        let mut set = GlobSetBuilder::new();
        for text in &texts {
            // Some file systems do not tell `.GitHub` from `.github`.
            let glob = GlobBuilder::new(text).literal_separator(true).case_insensitive(true).build();
            set.add(glob.map_err(|error| error.to_string())?);
        }
        Ok(Self { texts, set: set.build().map_err(|error| error.to_string())? })
    }

    fn first(&self, path: &str) -> Option<&str> {
        let at = self.set.matches(path).into_iter().min()?;
        self.texts.get(at).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_that_names_no_known_command_is_refused() {
        let text = "run = [\"git psh\"]\nread = []\nedit = []\nwrite = []\nmcp = []\n";
        let error = Profile::parse(text, &["git push".to_owned()]).unwrap_err();
        assert!(error.contains("git psh"), "{error}");
        assert!(Profile::parse(&text.replace("psh", "push"), &["git push".to_owned()]).is_ok());
    }
}

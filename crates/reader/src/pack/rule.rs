//! A rule, ready to be used.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use globset::GlobSet;
use serde::Deserialize;
use truing_core::finding::{DefectCategory, Severity};
use truing_diff::RepoPath;

use super::pattern::RulePattern;
use crate::flow::FlowCheck;
use crate::lines::touches;
use crate::part::{PartSeverity, RepositoryPart};
use crate::rules::companion::{CompanionCheck, HeadFiles};
use crate::rules::size::SizeCheck;
use crate::rules::text::TextCheck;
use crate::syntax::SyntaxCheck;

/// A rule. Its patterns are compiled when they are first needed.
#[derive(Debug)]
pub(crate) struct PackRule {
    /// `pack/rule`.
    pub(crate) name: String,
    pub(crate) severity: Severity,
    pub(crate) category: DefectCategory,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) check: RuleCheck,
    /// Which paths it looks at: those that one of the former matches (none: all) and none of the latter.
    pub(crate) paths: Option<GlobSet>,
    pub(crate) not_paths: GlobSet,
    /// How bad what it finds is in parts of a repository; elsewhere it is `severity`.
    pub(crate) parts: BTreeMap<RepositoryPart, PartSeverity>,
    pub(crate) enabled: bool,
    /// The rule of the same pack that speaks of a whole definition: within one that it reports this one is silent.
    pub(crate) yields_to: Option<String>,
    /// The rules of linters that say the same, `eslint/no-debugger`: their comments silence it, too.
    pub(crate) linters: Vec<String>,
    /// What it finds in released code, in words.
    pub(crate) measured: Option<String>,
    pub(crate) examples: RuleExamples,
}

impl PackRule {
    /// Does it leave definitions that the other reports to it?
    pub(crate) fn yields_to(&self, other: &Self) -> bool {
        let pack = |name: &str| name.rsplit_once('/').map(|(pack, _)| pack.to_owned());
        let id = other.name.rsplit_once('/').map_or(other.name.as_str(), |(_, id)| id);
        self.yields_to.as_deref() == Some(id) && pack(&self.name) == pack(&other.name)
    }

    /// Does the rule look at files of this path?
    pub(crate) fn applies_to(&self, path: &RepoPath) -> bool {
        let path = Path::new(OsStr::from_bytes(path.as_bytes()));
        self.paths.as_ref().is_none_or(|paths| paths.is_match(path)) && !self.not_paths.is_match(path)
    }

    /// How bad what it finds is in a part of a repository (none: the product); none if it is no finding there.
    pub(crate) fn severity_in(&self, part: Option<RepositoryPart>) -> Option<Severity> {
        let there = part.and_then(|part| match (self.parts.get(&part), part) {
            (None, RepositoryPart::Fixture) => self.parts.get(&RepositoryPart::Test),
            (there, _) => there,
        });
        match there {
            None => Some(self.severity),
            Some(PartSeverity::Severity(severity)) => Some(*severity),
            Some(PartSeverity::Off(_)) => None,
        }
    }
}

/// What a rule looks for.
#[derive(Debug)]
pub(crate) enum RuleCheck {
    /// Text, shown as it is.
    Text(TextCheck),
    /// Text that is shown by its first characters only, in this and every other finding.
    Secret(TextCheck),
    /// Code of a form.
    Syntax(SyntaxCheck),
    /// What becomes of values.
    Flow(FlowCheck),
    /// Files that change together.
    Companion(CompanionCheck),
    /// New files over a limit.
    Size(SizeCheck),
}

impl RuleCheck {
    /// The name of the kind, as rule files write it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Secret(_) => "secret",
            Self::Syntax(_) => "syntax",
            Self::Flow(_) => "flow",
            Self::Companion(_) => "companion",
            Self::Size(_) => "size",
        }
    }

    /// Can a rule of syntax match in a file with this content?
    pub(crate) fn may_match(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Syntax(check) => check.may_match(bytes),
            Self::Text(_) | Self::Secret(_) | Self::Flow(_) | Self::Companion(_) | Self::Size(_) => true,
        }
    }

    /// Do the added lines make a match on these lines a finding?
    pub(crate) fn is_added(&self, added: &[(u32, u32)], first: u32, last: u32) -> bool {
        match self {
            Self::Text(check) | Self::Secret(check) if check.both_ends => {
                touches(added, first, first) && touches(added, last, last)
            }
            Self::Text(_)
            | Self::Secret(_)
            | Self::Syntax(_)
            | Self::Flow(_)
            | Self::Companion(_)
            | Self::Size(_) => touches(added, first, last),
        }
    }

    /// What makes a secret one that is tried out and not used.
    pub(crate) fn counterpart(&self) -> Option<&RulePattern> {
        match self {
            Self::Secret(check) => check.counterpart.as_ref(),
            Self::Text(_) | Self::Syntax(_) | Self::Flow(_) | Self::Companion(_) | Self::Size(_) => None,
        }
    }

    /// Does the rule say what to make of what it finds?
    pub(crate) fn has_fix(&self) -> bool {
        match self {
            Self::Text(check) | Self::Secret(check) => check.fix.is_some(),
            Self::Syntax(check) => check.has_fix(),
            Self::Flow(check) => check.has_fix(),
            Self::Companion(_) | Self::Size(_) => false,
        }
    }

    /// The languages that it is about.
    pub(crate) fn languages(&self) -> Vec<&'static str> {
        match self {
            Self::Syntax(check) => check.languages().collect(),
            Self::Flow(_) => vec![FlowCheck::LANGUAGE],
            Self::Text(_) | Self::Secret(_) | Self::Companion(_) | Self::Size(_) => Vec::new(),
        }
    }
}

/// The most bytes of an example that explains a rule: what is longer is made to reach a limit, and explains nothing.
const MOST_SHOWN: usize = 1500;

/// Changes in which a rule must find nothing, or something.
#[derive(Debug, Default)]
pub(crate) struct RuleExamples {
    pub(crate) valid: Vec<RuleExample>,
    pub(crate) invalid: Vec<RuleExample>,
}

/// A change and the files around it.
#[derive(Debug)]
pub(crate) struct RuleExample {
    /// What is shown where it fails.
    pub(crate) shown: String,
    /// Files that are new: path and text.
    pub(crate) changed: Vec<(RepoPath, Vec<u8>)>,
    /// Files that are there and did not change, with their text if it matters.
    pub(crate) unchanged: Vec<(RepoPath, Option<Vec<u8>>)>,
    /// What the suggestions make of the changed file; none: nothing is suggested.
    pub(crate) fixed: Option<String>,
}

/// A whole file, as rule files write it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum TextExample {
    /// Nothing is suggested for it.
    Text(String),
    /// With what the suggestions make of it.
    WithFixed { text: String, fixed: String },
}

impl TextExample {
    /// As a new file.
    pub(super) fn at(self, path: &RepoPath) -> RuleExample {
        match self {
            Self::Text(text) => RuleExample::of_text(path, text),
            Self::WithFixed { text, fixed } => {
                RuleExample { fixed: Some(fixed), ..RuleExample::of_text(path, text) }
            }
        }
    }
}

impl RuleExample {
    /// The text of the one file that it is about, if it is one.
    pub(super) fn code(&self) -> Option<&str> {
        let [(_, text)] = self.changed.as_slice() else { return None };
        str::from_utf8(text).ok().filter(|text| self.unchanged.is_empty() && text.len() <= MOST_SHOWN)
    }

    /// One new file.
    pub(crate) fn of_text(path: &RepoPath, text: String) -> Self {
        let changed = vec![(path.clone(), text.clone().into_bytes())];
        Self { shown: format!("{text:?}"), changed, unchanged: Vec::new(), fixed: None }
    }
}

impl HeadFiles for RuleExample {
    fn exists(&self, path: &RepoPath) -> bool {
        self.unchanged.iter().any(|(known, _)| known == path) || self.text(path).is_some()
    }

    fn text(&self, path: &RepoPath) -> Option<Vec<u8>> {
        let changed = self.changed.iter().find(|(known, _)| known == path).map(|(_, text)| text.clone());
        let unchanged = || self.unchanged.iter().find(|(known, _)| known == path)?.1.clone();
        changed.or_else(unchanged)
    }
}

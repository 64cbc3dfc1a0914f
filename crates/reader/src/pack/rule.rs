//! Defines parsed rules, which runs apply to files.

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
use crate::lines::overlaps_any;
use crate::part::{PartSeverity, RepositoryPart};
use crate::rules::companion::{CompanionCheck, HeadFiles};
use crate::rules::size::SizeCheck;
use crate::rules::text::TextCheck;
use crate::syntax::SyntaxCheck;

/// Rule of a pack. Its patterns are compiled when they are used for the first time.
#[derive(Debug)]
pub(crate) struct PackRule {
    /// Full name of the rule, `pack/rule`.
    pub(crate) name: String,
    pub(crate) severity: Severity,
    pub(crate) category: DefectCategory,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) check: RuleCheck,
    /// Globs that select the files to which the rule applies. The rule applies to a path that matches a glob
    /// in `paths` (or to every path if `paths` is `None`) and no glob in `not_paths`.
    pub(crate) paths: Option<GlobSet>,
    pub(crate) excluded_paths: GlobSet,
    /// Severities of findings in certain parts of a repository. In parts without an entry, `severity`
    /// applies.
    pub(crate) part_severities: BTreeMap<RepositoryPart, PartSeverity>,
    pub(crate) enabled: bool,
    /// Rule of the same pack that reports whole definitions. If that rule reports a definition, this rule
    /// reports nothing within the definition.
    pub(crate) yields_to: Option<String>,
    /// Equivalent rules of linters, such as `eslint/no-debugger`. A comment that disables one of these linter
    /// rules also suppresses the findings of this rule.
    pub(crate) equivalent_linter_rules: Vec<String>,
    /// Description of the rule's findings in released code.
    pub(crate) hit_statistics: Option<String>,
    pub(crate) examples: RuleExamples,
}

impl PackRule {
    /// Returns true if this rule reports nothing within definitions that `other` reports.
    pub(crate) fn yields_to(&self, other: &Self) -> bool {
        let pack = |name: &str| name.rsplit_once('/').map(|(pack, _)| pack.to_owned());
        let id = other.name.rsplit_once('/').map_or(other.name.as_str(), |(_, id)| id);
        self.yields_to.as_deref() == Some(id) && pack(&self.name) == pack(&other.name)
    }

    /// Returns true if the rule applies to files of this path.
    pub(crate) fn applies_to(&self, path: &RepoPath) -> bool {
        let path = Path::new(OsStr::from_bytes(path.as_bytes()));
        self.paths.as_ref().is_none_or(|paths| paths.is_match(path)) && !self.excluded_paths.is_match(path)
    }

    /// Returns the severity in a part of a repository; the part `None` is the product. Returns `None` if the
    /// rule is off in this part.
    pub(crate) fn severity_in(&self, part: Option<RepositoryPart>) -> Option<Severity> {
        let there = part.and_then(|part| match (self.part_severities.get(&part), part) {
            (None, RepositoryPart::Fixture) => self.part_severities.get(&RepositoryPart::Test),
            (there, _) => there,
        });
        match there {
            None => Some(self.severity),
            Some(PartSeverity::Severity(severity)) => Some(*severity),
            Some(PartSeverity::Off(_)) => None,
        }
    }
}

/// The check that a rule performs, by the rule's kind.
#[derive(Debug)]
pub(crate) enum RuleCheck {
    /// Text that matches a regular expression. A finding shows the matched text unchanged.
    Text(TextCheck),
    /// Secret that matches a regular expression. Every finding, even a finding of another rule, shows only
    /// the first characters of the secret.
    Secret(TextCheck),
    /// Code that a rule of ast-grep matches.
    Syntax(SyntaxCheck),
    /// Use of values in Python code.
    Flow(FlowCheck),
    /// Files that must change together.
    Companion(CompanionCheck),
    /// New files over a limit.
    Size(SizeCheck),
}

impl RuleCheck {
    /// Returns the name of the kind in rule files.
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

    /// Returns true if a syntax rule can match in a file with this content.
    pub(crate) fn may_match(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Syntax(check) => check.may_match(bytes),
            Self::Text(_) | Self::Secret(_) | Self::Flow(_) | Self::Companion(_) | Self::Size(_) => true,
        }
    }

    /// Returns true if the match is a finding of the change, because the required lines of the match were
    /// added.
    pub(crate) fn is_on_added_lines(
        &self,
        added_lines: &[(u32, u32)],
        first_line: u32,
        last_line: u32,
    ) -> bool {
        match self {
            Self::Text(check) | Self::Secret(check) if check.requires_both_ends_added => {
                overlaps_any(added_lines, first_line, first_line)
                    && overlaps_any(added_lines, last_line, last_line)
            }
            Self::Text(_)
            | Self::Secret(_)
            | Self::Syntax(_)
            | Self::Flow(_)
            | Self::Companion(_)
            | Self::Size(_) => overlaps_any(added_lines, first_line, last_line),
        }
    }

    /// Returns the pattern of a secret rule that shows that secrets in a file are test values.
    pub(crate) fn counterpart_pattern(&self) -> Option<&RulePattern> {
        match self {
            Self::Secret(check) => check.counterpart_pattern.as_ref(),
            Self::Text(_) | Self::Syntax(_) | Self::Flow(_) | Self::Companion(_) | Self::Size(_) => None,
        }
    }

    /// Returns true if the rule proposes a fix.
    pub(crate) fn has_fix(&self) -> bool {
        match self {
            Self::Text(check) | Self::Secret(check) => check.fix.is_some(),
            Self::Syntax(check) => check.has_fix(),
            Self::Flow(check) => check.has_fix(),
            Self::Companion(_) | Self::Size(_) => false,
        }
    }

    /// Returns the languages of the files to which a syntax rule or flow rule applies; empty for other kinds.
    pub(crate) fn languages(&self) -> Vec<&'static str> {
        match self {
            Self::Syntax(check) => check.languages().collect(),
            Self::Flow(_) => vec![FlowCheck::LANGUAGE],
            Self::Text(_) | Self::Secret(_) | Self::Companion(_) | Self::Size(_) => Vec::new(),
        }
    }
}

/// Maximum length in bytes of an example on a rule's page. Longer examples only test limits, and do not
/// help people who read the page.
const MAX_SHOWN_EXAMPLE_BYTES: usize = 1500;

/// Changes in which a rule must find nothing, and changes in which it must find something.
#[derive(Debug, Default)]
pub(crate) struct RuleExamples {
    pub(crate) valid: Vec<RuleExample>,
    pub(crate) invalid: Vec<RuleExample>,
}

/// Example: a change, and files that did not change.
#[derive(Debug)]
pub(crate) struct RuleExample {
    /// Text that identifies the example in a failure.
    pub(crate) label: String,
    /// Files that were added, with their paths and texts.
    pub(crate) changed_files: Vec<(RepoPath, Vec<u8>)>,
    /// Files that did not change, each with its text if the rule may read the file.
    pub(crate) unchanged_files: Vec<(RepoPath, Option<Vec<u8>>)>,
    /// Text of the changed file after the suggestions are applied; `None` if the rule must suggest nothing.
    pub(crate) fixed_text: Option<String>,
}

/// Example of one whole file, as it is written in a rule file.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum TextExample {
    /// The text of a file for which the rule must make no suggestion.
    Text(String),
    /// The text of a file, and the text after the rule's suggestions are applied.
    WithFixed {
        text: String,
        #[serde(rename = "fixed")]
        fixed_text: String,
    },
}

impl TextExample {
    /// Converts this example to a change that adds one file.
    pub(super) fn into_example(self, path: &RepoPath) -> RuleExample {
        match self {
            Self::Text(text) => RuleExample::from_text(path, text),
            Self::WithFixed { text, fixed_text: fixed } => {
                RuleExample { fixed_text: Some(fixed), ..RuleExample::from_text(path, text) }
            }
        }
    }
}

impl RuleExample {
    /// Returns the example's text, if the example is one short file of text.
    pub(super) fn displayable_code(&self) -> Option<&str> {
        let [(_, text)] = self.changed_files.as_slice() else { return None };
        str::from_utf8(text)
            .ok()
            .filter(|text| self.unchanged_files.is_empty() && text.len() <= MAX_SHOWN_EXAMPLE_BYTES)
    }

    /// Creates an example with one new file.
    pub(crate) fn from_text(path: &RepoPath, text: String) -> Self {
        let changed = vec![(path.clone(), text.clone().into_bytes())];
        Self {
            label: format!("{text:?}"),
            changed_files: changed,
            unchanged_files: Vec::new(),
            fixed_text: None,
        }
    }
}

impl HeadFiles for RuleExample {
    fn exists(&self, path: &RepoPath) -> bool {
        self.unchanged_files.iter().any(|(known, _)| known == path) || self.read_file(path).is_some()
    }

    fn read_file(&self, path: &RepoPath) -> Option<Vec<u8>> {
        let changed =
            self.changed_files.iter().find(|(known, _)| known == path).map(|(_, text)| text.clone());
        let unchanged = || self.unchanged_files.iter().find(|(known, _)| known == path)?.1.clone();
        changed.or_else(unchanged)
    }
}

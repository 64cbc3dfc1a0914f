//! Parses rule files in TOML: text, secret, flow, companion and size rules.

use std::collections::BTreeMap;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use toml::Spanned;
use truing_core::finding::{DefectCategory, Severity};
use truing_core::glob::check_bounds;
use truing_core::nesting::{TOO_DEEP_REASON, is_too_deep};
use truing_diff::RepoPath;

use super::error::{PackError, line_and_column};
use super::pattern::RulePattern;
use super::rule::{PackRule, RuleCheck, RuleExample, RuleExamples, TextExample};
use crate::flow::{FlowCheck, FlowKind};
use crate::part::{PartSeverity, RepositoryPart};
use crate::rules::companion::CompanionCheck;
use crate::rules::size::SizeCheck;
use crate::rules::text::{TextCheck, TextFix};

/// Length of the shortest keyword, in bytes. Shorter keywords occur in almost every file and would therefore
/// exclude no files.
const MIN_KEYWORD_BYTES: usize = 3;
/// Maximum size of a size rule's example, in bytes or lines. The size is limited because `rules test` creates
/// the example.
const MAX_EXAMPLE_BYTES_OR_LINES: u32 = 32 << 20;

/// The field `kind` of a rule file. This field is parsed first, because it determines which other fields the
/// file may contain.
#[derive(Deserialize)]
struct RuleKindField {
    kind: TomlRuleKind,
}

/// Kinds of rules that are written in TOML.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TomlRuleKind {
    Text,
    Secret,
    Flow,
    Companion,
    Size,
}

/// Declares the struct for rule files of one kind, with the common fields of all rules and the fields of this
/// kind. Serde's attribute `flatten` is not used, because it would lose the positions of fields.
macro_rules! rule_file {
    ($(#[$doc:meta])* $name:ident of $example:ty { $($(#[$attribute:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct $name {
            id: Spanned<String>,
            #[serde(rename = "kind")]
            _kind: IgnoredAny,
            severity: Severity,
            category: DefectCategory,
            title: Spanned<String>,
            body: Spanned<String>,
            #[serde(default)]
            paths: Vec<Spanned<String>>,
            #[serde(default)]
            not_paths: Vec<Spanned<String>>,
            #[serde(default)]
            parts: BTreeMap<RepositoryPart, PartSeverity>,
            #[serde(default = "default_true")]
            enabled: bool,
            measured: Option<String>,
            #[serde(default)]
            linters: Vec<String>,
            valid: Spanned<Vec<$example>>,
            invalid: Spanned<Vec<$example>>,
            $($(#[$attribute])* $field: $type,)*
        }

        impl $name {
            /// Builds the rule with this check. The function `example` converts each example in the file.
            fn rule(
                self,
                source: &RuleFileSource<'_>,
                check: RuleCheck,
                example: impl Fn($example) -> RuleExample,
            ) -> Result<PackRule, PackError> {
                source.ensure_valid(
                    *self.id.get_ref() == source.file_stem,
                    "id",
                    self.id.span().start,
                    "the id must be the file's name without the extension",
                )?;
                for (field, value, lines) in [("title", &self.title, 1), ("body", &self.body, usize::MAX)] {
                    let text = value.get_ref().trim();
                    let right = !text.is_empty() && text.lines().count() <= lines;
                    let message = "the text must not be empty, and a title must be one line";
                    source.ensure_valid(right, field, value.span().start, message)?;
                }
                for (field, examples) in [("valid", &self.valid), ("invalid", &self.invalid)] {
                    let message = "at least one example is needed";
                    let offset = examples.span().start;
                    source.ensure_valid(!examples.get_ref().is_empty(), field, offset, message)?;
                }
                let globs = source.compile_globs("paths", &self.paths)?;
                let paths = Some(globs).filter(|_| !self.paths.is_empty());
                let examples = |examples: Spanned<Vec<$example>>| {
                    examples.into_inner().into_iter().map(&example).collect()
                };
                Ok(PackRule {
                    name: source.name.to_owned(),
                    severity: self.severity,
                    category: self.category,
                    title: self.title.into_inner(),
                    body: self.body.into_inner().trim().to_owned(),
                    check,
                    paths,
                    excluded_paths: source.compile_globs("not_paths", &self.not_paths)?,
                    part_severities: self.parts,
                    enabled: self.enabled,
                    yields_to: None,
                    equivalent_linter_rules: self.linters,
                    hit_statistics: self.measured,
                    examples: RuleExamples { valid: examples(self.valid), invalid: examples(self.invalid) },
                })
            }
        }
    };
}

rule_file! {
    /// Fields of a text or secret rule.
    TextFile of TextExample {
        keywords: Spanned<Vec<String>>,
        pattern: Spanned<String>,
        second_pattern: Option<Spanned<String>>,
        entropy: Option<Spanned<f64>>,
        #[serde(default)]
        allow: Vec<Spanned<String>>,
        fix: Option<Spanned<FixTable>>,
        counterpart: Option<Spanned<String>>,
        #[serde(default)]
        both_ends: bool,
        node: Option<String>,
        names: Option<Spanned<String>>,
        #[serde(default = "default_example_path")]
        example_path: String,
    }
}

/// Replacement for the matched lines.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FixTable {
    pattern: Spanned<String>,
    replacement: String,
}

rule_file! {
    /// Fields of a flow rule.
    FlowFile of TextExample {
        follows: FlowKind,
        #[serde(default = "default_python_example_path")]
        example_path: String,
    }
}

rule_file! {
    /// Fields of a companion rule.
    CompanionFile of CompanionExample {
        added: Option<Spanned<String>>,
        under: Option<Spanned<String>>,
        companions: Spanned<Vec<String>>,
        companion_added: Option<Spanned<String>>,
        #[serde(default)]
        companion_holds: Vec<String>,
        #[serde(default)]
        above_holds: Vec<String>,
        #[serde(default)]
        unless_holds: Vec<String>,
        #[serde(default)]
        even_if_missing: bool,
        #[serde(default)]
        overrides: bool,
        #[serde(default)]
        pieces: Vec<String>,
        #[serde(default)]
        named: bool,
    }
}

rule_file! {
    /// Fields of a size rule.
    SizeFile of SizeExample {
        max_bytes: Option<u64>,
        max_lines: Option<u32>,
        #[serde(default = "default_example_path")]
        example_path: String,
    }
}

/// Example of a change: added files with their texts, and unchanged files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CompanionExample {
    #[serde(rename = "changed")]
    changed_files: BTreeMap<String, String>,
    #[serde(default)]
    unchanged: Vec<String>,
    #[serde(default)]
    #[serde(rename = "beside")]
    unchanged_texts: BTreeMap<String, String>,
}

/// Example of a new file with a number of bytes and lines.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SizeExample {
    bytes: u32,
    #[serde(default = "default_line_count")]
    lines: u32,
}

fn default_true() -> bool {
    true
}

fn default_line_count() -> u32 {
    1
}

fn default_example_path() -> String {
    "file.txt".to_owned()
}

fn default_python_example_path() -> String {
    "file.py".to_owned()
}

/// Path of a rule file, and the name of the rule in this file.
struct RuleFileSource<'a> {
    file: &'a str,
    text: &'a str,
    file_stem: &'a str,
    name: &'a str,
}

impl RuleFileSource<'_> {
    fn deserialize<T: DeserializeOwned>(&self) -> Result<T, PackError> {
        if is_too_deep(self.text) {
            let (file, message) = (self.file.to_owned(), TOO_DEEP_REASON.to_owned());
            return Err(PackError::Invalid { file, line: 1, column: 1, message });
        }
        toml::from_str(self.text).map_err(|error| {
            let (line, column) = line_and_column(self.text, error.span().map_or(0, |span| span.start));
            PackError::Invalid {
                file: self.file.to_owned(),
                line,
                column,
                message: error.message().to_owned(),
            }
        })
    }

    fn field_error(&self, field: &str, offset: usize, message: &str) -> PackError {
        let (line, column) = line_and_column(self.text, offset);
        let message = format!("rule `{}`: {field}: {message}", self.name);
        PackError::Invalid { file: self.file.to_owned(), line, column, message }
    }

    fn ensure_valid(
        &self,
        is_valid: bool,
        field: &str,
        offset: usize,
        message: &str,
    ) -> Result<(), PackError> {
        if is_valid { Ok(()) } else { Err(self.field_error(field, offset, message)) }
    }

    fn parse_pattern(&self, field: &str, value: &Spanned<String>) -> Result<RulePattern, PackError> {
        RulePattern::parse(value.get_ref())
            .map_err(|message| self.field_error(field, value.span().start, &message))
    }

    fn compile_globs(&self, field: &str, values: &[Spanned<String>]) -> Result<GlobSet, PackError> {
        let mut globs = GlobSetBuilder::new();
        for value in values {
            check_bounds(value.get_ref())
                .map_err(|reason| self.field_error(field, value.span().start, &reason))?;
            let glob = GlobBuilder::new(value.get_ref()).literal_separator(true).build();
            globs.add(glob.map_err(|error| self.field_error(field, value.span().start, &error.to_string()))?);
        }
        globs.build().map_err(|error| self.field_error(field, 0, &error.to_string()))
    }
}

/// Parses the rule `name` in a file. The field `id` in the file must equal `file_stem`.
pub(super) fn parse(file: &str, text: &str, file_stem: &str, name: &str) -> Result<PackRule, PackError> {
    let source = RuleFileSource { file, text, file_stem, name };
    match source.deserialize::<RuleKindField>()?.kind {
        TomlRuleKind::Text => parse_text_rule(&source, false),
        TomlRuleKind::Secret => parse_text_rule(&source, true),
        TomlRuleKind::Flow => {
            let file: FlowFile = source.deserialize()?;
            let (path, check) = (RepoPath::from_text(&file.example_path), FlowCheck { kind: file.follows });
            file.rule(&source, RuleCheck::Flow(check), |example| example.into_example(&path))
        }
        TomlRuleKind::Companion => parse_companion_rule(&source),
        TomlRuleKind::Size => parse_size_rule(&source),
    }
}

fn parse_text_rule(source: &RuleFileSource<'_>, is_secret: bool) -> Result<PackRule, PackError> {
    let file: TextFile = source.deserialize()?;
    let keywords = file.keywords.get_ref();
    let long_enough =
        !keywords.is_empty() && keywords.iter().all(|keyword| keyword.len() >= MIN_KEYWORD_BYTES);
    let message = format!(
        "at least one keyword is required, and each keyword must have {MIN_KEYWORD_BYTES} bytes or more"
    );
    source.ensure_valid(long_enough, "keywords", file.keywords.span().start, &message)?;
    if let Some(entropy) = &file.entropy {
        source.ensure_valid(
            is_secret,
            "entropy",
            entropy.span().start,
            "this field is allowed only in rules for secrets",
        )?;
    }
    if let Some(counterpart) = &file.counterpart {
        source.ensure_valid(
            is_secret,
            "counterpart",
            counterpart.span().start,
            "this field is allowed only in rules for secrets",
        )?;
    }
    if let Some(fix) = &file.fix {
        source.ensure_valid(
            !is_secret,
            "fix",
            fix.span().start,
            "a rule for secrets cannot have a fix, because a secret must be revoked, not only removed",
        )?;
    }
    let check = TextCheck {
        keywords: keywords.clone(),
        pattern: source.parse_pattern("pattern", &file.pattern)?,
        second_pattern: file
            .second_pattern
            .as_ref()
            .map(|value| source.parse_pattern("second_pattern", value))
            .transpose()?,
        min_entropy: file.entropy.as_ref().map(|entropy| *entropy.get_ref()),
        placeholder_patterns: file
            .allow
            .iter()
            .map(|value| source.parse_pattern("allow", value))
            .collect::<Result<_, _>>()?,
        counterpart_pattern: file
            .counterpart
            .as_ref()
            .map(|value| source.parse_pattern("counterpart", value))
            .transpose()?,
        requires_both_ends_added: file.both_ends,
        node_kind: file.node.clone(),
        resolved_name_pattern: file
            .names
            .as_ref()
            .map(|value| source.parse_pattern("names", value))
            .transpose()?,
        fix: file.fix.as_ref().map(|fix| parse_text_fix(source, fix.get_ref())).transpose()?,
    };
    let check = if is_secret { RuleCheck::Secret(check) } else { RuleCheck::Text(check) };
    let path = RepoPath::from_text(&file.example_path);
    file.rule(source, check, |example| example.into_example(&path))
}

fn parse_text_fix(source: &RuleFileSource<'_>, fix: &FixTable) -> Result<TextFix, PackError> {
    let pattern = source.parse_pattern("fix.pattern", &fix.pattern)?;
    Ok(TextFix { pattern, replacement: fix.replacement.clone() })
}

fn parse_companion_rule(source: &RuleFileSource<'_>) -> Result<PackRule, PackError> {
    let file: CompanionFile = source.deserialize()?;
    let companions = file.companions.get_ref();
    let inside =
        |path: &String| RepoPath::from_bytes(path.strip_prefix('/').unwrap_or(path)).stays_within_folder();
    let right = !companions.is_empty() && companions.iter().all(inside);
    let message = "at least one path is needed, each inside the repository";
    source.ensure_valid(right, "companions", file.companions.span().start, message)?;
    let optional = |field: &str, value: &Option<Spanned<String>>| {
        value.as_ref().map(|value| source.parse_pattern(field, value)).transpose()
    };
    let check = CompanionCheck {
        added_pattern: optional("added", &file.added)?,
        block_pattern: optional("under", &file.under)?,
        companions: companions.clone(),
        companion_added_pattern: optional("companion_added", &file.companion_added)?,
        exempting_companion_texts: file.companion_holds.clone(),
        required_parent_companion_texts: file.above_holds.clone(),
        exempting_texts: file.unless_holds.clone(),
        reports_missing: file.even_if_missing,
        is_override_table: file.overrides,
        methods: file.pieces.clone(),
        requires_name: file.named,
    };
    file.rule(source, RuleCheck::Companion(check), |example| {
        let files = example.changed_files.into_iter();
        let unchanged = example.unchanged.iter().map(|path| (RepoPath::from_text(path), None));
        let beside = example.unchanged_texts.into_iter();
        let beside = beside.map(|(path, text)| (RepoPath::from_text(&path), Some(text.into_bytes())));
        RuleExample {
            label: format!("{:?}", example.unchanged),
            changed_files: files
                .map(|(path, text)| (RepoPath::from_text(&path), text.into_bytes()))
                .collect(),
            unchanged_files: unchanged.chain(beside).collect(),
            fixed_text: None,
        }
    })
}

fn parse_size_rule(source: &RuleFileSource<'_>) -> Result<PackRule, PackError> {
    let file: SizeFile = source.deserialize()?;
    let check = SizeCheck { max_bytes: file.max_bytes, max_lines: file.max_lines };
    let limited = file.max_bytes.is_some() || file.max_lines.is_some();
    source.ensure_valid(limited, "max_bytes", 0, "max_bytes or max_lines is required")?;
    for (field, examples) in [("valid", &file.valid), ("invalid", &file.invalid)] {
        let small = |example: &SizeExample| example.bytes.max(example.lines) <= MAX_EXAMPLE_BYTES_OR_LINES;
        let message = format!(
            "an example may have at most {MAX_EXAMPLE_BYTES_OR_LINES} bytes, and at most the same number \
                of lines"
        );
        source.ensure_valid(examples.get_ref().iter().all(small), field, examples.span().start, &message)?;
    }
    let path = RepoPath::from_text(&file.example_path);
    file.rule(source, RuleCheck::Size(check), |SizeExample { bytes, lines }| {
        let mut text = vec![b'\n'; lines as usize];
        text.resize((bytes as usize).max(lines as usize), b'x');
        text.reverse();
        let label = format!("of {bytes} bytes and {lines} lines");
        RuleExample {
            label,
            changed_files: vec![(path.clone(), text)],
            unchanged_files: Vec::new(),
            fixed_text: None,
        }
    })
}

//! Parses rule files in YAML: ast-grep's own rules, with Truing's fields under `metadata.truing`.

use std::collections::BTreeMap;

use ast_grep_config::Severity as AstGrepSeverity;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Deserialize;
use serde_saphyr::Spanned;
use truing_core::finding::{DefectCategory, Severity};
use truing_core::glob::check_bounds;
use truing_diff::RepoPath;

use super::error::PackError;
use super::rule::{PackRule, RuleCheck, RuleExamples, TextExample};
use crate::part::{PartSeverity, RepositoryPart};
use crate::syntax::{RuleSyntaxError, SourceLanguage, SyntaxCheck, from_yaml};

/// Keys of a rule file that Truing reads. ast-grep also reads some of these keys, and checks all other keys.
#[derive(Deserialize)]
struct YamlRuleFile {
    id: Option<Spanned<String>>,
    language: Spanned<String>,
    message: Option<Spanned<String>>,
    #[serde(default)]
    note: String,
    #[serde(default)]
    severity: AstGrepSeverity,
    #[serde(default)]
    files: Vec<Spanned<PathGlob>>,
    #[serde(default)]
    ignores: Vec<Spanned<PathGlob>>,
    #[serde(default)]
    metadata: RuleMetadata,
}

/// A glob of paths, which is written as text or as an object with options.
#[derive(Deserialize)]
#[serde(untagged)]
enum PathGlob {
    Text(String),
    #[serde(rename_all = "camelCase")]
    WithOptions {
        glob: String,
        #[serde(default)]
        case_insensitive: bool,
    },
}

#[derive(Deserialize, Default)]
struct RuleMetadata {
    #[serde(default)]
    truing: TruingMetadata,
}

/// Truing's own fields under `metadata.truing`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct TruingMetadata {
    severity: Option<Severity>,
    category: Option<DefectCategory>,
    #[serde(rename = "parts")]
    part_severities: BTreeMap<RepositoryPart, PartSeverity>,
    enabled: Option<bool>,
    #[serde(rename = "also")]
    additional_languages: Vec<Spanned<String>>,
    yields_to: Option<String>,
    linters: Vec<String>,
    #[serde(rename = "measured")]
    hit_statistics: Option<String>,
    example_path: Option<String>,
    valid: Vec<TextExample>,
    invalid: Vec<TextExample>,
}

/// Parses the rule `name` in a file. If the file has a field `id`, it must equal `file_stem`.
pub(super) fn parse(file: &str, text: &str, file_stem: &str, name: &str) -> Result<PackRule, PackError> {
    let at = |error: RuleSyntaxError| PackError::Invalid {
        file: file.to_owned(),
        line: error.line,
        column: error.column,
        message: error.message,
    };
    let raw: YamlRuleFile = from_yaml(text).map_err(at)?;
    if let Some(given) = raw.id.as_ref().filter(|given| given.value != file_stem) {
        return Err(at(syntax_error(
            &given.referenced,
            "id: the id must be the file's name without the extension".into(),
        )));
    }
    let mut languages = Vec::new();
    for given in std::iter::once(&raw.language).chain(&raw.metadata.truing.additional_languages) {
        let Some(language) = SourceLanguage::from_name(&given.value) else {
            let known = SourceLanguage::all_names();
            let message =
                format!("the language `{}` is not supported (supported languages: {known})", given.value);
            return Err(at(syntax_error(&given.referenced, message)));
        };
        languages.push(language);
    }
    let check = SyntaxCheck::parse(text, &languages).map_err(at)?;

    let ours = raw.metadata.truing;
    let (severity, on) = match raw.severity {
        AstGrepSeverity::Error => (Severity::P1, true),
        AstGrepSeverity::Warning | AstGrepSeverity::Info | AstGrepSeverity::Hint => (Severity::P2, true),
        AstGrepSeverity::Off => (Severity::P2, false),
    };
    let message = raw.message.as_ref().map(|given| given.value.trim()).unwrap_or_default();
    if let Some(given) = raw.message.as_ref().filter(|_| message.lines().count() > 1) {
        let reason = "message: the title of a finding must be one line; write more text into `note`";
        return Err(at(syntax_error(&given.referenced, reason.to_owned())));
    }
    let example_path = ours
        .example_path
        .unwrap_or_else(|| languages.first().map_or_else(String::new, |it| it.example_path()));
    let example_path = RepoPath::from_text(&example_path);
    let examples = |examples: Vec<TextExample>| {
        examples.into_iter().map(|example| example.into_example(&example_path)).collect()
    };
    Ok(PackRule {
        name: name.to_owned(),
        severity: ours.severity.unwrap_or(severity),
        category: ours.category.unwrap_or(DefectCategory::J),
        title: if message.is_empty() { file_stem } else { message }.to_owned(),
        body: if raw.note.trim().is_empty() { message } else { raw.note.trim() }.to_owned(),
        check: RuleCheck::Syntax(check),
        paths: if raw.files.is_empty() { None } else { Some(build_glob_set(&raw.files).map_err(at)?) },
        excluded_paths: build_glob_set(&raw.ignores).map_err(at)?,
        part_severities: ours.part_severities,
        enabled: ours.enabled.unwrap_or(on),
        yields_to: ours.yields_to,
        equivalent_linter_rules: ours.linters,
        hit_statistics: ours.hit_statistics,
        examples: RuleExamples { valid: examples(ours.valid), invalid: examples(ours.invalid) },
    })
}

fn syntax_error(location: &serde_saphyr::Location, message: String) -> RuleSyntaxError {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    RuleSyntaxError { line: number(location.line()), column: number(location.column()), message }
}

/// Compiles ast-grep's globs, in which `*` also matches `/`.
fn build_glob_set(values: &[Spanned<PathGlob>]) -> Result<GlobSet, RuleSyntaxError> {
    let mut globs = GlobSetBuilder::new();
    for value in values {
        let (text, any_case) = match &value.value {
            PathGlob::Text(text) => (text, false),
            PathGlob::WithOptions { glob, case_insensitive } => (glob, *case_insensitive),
        };
        check_bounds(text).map_err(|reason| syntax_error(&value.referenced, reason))?;
        let glob = GlobBuilder::new(text).case_insensitive(any_case).build();
        globs.add(glob.map_err(|error| syntax_error(&value.referenced, error.to_string()))?);
    }
    globs.build().map_err(|error| RuleSyntaxError { line: 1, column: 1, message: error.to_string() })
}

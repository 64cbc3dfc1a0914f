//! Parses one module: its front matter and its text. The text is split at the variables.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use truing_core::nesting::{TOO_DEEP_REASON, is_too_deep};
use truing_core::template::{TemplatePart, is_variable_name, parse_parts};

use super::problem::{PromptProblem, PromptProblemKind};
use super::value::VariableKind;

/// The line before and after the front matter.
pub(super) const FRONT_MATTER_DELIMITER: &str = "+++";
/// Maximum number of bytes of a module.
pub(super) const MAX_MODULE_BYTES: usize = 64 << 10;

/// A module that was parsed and passed all checks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PromptModule {
    pub(super) name: String,
    /// Path of the file that contains the module.
    pub(super) file: String,
    pub(super) description: String,
    pub(super) variables: BTreeMap<String, PromptVariable>,
    pub(super) includes: Vec<String>,
    /// Number of the line that lists the includes.
    pub(super) includes_line: u32,
    /// Pieces of the text; empty for a module that only includes others.
    pub(super) template_parts: Vec<TemplatePart>,
}

/// A variable as its module declares it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PromptVariable {
    pub(super) kind: VariableKind,
    pub(super) description: String,
    /// Default value; `None` if the variable requires a value.
    pub(super) default: Option<String>,
    /// Line of the declaration.
    pub(super) line: u32,
}

/// The front matter, with the fields of the file format.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FrontMatter {
    pub(super) name: String,
    pub(super) description: String,
    #[serde(default)]
    pub(super) includes: Vec<String>,
    #[serde(default)]
    pub(super) variables: BTreeMap<String, VariableDeclaration>,
}

/// The declaration of a variable, with the fields of the file format.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VariableDeclaration {
    #[serde(rename = "type")]
    pub(super) kind: VariableKind,
    pub(super) description: String,
    pub(super) required: Option<bool>,
    pub(super) default: Option<String>,
}

impl PromptModule {
    /// Parses a module. The front matter must contain `name`. Adds every problem to `problems`, and returns
    /// `None` if the text cannot be parsed as a module.
    pub(super) fn parse(
        name: &str,
        file: &str,
        text: &str,
        problems: &mut Vec<PromptProblem>,
    ) -> Option<Self> {
        let mut wrong = |line: usize, what| {
            let line = u32::try_from(line).unwrap_or(u32::MAX);
            problems.push(PromptProblem { file: file.to_owned(), line, kind: what });
        };
        let text = text.replace("\r\n", "\n");
        if text.len() > MAX_MODULE_BYTES {
            wrong(1, PromptProblemKind::TooLong(MAX_MODULE_BYTES));
            return None;
        }
        let Some((front, body, body_line)) = split_front_matter(&text) else {
            wrong(1, PromptProblemKind::NoFrontMatter);
            return None;
        };
        if is_too_deep(front) {
            wrong(2, PromptProblemKind::FrontMatter(TOO_DEEP_REASON.to_owned()));
            return None;
        }
        let FrontMatter { name: front_matter_name, description, variables, includes } =
            match toml::from_str(front) {
                Ok(front) => front,
                Err(error) => {
                    let before = error.span().and_then(|span| front.get(..span.start)).unwrap_or_default();
                    wrong(
                        2 + before.matches('\n').count(),
                        PromptProblemKind::FrontMatter(error.message().to_owned()),
                    );
                    return None;
                }
            };
        // The front matter begins on line 2 of the file, after the line `+++`.
        let line_of = |words: &str| 2 + front.lines().position(|line| line.starts_with(words)).unwrap_or(0);
        if front_matter_name != name {
            wrong(
                line_of("name"),
                PromptProblemKind::NameMismatch { front_matter_name, name: name.to_owned() },
            );
        }
        let mut declared = BTreeMap::new();
        for (name, VariableDeclaration { kind, description, required, default }) in variables {
            let line = line_of(&format!("[variables.{name}]"));
            if !is_variable_name(&name) {
                wrong(line, PromptProblemKind::BadVariableName(name.clone()));
            }
            if required == Some(default.is_some()) {
                wrong(line, PromptProblemKind::RequiredAndDefault(name.clone()));
            }
            if let Some(Err(what)) = default.as_ref().map(|default| kind.check_value(&name, default)) {
                wrong(line, what);
            }
            let line = u32::try_from(line).unwrap_or(u32::MAX);
            declared.insert(name, PromptVariable { kind, description, default, line });
        }
        let pieces = parse_template(body, body_line, &mut wrong);
        let mut used = Vec::new();
        for (at, piece) in pieces.iter().enumerate() {
            let TemplatePart::Variable { name, line } = piece else { continue };
            used.push(name.as_str());
            match declared.get(name) {
                None => wrong(*line as usize, PromptProblemKind::Undeclared(name.clone())),
                Some(variable) if variable.kind == VariableKind::Data && !is_alone_on_line(&pieces, at) => {
                    wrong(*line as usize, PromptProblemKind::DataWithinLine(name.clone()));
                }
                Some(_) => {}
            }
        }
        for (name, variable) in declared.iter().filter(|(name, _)| !used.contains(&name.as_str())) {
            wrong(variable.line as usize, PromptProblemKind::Unused(name.clone()));
        }
        if pieces.is_empty() && includes.is_empty() {
            wrong(body_line, PromptProblemKind::EmptyModule);
        }
        let includes_line = u32::try_from(line_of("includes")).unwrap_or(u32::MAX);
        let (name, file) = (name.to_owned(), file.to_owned());
        Some(Self {
            name,
            file,
            description,
            variables: declared,
            includes,
            includes_line,
            template_parts: pieces,
        })
    }

    pub(super) fn problem(&self, line: u32, kind: PromptProblemKind) -> PromptProblem {
        PromptProblem { file: self.file.clone(), line, kind }
    }
}

/// Splits a module into the front matter, the text after it, and the line on which that text begins.
fn split_front_matter(text: &str) -> Option<(&str, &str, usize)> {
    let rest = text.strip_prefix(FRONT_MATTER_DELIMITER)?.strip_prefix('\n')?;
    let end = match rest.strip_prefix(FRONT_MATTER_DELIMITER) {
        Some(_) => 0,
        None => rest.find("\n+++")? + 1,
    };
    let (front, rest) = rest.split_at_checked(end)?;
    let body = rest.strip_prefix(FRONT_MATTER_DELIMITER)?;
    let body = if body.is_empty() { body } else { body.strip_prefix('\n')? };
    Some((front, body, 3 + front.matches('\n').count()))
}

/// Splits the body of a module at its variables.
fn parse_template(
    body: &str,
    first_line: usize,
    report_problem: &mut impl FnMut(usize, PromptProblemKind),
) -> Vec<TemplatePart> {
    let skipped = body.len() - body.trim_start_matches('\n').len();
    let body = body.trim_start_matches('\n').trim_end();
    parse_parts(body, first_line + skipped, &mut |line| {
        report_problem(line, PromptProblemKind::InvalidPlaceholder);
    })
}

/// Returns true if the variable at this index is alone on its line.
fn is_alone_on_line(template_parts: &[TemplatePart], index: usize) -> bool {
    let before = index.checked_sub(1).and_then(|before| template_parts.get(before));
    let begins = match before {
        None => true,
        Some(TemplatePart::Text(words)) => words.ends_with('\n'),
        Some(TemplatePart::Variable { .. }) => false,
    };
    let ends = match template_parts.get(index + 1) {
        None => true,
        Some(TemplatePart::Text(words)) => words.starts_with('\n'),
        Some(TemplatePart::Variable { .. }) => false,
    };
    begins && ends
}

//! Instructions for reviews, parsed from a file's tables or a variable's JSON.

use serde_json::{Map, Value as Json, json};
use toml::de::DeTable;
use truing_core::instruction::{PathInstruction, PathInstructions};
use truing_core::tier::RuleOwner;

use super::tiers::{TableEntryError, invalid_glob_error, table_to_json};
use super::{ConfigValueError, requirement_error};

/// Maximum number of instructions of one file.
const MAX_INSTRUCTIONS: usize = 20;
/// Maximum length of an instruction's text, in bytes.
const MAX_TEXT_BYTES: usize = 4 << 10;

/// Returns a description of a valid list, as the text of an error after the word `must`.
pub(crate) fn instruction_list_requirement() -> &'static str {
    "be a list of tables such as { paths = [\"src/db/**\"], text = \"Each query has a limit.\" } (in a \
        variable: a JSON array)"
}

/// Returns an error for a list of more than [`MAX_INSTRUCTIONS`] instructions.
pub(crate) fn refuse_too_many(count: usize) -> Result<(), ConfigValueError> {
    if count > MAX_INSTRUCTIONS {
        Err(requirement_error(format_args!("have at most {MAX_INSTRUCTIONS} instructions, not {count}")))
    } else {
        Ok(())
    }
}

/// Reads an instruction from a table of a file. `origin` is the table's position as displayed to users.
///
/// # Errors
/// All errors in the table.
pub(crate) fn instruction_from_toml(
    table: &DeTable<'_>,
    origin: &str,
    owner: RuleOwner,
) -> Result<PathInstruction, Vec<TableEntryError>> {
    parse_instruction(&table_to_json(table), origin, owner)
}

/// Reads instructions from a variable, as JSON.
pub(super) fn instructions_from_text(text: &str) -> Result<Vec<PathInstruction>, ConfigValueError> {
    let tables: Vec<Map<String, Json>> =
        serde_json::from_str(text).map_err(|_| requirement_error(instruction_list_requirement()))?;
    refuse_too_many(tables.len())?;
    let all = (1_usize..).zip(&tables).map(|(number, fields)| {
        let found =
            parse_instruction(fields, &format!("review.instructions, entry {number}"), RuleOwner::Operator);
        found.map_err(|faults| {
            faults
                .into_iter()
                .next()
                .map_or(requirement_error(instruction_list_requirement()), |fault| fault.error)
        })
    });
    all.collect()
}

fn parse_instruction(
    fields: &Map<String, Json>,
    origin: &str,
    owner: RuleOwner,
) -> Result<PathInstruction, Vec<TableEntryError>> {
    let mut faults = Vec::new();
    let (mut repos, mut paths, mut text) = (Vec::new(), Vec::new(), None);
    for (name, value) in fields {
        let read = match (name.as_str(), owner) {
            ("repos", RuleOwner::Repository) => {
                Err(requirement_error("not be set here: only the operator's file may set `repos`"))
            }
            ("repos", RuleOwner::Operator) => parse_globs(value).map(|globs| repos = globs),
            ("paths", _) => parse_globs(value).map(|globs| paths = globs),
            ("text", _) => match value.as_str() {
                Some(words) if !words.trim().is_empty() && words.len() <= MAX_TEXT_BYTES => {
                    text = Some(words.to_owned());
                    Ok(())
                }
                Some(_) | None => {
                    Err(requirement_error(format_args!("be a text of at most {MAX_TEXT_BYTES} bytes")))
                }
            },
            _ => Err(requirement_error(
                "not be set; an instruction has `paths`, `text` and, in the operator's file, `repos`",
            )),
        };
        faults.extend(read.err().map(|wrong| TableEntryError { key: Some(name.clone()), error: wrong }));
    }
    match text {
        Some(text) if faults.is_empty() && !paths.is_empty() => {
            Ok(PathInstruction { origin: origin.to_owned(), owner, repos, paths, text })
        }
        Some(_) | None => {
            if faults.is_empty() {
                faults.push(TableEntryError {
                    key: None,
                    error: requirement_error("have `paths` and a `text`"),
                });
            }
            Err(faults)
        }
    }
}

/// Reads a list of globs.
fn parse_globs(value: &Json) -> Result<Vec<String>, ConfigValueError> {
    let globs = serde_json::from_value::<Vec<String>>(value.clone());
    let globs = globs.map_err(|error| requirement_error(format_args!("be a list of globs: {error}")))?;
    if let Some(fault) = invalid_glob_error(&globs) {
        return Err(requirement_error(fault));
    }
    let (origin, text, owner) = (String::new(), String::new(), RuleOwner::Operator);
    let probe = PathInstruction { origin, owner, repos: globs.clone(), paths: globs.clone(), text };
    match PathInstructions::new(vec![probe]) {
        Ok(_) => Ok(globs),
        Err(error) => Err(requirement_error(format_args!("contain valid globs: {error}"))),
    }
}

/// Renders an instruction as JSON, with the same fields as in a file.
pub(super) fn to_json(instruction: &PathInstruction) -> Json {
    let mut fields = json!({ "paths": instruction.paths, "text": instruction.text });
    if !instruction.repos.is_empty() {
        fields["repos"] = json!(instruction.repos);
    }
    fields
}

/// Renders instructions as an inline list of TOML.
pub(super) fn to_toml(instructions: &[PathInstruction]) -> String {
    let all: Vec<Json> = instructions.iter().map(to_json).collect();
    toml::Value::try_from(all).map_or_else(|_| "[]".to_owned(), |value| value.to_string())
}

/// Returns the schema of one instruction.
pub(crate) fn schema_of_instruction() -> Json {
    let texts = json!({ "type": "array", "minItems": 1, "items": { "type": "string" } });
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["paths", "text"],
        "properties": {
            "repos": texts, "paths": texts,
            "text": { "type": "string", "minLength": 1, "maxLength": MAX_TEXT_BYTES }
        }
    })
}

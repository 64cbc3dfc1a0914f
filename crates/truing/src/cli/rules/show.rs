//! `truing rules show`: one rule, with the file that it is from.

use std::path::Path;

use serde::Serialize;
use truing_loops::text::counted;
use truing_reader::{Listed, Packs, Written};

use crate::cli::Context;
use crate::cli::error::{CliError, Exit};
use crate::wiring;

/// A rule, for programs.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    listed: &'a Listed<'a>,
    /// From the folder of packs if it is built in, else as this machine finds it.
    file: &'a str,
    built_in: bool,
    /// The number of examples in which nothing must be found.
    valid: usize,
    /// The number of those in which something must be found.
    invalid: usize,
    text: &'a str,
}

/// Shows the rule of this name.
pub(super) fn run(name: &str, context: &Context) -> Result<Exit, CliError> {
    let rules = context.config(&[])?.rules;
    let packs = wiring::packs(&rules).map_err(wiring::reader_error)?;
    let whole = whole_name(name, &packs)?;
    let found = packs.written(&whole).map_err(|error| wiring::reader_error(error.into()))?;
    let rule = found.ok_or_else(|| unknown(name, &packs, &[]))?;
    // A folder may add rules to a pack that is built in, and replaces none: what is there is the rule's own file.
    let own = rules.dir.map(|dir| dir.join(rule.file)).filter(|path| path.is_file());
    let (file, built_in) = match own.as_deref().map(Path::display) {
        Some(path) => (path.to_string(), false),
        None => (rule.file.to_owned(), true),
    };
    let Written { listed, text, valid, invalid, .. } = &rule;
    let answer = Answer { listed, file: &file, built_in, valid: *valid, invalid: *invalid, text };
    context.output.answer(&answer, || as_text(&answer))?;
    Ok(Exit::Done)
}

/// `core/x  P1 F  syntax (python)  title`.
pub(super) fn line(rule: &Listed<'_>) -> String {
    let languages = match rule.languages.as_slice() {
        [] => String::new(),
        languages => format!(" ({})", languages.join(", ")),
    };
    let off = if rule.enabled { "" } else { " [off]" };
    let (name, severity, category) = (rule.rule, rule.severity.as_str(), rule.category);
    format!("{name}  {severity} {category:?}  {}{languages}{off}\n  {}\n", rule.kind, rule.title)
}

/// The rule as it is listed, where it is from, how many tests it has, and its file.
fn as_text(answer: &Answer<'_>) -> String {
    let from = if answer.built_in { " (built in)" } else { "" };
    let (valid, invalid) = (counted(answer.valid, "example"), counted(answer.invalid, "example"));
    let tests = format!("{valid} in which it must find nothing, {invalid} in which it must find something");
    let (line, file, text) = (line(answer.listed), answer.file, answer.text.trim_end());
    format!("{line}  {file}{from}\n  {tests}\n\n{text}\n")
}

/// The name with its pack. One without a pack must be that of one rule alone.
fn whole_name(name: &str, packs: &Packs) -> Result<String, CliError> {
    if name.contains('/') {
        return Ok(name.to_owned());
    }
    let rules = packs.list().map_err(|error| wiring::reader_error(error.into()))?;
    let is_meant = |rule: &&Listed<'_>| id(rule.rule) == name;
    let meant: Vec<&str> = rules.iter().filter(is_meant).map(|rule| rule.rule).collect();
    match meant.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => {
            let ids: Vec<&str> = rules.iter().map(|rule| id(rule.rule)).collect();
            Err(unknown(name, packs, &ids))
        }
        several => {
            let message = format!("{} packs have a rule `{name}`", several.len());
            Err(CliError::usage("several_rules", message)
                .hint(format!("name one with its pack: {}", several.join(", "))))
        }
    }
}

/// A rule's name without its pack.
fn id(rule: &str) -> &str {
    rule.rsplit_once('/').map_or(rule, |(_, id)| id)
}

/// There is no such rule; `ids` are the names that it could be meant to be, if it was named without a pack.
fn unknown(name: &str, packs: &Packs, ids: &[&str]) -> CliError {
    let told = CliError::usage("unknown_rule", format!("there is no rule `{name}`"));
    if packs.names().contains(&name) {
        return told.hint(format!("`{name}` is a pack: `truing rules list` shows its rules"));
    }
    let listed = packs.list().unwrap_or_default();
    let known = listed.iter().map(|rule| rule.rule).chain(ids.iter().copied());
    match wiring::nearest(name, known) {
        Some(near) => told.hint(format!("did you mean `{near}`?")),
        None => told.hint(
            "`truing rules list` shows the rules; `rules.dir` in the configuration names the folder of your own",
        ),
    }
}

//! Runs rules on their own examples.

use truing_core::port::{ChangedFile, ReaderError};
use truing_diff::RepoPath;

use super::rule::RuleExample;
use super::{PackError, RulePacks};
use crate::content::DecodedContent;
use crate::engine::RuleSet;
use crate::line_edits::{LineEdit, apply_line_edits};
use crate::rules::companion::ChangeContext;
use crate::stack::run_on_large_stack;
use crate::syntax::ParserPool;

impl RulePacks {
    /// Runs every rule of these packs, enabled or not, on the rule's own examples. If `names` is empty, runs
    /// the rules of all packs.
    ///
    /// # Errors
    ///
    /// [`ReaderError::UnknownPack`] for a pack that does not exist, [`ReaderError::BadPack`] for a pattern
    /// over the size limit.
    pub fn run_examples(&self, names: &[String]) -> Result<ExampleResults, ReaderError> {
        let names: Vec<&str> =
            if names.is_empty() { self.pack_names() } else { names.iter().map(String::as_str).collect() };
        let packs = names.into_iter().map(|name| self.pack_rules(name)).collect::<Result<Vec<_>, _>>()?;
        run_on_large_stack(|| {
            let mut tested = ExampleResults::default();
            for rule in packs.into_iter().flatten() {
                tested.rule_count += 1;
                if rule.examples.valid.is_empty() && rule.examples.invalid.is_empty() {
                    tested.untested_rules.push(rule.name.clone());
                }
                let alone = RuleSet::new(vec![rule])?;
                let valid = rule.examples.valid.iter().map(|example| (example, false));
                for (example, expected) in valid.chain(rule.examples.invalid.iter().map(|it| (it, true))) {
                    tested.example_count += 1;
                    let (found, fixed) = run_example(&alone, example)?;
                    let (name, shown) = (&rule.name, &example.label);
                    if found != expected {
                        let what =
                            if expected { "finds nothing in invalid" } else { "finds something in valid" };
                        tested.failure_messages.push(format!("{name} {what} example {shown}"));
                    } else if fixed != example.fixed_text {
                        let made = fixed.map_or("no suggestion".to_owned(), |fixed| format!("{fixed:?}"));
                        tested.failure_messages.push(format!("{name} suggests {made} for example {shown}"));
                    }
                }
            }
            Ok(tested)
        })
        .unwrap_or_else(|error| Err(PackError::ThreadStartFailed(error.to_string()).into()))
    }
}

/// Results of the rules on their own examples.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ExampleResults {
    /// Number of rules that were run.
    pub rule_count: usize,
    /// Number of examples that were run.
    pub example_count: usize,
    /// One line for each example that fails: a `valid` example with a finding, an `invalid` example without a
    /// finding, or an example with unexpected suggestions.
    pub failure_messages: Vec<String>,
    /// Rules without an example, whose findings are therefore untested.
    pub untested_rules: Vec<String>,
}

/// Applies a rule to an example. Returns true if the rule finds something. If the rule makes suggestions,
/// also returns the file with the suggestions applied. Returns an error if a file of the example cannot be
/// read.
pub(super) fn run_example(
    rule_set: &RuleSet<'_>,
    example: &RuleExample,
) -> Result<(bool, Option<String>), ReaderError> {
    let new = |(path, _): &(RepoPath, Vec<u8>)| ChangedFile {
        path: path.clone(),
        old_path: None,
        added_lines: vec![(1, u32::MAX)],
        secrets_only: false,
    };
    let files: Vec<ChangedFile> = example.changed_files.iter().map(new).collect();
    let change = ChangeContext::new(&files, &[], example);
    let (mut found, mut fixed) = (false, None);
    for (file, (path, text)) in files.iter().zip(&example.changed_files) {
        let content = DecodedContent::from_bytes(text.clone());
        let examined = rule_set.check_file(file, &content, &change, &mut ParserPool::default())?;
        found = found || !examined.findings.is_empty();
        let edits: Vec<LineEdit> = examined.findings.iter().filter_map(LineEdit::from_finding).collect();
        if !edits.is_empty() {
            fixed = Some(String::from_utf8_lossy(&apply_line_edits(path, text, &edits).bytes).into_owned());
        }
    }
    Ok((found, fixed))
}

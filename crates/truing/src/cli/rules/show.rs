//! The command `truing rules show`: explains one rule, or prints its file.

use std::path::Path;

use serde::Serialize;
use truing_loops::text::format_count;
use truing_reader::{ListedRule, RulePacks, RuleSource};

use crate::cli::CommandContext;
use crate::cli::columns::fold_line;
use crate::cli::error::{CliError, CommandExit};
use crate::wiring;

/// The rule in the JSON output.
#[derive(Serialize)]
struct RulesShowJson<'a> {
    #[serde(flatten)]
    rule: &'a ListedRule<'a>,
    /// Path of the rule's file: relative to the embedded packs for a built-in rule, else a path on this
    /// machine.
    file: &'a str,
    built_in: bool,
    /// Number of examples in which the rule must find nothing.
    valid: usize,
    /// Number of examples in which the rule must find something.
    invalid: usize,
    text: &'a str,
}

/// Prints the rule of this name: an explanation or, if `shows_source` is set, its file.
pub(super) fn run(name: &str, shows_source: bool, context: &CommandContext) -> Result<CommandExit, CliError> {
    let rules = context.config(&[])?.rules;
    let packs = wiring::load_packs(&rules).map_err(wiring::reader_error)?;
    let whole = qualified_rule_name(name, &packs)?;
    let found = packs.find_rule(&whole).map_err(|error| wiring::reader_error(error.into()))?;
    let rule = found.ok_or_else(|| unknown_rule_error(name, &packs, &[]))?;
    // A rule in the folder `rules.dir` cannot replace a built-in rule. A rule whose file is in this folder is
    // therefore not built in.
    let own = rules.pack_folder.map(|dir| dir.join(rule.file)).filter(|path| path.is_file());
    let (file, built_in) = match own.as_deref().map(Path::display) {
        Some(path) => (path.to_string(), false),
        None => (rule.file.to_owned(), true),
    };
    let RuleSource { rule: listed, text, valid_example_count: valid, invalid_example_count: invalid, .. } =
        &rule;
    let answer =
        RulesShowJson { rule: listed, file: &file, built_in, valid: *valid, invalid: *invalid, text };
    context.output.print_answer(&answer, || {
        if shows_source { text.to_string() } else { explain_rule(&rule, &answer) }
    })?;
    Ok(CommandExit::Success)
}

/// Formats a rule in the form `core/x  P1 F  syntax (python)  title`, with this separator before the title.
pub(super) fn rule_line(rule: &ListedRule<'_>, title_separator: &str) -> String {
    let languages = match rule.languages.as_slice() {
        [] => String::new(),
        languages => format!(" ({})", languages.join(", ")),
    };
    let off = if rule.enabled { "" } else { " [off]" };
    let (name, severity, category) = (rule.name, rule.severity.as_str(), rule.category);
    format!("{name}  {severity} {category:?}  {}{languages}{off}{title_separator}{}\n", rule.kind, rule.title)
}

/// Explains a rule: its effect, the reason, bad and good code, the fix, the suppression, and the source.
fn explain_rule(rule: &RuleSource<'_>, answer: &RulesShowJson<'_>) -> String {
    let RuleSource { rule: listed, valid_code: good, invalid_code: bad, fixed_code: fixed, has_fix, .. } =
        rule;
    let wrapped = |line: &str| match line.strip_prefix("  ") {
        Some(title) => fold_line("  ", title),
        None => fold_line("", line),
    };
    let mut text: String = rule_line(listed, "\n  ").lines().map(wrapped).collect();
    let mut part = |title: &str, body: &str| text += &format!("\n{title}:\n{body}");
    // A body that equals the title is not printed, because the title was already printed.
    if listed.body != listed.title {
        part("Why it matters", &wrap_markdown(listed.body));
    }
    if let Some(code) = bad {
        part("Bad", &indent_code(code));
    }
    // If the rule has a fix, the fixed version of the bad code is shown as good code; otherwise, a valid
    // example is shown.
    if let Some(code) = fixed.or(*good) {
        part("Good", &indent_code(code));
    }
    part("Fix", &fold_line("  ", if *has_fix { FIX_HINT } else { "Manual: the rule proposes no fix." }));
    let suppressed = format!("  truing: ignore[{}] the reason\n", listed.name);
    part("To suppress a finding, put this in a comment on its line or on the line before", &suppressed);
    let valid = format_count(answer.valid, "example");
    let from = if answer.built_in { " (built in)" } else { "" };
    let tests =
        format!("  {valid} without a finding, {} with a finding (`--source` shows them)\n", answer.invalid);
    part("File", &format!("  {}{from}\n{tests}", answer.file));
    text
}

/// Text that explains how to apply a rule's fix.
const FIX_HINT: &str = "`truing review --fix` applies the fix if it is proven that nothing else changes.";

/// Indents lines of code.
fn indent_code(code: &str) -> String {
    code.lines().map(|line| format!("    {line}").trim_end().to_owned() + "\n").collect()
}

/// Formats Markdown for a terminal: paragraphs are wrapped; lists and code stay as they are.
fn wrap_markdown(markdown: &str) -> String {
    let is_laid_out = |line: &str| line.starts_with(['-', '*', ' ']) || line.starts_with("```");
    let shown = |paragraph: &str| match paragraph.lines().any(is_laid_out) {
        true => paragraph.lines().map(|line| fold_line("  ", line)).collect(),
        false => fold_line("  ", &paragraph.split_whitespace().collect::<Vec<_>>().join(" ")),
    };
    markdown.trim().split("\n\n").map(shown).collect::<Vec<String>>().join("\n")
}

/// Returns the rule's name with its pack. Returns an error if the name has no pack and no rule, or more than
/// one, has this name.
fn qualified_rule_name(name: &str, packs: &RulePacks) -> Result<String, CliError> {
    if name.contains('/') {
        return Ok(name.to_owned());
    }
    let rules = packs.list_rules().map_err(|error| wiring::reader_error(error.into()))?;
    let is_meant = |rule: &&ListedRule<'_>| unqualified_rule_name(rule.name) == name;
    let meant: Vec<&str> = rules.iter().filter(is_meant).map(|rule| rule.name).collect();
    match meant.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => {
            let ids: Vec<&str> = rules.iter().map(|rule| unqualified_rule_name(rule.name)).collect();
            Err(unknown_rule_error(name, packs, &ids))
        }
        several => {
            let message = format!("{} packs have a rule `{name}`", several.len());
            Err(CliError::usage("several_rules", message)
                .hint(format!("specify the rule with its pack: {}", several.join(", "))))
        }
    }
}

/// Returns a rule's name without its pack.
fn unqualified_rule_name(rule: &str) -> &str {
    rule.rsplit_once('/').map_or(rule, |(_, id)| id)
}

/// Returns the error for an unknown rule. If the user named the rule without a pack, `rule_ids` contains the
/// rule names to suggest.
fn unknown_rule_error(name: &str, packs: &RulePacks, rule_ids: &[&str]) -> CliError {
    let cli_error = CliError::usage("unknown_rule", format!("there is no rule `{name}`"));
    if packs.pack_names().contains(&name) {
        return cli_error.hint(format!("`{name}` is a pack: `truing rules list` shows its rules"));
    }
    let listed = packs.list_rules().unwrap_or_default();
    let known = listed.iter().map(|rule| rule.name).chain(rule_ids.iter().copied());
    match wiring::nearest_name(name, known) {
        Some(near) => cli_error.hint(format!("did you mean `{near}`?")),
        None => cli_error.hint(
            "`truing rules list` shows the rules; `rules.dir` in the configuration names the folder of \
            your own packs",
        ),
    }
}

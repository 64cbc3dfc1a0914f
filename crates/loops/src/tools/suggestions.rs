//! Turns the findings of a linter that the repository does not use into suggestions.

use std::collections::BTreeMap;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use truing_core::finding::{RawFinding, Severity};
use truing_core::identity::PlacedFinding;
use truing_core::line::format_count;
use truing_core::outcome::ToolRunResult;
use truing_core::port::ToolFindings;
use truing_reader::output::known::SuggestedRun;

/// Maximum number of findings of one rule that are suggested in a review. A team that accepts the advice
/// finds the other places itself.
const MAX_SUGGESTIONS_PER_RULE: usize = 3;
/// Folders and files that usually hold generated code, or code of other projects.
const USUALLY_GENERATED: [&str; 5] = ["dist/", "node_modules/", "third_party/", "vendor/", "*.min.*"];
/// Attribute of git by which a repository marks generated files.
const GENERATED_ATTRIBUTE: &str = "linguist-generated";
/// Maximum number of lines of attributes that are read.
const MAX_ATTRIBUTE_LINES: usize = 500;
/// Longest pattern of attributes, in bytes.
const MAX_PATTERN_BYTES: usize = 200;
/// Maximum size in bytes of a file of attributes that is read.
const MAX_ATTRIBUTES_BYTES: u64 = 1 << 20;

/// Keeps the findings of a suggested linter that the table of tools lists, each as a suggestion that blocks
/// nothing. Drops findings in generated files. A problem of such a linter does not make the review partial,
/// because the repository does not use the linter; it only keeps earlier findings open.
pub(super) fn keep_suggestions(run: &SuggestedRun, tool: &str, tree: &Path, found: &mut ToolFindings) {
    let generated = generated_files(tree);
    let is_listed = |raw: &RawFinding| {
        let rule = raw.rule.split_once('/').map_or("", |(_, rule)| rule);
        let is_of_rule =
            run.rules.is_empty() || run.rules.iter().any(|prefix| rule.starts_with(prefix.as_str()));
        let path = raw.location.path.as_str();
        is_of_rule && !path.is_some_and(|path| generated.matched_path_or_any_parents(path, false).is_ignore())
    };
    found.findings.retain(is_listed);
    for raw in &mut found.findings {
        raw.severity = raw.severity.max(Severity::P2);
        let space = if raw.body.is_empty() { "" } else { "\n\n" };
        raw.body += &format!("{space}This is a suggestion: Truing found no configuration of {tool} here.");
    }
    let problems = std::mem::take(&mut found.problems);
    found.keeps_open = found.keeps_open.take().or_else(|| problems.into_iter().next());
}

/// Returns the patterns of the files that are usually generated, and of those that the repository's
/// attributes mark as generated.
fn generated_files(tree: &Path) -> Gitignore {
    let path = tree.join(".gitattributes");
    let is_small = std::fs::symlink_metadata(&path)
        .is_ok_and(|found| found.is_file() && found.len() <= MAX_ATTRIBUTES_BYTES);
    let text = if is_small { std::fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
    let mut patterns = GitignoreBuilder::new("");
    for pattern in USUALLY_GENERATED {
        patterns.add_line(None, pattern).ok();
    }
    for line in text.lines().take(MAX_ATTRIBUTE_LINES) {
        let mut words = line.split_whitespace();
        let pattern = words.next().filter(|word| !word.starts_with(['#', '!', '"']));
        let is_generated = words.any(|word| {
            word.strip_prefix(GENERATED_ATTRIBUTE).is_some_and(|value| matches!(value, "" | "=true" | "=1"))
        });
        if let Some(pattern) = pattern.filter(|pattern| is_generated && pattern.len() <= MAX_PATTERN_BYTES) {
            // A pattern that is no glob marks nothing.
            patterns.add_line(None, pattern).ok();
        }
    }
    patterns.build().unwrap_or_else(|_| Gitignore::empty())
}

/// Keeps the first suggestions of each rule. `is_suggestion` is true for a finding of a suggested linter. The
/// result of such a linter then says how many findings are not shown, and its earlier findings stay open.
pub(crate) fn limit_suggestions(
    findings: &mut Vec<PlacedFinding>,
    runs: &mut [ToolRunResult],
    is_suggestion: impl Fn(&RawFinding) -> bool,
) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    findings.retain(|placed| {
        if !is_suggestion(&placed.raw) {
            return true;
        }
        let count = counts.entry(placed.raw.rule.clone()).or_default();
        *count += 1;
        *count <= MAX_SUGGESTIONS_PER_RULE
    });
    for (rule, count) in counts {
        let Some((tool, _)) = rule.split_once('/') else { continue };
        let Some(run) = runs.iter_mut().find(|run| run.name == tool) else { continue };
        if let Some(hidden) = count.checked_sub(MAX_SUGGESTIONS_PER_RULE).filter(|hidden| *hidden > 0) {
            let hidden_count = u32::try_from(hidden).unwrap_or(u32::MAX);
            run.findings = run.findings.saturating_sub(hidden_count);
            let hidden = format_count(hidden, "more finding");
            run.keeps_open.get_or_insert_with(|| format!("{hidden} of `{rule}` not shown"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_attributes_mark_as_generated_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let text = "# a\n*.min.js -diff linguist-generated\n.licenses/** linguist-generated=true\n\
            lib/x.js linguist-generated=false\ndist/index.js linguist-generated=1\n";
        std::fs::write(folder.path().join(".gitattributes"), text).unwrap();
        let generated = generated_files(folder.path());
        let is_generated = |path: &str| generated.matched_path_or_any_parents(path, false).is_ignore();
        for path in ["a/b.min.js", ".licenses/npm/a.yml", "dist/index.js", "a/vendor/b.go"] {
            assert!(is_generated(path), "{path}");
        }
        for path in ["a/b.js", "lib/x.js", "index.js", "src/distance.js"] {
            assert!(!is_generated(path), "{path}");
        }
    }
}

//! Compares the version of a linter that runs with the version that the repository pins. Leaves out rules
//! that the pinned version lacks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use truing_core::line::{clean_line, format_count};

use super::linter_runner::{LinterFiles, LinterRunMethod, LinterRunner};
use super::linter_tree::MAX_CONFIGURATION_BYTES;
use super::machine::run_in_project_setup;
use super::missing_requirements::{find_version, version_numbers};
use super::select::SelectedLinter;

/// Maximum number of characters of a note about a version.
const MAX_NOTE_CHARS: usize = 300;

/// A difference between the version that runs and the version that the repository pins.
#[derive(Debug, Default)]
pub(super) struct VersionDifference {
    /// Sentence for users that names both versions. `None` if the versions are the same, or not known.
    pub(super) note: Option<String>,
    /// Rules that the pinned version lacks.
    pub(super) newer_rules: BTreeSet<String>,
}

/// A rule in the list that a linter prints of its own rules.
#[derive(Debug, Deserialize)]
struct ListedRule {
    name: String,
    /// The short name, by which findings name the rule. Newer rules have none.
    #[serde(default)]
    code: Option<String>,
    /// The rule's status, such as `Stable`, with the version since which the rule has this status.
    #[serde(default)]
    status: BTreeMap<String, serde_json::Value>,
}

impl LinterRunner {
    /// Compares the version of a linter with the version that the repository pins.
    pub(super) async fn compare_pinned_version(
        &self,
        tool: &SelectedLinter,
        method: &LinterRunMethod<'_>,
        files: LinterFiles<'_>,
    ) -> VersionDifference {
        let known_tool = tool.known_tool().filter(|row| row.program == tool.program);
        let (Some(pinned), Some(known_tool)) = (&tool.pinned_version, known_tool) else {
            return VersionDifference::default();
        };
        let printed = self.printed_text(tool, method, &known_tool.version, files).await;
        let Some(installed) = printed.as_deref().and_then(find_version) else {
            return VersionDifference::default();
        };
        if has_same_version(installed, &pinned.version) {
            return VersionDifference::default();
        }
        let is_newer = version_numbers(installed) > version_numbers(&pinned.version);
        let listed = match known_tool.rule_versions.as_slice() {
            arguments @ [_, ..] if is_newer => self.printed_text(tool, method, arguments, files).await,
            _ => None,
        };
        let has_preview = tool.hook_options.iter().any(|option| option == "--preview")
            || enables_preview(&files.tree.join(&tool.folder).join(&tool.sign_path));
        let newer_rules =
            listed.map(|text| rules_since(&text, &pinned.version, has_preview)).unwrap_or_default();
        let file = tool.to_tree_path(&pinned.file);
        let note = format!("{} {installed} ran; {file} pins {}", tool.name, pinned.version);
        let left_out = match newer_rules.len() {
            0 => String::new(),
            count => format!(
                "; findings of {} that {} lacks are left out",
                format_count(count, "rule"),
                pinned.version
            ),
        };
        VersionDifference { note: Some(clean_line(&(note + &left_out), MAX_NOTE_CHARS)), newer_rules }
    }

    /// Runs a linter's program with arguments that print a text. `None` if the program fails.
    pub(super) async fn printed_text(
        &self,
        tool: &SelectedLinter,
        method: &LinterRunMethod<'_>,
        arguments: &[String],
        files: LinterFiles<'_>,
    ) -> Option<String> {
        let output = match method {
            LinterRunMethod::MachineProgram(installed) => {
                self.version_output(tool, installed, arguments, files).await?.1
            }
            LinterRunMethod::ProjectSetup(verifier, set_up) => {
                run_in_project_setup(tool, verifier, set_up, arguments.to_vec(), files.tree).await.ok()?
            }
        };
        Some(output.stdout)
    }
}

/// Returns true if two versions have the same numbers. A shorter version stands for all versions that begin
/// with its numbers, such as `8` for `8.57.1`; packages of programs may add a number (`0.9.0.6`).
pub(super) fn has_same_version(installed: &str, pinned: &str) -> bool {
    version_numbers(installed)
        .iter()
        .zip(version_numbers(pinned))
        .all(|(number, pinned_number)| *number == pinned_number)
}

/// Returns true if the configuration in a file enables preview rules.
fn enables_preview(configuration: &Path) -> bool {
    let is_small = std::fs::symlink_metadata(configuration)
        .is_ok_and(|found| found.is_file() && found.len() <= MAX_CONFIGURATION_BYTES as u64);
    let text =
        if is_small { std::fs::read_to_string(configuration).unwrap_or_default() } else { String::new() };
    text.lines().any(|line| line.split_whitespace().collect::<String>().starts_with("preview=true"))
}

/// Returns the rules that exist only since versions after `pinned`, and the rules that were previews in that
/// version. If preview rules are enabled, `pinned` may have these previews, and they are not returned.
fn rules_since(text: &str, pinned: &str, has_preview: bool) -> BTreeSet<String> {
    let rules: Vec<ListedRule> = truing_core::json::from_str(text).unwrap_or_default();
    let is_newer = |rule: &ListedRule| {
        rule.status.iter().any(|(status, history)| {
            let counts = status == "Preview" || (status == "Stable" && !has_preview);
            let since = history.get("since").and_then(serde_json::Value::as_str).unwrap_or_default();
            let since = version_numbers(since.trim_start_matches('v'));
            counts && !since.is_empty() && since > version_numbers(pinned)
        })
    };
    rules.into_iter().filter(is_newer).map(|rule| rule.code.unwrap_or(rule.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_versions_by_their_common_numbers() {
        for (installed, pinned) in
            [("0.4.1", "0.4.1"), ("8.57.1", "8"), ("0.9.0", "0.9.0.6"), ("1.0", "1.0.0")]
        {
            assert!(has_same_version(installed, pinned), "{installed} {pinned}");
        }
        for (installed, pinned) in [("0.15.1", "0.4.1"), ("9.0.0", "8"), ("0.9.1", "0.9.0.6")] {
            assert!(!has_same_version(installed, pinned), "{installed} {pinned}");
        }
    }

    #[test]
    fn leaves_out_rules_newer_than_pinned_version() {
        let rule = |code: &str, status: &str, since: &str| {
            format!(
                r#"{{"name": "n", "code": "{code}", "status": {{"{status}": {{"since": "{since}"}}}}, "x": 1}}"#
            )
        };
        let rules = [
            rule("A", "Stable", "v0.0.70"),
            rule("B", "Stable", "0.12.0"),
            rule("C", "Preview", "0.9.0"),
            rule("D", "Preview", "v0.1.0"),
            rule("E", "Deprecated", "0.12.0"),
            rule("F", "Stable", "0.4.1"),
        ];
        let unnamed = r#"{"name": "new-rule", "code": null, "status": {"Preview": {"since": "0.16.5"}}}"#;
        let text = format!("[{},{unnamed}]", rules.join(","));
        let newer = |has_preview| rules_since(&text, "0.4.1", has_preview).into_iter().collect::<Vec<_>>();
        assert_eq!(newer(false), ["B", "C", "new-rule"]);
        assert_eq!(newer(true), ["C", "new-rule"]);
        assert_eq!(rules_since("{", "0.4.1", false), BTreeSet::new());
        assert_eq!(rules_since(r#"[{"name": "a", "preview": true}]"#, "0.4.1", false), BTreeSet::new());
    }
}

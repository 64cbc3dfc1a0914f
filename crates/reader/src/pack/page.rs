//! Renders a pack's page, which describes the defects that the rules find and the rules' findings in released
//! code.

use std::collections::BTreeMap;

use super::PackRule;

/// Renders the page in Markdown. `judgements` maps a rule's id to people's judgement of the rule's findings
/// in the histories of public repositories.
pub(super) fn render_page(pack: &str, rules: &[PackRule], judgements: &BTreeMap<String, String>) -> String {
    let on = rules.iter().filter(|rule| rule.enabled).count();
    let (note, column, rule, command) = match judgements.is_empty() {
        true => ("", "", "", "truing-reader"),
        false => (
            "The column \"Judged\" shows people's judgement of a rule's findings in the histories of \
            public repositories: the number of\nfindings, and the share of right findings with its 95 % \
            Wilson interval. [figures.md](figures.md) describes the measurement.\n",
            " Judged |",
            "---|",
            "truing-bench",
        ),
    };
    let mut text = format!(
        "# Rules of the pack `{pack}`\n\n<!-- Generated from crates/reader/packs/{pack}. To update it: \
        UPDATE_DOCS=1 cargo test -p {command} -->\n\n{} rules; {on} rules are enabled. The column \
        \"Released code\" shows a rule's findings in published packages, and the result of\nexamining \
        these findings. In these packages, every line counts as new. A rule without a number has no \
        findings in these\npackages. `fix`: the rule suggests a fix if the fix is proven. `truing review \
        --fix` applies such fixes.\n{note}\n| Rule | Severity | Kind | What it finds | Released code \
        |{column}\n|---|---|---|---|---|{rule}\n",
        rules.len(),
    );
    for rule in rules {
        let id = rule.name.rsplit('/').next().unwrap_or(&rule.name);
        let languages = rule.check.languages().join(", ");
        let kind = if languages.is_empty() {
            rule.check.kind().to_owned()
        } else {
            format!("{}: {languages}", rule.check.kind())
        };
        let fix = if rule.check.has_fix() { ", fix" } else { "" };
        let off = if rule.enabled { "" } else { " (off)" };
        let measured = rule.hit_statistics.as_deref().unwrap_or("no hits");
        let title = rule.title.replace('|', "\\|");
        let judgements = match judgements.is_empty() {
            true => String::new(),
            false => format!(" {} |", judgements.get(id).map_or("no findings", String::as_str)),
        };
        let severity = rule.severity.as_str();
        text += &format!("| `{id}`{off} | {severity} | {kind}{fix} | {title} | {measured} |{judgements}\n");
    }
    text
}

//! A pack's page: what its rules find, and what they found in released code.

use super::Rule;

/// The page, in Markdown.
pub(super) fn of(pack: &str, rules: &[Rule]) -> String {
    let on = rules.iter().filter(|rule| rule.enabled).count();
    let mut text = format!(
        "# Rules of the pack `{pack}`\n\n\
         <!-- Generated from crates/reader/packs/{pack}. To write it anew: UPDATE_DOCS=1 cargo test -p truing-reader -->\n\n\
         {} rules, {on} of them on. \"Released code\" says what a rule finds in published packages, every line counted\n\
         as new, and what became of its hits when they were looked at; a rule without a figure finds nothing there.\n\
         `fix`: where it is proven, the rule suggests what to write instead, and `truing review --fix` writes it.\n\n\
         | Rule | Severity | Kind | What it finds | Released code |\n\
         |---|---|---|---|---|\n",
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
        let measured = rule.measured.as_deref().unwrap_or("no hits");
        let title = rule.title.replace('|', "\\|");
        text +=
            &format!("| `{id}`{off} | {} | {kind}{fix} | {title} | {measured} |\n", rule.severity.as_str());
    }
    text
}

//! Renders the precision of the rules for people: by severity, by rule and by repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use truing_core::finding::Severity;

use super::labels::{
    HitLabel, HitLabels, HitScope, HitVerdict, JudgedRepository, RepositoryList, RuleHit, VerdictCounts,
};

/// Groups of severities; precision is required and reported for each group as a whole.
pub(super) const GROUPS: [(&str, &[Severity]); 2] =
    [("P0 and P1", &[Severity::P0, Severity::P1]), ("P2", &[Severity::P2])];

/// The version of the rules: the version before the tests on these histories, or the current version.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RulesVersion {
    Earlier,
    Current,
}

impl RulesVersion {
    fn severity(self, label: &HitLabel) -> Option<Severity> {
        match self {
            Self::Earlier => label.earlier_severity,
            Self::Current => label.current_severity,
        }
    }
}

/// Formats the number of findings for each verdict, and the precision with its interval.
pub(super) fn render_verdicts(figure: VerdictCounts) -> String {
    let VerdictCounts { right, arguable, wrong, unjudged } = figure;
    let mut counts = vec![format!("{right} true"), format!("{arguable} arguable"), format!("{wrong} false")];
    if unjudged > 0 {
        counts.push(format!("{unjudged} not judged"));
    }
    let counts = counts.join(", ");
    match format_precision(figure) {
        Some(share) => format!("{counts}: {share}"),
        None => counts,
    }
}

/// Formats a share such as `0.90 (0.60 to 0.98)`.
fn format_precision(figure: VerdictCounts) -> Option<String> {
    let (share, (low, high)) = figure.precision().zip(figure.wilson_interval())?;
    Some(format!("{share:.2} ({low:.2} to {high:.2})"))
}

/// Returns the formatted verdicts for each rule id, for the pack's page.
pub(super) fn verdicts_by_rule(labels: &HitLabels) -> BTreeMap<String, String> {
    let mut found: BTreeMap<&String, Vec<HitVerdict>> = BTreeMap::new();
    for (hit, known) in labels.iter().filter(|(_, known)| known.current_severity.is_some()) {
        found.entry(&hit.rule).or_default().push(known.verdict);
    }
    let render_counts =
        |verdicts: Vec<HitVerdict>| render_verdicts(VerdictCounts::count_verdicts(verdicts.into_iter()));
    found.into_iter().map(|(rule, verdicts)| (rule.clone(), render_counts(verdicts))).collect()
}

/// Renders the page of precision figures, in Markdown.
pub(super) fn render_figures_page(labels: &HitLabels, repositories: &RepositoryList) -> String {
    let all = &repositories.repository;
    let commits: usize = all.iter().map(|repository| repository.commits).sum();
    let languages: BTreeSet<&str> = all.iter().map(|repository| repository.language.as_str()).collect();
    let judged = labels.values().filter(|known| known.verdict != HitVerdict::Unjudged).count();
    let mut text = format!(
        "# What the rules of `core` find in the histories of public repositories\n\n<!-- Generated from \
        labels.csv and repositories.toml in crates/reader/packs/core. To update it: UPDATE_DOCS=1 cargo \
        test -p truing-bench -->\n\nThe rules ran on the changes of {commits} commits. These are the \
        newest commits with one parent in each of {} repositories. The rules\nalso ran on all files of \
        each repository's newest commit (\"trees\"). In this run, every line counts as new. Languages: \
        {}.\nEight commits were skipped, because the clones lacked a large file of these commits. People \
        judged {judged} findings, together with the surrounding code.\nThey judged keys and large files \
        mostly by the path.\n\nA finding is true if the maintainers of the repository would want to know \
        about it.\nA finding is arguable if only some maintainers would want to know about it. In the \
        share of right findings, an arguable finding counts half. A finding is false if no maintainer \
        would want to know about it. Findings without a judgement do not count. The brackets contain\nthe \
        95 % Wilson interval. The findings in the held-out repositories were judged last.\n[ADR \
        57](../adr/0057-a-rule-stays-enabled-only-if-its-judged-findings-are-precise-enough.md) describes \
        the findings before the rules were adjusted to these repositories, and the reasons for the rules. \
        The columns \"Before\" show the findings of the rules in their version\nbefore the tests on these \
        histories.\n\n`cargo xtask rules CLONES` repeats the run on the same commits. CLONES is a folder \
        with a clone of each\nrepository at `OWNER/NAME`. The command fails if the share of right \
        findings is below 0.95 for P0 and P1, or below 0.80 for P2. The share of right findings is the \
        number in front of the brackets in the tables. With\n`--write`, the command writes its findings \
        and this page.\n",
        all.len(),
        languages.into_iter().collect::<Vec<_>>().join(", "),
    );
    write_severity_table(&mut text, labels, repositories);
    write_repository_table(&mut text, labels);
    write_commit_table(&mut text, labels, repositories);
    text
}

fn write_severity_table(text: &mut String, labels: &HitLabels, repositories: &RepositoryList) {
    *text += "\n## By severity\n\n\
              | Severity | Where | Repositories | Before | Now |\n|---|---|---|---|---|\n";
    let held_out: BTreeSet<&str> = repositories
        .repository
        .iter()
        .filter(|repository| repository.held_out)
        .map(|repository| repository.name.as_str())
        .collect();
    for (severity, severities) in GROUPS {
        for (place, scope) in [("changes", HitScope::Change), ("trees", HitScope::Tree)] {
            for (set, held) in [("all", None), ("held out", Some(true)), ("the others", Some(false))] {
                let counts = |hit: &RuleHit| {
                    hit.scope == scope
                        && held.is_none_or(|held| held == held_out.contains(hit.repository.as_str()))
                };
                let of = |rules: RulesVersion| {
                    let found = labels.iter().filter(|(hit, known)| {
                        let found = rules.severity(known).is_some_and(|it| severities.contains(&it));
                        found && counts(hit)
                    });
                    render_verdicts(VerdictCounts::count_verdicts(found.map(|(_, known)| known.verdict)))
                };
                let (before, now) = (of(RulesVersion::Earlier), of(RulesVersion::Current));
                let _ = writeln!(text, "| {severity} | {place} | {set} | {before} | {now} |");
            }
        }
    }
}

fn write_repository_table(text: &mut String, labels: &HitLabels) {
    *text += "\n## By rule and repository\n\nThe columns \"Before\" and \"Now\" contain the numbers of \
        true / arguable / false / not judged findings.\n\n| Rule | Repository | Before | Now | Share \
        right before | Share right now |\n|---|---|---|---|---|---|\n";
    let mut groups: BTreeMap<(&str, &str), Vec<&HitLabel>> = BTreeMap::new();
    for (hit, known) in labels {
        // The empty name stands for all repositories together, and sorts before every repository's name.
        for repository in ["", hit.repository.as_str()] {
            groups.entry((hit.rule.as_str(), repository)).or_default().push(known);
        }
    }
    for ((rule, repository), group) in groups {
        let of = |rules: RulesVersion| {
            let found = group.iter().filter(|known| rules.severity(known).is_some());
            VerdictCounts::count_verdicts(found.map(|known| known.verdict))
        };
        let counts = |figure: VerdictCounts| match figure.total() {
            0 => "none".to_owned(),
            _ => {
                let VerdictCounts { right, arguable, wrong, unjudged } = figure;
                format!("{right} / {arguable} / {wrong} / {unjudged}")
            }
        };
        let right = |figure: VerdictCounts| format_precision(figure).unwrap_or_default();
        let (before, now) = (of(RulesVersion::Earlier), of(RulesVersion::Current));
        let repository = if repository.is_empty() { "**all**" } else { repository };
        let _ = writeln!(
            text,
            "| `{rule}` | {repository} | {} | {} | {} | {} |",
            counts(before),
            counts(now),
            right(before),
            right(now)
        );
    }
}

fn write_commit_table(text: &mut String, labels: &HitLabels, repositories: &RepositoryList) {
    *text += "\n## Commits per finding\n\n| Repository | Language | Held out | Commits | Findings before | \
        Findings now |\n|---|---|---|---|---|---|\n";
    let count = |repository: Option<&JudgedRepository>, rules: RulesVersion| {
        let of = |hit: &RuleHit| repository.is_none_or(|repository| repository.name == hit.repository);
        let found = labels.iter().filter(|(hit, known)| {
            hit.scope == HitScope::Change && of(hit) && rules.severity(known).is_some()
        });
        found.count()
    };
    let row = |findings: usize, commits: usize| match commits.checked_div(findings) {
        Some(each) => format!("{findings}, one in {each} commits"),
        None => "none".to_owned(),
    };
    for repository in &repositories.repository {
        let JudgedRepository { name, language, held_out, commits, head: _ } = repository;
        let held_out = if *held_out { "yes" } else { "" };
        let before = row(count(Some(repository), RulesVersion::Earlier), *commits);
        let now = row(count(Some(repository), RulesVersion::Current), *commits);
        let _ = writeln!(text, "| {name} | {language} | {held_out} | {commits} | {before} | {now} |");
    }
    let commits: usize = repositories.repository.iter().map(|repository| repository.commits).sum();
    let before = row(count(None, RulesVersion::Earlier), commits);
    let now = row(count(None, RulesVersion::Current), commits);
    let _ = writeln!(text, "| **all** | | | {commits} | {before} | {now} |");
}

#[cfg(test)]
mod tests {
    use std::{env, fs};

    use truing_reader::RulePacks;

    use super::*;
    use crate::rules::{MIN_PRECISIONS, PACK, read_labels, render_pages};
    use crate::workspace;

    #[test]
    fn the_pages_with_what_was_judged_are_up_to_date() {
        let root = workspace::workspace_root().unwrap();
        let (labels, repositories) = read_labels(&root).unwrap();
        for (file, page) in render_pages(&root, &labels, &repositories).unwrap() {
            if env::var_os("UPDATE_DOCS").is_some() {
                fs::write(&file, &page).unwrap();
            }
            let written = fs::read_to_string(&file).unwrap_or_default();
            assert!(
                written == page,
                "{}: update it: UPDATE_DOCS=1 cargo test -p truing-bench",
                file.display()
            );
        }
    }

    #[test]
    fn what_was_judged_is_as_right_as_promised_and_nothing_of_p0_and_p1_is_left() {
        let (labels, _) = read_labels(&workspace::workspace_root().unwrap()).unwrap();
        for ((name, severities), promised) in GROUPS.into_iter().zip(MIN_PRECISIONS) {
            let now = labels
                .values()
                .filter(|known| known.current_severity.is_some_and(|it| severities.contains(&it)));
            let figure = VerdictCounts::count_verdicts(now.map(|known| known.verdict));
            assert!(
                figure.precision().is_none_or(|share| share >= promised),
                "{name}: {}",
                render_verdicts(figure)
            );
            assert!(name == "P2" || figure.unjudged == 0, "{name}: {}", render_verdicts(figure));
        }
    }

    /// Minimum number of judged findings for a conclusion about a rule.
    const LEAST_JUDGED: u32 = 3;

    #[test]
    fn no_rule_that_is_on_is_below_what_is_promised() {
        let (labels, _) = read_labels(&workspace::workspace_root().unwrap()).unwrap();
        let rules: BTreeSet<&str> = labels
            .iter()
            .filter(|(_, known)| known.current_severity.is_some())
            .map(|(hit, _)| hit.rule.as_str())
            .collect();
        let [_, least] = MIN_PRECISIONS;
        for rule in rules {
            let now =
                labels.iter().filter(|(hit, known)| hit.rule == rule && known.current_severity.is_some());
            let figure = VerdictCounts::count_verdicts(now.map(|(_, known)| known.verdict));
            let is_below = figure.precision().is_some_and(|share| share < least);
            assert!(figure.judged_count() < LEAST_JUDGED || !is_below, "{rule}: {}", render_verdicts(figure));
        }
    }

    #[test]
    fn every_label_is_of_a_repository_and_a_rule_there_is() {
        let (labels, repositories) = read_labels(&workspace::workspace_root().unwrap()).unwrap();
        let packs = RulePacks::load_embedded().unwrap();
        let rules: BTreeSet<&str> = packs.list_rules().unwrap().iter().map(|rule| rule.name).collect();
        for (hit, known) in &labels {
            assert!(repositories.repository.iter().any(|it| it.name == hit.repository), "{hit:?}");
            assert!(
                known.current_severity.is_none() || rules.contains(format!("{PACK}/{}", hit.rule).as_str()),
                "{hit:?}"
            );
        }
    }
}

//! `cargo xtask rules`: runs the rules of the pack `core` on the histories of public repositories, and
//! compares the findings with people's verdicts.

mod history;
mod labels;
mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use truing_core::finding::{RawFinding, Severity};
use truing_reader::{InProcessReader, RulePacks};

use crate::{say, workspace};
use history::GitHistory;
use labels::{
    HitLabel, HitLabels, HitScope, HitVerdict, JudgedRepository, RepositoryList, RuleHit, VerdictCounts,
};

/// The pack that is measured.
const PACK: &str = "core";
/// The folder of the pack and of its labels.
const PACK_FOLDER: &str = "crates/reader/packs/core";
/// Required precision of each group in [`page::GROUPS`]: first for P0 and P1 together, then for P2.
const MIN_PRECISIONS: [f64; 2] = [0.95, 0.8];

/// The rules to run, and the commits on which they are run.
#[derive(Args)]
pub(crate) struct Options {
    /// The folder that holds the clones of the repositories, each as OWNER/NAME
    clones: PathBuf,
    /// The folder of the pack whose rules are run [default: the pack of this workspace]
    #[arg(long, value_name = "FOLDER")]
    pack: Option<PathBuf>,
    /// This repository alone
    #[arg(long, value_name = "OWNER/NAME")]
    only: Vec<String>,
    /// Run the rules only on commits with findings that people have judged
    #[arg(long)]
    judged: bool,
    /// No whole trees
    #[arg(long)]
    no_trees: bool,
    /// Write the findings to labels.csv, with new findings marked as not judged, and update the pages about
    /// the verdicts
    #[arg(long)]
    write: bool,
    /// Record the findings in the column `before`, which is for the rules before they were tested on these
    /// histories
    #[arg(long)]
    before: bool,
}

/// Runs the rules. Returns `false` if the precision of a group is lower than promised, or if a finding of P0
/// or P1 has no verdict.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let root = workspace::workspace_root()?;
    let folder = options.pack.clone().unwrap_or_else(|| root.join(PACK_FOLDER));
    let packs = RulePacks::from_folder(&folder)?;
    let rules = InProcessReader::with_packs(packs).with_max_findings(usize::MAX);
    let pack = folder.file_name().and_then(|name| name.to_str()).context("the pack has no name")?;
    let (mut labels, repositories) = read_labels(&root)?;
    let wanted =
        |repository: &&JudgedRepository| options.only.is_empty() || options.only.contains(&repository.name);
    for repository in repositories.repository.iter().filter(wanted) {
        refresh_findings(options, repository, &rules, pack, &mut labels)?;
    }
    // Removes each finding that has no verdict and that neither the earlier nor the current rules report.
    labels.retain(|_, known| {
        known.verdict != HitVerdict::Unjudged
            || known.earlier_severity.is_some()
            || known.current_severity.is_some()
    });
    if options.write {
        fs::write(root.join(PACK_FOLDER).join("labels.csv"), labels::render_labels(&labels)?)?;
        for (page, text) in render_pages(&root, &labels, &repositories)? {
            fs::write(page, text)?;
        }
    }
    Ok(print_precision(&labels, &repositories))
}

/// Reads the labels and the list of the repositories to which they belong.
fn read_labels(root: &Path) -> Result<(HitLabels, RepositoryList)> {
    let text = |name: &str| {
        let file = root.join(PACK_FOLDER).join(name);
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
    };
    let repositories = toml::from_str(&text("repositories.toml")?)?;
    Ok((labels::parse(&text("labels.csv")?)?, repositories))
}

/// Renders the pages about the verdicts. Returns each page's path and text.
fn render_pages(
    root: &Path,
    labels: &HitLabels,
    repositories: &RepositoryList,
) -> Result<Vec<(PathBuf, String)>> {
    let folder = root.join("docs/rules");
    let packs = RulePacks::from_folder(&root.join(PACK_FOLDER))?;
    let pack = packs.render_page(PACK, &page::verdicts_by_rule(labels))?;
    Ok(vec![
        (folder.join("core.md"), pack),
        (folder.join("figures.md"), page::render_figures_page(labels, repositories)),
    ])
}

/// Runs the rules on a repository and records the severity of each finding in `labels`.
fn refresh_findings(
    options: &Options,
    repository: &JudgedRepository,
    rules: &InProcessReader,
    pack: &str,
    labels: &mut HitLabels,
) -> Result<()> {
    let mut history = GitHistory::open(&options.clones.join(&repository.name))?;
    let known: BTreeSet<(HitScope, String)> = labels
        .keys()
        .filter(|hit| hit.repository == repository.name)
        .map(|hit| (hit.scope, hit.commit.clone()))
        .collect();
    let mut looks = vec![(HitScope::Tree, repository.head.clone())];
    looks.extend(
        history
            .newest_commits(&repository.head, repository.commits)?
            .into_iter()
            .map(|it| (HitScope::Change, it)),
    );
    looks.retain(|look| !(options.no_trees && look.0 == HitScope::Tree));
    looks.retain(|look| !options.judged || known.contains(look));
    let looks: BTreeSet<(HitScope, String)> = looks.into_iter().collect();
    let (mut found, mut commits): (BTreeMap<RuleHit, Severity>, usize) = (BTreeMap::new(), 0);
    for (scope, commit) in &looks {
        let findings = match scope {
            HitScope::Change => match history.findings_in_change(commit, rules, pack)? {
                Some(findings) => {
                    commits += 1;
                    findings
                }
                None => continue,
            },
            HitScope::Tree => history.findings_in_tree(commit, rules, pack)?,
        };
        found.extend(findings.into_iter().map(|finding| {
            let severity = finding.severity;
            (to_rule_hit(repository, *scope, commit, &finding), severity)
        }));
    }
    say::print_problem(&format!("{}: {commits} commits, {} findings", repository.name, found.len()));
    let column = |known: &mut HitLabel, severity| match options.before {
        true => known.earlier_severity = severity,
        false => known.current_severity = severity,
    };
    let looked_at =
        |hit: &RuleHit| hit.repository == repository.name && looks.contains(&(hit.scope, hit.commit.clone()));
    for (_, known) in labels.iter_mut().filter(|(hit, _)| looked_at(hit)) {
        column(known, None);
    }
    for (hit, severity) in found {
        let unknown =
            HitLabel { earlier_severity: None, current_severity: None, verdict: HitVerdict::Unjudged };
        column(labels.entry(hit).or_insert(unknown), Some(severity));
    }
    Ok(())
}

/// Returns the identity of a finding, by which its label is found.
fn to_rule_hit(
    repository: &JudgedRepository,
    scope: HitScope,
    commit: &str,
    finding: &RawFinding,
) -> RuleHit {
    let rule = finding.rule.rsplit('/').next().unwrap_or(&finding.rule);
    RuleHit {
        repository: repository.name.clone(),
        scope,
        commit: commit.to_owned(),
        path: finding.location.path.to_string(),
        line: finding.location.start_line,
        rule: rule.to_owned(),
    }
}

/// Prints the precision of each group. Returns true if every precision is as high as promised and each
/// finding of P0 and P1 has a verdict.
fn print_precision(labels: &HitLabels, repositories: &RepositoryList) -> bool {
    let mut kept = true;
    for ((name, severities), promised) in page::GROUPS.into_iter().zip(MIN_PRECISIONS) {
        let counts = |known: &HitLabel| known.current_severity.is_some_and(|now| severities.contains(&now));
        let figure = VerdictCounts::count_verdicts(
            labels.values().filter(|known| counts(known)).map(|known| known.verdict),
        );
        say::print_line(&format!("{name}: {}, promised {promised:.2}", page::render_verdicts(figure)));
        kept &= figure.precision().is_none_or(|precision| precision >= promised);
        if severities.contains(&Severity::P0) {
            let open =
                labels.iter().filter(|(_, known)| counts(known) && known.verdict == HitVerdict::Unjudged);
            for (hit, _) in open {
                say::print_line(&format!(
                    "not judged: {} {} {}:{} {}",
                    hit.repository, hit.commit, hit.path, hit.line, hit.rule
                ));
                kept = false;
            }
        }
    }
    let commits: usize = repositories.repository.iter().map(|repository| repository.commits).sum();
    say::print_line(&format!("{} repositories, at most {commits} commits", repositories.repository.len()));
    kept
}

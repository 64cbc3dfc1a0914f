//! People's verdicts on findings, one line for each finding, without text from the repository. Also computes
//! the precision from the verdicts, with its confidence interval.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use truing_core::finding::Severity;

/// The first line of the file.
const HEADER: &str = "repository,scope,commit,path,line,rule,before,now,label";
/// The z value of a 95 % interval.
const Z: f64 = 1.96;

/// The repositories whose histories are used.
#[derive(Deserialize)]
pub(super) struct RepositoryList {
    pub(super) repository: Vec<JudgedRepository>,
}

/// A repository whose findings were judged.
#[derive(Deserialize)]
pub(super) struct JudgedRepository {
    /// The name as `OWNER/NAME`.
    pub(super) name: String,
    pub(super) language: String,
    /// True if the authors of the rules have not seen the repository.
    pub(super) held_out: bool,
    /// The newest commit to which the rules are applied.
    pub(super) head: String,
    /// Maximum number of single-parent commits to which the rules are applied.
    pub(super) commits: usize,
}

/// The kind of run in which a finding occurred.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum HitScope {
    /// A run on the changes of a commit.
    Change,
    /// A run on all files of the newest commit.
    Tree,
}

/// The identity of a finding: the repository, the kind of run, the commit, the line of the file, and the
/// rule.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct RuleHit {
    pub(super) repository: String,
    pub(super) scope: HitScope,
    pub(super) commit: String,
    pub(super) path: String,
    pub(super) line: u32,
    /// Id of the rule in the pack.
    pub(super) rule: String,
}

/// The verdict on a finding. It is true if the repository's maintainers would want to know of the finding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HitVerdict {
    True,
    /// Some maintainers would want to know of the finding. The precision counts such a finding as half
    /// correct.
    Arguable,
    False,
    /// The finding was not judged.
    Unjudged,
}

/// The verdict on a finding, and the severities that two versions of the rules assigned to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct HitLabel {
    /// Severity that the rules assigned before they were tested on these histories. `None` if those rules did
    /// not report the finding.
    pub(super) earlier_severity: Option<Severity>,
    /// Severity that the current rules assign. `None` if the current rules do not report the finding.
    pub(super) current_severity: Option<Severity>,
    pub(super) verdict: HitVerdict,
}

/// The labels of all findings.
pub(super) type HitLabels = BTreeMap<RuleHit, HitLabel>;

/// Parses the file of labels.
pub(super) fn parse(text: &str) -> Result<HitLabels> {
    let mut lines = text.lines();
    ensure!(lines.next() == Some(HEADER), "the first line is not {HEADER}");
    let mut labels = HitLabels::new();
    for (number, line) in lines.enumerate() {
        let at = || format!("line {}: {line}", number + 2);
        let fields: Vec<&str> = line.split(',').collect();
        let [repository, scope, commit, path, line, rule, before, now, label] = fields.as_slice() else {
            bail!("{}: not nine fields", at());
        };
        let hit = RuleHit {
            repository: (*repository).to_owned(),
            scope: parse_scope(scope).with_context(at)?,
            commit: (*commit).to_owned(),
            path: (*path).to_owned(),
            line: line.parse().with_context(at)?,
            rule: (*rule).to_owned(),
        };
        let known = HitLabel {
            earlier_severity: parse_severity(before).with_context(at)?,
            current_severity: parse_severity(now).with_context(at)?,
            verdict: parse_verdict(label).with_context(at)?,
        };
        ensure!(labels.insert(hit, known).is_none(), "{}: twice", at());
    }
    Ok(labels)
}

/// Renders the file of labels. Returns an error if a path contains a comma, which the format cannot
/// represent.
pub(super) fn render_labels(labels: &HitLabels) -> Result<String> {
    let mut text = format!("{HEADER}\n");
    for (hit, known) in labels {
        ensure!(!hit.path.contains([',', '\n']), "a path with a comma cannot be written: {}", hit.path);
        let severity = |severity: Option<Severity>| severity.map_or("-", Severity::as_str);
        let RuleHit { repository, scope, commit, path, line, rule } = hit;
        let (scope, label) = (scope_name(*scope), verdict_name(known.verdict));
        let (before, now) = (severity(known.earlier_severity), severity(known.current_severity));
        writeln!(text, "{repository},{scope},{commit},{path},{line},{rule},{before},{now},{label}")?;
    }
    Ok(text)
}

fn scope_name(scope: HitScope) -> &'static str {
    match scope {
        HitScope::Change => "change",
        HitScope::Tree => "tree",
    }
}

fn parse_scope(name: &str) -> Result<HitScope> {
    [HitScope::Change, HitScope::Tree]
        .into_iter()
        .find(|scope| scope_name(*scope) == name)
        .context("no scope")
}

fn verdict_name(verdict: HitVerdict) -> &'static str {
    match verdict {
        HitVerdict::True => "true",
        HitVerdict::Arguable => "arguable",
        HitVerdict::False => "false",
        HitVerdict::Unjudged => "-",
    }
}

fn parse_verdict(name: &str) -> Result<HitVerdict> {
    let all = [HitVerdict::True, HitVerdict::Arguable, HitVerdict::False, HitVerdict::Unjudged];
    all.into_iter().find(|verdict| verdict_name(*verdict) == name).context("no label")
}

fn parse_severity(name: &str) -> Result<Option<Severity>> {
    let all = [Severity::P0, Severity::P1, Severity::P2];
    if name == "-" {
        return Ok(None);
    }
    Ok(Some(all.into_iter().find(|severity| severity.as_str() == name).context("no severity")?))
}

/// The numbers of findings by verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct VerdictCounts {
    pub(super) right: u32,
    pub(super) arguable: u32,
    pub(super) wrong: u32,
    pub(super) unjudged: u32,
}

impl VerdictCounts {
    /// Counts these verdicts by kind.
    pub(super) fn count_verdicts(verdicts: impl Iterator<Item = HitVerdict>) -> Self {
        let mut figure = Self::default();
        for verdict in verdicts {
            let count = match verdict {
                HitVerdict::True => &mut figure.right,
                HitVerdict::Arguable => &mut figure.arguable,
                HitVerdict::False => &mut figure.wrong,
                HitVerdict::Unjudged => &mut figure.unjudged,
            };
            *count += 1;
        }
        figure
    }

    /// Returns the number of findings.
    pub(super) fn total(self) -> u32 {
        self.judged_count() + self.unjudged
    }

    /// Returns the number of judged findings.
    pub(super) fn judged_count(self) -> u32 {
        self.right + self.arguable + self.wrong
    }

    /// Returns the share of correct findings among the judged ones; an arguable finding counts half. Returns
    /// `None` if no finding was judged.
    pub(super) fn precision(self) -> Option<f64> {
        let right = f64::from(self.right) + f64::from(self.arguable) / 2.0;
        (self.judged_count() > 0).then(|| right / f64::from(self.judged_count()))
    }

    /// Returns the 95 % Wilson confidence interval of the precision.
    pub(super) fn wilson_interval(self) -> Option<(f64, f64)> {
        let (share, count) = (self.precision()?, f64::from(self.judged_count()));
        let centre = share + Z * Z / (2.0 * count);
        let reach = Z * (share * (1.0 - share) / count + Z * Z / (4.0 * count * count)).sqrt();
        let whole = 1.0 + Z * Z / count;
        Some((((centre - reach) / whole).max(0.0), ((centre + reach) / whole).min(1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_it_is_written() {
        let text = format!("{HEADER}\na/b,change,c0,d.py,3,x,P0,-,false\na/b,tree,c0,d.py,4,x,-,P1,-\n");
        let labels = parse(&text).unwrap();
        assert_eq!((labels.len(), render_labels(&labels).unwrap()), (2, text.clone()));
        for (from, to) in [("P0", "P9"), ("tree", "wood"), ("false", "no"), ("3", "x"), ("d.py", "d,py")] {
            assert!(parse(&text.replacen(from, to, 1)).is_err(), "{to}");
        }
    }

    #[test]
    fn an_arguable_finding_counts_half_and_intervals_are_wilson_s() {
        let figure = VerdictCounts { right: 8, arguable: 2, wrong: 0, unjudged: 5 };
        assert_eq!((figure.precision(), figure.total()), (Some(0.9), 15));
        let (low, high) = figure.wilson_interval().unwrap();
        assert_eq!((format!("{low:.3}"), format!("{high:.3}")), ("0.596".to_owned(), "0.982".to_owned()));
        let all = VerdictCounts { right: 10, ..VerdictCounts::default() };
        let (low, high) = all.wilson_interval().unwrap();
        assert_eq!((format!("{low:.3}"), format!("{high:.3}")), ("0.722".to_owned(), "1.000".to_owned()));
        assert_eq!(VerdictCounts::default().precision(), None);
    }
}

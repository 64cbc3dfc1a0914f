//! Reports the outcome of the findings of reviews: overall, and by rule, tool, model, specialist and
//! repository. Also reports the time to the first comment.

use std::collections::BTreeMap;

use serde::Serialize;
use truing_core::id::SlotKey;
use truing_core::line::format_count;
use truing_store::FindingCount;

use super::amount::format_duration;

/// Largest number of rows in a table for people. The rows with the most findings are shown.
const MAX_TABLE_ROWS: usize = 10;

/// The recorded findings of all pull requests that were reviewed in the reported time, with their present
/// status. Older findings of these pull requests are included.
#[derive(Serialize, Clone, Default, Debug)]
pub struct FindingReport {
    /// The counts over all findings.
    #[serde(flatten)]
    pub total_counts: FindingCounts,
    /// The counts by rule. The rule with the most findings is first.
    pub by_rule: Vec<FindingGroup>,
    /// The counts of findings that the team's tools reported, by tool.
    pub by_tool: Vec<FindingGroup>,
    /// The counts of the findings of models, by the model of the newest review of the same pull request.
    pub by_model: Vec<FindingGroup>,
    /// The counts of the findings of specialists. A finding of several specialists counts for each of them.
    pub by_specialist: Vec<FindingGroup>,
    /// The counts of all findings, by repository.
    pub by_repository: Vec<FindingGroup>,
    /// The time to the first comment, over all heads whose first review began in the reported time. `None` if
    /// no such head has a comment.
    pub first_comment: Option<FirstComment>,
}

/// The numbers of findings by outcome. `total` is the sum of the numbers from `open` to `outside`.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FindingCounts {
    /// Number of all findings.
    #[serde(rename = "found")]
    pub total: u64,
    /// Findings with a separate comment, even if the comment was resolved or deleted later. Other findings
    /// are only in the summary, or are not posted. A finding whose comment an operator retracted does not
    /// count.
    pub posted: u64,
    /// Findings that are open according to the records.
    pub open: u64,
    /// Findings that a later review found to be fixed.
    pub fixed: u64,
    /// Findings that people dismissed or declined to fix.
    pub dismissed: u64,
    /// Findings that a comment in the code suppresses.
    pub suppressed: u64,
    /// Findings in code outside the present change, findings of a rule that is no longer used, and findings
    /// whose comments an operator retracted.
    pub outside: u64,
}

/// Counts of findings that share a property.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct FindingGroup {
    /// Name of the rule, the tool, the model, the specialist or the repository.
    pub id: String,
    /// The counts of the group's findings.
    #[serde(flatten)]
    pub counts: FindingCounts,
}

/// The time from the start of the first review of a head to the request that posted the first comment on that
/// head.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, Debug)]
pub struct FirstComment {
    /// Number of heads that were counted.
    pub heads: u64,
    /// Median time in milliseconds.
    pub median_ms: u64,
    /// 90th percentile in milliseconds.
    pub p90_ms: u64,
}

impl FindingCounts {
    /// The names of the columns of [`Self::numbers`].
    pub const COLUMN_NAMES: [&'static str; 7] =
        ["found", "posted", "open", "fixed", "dismissed", "suppressed", "outside"];

    /// Returns all counts, in the order of the column names in [`Self::COLUMN_NAMES`].
    pub fn numbers(&self) -> [u64; 7] {
        let Self { total: found, posted, open, fixed, dismissed, suppressed, outside } = *self;
        [found, posted, open, fixed, dismissed, suppressed, outside]
    }

    fn add(&mut self, row: &FindingCount) {
        self.total += row.findings;
        self.posted += row.posted;
        let status = match row.status.as_str() {
            "fixed" => &mut self.fixed,
            "dismissed" | "declined" => &mut self.dismissed,
            "suppressed" => &mut self.suppressed,
            "outside" | "retracted" => &mut self.outside,
            // A finding that a person claims to have fixed stays open until a review confirms it.
            _ => &mut self.open,
        };
        *status += row.findings;
    }
}

impl FirstComment {
    /// Computes the percentiles of times in milliseconds. `sorted_times_ms` must be in ascending order.
    fn from_sorted_times(sorted_times_ms: &[u64]) -> Option<Self> {
        let part = |hundredths: usize| {
            sorted_times_ms.get((sorted_times_ms.len() * hundredths).div_ceil(100).checked_sub(1)?)
        };
        let (median_ms, p90_ms) = (*part(50)?, *part(90)?);
        Some(Self { heads: sorted_times_ms.len() as u64, median_ms, p90_ms })
    }

    /// Renders the times as a sentence.
    pub fn sentence(&self) -> String {
        format!(
            "Time from the start of a review to its first comment: median {}, 90th percentile {} ({})",
            format_duration(self.median_ms),
            format_duration(self.p90_ms),
            format_count(self.heads, "head")
        )
    }
}

/// A table for people, and the number of groups that the table omits.
pub struct GroupTable<'a> {
    /// Title of the table's first column.
    pub title: &'static str,
    /// The groups with the most findings.
    pub groups: &'a [FindingGroup],
    /// Number of groups that are left out.
    pub omitted_groups: usize,
}

impl FindingReport {
    /// Makes the report from these rows. `names` contains the repositories' display names. `sorted_times_ms`
    /// contains the times to the first comments in milliseconds, in ascending order.
    pub fn from_rows(
        rows: &[FindingCount],
        names: &BTreeMap<String, String>,
        sorted_times_ms: &[u64],
    ) -> Self {
        let mut all = FindingCounts::default();
        rows.iter().for_each(|row| all.add(row));
        let tool = |row: &FindingCount| row.rule.split('/').next().map(ToOwned::to_owned);
        let is = |row: &FindingCount, source: &str| row.source == source;
        let name = |row: &FindingCount| {
            let of_local =
                || row.repository.strip_prefix(SlotKey::LOCAL_PREFIX).unwrap_or(&row.repository).to_owned();
            names.get(&row.repository).cloned().unwrap_or_else(of_local)
        };
        Self {
            total_counts: all,
            by_rule: group_findings(rows, |row| Some(row.rule.clone())),
            by_tool: group_findings(rows, |row| tool(row).filter(|_| is(row, "tool"))),
            by_model: group_findings(rows, |row| {
                is(row, "agent").then(|| row.model.clone().unwrap_or_else(|| "unknown".to_owned()))
            }),
            by_specialist: group_findings(rows, |row| row.specialists.clone()),
            by_repository: group_findings(rows, |row| Some(name(row))),
            first_comment: FirstComment::from_sorted_times(sorted_times_ms),
        }
    }

    /// Returns the tables that have rows.
    pub fn tables(&self) -> Vec<GroupTable<'_>> {
        let all = [
            ("Rule", &self.by_rule),
            ("Tool", &self.by_tool),
            ("Model", &self.by_model),
            ("Specialist", &self.by_specialist),
            ("Repository", &self.by_repository),
        ];
        all.into_iter()
            .filter(|(_, groups)| !groups.is_empty())
            .map(|(title, groups)| {
                let (groups, rest) = groups.split_at(groups.len().min(MAX_TABLE_ROWS));
                GroupTable { title, groups, omitted_groups: rest.len() }
            })
            .collect()
    }
}

/// Groups rows by name. The group with the most findings is first. A row counts for each of its names, and a
/// row without a name is left out.
fn group_findings<Names: IntoIterator<Item = String>>(
    rows: &[FindingCount],
    names: impl Fn(&FindingCount) -> Names,
) -> Vec<FindingGroup> {
    let mut by_name = BTreeMap::<String, FindingCounts>::new();
    for row in rows {
        for name in names(row) {
            by_name.entry(name).or_default().add(row);
        }
    }
    let mut groups: Vec<FindingGroup> =
        by_name.into_iter().map(|(id, counts)| FindingGroup { id, counts }).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.counts.total));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_ranked_and_none_are_no_time() {
        assert_eq!(FirstComment::from_sorted_times(&[]), None);
        assert_eq!(
            FirstComment::from_sorted_times(&[7]),
            Some(FirstComment { heads: 1, median_ms: 7, p90_ms: 7 })
        );
        let ten: Vec<u64> = (1..=10).collect();
        assert_eq!(
            FirstComment::from_sorted_times(&ten),
            Some(FirstComment { heads: 10, median_ms: 5, p90_ms: 9 })
        );
    }
}

//! Collects the reports of readers about the files of one request.

use truing_core::outcome::{CoverageGap, SkipReason};
use truing_core::port::{ReadReport, ReadRequest};
use truing_diff::RepoPath;

use super::{
    CheckedReport, MAX_FINDINGS, MAX_FINDINGS_BYTES, MAX_SUPPRESSIONS, ProtocolError, check_report,
    retain_most_severe,
};
use crate::bounds::count_text_bytes;

/// The reports about the files of a request. The collected reports never contain more than twice the maximum
/// size of a response.
#[derive(Debug, Default)]
pub struct ReportCollector {
    report: ReadReport,
    findings_text_bytes: usize,
    dropped_count: usize,
}

impl ReportCollector {
    /// Adds the report on a file.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::UnrequestedFile`] if the report is about another file.
    pub fn add(&mut self, path: &RepoPath, report: ReadReport) -> Result<(), ProtocolError> {
        let ReadReport { findings, reviewed, not_reviewed, suppressed, suppressions, rules: _ } = report;
        let about = findings.iter().map(|finding| &finding.location.path);
        let about = about.chain(&reviewed).chain(not_reviewed.iter().map(|gap| &gap.path));
        let about = about.chain(suppressed.iter().map(|one| &one.finding.location.path));
        if let Some(other) = about.chain(suppressions.iter().map(|idle| &idle.path)).find(|it| *it != path) {
            return Err(ProtocolError::UnrequestedFile(other.clone()));
        }
        self.findings_text_bytes += findings.iter().map(count_text_bytes).sum::<usize>();
        self.report.findings.extend(findings);
        self.report.reviewed.extend(reviewed.into_iter().take(1));
        self.report.not_reviewed.extend(not_reviewed.into_iter().take(1));
        let room = MAX_SUPPRESSIONS.saturating_sub(self.report.suppressed.len());
        if suppressed.len() > room {
            // A file with missing findings must not count as reviewed, because a missing finding would look
            // fixed.
            self.record_skipped(path, SkipReason::TooLarge);
        }
        self.report.suppressed.extend(suppressed.into_iter().take(room));
        let room = MAX_SUPPRESSIONS.saturating_sub(self.report.suppressions.len());
        self.report.suppressions.extend(suppressions.into_iter().take(room));
        if self.report.findings.len() > 2 * MAX_FINDINGS || self.findings_text_bytes > 2 * MAX_FINDINGS_BYTES
        {
            for finding in retain_most_severe(&mut self.report.findings) {
                self.dropped_count += 1;
                self.record_skipped(&finding.location.path, SkipReason::TooLarge);
            }
            self.findings_text_bytes = self.report.findings.iter().map(count_text_bytes).sum();
        }
        Ok(())
    }

    /// Records that a file was not reviewed.
    pub fn record_skipped(&mut self, path: &RepoPath, reason: SkipReason) {
        let gaps = &mut self.report.not_reviewed;
        if gaps.last().is_none_or(|last| last.path != *path) {
            gaps.push(CoverageGap { path: path.clone(), reason });
        }
    }

    /// Returns true if no file has been recorded as reviewed or as skipped.
    pub fn is_empty(&self) -> bool {
        self.report.reviewed.is_empty() && self.report.not_reviewed.is_empty()
    }

    /// Returns the validated report of all files; see `check_report`.
    ///
    /// # Errors
    ///
    /// Returns the same errors as `check_report`.
    pub fn into_checked(
        self,
        request: &ReadRequest,
        rules: Vec<String>,
    ) -> Result<CheckedReport, ProtocolError> {
        let checked = check_report(request, ReadReport { rules, ..self.report })?;
        Ok(CheckedReport { dropped_count: checked.dropped_count + self.dropped_count, ..checked })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{finding, request, skipped_files};
    use super::*;

    #[test]
    fn what_is_collected_is_bounded_and_each_part_is_about_its_own_file() {
        let request = request();
        let mut collected = ReportCollector::default();
        let many = |path: &str| {
            let findings = (0..MAX_FINDINGS).map(|n| finding(path, n as u32 + 1)).collect();
            ReadReport { findings, reviewed: vec![path.into()], ..ReadReport::default() }
        };
        assert!(collected.is_empty());
        let error = collected.add(&"a.py".into(), many("b.py")).unwrap_err();
        assert!(matches!(error, ProtocolError::UnrequestedFile(path) if path == "b.py".into()));
        for path in ["a.py", "b.py"] {
            collected.add(&path.into(), many(path)).unwrap();
        }
        // The third report exceeds the bound.
        collected.add(&"b.py".into(), many("b.py")).unwrap();
        assert_eq!(collected.report.findings.len(), MAX_FINDINGS);
        let checked = collected.into_checked(&request, vec![]).unwrap();
        assert_eq!((checked.dropped_count, checked.report.findings.len()), (2 * MAX_FINDINGS, MAX_FINDINGS));
        assert_eq!(skipped_files(&checked), [("b.py".into(), SkipReason::TooLarge)]);
    }
}

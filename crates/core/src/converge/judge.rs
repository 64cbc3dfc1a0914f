//! Decides what follows an audit: the head is clean, a fix is next, or the run ends.

use super::*;

impl ConvergeRun {
    /// Decides the next step after an audit.
    pub(super) fn decide_after_audit(&mut self) {
        if self.audits_only {
            self.exit = Some(self.audit_only_exit());
            return;
        }
        if !self.has_blocking_finding() {
            return self.decide_without_blockers();
        }
        if let Some((code, reason)) = self.history.standstill_exit() {
            return self.set_exit(code, reason);
        }
        if self.remaining_audits() == 0 && !self.limits.fixes_last_audit {
            return self.end_at_audit_cap();
        }
        self.next_action = ConvergeAction::Fix { problems: Vec::new() };
    }

    /// Decides the next step if no finding blocks. The head is clean if every auditor has answered and no
    /// declined finding remains.
    pub(super) fn decide_without_blockers(&mut self) {
        if self.silent_auditors > 0 {
            if self.remaining_audits() == 0 {
                return self.end_at_audit_cap();
            }
            self.next_action = ConvergeAction::Gate;
            return;
        }
        let notes = self.findings.iter().filter(|finding| finding.is_open()).count();
        if notes > 0 && !self.has_fixed_nonblocking && self.remaining_audits() > 0 {
            self.has_fixed_nonblocking = true;
            self.next_action = ConvergeAction::Fix { problems: Vec::new() };
            return;
        }
        let weighs = |finding: &&Finding| finding.raw.severity <= self.limits.min_blocking;
        let declined = self.history.declined_findings().filter(weighs).count();
        if declined > 0 && !self.limits.allow_declined {
            let stand = match declined {
                1 => "1 finding was declined and remains unchanged".to_owned(),
                many => format!("{many} findings were declined and remain unchanged"),
            };
            let reason =
                format!("{stand}: fix or dismiss each declined finding manually, or set `allow_declined`");
            self.cleared_head = None;
            return self.set_exit(ConvergeExitCode::Declined, reason);
        }
        let head = self.head.short_sha();
        let who = match self.audit_count {
            0 => "an earlier run".to_owned(),
            number => format!("audit {number}"),
        };
        match (notes, declined) {
            (0, 0) => {
                self.cleared_head = Some(self.head.clone());
                self.set_exit(ConvergeExitCode::Clean, format!("{who} found nothing at {head}"));
            }
            (0, _) => {
                let were = if declined == 1 { "was" } else { "were" };
                let reason = format!("{who} found no open finding at {head}; {declined} {were} declined");
                self.set_exit(ConvergeExitCode::CleanButDeclined, reason);
            }
            _ => {
                let open: Vec<Finding> =
                    self.findings.iter().filter(|found| found.is_open()).cloned().collect();
                let many = |(severity, many): (Severity, u32)| format!("{many} {}", severity.as_str());
                let counted =
                    Severity::ALL.into_iter().zip(count_severities(&open)).filter(|(_, many)| *many > 0);
                let left = counted.map(many).collect::<Vec<_>>().join(", ");
                let are = if notes == 1 { "is" } else { "are" };
                let reason = format!("{who} found no blocking finding at {head}; {left} {are} left");
                self.set_exit(ConvergeExitCode::CleanButNotes, reason);
            }
        }
    }
}

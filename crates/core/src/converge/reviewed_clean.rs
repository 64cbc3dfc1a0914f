//! Detects heads that a review by Truing declares clean. A run that lacks the record of this audit therefore
//! does not pay for the same audit again.

use super::{AuditScopeDigest, ConvergeRun};
use crate::id::Sha;
use crate::port::{AuditMark, PullReview, ReviewState};

impl ConvergeRun {
    /// Returns true if the audit's result clears the head, once the result is posted. An audit-only run
    /// clears no head, because its head has not passed the gate.
    pub fn is_cleared_by_audit(&self) -> bool {
        self.findings.is_empty()
            && self.silent_auditors == 0
            && !self.audits_only
            && self.history.declined_findings().next().is_none()
    }
}

/// Returns true if these reviews show that Truing's newest audit of this head cleared the head in this scope.
/// `reviews` contains the reviews of the pull request, oldest first. A review counts only if Truing's account
/// wrote it and its marker is valid ([`PullReview::audit_mark`]).
pub fn is_reviewed_clean(reviews: &[PullReview], head: &Sha, scope: &AuditScopeDigest) -> bool {
    let of_head = |review: &&PullReview| {
        let is_ours = review.author.as_ref().is_some_and(|author| author.is_own_account);
        is_ours && review.audit_mark().is_some_and(|mark| mark.commit == *head)
    };
    let clears = |mark: AuditMark| mark.clean && mark.scope.as_ref() == Some(scope);
    reviews.iter().rfind(of_head).is_some_and(|newest| {
        newest.state == ReviewState::Commented && newest.audit_mark().is_some_and(clears)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dismissal::Dismissal;
    use crate::id::{AccountId, FindingId, ReviewId, RunId, UnixMillis};
    use crate::port::Actor;

    fn sha(digit: &str) -> Sha {
        Sha::parse(&digit.repeat(40)).unwrap()
    }

    fn actor(ours: bool) -> Actor {
        Actor { id: AccountId::new("7"), login: "truing".into(), is_own_account: ours, is_person: false }
    }

    fn dismissal(finding: &str) -> Dismissal {
        Dismissal {
            finding: FindingId::new(finding),
            snippet: String::new(),
            reason: "because".into(),
            dismissed_by: "ann".into(),
            dismissed_at: UnixMillis(1),
            withdrawn: false,
            finding_snapshot: None,
            retraction: None,
        }
    }

    fn scope() -> AuditScopeDigest {
        AuditScopeDigest::new(&sha("b"), "looks", &[])
    }

    fn mark() -> AuditMark {
        AuditMark { run: RunId::new("r"), audit: 1, clean: true, commit: sha("a"), scope: Some(scope()) }
    }

    fn review(mark: &AuditMark) -> PullReview {
        PullReview {
            id: ReviewId::new("1"),
            author: Some(actor(true)),
            state: ReviewState::Commented,
            commit: Some(mark.commit.clone()),
            submitted_at: Some(UnixMillis(1)),
            body: String::new(),
            topic: Some(mark.topic()),
        }
    }

    #[test]
    fn another_base_other_looks_and_other_dismissals_are_another_scope() {
        let (one, two) = (dismissal("1:one-0"), dismissal("1:two-0"));
        let withdrawn = Dismissal { withdrawn: true, ..one.clone() };
        let of = |dismissals: &[Dismissal]| AuditScopeDigest::new(&sha("b"), "looks", dismissals);
        assert_eq!(AuditScopeDigest::parse(scope().as_str()), Some(scope()));
        assert_ne!(AuditScopeDigest::new(&sha("c"), "looks", &[]), scope());
        assert_ne!(AuditScopeDigest::new(&sha("b"), "look", &[]), scope());
        assert_ne!(of(std::slice::from_ref(&one)), scope());
        assert_eq!(of(&[withdrawn]), scope());
        assert_eq!(of(&[one.clone(), two.clone()]), of(&[two.clone(), one.clone()]));
        assert_ne!(of(&[one]), of(&[two]));
        for bad in ["", "x", &"A".repeat(32), &"a".repeat(33)] {
            assert_eq!(AuditScopeDigest::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_head_is_reviewed_clean_by_our_own_newest_audit_of_it_in_the_same_scope_alone() {
        let clean = review(&mark());
        let is_clean = |reviews: &[PullReview]| is_reviewed_clean(reviews, &sha("a"), &scope());
        assert!(is_clean(std::slice::from_ref(&clean)));
        assert!(!is_clean(&[]));
        assert!(!is_reviewed_clean(std::slice::from_ref(&clean), &sha("c"), &scope()), "another head");
        let elsewhere = AuditScopeDigest::new(&sha("c"), "looks", &[]);
        assert!(!is_reviewed_clean(std::slice::from_ref(&clean), &sha("a"), &elsewhere), "another base");
        let bad = [
            ("another account", PullReview { author: Some(actor(false)), ..clean.clone() }),
            ("nobody", PullReview { author: None, ..clean.clone() }),
            ("no marker that verifies", PullReview { topic: None, ..clean.clone() }),
            ("on another commit", PullReview { commit: Some(sha("c")), ..clean.clone() }),
            ("dismissed by a person", PullReview { state: ReviewState::Dismissed, ..clean.clone() }),
            ("it found something", review(&AuditMark { clean: false, ..mark() })),
            ("of a version without scopes", review(&AuditMark { scope: None, ..mark() })),
        ];
        for (why, review) in bad {
            assert!(!is_clean(&[review]), "{why}");
        }
        let dirty = review(&AuditMark { clean: false, scope: None, audit: 2, ..mark() });
        assert!(!is_clean(&[clean.clone(), dirty.clone()]), "a newer audit found something");
        assert!(is_clean(&[dirty, clean.clone()]));
        let other = review(&AuditMark { commit: sha("c"), clean: false, ..mark() });
        let foreign = PullReview { author: Some(actor(false)), topic: None, ..clean.clone() };
        assert!(
            is_clean(&[clean, other, foreign]),
            "what is said of other heads, and by others, is no audit of it"
        );
    }
}

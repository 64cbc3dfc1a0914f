//! What other reviewers found becomes the work of the next fix (spec/converge.md 10.8, 15.3), as if an audit had found
//! it: with ids and a line in the log, within the same limits. After its push the run goes on as after any other. And what
//! others push.

use serde::{Deserialize, Serialize};

use super::{Act, Claim, Exit, Kind, Line, Run};
use crate::finding::Finding;
use crate::id::Sha;
use crate::identity::{Placed, identify};
use crate::increment::Renames;
use crate::outcome::Coverage;

/// What is set aside while a fix of what others found is in progress.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Aside {
    /// What the newest audit found.
    pub found: Vec<Finding>,
    /// The run had converged at this head, so.
    pub exit: Option<Exit>,
}

impl Run {
    /// Is nothing in progress? Then others may be heard: before an audit begins, and after the run has converged.
    pub fn is_at_rest(&self) -> bool {
        match &self.exit {
            Some(exit) => exit.kind() == Kind::Converged,
            None => self.next == Act::Gate,
        }
    }

    /// Others have found this. `found` holds it, in the same order, until the fix is answered.
    pub(super) fn heard(&mut self, claims: Vec<Claim>, renames: &Renames) {
        if claims.is_empty() {
            return;
        }
        self.heard = self.heard.saturating_add(1);
        self.gate_rounds = 0;
        let (placed, origins): (Vec<Placed>, Vec<_>) =
            claims.into_iter().map(|claim| (claim.placed, claim.origin)).unzip();
        // They do not say that what they leave out is gone.
        let identified =
            identify(self.history.findings(), placed, None, (&Coverage::default(), renames)).current;
        self.history.seen(&identified, &origins);
        let found = std::mem::replace(&mut self.found, identified);
        self.aside = Some(Aside { found, exit: self.exit.take() });
        self.forget_fix();
        self.log.push(Line::Heard { number: self.heard, counts: self.counts() });
        if let Some((code, reason)) = self.history.worn(self.found.iter().map(|finding| &finding.id)) {
            return self.end(code, reason);
        }
        // Where no audit follows, this bounds it.
        if self.heard > self.limits.max_audits || self.audits_left() == 0 && !self.limits.final_fix {
            return self.reach_cap();
        }
        self.next = Act::Fix { problems: Vec::new() };
    }

    /// Somebody else has pushed: what is in progress is about code that is gone.
    pub(super) fn moved(&mut self, head: Sha, tree: Sha) {
        self.moves = self.moves.saturating_add(1);
        // Whoever has pushed may have taken the fixes back.
        self.claims.clear();
        self.begin_anew(head, tree);
    }

    /// The base was merged into the branch, because we wanted it.
    pub(super) fn updated(&mut self, head: Sha, tree: Sha) {
        self.updates = self.updates.saturating_add(1);
        self.begin_anew(head, tree);
    }

    fn begin_anew(&mut self, head: Sha, tree: Sha) {
        self.log.push(Line::Moved { head: head.clone() });
        (self.head, self.tree) = (head, tree);
        (self.exit, self.aside, self.candidate) = (None, None, None);
        (self.gate_rounds, self.hook_blocks, self.silent_fixers) = (0, 0, 0);
        self.refused.clear();
        self.history.moved();
        self.next = Act::Gate;
    }

    /// A fixer changed nothing of what others found: the head is what it was.
    pub(super) fn turned_down(&mut self, aside: Aside) {
        self.found = aside.found;
        match aside.exit {
            Some(_) => self.judge_clean(),
            None => self.next = Act::Gate,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::tests::{after, audit, begun, candidate, code, fixed, p1, says, sha};
    use super::super::{Code, Event, Limits, Unexpected, Word};
    use super::*;

    fn heard(claims: &[Claim]) -> Event {
        Event::Heard { claims: claims.to_vec(), renames: Renames::default() }
    }

    /// A run that others have told something, whether it has converged or not.
    fn told(mut run: Run, claims: &[Claim]) -> Run {
        run.after(heard(claims)).unwrap();
        run
    }

    fn converged(limits: Limits) -> Run {
        let run = audit(begun(limits), &[]);
        assert_eq!(code(&run), Some(Code::Clean));
        run
    }

    fn declines(run: Run) -> Run {
        let words = says(&run, &Word::Declined("it is meant so".into()));
        after(run, [Event::Fixed { words, candidate: None }, Event::Replied])
    }

    #[test]
    fn what_others_find_is_fixed_and_then_audited_as_ever() {
        let run = told(converged(Limits::default()), &[p1(3), p1(20)]);
        assert_eq!((&run.exit, &run.next), (&None, &Act::Fix { problems: vec![] }));
        let lines: Vec<u32> = run.found.iter().map(|found| found.raw.place.start_line).collect();
        assert_eq!((lines, run.audits, run.heard), (vec![3, 20], 1, 1));
        assert_eq!(run.log.last(), Some(&Line::Heard { number: 1, counts: [0, 2, 0] }));
        let run = fixed(run, 2);
        assert_eq!((&run.next, &run.aside, run.commits.as_slice()), (&Act::Gate, &None, &[sha(2)][..]));
        let run = audit(run, &[]);
        assert_eq!((code(&run), run.audits), (Some(Code::Clean), 2));
    }

    #[test]
    fn others_are_heard_before_the_first_audit_too_and_never_in_the_middle() {
        let run = declines(told(begun(Limits::default()), &[p1(3)]));
        assert_eq!(
            (&run.exit, &run.next, run.audits),
            (&None, &Act::Gate, 0),
            "our own audit is still to come"
        );
        let mut busy = after(run, [Event::Gated(None)]);
        assert!(!busy.is_at_rest());
        assert_eq!(busy.after(heard(&[p1(3)])), Err(Unexpected { act: "audit" }));
        let mut stuck = begun(Limits::default());
        stuck.after(Event::Ended(Exit::new(Code::Closed, "it was merged"))).unwrap();
        let before = stuck.clone();
        assert_eq!((told(stuck, &[p1(3)]), told(before.clone(), &[])), (before.clone(), before));
    }

    #[test]
    fn what_is_declined_leaves_the_head_as_it_was_and_counts_as_ever() {
        let run = declines(told(converged(Limits::default()), &[p1(3)]));
        assert_eq!((code(&run), run.audits, run.found.len()), (Some(Code::Declined), 1, 0));
        let allowed = Limits { allow_declined: true, ..Limits::default() };
        let run = declines(told(converged(allowed.clone()), &[p1(3)]));
        assert_eq!((code(&run), run.history.declined().count()), (Some(Code::CleanButDeclined), 1));
        // Of a head that an earlier run has cleared as well.
        let run = declines(told(Run::begin(allowed, (sha(1), sha(2)), Some(&sha(1))), &[p1(3)]));
        assert_eq!(code(&run), Some(Code::CleanButDeclined));
        assert!(run.exit.unwrap().reason.starts_with("an earlier run found nothing"));
    }

    #[test]
    fn nothing_is_fixed_that_nobody_would_audit() {
        let run = told(converged(Limits { max_audits: 1, ..Limits::default() }), &[p1(3)]);
        assert_eq!((code(&run), run.found.len(), run.commits.len()), (Some(Code::CapReached), 1, 0));
        assert!(run.exit.unwrap().reason.contains("others found 0 P0, 1 P1 and 0 P2"));
        // Nor is it heard for ever where our own audit never comes.
        let mut run = begun(Limits { max_audits: 2, ..Limits::default() });
        for seed in 2..4 {
            run = fixed(told(run, &[p1(u32::try_from(seed * 30).unwrap())]), seed);
            assert_eq!(code(&run), None);
        }
        assert_eq!(code(&told(run, &[p1(500)])), Some(Code::CapReached));
    }

    #[test]
    fn a_finding_of_others_that_always_comes_back_ends_the_run() {
        let mut run = begun(Limits::default());
        for seed in 2..5 {
            run = fixed(told(run, &[p1(3)]), seed);
        }
        assert_eq!(code(&told(run, &[p1(3)])), Some(Code::NotConverging));
    }

    #[test]
    fn a_run_that_had_converged_begins_anew_when_others_push() {
        let moved = Event::Moved { head: sha(9), tree: sha(10) };
        let mut run = converged(Limits::default());
        run.after(moved.clone()).unwrap();
        assert_eq!((&run.exit, &run.next, &run.head), (&None, &Act::Gate, &sha(9)));
        assert_eq!(code(&audit(run, &[])), Some(Code::Clean));
        // In the middle of a fix of what others found.
        let run = after(told(converged(Limits::default()), &[p1(3)]), [moved]);
        assert_eq!((&run.next, &run.aside, &run.candidate), (&Act::Gate, &None, &None));
    }

    #[test]
    fn the_base_that_the_forge_merges_for_us_is_nobody_elses_push() {
        let mut run = converged(Limits { max_audits: 1, ..Limits::default() });
        for seed in 2..5 {
            run.after(Event::Updated { head: sha(seed), tree: sha(100 + seed) }).unwrap();
            run = audit(run, &[]);
            assert_eq!((code(&run), run.moves), (Some(Code::Clean), 0));
        }
        run.after(Event::Moved { head: sha(9), tree: sha(10) }).unwrap();
        assert_eq!((code(&audit(run.clone(), &[])), run.moves), (Some(Code::Clean), 1));
    }

    #[test]
    fn a_gate_that_was_mended_before_does_not_make_their_fix_another_one_of_that() {
        let gate = Event::Gated(Some("style".into()));
        let run = after(
            begun(Limits::default()),
            [gate, Event::Mended(Some(candidate(2))), Event::Checked(vec![]), Event::Pushed],
        );
        let run = fixed(told(run, &[p1(3)]), 3);
        let fix = Line::Fix { number: 0, commit: Some(sha(3)), fixed: 1, declined: 0 };
        assert_eq!((run.log.last(), run.history.declined().count()), (Some(&fix), 0));
        let said: BTreeMap<_, _> =
            run.history.findings().iter().map(|known| (&known.id, &known.status)).collect();
        assert!(said.values().all(|status| **status == crate::finding::FindingStatus::Claimed), "{said:?}");
    }
}

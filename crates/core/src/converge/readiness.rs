//! What a pull request still needs beside our own audit before it is ready (spec/converge.md 10, 13.5, 14.4, 15.3): other
//! reviewers, threads, mergeability, and the mark itself. Pure; it never merges and never approves.
//!
//! [`PullReadiness::next`] says the one next thing, from the configuration, what is seen at the forge and the instant. What
//! others say is judged anew at each look, so nothing that was clean once counts after it has changed. What is kept is
//! what a look cannot show (who was asked when, what was waited for, what our own audit cleared), and all of it is about
//! one head: any push forgets it. So whatever is ready is so at one commit, with no push between.
//!
//! It is asked while the [`ConvergeRun`](super::ConvergeRun) is at rest. What has an effect on a forge is told back when it is done
//! ([`PullReadiness::asked`], [`PullReadiness::marked`]): until then it is said again, and whoever does it finds what is there
//! already. Every wait has an instant to look again and a time after which it is given up.

mod rules;
mod seen;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ConvergeExit, ConvergeExitCode, MAX_MOVES};
use crate::id::{Sha, ThreadId, TimeSpan, UnixMillis};
use crate::line::counted;
use crate::port::PullState;
pub use rules::{ExternalReviewer, ReadinessRules, RequiredReviewer};
use seen::ReviewerVerdict;
pub use seen::{
    LastWord, MergeableState, ObservedReview, PullSnapshot, ReviewTextSignal, ReviewerCheck,
    ReviewerFeedback, ThreadAuthor, UnresolvedThread,
};

/// So old is a head before what a forge shows of it is believed.
pub const SETTLE: TimeSpan = TimeSpan::minutes(1);
/// How long after it a reviewer that lags is looked at again, if others are not looked at sooner.
pub const LAG: TimeSpan = TimeSpan::minutes(1);
/// How often a forge is looked at that is finding something out.
pub const REPOLL: TimeSpan = TimeSpan::seconds(10);
/// How long it may take for that.
pub const MERGE_BUDGET: TimeSpan = TimeSpan::minutes(2);
/// How long checks of the head are waited for.
pub const CHECKS_BUDGET: TimeSpan = TimeSpan::minutes(60);
/// How often the base is merged into the branch, in one run.
pub const MAX_UPDATES: u32 = 3;
/// So often at one head it is tried to ask a reviewer, while nobody knows whether it was.
const MAX_FAILED: u32 = 3;
/// No wait is shorter.
const LEAST_WAIT: TimeSpan = TimeSpan::seconds(1);
/// So many names of checks are told.
const MAX_NAMED: usize = 5;
/// Characters of a name that others chose.
const MAX_NAME: usize = 80;

/// What others found and nobody has answered.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct UnansweredFeedback {
    /// Threads.
    pub threads: BTreeSet<ThreadId>,
    /// Reviewers whose review itself is what they have against it.
    pub reviews: BTreeSet<String>,
}

impl UnansweredFeedback {
    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.threads.is_empty() && self.reviews.is_empty()
    }
}

/// The one next thing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReadinessAction {
    /// Our own audit has to clear the head: the run goes on, after a [`ConvergeEvent::Moved`](super::ConvergeEvent::Moved) or
    /// [`ConvergeEvent::Updated`](super::ConvergeEvent::Updated) ([`PullReadiness::is_update`]) if it had converged or does not know the head. If
    /// it converges then, [`PullReadiness::cleared`].
    Internal,
    /// Ask this reviewer, then [`PullReadiness::asked`].
    Ask(String),
    /// Look again at this instant, or sooner.
    Wait {
        /// When.
        until: UnixMillis,
        /// What for.
        why: ReadinessWait,
    },
    /// This is to be fixed or answered: a [`ConvergeEvent::Heard`](super::ConvergeEvent::Heard) for the run. Kept with the run, or not at
    /// all: nothing is handed over twice at one head.
    Fix(UnansweredFeedback),
    /// Have the base merged into the branch; then [`PullReadiness::pushed`], or look again: the next head is that.
    UpdateBranch,
    /// Mark it ready, then [`PullReadiness::marked`].
    MarkReady,
    /// All is clean at this head.
    Done {
        /// What people should know all the same.
        notes: Vec<String>,
    },
    /// It cannot get there.
    End(ConvergeExit),
}

/// What is waited for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why", content = "of")]
pub enum ReadinessWait {
    /// The forge has just got this head.
    Settling,
    /// This reviewer's answer.
    Answer(String),
    /// The comments that this reviewer speaks of.
    Inline(String),
    /// Whether it can be merged.
    Merge,
    /// Checks of the head.
    Checks,
}

impl fmt::Display for ReadinessWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settling => f.write_str("the forge has just got this head"),
            Self::Answer(name) => write!(f, "{name} has not answered"),
            Self::Inline(name) => write!(f, "{name} has found something and does not show where"),
            Self::Merge => f.write_str("the forge does not say whether it can be merged"),
            Self::Checks => f.write_str("checks have not ended"),
        }
    }
}

/// What is kept of one pull request between looks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PullReadiness {
    base: String,
    /// The head before our own push.
    before: Option<Sha>,
    /// Heads and bases of other people.
    moves: u32,
    updates: u32,
    /// The forge was asked to merge the base: the next head is its work.
    #[serde(default)]
    is_updating: bool,
    /// The newest head that came of that.
    #[serde(default)]
    updated: Option<Sha>,
    /// It was no draft at some look: who made it one again wants it so.
    was_open: bool,
    /// Reviewers that cannot be asked, and why.
    unreachable: BTreeMap<String, String>,
    at: HeadReadiness,
}

/// What is kept of one head.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct HeadReadiness {
    head: Sha,
    since: UnixMillis,
    is_cleared: bool,
    is_marked: bool,
    asked: BTreeMap<String, u32>,
    /// How often it failed to ask.
    #[serde(default)]
    failed: BTreeMap<String, u32>,
    /// Since when something is waited for: of a reviewer, since it was asked last.
    waits: Vec<(ReadinessWait, UnixMillis)>,
    lags: BTreeMap<String, ReviewerLag>,
    /// What was handed over.
    handed: UnansweredFeedback,
}

/// How a reviewer lags.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct ReviewerLag {
    /// Looks that did not help.
    looks: u32,
    /// The next.
    at: UnixMillis,
}

impl HeadReadiness {
    fn new(head: Sha, now: UnixMillis) -> Self {
        Self {
            head,
            since: now,
            is_cleared: false,
            is_marked: false,
            asked: BTreeMap::new(),
            failed: BTreeMap::new(),
            waits: Vec::new(),
            lags: BTreeMap::new(),
            handed: UnansweredFeedback::default(),
        }
    }

    /// Since when this is waited for.
    fn since(&self, why: &ReadinessWait) -> Option<UnixMillis> {
        self.waits.iter().find(|(known, _)| known == why).map(|(_, since)| *since)
    }

    fn wait_from(&mut self, why: ReadinessWait, now: UnixMillis) {
        self.waits.retain(|(known, _)| *known != why);
        self.waits.push((why, now));
    }

    /// Waits, looking each `poll`, for at most `budget` at this head; then there is nothing to wait for any more.
    fn wait(
        &mut self,
        why: ReadinessWait,
        (poll, budget): (TimeSpan, TimeSpan),
        now: UnixMillis,
    ) -> Result<(), ReadinessAction> {
        let since = self.since(&why).unwrap_or(now);
        self.wait_from(why.clone(), since);
        let end = since + budget;
        if now < end { Err(wait((now + poll).min(end), why, now)) } else { Ok(()) }
    }
}

fn wait(until: UnixMillis, why: ReadinessWait, now: UnixMillis) -> ReadinessAction {
    ReadinessAction::Wait { until: until.max(now + LEAST_WAIT), why }
}

fn end<T>(code: ConvergeExitCode, reason: impl Into<String>) -> Result<T, ReadinessAction> {
    Err(ReadinessAction::End(ConvergeExit::new(code, reason)))
}

impl PullReadiness {
    /// Of a pull request to this base, at this head.
    pub fn begin(head: Sha, base: impl Into<String>, now: UnixMillis) -> Self {
        Self {
            base: base.into(),
            before: None,
            moves: 0,
            updates: 0,
            is_updating: false,
            updated: None,
            was_open: false,
            unreachable: BTreeMap::new(),
            at: HeadReadiness::new(head, now),
        }
    }

    /// The head that all of it is about.
    pub fn head(&self) -> &Sha {
        &self.at.head
    }

    /// Did this head come of our asking the forge to merge the base?
    pub fn is_update(&self, head: &Sha) -> bool {
        self.updated.as_ref() == Some(head)
    }

    /// We have pushed: nothing of what was said before counts, and the first reviewer is the next.
    pub fn pushed(&mut self, head: &Sha, now: UnixMillis) {
        if self.at.head != *head {
            let before = std::mem::replace(&mut self.at, HeadReadiness::new(head.clone(), now));
            self.before = Some(before.head);
            self.is_updating = false;
        }
    }

    /// Our own audit has cleared this head.
    pub fn cleared(&mut self, head: &Sha, now: UnixMillis) {
        self.pushed(head, now);
        self.at.is_cleared = true;
    }

    /// A reviewer was asked.
    pub fn asked(&mut self, name: &str, now: UnixMillis) {
        let asked = self.at.asked.entry(name.to_owned()).or_default();
        *asked = asked.saturating_add(1);
        self.at.wait_from(ReadinessWait::Answer(name.to_owned()), now);
    }

    /// Nobody knows whether a reviewer was asked. It is tried again: so often, and then it counts as one that cannot be.
    pub fn failed(&mut self, name: &str, why: impl Into<String>) {
        let failed = self.at.failed.entry(name.to_owned()).or_default();
        *failed = failed.saturating_add(1);
        if *failed >= MAX_FAILED {
            self.unreachable(name, why);
        }
    }

    /// A reviewer cannot be asked, in this run.
    pub fn unreachable(&mut self, name: &str, why: impl Into<String>) {
        self.unreachable.insert(name.to_owned(), why.into());
    }

    /// It is marked ready.
    pub fn marked(&mut self) {
        self.at.is_marked = true;
    }

    /// The one next thing.
    pub fn next(&mut self, rules: &ReadinessRules, seen: &PullSnapshot, now: UnixMillis) -> ReadinessAction {
        match self.look(rules, seen, now) {
            Err(want) => want,
            Ok(notes) => ReadinessAction::Done { notes },
        }
    }

    /// Everything in turn, up to what does not hold yet.
    fn look(
        &mut self,
        rules: &ReadinessRules,
        seen: &PullSnapshot,
        now: UnixMillis,
    ) -> Result<Vec<String>, ReadinessAction> {
        self.drift(seen, now)?;
        let mut notes = Vec::new();
        for reviewer in &rules.reviewers {
            match reviewer {
                RequiredReviewer::Internal if self.at.is_cleared => {}
                RequiredReviewer::Internal => return Err(ReadinessAction::Internal),
                RequiredReviewer::Other(rule) => {
                    self.answer_others(seen, now)?;
                    notes.extend(self.review(rules, rule, seen, now)?);
                }
            }
        }
        self.answer_others(seen, now)?;
        threads(rules, seen)?;
        notes.extend(self.merge(rules, seen, now)?);
        notes.extend(self.mark(rules, seen)?);
        Ok(notes)
    }

    /// What other people did to it meanwhile (A35).
    fn drift(&mut self, seen: &PullSnapshot, now: UnixMillis) -> Result<(), ReadinessAction> {
        match seen.state {
            PullState::Merged => return end(ConvergeExitCode::Closed, "somebody has merged it"),
            PullState::Closed => return end(ConvergeExitCode::Closed, "somebody has closed it"),
            PullState::Open => self.was_open = true,
            PullState::Draft => {}
        }
        if seen.head == self.at.head && seen.base == self.base {
            return Ok(());
        }
        let is_stale = self.before.as_ref() == Some(&seen.head) && now < self.at.since + SETTLE;
        if is_stale && seen.base == self.base {
            return Err(wait(now + REPOLL, ReadinessWait::Settling, now));
        }
        if self.is_updating && seen.base == self.base {
            self.pushed(&seen.head, now);
            self.updated = Some(seen.head.clone());
            return Ok(());
        }
        if seen.head != self.at.head {
            self.at = HeadReadiness::new(seen.head.clone(), now);
        }
        // To another base it is another change: who was asked about this head was asked all the same.
        (self.at.is_cleared, self.at.is_marked) = (false, false);
        self.base.clone_from(&seen.base);
        self.before = None;
        self.moves = self.moves.saturating_add(1);
        if self.moves > MAX_MOVES {
            let reason =
                format!("others have pushed {} times meanwhile: run it again when they rest", self.moves);
            return end(ConvergeExitCode::HeadMoved, reason);
        }
        Ok(())
    }

    /// Nobody is asked or waited for while somebody waits for us.
    fn answer_others(&mut self, seen: &PullSnapshot, now: UnixMillis) -> Result<(), ReadinessAction> {
        // The clock of whoever committed may be wrong.
        let settled = seen.committed.min(self.at.since) + SETTLE;
        if now < settled {
            return Err(wait(settled, ReadinessWait::Settling, now));
        }
        let handed = &mut self.at.handed;
        let threads = seen.threads.iter().filter(|thread| thread.counts() && thread.last == LastWord::Theirs);
        let reviews = seen.views.iter().filter(|(_, view)| view.verdict() == ReviewerVerdict::Against);
        let work = UnansweredFeedback {
            threads: threads
                .map(|thread| &thread.id)
                .filter(|id| !handed.threads.contains(*id))
                .cloned()
                .collect(),
            reviews: reviews
                .map(|(name, _)| name)
                .filter(|name| !handed.reviews.contains(*name))
                .cloned()
                .collect(),
        };
        if work.is_empty() {
            return Ok(());
        }
        handed.threads.extend(work.threads.iter().cloned());
        handed.reviews.extend(work.reviews.iter().cloned());
        Err(ReadinessAction::Fix(work))
    }

    /// One reviewer; with a note if it goes on without it.
    fn review(
        &mut self,
        rules: &ReadinessRules,
        rule: &ExternalReviewer,
        seen: &PullSnapshot,
        now: UnixMillis,
    ) -> Result<Option<String>, ReadinessAction> {
        let name = &rule.name;
        let verdict = seen.views.get(name).map_or(ReviewerVerdict::Silent, ReviewerFeedback::verdict);
        // It was handed over: nothing was changed for it.
        let is_declined = self.at.handed.reviews.contains(name);
        match verdict {
            ReviewerVerdict::Content => Ok(None),
            ReviewerVerdict::Against | ReviewerVerdict::Lags if is_declined && rules.allow_declined => {
                Ok(Some(format!("what {name} asks for was declined")))
            }
            ReviewerVerdict::Lags if !is_declined => {
                let holds = seen.views.get(name).is_some_and(ReviewerFeedback::holds);
                self.lag(rules, name, holds, now)
            }
            ReviewerVerdict::Against | ReviewerVerdict::Lags => {
                let reason = format!("what {name} asks for was declined: fix it, or set `allow_declined`");
                end(ConvergeExitCode::Declined, reason)
            }
            ReviewerVerdict::Queued => self.missing(rules, rule, (false, false), now),
            // Whoever called it, it was perhaps at another head: once we call it, too.
            ReviewerVerdict::Called => {
                let is_asked = self.at.asked.contains_key(name);
                self.missing(rules, rule, (false, !is_asked), now)
            }
            ReviewerVerdict::Silent => self.missing(rules, rule, (true, true), now),
        }
    }

    /// It says that it found something, and shows nothing on lines: perhaps its text `holds` it.
    fn lag(
        &mut self,
        rules: &ReadinessRules,
        name: &str,
        holds: bool,
        now: UnixMillis,
    ) -> Result<Option<String>, ReadinessAction> {
        let next = now + LAG.min(rules.poll);
        let lag = self.at.lags.entry(name.to_owned()).or_insert(ReviewerLag { looks: 0, at: next });
        if now >= lag.at {
            *lag = ReviewerLag { looks: lag.looks.saturating_add(1), at: next };
        }
        if lag.looks >= rules.inline_lag_max && holds {
            let reviews = BTreeSet::from([name.to_owned()]);
            self.at.handed.reviews.extend(reviews.iter().cloned());
            return Err(ReadinessAction::Fix(UnansweredFeedback {
                reviews,
                ..UnansweredFeedback::default()
            }));
        }
        if lag.looks >= rules.inline_lag_max {
            let reason = format!("{name} says that it found something, and shows nothing on any line");
            return end(ConvergeExitCode::InlineLag, reason);
        }
        Err(wait(lag.at, ReadinessWait::Inline(name.to_owned()), now))
    }

    /// It has said nothing of this head. May it be asked now, and when it was waited for?
    fn missing(
        &mut self,
        rules: &ReadinessRules,
        rule: &ExternalReviewer,
        (at_once, later): (bool, bool),
        now: UnixMillis,
    ) -> Result<Option<String>, ReadinessAction> {
        let name = &rule.name;
        if let Some(why) = self.unreachable.get(name) {
            return down(rule, format!("{name} cannot be asked: {why}"));
        }
        let why = ReadinessWait::Answer(name.clone());
        let asked = self.at.asked.get(name).copied().unwrap_or(0);
        let is_left = asked < rule.requests;
        match self.at.since(&why) {
            None if at_once && is_left => return Err(ReadinessAction::Ask(name.clone())),
            None => self.at.wait_from(why.clone(), now),
            Some(since) if now < since + rule.budget => {}
            Some(_) if later && is_left => return Err(ReadinessAction::Ask(name.clone())),
            Some(_) => {
                return down(rule, format!("{name} has said nothing of {}", self.at.head.short()));
            }
        }
        let since = self.at.since(&why).unwrap_or(now);
        let first = if asked > 0 { since + rules.poll_after_trigger } else { since };
        Err(wait(first.max(now + rules.poll).min(since + rule.budget), why, now))
    }

    /// Whether it can be merged (A27); with a note if only people are missing.
    fn merge(
        &mut self,
        rules: &ReadinessRules,
        seen: &PullSnapshot,
        now: UnixMillis,
    ) -> Result<Option<String>, ReadinessAction> {
        if self.is_updating && matches!(seen.merge, MergeableState::Dirty | MergeableState::Behind) {
            // It merges after it has answered.
            self.at.wait(ReadinessWait::Merge, (REPOLL, MERGE_BUDGET), now)?;
            self.is_updating = false;
        }
        let is_ready = match seen.merge {
            MergeableState::Clean | MergeableState::HasHooks => return Ok(None),
            MergeableState::Unknown => false,
            MergeableState::Dirty | MergeableState::Behind
                if rules.auto_rebase && self.updates < MAX_UPDATES =>
            {
                self.updates = self.updates.saturating_add(1);
                self.is_updating = true;
                return Err(ReadinessAction::UpdateBranch);
            }
            MergeableState::Dirty => {
                let reason = format!("it conflicts with {}: merge that into the branch", self.base_name());
                return end(ConvergeExitCode::Mergeability, reason);
            }
            MergeableState::Behind => {
                let reason =
                    format!("it has to hold what is new in {}: merge that into it", self.base_name());
                return end(ConvergeExitCode::Mergeability, reason);
            }
            MergeableState::Draft => true,
            // Whoever may give it is asked when it is ready; a second run has to end as the first did.
            MergeableState::Blocked => seen.lacks_review,
            MergeableState::Unstable => false,
        };
        if seen.merge != MergeableState::Unknown && !seen.failed.is_empty() {
            return end(ConvergeExitCode::Mergeability, format!("checks failed: {}", named(&seen.failed)));
        }
        if seen.merge != MergeableState::Unknown && !seen.pending.is_empty() {
            self.at.wait(ReadinessWait::Checks, (rules.poll, CHECKS_BUDGET), now)?;
            let reason = format!("checks have not ended in an hour: {}", named(&seen.pending));
            return end(ConvergeExitCode::Mergeability, reason);
        }
        if is_ready {
            return Ok(seen
                .lacks_review
                .then(|| "a review is missing that the rules of its base want".to_owned()));
        }
        // What the rest does not explain may be on its way.
        self.at.wait(ReadinessWait::Merge, (REPOLL, MERGE_BUDGET), now)?;
        let reason = match seen.merge {
            MergeableState::Blocked => "the rules of its base forbid to merge it",
            MergeableState::Unstable => "the forge calls it unstable, and names no check",
            MergeableState::Unknown
            | MergeableState::Clean
            | MergeableState::HasHooks
            | MergeableState::Behind
            | MergeableState::Dirty
            | MergeableState::Draft => "the forge does not say whether it can be merged",
        };
        end(ConvergeExitCode::Mergeability, reason)
    }

    fn base_name(&self) -> String {
        crate::line::clean(&self.base, MAX_NAME)
    }

    /// The mark itself; with a note if somebody does not want it.
    fn mark(&self, rules: &ReadinessRules, seen: &PullSnapshot) -> Result<Option<String>, ReadinessAction> {
        if seen.state != PullState::Draft || self.at.is_marked || !rules.mark_ready {
            return Ok(None);
        }
        if self.was_open {
            return Ok(Some("somebody has made it a draft again: it stays one".to_owned()));
        }
        Err(ReadinessAction::MarkReady)
    }
}

/// It is not waited for any more.
fn down(rule: &ExternalReviewer, reason: String) -> Result<Option<String>, ReadinessAction> {
    if rule.is_required { end(ConvergeExitCode::ReviewerSilent, reason) } else { Ok(Some(reason)) }
}

/// No thread may be open, but what the configuration leaves open (A40). Whatever waits for us was handed over.
fn threads(rules: &ReadinessRules, seen: &PullSnapshot) -> Result<(), ReadinessAction> {
    let open = |last| seen.threads.iter().filter(|thread| thread.counts() && thread.last == last).count();
    let (theirs, fixed, declined) = (open(LastWord::Theirs), open(LastWord::Fixed), open(LastWord::Declined));
    let reason = if theirs > 0 {
        format!("{} without our answer", counted(theirs, "open thread"))
    } else if declined > 0 && !rules.allow_declined {
        let open = counted(declined, "open thread");
        format!("{open} about findings that were declined: fix them, or set `allow_declined`")
    } else if fixed > 0 && rules.resolve_threads {
        format!("{} about findings that are fixed: somebody has opened them again", counted(fixed, "thread"))
    } else {
        return Ok(());
    };
    end(ConvergeExitCode::Threads, reason)
}

/// Names that others chose.
fn named(names: &[String]) -> String {
    let told: Vec<String> =
        names.iter().take(MAX_NAMED).map(|name| crate::line::clean(name, MAX_NAME)).collect();
    let rest = names.len().saturating_sub(told.len());
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{}{more}", told.join(", "))
}

//! What a pull request still needs beside our own audit before it is ready (spec/converge.md 10, 13.5, 14.4, 15.3): other
//! reviewers, threads, mergeability, and the mark itself. Pure; it never merges and never approves.
//!
//! [`Readiness::next`] says the one next thing, from the configuration, what is seen at the forge and the instant. What
//! others say is judged anew at each look, so nothing that was clean once counts after it has changed. What is kept is
//! what a look cannot show (who was asked when, what was waited for, what our own audit cleared), and all of it is about
//! one head: any push forgets it. So whatever is ready is so at one commit, with no push between.
//!
//! It is asked while the [`Run`](super::Run) is at rest. What has an effect on a forge is told back when it is done
//! ([`Readiness::asked`], [`Readiness::marked`]): until then it is said again, and whoever does it finds what is there
//! already. Every wait has an instant to look again and a time after which it is given up.

mod rules;
mod seen;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Code, Exit, MAX_MOVES};
use crate::id::{Millis, Sha, Span, ThreadId};
use crate::line::counted;
use crate::port::PullState;
pub use rules::{Reviewer, Rule, Rules};
use seen::Verdict;
pub use seen::{By, Check, Last, Merge, Review, Seen, Text, Thread, View};

/// So old is a head before what a forge shows of it is believed.
pub const SETTLE: Span = Span::minutes(1);
/// How long after it a reviewer that lags is looked at again, if others are not looked at sooner.
pub const LAG: Span = Span::minutes(1);
/// How often a forge is looked at that is finding something out.
pub const REPOLL: Span = Span::seconds(10);
/// How long it may take for that.
pub const MERGE_BUDGET: Span = Span::minutes(2);
/// How long checks of the head are waited for.
pub const CHECKS_BUDGET: Span = Span::minutes(60);
/// How often the base is merged into the branch, in one run.
pub const MAX_UPDATES: u32 = 3;
/// So often at one head it is tried to ask a reviewer, while nobody knows whether it was.
const MAX_FAILED: u32 = 3;
/// No wait is shorter.
const LEAST_WAIT: Span = Span::seconds(1);
/// So many names of checks are told.
const MAX_NAMED: usize = 5;
/// Characters of a name that others chose.
const MAX_NAME: usize = 80;

/// What others found and nobody has answered.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Work {
    /// Threads.
    pub threads: BTreeSet<ThreadId>,
    /// Reviewers whose review itself is what they have against it.
    pub reviews: BTreeSet<String>,
}

impl Work {
    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.threads.is_empty() && self.reviews.is_empty()
    }
}

/// The one next thing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Want {
    /// Our own audit has to clear the head: the run goes on, after an [`Event::Moved`](super::Event::Moved) or
    /// [`Event::Updated`](super::Event::Updated) ([`Readiness::is_update`]) if it had converged or does not know the head. If
    /// it converges then, [`Readiness::cleared`].
    Internal,
    /// Ask this reviewer, then [`Readiness::asked`].
    Ask(String),
    /// Look again at this instant, or sooner.
    Wait {
        /// When.
        until: Millis,
        /// What for.
        why: Why,
    },
    /// This is to be fixed or answered: an [`Event::Heard`](super::Event::Heard) for the run. Kept with the run, or not at
    /// all: nothing is handed over twice at one head.
    Fix(Work),
    /// Have the base merged into the branch; then [`Readiness::pushed`], or look again: the next head is that.
    UpdateBranch,
    /// Mark it ready, then [`Readiness::marked`].
    MarkReady,
    /// All is clean at this head.
    Done {
        /// What people should know all the same.
        notes: Vec<String>,
    },
    /// It cannot get there.
    End(Exit),
}

/// What is waited for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why", content = "of")]
pub enum Why {
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

impl fmt::Display for Why {
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
pub struct Readiness {
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
    at: At,
}

/// What is kept of one head.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct At {
    head: Sha,
    since: Millis,
    is_cleared: bool,
    is_marked: bool,
    asked: BTreeMap<String, u32>,
    /// How often it failed to ask.
    #[serde(default)]
    failed: BTreeMap<String, u32>,
    /// Since when something is waited for: of a reviewer, since it was asked last.
    waits: Vec<(Why, Millis)>,
    lags: BTreeMap<String, Lag>,
    /// What was handed over.
    handed: Work,
}

/// How a reviewer lags.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Lag {
    /// Looks that did not help.
    looks: u32,
    /// The next.
    at: Millis,
}

impl At {
    fn new(head: Sha, now: Millis) -> Self {
        Self {
            head,
            since: now,
            is_cleared: false,
            is_marked: false,
            asked: BTreeMap::new(),
            failed: BTreeMap::new(),
            waits: Vec::new(),
            lags: BTreeMap::new(),
            handed: Work::default(),
        }
    }

    /// Since when this is waited for.
    fn since(&self, why: &Why) -> Option<Millis> {
        self.waits.iter().find(|(known, _)| known == why).map(|(_, since)| *since)
    }

    fn wait_from(&mut self, why: Why, now: Millis) {
        self.waits.retain(|(known, _)| *known != why);
        self.waits.push((why, now));
    }

    /// Waits, looking each `poll`, for at most `budget` at this head; then there is nothing to wait for any more.
    fn wait(&mut self, why: Why, (poll, budget): (Span, Span), now: Millis) -> Result<(), Want> {
        let since = self.since(&why).unwrap_or(now);
        self.wait_from(why.clone(), since);
        let end = since + budget;
        if now < end { Err(wait((now + poll).min(end), why, now)) } else { Ok(()) }
    }
}

fn wait(until: Millis, why: Why, now: Millis) -> Want {
    Want::Wait { until: until.max(now + LEAST_WAIT), why }
}

fn end<T>(code: Code, reason: impl Into<String>) -> Result<T, Want> {
    Err(Want::End(Exit::new(code, reason)))
}

impl Readiness {
    /// Of a pull request to this base, at this head.
    pub fn begin(head: Sha, base: impl Into<String>, now: Millis) -> Self {
        Self {
            base: base.into(),
            before: None,
            moves: 0,
            updates: 0,
            is_updating: false,
            updated: None,
            was_open: false,
            unreachable: BTreeMap::new(),
            at: At::new(head, now),
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
    pub fn pushed(&mut self, head: &Sha, now: Millis) {
        if self.at.head != *head {
            let before = std::mem::replace(&mut self.at, At::new(head.clone(), now));
            self.before = Some(before.head);
            self.is_updating = false;
        }
    }

    /// Our own audit has cleared this head.
    pub fn cleared(&mut self, head: &Sha, now: Millis) {
        self.pushed(head, now);
        self.at.is_cleared = true;
    }

    /// A reviewer was asked.
    pub fn asked(&mut self, name: &str, now: Millis) {
        let asked = self.at.asked.entry(name.to_owned()).or_default();
        *asked = asked.saturating_add(1);
        self.at.wait_from(Why::Answer(name.to_owned()), now);
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
    pub fn next(&mut self, rules: &Rules, seen: &Seen, now: Millis) -> Want {
        match self.look(rules, seen, now) {
            Err(want) => want,
            Ok(notes) => Want::Done { notes },
        }
    }

    /// Everything in turn, up to what does not hold yet.
    fn look(&mut self, rules: &Rules, seen: &Seen, now: Millis) -> Result<Vec<String>, Want> {
        self.drift(seen, now)?;
        let mut notes = Vec::new();
        for reviewer in &rules.reviewers {
            match reviewer {
                Reviewer::Internal if self.at.is_cleared => {}
                Reviewer::Internal => return Err(Want::Internal),
                Reviewer::Other(rule) => {
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
    fn drift(&mut self, seen: &Seen, now: Millis) -> Result<(), Want> {
        match seen.state {
            PullState::Merged => return end(Code::Closed, "somebody has merged it"),
            PullState::Closed => return end(Code::Closed, "somebody has closed it"),
            PullState::Open => self.was_open = true,
            PullState::Draft => {}
        }
        if seen.head == self.at.head && seen.base == self.base {
            return Ok(());
        }
        let is_stale = self.before.as_ref() == Some(&seen.head) && now < self.at.since + SETTLE;
        if is_stale && seen.base == self.base {
            return Err(wait(now + REPOLL, Why::Settling, now));
        }
        if self.is_updating && seen.base == self.base {
            self.pushed(&seen.head, now);
            self.updated = Some(seen.head.clone());
            return Ok(());
        }
        if seen.head != self.at.head {
            self.at = At::new(seen.head.clone(), now);
        }
        // To another base it is another change: who was asked about this head was asked all the same.
        (self.at.is_cleared, self.at.is_marked) = (false, false);
        self.base.clone_from(&seen.base);
        self.before = None;
        self.moves = self.moves.saturating_add(1);
        if self.moves > MAX_MOVES {
            let reason =
                format!("others have pushed {} times meanwhile: run it again when they rest", self.moves);
            return end(Code::HeadMoved, reason);
        }
        Ok(())
    }

    /// Nobody is asked or waited for while somebody waits for us.
    fn answer_others(&mut self, seen: &Seen, now: Millis) -> Result<(), Want> {
        // The clock of whoever committed may be wrong.
        let settled = seen.committed.min(self.at.since) + SETTLE;
        if now < settled {
            return Err(wait(settled, Why::Settling, now));
        }
        let handed = &mut self.at.handed;
        let threads = seen.threads.iter().filter(|thread| thread.counts() && thread.last == Last::Theirs);
        let reviews = seen.views.iter().filter(|(_, view)| view.verdict() == Verdict::Against);
        let work = Work {
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
        Err(Want::Fix(work))
    }

    /// One reviewer; with a note if it goes on without it.
    fn review(
        &mut self,
        rules: &Rules,
        rule: &Rule,
        seen: &Seen,
        now: Millis,
    ) -> Result<Option<String>, Want> {
        let name = &rule.name;
        let verdict = seen.views.get(name).map_or(Verdict::Silent, View::verdict);
        // It was handed over: nothing was changed for it.
        let is_declined = self.at.handed.reviews.contains(name);
        match verdict {
            Verdict::Content => Ok(None),
            Verdict::Against | Verdict::Lags if is_declined && rules.allow_declined => {
                Ok(Some(format!("what {name} asks for was declined")))
            }
            Verdict::Lags if !is_declined => {
                let holds = seen.views.get(name).is_some_and(View::holds);
                self.lag(rules, name, holds, now)
            }
            Verdict::Against | Verdict::Lags => {
                let reason = format!("what {name} asks for was declined: fix it, or set `allow_declined`");
                end(Code::Declined, reason)
            }
            Verdict::Queued => self.missing(rules, rule, (false, false), now),
            // Whoever called it, it was perhaps at another head: once we call it, too.
            Verdict::Called => {
                let is_asked = self.at.asked.contains_key(name);
                self.missing(rules, rule, (false, !is_asked), now)
            }
            Verdict::Silent => self.missing(rules, rule, (true, true), now),
        }
    }

    /// It says that it found something, and shows nothing on lines: perhaps its text `holds` it.
    fn lag(&mut self, rules: &Rules, name: &str, holds: bool, now: Millis) -> Result<Option<String>, Want> {
        let next = now + LAG.min(rules.poll);
        let lag = self.at.lags.entry(name.to_owned()).or_insert(Lag { looks: 0, at: next });
        if now >= lag.at {
            *lag = Lag { looks: lag.looks.saturating_add(1), at: next };
        }
        if lag.looks >= rules.inline_lag_max && holds {
            let reviews = BTreeSet::from([name.to_owned()]);
            self.at.handed.reviews.extend(reviews.iter().cloned());
            return Err(Want::Fix(Work { reviews, ..Work::default() }));
        }
        if lag.looks >= rules.inline_lag_max {
            let reason = format!("{name} says that it found something, and shows nothing on any line");
            return end(Code::InlineLag, reason);
        }
        Err(wait(lag.at, Why::Inline(name.to_owned()), now))
    }

    /// It has said nothing of this head. May it be asked now, and when it was waited for?
    fn missing(
        &mut self,
        rules: &Rules,
        rule: &Rule,
        (at_once, later): (bool, bool),
        now: Millis,
    ) -> Result<Option<String>, Want> {
        let name = &rule.name;
        if let Some(why) = self.unreachable.get(name) {
            return down(rule, format!("{name} cannot be asked: {why}"));
        }
        let why = Why::Answer(name.clone());
        let asked = self.at.asked.get(name).copied().unwrap_or(0);
        let is_left = asked < rule.requests;
        match self.at.since(&why) {
            None if at_once && is_left => return Err(Want::Ask(name.clone())),
            None => self.at.wait_from(why.clone(), now),
            Some(since) if now < since + rule.budget => {}
            Some(_) if later && is_left => return Err(Want::Ask(name.clone())),
            Some(_) => {
                return down(rule, format!("{name} has said nothing of {}", self.at.head.short()));
            }
        }
        let since = self.at.since(&why).unwrap_or(now);
        let first = if asked > 0 { since + rules.poll_after_trigger } else { since };
        Err(wait(first.max(now + rules.poll).min(since + rule.budget), why, now))
    }

    /// Whether it can be merged (A27); with a note if only people are missing.
    fn merge(&mut self, rules: &Rules, seen: &Seen, now: Millis) -> Result<Option<String>, Want> {
        if self.is_updating && matches!(seen.merge, Merge::Dirty | Merge::Behind) {
            // It merges after it has answered.
            self.at.wait(Why::Merge, (REPOLL, MERGE_BUDGET), now)?;
            self.is_updating = false;
        }
        let is_ready = match seen.merge {
            Merge::Clean | Merge::HasHooks => return Ok(None),
            Merge::Unknown => false,
            Merge::Dirty | Merge::Behind if rules.auto_rebase && self.updates < MAX_UPDATES => {
                self.updates = self.updates.saturating_add(1);
                self.is_updating = true;
                return Err(Want::UpdateBranch);
            }
            Merge::Dirty => {
                let reason = format!("it conflicts with {}: merge that into the branch", self.base_name());
                return end(Code::Mergeability, reason);
            }
            Merge::Behind => {
                let reason =
                    format!("it has to hold what is new in {}: merge that into it", self.base_name());
                return end(Code::Mergeability, reason);
            }
            Merge::Draft => true,
            // Whoever may give it is asked when it is ready; a second run has to end as the first did.
            Merge::Blocked => seen.lacks_review,
            Merge::Unstable => false,
        };
        if seen.merge != Merge::Unknown && !seen.failed.is_empty() {
            return end(Code::Mergeability, format!("checks failed: {}", named(&seen.failed)));
        }
        if seen.merge != Merge::Unknown && !seen.pending.is_empty() {
            self.at.wait(Why::Checks, (rules.poll, CHECKS_BUDGET), now)?;
            let reason = format!("checks have not ended in an hour: {}", named(&seen.pending));
            return end(Code::Mergeability, reason);
        }
        if is_ready {
            return Ok(seen
                .lacks_review
                .then(|| "a review is missing that the rules of its base want".to_owned()));
        }
        // What the rest does not explain may be on its way.
        self.at.wait(Why::Merge, (REPOLL, MERGE_BUDGET), now)?;
        let reason = match seen.merge {
            Merge::Blocked => "the rules of its base forbid to merge it",
            Merge::Unstable => "the forge calls it unstable, and names no check",
            Merge::Unknown | Merge::Clean | Merge::HasHooks | Merge::Behind | Merge::Dirty | Merge::Draft => {
                "the forge does not say whether it can be merged"
            }
        };
        end(Code::Mergeability, reason)
    }

    fn base_name(&self) -> String {
        crate::line::clean(&self.base, MAX_NAME)
    }

    /// The mark itself; with a note if somebody does not want it.
    fn mark(&self, rules: &Rules, seen: &Seen) -> Result<Option<String>, Want> {
        if seen.state != PullState::Draft || self.at.is_marked || !rules.mark_ready {
            return Ok(None);
        }
        if self.was_open {
            return Ok(Some("somebody has made it a draft again: it stays one".to_owned()));
        }
        Err(Want::MarkReady)
    }
}

/// It is not waited for any more.
fn down(rule: &Rule, reason: String) -> Result<Option<String>, Want> {
    if rule.is_required { end(Code::ReviewerSilent, reason) } else { Ok(Some(reason)) }
}

/// No thread may be open, but what the configuration leaves open (A40). Whatever waits for us was handed over.
fn threads(rules: &Rules, seen: &Seen) -> Result<(), Want> {
    let open = |last| seen.threads.iter().filter(|thread| thread.counts() && thread.last == last).count();
    let (theirs, fixed, declined) = (open(Last::Theirs), open(Last::Fixed), open(Last::Declined));
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
    end(Code::Threads, reason)
}

/// Names that others chose.
fn named(names: &[String]) -> String {
    let told: Vec<String> =
        names.iter().take(MAX_NAMED).map(|name| crate::line::clean(name, MAX_NAME)).collect();
    let rest = names.len().saturating_sub(told.len());
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{}{more}", told.join(", "))
}

//! A run as reports tell of it, whichever loop it was of.

use truing_core::converge;
use truing_core::follow::record::{Kind, PullKind, Record};
use truing_core::follow::{job, record};
use truing_core::id::Millis;
use truing_core::line::counted;
use truing_core::money::MicroUsd;
use truing_core::outcome::{INTERRUPTED, Modelled, OutcomeKind, OutcomeRecord};
use truing_core::port::Described;
use truing_store::{EndedRun, Stage};

use super::LoopFlag;

/// The five ends, the best first.
pub(super) const KINDS: [Kind; 5] = [Kind::Done, Kind::Partial, Kind::Skipped, Kind::Deferred, Kind::Failed];

/// A run that has ended.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// Its loop.
    pub of: LoopFlag,
    /// Its id.
    pub id: String,
    /// Its slot.
    pub key: String,
    /// What people call what it worked on: a job, a pull request, or a branch.
    pub name: String,
    /// How it ended.
    pub kind: Kind,
    /// What it came to, in a word; reviews have none.
    pub result: Option<String>,
    /// Why, in words; may be empty, may be many lines, and may hold text of others.
    pub reason: String,
    /// What the release asked for.
    pub update_type: Option<&'static str>,
    /// The package that it followed.
    pub package: Option<String>,
    /// The release that the project was made for.
    pub from: Option<String>,
    /// The release that was tried.
    pub to: Option<String>,
    /// The furthest step that was begun.
    pub highest_step: &'static str,
    /// What each step took.
    pub steps: Vec<Part>,
    /// The cost of earlier runs that never reported their end.
    pub carried: MicroUsd,
    /// The model that was asked.
    pub model: Option<String>,
    /// The digest of what it was told.
    pub prompt_hash: Option<String>,
    /// `wip`, `final`, or nothing.
    pub pull_kind: Option<&'static str>,
    /// The page of the pull request.
    pub url: Option<String>,
    /// The page of the question to people.
    pub question: Option<String>,
    /// When it began.
    pub started: Millis,
    /// When it ended.
    pub ended: Millis,
}

/// What a step took.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(super) struct Part {
    /// The step.
    pub id: &'static str,
    /// Answers of a model.
    pub turns: u32,
    /// Its tokens, in and out.
    pub tokens: u64,
    /// What it cost.
    pub cost_micro_usd: MicroUsd,
    /// Milliseconds.
    pub ms: u64,
}

impl Run {
    /// A run of a job.
    pub(super) fn of_job(record: &Record) -> Self {
        let Record { job, package, from, to, steps, pull, .. } = record;
        Self {
            of: LoopFlag::Sync,
            id: record.run.as_str().to_owned(),
            key: job::key(job).as_str().to_owned(),
            name: job.clone(),
            kind: record.result.kind(),
            result: Some(record.result.as_str().to_owned()),
            reason: record.exit_reason.clone(),
            update_type: record.update_type.map(truing_core::follow::Verdict::as_str),
            package: Some(package.clone()),
            from: from.clone(),
            to: to.clone(),
            highest_step: record.highest_step.as_str(),
            steps: steps.iter().map(Part::of).collect(),
            carried: record.carried_micro_usd,
            model: record.model.clone(),
            prompt_hash: record.prompt_hash.clone(),
            pull_kind: pull.as_ref().map(|pull| match pull.kind {
                PullKind::Wip => "wip",
                PullKind::Final => "final",
            }),
            url: pull.as_ref().map(|pull| pull.url.clone()),
            question: record.question.clone(),
            started: record.started,
            ended: record.ended,
        }
    }

    /// A review.
    pub(super) fn of_review(run: &EndedRun) -> Self {
        let record = &run.record;
        let (name, url) = run.described.clone().unzip();
        Self {
            of: LoopFlag::Review,
            id: record.run.as_str().to_owned(),
            key: record.key.as_str().to_owned(),
            name: name.unwrap_or_else(|| record.key.as_str().to_owned()),
            kind: match record.outcome.kind {
                OutcomeKind::Reviewed => Kind::Done,
                OutcomeKind::Partial => Kind::Partial,
                OutcomeKind::Skipped => Kind::Skipped,
                OutcomeKind::Deferred => Kind::Deferred,
                OutcomeKind::Failed => Kind::Failed,
            },
            result: result(record).map(str::to_owned),
            reason: record.outcome.reason.clone().unwrap_or_default(),
            update_type: None,
            package: None,
            from: None,
            to: None,
            highest_step: stage(run.stage),
            steps: parts(record),
            carried: MicroUsd(0),
            model: record.modelled.as_ref().map(|modelled| modelled.model.clone()),
            prompt_hash: record.modelled.as_ref().map(|modelled| modelled.prompt_hash.clone()),
            pull_kind: None,
            url,
            question: None,
            started: record.started,
            ended: record.ended,
        }
    }

    /// A run that converges, and what people call its pull request.
    pub(super) fn of_converge(record: &converge::record::Record, known: Option<&Described>) -> Self {
        let exit = record.final_exit();
        Self {
            of: LoopFlag::Converge,
            id: record.run.as_str().to_owned(),
            key: record.key.as_str().to_owned(),
            name: record.name.clone(),
            kind: record.end(),
            result: record.result(),
            reason: exit.map(|exit| exit.reason.clone()).unwrap_or_default(),
            update_type: None,
            package: None,
            from: None,
            to: None,
            highest_step: record.furthest().as_str(),
            steps: acts(record),
            carried: MicroUsd(0),
            model: record.model.clone(),
            prompt_hash: record.prompt_hash.clone(),
            pull_kind: None,
            url: known.map(|known| known.url.clone()),
            question: None,
            started: record.started,
            ended: record.ended,
        }
    }

    /// How it ended, in its loop's word.
    pub(super) fn word(&self) -> &'static str {
        word(self.of, self.kind)
    }

    /// Milliseconds.
    pub(super) fn ms(&self) -> u64 {
        u64::try_from(self.ended.0.saturating_sub(self.started.0)).unwrap_or(0)
    }

    /// Answers of a model.
    pub(super) fn turns(&self) -> u64 {
        self.steps.iter().map(|part| u64::from(part.turns)).sum()
    }

    /// Its tokens, in and out.
    pub(super) fn tokens(&self) -> u64 {
        self.steps.iter().map(|part| part.tokens).fold(0, u64::saturating_add)
    }

    /// What it cost, in micro-dollars.
    pub(super) fn cost(&self) -> u64 {
        self.steps.iter().map(|part| part.cost_micro_usd.0).fold(self.carried.0, u64::saturating_add)
    }

    /// Why, on one line and without what could steer a terminal.
    pub(super) fn why(&self) -> String {
        let line = self.reason.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
    }
}

impl Part {
    fn of(taken: &record::Taken) -> Self {
        let record::Taken { id, turns, tokens, cost_micro_usd, ms } = *taken;
        Self { id: id.as_str(), turns, tokens, cost_micro_usd, ms }
    }
}

/// An end, in the word of a loop.
pub(super) fn word(of: LoopFlag, kind: Kind) -> &'static str {
    match (of, kind) {
        (LoopFlag::Review, Kind::Done) => OutcomeKind::Reviewed.as_str(),
        (LoopFlag::Review | LoopFlag::Sync | LoopFlag::Converge, _) => kind.as_str(),
    }
}

/// A result, a step or what was asked for in plain words: `found 3` is `found 3 findings`.
pub(super) fn words_of(id: &str) -> String {
    match id.strip_prefix("found ").filter(|count| count.bytes().all(|byte| byte.is_ascii_digit())) {
        Some(count) => format!("found {}", counted(count, "finding")),
        None => id.replace('_', " "),
    }
}

/// What a review did, and what each part took: its whole work is one step, a model's part another.
pub(super) fn parts(record: &OutcomeRecord) -> Vec<Part> {
    let all = u64::try_from(record.ended.0.saturating_sub(record.started.0)).unwrap_or(0);
    let (turns, cost_micro_usd) = (record.turns, record.cost_micro_usd);
    let Some(Modelled { tokens, ms, .. }) = &record.modelled else {
        return vec![Part { id: "review", turns, tokens: 0, cost_micro_usd, ms: all }];
    };
    let rules = all.saturating_sub(*ms);
    vec![
        Part { id: "review", turns: 0, tokens: 0, cost_micro_usd: MicroUsd(0), ms: rules },
        Part { id: "agent", turns, tokens: tokens.all(), cost_micro_usd, ms: *ms },
    ]
}

/// What a run that converges did, and what each kind of act took.
pub(super) fn acts(record: &converge::record::Record) -> Vec<Part> {
    let part = |(step, taken): (&converge::Step, &converge::record::Taken)| {
        let converge::record::Taken { turns, tokens, cost_micro_usd, ms } = *taken;
        Part { id: step.as_str(), turns, tokens, cost_micro_usd, ms }
    };
    record.taken.iter().map(part).collect()
}

/// The end of a review beside its kind, in a word.
pub(in crate::cli) fn result(record: &OutcomeRecord) -> Option<&'static str> {
    let is_interrupted = record.outcome.reason.as_deref() == Some(INTERRUPTED);
    (is_interrupted && record.outcome.kind == OutcomeKind::Deferred).then_some(INTERRUPTED)
}

/// The highest step that a review came to.
pub(super) fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Prepared | Stage::Ended => "prepared",
        Stage::Computed => "computed",
        Stage::Published => "published",
    }
}

//! A run as reports tell of it, whichever loop it was of.

use truing_core::converge;
use truing_core::id::{Key, Millis};
use truing_core::line::counted;
use truing_core::money::MicroUsd;
use truing_core::outcome::{OutcomeKind, ReviewRecord};
use truing_core::port::Described;
use truing_core::run::{Detail, End, RunRecord, Step as _, StepCost};
use truing_core::slot::Loop;
use truing_core::sync::record::{PullKind, Record};

/// A run that has ended.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its loop.
    pub of: Loop,
    /// Its id.
    pub id: String,
    /// Its slot.
    pub key: String,
    /// What people call what it worked on: a job, a pull request, or a branch.
    pub name: String,
    /// Its end.
    pub kind: End,
    /// Its result in a word; reviews have none.
    pub result: Option<String>,
    /// The reason of its end, in words; may be empty, may be many lines, and may hold text of others.
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
pub type Part = StepCost<&'static str>;

/// An address that a report may link to: one of the web.
pub(super) fn web(address: &str) -> Option<url::Url> {
    url::Url::parse(address).ok().filter(|url| ["http", "https"].contains(&url.scheme()))
}

impl Run {
    /// The part that the runs of all loops have alike.
    fn of<D: Detail>(of: Loop, record: &RunRecord<D>, name: &str) -> Self {
        Self {
            of,
            id: record.run.as_str().to_owned(),
            key: record.key.as_str().to_owned(),
            name: name.to_owned(),
            // Only runs that have ended are asked for.
            kind: record.end().unwrap_or(End::Deferred),
            result: record.result(),
            reason: record.reason().unwrap_or_default().to_owned(),
            update_type: None,
            package: None,
            from: None,
            to: None,
            highest_step: record.furthest().as_str(),
            steps: record.steps.iter().map(part).collect(),
            carried: record.carried_micro_usd,
            model: record.model.clone(),
            prompt_hash: record.prompt_hash.clone(),
            pull_kind: None,
            url: None,
            question: None,
            started: record.started,
            ended: record.ended,
        }
    }

    /// A run of a job.
    pub fn of_job(record: &Record) -> Self {
        let detail = &record.detail;
        Self {
            update_type: detail.update_type.map(truing_core::sync::Verdict::as_str),
            package: Some(detail.package.clone()),
            from: detail.from.clone(),
            to: detail.to.clone(),
            pull_kind: detail.pull.as_ref().map(|pull| match pull.kind {
                PullKind::Wip => "wip",
                PullKind::Final => "final",
            }),
            url: detail.pull.as_ref().map(|pull| pull.url.clone()),
            question: detail.question.clone(),
            ..Self::of(Loop::Sync, record, &detail.job)
        }
    }

    /// A review, and what people call its pull request.
    pub fn of_review(record: &ReviewRecord, known: Option<&Described>) -> Self {
        let name = known.map_or(record.key.as_str(), |known| &known.name);
        let url = known.map(|known| known.url.clone());
        Self { url, ..Self::of(Loop::Review, record, name) }
    }

    /// A run that converges, and what people call its pull request.
    pub fn of_converge(record: &converge::record::Record, known: Option<&Described>) -> Self {
        let url = known.map(|known| known.url.clone());
        Self { url, ..Self::of(Loop::Converge, record, &record.detail.name) }
    }

    /// Of reviews: was it served, or run on somebody's machine?
    pub fn origin(&self) -> Option<&'static str> {
        let origin = if self.key.starts_with(Key::LOCAL) { "local" } else { "served" };
        (self.of == Loop::Review).then_some(origin)
    }

    /// How it ended, in its loop's word.
    pub fn word(&self) -> &'static str {
        word(self.of, self.kind)
    }

    /// Milliseconds.
    pub fn ms(&self) -> u64 {
        u64::try_from(self.ended.0.saturating_sub(self.started.0)).unwrap_or(0)
    }

    /// Answers of a model.
    pub fn turns(&self) -> u64 {
        self.steps.iter().map(|part| u64::from(part.turns)).sum()
    }

    /// Its tokens, in and out.
    pub fn tokens(&self) -> u64 {
        self.steps.iter().map(|part| part.tokens).fold(0, u64::saturating_add)
    }

    /// What it cost, in micro-dollars.
    pub fn cost(&self) -> u64 {
        self.steps.iter().map(|part| part.cost_micro_usd.0).fold(self.carried.0, u64::saturating_add)
    }

    /// The reason, on one line.
    pub fn why(&self) -> String {
        one_line(&self.reason)
    }
}

fn part<S: truing_core::run::Step>(step: &StepCost<S>) -> Part {
    let StepCost { id, turns, tokens, cost_micro_usd, ms } = *step;
    Part { id: id.as_str(), turns, tokens, cost_micro_usd, ms }
}

/// A reason on one line, without what could steer a terminal.
pub fn one_line(reason: &str) -> String {
    let line = reason.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// An end, in the word of a loop.
pub fn word(of: Loop, kind: End) -> &'static str {
    match (of, kind) {
        (Loop::Review, End::Done) => OutcomeKind::Reviewed.as_str(),
        (Loop::Review | Loop::Sync | Loop::Converge, _) => kind.as_str(),
    }
}

/// A result, a step or what was asked for in plain words: `found 3` is `found 3 findings`.
pub fn words_of(id: &str) -> String {
    match id.strip_prefix("found ").filter(|count| count.bytes().all(|byte| byte.is_ascii_digit())) {
        Some(count) => format!("found {}", counted(count, "finding")),
        None => id.replace('_', " "),
    }
}

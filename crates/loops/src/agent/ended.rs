//! How the model's part of a review ended, as the review's outcome sees it.

use truing_agent::mcp::client::Problem;
use truing_agent::native::{End, Ran};
use truing_core::id::Millis;
use truing_core::ledger::{Level, LevelKind, next_midnight};
use truing_core::line::counted;
use truing_core::money::MicroUsd;
use truing_core::outcome::{AskedModel, ModelPart, Runtime};
use truing_model::gateway::Refused;
use truing_reader::redact::redact;

/// The model's part of a review.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// How it ended.
    pub part: ModelPart,
    /// What held the conversation.
    pub runtime: Runtime,
    /// Its turns, cost and work; none: it was not asked.
    pub asked: Option<AskedModel>,
    /// The limit at which a person is asked for more money.
    pub asks: Option<MicroUsd>,
}

impl Part {
    /// There was nothing to ask it.
    pub fn whole() -> Self {
        Self { part: ModelPart::Whole, runtime: Runtime::Native, asked: None, asks: None }
    }

    /// Has the model reported all it found?
    pub fn is_whole(&self) -> bool {
        self.part == ModelPart::Whole && self.asked.is_some()
    }

    /// The repository's money for the day is used up: this level's.
    pub fn deferred(level: &Level, until: Millis) -> Self {
        let why = format!("daily budget hit: {}", level.too_little());
        Self { part: ModelPart::Deferred { why, until }, ..Self::whole() }
    }

    /// It was asked nothing, because of this.
    pub fn refused(why: &Refused, now: Millis) -> Self {
        let partial = |why: String| Self { part: ModelPart::Partial(why), ..Self::whole() };
        match why {
            Refused::Budget { level } => match level.kind {
                LevelKind::RepoDay => Self::deferred(level, next_midnight(now)),
                LevelKind::TeamMonth | LevelKind::Month => {
                    partial(format!("minimal: rules only, because {}", level.too_little()))
                }
                LevelKind::PullAsk => Self {
                    asks: Some(level.limit),
                    ..partial(format!("budget: rules only, because {}", level.too_little()))
                },
                LevelKind::Review
                | LevelKind::Run
                | LevelKind::Pull
                | LevelKind::ConvergeDay
                | LevelKind::SyncDay => {
                    partial(format!("budget: rules only, because {}", level.too_little()))
                }
            },
            Refused::Halted(_)
            | Refused::NotAllowed(_)
            | Refused::SpendCap { .. }
            | Refused::Unauthorized { .. }
            | Refused::Rejected { .. }
            | Refused::TooLong { .. }
            | Refused::Unavailable { .. }
            | Refused::Nonsense { .. }
            | Refused::Ledger(_)
            | Refused::Drift { .. } => partial(format!("minimal: rules only, because {why}")),
        }
    }

    /// What a run came to.
    pub fn of(ran: &Ran, now: Millis) -> Self {
        match &ran.end {
            End::Done => Self::whole(),
            End::Refused(why) if ran.turns == 0 => Self::refused(why, now),
            End::Failed(why) if ran.turns == 0 => {
                let why = format!("minimal: rules only, because {}", redact(why));
                Self { part: ModelPart::Partial(why), ..Self::whole() }
            }
            End::Refused(Refused::Budget { level }) if level.kind == LevelKind::PullAsk => Self {
                part: ModelPart::Partial(ran.end.to_string()),
                asks: Some(level.limit),
                ..Self::whole()
            },
            end @ (End::Limit(_)
            | End::Declined
            | End::Cut
            | End::Full
            | End::Unreadable(_)
            | End::Refused(_)
            | End::Failed(_)) => Self { part: ModelPart::Partial(redact(&end.to_string())), ..Self::whole() },
        }
    }

    /// Nor is it whole if so many looks at files came to nothing because the reader failed: what it would have found
    /// there nobody knows.
    #[must_use]
    pub fn after_failures(self, failures: usize) -> Self {
        if failures == 0 || self.part != ModelPart::Whole {
            return self;
        }
        let looks = if failures == 1 { "look" } else { "looks" };
        let why = format!(
            "reader: {failures} {looks} at files failed, so the model did not see every file that it asked for"
        );
        Self { part: ModelPart::Partial(why), ..self }
    }
}

/// How many problems with servers are told in an outcome.
const MAX_PROBLEMS: usize = 3;

impl Part {
    /// Nor is it whole without all that the operator's servers were to say.
    #[must_use]
    pub fn without_servers(self, problems: &[Problem]) -> Self {
        if problems.is_empty() || self.part != ModelPart::Whole {
            return self;
        }
        let told = problems
            .iter()
            .take(MAX_PROBLEMS)
            .map(|problem| format!("`{}`: {}", problem.server, problem.what));
        let more = match problems.len().saturating_sub(MAX_PROBLEMS) {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let told = told.collect::<Vec<_>>().join("; ");
        let why = format!("mcp: the model went on without a server, or a part of it: {told}{more}");
        Self { part: ModelPart::Partial(why), ..self }
    }

    /// Nor is it whole if findings of the model do not fit the files: nobody knows what they mean.
    #[must_use]
    pub fn without_findings(self, lost: u32) -> Self {
        if lost == 0 || self.part != ModelPart::Whole {
            return self;
        }
        let findings = counted(lost, "finding");
        let why = format!(
            "model: {findings} could not be used: the lines named are not there, or say something else"
        );
        Self { part: ModelPart::Partial(why), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use truing_core::ledger::Level;
    use truing_core::money::MicroUsd;

    /// 2026-11-20, half a minute before midnight in UTC.
    const NOW: Millis = Millis(1_795_219_170_000);

    fn ran(end: End, turns: u32) -> Ran {
        Ran {
            end,
            items: Default::default(),
            turns,
            usage: Default::default(),
            cost: MicroUsd(7),
            model: "m".into(),
            calls: Default::default(),
            denials: Default::default(),
            trimmed: 0,
        }
    }

    fn budget(kind: LevelKind) -> End {
        let level = Level { kind, key: "k".into(), period: String::new(), limit: MicroUsd(1) };
        End::Refused(Refused::Budget { level })
    }

    fn of(end: End, turns: u32) -> ModelPart {
        Part::of(&ran(end, turns), NOW).part
    }

    #[test]
    fn only_a_whole_report_is_whole() {
        assert_eq!(of(End::Done, 3), ModelPart::Whole);
        for end in [End::Declined, End::Cut, End::Full, End::Unreadable(String::new())] {
            assert!(matches!(of(end, 1), ModelPart::Partial(_)));
        }
    }

    #[test]
    fn a_used_up_day_defers_before_the_first_call_and_is_partial_after() {
        let until = Millis(1_795_219_200_000);
        let deferred = of(budget(LevelKind::RepoDay), 0);
        assert!(matches!(deferred, ModelPart::Deferred { until: at, .. } if at == until), "{deferred:?}");
        for kind in [LevelKind::RepoDay, LevelKind::TeamMonth, LevelKind::Review] {
            let ModelPart::Partial(why) = of(budget(kind), 2) else { panic!("{kind:?}") };
            assert!(why.contains("budget"), "{why}");
        }
        for (kind, word) in [
            (LevelKind::TeamMonth, "minimal"),
            (LevelKind::Month, "minimal"),
            (LevelKind::Review, "budget"),
            (LevelKind::Pull, "budget: rules only"),
        ] {
            let ModelPart::Partial(why) = of(budget(kind), 0) else { panic!("{kind:?}") };
            assert!(why.starts_with(word), "{why}");
        }
    }

    #[test]
    fn without_an_answer_the_review_says_that_it_is_minimal() {
        let down = || End::Refused(Refused::Unavailable { what: "529".into(), until: None });
        let ModelPart::Partial(why) = of(down(), 0) else { panic!() };
        assert!(why.starts_with("minimal: rules only"), "{why}");
        let ModelPart::Partial(why) = of(down(), 4) else { panic!() };
        assert!(!why.contains("minimal"), "{why}");
    }
}

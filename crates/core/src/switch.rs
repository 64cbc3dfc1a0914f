//! The kill switch: one row that stops everything that spends or writes (spec review-service section 6).
//!
//! While it is on, webhooks are refused, no lease is granted, and runs in flight either finish or stop before
//! their next effect. The row is the truth; what it was and who turned it is in the audit log.

use serde::{Deserialize, Serialize};

use crate::id::Millis;
use crate::line::clean;
use crate::port::{Act, NewNotice, NoticeKind};

/// The longest reason that is kept, in characters.
pub const MAX_REASON: usize = 300;

/// What the switch is turned to.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Switch {
    /// Everything works.
    #[default]
    Off,
    /// Nothing begins.
    On(Engaged),
}

/// A switch that is on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Engaged {
    /// Since when, by the store's clock.
    pub since: Millis,
    /// Who turned it on.
    pub by: String,
    /// Why, one line; none if nobody said.
    pub reason: Option<String>,
    /// What becomes of runs in flight.
    pub mode: Mode,
}

/// What becomes of runs that are in flight when the switch is turned on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// They complete.
    #[default]
    Finish,
    /// They stop before their next effect, publish nothing new, and no attempt is counted.
    Stop,
}

impl Mode {
    /// The word used in text, arguments and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finish => "finish",
            Self::Stop => "stop",
        }
    }
}

/// What a person asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Turn {
    /// On. What is not said stays as it is, or is the default.
    On {
        /// Why.
        reason: Option<String>,
        /// What becomes of runs in flight.
        mode: Option<Mode>,
    },
    /// Off.
    Off,
}

/// A turn that changes something, and what is to be told of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Turned {
    /// The switch from now on.
    pub switch: Switch,
    /// The line of the audit log.
    pub act: Act,
    /// What the notify sinks say.
    pub notice: NewNotice,
}

impl Switch {
    /// Takes a turn; none if it changes nothing. One that is on already keeps since when and by whom, and gets
    /// the new reason and mode.
    pub fn turn(&self, turn: &Turn, by: &str, now: Millis) -> Option<Turned> {
        let (by, action) = (clean(by, crate::port::MAX_NAME), turn.action());
        let switch = match (self, turn) {
            (Self::Off, Turn::Off) => return None,
            (Self::On(_), Turn::Off) => Self::Off,
            (Self::Off, Turn::On { reason, mode }) => Self::On(Engaged {
                since: now,
                by: by.clone(),
                reason: reason.as_deref().and_then(reason_of),
                mode: mode.unwrap_or_default(),
            }),
            (Self::On(engaged), Turn::On { reason, mode }) => Self::On(Engaged {
                reason: reason.as_deref().map_or_else(|| engaged.reason.clone(), reason_of),
                mode: mode.unwrap_or(engaged.mode),
                ..engaged.clone()
            }),
        };
        if switch == *self {
            return None;
        }
        let detail = switch.told();
        let text = match &switch {
            Self::Off => format!("Kill switch off, by {by}: what is due goes on."),
            Self::On(_) => format!("Kill switch on, by {by} ({detail}): nothing begins until it is off."),
        };
        let notice = NewNotice::new(NoticeKind::KillSwitch, "", &format!("{action} {}", now.0), &text);
        Some(Turned { switch, act: Act::new(&by, action, "", &detail), notice })
    }

    /// If it is on, how.
    pub fn engaged(&self) -> Option<&Engaged> {
        match self {
            Self::Off => None,
            Self::On(engaged) => Some(engaged),
        }
    }

    /// Must a run in flight stop before its next effect?
    pub fn stops_runs(&self) -> bool {
        self.engaged().is_some_and(|engaged| engaged.mode == Mode::Stop)
    }

    /// Mode and reason, for people.
    fn told(&self) -> String {
        match self {
            Self::Off => String::new(),
            Self::On(Engaged { mode, reason: None, .. }) => format!("mode {}", mode.as_str()),
            Self::On(Engaged { mode, reason: Some(reason), .. }) => {
                format!("mode {}: {reason}", mode.as_str())
            }
        }
    }
}

impl Turn {
    /// The words of the audit log: those of the command.
    fn action(&self) -> &'static str {
        match self {
            Self::On { .. } => "kill on",
            Self::Off => "kill off",
        }
    }
}

/// A reason as it is kept; an empty one is none.
fn reason_of(text: &str) -> Option<String> {
    Some(clean(text, MAX_REASON)).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(reason: Option<&str>, mode: Option<Mode>) -> Turn {
        Turn::On { reason: reason.map(str::to_owned), mode }
    }

    fn turned(switch: &Switch, turn: Turn, by: &str, now: i64) -> Turned {
        switch.turn(&turn, by, Millis(now)).unwrap()
    }

    #[test]
    fn on_says_since_when_by_whom_and_why_and_lets_runs_finish_by_default() {
        let Turned { switch, act, notice } =
            turned(&Switch::Off, on(Some(" bad\x1b[2J\nday "), None), "ada", 7);
        let engaged = Engaged {
            since: Millis(7),
            by: "ada".into(),
            reason: Some("bad [2J day".into()),
            mode: Mode::Finish,
        };
        assert_eq!(switch, Switch::On(engaged));
        assert_eq!(act, Act::new("ada", "kill on", "", "mode finish: bad [2J day"));
        assert!(notice.text.starts_with("Kill switch on, by ada (mode finish: bad [2J day)"), "{notice:?}");
        assert!(!switch.stops_runs());
    }

    #[test]
    fn on_again_keeps_since_and_by_and_what_is_not_said_stays() {
        let first = turned(&Switch::Off, on(Some("a"), Some(Mode::Stop)), "ada", 7).switch;
        let second = turned(&first, on(Some("b"), None), "bob", 9);
        let engaged = second.switch.engaged().unwrap();
        assert_eq!((engaged.since, engaged.by.as_str()), (Millis(7), "ada"));
        assert_eq!((engaged.reason.as_deref(), engaged.mode), (Some("b"), Mode::Stop));
        assert_eq!(second.act.actor, "bob");
        let third = turned(&second.switch, on(None, Some(Mode::Finish)), "bob", 10).switch;
        assert_eq!(third.engaged().unwrap().reason.as_deref(), Some("b"));
        assert_eq!(turned(&third, on(Some(" "), None), "bob", 11).switch.engaged().unwrap().reason, None);
    }

    #[test]
    fn what_changes_nothing_is_no_act() {
        assert_eq!(Switch::Off.turn(&Turn::Off, "ada", Millis(1)), None);
        let first = turned(&Switch::Off, on(Some("a"), None), "ada", 1).switch;
        assert_eq!(first.turn(&on(Some("a"), None), "bob", Millis(2)), None);
        assert_eq!(first.turn(&on(None, None), "bob", Millis(2)), None);
    }

    #[test]
    fn off_ends_it() {
        let first = turned(&Switch::Off, on(None, Some(Mode::Stop)), "ada", 1);
        assert!(first.switch.stops_runs());
        let off = turned(&first.switch, Turn::Off, "bob", 2);
        assert_eq!(off.switch, Switch::Off);
        assert_eq!(off.act, Act::new("bob", "kill off", "", ""));
        assert_ne!(first.notice.period, off.notice.period, "both are told");
    }

    #[test]
    fn a_reason_has_a_bound() {
        let long = turned(&Switch::Off, on(Some(&"é".repeat(10_000)), None), &"x".repeat(10_000), 1).switch;
        let engaged = long.engaged().unwrap();
        assert_eq!(engaged.reason.as_ref().unwrap().chars().count(), MAX_REASON + 1);
        assert_eq!(engaged.by.chars().count(), crate::port::MAX_NAME + 1);
    }
}

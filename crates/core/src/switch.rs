//! The kill switches: one row that stops everything that spends or writes, everywhere or in single repositories (spec
//! review-service section 6).
//!
//! While it is on, webhooks are refused, no lease is granted, and runs in flight either finish or stop before
//! their next effect. The row is the truth; what it was and who turned it is in the audit log.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{PrId, SlotKey, UnixMillis};
use crate::line::clean;
use crate::port::{NewNotice, NoticeKind, OperatorAction};

/// The longest reason that is kept, in characters.
pub const MAX_REASON: usize = 300;

/// What the switch is turned to.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KillSwitch {
    /// Everything works.
    #[default]
    Off,
    /// Nothing begins.
    On(SwitchEngagement),
}

/// A switch that is on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SwitchEngagement {
    /// Since when, by the store's clock.
    pub since: UnixMillis,
    /// Who turned it on.
    pub by: String,
    /// Why, one line; none if nobody said.
    pub reason: Option<String>,
    /// What becomes of runs in flight.
    pub mode: HaltMode,
}

/// What becomes of runs that are in flight when the switch is turned on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HaltMode {
    /// They complete.
    #[default]
    Finish,
    /// They stop before their next effect, publish nothing new, and no attempt is counted.
    Stop,
}

impl HaltMode {
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
pub enum SwitchRequest {
    /// On. What is not said stays as it is, or is the default.
    On {
        /// Why.
        reason: Option<String>,
        /// What becomes of runs in flight.
        mode: Option<HaltMode>,
    },
    /// Off.
    Off,
}

/// Every kill switch at one instant.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KillSwitches {
    /// That of everything.
    pub all: KillSwitch,
    /// Those that are on for single repositories, in the order in which they were turned on.
    pub repositories: Vec<RepositorySwitch>,
}

/// A kill switch that is on for one repository.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RepositorySwitch {
    /// The repository that it holds.
    pub repository: RepositoryRef,
    /// Its reason, its mode, and who turned it on.
    pub engaged: SwitchEngagement,
}

/// A repository by what is known of it; by nothing, it is none.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RepositoryRef {
    /// Its name at the forge, `owner/name`; empty where it is not known. Forges compare it without case.
    pub name: String,
    /// The beginnings of its keys ([`SlotKey::repository`]), which stay when it is renamed. Several, where forges have repositories of
    /// one name.
    pub keys: BTreeSet<String>,
}

/// The switch that keeps something from being done: of everything, or of one repository.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EngagedSwitch<'a> {
    /// Its reason, its mode, and who turned it on.
    pub engaged: &'a SwitchEngagement,
    /// The name of its repository; none: it is that of everything.
    pub repository: Option<&'a str>,
}

/// A turn that changes something, and what is to be told of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SwitchChange<S = KillSwitch> {
    /// The switch, or every switch, from now on.
    pub switch: S,
    /// The line of the audit log.
    pub act: OperatorAction,
    /// What the notify sinks say.
    pub notice: NewNotice,
}

impl KillSwitch {
    /// Takes a turn; none if it changes nothing. One that is on already keeps since when and by whom, and gets
    /// the new reason and mode.
    pub fn turn(&self, turn: &SwitchRequest, by: &str, now: UnixMillis) -> Option<SwitchChange> {
        self.turn_of("", turn, by, now)
    }

    /// The same for the repository of this name; empty: for everything.
    fn turn_of(
        &self,
        repository: &str,
        turn: &SwitchRequest,
        by: &str,
        now: UnixMillis,
    ) -> Option<SwitchChange> {
        let (by, action) = (clean(by, crate::port::MAX_NAME), turn.action());
        let switch = match (self, turn) {
            (Self::Off, SwitchRequest::Off) => return None,
            (Self::On(_), SwitchRequest::Off) => Self::Off,
            (Self::Off, SwitchRequest::On { reason, mode }) => Self::On(SwitchEngagement {
                since: now,
                by: by.clone(),
                reason: reason.as_deref().and_then(reason_of),
                mode: mode.unwrap_or_default(),
            }),
            (Self::On(engaged), SwitchRequest::On { reason, mode }) => Self::On(SwitchEngagement {
                reason: reason.as_deref().map_or_else(|| engaged.reason.clone(), reason_of),
                mode: mode.unwrap_or(engaged.mode),
                ..engaged.clone()
            }),
        };
        if switch == *self {
            return None;
        }
        let detail = switch.told();
        let (of, there) = match repository {
            "" => (String::new(), ""),
            name => (format!(" of {name}"), " there"),
        };
        let text = match &switch {
            Self::Off => format!("Kill switch{of} off, by {by}: what is due{there} goes on."),
            Self::On(_) => {
                format!("Kill switch{of} on, by {by} ({detail}): nothing begins{there} until it is off.")
            }
        };
        let period = format!("{action} {}", now.0);
        let notice = NewNotice::new(NoticeKind::KillSwitch, repository, &period, &text);
        Some(SwitchChange { switch, act: OperatorAction::new(&by, action, repository, &detail), notice })
    }

    /// If it is on, how.
    pub fn engaged(&self) -> Option<&SwitchEngagement> {
        match self {
            Self::Off => None,
            Self::On(engaged) => Some(engaged),
        }
    }

    /// Must a run in flight stop before its next effect?
    pub fn stops_runs(&self) -> bool {
        self.engaged().is_some_and(|engaged| engaged.mode == HaltMode::Stop)
    }

    /// Mode and reason, for people.
    fn told(&self) -> String {
        match self {
            Self::Off => String::new(),
            Self::On(SwitchEngagement { mode, reason: None, .. }) => format!("mode {}", mode.as_str()),
            Self::On(SwitchEngagement { mode, reason: Some(reason), .. }) => {
                format!("mode {}: {reason}", mode.as_str())
            }
        }
    }
}

impl KillSwitches {
    /// The switch that keeps things from being done in this repository; that of everything comes first.
    pub fn at(&self, repository: &RepositoryRef) -> Option<EngagedSwitch<'_>> {
        if let Some(engaged) = self.all.engaged() {
            return Some(EngagedSwitch { engaged, repository: None });
        }
        let its = self.repositories.iter().find(|switch| switch.repository.is_same(repository))?;
        Some(its.as_engaged())
    }

    /// The switch that stops runs in flight in this repository; if none does, the one that keeps runs from beginning there.
    pub fn stopping(&self, repository: &RepositoryRef) -> Option<EngagedSwitch<'_>> {
        let its = self.repositories.iter().filter(|switch| switch.repository.is_same(repository));
        let all = self.all.engaged().map(|engaged| EngagedSwitch { engaged, repository: None });
        let mut each = all.into_iter().chain(its.map(RepositorySwitch::as_engaged));
        each.find(|switch| switch.engaged.mode == HaltMode::Stop).or_else(|| self.at(repository))
    }

    /// Must a run in flight there stop before its next effect?
    pub fn stop_runs(&self, repository: &RepositoryRef) -> bool {
        let its = self.repositories.iter().filter(|switch| switch.repository.is_same(repository));
        self.all.stops_runs() || its.map(|switch| switch.engaged.mode).any(|mode| mode == HaltMode::Stop)
    }

    /// Those that are on.
    pub fn on(&self) -> impl Iterator<Item = EngagedSwitch<'_>> {
        let all = self.all.engaged().map(|engaged| EngagedSwitch { engaged, repository: None });
        all.into_iter().chain(self.repositories.iter().map(RepositorySwitch::as_engaged))
    }

    /// Takes a turn of one repository's switch, as [`KillSwitch::turn`]; none if it changes nothing.
    pub fn turn_at(
        &self,
        repository: &RepositoryRef,
        turn: &SwitchRequest,
        by: &str,
        now: UnixMillis,
    ) -> Option<SwitchChange<KillSwitches>> {
        let at = self.repositories.iter().position(|switch| switch.repository.is_same(repository));
        let before = at.and_then(|at| self.repositories.get(at));
        let known = before.map_or(repository, |switch| &switch.repository).clone();
        let switch = before.map_or(KillSwitch::Off, |switch| KillSwitch::On(switch.engaged.clone()));
        let SwitchChange { switch, act, notice } = switch.turn_of(&known.name, turn, by, now)?;
        let mut switches = self.clone();
        match (switch, at) {
            (KillSwitch::Off, _) => switches.repositories.retain(|switch| !switch.repository.is_same(&known)),
            (KillSwitch::On(engaged), None) => {
                switches.repositories.push(RepositorySwitch { repository: known, engaged });
            }
            (KillSwitch::On(engaged), Some(at)) => {
                if let Some(switch) = switches.repositories.get_mut(at) {
                    switch.engaged = engaged;
                }
            }
        }
        Some(SwitchChange { switch: switches, act, notice })
    }
}

impl RepositorySwitch {
    /// It, as one of those that are on.
    pub fn as_engaged(&self) -> EngagedSwitch<'_> {
        EngagedSwitch { engaged: &self.engaged, repository: Some(&self.repository.name) }
    }
}

impl RepositoryRef {
    /// The repository of this name.
    pub fn named(name: &str) -> Self {
        Self { name: clean(name, crate::port::MAX_NAME), keys: BTreeSet::new() }
    }

    /// The repository that this key belongs to.
    pub fn of_key(key: &SlotKey) -> Self {
        Self { name: String::new(), keys: BTreeSet::from([key.repository().to_owned()]) }
    }

    /// The repository of this id at this forge.
    pub fn of_id(forge: &str, id: &str) -> Self {
        Self::of_key(&PrId { forge: forge.into(), repository: id.into(), number: 0 }.key())
    }

    /// The same, which has this name besides.
    pub fn called(self, name: &str) -> Self {
        Self { name: Self::named(name).name, ..self }
    }

    /// True if it is the other one, as far as both are known. A name that is another repository's by now counts: what is to stop must not
    /// go on because nobody knows better.
    pub fn is_same(&self, other: &Self) -> bool {
        let has_its_name = !self.name.is_empty() && self.name.to_lowercase() == other.name.to_lowercase();
        has_its_name || !self.keys.is_disjoint(&other.keys)
    }
}

impl EngagedSwitch<'_> {
    /// The words of the command that turns it off.
    pub fn off(&self) -> String {
        match self.repository {
            None => "kill off".to_owned(),
            Some(name) => format!("kill off --repo {name}"),
        }
    }
}

impl fmt::Display for EngagedSwitch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.repository {
            None => f.write_str("the kill switch"),
            Some(name) => write!(f, "the kill switch of {name}"),
        }
    }
}

impl SwitchRequest {
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

    fn on(reason: Option<&str>, mode: Option<HaltMode>) -> SwitchRequest {
        SwitchRequest::On { reason: reason.map(str::to_owned), mode }
    }

    fn turned(switch: &KillSwitch, turn: SwitchRequest, by: &str, now: i64) -> SwitchChange {
        switch.turn(&turn, by, UnixMillis(now)).unwrap()
    }

    #[test]
    fn on_says_since_when_by_whom_and_why_and_lets_runs_finish_by_default() {
        let SwitchChange { switch, act, notice } =
            turned(&KillSwitch::Off, on(Some(" bad\x1b[2J\nday "), None), "ada", 7);
        let engaged = SwitchEngagement {
            since: UnixMillis(7),
            by: "ada".into(),
            reason: Some("bad [2J day".into()),
            mode: HaltMode::Finish,
        };
        assert_eq!(switch, KillSwitch::On(engaged));
        assert_eq!(act, OperatorAction::new("ada", "kill on", "", "mode finish: bad [2J day"));
        assert!(notice.text.starts_with("Kill switch on, by ada (mode finish: bad [2J day)"), "{notice:?}");
        assert!(!switch.stops_runs());
    }

    #[test]
    fn on_again_keeps_since_and_by_and_what_is_not_said_stays() {
        let first = turned(&KillSwitch::Off, on(Some("a"), Some(HaltMode::Stop)), "ada", 7).switch;
        let second = turned(&first, on(Some("b"), None), "bob", 9);
        let engaged = second.switch.engaged().unwrap();
        assert_eq!((engaged.since, engaged.by.as_str()), (UnixMillis(7), "ada"));
        assert_eq!((engaged.reason.as_deref(), engaged.mode), (Some("b"), HaltMode::Stop));
        assert_eq!(second.act.actor, "bob");
        let third = turned(&second.switch, on(None, Some(HaltMode::Finish)), "bob", 10).switch;
        assert_eq!(third.engaged().unwrap().reason.as_deref(), Some("b"));
        assert_eq!(turned(&third, on(Some(" "), None), "bob", 11).switch.engaged().unwrap().reason, None);
    }

    #[test]
    fn what_changes_nothing_is_no_act() {
        assert_eq!(KillSwitch::Off.turn(&SwitchRequest::Off, "ada", UnixMillis(1)), None);
        let first = turned(&KillSwitch::Off, on(Some("a"), None), "ada", 1).switch;
        assert_eq!(first.turn(&on(Some("a"), None), "bob", UnixMillis(2)), None);
        assert_eq!(first.turn(&on(None, None), "bob", UnixMillis(2)), None);
    }

    #[test]
    fn off_ends_it() {
        let first = turned(&KillSwitch::Off, on(None, Some(HaltMode::Stop)), "ada", 1);
        assert!(first.switch.stops_runs());
        let off = turned(&first.switch, SwitchRequest::Off, "bob", 2);
        assert_eq!(off.switch, KillSwitch::Off);
        assert_eq!(off.act, OperatorAction::new("bob", "kill off", "", ""));
        assert_ne!(first.notice.period, off.notice.period, "both are told");
    }

    fn shop() -> RepositoryRef {
        RepositoryRef::of_key(&SlotKey::new("pr/github/1/7")).called("acme/shop")
    }

    fn turned_at(switches: &KillSwitches, name: &str, turn: &SwitchRequest) -> SwitchChange<KillSwitches> {
        switches.turn_at(&RepositoryRef::named(name), turn, "ada", UnixMillis(7)).unwrap()
    }

    #[test]
    fn the_switch_of_a_repository_holds_it_alone_by_its_keys_and_by_its_name_without_case() {
        let off = KillSwitches::default();
        assert!(off.at(&shop()).is_none() && off.on().count() == 0);
        let by_name = turned_at(&off, "Acme/Shop", &on(None, None)).switch;
        let by_key = off.turn_at(&shop(), &on(None, None), "ada", UnixMillis(7)).unwrap().switch;
        let renamed = RepositoryRef::of_key(&SlotKey::new("pr/github/1/12")).called("acme/store");
        let other = RepositoryRef::of_key(&SlotKey::new("pr/github/11/7")).called("acme/shop2");
        assert_eq!(by_name.at(&shop()).unwrap().off(), "kill off --repo Acme/Shop");
        assert_eq!(by_key.at(&renamed).unwrap().to_string(), "the kill switch of acme/shop");
        for switches in [&by_name, &by_key] {
            assert!(switches.on().count() == 1 && switches.at(&other).is_none());
            assert!(switches.at(&RepositoryRef::default()).is_none(), "what has no repository goes on");
        }
    }

    #[test]
    fn the_switch_of_everything_comes_first_and_leaves_those_of_repositories() {
        let all = turned(&KillSwitch::Off, on(Some("all"), None), "ada", 1).switch;
        let mut switches = turned_at(&KillSwitches::default(), "acme/shop", &on(Some("one"), None)).switch;
        switches.all = all;
        let first = switches.at(&shop()).unwrap();
        assert_eq!((first.repository, first.engaged.reason.as_deref()), (None, Some("all")));
        assert_eq!((first.to_string().as_str(), first.off().as_str()), ("the kill switch", "kill off"));
        assert!(switches.at(&RepositoryRef::default()).is_some());
        switches.all = KillSwitch::Off;
        assert_eq!(switches.at(&shop()).unwrap().repository, Some("acme/shop"));
    }

    #[test]
    fn a_repository_stops_its_runs_whichever_switch_says_so() {
        let mut switches =
            turned_at(&KillSwitches::default(), "acme/shop", &on(None, Some(HaltMode::Stop))).switch;
        assert!(switches.stop_runs(&shop()) && !switches.stop_runs(&RepositoryRef::named("acme/other")));
        switches.all = turned(&KillSwitch::Off, on(None, Some(HaltMode::Finish)), "ada", 1).switch;
        assert!(switches.stop_runs(&shop()), "a switch more lets nothing go on");
        let finish = turned_at(&KillSwitches::default(), "acme/shop", &on(None, None)).switch;
        assert!(!finish.stop_runs(&shop()));
    }

    #[test]
    fn a_turn_of_a_repository_names_it_and_changes_no_other() {
        let one = turned_at(&KillSwitches::default(), "acme/shop", &on(Some("storm"), None));
        assert_eq!(one.act, OperatorAction::new("ada", "kill on", "acme/shop", "mode finish: storm"));
        let said =
            "Kill switch of acme/shop on, by ada (mode finish: storm): nothing begins there until it is off.";
        assert_eq!((one.notice.text.as_str(), one.notice.key.as_str()), (said, "acme/shop"));
        let two = turned_at(&one.switch, "acme/other", &on(None, None)).switch;
        assert_eq!(two.turn_at(&shop(), &on(Some("storm"), None), "bob", UnixMillis(9)), None);
        let again = two.turn_at(&shop(), &on(Some("b"), None), "bob", UnixMillis(9)).unwrap().switch;
        let engaged = &again.repositories.first().unwrap().engaged;
        assert_eq!(
            (engaged.since, engaged.by.as_str(), engaged.reason.as_deref()),
            (UnixMillis(7), "ada", Some("b"))
        );
        let off = turned_at(&again, "ACME/SHOP", &SwitchRequest::Off);
        assert_eq!(off.act, OperatorAction::new("ada", "kill off", "acme/shop", ""));
        assert_eq!(off.switch.repositories.len(), 1);
        assert_eq!(off.switch.turn_at(&shop(), &SwitchRequest::Off, "ada", UnixMillis(9)), None, "it is off");
    }

    #[test]
    fn a_reason_has_a_bound() {
        let long =
            turned(&KillSwitch::Off, on(Some(&"é".repeat(10_000)), None), &"x".repeat(10_000), 1).switch;
        let engaged = long.engaged().unwrap();
        assert_eq!(engaged.reason.as_ref().unwrap().chars().count(), MAX_REASON + 1);
        assert_eq!(engaged.by.chars().count(), crate::port::MAX_NAME + 1);
    }
}

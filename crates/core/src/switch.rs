//! The kill switches, which stop all spending and writing, globally or in single repositories.
//!
//! While a switch is on, webhooks are refused and no lease is granted. Active runs either finish or stop
//! before their next effect. A row in the store contains the current state of the switches. The audit log
//! records who changed the switch and when.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{PrId, SlotKey, UnixMillis};
use crate::line::clean_line;
use crate::port::{NewNotice, NoticeKind, OperatorAction};

/// Maximum length of a stored reason in characters.
pub const MAX_SWITCH_REASON_CHARS: usize = 300;

/// State of a kill switch.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KillSwitch {
    /// New work may begin.
    #[default]
    Off,
    /// New work is blocked.
    On(SwitchEngagement),
}

/// Data of a switch that is on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SwitchEngagement {
    /// Time since which the switch is on, by the store's clock.
    pub since: UnixMillis,
    /// Person who turned the switch on.
    #[serde(rename = "by")]
    pub operator: String,
    /// Reason as one line; `None` if the operator gave no reason.
    pub reason: Option<String>,
    /// Handling of runs in progress.
    pub mode: HaltMode,
}

/// Handling of runs that are in progress when the switch is turned on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HaltMode {
    /// Runs in progress complete normally.
    #[default]
    Finish,
    /// Runs stop before their next effect and publish nothing new. The stop does not count as a failed
    /// attempt.
    Stop,
}

impl HaltMode {
    /// Returns the word used in text, arguments and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finish => "finish",
            Self::Stop => "stop",
        }
    }
}

/// A request to change a switch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SwitchRequest {
    /// Turns the switch on, or changes a switch that is on. If the switch was off, an omitted value takes its
    /// default. If it was on, an omitted value stays unchanged.
    TurnOn {
        reason: Option<String>,
        /// Handling of runs in progress.
        mode: Option<HaltMode>,
    },
    /// Turns the switch off.
    TurnOff,
}

/// State of all kill switches at one instant.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KillSwitches {
    /// The switch for everything.
    pub global_switch: KillSwitch,
    /// Switches that are on for single repositories, in the order in which they were turned on.
    pub repositories: Vec<RepositorySwitch>,
}

/// A kill switch that is on for one repository.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RepositorySwitch {
    pub repository: RepositoryRef,
    /// Reason, mode, and the person who turned the switch on.
    pub engaged: SwitchEngagement,
}

/// Identifies a repository by its name, by its keys, or by both. A reference without name and keys matches no
/// repository.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RepositoryRef {
    /// Name at the forge, `owner/name`; empty if unknown. Comparisons ignore case, because the names of
    /// repositories are case-insensitive at forges.
    pub name: String,
    /// Prefixes of the repository's slot keys ([`SlotKey::repository_prefix`]), which do not change with a
    /// rename. There are several prefixes if several forges have repositories of the same name.
    pub keys: BTreeSet<String>,
}

/// A switch that blocks an action: the global switch, or the switch of a repository.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EngagedSwitch<'a> {
    /// Reason, mode, and the person who turned the switch on.
    pub engaged: &'a SwitchEngagement,
    /// Name of the switch's repository; `None` for the global switch.
    pub repository: Option<&'a str>,
}

/// A change of a switch to be stored, with the entry for the audit log and the notice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SwitchChange<S = KillSwitch> {
    /// New state of the changed switch. If a repository's switch was changed, the new state of all switches.
    pub switch: S,
    /// Entry for the audit log.
    pub action: OperatorAction,
    /// Notice to be delivered to users.
    pub notice: NewNotice,
}

impl KillSwitch {
    /// Applies a request; returns `None` if the request changes nothing. If the switch is already on, it
    /// keeps the time at which it was turned on and the operator who did so. It takes only the reason and the
    /// mode from the request.
    pub fn apply_request(
        &self,
        request: &SwitchRequest,
        operator: &str,
        now: UnixMillis,
    ) -> Option<SwitchChange> {
        self.apply_repository_request("", request, operator, now)
    }

    /// Applies a request like [`Self::apply_request`], to the switch of the repository with this name. An
    /// empty name means the global switch.
    fn apply_repository_request(
        &self,
        repository: &str,
        request: &SwitchRequest,
        operator: &str,
        now: UnixMillis,
    ) -> Option<SwitchChange> {
        let (operator, action) =
            (clean_line(operator, crate::port::MAX_STORED_NAME_CHARS), request.audit_words());
        let switch = match (self, request) {
            (Self::Off, SwitchRequest::TurnOff) => return None,
            (Self::On(_), SwitchRequest::TurnOff) => Self::Off,
            (Self::Off, SwitchRequest::TurnOn { reason, mode }) => Self::On(SwitchEngagement {
                since: now,
                operator: operator.clone(),
                reason: reason.as_deref().and_then(clean_reason),
                mode: mode.unwrap_or_default(),
            }),
            (Self::On(engaged), SwitchRequest::TurnOn { reason, mode }) => Self::On(SwitchEngagement {
                reason: reason.as_deref().map_or_else(|| engaged.reason.clone(), clean_reason),
                mode: mode.unwrap_or(engaged.mode),
                ..engaged.clone()
            }),
        };
        if switch == *self {
            return None;
        }
        let detail = switch.detail_text();
        let (of, there) = match repository {
            "" => (String::new(), ""),
            name => (format!(" of {name}"), " there"),
        };
        let text = match &switch {
            Self::Off => format!("The kill switch{of} is off, set by {operator}: due work{there} continues."),
            Self::On(_) => {
                format!(
                    "The kill switch{of} is on, set by {operator} ({detail}): no work starts{there} until \
                    the switch is off."
                )
            }
        };
        let period = format!("{action} {}", now.0);
        let notice = NewNotice::new(NoticeKind::KillSwitch, repository, &period, &text);
        Some(SwitchChange {
            switch,
            action: OperatorAction::new(&operator, action, repository, &detail),
            notice,
        })
    }

    /// Returns the data of a switch that is on.
    pub fn engagement(&self) -> Option<&SwitchEngagement> {
        match self {
            Self::Off => None,
            Self::On(engaged) => Some(engaged),
        }
    }

    /// Returns true if active runs must stop before their next effect.
    pub fn stops_runs(&self) -> bool {
        self.engagement().is_some_and(|engaged| engaged.mode == HaltMode::Stop)
    }

    /// Renders mode and reason for display.
    fn detail_text(&self) -> String {
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
    /// Returns the switch that blocks actions in this repository; `None` if no such switch is on. The global
    /// switch takes precedence.
    pub fn switch_for(&self, repository: &RepositoryRef) -> Option<EngagedSwitch<'_>> {
        if let Some(engaged) = self.global_switch.engagement() {
            return Some(EngagedSwitch { engaged, repository: None });
        }
        let its = self.repositories.iter().find(|switch| switch.repository.may_be_same(repository))?;
        Some(its.as_engaged())
    }

    /// Returns the switch that stops active runs in this repository. If no switch stops active runs, returns
    /// the switch that only blocks new runs.
    pub fn stop_switch_for(&self, repository: &RepositoryRef) -> Option<EngagedSwitch<'_>> {
        let its = self.repositories.iter().filter(|switch| switch.repository.may_be_same(repository));
        let all = self.global_switch.engagement().map(|engaged| EngagedSwitch { engaged, repository: None });
        let mut each = all.into_iter().chain(its.map(RepositorySwitch::as_engaged));
        each.find(|switch| switch.engaged.mode == HaltMode::Stop).or_else(|| self.switch_for(repository))
    }

    /// Returns true if active runs in this repository must stop before their next effect.
    pub fn stops_runs(&self, repository: &RepositoryRef) -> bool {
        let its = self.repositories.iter().filter(|switch| switch.repository.may_be_same(repository));
        self.global_switch.stops_runs()
            || its.map(|switch| switch.engaged.mode).any(|mode| mode == HaltMode::Stop)
    }

    /// Returns all switches that are on.
    pub fn engaged_switches(&self) -> impl Iterator<Item = EngagedSwitch<'_>> {
        let all = self.global_switch.engagement().map(|engaged| EngagedSwitch { engaged, repository: None });
        all.into_iter().chain(self.repositories.iter().map(RepositorySwitch::as_engaged))
    }

    /// Applies a request to one repository's switch, like [`KillSwitch::apply_request`]. Returns `None` if
    /// the request changes nothing.
    pub fn apply_repository_request(
        &self,
        repository: &RepositoryRef,
        request: &SwitchRequest,
        operator: &str,
        now: UnixMillis,
    ) -> Option<SwitchChange<KillSwitches>> {
        let at = self.repositories.iter().position(|switch| switch.repository.may_be_same(repository));
        let before = at.and_then(|at| self.repositories.get(at));
        let known = before.map_or(repository, |switch| &switch.repository).clone();
        let switch = before.map_or(KillSwitch::Off, |switch| KillSwitch::On(switch.engaged.clone()));
        let SwitchChange { switch, action: act, notice } =
            switch.apply_repository_request(&known.name, request, operator, now)?;
        let mut switches = self.clone();
        match (switch, at) {
            (KillSwitch::Off, _) => {
                switches.repositories.retain(|switch| !switch.repository.may_be_same(&known));
            }
            (KillSwitch::On(engaged), None) => {
                switches.repositories.push(RepositorySwitch { repository: known, engaged });
            }
            (KillSwitch::On(engaged), Some(at)) => {
                if let Some(switch) = switches.repositories.get_mut(at) {
                    switch.engaged = engaged;
                }
            }
        }
        Some(SwitchChange { switch: switches, action: act, notice })
    }
}

impl RepositorySwitch {
    /// Converts the switch to an `EngagedSwitch`, which can also represent the global switch.
    pub fn as_engaged(&self) -> EngagedSwitch<'_> {
        EngagedSwitch { engaged: &self.engaged, repository: Some(&self.repository.name) }
    }
}

impl RepositoryRef {
    /// Creates a reference by name.
    pub fn from_name(name: &str) -> Self {
        Self { name: clean_line(name, crate::port::MAX_STORED_NAME_CHARS), keys: BTreeSet::new() }
    }

    /// Creates a reference to the repository of a slot's key.
    pub fn from_key(key: &SlotKey) -> Self {
        Self { name: String::new(), keys: BTreeSet::from([key.repository_prefix().to_owned()]) }
    }

    /// Creates a reference by forge and repository id.
    pub fn from_id(forge: &str, id: &str) -> Self {
        Self::from_key(&PrId { forge: forge.into(), repository: id.into(), number: 0 }.key())
    }

    /// Returns the reference with its name replaced.
    pub fn with_name(self, name: &str) -> Self {
        Self { name: Self::from_name(name).name, ..self }
    }

    /// Returns true if both references may identify the same repository: the names or any of the keys are
    /// equal. A new repository that reuses the name of another also matches, because in case of doubt the
    /// switch must block the work.
    pub fn may_be_same(&self, other: &Self) -> bool {
        let has_its_name = !self.name.is_empty() && self.name.to_lowercase() == other.name.to_lowercase();
        has_its_name || !self.keys.is_disjoint(&other.keys)
    }
}

impl EngagedSwitch<'_> {
    /// Returns the arguments of the `truing` command that turns the switch off.
    pub fn off_command(&self) -> String {
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
    /// Returns the command's words as the audit log records them.
    fn audit_words(&self) -> &'static str {
        match self {
            Self::TurnOn { .. } => "kill on",
            Self::TurnOff => "kill off",
        }
    }
}

/// Reduces a reason to one line of bounded length; returns `None` if the result is empty.
fn clean_reason(text: &str) -> Option<String> {
    Some(clean_line(text, MAX_SWITCH_REASON_CHARS)).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn_on_request(reason: Option<&str>, mode: Option<HaltMode>) -> SwitchRequest {
        SwitchRequest::TurnOn { reason: reason.map(str::to_owned), mode }
    }

    fn apply_turn(switch: &KillSwitch, request: SwitchRequest, operator: &str, now: i64) -> SwitchChange {
        switch.apply_request(&request, operator, UnixMillis(now)).unwrap()
    }

    #[test]
    fn on_says_since_when_by_whom_and_why_and_lets_runs_finish_by_default() {
        let SwitchChange { switch, action: act, notice } =
            apply_turn(&KillSwitch::Off, turn_on_request(Some(" bad\x1b[2J\nday "), None), "ada", 7);
        let engaged = SwitchEngagement {
            since: UnixMillis(7),
            operator: "ada".into(),
            reason: Some("bad [2J day".into()),
            mode: HaltMode::Finish,
        };
        assert_eq!(switch, KillSwitch::On(engaged));
        assert_eq!(act, OperatorAction::new("ada", "kill on", "", "mode finish: bad [2J day"));
        assert!(
            notice.text.starts_with("The kill switch is on, set by ada (mode finish: bad [2J day)"),
            "{notice:?}"
        );
        assert!(!switch.stops_runs());
    }

    #[test]
    fn on_again_keeps_since_and_by_and_what_is_not_said_stays() {
        let first =
            apply_turn(&KillSwitch::Off, turn_on_request(Some("a"), Some(HaltMode::Stop)), "ada", 7).switch;
        let second = apply_turn(&first, turn_on_request(Some("b"), None), "bob", 9);
        let engaged = second.switch.engagement().unwrap();
        assert_eq!((engaged.since, engaged.operator.as_str()), (UnixMillis(7), "ada"));
        assert_eq!((engaged.reason.as_deref(), engaged.mode), (Some("b"), HaltMode::Stop));
        assert_eq!(second.action.actor, "bob");
        let third =
            apply_turn(&second.switch, turn_on_request(None, Some(HaltMode::Finish)), "bob", 10).switch;
        assert_eq!(third.engagement().unwrap().reason.as_deref(), Some("b"));
        assert_eq!(
            apply_turn(&third, turn_on_request(Some(" "), None), "bob", 11)
                .switch
                .engagement()
                .unwrap()
                .reason,
            None
        );
    }

    #[test]
    fn what_changes_nothing_is_no_act() {
        assert_eq!(KillSwitch::Off.apply_request(&SwitchRequest::TurnOff, "ada", UnixMillis(1)), None);
        let first = apply_turn(&KillSwitch::Off, turn_on_request(Some("a"), None), "ada", 1).switch;
        assert_eq!(first.apply_request(&turn_on_request(Some("a"), None), "bob", UnixMillis(2)), None);
        assert_eq!(first.apply_request(&turn_on_request(None, None), "bob", UnixMillis(2)), None);
    }

    #[test]
    fn off_ends_it() {
        let first = apply_turn(&KillSwitch::Off, turn_on_request(None, Some(HaltMode::Stop)), "ada", 1);
        assert!(first.switch.stops_runs());
        let off = apply_turn(&first.switch, SwitchRequest::TurnOff, "bob", 2);
        assert_eq!(off.switch, KillSwitch::Off);
        assert_eq!(off.action, OperatorAction::new("bob", "kill off", "", ""));
        assert_ne!(first.notice.period, off.notice.period, "both are told");
    }

    fn shop_repository() -> RepositoryRef {
        RepositoryRef::from_key(&SlotKey::new("pr/github/1/7")).with_name("acme/shop")
    }

    fn apply_turn_at_name(
        switches: &KillSwitches,
        name: &str,
        request: &SwitchRequest,
    ) -> SwitchChange<KillSwitches> {
        switches
            .apply_repository_request(&RepositoryRef::from_name(name), request, "ada", UnixMillis(7))
            .unwrap()
    }

    #[test]
    fn the_switch_of_a_repository_holds_it_alone_by_its_keys_and_by_its_name_without_case() {
        let off = KillSwitches::default();
        assert!(off.switch_for(&shop_repository()).is_none() && off.engaged_switches().count() == 0);
        let by_name = apply_turn_at_name(&off, "Acme/Shop", &turn_on_request(None, None)).switch;
        let by_key = off
            .apply_repository_request(&shop_repository(), &turn_on_request(None, None), "ada", UnixMillis(7))
            .unwrap()
            .switch;
        let renamed = RepositoryRef::from_key(&SlotKey::new("pr/github/1/12")).with_name("acme/store");
        let other = RepositoryRef::from_key(&SlotKey::new("pr/github/11/7")).with_name("acme/shop2");
        assert_eq!(
            by_name.switch_for(&shop_repository()).unwrap().off_command(),
            "kill off --repo Acme/Shop"
        );
        assert_eq!(by_key.switch_for(&renamed).unwrap().to_string(), "the kill switch of acme/shop");
        for switches in [&by_name, &by_key] {
            assert!(switches.engaged_switches().count() == 1 && switches.switch_for(&other).is_none());
            assert!(
                switches.switch_for(&RepositoryRef::default()).is_none(),
                "what has no repository goes on"
            );
        }
    }

    #[test]
    fn the_switch_of_everything_comes_first_and_leaves_those_of_repositories() {
        let all = apply_turn(&KillSwitch::Off, turn_on_request(Some("all"), None), "ada", 1).switch;
        let mut switches =
            apply_turn_at_name(&KillSwitches::default(), "acme/shop", &turn_on_request(Some("one"), None))
                .switch;
        switches.global_switch = all;
        let first = switches.switch_for(&shop_repository()).unwrap();
        assert_eq!((first.repository, first.engaged.reason.as_deref()), (None, Some("all")));
        assert_eq!(
            (first.to_string().as_str(), first.off_command().as_str()),
            ("the kill switch", "kill off")
        );
        assert!(switches.switch_for(&RepositoryRef::default()).is_some());
        switches.global_switch = KillSwitch::Off;
        assert_eq!(switches.switch_for(&shop_repository()).unwrap().repository, Some("acme/shop"));
    }

    #[test]
    fn a_repository_stops_its_runs_whichever_switch_says_so() {
        let mut switches = apply_turn_at_name(
            &KillSwitches::default(),
            "acme/shop",
            &turn_on_request(None, Some(HaltMode::Stop)),
        )
        .switch;
        assert!(
            switches.stops_runs(&shop_repository())
                && !switches.stops_runs(&RepositoryRef::from_name("acme/other"))
        );
        switches.global_switch =
            apply_turn(&KillSwitch::Off, turn_on_request(None, Some(HaltMode::Finish)), "ada", 1).switch;
        assert!(switches.stops_runs(&shop_repository()), "a switch more lets nothing go on");
        let finish =
            apply_turn_at_name(&KillSwitches::default(), "acme/shop", &turn_on_request(None, None)).switch;
        assert!(!finish.stops_runs(&shop_repository()));
    }

    #[test]
    fn a_turn_of_a_repository_names_it_and_changes_no_other() {
        let one =
            apply_turn_at_name(&KillSwitches::default(), "acme/shop", &turn_on_request(Some("storm"), None));
        assert_eq!(one.action, OperatorAction::new("ada", "kill on", "acme/shop", "mode finish: storm"));
        let said = "The kill switch of acme/shop is on, set by ada (mode finish: storm): no work starts \
            there until the switch is off.";
        assert_eq!((one.notice.text.as_str(), one.notice.key.as_str()), (said, "acme/shop"));
        let two = apply_turn_at_name(&one.switch, "acme/other", &turn_on_request(None, None)).switch;
        assert_eq!(
            two.apply_repository_request(
                &shop_repository(),
                &turn_on_request(Some("storm"), None),
                "bob",
                UnixMillis(9)
            ),
            None
        );
        let again = two
            .apply_repository_request(
                &shop_repository(),
                &turn_on_request(Some("b"), None),
                "bob",
                UnixMillis(9),
            )
            .unwrap()
            .switch;
        let engaged = &again.repositories.first().unwrap().engaged;
        assert_eq!(
            (engaged.since, engaged.operator.as_str(), engaged.reason.as_deref()),
            (UnixMillis(7), "ada", Some("b"))
        );
        let off = apply_turn_at_name(&again, "ACME/SHOP", &SwitchRequest::TurnOff);
        assert_eq!(off.action, OperatorAction::new("ada", "kill off", "acme/shop", ""));
        assert_eq!(off.switch.repositories.len(), 1);
        assert_eq!(
            off.switch.apply_repository_request(
                &shop_repository(),
                &SwitchRequest::TurnOff,
                "ada",
                UnixMillis(9)
            ),
            None,
            "it is off"
        );
    }

    #[test]
    fn a_reason_has_a_bound() {
        let long = apply_turn(
            &KillSwitch::Off,
            turn_on_request(Some(&"é".repeat(10_000)), None),
            &"x".repeat(10_000),
            1,
        )
        .switch;
        let engaged = long.engagement().unwrap();
        assert_eq!(engaged.reason.as_ref().unwrap().chars().count(), MAX_SWITCH_REASON_CHARS + 1);
        assert_eq!(engaged.operator.chars().count(), crate::port::MAX_STORED_NAME_CHARS + 1);
    }
}

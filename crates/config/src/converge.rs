//! The converge loop: its limits, who has to be content, and its gate.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use regex::Regex;
use truing_core::converge::ConvergeLimits;
use truing_core::finding::Severity;
use truing_core::port::ReviewEvent;

pub use super::keys::INTERNAL;
use super::problem::{ConfigError, ConfigProblem, ValueOrigin};
use super::value::ConfigValue;
use super::{EffectiveSetting, TypedSettings};
use crate::environment::Environment;

/// Section `converge`, with the reviewers that it names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConvergeConfig {
    /// Does a server converge?
    pub is_enabled: bool,
    /// How far a run may go.
    pub limits: ConvergeLimits,
    /// How long an auditor may take.
    pub audit_timeout: Duration,
    /// How long a fixer may take.
    pub fix_timeout: Duration,
    /// How often others are looked at.
    pub poll: Duration,
    /// How long after a reviewer was asked it is looked at first.
    pub poll_after_trigger: Duration,
    /// Who has to find nothing, in this order.
    pub reviewers: Vec<ConfiguredReviewer>,
    /// Looks for the comments of a reviewer whose text says that there are some.
    pub inline_lag_max: u32,
    /// What reviews that found something are for the forge.
    pub event: ReviewEvent,
    /// Are threads resolved whose finding is fixed?
    pub resolve_threads: bool,
    /// Is a draft marked ready that has converged?
    pub mark_ready: bool,
    /// Is the description rewritten at the end?
    pub update_description: bool,
    /// May the base be merged into a branch that needs it?
    pub auto_rebase: bool,
    /// The only accounts that may ask for runs; empty: all who may write.
    pub askers: Vec<String>,
    /// The label that starts a run; none: no label does.
    pub label: Option<String>,
    /// Commands of the gate, in order.
    pub gate: Vec<Vec<String>>,
    /// The `NAME` of the `[model.NAME]` that mends, which is there; none: the one that audits.
    pub fixer: Option<String>,
    /// Is Bugbot woken after each push? Nothing but a flag says so.
    pub bugbot_retrigger: bool,
}

/// Who has to find nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfiguredReviewer {
    /// Truing's own auditor.
    Internal,
    /// Somebody else.
    Other(ReviewerConfig),
}

/// Section `reviewer.NAME`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReviewerConfig {
    /// What it is called here.
    pub name: String,
    /// The accounts that it writes with, by name or id, whatever their case; never none.
    pub logins: Vec<String>,
    /// How it is asked.
    pub trigger: ReviewerTrigger,
    /// What shows that it has looked at a commit.
    pub detector: ReviewerDetector,
    /// A regular expression, which compiles, for the text of those of its reviews that found something.
    pub dirty: Option<String>,
    /// Does such a text tell how many there are, and nothing of them? That of a reviewer that is known does.
    pub counts_alone: bool,
    /// Does a run stop that waits for it in vain?
    pub required: bool,
    /// How long its answer is waited for, each time it is asked.
    pub budget: Duration,
    /// How often it is asked on one commit.
    pub requests: u32,
}

/// How a reviewer is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReviewerTrigger {
    /// It comes by itself.
    Nothing,
    /// A review of its first login is requested.
    Request,
    /// This is the whole text of a comment.
    Comment(String),
}

/// What shows that a reviewer has looked at a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReviewerDetector {
    /// A review by one of its accounts.
    Review,
    /// A check run of this name that has ended.
    CheckRun(String),
}

/// A trigger that is no comment: nobody asks.
const BY_ITSELF: &str = "none";
/// A trigger that is no comment: a review is requested.
const REQUEST: &str = "request";
/// The detector that looks for reviews.
const REVIEW: &str = "review";
/// How a detector begins that looks for a check run.
const CHECK_RUN: &str = "check:";

/// A reviewer of which nothing has to be said.
struct KnownReviewer {
    name: &'static str,
    logins: &'static [&'static str],
    trigger: &'static str,
    dirty: Option<&'static str>,
}

const KNOWN: [KnownReviewer; 2] = [
    KnownReviewer {
        name: "bugbot",
        logins: &["cursor[bot]", "cursor"],
        trigger: "bugbot run",
        dirty: Some(r"found \d+ potential issue"),
    },
    KnownReviewer {
        name: "copilot",
        // Its reviews and its comments come from different ones, and a request needs the first.
        logins: &["copilot-pull-request-reviewer[bot]", "copilot-pull-request-reviewer", "Copilot"],
        trigger: REQUEST,
        dirty: None,
    },
];

fn known(name: &str) -> Option<&'static KnownReviewer> {
    KNOWN.iter().find(|known| known.name == name)
}

/// Reviewers that are named in the list, and have no section because they need none.
pub(super) fn named_alone(settings: &BTreeMap<String, EffectiveSetting>) -> impl Iterator<Item = String> {
    let list = match settings.get(REVIEWERS).map(|setting| &setting.value) {
        Some(ConfigValue::List(names)) => names.as_slice(),
        Some(_) | None => &[],
    };
    list.iter().filter(|name| known(name).is_some()).cloned()
}

/// The value of a key that depends on which reviewer it is.
pub(super) fn default(name: &str, key: &str) -> ConfigValue {
    match (known(name), key) {
        (Some(known), "logins") => {
            ConfigValue::List(known.logins.iter().map(|&login| login.to_owned()).collect())
        }
        (Some(known), "trigger") => ConfigValue::Name(known.trigger.to_owned()),
        (None, "trigger") => ConfigValue::Name(BY_ITSELF.to_owned()),
        (Some(KnownReviewer { dirty: Some(dirty), .. }), "dirty") => ConfigValue::Name((*dirty).to_owned()),
        (Some(_) | None, _) => ConfigValue::Unset,
    }
}

/// The key with the order of reviewers.
const REVIEWERS: &str = "converge.reviewers";

pub(super) fn of(
    settings: &TypedSettings<'_>,
    named: Option<&BTreeSet<String>>,
    models: Option<&BTreeSet<String>>,
) -> Result<ConvergeConfig, ConfigError> {
    // Of all that are named, so that a section that nobody uses yet is not wrong until somebody does.
    let others = named.into_iter().flatten().map(|name| reviewer(settings, name));
    let others: Vec<ReviewerConfig> = others.collect::<Result<_, _>>()?;
    let listed = settings.list(REVIEWERS)?;
    if listed.is_empty() {
        return Err(bad(settings, REVIEWERS, "must name somebody".to_owned()));
    }
    let reviewers = listed.into_iter().map(|name| match others.iter().find(|other| other.name == name) {
        _ if name == INTERNAL => Ok(ConfiguredReviewer::Internal),
        Some(other) => Ok(ConfiguredReviewer::Other(other.clone())),
        None => {
            let wrong = format!(
                "must hold `{INTERNAL}`, `{}` or the NAME of a `[reviewer.NAME]`, not `{name}`",
                KNOWN.map(|known| known.name).join("`, `")
            );
            Err(bad(settings, REVIEWERS, wrong))
        }
    });
    let fixer = super::model::known(settings, FIXER, models)?;
    let number = |key: &str| settings.number(&format!("converge.{key}"));
    let time = |key: &str| settings.duration(&format!("converge.{key}"));
    let flag = |key: &str| settings.flag(&format!("converge.{key}"));
    Ok(ConvergeConfig {
        is_enabled: flag("enabled")?,
        limits: ConvergeLimits {
            max_audits: number("max_audits")?,
            gate_rounds: number("gate_rounds")?,
            selfaudit_rounds: number("selfaudit_rounds")?,
            parallel_from: number("parallel_from")?,
            auditors: number("auditors")?,
            worker_attempts: number("worker_attempts")?,
            hook_retry: number("hook_retry")?,
            min_blocking: settings.word("converge.min_blocking_severity", |word| {
                Severity::ALL.into_iter().find(|severity| severity.as_str() == word)
            })?,
            allow_declined: flag("allow_declined")?,
            final_fix: flag("final_fix")?,
        },
        audit_timeout: time("audit_timeout")?,
        fix_timeout: time("fix_timeout")?,
        poll: time("poll")?,
        poll_after_trigger: time("poll_after_trigger")?,
        reviewers: reviewers.collect::<Result<_, _>>()?,
        inline_lag_max: number("inline_lag_max")?,
        event: settings.word("converge.event", |word| match word {
            "COMMENT" => Some(ReviewEvent::Comment),
            "REQUEST_CHANGES" => Some(ReviewEvent::RequestChanges),
            _ => None,
        })?,
        resolve_threads: flag("resolve_threads")?,
        mark_ready: flag("mark_ready")?,
        update_description: flag("update_description")?,
        auto_rebase: flag("auto_rebase")?,
        askers: settings.list("converge.askers")?,
        label: settings.name_if_any("converge.label")?.filter(|label| !label.is_empty()),
        gate: settings.commands("converge.gate")?,
        fixer,
        bugbot_retrigger: false,
    })
}

/// What is wrong with the name of a model that there is not; `known` are those that there are.
pub fn no_model<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> String {
    let known: Vec<String> = known.map(|name| format!("`{name}`")).collect();
    let those = match known.as_slice() {
        [] => "there is none".to_owned(),
        _ => format!("there are {}", known.join(", ")),
    };
    format!("must be the NAME of a `[model.NAME]`, not `{name}`: {those}")
}

/// The key with who fixes.
pub(crate) const FIXER: &str = "converge.fixer";

fn reviewer(settings: &TypedSettings<'_>, name: &str) -> Result<ReviewerConfig, ConfigError> {
    let path = |key: &str| format!("reviewer.{name}.{key}");
    let logins = settings
        .if_any(
            &path("logins"),
            |value| if let ConfigValue::List(all) = value { Some(all.clone()) } else { None },
        )?
        .filter(|logins| !logins.is_empty())
        .ok_or_else(|| {
            bad(settings, &path("logins"), "must name the accounts that it writes with".to_owned())
        })?;
    let detector = match settings.name(&path("detector"))?.as_str() {
        REVIEW => ReviewerDetector::Review,
        text => match text.strip_prefix(CHECK_RUN).map(str::trim).filter(|run| !run.is_empty()) {
            Some(run) => ReviewerDetector::CheckRun(run.to_owned()),
            None => {
                let wrong = format!("must be `{REVIEW}`, or `{CHECK_RUN}` and a check run's name");
                return Err(bad(settings, &path("detector"), wrong));
            }
        },
    };
    let dirty = settings.name_if_any(&path("dirty"))?;
    if let Some(Err(error)) = dirty.as_deref().map(Regex::new) {
        let why = error.to_string().lines().last().unwrap_or_default().to_owned();
        return Err(bad(settings, &path("dirty"), format!("must be a regular expression: {why}")));
    }
    Ok(ReviewerConfig {
        name: name.to_owned(),
        logins,
        trigger: match settings.name(&path("trigger"))?.as_str() {
            BY_ITSELF => ReviewerTrigger::Nothing,
            REQUEST => ReviewerTrigger::Request,
            text => ReviewerTrigger::Comment(text.to_owned()),
        },
        detector,
        counts_alone: dirty.is_some() && dirty.as_deref() == known(name).and_then(|known| known.dirty),
        dirty,
        required: settings.flag(&path("required"))?,
        budget: settings.duration(&path("budget"))?,
        requests: settings.number(&path("requests"))?,
    })
}

/// A value that only its own section can judge.
fn bad(settings: &TypedSettings<'_>, key: &str, wrong: String) -> ConfigError {
    match settings.setting(key) {
        Ok(setting) => {
            ConfigProblem::BadValue { at: setting.origin.clone(), key: key.to_owned(), wrong }.into()
        }
        Err(error) => error,
    }
}

/// Who owns what a run works in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WorkspaceLifecycle {
    /// The run: it tears it down.
    Owned,
    /// Another run, which this one joins.
    Attach,
    /// Another run if there is one, else this.
    Auto,
}

impl WorkspaceLifecycle {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Owned, Self::Attach, Self::Auto];

    /// As flags and variables write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owned => "owned",
            Self::Attach => "attach",
            Self::Auto => "auto",
        }
    }
}

/// What the variables of the tool say whose place the converge loop takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BugteamVariables {
    /// `BUGTEAM_TEAM_LIFECYCLE`, if it says something.
    pub lifecycle: Option<WorkspaceLifecycle>,
    /// `BUGTEAM_TEAM_NAME`, if it says something.
    pub team: Option<String>,
    /// `BUGTEAM_PREFLIGHT_SKIP` is exactly `1`.
    pub skips_preflight: bool,
    /// `CLAUDE_REVIEWS_DISABLED` lists `bugteam`.
    pub is_disabled: bool,
}

impl BugteamVariables {
    /// What they say.
    ///
    /// # Errors
    /// A lifecycle that there is not.
    pub fn of(environment: &Environment) -> Result<Self, ConfigError> {
        let text = |name: &str| {
            let text = environment.get(name).map(|text| text.to_string_lossy().trim().to_owned());
            text.filter(|text| !text.is_empty())
        };
        let lifecycle = text(LIFECYCLE).map(|word| {
            let word = word.to_lowercase();
            WorkspaceLifecycle::ALL.into_iter().find(|one| one.as_str() == word).ok_or_else(|| {
                let wrong = format!("must be \"owned\", \"attach\" or \"auto\", not `{word}`");
                let at = ValueOrigin::Foreign(LIFECYCLE.to_owned());
                ConfigError::from(ConfigProblem::BadValue { at, key: "--lifecycle".to_owned(), wrong })
            })
        });
        Ok(Self {
            lifecycle: lifecycle.transpose()?,
            team: text("BUGTEAM_TEAM_NAME"),
            skips_preflight: text("BUGTEAM_PREFLIGHT_SKIP").as_deref() == Some("1"),
            is_disabled: text("CLAUDE_REVIEWS_DISABLED")
                .is_some_and(|list| list.split(',').any(|name| name.trim().eq_ignore_ascii_case("bugteam"))),
        })
    }
}

/// The variable with the [`WorkspaceLifecycle`].
const LIFECYCLE: &str = "BUGTEAM_TEAM_LIFECYCLE";

#[cfg(test)]
mod tests;

//! Configuration of the converge loop: its limits, its reviewers and its gate.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use regex::Regex;
use truing_core::converge::ConvergeLimits;
use truing_core::finding::Severity;
use truing_core::port::ReviewEvent;

pub use super::keys::{INTERNAL_REVIEWER, PRE_COMMIT_PROGRAM};
use super::problem::{ConfigError, ConfigProblem, ValueOrigin};
use super::value::ConfigValue;
use super::{EffectiveSetting, TypedSettings};
use crate::environment::Environment;

/// Section `converge`, together with the sections of the reviewers that it lists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConvergeConfig {
    /// True if a server starts converge runs.
    pub is_enabled: bool,
    /// Limits of a run.
    pub limits: ConvergeLimits,
    /// Timeout of an auditor.
    pub audit_timeout: Duration,
    /// Timeout of a fixer.
    pub fix_timeout: Duration,
    /// Interval at which Truing checks external reviewers for a response.
    pub poll_interval: Duration,
    /// Delay between a request to a reviewer and the first check for its response.
    pub first_poll_delay: Duration,
    /// Reviewers that must report no findings for convergence, in the order of their runs.
    pub reviewers: Vec<ConfiguredReviewer>,
    /// Maximum number of checks for inline comments that a reviewer's text has announced.
    pub max_inline_comment_checks: u32,
    /// Event type of Truing's reviews with findings: a comment, or a request for changes.
    pub event: ReviewEvent,
    /// True if threads of fixed findings are resolved.
    pub resolve_threads: bool,
    /// True if a draft is marked ready after it has converged.
    pub mark_ready: bool,
    /// True if the pull request's description is rewritten at the end.
    pub update_description: bool,
    /// True if the forge may merge the base branch into a pull request's branch that has fallen behind.
    pub allows_base_merge: bool,
    /// Accounts that may request runs. If the list is empty, all accounts with write permission may request
    /// runs.
    pub allowed_requesters: Vec<String>,
    /// Label that starts a run; `None` if no label starts runs.
    pub label: Option<String>,
    /// Commands of the gate, in order.
    pub gate: Vec<Vec<String>>,
    /// The `NAME` of an existing section `[model.NAME]`, whose model fixes findings. `None` if the auditor's
    /// model fixes them.
    pub fixer_model: Option<String>,
    /// True if Bugbot is triggered after each push. Only a flag of the command sets this field; there is no
    /// key for it.
    pub bugbot_retrigger: bool,
}

/// A configured reviewer, which must report no findings for convergence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfiguredReviewer {
    /// Truing's own auditor of the whole change.
    Internal,
    /// A reviewer outside Truing.
    External(ReviewerConfig),
}

/// Section `reviewer.NAME` of the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReviewerConfig {
    /// Name of the reviewer in the configuration.
    pub name: String,
    /// Accounts with which the reviewer writes, by name or id. Letter case does not matter, and the list is
    /// never empty.
    pub logins: Vec<String>,
    /// Method by which Truing requests a review.
    pub trigger: ReviewerTrigger,
    /// Observation by which Truing detects that the reviewer has reviewed a commit.
    pub detector: ReviewerDetector,
    /// Valid regular expression that matches the commit which a review's text names. Its first group, if
    /// there is one, matches the commit's id.
    pub commit_pattern: Option<String>,
    /// Valid regular expression that matches the text of a review with findings.
    pub findings_pattern: Option<String>,
    /// True if the text of a review with findings contains only the number of findings, as with the known
    /// reviewers.
    pub reports_count_only: bool,
    /// True if a run ends with an error when the reviewer does not respond in time.
    pub required: bool,
    /// Timeout for the reviewer's response, after each request.
    pub response_timeout: Duration,
    /// Maximum number of review requests for one commit.
    pub max_requests: u32,
}

/// The method by which Truing requests a review.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReviewerTrigger {
    /// No request: the reviewer starts by itself.
    Nothing,
    /// A review request to the reviewer's first login.
    Request,
    /// A comment with exactly this text on the pull request.
    Comment(String),
}

/// The observation by which Truing detects that a reviewer has reviewed a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReviewerDetector {
    /// A review by one of the reviewer's accounts.
    Review,
    /// A completed check run of this name.
    CheckRun(String),
}

/// Value of `trigger` for reviewers that start by themselves.
const NO_TRIGGER: &str = "none";
/// Value of `trigger` that makes Truing request a review.
const REQUEST_TRIGGER: &str = "request";
/// Value of `detector` with which Truing looks for reviews.
const REVIEW_DETECTOR: &str = "review";
/// Prefix of a `detector` value that names a check run.
const CHECK_RUN_PREFIX: &str = "check:";

/// Prefix of a `detector` value with the pattern of the commit that a review's text names.
const TEXT_PREFIX: &str = "text:";

/// A reviewer with built-in settings.
struct KnownReviewer {
    name: &'static str,
    logins: &'static [&'static str],
    trigger: &'static str,
    /// Pattern of the commit that the reviewer's texts name.
    commit_pattern: Option<&'static str>,
    findings_pattern: Option<&'static str>,
}

const KNOWN_REVIEWERS: [KnownReviewer; 2] = [
    KnownReviewer {
        name: "bugbot",
        logins: &["cursor[bot]", "cursor"],
        trigger: "bugbot run",
        // <sup>Reviewed by [Cursor Bugbot](https://cursor.com/bugbot) for commit 299d961f…
        commit_pattern: Some(
            r"Reviewed by \[Cursor Bugbot\][^\n]{0,80} for commit \[?`?([0-9a-fA-F]{7,40})\b",
        ),
        findings_pattern: Some(r"found \d+ potential issue"),
    },
    KnownReviewer {
        name: "copilot",
        // Copilot posts reviews and comments from different accounts. The first login is the account from
        // which a review must be requested.
        logins: &["copilot-pull-request-reviewer[bot]", "copilot-pull-request-reviewer", "Copilot"],
        trigger: REQUEST_TRIGGER,
        commit_pattern: None,
        findings_pattern: None,
    },
];

fn known_reviewer(name: &str) -> Option<&'static KnownReviewer> {
    KNOWN_REVIEWERS.iter().find(|known| known.name == name)
}

/// Returns the reviewers in `converge.reviewers` that Truing knows. Such reviewers do not require a section
/// in the configuration.
pub(super) fn reviewers_without_section(
    settings: &BTreeMap<String, EffectiveSetting>,
) -> impl Iterator<Item = String> {
    let list = match settings.get(REVIEWERS_KEY).map(|setting| &setting.value) {
        Some(ConfigValue::StringList(names)) => names.as_slice(),
        Some(_) | None => &[],
    };
    list.iter().filter(|name| known_reviewer(name).is_some()).cloned()
}

/// Returns the default of a key in the section of the reviewer `name`.
pub(super) fn reviewer_default(name: &str, key: &str) -> ConfigValue {
    match (known_reviewer(name), key) {
        (Some(known), "logins") => {
            ConfigValue::StringList(known.logins.iter().map(|&login| login.to_owned()).collect())
        }
        (Some(known), "trigger") => ConfigValue::Text(known.trigger.to_owned()),
        (None, "trigger") => ConfigValue::Text(NO_TRIGGER.to_owned()),
        (Some(KnownReviewer { findings_pattern: Some(dirty), .. }), "dirty") => {
            ConfigValue::Text((*dirty).to_owned())
        }
        (Some(_) | None, _) => ConfigValue::Unset,
    }
}

/// Key that lists the reviewers in their order.
const REVIEWERS_KEY: &str = "converge.reviewers";

pub(super) fn read_section(
    settings: &TypedSettings<'_>,
    section_names: Option<&BTreeSet<String>>,
    models: Option<&BTreeSet<String>>,
) -> Result<ConvergeConfig, ConfigError> {
    // All `[reviewer.NAME]` sections are read, because a section's errors must be reported even if
    // `converge.reviewers` does not list it.
    let others = section_names.into_iter().flatten().map(|name| read_reviewer(settings, name));
    let others: Vec<ReviewerConfig> = others.collect::<Result<_, _>>()?;
    let listed = settings.list(REVIEWERS_KEY)?;
    if listed.is_empty() {
        return Err(bad_value(settings, REVIEWERS_KEY, "must list at least one reviewer".to_owned()));
    }
    let reviewers = listed.into_iter().map(|name| match others.iter().find(|other| other.name == name) {
        _ if name == INTERNAL_REVIEWER => Ok(ConfiguredReviewer::Internal),
        Some(other) => Ok(ConfiguredReviewer::External(other.clone())),
        None => {
            let wrong = format!(
                "may contain only `{INTERNAL_REVIEWER}`, `{}` and the NAME of each `[reviewer.NAME]`, not \
                    `{name}`",
                KNOWN_REVIEWERS.map(|known| known.name).join("`, `")
            );
            Err(bad_value(settings, REVIEWERS_KEY, wrong))
        }
    });
    let fixer = super::model::read_model_name(settings, FIXER_KEY, models)?;
    let number = |key: &str| settings.number(&format!("converge.{key}"));
    let time = |key: &str| settings.duration(&format!("converge.{key}"));
    let flag = |key: &str| settings.boolean(&format!("converge.{key}"));
    Ok(ConvergeConfig {
        is_enabled: flag("enabled")?,
        limits: ConvergeLimits {
            max_audits: number("max_audits")?,
            max_gate_fixes: number("gate_rounds")?,
            max_failed_checks: number("selfaudit_rounds")?,
            first_parallel_audit: number("parallel_from")?,
            auditors: number("auditors")?,
            max_agent_requests: number("worker_attempts")?,
            max_hook_retries: number("hook_retry")?,
            min_blocking: settings.choice("converge.min_blocking_severity", |word| {
                Severity::ALL.into_iter().find(|severity| severity.as_str() == word)
            })?,
            allow_declined: flag("allow_declined")?,
            fixes_last_audit: flag("final_fix")?,
        },
        audit_timeout: time("audit_timeout")?,
        fix_timeout: time("fix_timeout")?,
        poll_interval: time("poll")?,
        first_poll_delay: time("poll_after_trigger")?,
        reviewers: reviewers.collect::<Result<_, _>>()?,
        max_inline_comment_checks: number("inline_lag_max")?,
        event: settings.choice("converge.event", |word| match word {
            "COMMENT" => Some(ReviewEvent::Comment),
            "REQUEST_CHANGES" => Some(ReviewEvent::RequestChanges),
            _ => None,
        })?,
        resolve_threads: flag("resolve_threads")?,
        mark_ready: flag("mark_ready")?,
        update_description: flag("update_description")?,
        allows_base_merge: flag("auto_rebase")?,
        allowed_requesters: settings.list("converge.askers")?,
        label: settings.text_if_any("converge.label")?.filter(|label| !label.is_empty()),
        gate: settings.commands("converge.gate")?,
        fixer_model: fixer,
        bugbot_retrigger: false,
    })
}

/// Returns the error text for a model name that does not exist. `known_names` are the existing names.
pub fn unknown_model_message<'a>(name: &str, known_names: impl Iterator<Item = &'a String>) -> String {
    let known_names: Vec<String> = known_names.map(|name| format!("`{name}`")).collect();
    let those = match known_names.as_slice() {
        [] => "there is none".to_owned(),
        _ => format!("there are {}", known_names.join(", ")),
    };
    format!("must be the NAME of a `[model.NAME]`, not `{name}`: {those}")
}

/// Key that names the model for fixing findings.
pub(crate) const FIXER_KEY: &str = "converge.fixer";

fn read_reviewer(settings: &TypedSettings<'_>, name: &str) -> Result<ReviewerConfig, ConfigError> {
    let path = |key: &str| format!("reviewer.{name}.{key}");
    let logins = settings
        .get_if_any(&path("logins"), |value| {
            if let ConfigValue::StringList(all) = value { Some(all.clone()) } else { None }
        })?
        .filter(|logins| !logins.is_empty())
        .ok_or_else(|| {
            bad_value(settings, &path("logins"), "must list the accounts that the reviewer uses".to_owned())
        })?;
    let known = known_reviewer(name);
    let detector_text = settings.text(&path("detector"))?;
    let own_pattern = detector_text.strip_prefix(TEXT_PREFIX).map(str::trim).filter(|text| !text.is_empty());
    check_pattern(settings, &path("detector"), own_pattern)?;
    let detector = match detector_text.as_str() {
        REVIEW_DETECTOR => ReviewerDetector::Review,
        _ if own_pattern.is_some() => ReviewerDetector::Review,
        text => match text.strip_prefix(CHECK_RUN_PREFIX).map(str::trim).filter(|run| !run.is_empty()) {
            Some(run) => ReviewerDetector::CheckRun(run.to_owned()),
            None => {
                let wrong = format!(
                    "must be `{REVIEW_DETECTOR}`, `{CHECK_RUN_PREFIX}` and a check run's name, or \
                        `{TEXT_PREFIX}` and a regular expression"
                );
                return Err(bad_value(settings, &path("detector"), wrong));
            }
        },
    };
    let dirty = settings.text_if_any(&path("dirty"))?;
    check_pattern(settings, &path("dirty"), dirty.as_deref())?;
    Ok(ReviewerConfig {
        name: name.to_owned(),
        logins,
        trigger: match settings.text(&path("trigger"))?.as_str() {
            NO_TRIGGER => ReviewerTrigger::Nothing,
            REQUEST_TRIGGER => ReviewerTrigger::Request,
            text => ReviewerTrigger::Comment(text.to_owned()),
        },
        detector,
        commit_pattern: own_pattern.or(known.and_then(|known| known.commit_pattern)).map(str::to_owned),
        reports_count_only: dirty.is_some()
            && dirty.as_deref() == known.and_then(|known| known.findings_pattern),
        findings_pattern: dirty,
        required: settings.boolean(&path("required"))?,
        response_timeout: settings.duration(&path("budget"))?,
        max_requests: settings.number(&path("requests"))?,
    })
}

fn check_pattern(settings: &TypedSettings<'_>, key: &str, pattern: Option<&str>) -> Result<(), ConfigError> {
    let Some(Err(error)) = pattern.map(Regex::new) else { return Ok(()) };
    let reason = error.to_string().lines().last().unwrap_or_default().to_owned();
    Err(bad_value(settings, key, format!("must be a regular expression: {reason}")))
}

/// Creates the error for a value that violates a requirement which the table of keys does not express.
fn bad_value(settings: &TypedSettings<'_>, key: &str, requirement: String) -> ConfigError {
    match settings.setting(key) {
        Ok(setting) => {
            ConfigProblem::BadValue { origin: setting.origin.clone(), key: key.to_owned(), requirement }
                .into()
        }
        Err(error) => error,
    }
}

/// The owner of the workspace of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WorkspaceOwnership {
    /// The run owns the workspace and removes it at the end.
    Owned,
    /// Another run owns the workspace, and this run uses it as well.
    Attach,
    /// If another run exists, this run uses that run's workspace; otherwise this run owns the workspace.
    Auto,
}

impl WorkspaceOwnership {
    /// All values, in order.
    pub const ALL: [Self; 3] = [Self::Owned, Self::Attach, Self::Auto];

    /// Returns the value's name in flags and variables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owned => "owned",
            Self::Attach => "attach",
            Self::Auto => "auto",
        }
    }
}

/// The environment variables of `bugteam`, the tool that the converge loop replaces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BugteamVariables {
    /// Value of `BUGTEAM_TEAM_LIFECYCLE`, if it is set.
    pub workspace_ownership: Option<WorkspaceOwnership>,
    /// Value of `BUGTEAM_TEAM_NAME`, if it is set.
    pub team: Option<String>,
    /// True if `BUGTEAM_PREFLIGHT_SKIP` is exactly `1`.
    pub skips_preflight: bool,
    /// True if `CLAUDE_REVIEWS_DISABLED` lists `bugteam`.
    pub is_disabled: bool,
}

impl BugteamVariables {
    /// Reads the variables of the tool that the converge loop replaces.
    ///
    /// # Errors
    /// A `ConfigError` if `BUGTEAM_TEAM_LIFECYCLE` has an unknown value.
    pub fn from_environment(environment: &Environment) -> Result<Self, ConfigError> {
        let text = |name: &str| {
            let text = environment.get(name).map(|text| text.to_string_lossy().trim().to_owned());
            text.filter(|text| !text.is_empty())
        };
        let lifecycle = text(LIFECYCLE_VARIABLE).map(|word| {
            let word = word.to_lowercase();
            WorkspaceOwnership::ALL.into_iter().find(|one| one.as_str() == word).ok_or_else(|| {
                let wrong = format!("must be \"owned\", \"attach\" or \"auto\", not `{word}`");
                let origin = ValueOrigin::ForeignVariable(LIFECYCLE_VARIABLE.to_owned());
                ConfigError::from(ConfigProblem::BadValue {
                    origin,
                    key: "--lifecycle".to_owned(),
                    requirement: wrong,
                })
            })
        });
        Ok(Self {
            workspace_ownership: lifecycle.transpose()?,
            team: text("BUGTEAM_TEAM_NAME"),
            skips_preflight: text("BUGTEAM_PREFLIGHT_SKIP").as_deref() == Some("1"),
            is_disabled: text("CLAUDE_REVIEWS_DISABLED")
                .is_some_and(|list| list.split(',').any(|name| name.trim().eq_ignore_ascii_case("bugteam"))),
        })
    }
}

/// Variable with the [`WorkspaceOwnership`].
const LIFECYCLE_VARIABLE: &str = "BUGTEAM_TEAM_LIFECYCLE";

#[cfg(test)]
mod tests;

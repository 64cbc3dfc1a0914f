//! The section `review` of the configuration.

use std::path::PathBuf;
use std::time::Duration;

use truing_core::instruction::PathInstruction;
use truing_core::tier::TierConfig;

use super::problem::ConfigError;
use super::tool::ToolSelection;
use super::typed::TypedSettings;

/// The model runtime that reviews use in addition to the rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReviewModelRuntime {
    /// The rules only, without a model.
    RulesOnly,
    /// The rules, and a model in our own tool loop.
    NativeToolLoop,
    /// The rules, and a model whose conversation the `claude` program conducts.
    ClaudeCli,
}

/// The settings of the section `review`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReviewConfig {
    /// Model runtime that reviews use in addition to the rules.
    pub runtime: ReviewModelRuntime,
    /// The `claude` program: a path, or a name on `PATH`.
    pub claude_program: String,
    /// Required version of the `claude` program.
    pub claude_version: String,
    /// Maximum time from the start of the program to its first request to the model.
    pub claude_start_timeout: Duration,
    /// Maximum number of responses by a model in one review.
    pub max_turns: u32,
    /// True if several specialized reviewers check each change.
    pub specialists: bool,
    /// True if secrets are removed from every text for a model.
    pub redacts_secrets: bool,
    /// Rules that select the tier of a pull request's review.
    pub tiers: TierConfig,
    /// Instructions for reviews of changes to certain paths.
    pub instructions: Vec<PathInstruction>,
    /// True if reviews ask the model for a walkthrough.
    pub walkthrough: bool,
    /// Linters that reviews run.
    pub linters: ToolSelection,
    /// True if linters are fetched in the versions that the repository pins.
    pub fetches_tools: bool,
    /// Folder with the operator's skills.
    pub skills_dir: SkillsDir,
    /// Delay from the last event to the review.
    pub debounce: Duration,
    /// Maximum delay of the review after the first event.
    pub max_debounce_delay: Duration,
    /// Time without events after which a burst of events has ended.
    pub burst_quiet_period: Duration,
    /// Maximum duration of a burst of events, counted from its first event.
    pub max_burst_duration: Duration,
    /// Delay of the first retry.
    pub initial_backoff: Duration,
    /// Maximum delay between two attempts.
    pub backoff_max: Duration,
    /// Number of consecutive failed attempts after which a pull request is parked.
    pub max_attempts: u32,
    /// Maximum number of inline comments on a pull request.
    pub max_inline_comments: usize,
    /// True if a pull request that was already open when the server first saw its repository is reviewed only
    /// after a change or on request.
    pub skips_existing_pulls: bool,
}

/// The folder with the operator's skills.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SkillsDir {
    pub path: PathBuf,
    /// True if the path is configured. A configured folder must exist; the default folder may be absent.
    pub is_configured: bool,
}

/// Reads the section from its settings.
///
/// # Errors
/// A `ConfigError` if a key does not match the table of keys.
pub(super) fn read_section(settings: &TypedSettings<'_>) -> Result<ReviewConfig, ConfigError> {
    Ok(ReviewConfig {
        runtime: settings.choice("review.runtime", |word| match word {
            "rules" => Some(ReviewModelRuntime::RulesOnly),
            "native" | "sdk" => Some(ReviewModelRuntime::NativeToolLoop),
            "cli" => Some(ReviewModelRuntime::ClaudeCli),
            _ => None,
        })?,
        claude_program: settings.text("review.claude")?,
        claude_version: settings.text("review.claude_version")?,
        claude_start_timeout: settings.duration("review.claude_start")?,
        max_turns: settings.number("review.max_turns")?,
        specialists: settings.boolean("review.specialists")?,
        redacts_secrets: settings.boolean("review.redact")?,
        tiers: settings.tiers()?,
        instructions: settings.instructions("review.instructions")?,
        walkthrough: settings.boolean("review.walkthrough")?,
        linters: settings.choice("review.tools", ToolSelection::from_word)?,
        fetches_tools: settings.boolean("review.tool_fetch")?,
        skills_dir: SkillsDir {
            path: settings.path("review.skills_dir")?.unwrap_or_default(),
            is_configured: settings.is_set("review.skills_dir"),
        },
        debounce: settings.duration("review.debounce")?,
        max_debounce_delay: settings.duration("review.max_wait")?,
        burst_quiet_period: settings.duration("review.quiet")?,
        max_burst_duration: settings.duration("review.storm_max")?,
        initial_backoff: settings.duration("review.backoff")?,
        backoff_max: settings.duration("review.backoff_max")?,
        max_attempts: settings.number("review.attempts")?,
        max_inline_comments: settings.number("review.max_inline")?,
        skips_existing_pulls: settings.choice("review.existing", |word| match word {
            "leave" => Some(true),
            "review" => Some(false),
            _ => None,
        })?,
    })
}

//! The section `review` of the configuration.

use std::path::PathBuf;
use std::time::Duration;

use truing_core::instruction::PathInstruction;
use truing_core::tier::TierConfig;

use super::problem::ConfigError;
use super::tool::ToolSelection;
use super::typed::TypedSettings;

/// The reviewer beside the rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfiguredRuntime {
    /// The rules alone: no model.
    Rules,
    /// The rules, and a model in our own loop of tools.
    Native,
    /// The rules, and a model whose conversation the `claude` program holds.
    Cli,
}

/// The settings of the section `review`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReviewConfig {
    /// The reviewer beside the rules.
    pub runtime: ConfiguredRuntime,
    /// The `claude` program: a path, or a name that is on `PATH`.
    pub claude: String,
    /// The version that it must have.
    pub claude_version: String,
    /// The time until it has to ask the model.
    pub claude_start: Duration,
    /// Answers of a model in one review.
    pub max_turns: u32,
    /// Do several reviewers look at each change?
    pub specialists: bool,
    /// Are secrets cut out of every text for a model?
    pub redact: bool,
    /// The rules for how much of a review a pull request gets.
    pub tiers: TierConfig,
    /// Words to reviews of changes to some paths.
    pub instructions: Vec<PathInstruction>,
    /// Is the model asked for a walkthrough, too?
    pub walkthrough: bool,
    /// The linters that reviews run.
    pub tools: ToolSelection,
    /// The folder with the operator's skills.
    pub skills_dir: SkillsDir,
    /// From the last event to the review.
    pub debounce: Duration,
    /// From the first event to the review, at most.
    pub max_wait: Duration,
    /// A storm ends after this long without an event.
    pub quiet: Duration,
    /// A storm ends this long after its first event, at most.
    pub storm_max: Duration,
    /// The wait before the first retry.
    pub backoff: Duration,
    /// The longest wait between two tries.
    pub backoff_max: Duration,
    /// Failed tries in a row before a pull request is parked.
    pub attempts: u32,
    /// Inline comments on a pull request, at most.
    pub max_inline: usize,
    /// Pull requests that were open before the first contact are left.
    pub leaves_existing: bool,
}

/// The folder with the operator's skills.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SkillsDir {
    /// The path of the folder.
    pub path: PathBuf,
    /// Has somebody named it? Only then it must be there.
    pub is_named: bool,
}

/// The section as it is set.
///
/// # Errors
/// A key that is not as the table of keys says.
pub(super) fn of(of: &TypedSettings<'_>) -> Result<ReviewConfig, ConfigError> {
    Ok(ReviewConfig {
        runtime: of.word("review.runtime", |word| match word {
            "rules" => Some(ConfiguredRuntime::Rules),
            "native" | "sdk" => Some(ConfiguredRuntime::Native),
            "cli" => Some(ConfiguredRuntime::Cli),
            _ => None,
        })?,
        claude: of.name("review.claude")?,
        claude_version: of.name("review.claude_version")?,
        claude_start: of.duration("review.claude_start")?,
        max_turns: of.number("review.max_turns")?,
        specialists: of.flag("review.specialists")?,
        redact: of.flag("review.redact")?,
        tiers: of.tiers()?,
        instructions: of.instructions("review.instructions")?,
        walkthrough: of.flag("review.walkthrough")?,
        tools: of.word("review.tools", ToolSelection::named)?,
        skills_dir: SkillsDir {
            path: of.path("review.skills_dir")?.unwrap_or_default(),
            is_named: of.is_set("review.skills_dir"),
        },
        debounce: of.duration("review.debounce")?,
        max_wait: of.duration("review.max_wait")?,
        quiet: of.duration("review.quiet")?,
        storm_max: of.duration("review.storm_max")?,
        backoff: of.duration("review.backoff")?,
        backoff_max: of.duration("review.backoff_max")?,
        attempts: of.number("review.attempts")?,
        max_inline: of.number("review.max_inline")?,
        leaves_existing: of.word("review.existing", |word| match word {
            "leave" => Some(true),
            "review" => Some(false),
            _ => None,
        })?,
    })
}

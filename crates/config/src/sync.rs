//! Configuration of the sync jobs. Each job follows an upstream package.

use std::time::Duration;

use globset::escape;
use truing_core::commit::GitIdentity;
use truing_core::registry::PackageRegistry;
use truing_core::sync::breaker::JobBreakerLimits;
use truing_core::template::TextTemplate;
use truing_core::version::{PackageVersion, RangeStyle};

use super::problem::{ConfigError, ConfigProblem};
use super::value::ConfigValue;
use super::{TypedSettings, table_mismatch, value};

/// Section `sync.NAME` of the configuration. Paths in the section are relative to the project's folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobConfig {
    /// Registry that publishes the package.
    pub registry: PackageRegistry,
    /// Name of the package that the job follows.
    pub package: String,
    /// Rule that selects the release to follow.
    pub target: ReleaseSelector,
    /// Minimum age of the newest release before the job follows it.
    pub min_age: Duration,
    /// File with the project's version requirement for the package.
    pub constraint_file: String,
    /// Position of the requirement in `constraint_file`: keys separated by dots. If it is empty, the whole
    /// file is the requirement.
    pub constraint_path: String,
    /// Style of the requirement's range.
    pub style: RangeStyle,
    /// File with the pinned definitions.
    pub manifest: String,
    /// Pairs of a folder or file in the package and its counterpart in the project.
    pub mirrored_paths: Vec<(String, String)>,
    /// Repository of the project, `owner/name`. A job cannot run without a repository.
    pub repo: Option<String>,
    /// Schedule on a server: a cron pattern, in UTC.
    pub cron: Option<String>,
    /// Forge of the repository.
    pub forge: String,
    /// Branch of the pull request.
    pub branch: String,
    /// Title of the pull request. If it is `None`, the title describes the outcome.
    pub title: Option<TextTemplate>,
    /// Text of the pull request. If it is `None`, the text consists of the repository's own template and a
    /// report.
    pub body: Option<TextTemplate>,
    /// Labels of the pull request.
    pub labels: Vec<String>,
    /// Author of the pull request's commits.
    pub author: GitIdentity,
    /// Label of the issue in which the job asks users questions.
    pub question_label: String,
    /// True if the job maintains an issue that reports its last runs.
    pub maintains_outcome_issue: bool,
    /// Label of the issue that reports the job's last runs.
    pub outcome_label: String,
    /// Numbers of consecutive failures that open the circuit breaker.
    pub breaker: JobBreakerLimits,
    /// True if a model may port code without a user's decision.
    pub writes_code: bool,
    /// True if a model may classify unpinned functions.
    pub classifies_functions: bool,
    /// Globs of the files that a port may change.
    pub portable_file_globs: Vec<String>,
    /// Maximum number of responses by a model in one port.
    pub max_port_turns: u32,
    /// Timeout of one port.
    pub port_timeout: Duration,
    /// Packages that are updated together with the followed package.
    pub companions: Vec<String>,
    /// Commands that update the lock files.
    pub lock_commands: Vec<Vec<TextTemplate>>,
    /// Globs of the lock files.
    pub lock_files: Vec<String>,
    /// True if the project's own version is incremented: the patch number after a `relax`, and the minor
    /// number after a `bump`.
    pub increments_version: bool,
    /// File with the project's own version.
    pub version_file: String,
    /// Position of the project's own version in `version_file`.
    pub version_path: String,
    /// File of the changelog; `None` if no changelog is written.
    pub changelog_file: Option<String>,
    /// Text of the changelog's new entry.
    pub changelog_entry: TextTemplate,
}

/// The rule that selects the release that a job follows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReleaseSelector {
    /// The newest release that is neither a pre-release nor withdrawn.
    Newest,
    /// The newest release for which only the version range must be widened. It takes precedence over releases
    /// that require more changes.
    Safe,
    /// The newest release, but at most this many releases after the release that the project was made for.
    MaxAhead(usize),
    /// Only the release with this version.
    Exact(PackageVersion),
}

/// Placeholders that the operator's texts for a job may contain.
pub mod placeholders {
    /// Name of the package.
    pub const PACKAGE: &str = "package";
    /// Names of the package and of each of its companions.
    pub const PACKAGES: &str = "packages";
    /// Version of the release.
    pub const VERSION: &str = "version";
    /// Kind of update: `relax` or `bump`.
    pub const DECISION: &str = "decision";
    /// The repository's own template for pull requests.
    pub const TEMPLATE: &str = "template";
    /// Report of the changes and their reasons.
    pub const REPORT: &str = "text";
    /// Version range that the project accepts now.
    pub const RANGE: &str = "range";
    /// Placeholders that a changelog entry may contain.
    pub(super) const CHANGELOG_PLACEHOLDERS: [&str; 4] = [PACKAGE, VERSION, DECISION, RANGE];
    /// Placeholders that a title may contain.
    pub(super) const TITLE_PLACEHOLDERS: [&str; 3] = [PACKAGE, VERSION, DECISION];
    /// Placeholders that a pull request's text may contain.
    pub(super) const BODY_PLACEHOLDERS: [&str; 5] = [PACKAGE, VERSION, DECISION, TEMPLATE, REPORT];
    /// Placeholders that a lock command may contain.
    pub(super) const LOCK_PLACEHOLDERS: [&str; 3] = [PACKAGE, PACKAGES, VERSION];
}

impl JobConfig {
    /// Returns true if a manifest pins definitions. Without a manifest, the project's own checks decide
    /// whether the project works with a release.
    pub fn has_manifest(&self) -> bool {
        self.manifest != NO_MANIFEST
    }
}

/// Value of `manifest` for a project that neither overrides nor copies any code of the package.
const NO_MANIFEST: &str = "none";

/// Value of the target for the newest release.
const NEWEST: &str = "newest";
/// Value of the target for the newest release that requires only a wider range.
const SAFE_TARGET: &str = "safe";

pub(super) fn read_section(settings: &TypedSettings<'_>, name: &str) -> Result<JobConfig, ConfigError> {
    let path = |key: &str| format!("sync.{name}.{key}");
    let pair = |item: &String| {
        let (theirs, ours) = value::parse_mirror_pair(item).ok_or_else(|| table_mismatch(&path("mirror")))?;
        Ok::<_, ConfigError>((theirs.to_owned(), ours.to_owned()))
    };
    let given = |key: &str| {
        settings.get_if_any(&path(key), |value| {
            if let ConfigValue::Text(name) = value { Some(name.clone()) } else { None }
        })
    };
    let registry = settings.choice(&path("registry"), |word| {
        PackageRegistry::ALL.into_iter().find(|one| one.as_str() == word)
    })?;
    let (file, list) = match registry {
        PackageRegistry::Pypi => ("pyproject.toml", "project.dependencies"),
        PackageRegistry::Npm => ("package.json", "dependencies"),
        PackageRegistry::Crates => ("Cargo.toml", "dependencies"),
    };
    let constraint_file = given("constraint.file")?.unwrap_or_else(|| file.to_owned());
    let list = if has_key_paths(&constraint_file) { list } else { "" };
    let version_file = given("version.file")?.unwrap_or_else(|| file.to_owned());
    let at = match (version_file.ends_with(".py"), registry) {
        (true, _) => "__version__",
        (false, PackageRegistry::Pypi) => "project.version",
        (false, PackageRegistry::Npm) => "version",
        (false, PackageRegistry::Crates) => "package.version",
    };
    let at = if version_file.ends_with(".py") || has_key_paths(&version_file) { at } else { "" };
    let written = settings.text(&path("target"))?;
    let target =
        parse_target(registry, &written).map_err(|wrong| bad_value(settings, &path("target"), wrong))?;
    let mirror: Vec<(String, String)> =
        settings.list(&path("mirror"))?.iter().map(pair).collect::<Result<_, _>>()?;
    let ports = settings.get_if_any(&path("bump.paths"), |value| {
        if let ConfigValue::StringList(globs) = value { Some(globs.clone()) } else { None }
    })?;
    let of_text = |key: &str, known_placeholders: &[&str]| {
        let text = settings.text_if_any(&path(key))?;
        text.map(|text| parse_template(settings, &path(key), &text, known_placeholders)).transpose()
    };
    let writes_code = settings.choice(&path("mode"), |word| match word {
        "relax" => Some(false),
        "code" => Some(true),
        _ => None,
    })?;
    let classifies = settings.get_if_any(&path("classify"), |value| {
        if let ConfigValue::Flag(yes) = value { Some(*yes) } else { None }
    })?;
    Ok(JobConfig {
        registry,
        package: settings.text(&path("package"))?,
        target,
        min_age: settings.duration(&path("min_age"))?,
        constraint_file,
        constraint_path: given("constraint.path")?.unwrap_or_else(|| list.to_owned()),
        style: settings.choice(&path("constraint.style"), |word| {
            RangeStyle::ALL.into_iter().find(|one| one.as_str() == word)
        })?,
        manifest: settings.text(&path("manifest"))?,
        portable_file_globs: ports.unwrap_or_else(|| project_side_globs(&mirror)),
        mirrored_paths: mirror,
        repo: settings.text_if_any(&path("repo"))?,
        cron: settings.text_if_any(&path("cron"))?,
        forge: settings.text(&path("forge"))?,
        branch: settings.text(&path("branch"))?,
        title: of_text("title", &placeholders::TITLE_PLACEHOLDERS)?,
        body: of_text("body_template", &placeholders::BODY_PLACEHOLDERS)?,
        labels: settings.list(&path("labels"))?,
        author: GitIdentity {
            name: settings.text(&path("author_name"))?,
            email: settings.text(&path("author_email"))?,
        },
        question_label: settings.text(&path("question_label"))?,
        maintains_outcome_issue: settings.boolean(&path("outcome.issue"))?,
        outcome_label: settings.text(&path("outcome.label"))?,
        breaker: JobBreakerLimits {
            target_failures: settings.number(&path("breaker.failures"))?,
            job_failures: settings.number(&path("breaker.streak"))?,
        },
        writes_code,
        classifies_functions: classifies.unwrap_or_else(|| writes_code || settings.sets_model_key()),
        max_port_turns: settings.number(&path("limits.turns"))?,
        port_timeout: settings.duration(&path("limits.wall"))?,
        companions: settings.list(&path("companions"))?,
        lock_commands: lock_commands(settings, &path("relax.lock"))?,
        lock_files: settings.list(&path("relax.lock_files"))?,
        increments_version: settings.choice(&path("version_rule"), |word| match word {
            "none" => Some(false),
            "patch-on-relax-minor-on-bump" => Some(true),
            _ => None,
        })?,
        version_path: given("version.path")?.unwrap_or_else(|| at.to_owned()),
        version_file,
        changelog_file: given("changelog.file")?,
        changelog_entry: parse_template(
            settings,
            &path("changelog.entry"),
            &settings.text(&path("changelog.entry"))?,
            &placeholders::CHANGELOG_PLACEHOLDERS,
        )?,
    })
}

/// Returns true if positions in this file are identified by keys, as in TOML and JSON.
fn has_key_paths(file: &str) -> bool {
    [".toml", ".json"].iter().any(|end| file.ends_with(end))
}

/// Parses the target of a job: `newest`, `safe`, `+3` or a version.
fn parse_target(registry: PackageRegistry, text: &str) -> Result<ReleaseSelector, String> {
    if text == NEWEST {
        return Ok(ReleaseSelector::Newest);
    }
    if text == SAFE_TARGET {
        return Ok(ReleaseSelector::Safe);
    }
    if let Some(ahead) = text.strip_prefix('+') {
        let ahead = ahead.parse().ok().filter(|ahead| *ahead > 0);
        return ahead
            .map(ReleaseSelector::MaxAhead)
            .ok_or_else(|| format!("must have a positive number after `+`, as in `+3`, not `{text}`"));
    }
    let version = PackageVersion::parse(registry, text).map(ReleaseSelector::Exact);
    version.map_err(|error| format!("must be `{NEWEST}`, `{SAFE_TARGET}`, `+3` or a version: {error}"))
}

/// Reads commands whose words may contain placeholders.
fn lock_commands(settings: &TypedSettings<'_>, key: &str) -> Result<Vec<Vec<TextTemplate>>, ConfigError> {
    let word = |word: &String| parse_template(settings, key, word, &placeholders::LOCK_PLACEHOLDERS);
    settings.commands(key)?.iter().map(|command| command.iter().map(word).collect()).collect()
}

/// Parses a text with placeholders. An unknown placeholder is an error.
fn parse_template(
    settings: &TypedSettings<'_>,
    key: &str,
    text: &str,
    known_placeholders: &[&str],
) -> Result<TextTemplate, ConfigError> {
    TextTemplate::parse(text, known_placeholders).map_err(|wrong| bad_value(settings, key, wrong))
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

/// Returns globs of the project's counterparts of the mirrored files, and of the project's tests.
fn project_side_globs(mirror: &[(String, String)]) -> Vec<String> {
    let own = mirror.iter().map(|(_, ours)| match ours.strip_suffix('/') {
        Some(folder) => format!("{}/**", escape(folder)),
        None => escape(ours),
    });
    own.chain(["tests/**", "test/**"].map(str::to_owned)).collect()
}

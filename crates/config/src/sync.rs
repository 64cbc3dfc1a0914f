//! The jobs that follow an upstream package.

use std::time::Duration;

use globset::escape;
use truing_core::commit::GitIdentity;
use truing_core::registry::PackageRegistry;
use truing_core::sync::breaker::JobBreakerLimits;
use truing_core::template::TextTemplate;
use truing_core::version::{PackageVersion, RangeStyle};

use super::problem::{ConfigError, ConfigProblem};
use super::value::ConfigValue;
use super::{TypedSettings, bug, value};

/// Section `sync.NAME`. Paths begin in the project's folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobConfig {
    /// Where the package is published.
    pub registry: PackageRegistry,
    /// The package that is followed.
    pub package: String,
    /// The release to follow.
    pub target: ReleaseSelector,
    /// How old the newest must be.
    pub min_age: Duration,
    /// The file with the project's requirement.
    pub constraint_file: String,
    /// The list in it: keys with dots between them; empty: all of it.
    pub constraint_path: String,
    /// What the requirement looks like.
    pub style: RangeStyle,
    /// The file that tells what is pinned.
    pub manifest: String,
    /// Folders or files of the package, and their counterparts in the project.
    pub mirror: Vec<(String, String)>,
    /// The project's repository, `owner/name`, if it can be run.
    pub repo: Option<String>,
    /// When a server runs it: a cron pattern, in UTC.
    pub cron: Option<String>,
    /// The forge that it is at.
    pub forge: String,
    /// The branch of the pull request.
    pub branch: String,
    /// Its title; none: what became of the release.
    pub title: Option<TextTemplate>,
    /// Its text; none: the repository's own template, and what was done.
    pub body: Option<TextTemplate>,
    /// Its labels.
    pub labels: Vec<String>,
    /// Who its commits are by.
    pub author: GitIdentity,
    /// The label of the issue that asks people.
    pub question_label: String,
    /// Is there an issue that tells of the last runs?
    pub tracks: bool,
    /// Its label.
    pub outcome_label: String,
    /// Failures in a row that open the circuit breaker.
    pub breaker: JobBreakerLimits,
    /// May a model port code without a person's ruling?
    pub writes_code: bool,
    /// May a model be asked about what nobody has pinned?
    pub classifies: bool,
    /// Globs of the files that a port may change.
    pub ports: Vec<String>,
    /// Answers of the model in one port.
    pub turns: u32,
    /// How long it may take for one.
    pub wall: Duration,
    /// Packages that move together with it.
    pub companions: Vec<String>,
    /// Commands that bring the lock files up to date.
    pub lock: Vec<Vec<TextTemplate>>,
    /// Globs of these files.
    pub lock_files: Vec<String>,
    /// Is the project's own version counted up: a patch on a relax, a minor on a bump?
    pub counts: bool,
    /// The file with that version,
    pub version_file: String,
    /// and where it is in it.
    pub version_path: String,
    /// The changelog; none: nothing is written there.
    pub changelog_file: Option<String>,
    /// What is written there.
    pub changelog_entry: TextTemplate,
}

/// Which release a job follows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReleaseSelector {
    /// The newest that is neither a pre-release nor taken back.
    Newest,
    /// The newest that requires no more than a wider range, before any that requires more.
    Safe,
    /// The same as the newest, but no more than so many releases after the one that the project was made for.
    Ahead(usize),
    /// This one.
    Fixed(PackageVersion),
}

/// Places in what the operator writes for a job.
pub mod places {
    /// The package.
    pub const PACKAGE: &str = "package";
    /// The package, and each of its companions.
    pub const PACKAGES: &str = "packages";
    /// The release.
    pub const VERSION: &str = "version";
    /// `relax` or `bump`.
    pub const DECISION: &str = "decision";
    /// The template that the repository has for pull requests.
    pub const TEMPLATE: &str = "template";
    /// What was done, and why.
    pub const TEXT: &str = "text";
    /// What the project admits now.
    pub const RANGE: &str = "range";
    /// Those of a line in a changelog.
    pub(super) const OF_CHANGELOG: [&str; 4] = [PACKAGE, VERSION, DECISION, RANGE];
    /// Those of a title.
    pub(super) const OF_TITLE: [&str; 3] = [PACKAGE, VERSION, DECISION];
    /// Those of a text.
    pub(super) const OF_BODY: [&str; 5] = [PACKAGE, VERSION, DECISION, TEMPLATE, TEXT];
    /// Those of a lock command.
    pub(super) const OF_LOCK: [&str; 3] = [PACKAGE, PACKAGES, VERSION];
}

impl JobConfig {
    /// Is something pinned? If not, the project's own checks decide.
    pub fn has_manifest(&self) -> bool {
        self.manifest != NO_MANIFEST
    }
}

/// In place of a manifest: nothing of the package is overridden or copied.
const NO_MANIFEST: &str = "none";

/// Follow whatever is newest.
const NEWEST: &str = "newest";
/// Follow first what requires no more than a wider range.
const SAFE: &str = "safe";

pub(super) fn of(settings: &TypedSettings<'_>, name: &str) -> Result<JobConfig, ConfigError> {
    let path = |key: &str| format!("sync.{name}.{key}");
    let pair = |item: &String| {
        let (theirs, ours) = value::pair(item).ok_or_else(|| bug(&path("mirror")))?;
        Ok::<_, ConfigError>((theirs.to_owned(), ours.to_owned()))
    };
    let given = |key: &str| {
        settings.if_any(&path(key), |value| {
            if let ConfigValue::Name(name) = value { Some(name.clone()) } else { None }
        })
    };
    let registry = settings
        .word(&path("registry"), |word| PackageRegistry::ALL.into_iter().find(|one| one.as_str() == word))?;
    let (file, list) = match registry {
        PackageRegistry::Pypi => ("pyproject.toml", "project.dependencies"),
        PackageRegistry::Npm => ("package.json", "dependencies"),
        PackageRegistry::Crates => ("Cargo.toml", "dependencies"),
    };
    let constraint_file = given("constraint.file")?.unwrap_or_else(|| file.to_owned());
    let list = if is_keyed(&constraint_file) { list } else { "" };
    let version_file = given("version.file")?.unwrap_or_else(|| file.to_owned());
    let at = match (version_file.ends_with(".py"), registry) {
        (true, _) => "__version__",
        (false, PackageRegistry::Pypi) => "project.version",
        (false, PackageRegistry::Npm) => "version",
        (false, PackageRegistry::Crates) => "package.version",
    };
    let at = if version_file.ends_with(".py") || is_keyed(&version_file) { at } else { "" };
    let written = settings.name(&path("target"))?;
    let target = target(registry, &written).map_err(|wrong| bad(settings, &path("target"), wrong))?;
    let mirror: Vec<(String, String)> =
        settings.list(&path("mirror"))?.iter().map(pair).collect::<Result<_, _>>()?;
    let ports = settings.if_any(&path("bump.paths"), |value| {
        if let ConfigValue::List(globs) = value { Some(globs.clone()) } else { None }
    })?;
    let of_text = |key: &str, known: &[&str]| {
        let text = settings.name_if_any(&path(key))?;
        text.map(|text| template(settings, &path(key), &text, known)).transpose()
    };
    let writes_code = settings.word(&path("mode"), |word| match word {
        "relax" => Some(false),
        "code" => Some(true),
        _ => None,
    })?;
    let classifies = settings.if_any(&path("classify"), |value| {
        if let ConfigValue::Flag(yes) = value { Some(*yes) } else { None }
    })?;
    Ok(JobConfig {
        registry,
        package: settings.name(&path("package"))?,
        target,
        min_age: settings.duration(&path("min_age"))?,
        constraint_file,
        constraint_path: given("constraint.path")?.unwrap_or_else(|| list.to_owned()),
        style: settings.word(&path("constraint.style"), |word| {
            RangeStyle::ALL.into_iter().find(|one| one.as_str() == word)
        })?,
        manifest: settings.name(&path("manifest"))?,
        ports: ports.unwrap_or_else(|| own_side(&mirror)),
        mirror,
        repo: settings.name_if_any(&path("repo"))?,
        cron: settings.name_if_any(&path("cron"))?,
        forge: settings.name(&path("forge"))?,
        branch: settings.name(&path("branch"))?,
        title: of_text("title", &places::OF_TITLE)?,
        body: of_text("body_template", &places::OF_BODY)?,
        labels: settings.list(&path("labels"))?,
        author: GitIdentity {
            name: settings.name(&path("author_name"))?,
            email: settings.name(&path("author_email"))?,
        },
        question_label: settings.name(&path("question_label"))?,
        tracks: settings.flag(&path("outcome.issue"))?,
        outcome_label: settings.name(&path("outcome.label"))?,
        breaker: JobBreakerLimits {
            target: settings.number(&path("breaker.failures"))?,
            streak: settings.number(&path("breaker.streak"))?,
        },
        writes_code,
        classifies: classifies.unwrap_or_else(|| writes_code || settings.names_a_model()),
        turns: settings.number(&path("limits.turns"))?,
        wall: settings.duration(&path("limits.wall"))?,
        companions: settings.list(&path("companions"))?,
        lock: lock(settings, &path("relax.lock"))?,
        lock_files: settings.list(&path("relax.lock_files"))?,
        counts: settings.word(&path("version_rule"), |word| match word {
            "none" => Some(false),
            "patch-on-relax-minor-on-bump" => Some(true),
            _ => None,
        })?,
        version_path: given("version.path")?.unwrap_or_else(|| at.to_owned()),
        version_file,
        changelog_file: given("changelog.file")?,
        changelog_entry: template(
            settings,
            &path("changelog.entry"),
            &settings.name(&path("changelog.entry"))?,
            &places::OF_CHANGELOG,
        )?,
    })
}

/// Is something in this file found by keys?
fn is_keyed(file: &str) -> bool {
    [".toml", ".json"].iter().any(|end| file.ends_with(end))
}

/// `newest`, `safe`, `+3` or a version.
fn target(registry: PackageRegistry, text: &str) -> Result<ReleaseSelector, String> {
    if text == NEWEST {
        return Ok(ReleaseSelector::Newest);
    }
    if text == SAFE {
        return Ok(ReleaseSelector::Safe);
    }
    if let Some(ahead) = text.strip_prefix('+') {
        let ahead = ahead.parse().ok().filter(|ahead| *ahead > 0);
        return ahead
            .map(ReleaseSelector::Ahead)
            .ok_or_else(|| format!("must have a number after `+`, as in `+3`; not `{text}`"));
    }
    let version = PackageVersion::parse(registry, text).map(ReleaseSelector::Fixed);
    version.map_err(|error| format!("must be `{NEWEST}`, `{SAFE}`, `+3` or a version: {error}"))
}

/// Commands with places in their words.
fn lock(settings: &TypedSettings<'_>, key: &str) -> Result<Vec<Vec<TextTemplate>>, ConfigError> {
    let word = |word: &String| template(settings, key, word, &places::OF_LOCK);
    settings.commands(key)?.iter().map(|command| command.iter().map(word).collect()).collect()
}

/// A text whose places are all known.
fn template(
    settings: &TypedSettings<'_>,
    key: &str,
    text: &str,
    known: &[&str],
) -> Result<TextTemplate, ConfigError> {
    TextTemplate::parse(text, known).map_err(|wrong| bad(settings, key, wrong))
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

/// The project's side of what is mirrored, and its tests.
fn own_side(mirror: &[(String, String)]) -> Vec<String> {
    let own = mirror.iter().map(|(_, ours)| match ours.strip_suffix('/') {
        Some(folder) => format!("{}/**", escape(folder)),
        None => escape(ours),
    });
    own.chain(["tests/**", "test/**"].map(str::to_owned)).collect()
}

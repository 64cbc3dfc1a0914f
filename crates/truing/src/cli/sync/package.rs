//! Finds the job that a command refers to. If no configured job follows the package, a job is derived from
//! the project's files. The derived job has the same configuration lines that `truing sync init` prints.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use truing_config::Config;
use truing_config::layer::SourceFile;
use truing_config::sync::JobConfig;
use truing_core::registry::PackageRegistry;
use truing_core::version::RangeStyle;
use truing_upstream::project_requirement::{self, RequirementError, RequirementPlace};

use super::super::CommandContext;
use super::super::error::CliError;
use super::super::output::shell_quote;
use super::super::review::RepositoryTarget;
use super::super::runtime;
use super::members;
use super::sync_errors::{check_project_folder, is_job_in_current_folder, unknown_job_error};
use crate::wiring;

#[derive(clap::Args, Debug)]
pub(super) struct PackageOptions {
    /// For a package without a job: the registry that publishes the package [default: derived from the
    /// project's files]
    #[arg(long, value_name = "NAME", value_parser = ["pypi", "npm", "crates"])]
    registry: Option<String>,
    /// For a package without a job: the file that requires the package, and the keys of the list in this
    /// file, such as `package.json:devDependencies` [default: the first file that requires the package]
    #[arg(long, value_name = "FILE[:KEYS]")]
    constraint: Option<String>,
    /// For a package without a job: a folder or file of the package and its counterpart in the project, such
    /// as `botocore/=aiobotocore/`
    #[arg(long, value_name = "THEIRS=OURS")]
    mirror: Vec<String>,
}

/// A job and its configuration.
pub(super) struct PackageJob {
    /// Name of the job in the configuration.
    pub(super) name: String,
    /// Configuration of the job.
    pub(super) config: JobConfig,
    /// Lines that configure the job, if it is not configured yet.
    pub(super) config_lines: Option<String>,
}

/// The requested job or package, and the project that follows it.
pub(super) struct PackageSearch<'a> {
    /// Name of a job or a package.
    pub(super) name: &'a str,
    /// Folder of the project.
    pub(super) project: &'a Path,
    /// Manifest path for a job that is not configured; none means the default path.
    pub(super) manifest: Option<String>,
    /// Name of the subcommand that searches for the job; printed in hints.
    pub(super) subcommand: &'static str,
    /// Release that the project was made for, if it was given.
    pub(super) from_release: Option<&'a str>,
    /// The user's options for a package that no job follows.
    pub(super) options: &'a PackageOptions,
}

/// A project file that lists the packages that the project requires.
struct ProjectFile {
    registry: PackageRegistry,
    name: &'static str,
}

/// Files that are searched for the required package, in this order. The file with the most reliable version
/// range is first.
const PROJECT_FILES: [ProjectFile; 6] = [
    ProjectFile { registry: PackageRegistry::Pypi, name: "pyproject.toml" },
    ProjectFile { registry: PackageRegistry::Pypi, name: "setup.cfg" },
    ProjectFile { registry: PackageRegistry::Pypi, name: "requirements.txt" },
    ProjectFile { registry: PackageRegistry::Pypi, name: PIPFILE },
    ProjectFile { registry: PackageRegistry::Npm, name: "package.json" },
    ProjectFile { registry: PackageRegistry::Crates, name: "Cargo.toml" },
];

/// For an unknown package name, a required package is suggested if the similarity of the names (at most 1)
/// exceeds this value.
const MIN_SIMILARITY: f64 = 0.85;
/// Maximum names that are suggested.
const MAX_SUGGESTIONS: usize = 3;

/// Default forge of a job.
const DEFAULT_FORGE: &str = "github";

/// File of Pipenv, which has keys, although its name has no ending.
const PIPFILE: &str = "Pipfile";
/// Key of Pipenv's list of required packages.
const PIPFILE_KEY: &str = "packages";

/// Returns the key under which a file with this name usually lists the required packages.
fn default_list_key(registry: PackageRegistry, file: &str) -> &'static str {
    match registry {
        _ if file.ends_with(PIPFILE) => PIPFILE_KEY,
        _ if !file.ends_with(".toml") && !file.ends_with(".json") => "",
        PackageRegistry::Pypi => "project.dependencies",
        PackageRegistry::Npm | PackageRegistry::Crates => "dependencies",
    }
}

/// The project's file that requires the package, and the key of the list in this file.
#[derive(Clone)]
struct PackageRequirement {
    registry: PackageRegistry,
    file: String,
    key_path: String,
}

impl PackageSearch<'_> {
    /// Returns the command line of another `truing sync` subcommand for the same package, with the options
    /// that the user gave.
    pub(super) fn sibling_command(&self, subcommand: &str) -> String {
        let PackageOptions { registry, constraint, mirror } = self.options;
        let project = self.project.display().to_string();
        let flags = [
            ("--repo", Some(project.as_str()).filter(|project| *project != ".")),
            ("--from", self.from_release),
            ("--registry", registry.as_deref()),
            ("--constraint", constraint.as_deref()),
        ];
        let pairs = mirror.iter().map(|pair| ("--mirror", Some(pair.as_str())));
        flags.into_iter().chain(pairs).fold(
            format!("truing sync {subcommand} {}", shell_quote(self.name)),
            |command_line, flag| {
                let (flag, Some(value)) = flag else { return command_line };
                format!("{command_line} {flag} {}", shell_quote(value))
            },
        )
    }

    /// Returns the path of a separate manifest for the package. A project needs one if the file at the
    /// default path is the manifest of another package.
    pub(super) fn separate_manifest_path(&self) -> PathBuf {
        let file = PathBuf::from(format!("{}.json", job_name(self.name)));
        if self.project == Path::new(".") { file } else { self.project.join(file) }
    }

    /// Finds the job by its name or by its package; otherwise derives a job from the project's files.
    pub(super) fn find_job(&self, config: &Config, context: &CommandContext) -> Result<PackageJob, CliError> {
        let named = config.sync_jobs.get_key_value(self.name);
        let mut following = config.sync_jobs.iter().filter(|(_, job)| job.package == self.name);
        let found = match (named, following.next(), following.next()) {
            (Some(job), ..) | (None, Some(job), None) => Some(job),
            (None, Some((one, _)), Some((other, _))) => {
                let text = format!("`{}` is followed by several jobs, such as {one} and {other}", self.name);
                return Err(CliError::usage("ambiguous", text).hint("specify the job instead of the package"));
            }
            (None, None, _) => None,
        };
        if let Some((name, job)) = found {
            return self.configured_job(name, job);
        }
        if is_job_in_current_folder(self.name, context) {
            return Err(unknown_job_error(self.name, &config.sync_jobs, context));
        }
        check_project_folder(self.project)?;
        let requirement = self.find_requirement(config, context)?;
        self.derive_job(&requirement, config, context)
    }

    fn configured_job(&self, name: &str, job: &JobConfig) -> Result<PackageJob, CliError> {
        let PackageOptions { registry, constraint, mirror } = self.options;
        if registry.is_some() || constraint.is_some() || !mirror.is_empty() {
            let text = "--registry, --constraint and --mirror are for a package that no job follows";
            return Err(
                CliError::usage("configured", text).hint(format!("set these values in [sync.{name}]"))
            );
        }
        Ok(PackageJob { name: name.to_owned(), config: job.clone(), config_lines: None })
    }

    /// Parses the job from the derived lines of configuration.
    fn derive_job(
        &self,
        requirement: &PackageRequirement,
        config: &Config,
        context: &CommandContext,
    ) -> Result<PackageJob, CliError> {
        let name = job_name(self.name);
        let lines = self.config_lines(&name, requirement, config, context)?;
        let folder = context.environment.directory().to_owned();
        let file = SourceFile { name: "the job of the package".to_owned(), folder, text: lines.clone() };
        let mut made = Config::resolve(&context.environment, Some(&file), &[])?;
        let job = made
            .sync_jobs
            .remove(&name)
            .ok_or_else(|| unknown_job_error(self.name, &config.sync_jobs, context))?;
        Ok(PackageJob { name, config: job, config_lines: Some(lines) })
    }

    fn config_lines(
        &self,
        name: &str,
        requirement: &PackageRequirement,
        config: &Config,
        context: &CommandContext,
    ) -> Result<String, CliError> {
        let PackageRequirement { registry, file, key_path } = requirement;
        // TOML and JSON have the same syntax for these strings.
        let text = |value: &str| Value::from(value).to_string();
        let mut lines = format!("[sync.{name}]\nregistry = {}\n", text(registry.as_str()));
        lines += &format!("package = {}\n", text(self.name));
        let is_usual =
            PROJECT_FILES.iter().find(|one| one.registry == *registry).is_some_and(|one| one.name == file);
        if !is_usual {
            lines += &format!("constraint.file = {}\n", text(file));
        }
        // The configuration has no default key for a file without an ending.
        if key_path != default_list_key(*registry, file) || file.ends_with(PIPFILE) {
            lines += &format!("constraint.path = {}\n", text(key_path));
        }
        if let Some(style) = self.range_style(requirement) {
            lines += &format!("constraint.style = {}\n", text(style));
        }
        if let Some(manifest) = &self.manifest {
            lines += &format!("manifest = {}\n", text(manifest));
        }
        if !self.options.mirror.is_empty() {
            let pairs: Vec<String> = self.options.mirror.iter().map(|pair| text(pair)).collect();
            lines += &format!("mirror = [{}]\n", pairs.join(", "));
        }
        let Some(home) = origin_repository(self.project, config, context)? else {
            return Ok(lines + "# repo = \"owner/name\"\n");
        };
        lines += &format!("repo = {}\n", text(&home.repo));
        if home.forge != DEFAULT_FORGE {
            lines += &format!("forge = {}\n", text(&home.forge));
        }
        // An unknown forge gets an empty section, which is enough to configure the forge.
        let is_known = config.forges.contains_key(&home.forge);
        Ok(if is_known { lines } else { format!("[forge.{}]\n\n{lines}", home.forge) })
    }

    /// Returns the style of the project's version range, or none for the registry's default style.
    fn range_style(&self, requirement: &PackageRequirement) -> Option<&'static str> {
        let file = self.project.join(&requirement.file);
        let place = requirement.requirement_place(&file, self.name);
        let style = project_requirement::read_requirement(&place).ok()?.range.style();
        style.map(RangeStyle::as_str)
    }

    /// Returns the project's file and list that require the package. Returns an error if more than one file
    /// or list requires the package.
    fn find_requirement(
        &self,
        config: &Config,
        context: &CommandContext,
    ) -> Result<PackageRequirement, CliError> {
        let PackageOptions { registry, constraint, .. } = self.options;
        let registry = registry
            .as_deref()
            .and_then(|name| PackageRegistry::ALL.into_iter().find(|one| one.as_str() == name));
        if let Some(constraint) = constraint {
            let (file, key_path) = constraint
                .split_once(':')
                .map_or((constraint.as_str(), None), |(file, key_path)| (file, Some(key_path)));
            let of_name = PROJECT_FILES.iter().find(|one| file.ends_with(one.name)).map(|one| one.registry);
            let registry = registry.or(of_name).unwrap_or(PackageRegistry::Pypi);
            let key_path = key_path.unwrap_or_else(|| default_list_key(registry, file)).to_owned();
            if !self.project.join(file).is_file() {
                let text = format!("--constraint: there is no file {file} in {}", self.project.display());
                return Err(CliError::usage("constraint", text).hint(
                    "specify the file that requires the package, relative to the project's folder: \
                        --constraint FILE[:KEYS]",
                ));
            }
            return Ok(PackageRequirement { registry, file: file.to_owned(), key_path });
        }
        let files: Vec<&ProjectFile> = PROJECT_FILES
            .iter()
            .filter(|file| registry.is_none_or(|registry| registry == file.registry))
            .filter(|file| self.project.join(file.name).exists())
            .collect();
        let mut found: Vec<PackageRequirement> = Vec::new();
        for file in &files {
            // For each registry, only the first file that requires the package is used.
            if found.iter().all(|known| known.registry != file.registry) {
                found.extend(self.find_requirements_in(file.registry, file.name)?);
                // If the workspace's `Cargo.toml` does not require the crate, the `Cargo.toml` files of the
                // members are searched.
                if file.registry == PackageRegistry::Crates
                    && found.iter().all(|known| known.registry != file.registry)
                {
                    for member in members::member_files(self.project) {
                        found.extend(self.find_requirements_in(file.registry, &member)?);
                    }
                }
            }
        }
        match found.as_slice() {
            [] => self.handle_unrequired_package(registry, &files, config, context),
            [one] => Ok(one.clone()),
            [first, others @ ..] => {
                let places =
                    found.iter().map(PackageRequirement::constraint_text).collect::<Vec<_>>().join(" and ");
                let error = CliError::usage("ambiguous", format!("`{}` is required by {places}", self.name));
                let other = others.iter().find(|one| one.registry != first.registry);
                Err(match other {
                    Some(_) => {
                        error.hint(format!("specify the registry: --registry {}", first.registry.as_str()))
                    }
                    None => error.hint(format!(
                        "specify the requirement to use: --constraint {}",
                        shell_quote(&first.constraint_text())
                    )),
                })
            }
        }
    }

    /// Returns the lists in a file that require the package.
    fn find_requirements_in(
        &self,
        registry: PackageRegistry,
        file: &str,
    ) -> Result<Vec<PackageRequirement>, CliError> {
        let key_path = default_list_key(registry, file);
        let usual = PackageRequirement { registry, file: file.to_owned(), key_path: key_path.to_owned() };
        let path = self.project.join(file);
        let place = usual.requirement_place(&path, self.name);
        let others = || {
            let paths = project_requirement::requiring_key_paths(&place).into_iter();
            paths.map(|key_path| PackageRequirement { key_path, ..usual.clone() }).collect()
        };
        match project_requirement::read_requirement(&place) {
            Ok(_) => Ok(vec![usual]),
            // The version of this crate is inherited from the workspace.
            Err(RequirementError::NotUnderstood { .. })
                if project_requirement::inherits_workspace_version(&place) =>
            {
                Ok(others())
            }
            // A requirement that is not understood is no error at this point. The decision asks about it.
            Err(RequirementError::NotUnderstood { .. }) => Ok(vec![usual]),
            Err(RequirementError::NotExactlyOneRequirement { count: 0, .. }) if key_path.is_empty() => {
                Ok(Vec::new())
            }
            Err(RequirementError::NotExactlyOneRequirement { count: 0, .. }) => Ok(others()),
            Err(RequirementError::NotExactlyOneRequirement { .. }) => Ok(vec![usual]),
            Err(error @ (RequirementError::Unreadable { .. } | RequirementError::Malformed { .. })) => {
                Err(CliError::usage("constraint", error.to_string()))
            }
        }
    }

    /// Handles a package that no file requires, such as a dependency of another package. Without `--from`,
    /// returns an error. With `--from`, the user names the release that the project uses, so no version range
    /// is needed.
    fn handle_unrequired_package(
        &self,
        registry: Option<PackageRegistry>,
        files: &[&ProjectFile],
        config: &Config,
        context: &CommandContext,
    ) -> Result<PackageRequirement, CliError> {
        let mut registries: Vec<PackageRegistry> =
            files.iter().map(|file| file.registry).chain(registry).collect();
        registries.dedup();
        // A file that names the package in a way that is not understood must not be passed over.
        let is_named = files.iter().any(|file| {
            let path = self.project.join(file.name);
            project_requirement::required_packages(&path, file.registry)
                .iter()
                .any(|name| name.eq_ignore_ascii_case(self.name))
        });
        if let ([registry], true, false) = (registries.as_slice(), self.from_release.is_some(), is_named) {
            let usual =
                PROJECT_FILES.iter().find(|file| file.registry == *registry).map_or("", |file| file.name);
            let key_path = default_list_key(*registry, usual).to_owned();
            return Ok(PackageRequirement { registry: *registry, file: usual.to_owned(), key_path });
        }
        let mut error = unknown_job_error(self.name, &config.sync_jobs, context);
        let names: Vec<&str> = files.iter().map(|file| file.name).collect();
        error.message += &match names.as_slice() {
            [] => format!(", and no file in {} that requires packages", self.project.display()),
            names => format!(", and {} does not require such a package", names.join(" or ")),
        };
        let near = self.similar_packages(files);
        if !near.is_empty() {
            error = error.hint(format!("did you mean {}?", near.join(" or ")));
        }
        let mut brought = self.sibling_command(self.subcommand);
        if registries.len() != 1 {
            brought += " --registry NAME";
        }
        if self.from_release.is_none() {
            brought += " --from V";
        }
        Err(error.hint("if another file requires the package: use --constraint FILE[:KEYS]").hint(format!(
            "if the package is a dependency of another package, specify the release to compare with: \
                `{brought}`"
        )))
    }

    /// Returns the required packages whose names are similar to the requested name, the most similar first.
    fn similar_packages(&self, files: &[&ProjectFile]) -> Vec<String> {
        let mut names = BTreeSet::new();
        for file in files {
            names
                .extend(project_requirement::required_packages(&self.project.join(file.name), file.registry));
            if file.registry == PackageRegistry::Crates {
                let members = members::member_files(self.project);
                let each = members.iter().map(|member| self.project.join(member));
                names.extend(
                    each.flat_map(|member| project_requirement::required_packages(&member, file.registry)),
                );
            }
        }
        let likeness = |name: &String| strsim::jaro_winkler(&name.to_lowercase(), &self.name.to_lowercase());
        let mut near: Vec<(f64, String)> = names
            .into_iter()
            .map(|name| (likeness(&name), name))
            .filter(|(likeness, _)| *likeness > MIN_SIMILARITY)
            .collect();
        near.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        near.into_iter().take(MAX_SUGGESTIONS).map(|(_, name)| format!("`{name}`")).collect()
    }
}

impl PackageRequirement {
    fn requirement_place<'a>(&'a self, file: &'a Path, package: &'a str) -> RequirementPlace<'a> {
        let style = RangeStyle::ExclusiveUpperNextPatch;
        RequirementPlace { file, key_path: &self.key_path, package, registry: self.registry, style }
    }

    /// Returns the requirement as a value of `--constraint`: the file and the keys of the list.
    fn constraint_text(&self) -> String {
        if self.key_path.is_empty() { self.file.clone() } else { format!("{}:{}", self.file, self.key_path) }
    }
}

/// Derives a job's name from a package's name: `@scope/pack_age` becomes `scope-pack-age`.
fn job_name(package: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    let name: String = package.chars().map(plain).collect();
    let name = name.split('-').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-");
    if name.starts_with(|letter: char| letter.is_ascii_lowercase()) { name } else { format!("job-{name}") }
}

/// Returns the forge and the repository of the project's git remote. Returns none if there is no remote, or
/// if the remote's forge is unknown.
fn origin_repository(
    project: &Path,
    config: &Config,
    context: &CommandContext,
) -> Result<Option<RepositoryTarget>, CliError> {
    let environment = &context.environment;
    let find = async {
        let git = wiring::open_git(environment).await.ok()?;
        let repository = git.open_without_commits(&environment.directory().join(project)).await.ok()?;
        let home = RepositoryTarget::from_remote(repository.origin_url()?, config, environment)?;
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
        home.repo.chars().all(is_plain).then_some(home)
    };
    Ok(runtime::start()?.block_on(find))
}

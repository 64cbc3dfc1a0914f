//! Loads the policies of agents: the built-in policies, and the policy files in the operator's folder.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use truing_config::Config;
use truing_core::policy::{AgentPolicy, PolicyFile, PolicyFileError, PolicySet, ProfileName};

use crate::cli::error::CliError;

/// Error code of invalid policy files.
pub const BAD_POLICY_CODE: &str = "bad_policy";

/// Maximum bytes of a policy file.
const MAX_FILE_BYTES: u64 = 256 << 10;
/// Maximum number of policy files in the operator's folder.
const MAX_FILES: usize = 200;
/// Folders with policy files, relative to the operator's folder; the empty name is the operator's folder
/// itself.
const POLICY_FOLDERS: [&str; 3] = ["", "profiles", "grammar"];

/// Returns the policies of all profiles.
///
/// # Errors
/// Returns exit 2 for a folder that cannot be read, or for invalid files in the folder. Each problem is a
/// separate error.
pub fn load_policies(config: &Config) -> Result<PolicySet, CliError> {
    let files = config.policy.dir.as_deref().map(read_policy_files).transpose()?.unwrap_or_default();
    let policies = PolicySet::new(&files).map_err(|problems| policy_error(&problems))?;
    for note in policies.notes() {
        tracing::warn!("{note}");
    }
    Ok(policies)
}

/// Returns the policy of a profile. The policies of the profiles `Fixer` and `Sync` also allow the configured
/// commands.
///
/// # Errors
/// Returns the same errors as [`load_policies`].
pub fn profile_policy(config: &Config, profile: ProfileName) -> Result<Arc<AgentPolicy>, CliError> {
    match profile {
        ProfileName::Fixer => fixer_policy(config),
        ProfileName::Sync => port_policy(config),
        ProfileName::Reviewer | ProfileName::Auditor => {
            Ok(Arc::clone(load_policies(config)?.policy_for(profile)))
        }
    }
}

/// Returns the policy of fixers. This policy allows the exact commands of the gate and of the checks.
///
/// # Errors
/// Returns the same errors as [`load_policies`].
pub fn fixer_policy(config: &Config) -> Result<Arc<AgentPolicy>, CliError> {
    let gate = config.converge.gate.iter().map(|words| ("converge.gate".to_owned(), words.clone()));
    let exact = check_commands(config).chain(gate).collect();
    Ok(Arc::new(load_policies(config)?.policy_for(ProfileName::Fixer).with_exact_commands(exact)))
}

/// Returns the policy of models that port code. This policy allows the exact commands of the checks.
///
/// # Errors
/// Returns the same errors as [`load_policies`].
pub fn port_policy(config: &Config) -> Result<Arc<AgentPolicy>, CliError> {
    Ok(Arc::new(
        load_policies(config)?
            .policy_for(ProfileName::Sync)
            .with_exact_commands(check_commands(config).collect()),
    ))
}

fn check_commands(config: &Config) -> impl Iterator<Item = (String, Vec<String>)> {
    config.verify.check_commands.iter().map(|words| ("verify.check".to_owned(), words.clone()))
}

fn policy_error(problems: &[PolicyFileError]) -> CliError {
    let mut errors = problems.iter().map(|problem| CliError::usage(BAD_POLICY_CODE, problem.to_string()));
    let first =
        errors.next().unwrap_or_else(|| CliError::usage(BAD_POLICY_CODE, "the policy cannot be read"));
    let hint = "check the files in the folder `policy.dir`; `truing policy show` prints the built-in files";
    CliError { other_errors: errors.collect(), ..first }.hint(hint)
}

/// Reads the files of a policy's folder, sorted by name. `README.md` and hidden files are skipped.
fn read_policy_files(folder: &Path) -> Result<Vec<PolicyFile>, CliError> {
    let unreadable = |path: &Path, reason: &dyn std::fmt::Display| {
        CliError::usage("policy_folder", format!("policy.dir: {} cannot be read: {reason}", path.display()))
            .hint(
                "set `policy.dir` to a folder with `profiles/`, `grammar/` or `never.toml`; `truing policy \
                    show` prints examples of such files",
            )
    };
    let mut files = Vec::new();
    for below in POLICY_FOLDERS {
        let path = folder.join(below);
        let entries = match std::fs::read_dir(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !below.is_empty() => continue,
            entries => entries.map_err(|error| unreadable(&path, &error))?,
        };
        for entry in entries {
            let path = entry.map_err(|error| unreadable(&path, &error))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                return Err(unreadable(&path, &"its name is not UTF-8"));
            };
            let is_known_folder = below.is_empty() && POLICY_FOLDERS.contains(&name) && path.is_dir();
            if name.starts_with('.') || name == "README.md" || is_known_folder {
                continue;
            }
            if files.len() == MAX_FILES {
                return Err(unreadable(folder, &format!("it has more than {MAX_FILES} files")));
            }
            let name = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
            let text = read_text(&path).map_err(|error| unreadable(&path, &error))?;
            files.push(PolicyFile { name, display_path: path.display().to_string(), text });
        }
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

fn read_text(path: &Path) -> std::io::Result<String> {
    // Only regular files are read, because reading a pipe may never end.
    if !path.metadata()?.is_file() {
        return Err(std::io::Error::other("it is not a file"));
    }
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(std::io::Error::other(format!("it is longer than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}

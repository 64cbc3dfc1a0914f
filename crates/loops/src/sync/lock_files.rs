//! Lock files that record a project's requirement. A package manager refuses a lock file that differs from
//! the requirement, so both change together.

use std::path::{Path, PathBuf};

use truing_config::sync::JobConfig;

/// Names of a file of requirements, and of the lock files that record these requirements. Cargo's lock file
/// records no ranges, so it stays valid if a range is widened.
const LOCK_FILES: [(&str, &[&str]); 3] = [
    (
        "package.json",
        &["package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock"],
    ),
    ("pyproject.toml", &["uv.lock", "poetry.lock", "pdm.lock"]),
    ("Pipfile", &["Pipfile.lock"]),
];

/// The largest lock file that is searched, in bytes.
const MAX_LOCK_FILE_BYTES: u64 = 64 << 20;

/// Returns the lock file that a wider range makes outdated, and that no lock command of the job updates: a
/// path relative to the project.
pub(super) fn outdated_lock_file(project: &Path, job: &JobConfig) -> Option<PathBuf> {
    if !job.lock_commands.is_empty() {
        return None;
    }
    let constraint_file = Path::new(&job.constraint_file);
    let name = constraint_file.file_name()?;
    let (_, lock_files) = LOCK_FILES.iter().find(|(requirements, _)| name == *requirements)?;
    let folders = constraint_file.ancestors().skip(1);
    let paths = folders.flat_map(|folder| lock_files.iter().map(move |lock_file| folder.join(lock_file)));
    paths.into_iter().find(|path| locks_package(&project.join(path), &job.package))
}

fn locks_package(path: &Path, package: &str) -> bool {
    let is_plain =
        path.symlink_metadata().is_ok_and(|found| found.is_file() && found.len() <= MAX_LOCK_FILE_BYTES);
    is_plain && std::fs::read_to_string(path).is_ok_and(|text| text.contains(package))
}

//! Determines why a linter cannot run: the change touches the linter's configuration code, a dependency is
//! missing, or the linter's version is too old. Also determines the command that installs the missing
//! dependencies or the program.

use std::path::Path;

use truing_agent::verify::{CommandOutput, SetupResult, Verifier};

use super::linter_output::NOT_FETCHED_REASON;
use super::linter_runner::{LinterFiles, LinterRunMethod, LinterRunner};
use super::select::SelectedLinter;

/// Each row has a folder of installed programs, a lock file, and the command that installs the locked
/// programs. The first row whose lock file exists determines the command.
const LOCKFILE_INSTALL_COMMANDS: &[(&str, &str, &str)] = &[
    ("node_modules/", "package-lock.json", "npm ci"),
    ("node_modules/", "npm-shrinkwrap.json", "npm ci"),
    ("node_modules/", "pnpm-lock.yaml", "pnpm install --frozen-lockfile"),
    ("node_modules/", "yarn.lock", "yarn install --frozen-lockfile"),
    ("node_modules/", "bun.lock", "bun install --frozen-lockfile"),
    ("node_modules/", "bun.lockb", "bun install --frozen-lockfile"),
    (".venv/", "uv.lock", "uv sync"),
    (".venv/", "poetry.lock", "poetry install"),
    (".venv/", "pdm.lock", "pdm sync"),
    ("vendor/", "composer.lock", "composer install"),
];
/// The row for projects without a lock file. This row is used only if no lock file is in the linter's folder
/// or in a parent folder.
const MANIFEST_INSTALL_COMMANDS: &[(&str, &str, &str)] = &[("node_modules/", "package.json", "npm install")];
/// For Python projects without a lock file: a file of the project, and the pip arguments that install the
/// project's dependencies with the linter.
const PIP_INSTALL_ARGUMENTS: &[(&str, &str)] =
    &[("requirements.txt", "-r requirements.txt "), ("pyproject.toml", "-e . "), ("setup.py", "-e . ")];
/// The folder of a Python virtual environment in which programs are installed.
const VENV_PROGRAMS_FOLDER: &str = ".venv/bin/";
/// The lock file of projects that use uv, and the beginning of uv's commands for installing a tool.
const UV_LOCKFILE_AND_COMMAND: (&str, &str) = ("uv.lock", "uv tool install ");
/// The command that installs Rust with rustup, Cargo and Clippy.
const RUST_INSTALL_COMMAND: &str = "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh";

impl LinterRunner {
    /// Returns the path of a changed file that contains code and configures the linter. `None` if the change
    /// comes from the user, because then this code may run.
    pub(super) fn changed_configuration_code<'a>(
        &self,
        tool: &SelectedLinter,
        files: LinterFiles<'a>,
    ) -> Option<&'a str> {
        let mut touched = files.changed_paths.iter().filter_map(|path| path.as_str());
        let is_code = self.is_foreign_code && tool.is_configured_by_code();
        touched.find(|path| is_code && tool.is_configured_by(path))
    }

    /// True if the linter could run, but cannot run on this change: the change touches its configuration,
    /// which is code, or what the configured set-up of the project's dependencies installs, or the set-up
    /// failed. A review without this linter is incomplete.
    pub(super) fn is_disabled_by_change(
        &self,
        tool: &SelectedLinter,
        files: LinterFiles<'_>,
        setup_result: Option<&Result<(&Verifier, SetupResult), String>>,
    ) -> bool {
        if tool.is_guessed {
            return false;
        }
        if tool.needs_setup() && self.is_foreign_code {
            return tool.folder.is_empty() && setup_result.is_some();
        }
        let is_installed =
            || self.find_installed_program(tool, files.pin_folder, files.project_programs_folder).is_some();
        self.changed_configuration_code(tool, files).is_some() && is_installed()
    }

    /// After a program failed, checks whether dependencies are missing on this machine or the program's
    /// version is too old, and describes the problem. The caller then treats the linter as not installed
    /// instead of failed.
    pub(super) async fn missing_requirement(
        &self,
        tool: &SelectedLinter,
        method: &LinterRunMethod<'_>,
        files: LinterFiles<'_>,
        command_output: &CommandOutput,
    ) -> Option<String> {
        // For another person's change, missing dependencies are not reported here: the change may require
        // dependencies that do not exist.
        if let Some(fetch) = tool.fetch_command()
            && !self.is_foreign_code
            && tool.reports_unfetched_files(&command_output.stderr)
        {
            return Some(format!("{NOT_FETCHED_REASON}: run `{fetch}`"));
        }
        let known = tool.known_tool().filter(|known| known.program == tool.program)?;
        let oldest = known.oldest.as_deref()?;
        let version = self.printed_text(tool, method, &known.version, files).await?;
        let version_text = find_version(&version)?;
        (version_numbers(version_text) < version_numbers(oldest))
            .then(|| format!("{} {version_text} is older than {oldest}, which Truing needs", tool.name))
    }
}

/// Returns the first word of a text that begins with a digit, or with a `v` and a digit. The `v` is left out.
pub(super) fn find_version(text: &str) -> Option<&str> {
    let mut words = text.split_whitespace().map(|word| word.strip_prefix('v').unwrap_or(word));
    words.find(|word| word.starts_with(|digit: char| digit.is_ascii_digit()))
}

/// Returns the numbers at the beginning of a version, such as `[1, 2]` for `1.2.rc1`.
pub(super) fn version_numbers(version: &str) -> Vec<u64> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

/// For a linter that must be installed with the project's dependencies, returns the reason why it did not
/// run. The reason includes the command that installs the dependencies. `folder` is the linter's folder,
/// relative to the project. `program_paths` are the paths at which the linter's program may be installed,
/// relative to `folder`.
pub(super) fn not_installed_reason(project: &Path, folder: &str, program_paths: &[String]) -> String {
    let folders: Vec<_> = Path::new(folder).ancestors().map(|folder| project.join(folder)).collect();
    let first = |installs: &'static [(&str, &str, &str)]| {
        let all = folders.iter().flat_map(|folder| installs.iter().map(move |install| (folder, install)));
        let mut there = all.filter(|(folder, (_, file, _))| folder.join(file).is_file());
        there.find_map(|(_, (inside, _, command))| {
            Some((program_paths.iter().find(|place| place.starts_with(inside))?, *command))
        })
    };
    let found = first(LOCKFILE_INSTALL_COMMANDS).or_else(|| first(MANIFEST_INSTALL_COMMANDS));
    let in_environment =
        || program_paths.iter().find_map(|place| Some((place, place.strip_prefix(VENV_PROGRAMS_FOLDER)?)));
    let (place, run) = match (found, in_environment()) {
        (Some((place, command)), _) => (Some(place), format!(": run `{command}`")),
        (None, Some((place, program))) => {
            let needs = PIP_INSTALL_ARGUMENTS
                .iter()
                .find(|(file, _)| folders.iter().any(|folder| folder.join(file).is_file()));
            let needs = needs.map_or("", |(_, needs)| needs);
            let pip = format!("{VENV_PROGRAMS_FOLDER}pip install {needs}{program}");
            (Some(place), format!(": run `python3 -m venv .venv && {pip}`"))
        }
        (None, None) => (program_paths.first(), String::new()),
    };
    let place = place.map(String::as_str).unwrap_or_default();
    format!(
        "it needs the project's dependencies, but is not installed together with the dependencies \
        (`{place}`){run}"
    )
}

/// Returns the command that installs a program on this user's machine. If the project does not use uv, the
/// command uses pipx instead of uv. If rustup is missing, the command installs Rust.
pub(super) fn install_command(command: &str, project: &Path, has_rustup: bool) -> String {
    match command.strip_prefix(UV_LOCKFILE_AND_COMMAND.1) {
        Some(package) if !project.join(UV_LOCKFILE_AND_COMMAND.0).is_file() => {
            format!("pipx install {package}")
        }
        None if command.starts_with("rustup ") && !has_rustup => RUST_INSTALL_COMMAND.to_owned(),
        Some(_) | None => command.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_says_what_to_run() {
        let project = tempfile::tempdir().unwrap();
        let told = |places: &[&str]| {
            let places: Vec<String> = places.iter().map(|place| (*place).to_owned()).collect();
            not_installed_reason(project.path(), "packages/a", &places)
        };
        let make = |file: &str| {
            std::fs::create_dir_all(project.path().join(file).parent().unwrap()).unwrap();
            std::fs::write(project.path().join(file), "").unwrap();
        };
        let tsc = ["node_modules/.bin/tsc"];
        assert!(told(&tsc).ends_with("(`node_modules/.bin/tsc`)"));
        make("package.json");
        assert!(told(&tsc).ends_with(": run `npm install`"));
        make("packages/a/package.json");
        make("pnpm-lock.yaml");
        assert!(told(&tsc).ends_with(": run `pnpm install --frozen-lockfile`"), "of a folder above");
        make("packages/a/package-lock.json");
        assert!(told(&tsc).ends_with(": run `npm ci`"), "of the nearest folder");
        let mypy = [".venv/bin/mypy"];
        let run = "(`.venv/bin/mypy`): run `python3 -m venv .venv && .venv/bin/pip install";
        assert!(told(&mypy).ends_with(&format!("{run} mypy`")), "{}", told(&mypy));
        make("pyproject.toml");
        assert!(told(&mypy).ends_with(&format!("{run} -e . mypy`")), "{}", told(&mypy));
        make("uv.lock");
        assert!(told(&mypy).ends_with(": run `uv sync`"));
    }

    #[test]
    fn a_program_is_installed_by_what_the_project_and_the_machine_use() {
        let project = tempfile::tempdir().unwrap();
        let told = |command: &str, has_rustup| install_command(command, project.path(), has_rustup);
        assert_eq!(told("uv tool install ruff", true), "pipx install ruff");
        assert_eq!(told("npm install --global oxlint", false), "npm install --global oxlint");
        assert_eq!(told("rustup component add clippy", true), "rustup component add clippy");
        assert_eq!(told("rustup component add clippy", false), RUST_INSTALL_COMMAND);
        std::fs::write(project.path().join("uv.lock"), "").unwrap();
        assert_eq!(told("uv tool install ruff", true), "uv tool install ruff");
    }

    #[test]
    fn a_program_that_several_managers_install_is_installed_by_the_one_of_the_lock_file() {
        let project = tempfile::tempdir().unwrap();
        let places = ["node_modules/.bin/pyright".to_owned(), ".venv/bin/pyright".to_owned()];
        for file in ["package.json", "uv.lock"] {
            std::fs::write(project.path().join(file), "").unwrap();
        }
        let told = not_installed_reason(project.path(), "", &places);
        assert!(told.ends_with("(`.venv/bin/pyright`): run `uv sync`"), "{told}");
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        let is_old =
            |told: &str, oldest: &str| version_numbers(find_version(told).unwrap()) < version_numbers(oldest);
        assert!(is_old("Version: 1.9.0\n", "1.60"));
        assert!(is_old("mypy 1.10.0 (compiled: yes)\n", "1.11"));
        assert!(is_old("pylint 2.17.7\nastroid 2.15.8\n", "3"));
        assert!(!is_old("Version: 1.60.0\n", "1.60"));
        assert!(!is_old("3.0.0-beta\n", "3"));
        assert_eq!(find_version("v9.39.5\n"), Some("9.39.5"));
        assert_eq!(find_version("none\n"), None);
    }
}

//! Linters that belong to a project's dependencies: how they run where these are set up, and what a person runs where they are not.

use std::path::Path;

use truing_agent::verify::{SetUp, Verifier};

use super::running::{Files, Running};
use super::select::Selected;

/// Of programs in the folder, which file of the project says that this command installs them; the first file that is there counts.
const INSTALLS: &[(&str, &str, &str)] = &[
    ("node_modules/", "package-lock.json", "npm ci"),
    ("node_modules/", "npm-shrinkwrap.json", "npm ci"),
    ("node_modules/", "pnpm-lock.yaml", "pnpm install --frozen-lockfile"),
    ("node_modules/", "yarn.lock", "yarn install --frozen-lockfile"),
    ("node_modules/", "bun.lock", "bun install --frozen-lockfile"),
    ("node_modules/", "bun.lockb", "bun install --frozen-lockfile"),
    ("node_modules/", "package.json", "npm install"),
    (".venv/", "uv.lock", "uv sync"),
    (".venv/", "poetry.lock", "poetry install"),
    (".venv/", "pdm.lock", "pdm sync"),
    ("vendor/", "composer.lock", "composer install"),
];

impl Running {
    /// The code of a change that a service reviews which configures a linter.
    pub(super) fn code_that_configures<'a>(&self, tool: &Selected, files: Files<'a>) -> Option<&'a str> {
        let mut touched = files.touched.iter().filter_map(|path| path.as_str());
        let is_code = self.is_served && tool.code_configuration();
        touched.find(|path| is_code && tool.is_configured_by(path))
    }

    /// Would it look, were it not for code of the change that configures it? Then the review is not whole.
    pub(super) fn is_silenced(
        &self,
        tool: &Selected,
        files: Files<'_>,
        set_up: Option<&Result<(&Verifier, SetUp), String>>,
    ) -> bool {
        let would_look = || match tool.needs_setup() {
            true => matches!(set_up, Some(Ok(_))),
            false => self.installed(tool, files.pins, files.project).is_some(),
        };
        !tool.is_guessed && self.code_that_configures(tool, files).is_some() && would_look()
    }
}

/// The reason for which a linter that belongs to the project's dependencies did not look, with the command that installs them.
/// `place`: its program, from the folder of the project on.
pub(super) fn not_installed(project: &Path, place: &str) -> String {
    let is_there = |file: &str| project.join(file).is_file();
    let command = INSTALLS.iter().find(|(folder, file, _)| place.starts_with(folder) && is_there(file));
    let run = command.map(|(_, _, command)| format!(": run `{command}`")).unwrap_or_default();
    format!("it needs the project's dependencies, and is not installed with them (`{place}`){run}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_says_what_to_run() {
        let project = tempfile::tempdir().unwrap();
        let told = |place: &str| not_installed(project.path(), place);
        let make = |file: &str| std::fs::write(project.path().join(file), "").unwrap();
        assert!(told("node_modules/.bin/tsc").ends_with("(`node_modules/.bin/tsc`)"));
        make("package.json");
        assert!(told("node_modules/.bin/tsc").ends_with(": run `npm install`"));
        make("pnpm-lock.yaml");
        assert!(told("node_modules/.bin/tsc").ends_with(": run `pnpm install --frozen-lockfile`"));
        assert!(told(".venv/bin/mypy").ends_with("(`.venv/bin/mypy`)"));
        make("uv.lock");
        assert!(told(".venv/bin/mypy").ends_with(": run `uv sync`"));
    }
}

//! Finds the version of a tool that a repository pins: in the revision of a hook, in a command, in a lock
//! file or in a list of requirements.

use serde_json::Value;
use truing_core::port::PinnedVersion;

use super::hooks::{PRE_COMMIT_CONFIG_FILES, PreCommitHooks, package_name};
use super::script::RunCommand;
use super::sign::{parse_toml, strip_json_comments};
use super::tool::KnownTool;
use super::version::exact_version;

/// Files that pin versions, each with its form. Files that pin exact versions of all packages come first.
const PIN_FILES: &[(&str, PinForm)] = &[
    ("uv.lock", PinForm::PackageTables),
    ("poetry.lock", PinForm::PackageTables),
    ("pdm.lock", PinForm::PackageTables),
    ("Pipfile.lock", PinForm::PipfileLock),
    ("package-lock.json", PinForm::NpmLock),
    ("npm-shrinkwrap.json", PinForm::NpmLock),
    ("pnpm-lock.yaml", PinForm::PnpmLock),
    ("yarn.lock", PinForm::YarnLock),
    ("Gemfile.lock", PinForm::GemLock),
    ("constraints.txt", PinForm::Requirements),
    ("requirements.txt", PinForm::Requirements),
    ("requirements-dev.txt", PinForm::Requirements),
    ("requirements_dev.txt", PinForm::Requirements),
    ("requirements-lint.txt", PinForm::Requirements),
    ("requirements-test.txt", PinForm::Requirements),
    ("dev-requirements.txt", PinForm::Requirements),
    ("requirements/constraints.txt", PinForm::Requirements),
    ("requirements/dev.txt", PinForm::Requirements),
    ("requirements/lint.txt", PinForm::Requirements),
    ("requirements/test.txt", PinForm::Requirements),
    ("requirements/tests.txt", PinForm::Requirements),
    ("tox.ini", PinForm::Requirements),
    ("pyproject.toml", PinForm::Project),
    ("package.json", PinForm::Package),
];
/// Maximum number of lines between the name and the version of a package in a lock file.
const MAX_LINES_TO_VERSION: usize = 5;

/// The form of a file that pins versions.
#[derive(Clone, Copy, Debug)]
enum PinForm {
    /// TOML with a table for each package.
    PackageTables,
    PipfileLock,
    NpmLock,
    PnpmLock,
    YarnLock,
    GemLock,
    /// A requirement for each line.
    Requirements,
    /// TOML in which any text may be a requirement.
    Project,
    /// `package.json`, with exact versions.
    Package,
}

/// Returns true if a file with this path may pin the version of a tool.
pub fn is_pin_file(path: &str) -> bool {
    PRE_COMMIT_CONFIG_FILES.contains(&path) || PIN_FILES.iter().any(|(file, _)| *file == path)
}

/// The files of a repository that pin versions.
pub struct PinFiles {
    files: Vec<PinFile>,
}

/// The text of a file that pins versions.
struct PinFile {
    path: &'static str,
    form: PinForm,
    text: String,
}

impl PinFiles {
    /// Reads the files that may pin versions.
    pub fn read(read_file: &dyn Fn(&str) -> Option<Vec<u8>>) -> Self {
        let files = PIN_FILES.iter().filter_map(|(path, form)| {
            let text = String::from_utf8_lossy(&read_file(path)?).into_owned();
            Some(PinFile { path, form: *form, text })
        });
        Self { files: files.collect() }
    }

    /// Returns the version of the tool that the repository pins. A hook of `hooks_file`, or a command that
    /// runs the tool with a version, takes precedence over the files.
    pub fn find_version(
        &self,
        tool: &KnownTool,
        hooks: Option<&PreCommitHooks>,
        hooks_file: Option<&str>,
        runs: &[&RunCommand],
    ) -> Option<PinnedVersion> {
        let of_hook = hooks.and_then(|hooks| {
            Some(PinnedVersion { version: hooks.pinned_version(tool)?, file: hooks_file?.to_owned() })
        });
        let of_command = || {
            let mut versions =
                runs.iter().filter_map(|run| Some((exact_version(run.version.as_deref()?)?, run)));
            versions.next().map(|(version, run)| PinnedVersion { version, file: run.file.clone() })
        };
        let of_file = || {
            self.files.iter().find_map(|PinFile { path, form, text }| {
                let packages = tool.package_names();
                let version = packages.iter().find_map(|package| form.find_version(text, package))?;
                Some(PinnedVersion { version, file: (*path).to_owned() })
            })
        };
        of_hook.or_else(of_command).or_else(of_file)
    }
}

impl PinForm {
    /// Returns the exact version of a package.
    fn find_version(self, text: &str, package: &str) -> Option<String> {
        // Names of Python packages in requirements may have other letters and signs.
        if !matches!(self, Self::Requirements | Self::Project) && !text.contains(package) {
            return None;
        }
        let version = match self {
            Self::PackageTables => {
                let name = format!("name = \"{package}\"");
                version_after(text, |line| line == name, |line| line.strip_prefix("version = "))
            }
            Self::PipfileLock => {
                let lock: Value = serde_json::from_str(text).ok()?;
                let mut tables =
                    ["develop", "default"].iter().filter_map(|table| lock.get(table)?.get(package));
                tables.find_map(|entry| {
                    Some(entry.get("version")?.as_str()?.trim_start_matches('=').to_owned())
                })
            }
            Self::NpmLock => {
                let lock: Value = serde_json::from_str(text).ok()?;
                let installed =
                    lock.get("packages").and_then(|all| all.get(format!("node_modules/{package}")));
                let entry = installed.or_else(|| lock.get("dependencies")?.get(package))?;
                entry.get("version")?.as_str().map(str::to_owned)
            }
            Self::PnpmLock => {
                let starts = [format!("{package}@"), format!("/{package}@"), format!("/{package}/")];
                let mut keys = text.lines().map(|line| line.trim().trim_matches(['\'', '"', ':']));
                keys.find_map(|key| {
                    let rest = starts.iter().find_map(|start| key.strip_prefix(start.as_str()))?;
                    let version = rest.split(['(', '\'', ':', '_']).next().unwrap_or_default();
                    exact_version(version)
                })
            }
            Self::YarnLock => {
                let starts = [format!("{package}@"), format!("\"{package}@")];
                let is_entry = |line: &str| starts.iter().any(|start| line.starts_with(start.as_str()));
                version_after(text, is_entry, |line| {
                    line.trim_start().strip_prefix("version").map(|rest| rest.trim_start_matches([':', ' ']))
                })
            }
            Self::GemLock => {
                let start = format!("    {package} (");
                let mut entries = text.lines().filter_map(|line| line.strip_prefix(start.as_str()));
                entries.find_map(|rest| exact_version(rest.trim_end_matches(')')))
            }
            Self::Requirements => text.lines().find_map(|line| required_version(line, package)),
            Self::Project => {
                let table = parse_toml(text).ok()?;
                find_in_project(&toml::Value::Table(table), package, 12)
            }
            Self::Package => {
                let described: Value = serde_json::from_str(&strip_json_comments(text)).ok()?;
                let mut tables = ["devDependencies", "dependencies"].iter();
                tables.find_map(|table| described.get(table)?.get(package)?.as_str().map(str::to_owned))
            }
        };
        version.as_deref().and_then(exact_version)
    }
}

/// Returns the version in one of the lines that follow the entry of a package.
fn version_after<'a>(
    text: &'a str,
    is_entry: impl Fn(&str) -> bool,
    version: impl Fn(&'a str) -> Option<&'a str>,
) -> Option<String> {
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if is_entry(line) {
            let found = lines.clone().take(MAX_LINES_TO_VERSION).find_map(&version);
            if let Some(version) = found {
                return Some(version.trim().trim_matches(['"', '\'']).to_owned());
            }
        }
    }
    None
}

/// Returns the version of the package in a requirement such as `ruff==0.4.1`, which may follow the name of an
/// environment of tox.
fn required_version(requirement: &str, package: &str) -> Option<String> {
    let words = requirement.split(" #").next().unwrap_or_default();
    let (before, after) = words.split_once("==")?;
    let before = before.rsplit_once(": ").map_or(before, |(_, rest)| rest);
    let before = before.split_once('=').map_or(before, |(_, rest)| rest);
    let is_package =
        package_name(before).is_some_and(|name| name.replace('_', "-").eq_ignore_ascii_case(package));
    let version = after.trim_start_matches('=').trim_start().split([' ', ';', ',', '\\']).next()?;
    exact_version(version).filter(|_| is_package)
}

/// Searches texts that are requirements, and keys of the package with an exact version, at any depth.
fn find_in_project(value: &toml::Value, package: &str, depth: usize) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    match value {
        toml::Value::String(text) => required_version(text, package),
        toml::Value::Array(items) => items.iter().find_map(|item| find_in_project(item, package, depth)),
        toml::Value::Table(table) => {
            let entry = table.get(package);
            let version = entry.and_then(|entry| entry.as_str().or_else(|| entry.get("version")?.as_str()));
            let version = version.map(|version| version.trim_start_matches('='));
            version
                .and_then(exact_version)
                .or_else(|| table.iter().find_map(|(_, value)| find_in_project(value, package, depth)))
        }
        toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::known::commands::find_commands;
    use crate::output::known::find_tool;

    fn pinned(tool: &str, files: &[(&str, &str)]) -> String {
        let read = |path: &str| {
            files.iter().find(|(file, _)| *file == path).map(|(_, text)| text.as_bytes().to_vec())
        };
        let hooks_file = PRE_COMMIT_CONFIG_FILES.iter().copied().find(|file| read(file).is_some());
        let hooks = hooks_file.map(|file| PreCommitHooks::parse(&read(file).unwrap()).unwrap());
        let paths: Vec<&str> = files.iter().map(|(file, _)| *file).collect();
        let commands = find_commands(&paths, &read, None);
        let tool = find_tool(tool).unwrap();
        let runs: Vec<&RunCommand> = commands.iter().filter(|command| tool.is_run_by(command)).collect();
        let version = PinFiles::read(&read).find_version(tool, hooks.as_ref(), hooks_file, &runs);
        version.map(|PinnedVersion { version, file }| format!("{version} {file}")).unwrap_or_default()
    }

    #[test]
    fn finds_version_in_each_kind_of_file() {
        for (tool, file, text) in [
            ("ruff", "uv.lock", "[[package]]\nname = \"ruff\"\nversion = \"0.4.1\"\n"),
            ("ruff", "poetry.lock", "[[package]]\nname = \"ruff\"\nversion = \"0.4.1\"\n"),
            ("ruff", "Pipfile.lock", r#"{"develop": {"ruff": {"version": "==0.4.1"}}}"#),
            ("ruff", "requirements-dev.txt", "x==1\nRuff [a]==0.4.1 ; python_version > '3' # c\n"),
            ("ruff", "requirements/lint.txt", "ruff==0.4.1 \\\n    --hash=sha256:1\n"),
            ("ruff", "constraints.txt", "ruff===0.4.1\n"),
            ("ruff", "tox.ini", "[testenv:lint]\ndeps =\n  lint: ruff==0.4.1\n"),
            ("ruff", "tox.ini", "[testenv:lint]\ndeps = ruff==0.4.1\n"),
            ("ruff", "pyproject.toml", "[dependency-groups]\nlint = [\"ruff==0.4.1\"]\n"),
            ("ruff", "pyproject.toml", "[project.optional-dependencies]\nlint = [\"ruff == 0.4.1\"]\n"),
            ("ruff", "pyproject.toml", "[tool.poetry.group.dev.dependencies]\nruff = \"0.4.1\"\n"),
            (
                "ruff",
                "pyproject.toml",
                "[tool.poetry.dev-dependencies]\nruff = {version = \"0.4.1\", optional = true}\n",
            ),
            ("eslint", "package-lock.json", r#"{"packages": {"node_modules/eslint": {"version": "0.4.1"}}}"#),
            ("eslint", "package-lock.json", r#"{"dependencies": {"eslint": {"version": "0.4.1"}}}"#),
            ("eslint", "yarn.lock", "eslint@^0.4:\n  version \"0.4.1\"\n"),
            ("eslint", "yarn.lock", "\"eslint@npm:^0.4\":\n  version: 0.4.1\n  resolution: x\n"),
            ("eslint", "pnpm-lock.yaml", "packages:\n\n  eslint@0.4.1(jiti@2):\n    resolution: {}\n"),
            ("biome", "pnpm-lock.yaml", "packages:\n  '@biomejs/biome@0.4.1':\n    resolution: {}\n"),
            ("biome", "package.json", r#"{"devDependencies": {"@biomejs/biome": "0.4.1"}}"#),
            ("tsc", "package.json", r#"{"devDependencies": {"typescript": "0.4.1"}}"#),
            ("rubocop", "Gemfile.lock", "GEM\n  specs:\n    rubocop (0.4.1)\n      ast (~> 2)\n"),
            ("ruff", "Makefile", "lint:\n\tuvx ruff@0.4.1 check\n"),
            ("eslint", ".github/workflows/ci.yml", "jobs: {a: {steps: [{run: npx eslint@0.4.1 .}]}}"),
            (
                "ruff",
                ".pre-commit-config.yaml",
                "repos:\n- repo: https://github.com/astral-sh/ruff-pre-commit\n  rev: v0.4.1\n  hooks: [{id: ruff}]\n",
            ),
            (
                "mypy",
                ".pre-commit-config.yaml",
                "repos:\n- repo: https://github.com/pre-commit/mirrors-mypy\n  rev: 'v0.4.1'\n  hooks: [{id: mypy}]\n",
            ),
            (
                "biome",
                ".pre-commit-config.yaml",
                "repos:\n- repo: https://github.com/biomejs/pre-commit\n  rev: v9.9.9\n  hooks: [{id: biome-check, additional_dependencies: ['@biomejs/biome@0.4.1']}]\n",
            ),
        ] {
            assert_eq!(pinned(tool, &[(file, text)]), format!("0.4.1 {file}"), "{text}");
        }
    }

    #[test]
    fn takes_no_range_and_no_other_package() {
        for (tool, file, text) in [
            ("ruff", "requirements.txt", "ruff>=0.4.1\nruff-lsp==1.2\n# ruff==1.2\nmy-ruff==3\n"),
            ("ruff", "pyproject.toml", "[project]\ndependencies = [\"ruff>=0.4\", \"ruff-x==1.0\"]\n"),
            ("eslint", "package.json", r#"{"devDependencies": {"eslint": "^8.1.0"}}"#),
            ("eslint", "yarn.lock", "eslint-scope@^7:\n  version \"7.0.0\"\n"),
            ("eslint", "pnpm-lock.yaml", "packages:\n  eslint-scope@7.0.0:\n"),
            ("ruff", "Makefile", "lint:\n\tuvx ruff@latest check\n"),
            (
                "ruff",
                ".pre-commit-config.yaml",
                "repos:\n- repo: https://github.com/astral-sh/ruff-pre-commit\n  rev: 7f321d375f31a2f03833bc9a548e8783f2b5c420\n  hooks: [{id: ruff}]\n",
            ),
            (
                "shellcheck",
                ".pre-commit-config.yaml",
                "repos:\n- repo: https://github.com/jumanjihouse/pre-commit-hooks\n  rev: 3.0.0\n  hooks: [{id: shellcheck}]\n",
            ),
            ("ruff", "uv.lock", "name = \"ruff\"\n"),
            ("eslint", "package-lock.json", "{"),
        ] {
            assert_eq!(pinned(tool, &[(file, text)]), "", "{text}");
        }
        for text in ["", "v", "1.2 3", "a1", "^1", "1.2;x", "99999999999", &"1".repeat(99)] {
            assert_eq!(exact_version(text), None, "{text}");
        }
    }

    #[test]
    fn prefers_hook_to_lock_file() {
        let hooks = "repos:\n- repo: https://github.com/astral-sh/ruff-pre-commit\n  rev: v0.5.0\n  hooks: [{id: ruff}]\n";
        let lock = "name = \"ruff\"\nversion = \"0.4.1\"\n";
        let files = [("uv.lock", lock), (".pre-commit-config.yaml", hooks)];
        assert_eq!(pinned("ruff", &files), "0.5.0 .pre-commit-config.yaml");
    }
}

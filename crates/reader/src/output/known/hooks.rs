//! Reads the hooks of pre-commit. A hook shows with which arguments a project runs a tool, and which files
//! the project excludes from the tool.
//!
//! Only arguments in an allow-list are used (`filter_args`). The allow-list contains arguments that select
//! rules, words, severities, lengths and configuration files. Other arguments are not used, because they
//! change files, change the output format, or load code.

use std::collections::{BTreeMap, BTreeSet};

use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use truing_core::line::clean_line;

use super::arguments::{common_args, filter_args};
use super::file_tags::has_tag;
use super::script::{RunCommand, commands_in};
use super::sign::MAX_CONFIG_FILE_BYTES;
use super::tool::KnownTool;
use super::tool_table::known_tools;
use super::version::exact_version;

/// Files that list hooks. If both files exist, pre-commit reads the first one.
pub const PRE_COMMIT_CONFIG_FILES: [&str; 2] = [".pre-commit-config.yaml", ".pre-commit-config.yml"];
/// Events at which hooks check files, also by their names in old versions of pre-commit.
const FILE_STAGES: [&str; 5] = ["pre-commit", "pre-merge-commit", "pre-push", "commit", "push"];
/// The repository of hooks that a project defines itself.
const LOCAL_REPOSITORY: &str = "local";
/// Packages that hooks install beside a tool, and that add no rules.
const SUPPORTING_PACKAGES: &[&str] = &[
    "importlib-metadata",
    "pip",
    "setuptools",
    "toml",
    "tomli",
    "typing-extensions",
    "typing_extensions",
    "wheel",
];
/// Maximum number of packages that hooks install together with a tool.
pub const MAX_DEPENDENCIES: usize = 50;
/// Maximum length of a package's name, in bytes.
const MAX_PACKAGE_NAME_BYTES: usize = 100;
/// Maximum number of hooks that are read.
const MAX_HOOKS: usize = 500;
/// Maximum number of characters of the message about an unreadable hooks file.
pub const MAX_REASON_CHARS: usize = 300;
/// Maximum memory of a compiled path pattern, in bytes.
const MAX_COMPILED_REGEX_BYTES: usize = 1 << 20;

/// Hooks of a repository.
#[derive(Debug, Default, Deserialize)]
pub struct PreCommitHooks {
    #[serde(default)]
    repos: Vec<HookRepository>,
    files: Option<String>,
    exclude: Option<String>,
    default_stages: Option<Vec<String>>,
}

/// A repository from which hooks are taken.
#[derive(Debug, Deserialize)]
struct HookRepository {
    #[serde(default)]
    repo: String,
    /// Revision of the repository. YAML reads some revisions as numbers.
    #[serde(default)]
    rev: serde_json::Value,
    #[serde(default)]
    hooks: Vec<PreCommitHook>,
}

/// Entry of one hook.
#[derive(Debug, Deserialize)]
struct PreCommitHook {
    id: String,
    #[serde(default)]
    args: Vec<String>,
    /// Command of the hook. Without it, the hook's own repository sets the command.
    entry: Option<String>,
    files: Option<String>,
    exclude: Option<String>,
    /// Tags that a file must all have. Without them, the tags of the hook's own repository apply.
    types: Option<Vec<String>>,
    /// Tags. A file must have one of them.
    #[serde(default)]
    types_or: Vec<String>,
    /// Tags that a file must not have.
    #[serde(default)]
    exclude_types: Vec<String>,
    /// Packages that pre-commit installs together with the tool, such as plugins.
    #[serde(default)]
    additional_dependencies: Vec<String>,
    /// Events at which the hook runs. If the list is absent, `default_stages` applies.
    stages: Option<Vec<String>>,
    /// False if the hook receives no file names. The tool then selects its files itself, and the hook's
    /// patterns have no effect.
    pass_filenames: Option<bool>,
}

/// The arguments and excluded files with which a project's hooks run a tool.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HookUsage {
    /// Arguments of the hooks that the allow-list contains.
    pub args: Vec<String>,
    /// Files that pre-commit does not pass to any of the tool's hooks.
    pub excluded_files: Vec<String>,
    /// Names of the packages that pre-commit installs together with the tool, sorted.
    pub dependencies: Vec<String>,
}

impl PreCommitHooks {
    /// Parses a file of hooks.
    ///
    /// # Errors
    ///
    /// The reason why the file cannot be read, in words for people. The hooks of such a file are ignored.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_CONFIG_FILE_BYTES {
            return Err(format!("it has more than {MAX_CONFIG_FILE_BYTES} bytes"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        serde_saphyr::from_str(text).map_err(|error| clean_line(&error.to_string(), MAX_REASON_CHARS))
    }

    /// Returns true if a hook with this id runs at commits or pushes. A hook whose command runs another
    /// program does not count.
    pub(super) fn has_hook(&self, id: &str) -> bool {
        let tool = known_tools().iter().find(|tool| tool.hook_ids().contains(&id));
        self.hooks().any(|hook| hook.id == id && tool.is_none_or(|tool| hook.runs(tool)))
    }

    /// Returns the commands of the hooks. A hook without a command counts as a program with its id.
    pub(super) fn commands(&self, file: &str) -> Vec<RunCommand> {
        self.hooks().flat_map(|hook| hook.commands(file)).collect()
    }

    /// Returns the hooks that run at commits or pushes. Hooks that only people start, or that check a
    /// commit's message, say nothing about the files that a team wants to have checked.
    fn hooks(&self) -> impl Iterator<Item = &PreCommitHook> {
        self.hooks_with_repositories().map(|(_, hook)| hook)
    }

    fn hooks_with_repositories(&self) -> impl Iterator<Item = (&HookRepository, &PreCommitHook)> {
        let all = self.repos.iter().flat_map(|place| place.hooks.iter().map(move |hook| (place, hook)));
        all.take(MAX_HOOKS).filter(|(_, hook)| {
            let stages = hook.stages.as_ref().or(self.default_stages.as_ref());
            stages.is_none_or(|stages| stages.iter().any(|stage| FILE_STAGES.contains(&stage.as_str())))
        })
    }

    /// Determines how the tool's hooks run it on these files. Returns the allowed arguments that all these
    /// hooks share, and the files that no hook receives. `None` if no hook runs the tool. `interpreters`
    /// contains the interpreters that files without an extension name.
    pub fn hook_usage(
        &self,
        tool: &KnownTool,
        files: &[&str],
        interpreters: &BTreeMap<&str, String>,
    ) -> Option<HookUsage> {
        let hooks: Vec<_> = self.hooks_with_repositories().filter(|(_, hook)| hook.runs(tool)).collect();
        if hooks.is_empty() {
            return None;
        }
        let words: Vec<Vec<String>> = hooks.iter().map(|(_, hook)| hook.words(tool)).collect();
        let args = common_args(&tool.keeps, words.iter().map(Vec::as_slice));
        let everywhere = HookFilter::new(self.files.as_deref(), self.exclude.as_deref());
        let hook_filters: Vec<Option<HookFilter<'_>>> = hooks
            .iter()
            .map(|(place, hook)| match hook.pass_filenames {
                Some(false) => None,
                Some(true) | None => Some(HookFilter {
                    types: hook.types(place, tool),
                    types_or: &hook.types_or,
                    exclude_types: &hook.exclude_types,
                    ..HookFilter::new(hook.files.as_deref(), hook.exclude.as_deref())
                }),
            })
            .collect();
        let is_passed = |path: &str| {
            let interpreter = interpreters.get(path).map(String::as_str);
            let mut filters = hook_filters.iter().map(Option::as_ref);
            filters.any(|filter| {
                filter.is_none_or(|filter| {
                    filter.matches(path, interpreter) && everywhere.matches(path, interpreter)
                })
            })
        };
        let packages = hooks.iter().flat_map(|(_, hook)| &hook.additional_dependencies);
        let dependencies: BTreeSet<String> =
            packages.filter_map(|package| plugin_name(package, tool)).take(MAX_DEPENDENCIES).collect();
        let left_out = files.iter().filter(|path| !is_passed(path)).map(|path| (*path).to_owned()).collect();
        let dependencies = dependencies.into_iter().collect();
        Some(HookUsage { args, excluded_files: left_out, dependencies })
    }

    /// Returns the version of the tool that a hook pins: the version of the tool's package, or the revision
    /// of a repository whose revisions are the tool's versions.
    pub(super) fn pinned_version(&self, tool: &KnownTool) -> Option<String> {
        let packages = tool.package_names();
        let of_package = |package: &String| {
            let name = package_name(package).filter(|name| packages.contains(&name.as_str()))?;
            exact_version(package.trim().strip_prefix(name.as_str())?.trim_start_matches(['=', '@', ' ']))
        };
        let mut hooks = self.hooks_with_repositories().filter(|(_, hook)| hook.runs(tool));
        hooks.find_map(|(place, hook)| {
            let of_hook = hook.additional_dependencies.iter().find_map(of_package);
            of_hook.or_else(|| place.tool_version(tool))
        })
    }
}

impl HookRepository {
    /// Returns the revision of the repository, if its revisions are the tool's versions.
    fn tool_version(&self, tool: &KnownTool) -> Option<String> {
        let address = self.repo.trim_end_matches('/');
        let name = address.rsplit(['/', ':']).next()?.trim_end_matches(".git");
        let tool_repositories = [tool.name.clone(), tool.program.clone(), format!("mirrors-{}", tool.name)];
        let mut repositories = tool_repositories.iter().chain(&tool.mirrors);
        let is_of_tool = repositories.any(|repository| repository.eq_ignore_ascii_case(name));
        is_of_tool.then(|| exact_version(self.rev.as_str()?))?
    }
}

impl PreCommitHook {
    fn commands(&self, file: &str) -> Vec<RunCommand> {
        let Some(entry) = &self.entry else {
            return vec![RunCommand {
                file: file.to_owned(),
                program: self.id.clone(),
                version: None,
                words: Vec::new(),
                is_elsewhere: false,
                is_packaged: true,
            }];
        };
        let mut commands = commands_in(file, entry);
        if let [command] = commands.as_mut_slice() {
            command.words.extend(self.args.iter().cloned());
        }
        commands
    }

    /// Returns the tags that a file must all have.
    fn types<'a>(&'a self, repository: &HookRepository, tool: &'a KnownTool) -> &'a [String] {
        match &self.types {
            Some(types) => types,
            None if repository.repo == LOCAL_REPOSITORY => &[],
            None => &tool.hook_types,
        }
    }

    /// Returns true if the hook runs the tool: its command does, or else its id is one of the tool's.
    fn runs(&self, tool: &KnownTool) -> bool {
        let commands = if self.entry.is_some() { self.commands("") } else { Vec::new() };
        let mut tool_commands = commands.iter().filter(|command| command.program == tool.program).peekable();
        match tool_commands.peek() {
            Some(_) => tool_commands.any(|command| tool.is_run_by(command)),
            None => tool.hook_ids().contains(&self.id.as_str()),
        }
    }

    /// Returns the arguments with which the hook runs the tool.
    fn words(&self, tool: &KnownTool) -> Vec<String> {
        let commands = self.commands("").into_iter();
        let mut written_commands = commands.filter(|command| !command.is_packaged);
        let tool_command = written_commands.find(|command| tool.is_run_by(command));
        tool_command.map_or_else(|| self.args.clone(), |command| command.words)
    }
}

/// Returns the name of a package that is no part of the tool itself. `None` for the tool, for packages that
/// add no rules, and for folders of the repository.
fn plugin_name(package: &str, tool: &KnownTool) -> Option<String> {
    let name = package_name(package)?;
    let is_tool = [tool.name.as_str(), &tool.program].contains(&name.rsplit('/').next()?);
    let is_plugin = !is_tool && !SUPPORTING_PACKAGES.contains(&name.as_str());
    (is_plugin && is_package_name(&name)).then_some(name)
}

/// Returns the name of a package of Python, Node.js or Ruby, as in `flake8-bugbear==24.1`,
/// `@eslint/js@9` and `git+https://host/owner/name.git@v1`.
pub(super) fn package_name(package: &str) -> Option<String> {
    let package = package.trim();
    let plain = match package.split_once("://") {
        Some((before, _)) if before.contains(" @ ") => before,
        Some((_, address)) => {
            let path = address.split(['#', '?']).next().unwrap_or_default();
            path.rsplit('/').next().unwrap_or_default()
        }
        None => package,
    };
    let scope = usize::from(plain.starts_with('@'));
    let (scope, rest) = plain.split_at_checked(scope)?;
    let end = rest.find(['=', '<', '>', '!', '~', '[', ';', '@', ' ', ':', '^']).unwrap_or(rest.len());
    let name = format!("{scope}{}", rest.get(..end)?.trim_end_matches(".git"));
    (!name.is_empty() && !name.starts_with('.')).then_some(name)
}

/// Returns true if the text can be the name of a package.
pub(crate) fn is_package_name(name: &str) -> bool {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "-_.@/".contains(letter);
    let parts_are_plain = name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
    parts_are_plain && name.len() <= MAX_PACKAGE_NAME_BYTES && name.chars().all(is_part)
}

/// Patterns and tags that select files. A pattern is a regular expression in Python's syntax that may match
/// anywhere in a path.
struct HookFilter<'a> {
    files: Option<Regex>,
    exclude: Option<Regex>,
    /// Tags that a file must all have.
    types: &'a [String],
    /// Tags. A file must have one of them, unless the list is empty.
    types_or: &'a [String],
    /// Tags that a file must not have.
    exclude_types: &'a [String],
}

impl HookFilter<'_> {
    /// Compiles the patterns. A pattern that Rust's regular expressions do not support, such as one with
    /// look-around, is ignored.
    fn new(files: Option<&str>, exclude: Option<&str>) -> Self {
        let compiled =
            |pattern: &str| RegexBuilder::new(pattern).size_limit(MAX_COMPILED_REGEX_BYTES).build().ok();
        let files = files.and_then(compiled);
        let exclude = exclude.and_then(compiled);
        Self { files, exclude, types: &[], types_or: &[], exclude_types: &[] }
    }

    /// Returns true if the filter selects the file. An unknown tag neither selects nor excludes a file.
    fn matches(&self, path: &str, interpreter: Option<&str>) -> bool {
        let has = |tag: &String| has_tag(tag, path, interpreter);
        self.files.as_ref().is_none_or(|files| files.is_match(path))
            && !self.exclude.as_ref().is_some_and(|exclude| exclude.is_match(path))
            && self.types.iter().all(|tag| has(tag) != Some(false))
            && (self.types_or.is_empty() || self.types_or.iter().any(|tag| has(tag) != Some(false)))
            && !self.exclude_types.iter().any(|tag| has(tag) == Some(true))
    }
}

/// Returns true if the hooks of a tool can result in these arguments and these excluded files.
pub fn can_come_from_hooks(
    args: &[String],
    excluded_files: &[String],
    allow_list: &[String],
    files: &BTreeSet<&str>,
) -> bool {
    filter_args(allow_list, args) == args && excluded_files.iter().all(|path| files.contains(path.as_str()))
}

/// Returns true if a hooks file lists this hook. If the file cannot be parsed, a line that looks like the
/// hook is sufficient. The tool is then run, and the parse failure is reported.
pub(super) fn lists_hook(text: &str, id: &str) -> bool {
    if !text.contains(id) {
        return false;
    }
    match PreCommitHooks::parse(text.as_bytes()) {
        Ok(hooks) => hooks.has_hook(id),
        Err(_) => text.lines().any(|line| is_hook_line(line, id)),
    }
}

/// Returns true for a YAML line like `- id: ruff` with this id. The id may be in quotes, and a comment may
/// follow.
fn is_hook_line(line: &str, id: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix('-').map_or(line, str::trim_start);
    let value = line.strip_prefix("id:").map(|value| value.split(" #").next().unwrap_or(value).trim());
    value.is_some_and(|value| value.trim_matches(['"', '\'']) == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::known::find_tool;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn parse_usage(text: &str, files: &[&str]) -> HookUsage {
        let mut codespell = find_tool("codespell").unwrap().clone();
        codespell.keeps = words("--ignore-words-list= -L= --check-hidden");
        let hooks = PreCommitHooks::parse(text.as_bytes()).unwrap();
        hooks.hook_usage(&codespell, files, &BTreeMap::new()).unwrap_or_default()
    }

    #[test]
    fn a_hook_says_how_a_tool_is_run() {
        let text = "
exclude: ^vendor/
repos:
  - repo: https://github.com/codespell-project/codespell
    rev: v2
    hooks:
      - id: codespell
        args: ['--write-changes', '--ignore-words-list=inout,te']
        files: \\.(md|py)$
        exclude: |
          (?x)^(
            docs/old\\.md  # as it was
            | tests/.*
          )$
  - repo: meta
    hooks: [{ id: check-hooks-apply }]
";
        let files = ["a.md", "a.txt", "docs/old.md", "tests/a.py", "vendor/a.py", "src/vendor/a.py"];
        let usage = parse_usage(text, &files);
        assert_eq!(usage.args, ["--ignore-words-list=inout,te"]);
        assert_eq!(usage.excluded_files, ["a.txt", "docs/old.md", "tests/a.py", "vendor/a.py"]);
    }

    #[test]
    fn a_pattern_that_looks_around_leaves_nothing_out_and_the_others_do() {
        let hook = |more: &str| format!("repos:\n- repo: x\n  hooks:\n  - id: codespell\n{more}");
        let of = |more: &str| parse_usage(&hook(more), &["a.md", "b.md"]).excluded_files;
        assert_eq!(of("    files: ^(?!a)\n"), Vec::<String>::new());
        assert_eq!(of("    files: ^(?!a)\n    exclude: ^b\n"), ["b.md"]);
        assert_eq!(of("    exclude: .\n    pass_filenames: false\n"), Vec::<String>::new());
    }

    #[test]
    fn several_hooks_of_a_tool_have_their_common_arguments_and_all_their_files() {
        let text = "
repos:
  - repo: x
    hooks:
      - { id: codespell, files: '^a', args: [-L, te, --check-hidden] }
      - { id: codespell, files: '^b', args: [--check-hidden] }
      - { id: typos, files: '^c' }
";
        let usage = parse_usage(text, &["a.md", "b.md", "c.md"]);
        assert_eq!(usage.args, ["--check-hidden"]);
        assert_eq!(usage.excluded_files, ["c.md"]);
    }

    #[test]
    fn selects_files_by_their_types() {
        let left_out = |repository: &str, tool: &str, hook: &str| {
            let text = format!("repos:\n- repo: {repository}\n  hooks:\n  - {{id: {tool}, {hook}}}\n");
            let files = ["a.js", "a.md", "a.py", "a.pyi", "a.ts", "bin/run"];
            let interpreters = BTreeMap::from([("bin/run", "python".to_owned())]);
            let hooks = PreCommitHooks::parse(text.as_bytes()).unwrap();
            let usage = hooks.hook_usage(find_tool(tool).unwrap(), &files, &interpreters).unwrap();
            files
                .into_iter()
                .filter(|file| !usage.excluded_files.contains(&(*file).to_owned()))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let of = |hook: &str| left_out("x", "codespell", hook);
        assert_eq!(of("types: [python]"), "a.py bin/run");
        assert_eq!(of("types_or: [python, pyi]"), "a.py a.pyi bin/run");
        assert_eq!(of("exclude_types: [python, markdown]"), "a.js a.pyi a.ts");
        assert_eq!(of("types: [text, markdown], types_or: [python]"), "");
        assert_eq!(of("types: [executable]"), "a.js a.md a.py a.pyi a.ts bin/run", "no tag of a name");
        assert_eq!(of("types: [python], pass_filenames: false"), "a.js a.md a.py a.pyi a.ts bin/run");
        assert_eq!(left_out("x", "eslint", "args: []"), "a.js", "the types of the hook's own repository");
        assert_eq!(left_out("x", "eslint", "types: [file], types_or: [javascript, ts]"), "a.js a.ts");
        assert_eq!(left_out("local", "eslint", "files: '[.]ts$'"), "a.ts");
        assert_eq!(left_out("x", "flake8", "args: []"), "a.py bin/run");
    }

    #[test]
    fn names_packages_that_hooks_install() {
        let names = |tool: &str, packages: &str| {
            let text = format!(
                "repos:\n- repo: x\n  hooks:\n  - {{id: {tool}, additional_dependencies: [{packages}]}}\n"
            );
            let hooks = PreCommitHooks::parse(text.as_bytes()).unwrap();
            let usage = hooks.hook_usage(find_tool(tool).unwrap(), &[], &BTreeMap::new()).unwrap();
            assert!(usage.dependencies.iter().all(|name| is_package_name(name)));
            usage.dependencies.join(" ")
        };
        assert_eq!(
            names("flake8", "flake8-bugbear==24.1, 'pep8-naming>=0.1', flake8"),
            "flake8-bugbear pep8-naming"
        );
        assert_eq!(names("flake8", "'a[x]~=1; python_version<\"4\"', ., ./own, '../x', tomli"), "a");
        assert_eq!(names("eslint", "eslint@9.1, '@eslint/js@9', typescript"), "@eslint/js typescript");
        assert_eq!(names("mypy", "'git+https://h/o/types-x.git@v1', 'y @ https://h/z.whl'"), "types-x y");
        assert_eq!(names("mypy", "'a b/../c', '$(x)'"), "a");
    }

    #[test]
    fn without_a_hook_nothing_is_said() {
        assert_eq!(parse_usage("exclude: .\nrepos: []\n", &["a.md"]), HookUsage::default());
        assert_eq!(parse_usage("{}", &["a.md"]), HookUsage::default());
    }

    #[test]
    fn a_file_that_is_malformed_too_large_or_too_deep_says_nothing() {
        for text in ["repos: 3", "repos: [", "- a", "repos: [{hooks: [{args: [a]}]}]"] {
            assert!(PreCommitHooks::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(PreCommitHooks::parse(b"repos: []\n# \xff").is_err());
        assert!(
            PreCommitHooks::parse(format!("repos: []\n#{}", "x".repeat(MAX_CONFIG_FILE_BYTES)).as_bytes())
                .is_err()
        );
        for bracket in ["[", "{a: ", "- "] {
            let deep = format!("ci: {}", bracket.repeat((MAX_CONFIG_FILE_BYTES - 10) / bracket.len()));
            assert!(PreCommitHooks::parse(deep.as_bytes()).is_err(), "{bracket}");
        }
        let doubled = "&a [x, x, x, x, x, x, x, x, x, x]".to_owned();
        let bomb = ('b'..='i').fold(format!("a: {doubled}\n"), |text, name| {
            let before = char::from_u32(name as u32 - 1).unwrap();
            format!("{text}{name}: &{name} [{}]\n", vec![format!("*{before}"); 10].join(", "))
        });
        let repos = PreCommitHooks::parse(bomb.as_bytes()).map(|hooks| hooks.repos).unwrap_or_default();
        assert!(repos.is_empty());
    }

    #[test]
    fn a_hook_is_found_however_its_yaml_is_written() {
        let is_shown = |text: &str| lists_hook(text, "ruff");
        for hooks in [
            "\n      - id: ruff\n",
            "\n      - id: 'ruff' # fast\n",
            "\n      - name: Ruff\n        id: \"ruff\"\n",
            " [{id: ruff, args: [--fix]}]\n",
            " [ { id: black }, { args: [--fix], id: ruff } ]\n",
            "\n      - {id: ruff}\n",
            "\n      - &lint { \"id\": \"ruff\", args: [--fix] } # fast\n",
            "\n      - id:\n          ruff\n",
        ] {
            let text =
                format!("repos:\n  - repo: https://github.com/astral-sh/ruff-pre-commit\n    hooks:{hooks}");
            assert!(is_shown(&text), "{text}");
        }
        for hooks in [
            "\n      - id: ruff-format\n",
            "\n      # - id: ruff\n      - id: black\n",
            "\n      - id: local\n        name: ruff\n",
            "\n      - id: ruff\n        stages: [manual]\n",
            "\n      - id: local\n        entry: |\n          - id: ruff\n",
            " [{id: ruff-format, alias: ruff}]\n",
        ] {
            let text =
                format!("repos:\n  - repo: https://github.com/astral-sh/ruff-pre-commit\n    hooks:{hooks}");
            assert!(!is_shown(&text), "{text}");
        }
        assert!(is_shown("repos:\n- hooks:\n  - id: ruff\n  - args: [\n"), "lines of what cannot be read");
    }
}

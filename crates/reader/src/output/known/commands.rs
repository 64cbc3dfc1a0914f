//! Finds the programs that a repository's own automation runs: in steps of workflows, in scripts of packages,
//! in recipes of a Makefile, in environments of tox and nox, and in hooks of Git and pre-commit.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use globset::GlobMatcher;
use regex::Regex;
use serde_json::Value;
use truing_core::nesting::is_too_deep;

use super::hooks::{PRE_COMMIT_CONFIG_FILES, PreCommitHooks};
use super::script::{RunCommand, commands_in};
use super::sign::{MAX_CONFIG_FILE_BYTES, compile_glob, strip_json_comments};

/// Files that run programs, each with the form in which they name the commands.
const AUTOMATION_FILES: &[(&str, AutomationForm)] = &[
    (".github/workflows/*.{yml,yaml}", AutomationForm::Workflow),
    ("{.gitlab-ci,bitbucket-pipelines,.travis,action}.{yml,yaml}", AutomationForm::Workflow),
    ("{azure-pipelines,.azure-pipelines,.drone}.{yml,yaml}", AutomationForm::Workflow),
    (".circleci/*.{yml,yaml}", AutomationForm::Workflow),
    ("{lefthook,.lefthook}.{yml,yaml}", AutomationForm::Workflow),
    ("{Taskfile,taskfile}{,.dist}.{yml,yaml}", AutomationForm::Workflow),
    ("package.json", AutomationForm::Tables(PACKAGE_KEYS)),
    ("composer.json", AutomationForm::Tables(PACKAGE_KEYS)),
    (".lintstagedrc{,.json,.yaml,.yml}", AutomationForm::Commands),
    ("{pyproject,tox}.toml", AutomationForm::Tables(PYTHON_KEYS)),
    ("tox.ini", AutomationForm::Tox),
    ("noxfile.py", AutomationForm::Nox),
    ("{Makefile,makefile,GNUmakefile}", AutomationForm::Makefile),
    ("{justfile,Justfile,.justfile}", AutomationForm::Justfile),
    (".husky/*", AutomationForm::Script),
];
/// Keys of workflows and of hooks' managers whose values are scripts.
const WORKFLOW_KEYS: &[&str] = &[
    "run",
    "script",
    "before_script",
    "after_script",
    "before_install",
    "install",
    "commands",
    "command",
    "cmds",
    "cmd",
    "bash",
    "pwsh",
    "powershell",
];
/// Keys of a package's description whose values are scripts.
const PACKAGE_KEYS: &[&str] =
    &["scripts", "lint-staged", "nano-staged", "simple-git-hooks", "hooks", "command"];
/// Keys of Python projects whose values are scripts, for hatch, PDM, Poe, taskipy and tox.
const PYTHON_KEYS: &[&str] =
    &["scripts", "tasks", "commands", "commands_pre", "commands_post", "cmd", "shell"];
/// Maximum depth of a workflow's values.
const MAX_DEPTH: usize = 32;
/// Maximum number of commands of a repository that are kept.
const MAX_COMMANDS: usize = 10_000;
/// Maximum number of files whose commands are read.
const MAX_AUTOMATION_FILES: usize = 200;
/// Maximum number of rounds in which variables of a Makefile are replaced by their values.
const MAX_VARIABLE_ROUNDS: usize = 4;
/// Maximum length of a line of a Makefile with its variables' values, in bytes.
const MAX_RECIPE_BYTES: usize = 10_000;

/// The form in which a file names commands.
#[derive(Clone, Copy, Debug)]
enum AutomationForm {
    /// Values of [`WORKFLOW_KEYS`] in a YAML file, at any depth.
    Workflow,
    /// Tables of commands, or single commands, under these keys of a JSON or TOML file, at any depth.
    Tables(&'static [&'static str]),
    /// A table of commands.
    Commands,
    Makefile,
    Justfile,
    Tox,
    Nox,
    /// A script of a shell.
    Script,
}

/// Returns true if a file with this path may run programs.
pub fn is_automation_file(path: &str) -> bool {
    PRE_COMMIT_CONFIG_FILES.contains(&path) || automation_form(path).is_some()
}

fn automation_form(path: &str) -> Option<AutomationForm> {
    static FORMS: LazyLock<Vec<(GlobMatcher, AutomationForm)>> = LazyLock::new(|| {
        let rows = AUTOMATION_FILES.iter();
        rows.filter_map(|(glob, form)| Some((compile_glob(glob)?, *form))).collect()
    });
    FORMS.iter().find(|(glob, _)| glob.is_match(path)).map(|(_, form)| *form)
}

/// Returns the commands that the automation among these files runs, in the order of the paths. The commands
/// of the hooks come first.
pub fn find_commands(
    paths: &[&str],
    read_file: &dyn Fn(&str) -> Option<Vec<u8>>,
    hooks: Option<&PreCommitHooks>,
) -> Vec<RunCommand> {
    let hooks_file = PRE_COMMIT_CONFIG_FILES.iter().find(|file| paths.contains(file));
    let mut found = hooks.zip(hooks_file).map(|(hooks, file)| hooks.commands(file)).unwrap_or_default();
    let files = paths.iter().filter_map(|path| Some((*path, automation_form(path)?)));
    for (path, form) in files.take(MAX_AUTOMATION_FILES) {
        if let Some(bytes) = read_file(path).filter(|bytes| bytes.len() <= MAX_CONFIG_FILE_BYTES) {
            found.extend(read_commands(path, &String::from_utf8_lossy(&bytes), form));
            found.truncate(MAX_COMMANDS);
        }
    }
    found
}

fn read_commands(path: &str, text: &str, form: AutomationForm) -> Vec<RunCommand> {
    let mut found = CommandsOfFile { file: path, commands: Vec::new() };
    match form {
        AutomationForm::Workflow | AutomationForm::Tables(_) | AutomationForm::Commands => {
            match (parse_value(path, text), form) {
                (Some(value), AutomationForm::Commands) => found.add_table(&value, false),
                (Some(value), AutomationForm::Tables(keys)) => {
                    found.add_values(&value, keys, false, MAX_DEPTH);
                }
                (Some(value), _) => found.add_values(&value, &[], false, MAX_DEPTH),
                (None, _) => {}
            }
        }
        AutomationForm::Makefile => found.add_script(&makefile_script(text), false),
        AutomationForm::Justfile => {
            let recipes = text.lines().filter(|line| line.starts_with([' ', '\t']));
            let lines: Vec<&str> =
                recipes.map(|line| line.trim_start().trim_start_matches(['@', '-'])).collect();
            found.add_script(&lines.join("\n").replace("{{", "${{"), false);
        }
        AutomationForm::Tox => found.add_script(&tox_script(text), false),
        AutomationForm::Nox => found.add_script(&nox_script(text), false),
        AutomationForm::Script => found.add_script(text, false),
    }
    found.commands
}

/// Parses a YAML, JSON or TOML file.
fn parse_value(path: &str, text: &str) -> Option<Value> {
    if is_too_deep(text) {
        return None;
    }
    match path.rsplit('.').next() {
        Some("toml") => serde_json::to_value(text.parse::<toml::Table>().ok()?).ok(),
        Some("json") => serde_json::from_str(&strip_json_comments(text)).ok(),
        Some(_) | None => serde_saphyr::from_str(text).ok(),
    }
}

/// The commands of a file, while the file is read.
struct CommandsOfFile<'a> {
    file: &'a str,
    commands: Vec<RunCommand>,
}

impl CommandsOfFile<'_> {
    fn add_script(&mut self, script: &str, is_elsewhere: bool) {
        let mut commands = commands_in(self.file, script);
        commands.iter_mut().for_each(|command| command.is_elsewhere |= is_elsewhere);
        self.commands.extend(commands);
    }

    /// Adds the scripts that are values of the keys, and each action that a step uses. Without `table_keys`,
    /// the file is a workflow.
    fn add_values(&mut self, value: &Value, table_keys: &[&str], is_elsewhere: bool, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else { return };
        match value {
            Value::Object(fields) => {
                let is_elsewhere = is_elsewhere || names_folder(value);
                for (key, value) in fields {
                    if table_keys.contains(&key.as_str()) {
                        self.add_table(value, is_elsewhere);
                    } else if table_keys.is_empty() && WORKFLOW_KEYS.contains(&key.as_str()) {
                        self.add_list(value, is_elsewhere);
                    } else if let ("uses", Value::String(action)) = (key.as_str(), value) {
                        let arguments = fields.get("with").and_then(|inputs| inputs.get("args"));
                        self.add_action(action, arguments.and_then(Value::as_str).unwrap_or_default());
                    }
                    self.add_values(value, table_keys, is_elsewhere, depth);
                }
            }
            Value::Array(items) => {
                items.iter().for_each(|item| self.add_values(item, table_keys, is_elsewhere, depth));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Adds the scripts of a table, or a single script.
    fn add_table(&mut self, value: &Value, is_elsewhere: bool) {
        match value.as_object() {
            Some(fields) => fields.values().for_each(|field| self.add_list(field, is_elsewhere)),
            None => self.add_list(value, is_elsewhere),
        }
    }

    /// Adds a script or a list of scripts. In TOML, a list in a list contains the words of a command.
    fn add_list(&mut self, value: &Value, is_elsewhere: bool) {
        match value {
            Value::String(script) => self.add_script(script, is_elsewhere),
            Value::Array(items) => {
                let texts = items.iter().filter_map(Value::as_str);
                // The steps of a script run one after the other, so a change of the folder lasts.
                self.add_script(&texts.collect::<Vec<_>>().join("\n"), is_elsewhere);
                for inner in items.iter().filter_map(Value::as_array) {
                    let separator = if self.file.ends_with(".toml") { " " } else { "\n" };
                    let texts: Vec<&str> = inner.iter().filter_map(Value::as_str).collect();
                    self.add_script(&texts.join(separator), is_elsewhere);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
        }
    }

    /// Adds the programs that an action's name contains.
    fn add_action(&mut self, action: &str, arguments: &str) {
        let name = action.split('@').next().unwrap_or_default();
        let name = name.rsplit('/').next().unwrap_or_default();
        let name = name.split(':').next().unwrap_or_default();
        let endings = ["-action", "_action"].iter().filter_map(|ending| name.strip_suffix(ending));
        let beginnings = ["action-", "actions-"].iter().filter_map(|beginning| name.strip_prefix(beginning));
        let words: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
        self.commands.extend(std::iter::once(name).chain(endings).chain(beginnings).map(|program| {
            RunCommand {
                file: self.file.to_owned(),
                program: program.to_owned(),
                version: None,
                words: words.clone(),
                is_elsewhere: false,
                is_packaged: true,
            }
        }));
    }
}

/// Returns true if the steps of a job, or a step, run in another folder than the root.
fn names_folder(step: &Value) -> bool {
    let keys = ["working-directory", "workingDirectory", "working_directory", "root", "dir"];
    let defaults = step.get("defaults").and_then(|defaults| defaults.get("run"));
    let places = [Some(step), defaults].into_iter().flatten();
    let mut folders = places.flat_map(|place| keys.iter().filter_map(|key| place.get(*key)?.as_str()));
    folders.any(|folder| !matches!(folder, "" | "." | "./"))
}

/// Returns the recipes of a Makefile, with the values of its variables.
fn makefile_script(text: &str) -> String {
    static VARIABLE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\$(?:\(([A-Za-z0-9_.-]+)\)|\{([A-Za-z0-9_.-]+)\})").ok());
    let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
    let definition = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let name = name.trim_end_matches([':', '?', '+', ' ']).trim_start_matches("export ");
        let is_name = !name.is_empty() && !name.contains([' ', '\t', ':', '$']);
        is_name.then(|| (name.to_owned(), value.split(" #").next().unwrap_or_default().trim().to_owned()))
    };
    let definitions = joined.lines().filter(|line| !line.starts_with(['\t', '#']));
    let short = definitions.filter_map(definition).filter(|(_, value)| value.len() <= MAX_RECIPE_BYTES);
    let values: BTreeMap<String, String> = short.collect();
    let expand = |line: &str| {
        let mut line = line.to_owned();
        for _ in 0..MAX_VARIABLE_ROUNDS {
            let Some(variable) = VARIABLE.as_ref().filter(|_| line.len() <= MAX_RECIPE_BYTES) else { break };
            let with_values = variable.replace_all(&line, |found: &regex::Captures<'_>| {
                let name = found.get(1).or_else(|| found.get(2)).map(|name| name.as_str());
                let value = name.and_then(|name| values.get(name));
                value.cloned().unwrap_or_else(|| format!("${{{}}}", name.unwrap_or_default()))
            });
            if with_values == line || with_values.len() > MAX_RECIPE_BYTES {
                break;
            }
            line = with_values.into_owned();
        }
        line
    };
    let recipes = joined.lines().filter_map(|line| line.strip_prefix('\t'));
    let mut script = String::new();
    for line in recipes {
        if script.len() > MAX_CONFIG_FILE_BYTES {
            break;
        }
        script.push_str(&expand(line.trim_start().trim_start_matches(['@', '-', '+'])).replace("$$", "$"));
        script.push('\n');
    }
    script
}

/// Returns the commands of tox's environments, one a line.
fn tox_script(text: &str) -> String {
    let mut is_command = false;
    let mut commands = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with(['#', ';'])) {
        let mut words = line.trim();
        if !line.starts_with([' ', '\t']) {
            let named = line.split_once('=').filter(|_| !line.starts_with('['));
            let name = named.map(|(name, _)| name.trim()).unwrap_or_default();
            is_command = matches!(name, "commands" | "commands_pre" | "commands_post");
            words = named.map(|(_, first)| first.trim()).unwrap_or_default();
        }
        if is_command {
            let factors = words.split_once(": ").filter(|(factors, _)| is_factors(factors));
            let words = factors.map_or(words, |(_, rest)| rest.trim_start());
            let words = words.trim_start_matches(['-', '!']).trim_start();
            let continued = words.strip_suffix('\\').map(|words| format!("{words} "));
            commands.push(continued.unwrap_or_else(|| format!("{words}\n")));
        }
    }
    let script = commands.concat().replace("{toxinidir}/", "").replace("{tox_root}/", "");
    script.replace('{', "${")
}

/// Returns true for the names of environments before a command of tox, as in `py312,lint: ruff check`.
fn is_factors(text: &str) -> bool {
    text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_,.!{} ".contains(letter))
        && !text.trim().contains(' ')
}

/// Returns the commands that sessions of nox run, one a line. Only words that are texts are read.
fn nox_script(text: &str) -> String {
    const WORD: &str = r#"(?:"[^"\\\n]*"|'[^'\\\n]*')"#;
    static WORD_REGEX: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(WORD).ok());
    static RUN: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(&format!(r"\.run(?:_always|_install)?\(\s*({WORD}(?:\s*,\s*{WORD})*)")).ok()
    });
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let code = code.join("\n");
    let runs = RUN.iter().flat_map(|run| run.captures_iter(&code)).filter_map(|found| found.get(1));
    let words_of = |list: &str| -> Vec<String> {
        let words = WORD_REGEX.iter().flat_map(|word| word.find_iter(list));
        words.map(|word| word.as_str().to_owned()).collect()
    };
    runs.map(|list| words_of(list.as_str()).join(" ")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<String> {
        let commands = find_commands(&[path], &|_| Some(text.as_bytes().to_vec()), None);
        let line = |command: &RunCommand| format!("{} {}", command.program, command.words.join(" "));
        commands.iter().map(|command| line(command).trim_end().to_owned()).collect()
    }

    #[test]
    fn finds_commands_of_each_kind_of_automation() {
        let steps = "jobs: {a: {steps: [{run: 'true && ruff check .'}]}}";
        let list = "lint: {script: [pip install ruff, ruff check .]}";
        for (path, text) in [
            (".github/workflows/ci.yml", steps),
            (".gitlab-ci.yml", list),
            ("bitbucket-pipelines.yml", "pipelines: {default: [{step: {script: [ruff check .]}}]}"),
            ("azure-pipelines.yml", "steps: [{script: ruff check .}]"),
            (".travis.yml", "script: ruff check ."),
            (".circleci/config.yml", "jobs: {a: {steps: [{run: {name: x, command: ruff check .}}]}}"),
            ("lefthook.yml", "pre-commit: {commands: {lint: {run: ruff check .}}}"),
            ("Taskfile.yml", "tasks: {lint: {cmds: [ruff check .]}}"),
            ("package.json", r#"{"scripts": {"lint": "true && ruff check ."}}"#),
            ("package.json", r#"{"lint-staged": {"*.py": ["black", "ruff check ."]}}"#),
            ("package.json", r#"{"husky": {"hooks": {"pre-commit": "ruff check ."}}}"#),
            (".lintstagedrc.json", r#"{"*.py": "ruff check ."}"#),
            (".lintstagedrc", "'*.py': ruff check .\n"),
            ("pyproject.toml", "[tool.hatch.envs.default.scripts]\nlint = ['ruff check .']\n"),
            ("pyproject.toml", "[tool.poe.tasks.lint]\ncmd = 'ruff check .'\n"),
            ("tox.toml", "[env.lint]\ncommands = [['ruff', 'check', '.']]\n"),
            (
                "tox.ini",
                "[testenv:lint]\ncommands =\n    # flake8\n    py312: - {envpython} -m ruff check .\n",
            ),
            ("noxfile.py", "    session.run(\n        'ruff', \"check\", \".\",\n        external=True)\n"),
            ("Makefile", "RUFF ?= $(BIN)/ruff # ours\nlint:\n\t@$(RUFF) check .\n"),
            ("GNUmakefile", "lint:\n\t-$(UV) run ruff \\\n\t  check .\n"),
            ("justfile", "lint:\n    @{{python}} -m ruff check .\n"),
            (".husky/pre-commit", "ruff check .\n"),
        ] {
            let found = lines(path, text);
            assert!(found.contains(&"ruff check .".to_owned()), "{path}: {found:?}");
            assert!(is_automation_file(path), "{path}");
        }
    }

    #[test]
    fn skips_texts_that_run_nothing() {
        for (path, text) in [
            (".github/workflows/ci.yml", "on: {push: {paths-ignore: [ruff]}} # ruff check"),
            (".github/workflows/ci.yml", "jobs: {a: {name: ruff, defaults: {run: {shell: ruff}}}}"),
            (".github/workflows/ci.yml", "jobs: {a: {steps: [{uses: ruff/other@v2}]}}"),
            ("package.json", r#"{"name": "ruff", "devDependencies": {"ruff": "1"}, "keywords": ["ruff"]}"#),
            ("tox.ini", "[testenv]\ndeps =\n  ruff\ncommands = true\n[ruff]\nselect = ruff\n"),
            ("noxfile.py", "# session.run('ruff')\nsession.install('ruff')\n"),
            ("Makefile", "ruff: x\n\techo ruff\n# \truff\n"),
            ("pyproject.toml", "[dependency-groups]\nlint = ['ruff']\n[tool.ruff]\n"),
            ("README.md", "ruff check"),
            (".gitlab-ci.yml", "{"),
        ] {
            let found = lines(path, text);
            assert!(!found.iter().any(|line| line.starts_with("ruff")), "{path}: {found:?}");
        }
    }

    #[test]
    fn counts_action_as_program_of_its_name() {
        let found = |action: &str| {
            let text = format!("jobs: {{a: {{steps: [{{uses: '{action}'}}]}}}}");
            lines(".github/workflows/ci.yml", &text).contains(&"gitleaks".to_owned())
        };
        for action in [
            "gitleaks/gitleaks-action@v2",
            "org/gitleaks@v1",
            "docker://x/gitleaks:1.2",
            "o/actions-gitleaks",
        ] {
            assert!(found(action), "{action}");
        }
        assert!(!found("gitleaks/other@v2"), "the owner of an action runs nothing");
    }

    #[test]
    fn sees_commands_of_other_folders() {
        let is_elsewhere = |text: &str| {
            let read = |_: &str| Some(text.as_bytes().to_vec());
            find_commands(&[".github/workflows/ci.yml"], &read, None)
                .iter()
                .all(|command| command.is_elsewhere)
        };
        assert!(is_elsewhere("jobs: {a: {steps: [{run: eslint ., working-directory: web}]}}"));
        assert!(is_elsewhere(
            "jobs: {a: {defaults: {run: {working-directory: web}}, steps: [{run: eslint .}]}}"
        ));
        assert!(!is_elsewhere("jobs: {a: {steps: [{run: eslint ., working-directory: .}]}}"));
    }
}

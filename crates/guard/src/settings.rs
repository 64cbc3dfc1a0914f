//! Reads test settings from files that also contain other settings, such as package manifests, `tox.ini` and
//! a Makefile.
//!
//! Each file is parsed into settings with a value. A fix must not change or remove an existing setting. A fix
//! may add a setting only if `is_free` is true for this setting.

use std::collections::BTreeMap;

use serde_json::Value;
use truing_core::nesting::is_too_deep;

use super::scan::is_word_byte;
use super::weakening::FindingSubject;

/// One setting that affects how tests run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct TestSetting {
    /// Value of the setting, as text.
    pub value: String,
    /// True if a fix may add this setting.
    pub is_addition_allowed: bool,
}

/// Test settings by their names.
pub(super) type TestSettings = BTreeMap<String, TestSetting>;

/// Substrings that mark a script or a target as one that runs tests, if its name contains them.
const TEST_TARGET_WORDS: &[&str] = &["test", "check", "verify", "spec"];

/// Substrings of commands that run tests.
const TEST_COMMAND_WORDS: &[&str] = &[
    "pytest",
    "unittest",
    "jest",
    "vitest",
    "mocha",
    "playwright",
    "cypress",
    "nextest",
    "cargo test",
    "go test",
    "npm t",
    "tox",
    "nox",
    "ctest",
    "rspec",
];

/// Scripts that npm runs automatically.
const NPM_LIFECYCLE_SCRIPTS: &[&str] = &["prepare", "preinstall", "install", "postinstall", "prepublish"];

/// Prefixes of a dependency's version that show that the dependency does not come from a registry.
const NON_REGISTRY_PREFIXES: &[&str] = &["file:", "link:", "portal:", "npm:", "./", "../", "git", "http"];

/// Keys in a cargo dependency that determine where the dependency comes from.
const DEPENDENCY_SOURCE_KEYS: &[&str] = &["path", "git", "package", "registry"];

/// Returns the test settings of this file. Returns `None` if the file's name is unknown or the file cannot be
/// parsed.
pub(super) fn parse_settings(file_name: &str, text: &str) -> Option<TestSettings> {
    let mut settings = TestSettings::new();
    match file_name {
        "Cargo.toml" | "pyproject.toml" if is_too_deep(text) => return None,
        "Cargo.toml" => add_cargo_settings(&toml::from_str(text).ok()?, &mut settings),
        "pyproject.toml" => add_pyproject_settings(&toml::from_str(text).ok()?, &mut settings),
        "package.json" => add_package_settings(&serde_json::from_str(text).ok()?, &mut settings),
        "deno.json" => {
            let whole: Value = serde_json::from_str(text).ok()?;
            add_table_values(&whole, &["tasks"], &mut settings, |name, _| {
                contains_any(name, TEST_TARGET_WORDS).then_some(true)
            });
            add_table_values(&whole, &["imports"], &mut settings, |_, _| Some(true));
        }
        "tox.ini" | "setup.cfg" => add_ini_sections(text, &mut settings),
        "Makefile" | "makefile" | "GNUmakefile" | "justfile" | "Justfile" | ".justfile" => {
            add_make_targets(text, &mut settings);
        }
        "Taskfile.yml" | "Taskfile.yaml" | "taskfile.yml" | "taskfile.yaml" => {
            add_task_settings(text, &mut settings);
        }
        _ if file_name.ends_with(".mk") || file_name.ends_with(".just") => {
            add_make_targets(text, &mut settings);
        }
        "go.mod" => add_replaced_modules(text, &mut settings),
        _ => return None,
    }
    Some(settings)
}

/// Returns true if a finding concerns this setting. Either the finding's lines contain the setting, or the
/// finding's text quotes the setting's name. A finding on the whole file concerns every setting.
pub(super) fn concerns_setting(
    file_name: &str,
    text: &str,
    setting: &str,
    subjects: &[&FindingSubject],
) -> bool {
    let last =
        setting.trim_matches(['[', ']']).rsplit(['.', ':']).find(|part| !part.is_empty()).unwrap_or(setting);
    let has_word = |text: &str, word: &str| {
        super::scan::occurrences(text, word)
            .any(|at| !text.as_bytes().get(at + word.len()).is_some_and(|byte| is_word_byte(*byte)))
    };
    subjects.iter().any(|subject| {
        let Some((first, end)) = subject.lines else { return true };
        let lines: Vec<&str> = text.lines().collect();
        let from = usize::try_from(first.saturating_sub(1)).unwrap_or(usize::MAX).min(lines.len());
        let to = usize::try_from(end.max(first)).unwrap_or(usize::MAX).min(lines.len());
        let mut setting_lines: Vec<&str> = lines.get(from..to).unwrap_or_default().to_vec();
        // If the finding's lines are inside a target or section, the head line of this target or section is
        // also searched.
        let is_ini = file_name.ends_with(".ini") || file_name.ends_with(".cfg");
        let is_head =
            |line: &&&str| if is_ini { line.starts_with('[') } else { !line.starts_with([' ', '\t', '#']) };
        let is_below = setting_lines.first().is_some_and(|first| is_ini || first.starts_with([' ', '\t']));
        let above =
            lines.get(..from).unwrap_or_default().iter().rev().find(|line| is_head(line) && !line.is_empty());
        setting_lines.extend(above.filter(|_| is_below));
        let quoted = [format!("`{last}`"), format!("`{setting}`"), format!("\"{last}\"")];
        setting_lines
            .iter()
            .any(|line| line.contains(setting) || (!setting.is_empty() && has_word(line_key(line), last)))
            || quoted.iter().any(|quoted| subject.text.contains(&quoted.to_lowercase()))
    })
}

/// Returns the key of a line, before its value.
fn line_key(line: &str) -> &str {
    let bare = line.trim_start_matches(['"', ' ', '\t']);
    bare.split([':', '=', '"']).next().unwrap_or(bare)
}

fn contains_any(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
}

fn add_setting(settings: &mut TestSettings, name: String, value: String, is_addition_allowed: bool) {
    let known =
        settings.entry(name).or_insert_with(|| TestSetting { value: String::new(), is_addition_allowed });
    known.value.push_str(&value);
    known.value.push('\n');
}

/// Adds the value at this path of keys as one setting.
fn add_whole_value(document: &Value, key_path: &[&str], settings: &mut TestSettings) {
    let found = key_path.iter().try_fold(document, |value, key| value.get(key));
    if let Some(value) = found {
        add_setting(settings, key_path.join("."), value.to_string(), false);
    }
}

/// Adds each value of the table at this path of keys as a separate setting. `is_free` returns true if a fix
/// may add the value, and `None` if the value is omitted.
fn add_table_values(
    document: &Value,
    key_path: &[&str],
    settings: &mut TestSettings,
    is_addition_allowed: impl Fn(&str, &Value) -> Option<bool>,
) {
    let found = key_path.iter().try_fold(document, |value, key| value.get(key)).and_then(Value::as_object);
    for (name, value) in found.into_iter().flatten() {
        if let Some(is_free) = is_addition_allowed(name, value) {
            add_setting(settings, format!("{}.{name}", key_path.join(".")), value.to_string(), is_free);
        }
    }
}

fn add_cargo_settings(manifest: &Value, settings: &mut TestSettings) {
    for place in [
        &["test"][..],
        &["lib", "test"],
        &["lib", "doctest"],
        &["lib", "harness"],
        &["lib", "path"],
        &["package", "autotests"],
        &["package", "build"],
        &["profile", "test"],
        &["profile", "dev", "debug-assertions"],
        &["profile", "dev", "overflow-checks"],
        &["profile", "dev", "panic"],
        &["patch"],
        &["replace"],
        &["workspace", "exclude"],
        &["workspace", "default-members"],
    ] {
        add_whole_value(manifest, place, settings);
    }
    let members = manifest.pointer("/workspace/members").and_then(Value::as_array);
    for member in members.into_iter().flatten() {
        add_setting(settings, format!("workspace.members {member}"), String::new(), true);
    }
    let elsewhere = |_: &str, value: &Value| {
        DEPENDENCY_SOURCE_KEYS.iter().any(|key| value.get(key).is_some()).then_some(false)
    };
    add_table_values(manifest, &["dev-dependencies"], settings, elsewhere);
    for (target, _) in manifest.get("target").and_then(Value::as_object).into_iter().flatten() {
        add_table_values(manifest, &["target", target, "dev-dependencies"], settings, elsewhere);
    }
}

fn add_pyproject_settings(manifest: &Value, settings: &mut TestSettings) {
    for place in [
        &["tool", "pytest"][..],
        &["tool", "tox"],
        &["tool", "nox"],
        &["tool", "poe"],
        &["tool", "taskipy"],
        &["tool", "pdm", "scripts"],
        &["tool", "hatch", "envs"],
        &["project", "entry-points", "pytest11"],
        &["tool", "poetry", "plugins", "pytest11"],
    ] {
        add_whole_value(manifest, place, settings);
    }
}

fn add_package_settings(manifest: &Value, settings: &mut TestSettings) {
    for key in ["jest", "mocha", "ava", "vitest", "tap", "babel"] {
        add_whole_value(manifest, &[key], settings);
    }
    add_table_values(manifest, &["imports"], settings, |_, _| Some(true));
    let known = manifest.get("scripts").and_then(Value::as_object);
    add_table_values(manifest, &["scripts"], settings, |name, value| {
        let runs_beside = ["pre", "post"].iter().any(|when| {
            name.strip_prefix(when).is_some_and(|of| known.is_some_and(|known| known.contains_key(of)))
        });
        if runs_beside || NPM_LIFECYCLE_SCRIPTS.contains(&name) {
            return Some(false);
        }
        let command = value.as_str().unwrap_or_default();
        (contains_any(name, TEST_TARGET_WORDS) || contains_any(command, TEST_COMMAND_WORDS)).then_some(true)
    });
    for key in ["dependencies", "devDependencies", "overrides", "resolutions"] {
        add_table_values(manifest, &[key], settings, |_, value| {
            let value = value.as_str().unwrap_or_default();
            NON_REGISTRY_PREFIXES.iter().any(|place| value.starts_with(place)).then_some(false)
        });
    }
}

/// Adds the sections of an INI file that affect tests.
fn add_ini_sections(text: &str, settings: &mut TestSettings) {
    let mut section = "";
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim();
            continue;
        }
        let is_run = matches!(section, "tool:pytest" | "pytest" | "tox" | "aliases" | "unittest")
            || section.starts_with("testenv");
        if is_run || line.contains("pytest11") {
            add_setting(settings, format!("[{section}]"), line.to_owned(), false);
        }
    }
}

/// Substrings in the names of environment variables that compilers, interpreters and test runners read.
const TOOL_VARIABLE_SUBSTRINGS: &[&str] = &[
    "FLAGS",
    "ADDOPTS",
    "_OPTIONS",
    "PYTHON",
    "PYTEST",
    "NODE_",
    "NPM_",
    "GOFLAGS",
    "GOTEST",
    "CARGO_",
    "RUST",
    "JEST",
    "VITEST",
    "MOCHA",
    "LD_PRELOAD",
];

/// Names of variables that make and its shells read.
const MAKE_VARIABLES: &[&str] = &["SHELL", "PATH", "VPATH", "BASH_ENV", "ENV", "export"];

/// Substrings of a name that mark a target that runs checks other than tests.
const CHECK_TARGET_WORDS: &[&str] =
    &["lint", "type", "format", "fmt", "ci", "all", "build", "static", "audit"];

/// Adds targets that run tests, the variables that these targets use, and lines that affect all targets.
fn add_make_targets(text: &str, settings: &mut TestSettings) {
    let mut blocks: Vec<(String, String)> = Vec::new();
    let mut assigned: Vec<(&str, &str)> = Vec::new();
    for line in text.lines() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            if let Some((_, block)) = blocks.last_mut() {
                block.push_str(bare);
                block.push('\n');
            }
            continue;
        }
        let is_word = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        };
        let assignment = bare.split_once('=').map(|(name, value)| {
            let name = name.trim().trim_end_matches([':', '?', '+', '!']).trim();
            (name.rsplit(' ').next().unwrap_or(name), value.trim())
        });
        match (assignment, bare.split_once(':')) {
            _ if bare.starts_with("set ") => {
                add_setting(settings, "the included or set values".to_owned(), bare.to_owned(), false);
            }
            (Some((name, value)), _) if is_word(name) => assigned.push((name, value)),
            (_, Some((target, needs))) => blocks.push((target.trim().to_owned(), format!("{needs}\n"))),
            _ => add_setting(settings, "the included or set values".to_owned(), bare.to_owned(), false),
        }
    }
    // If several targets share a recipe, each target is a separate setting.
    let mut blocks: Vec<(String, String)> = blocks
        .iter()
        .flat_map(|(targets, block)| {
            let names = targets.split_whitespace().map(str::to_owned);
            names.map(|target| (target, block.clone())).collect::<Vec<_>>()
        })
        .collect();
    for (target, block) in &blocks {
        let ignored =
            block.lines().skip(1).filter(|line| line.trim_start_matches(['@', '+', ' ']).starts_with('-'));
        for line in ignored.filter(|_| contains_any(target, CHECK_TARGET_WORDS)) {
            add_setting(settings, format!("ignored errors of {target}"), line.to_owned(), false);
        }
    }
    blocks.retain(|(target, block)| {
        let changes_all = target.starts_with('.') && target != ".PHONY";
        // A target name with variables or patterns may match any target.
        let is_any = target.contains(['$', '%']);
        changes_all
            || is_any
            || contains_any(target, TEST_TARGET_WORDS)
            || contains_any(block, TEST_COMMAND_WORDS)
    });
    for (name, value) in assigned {
        let is_used = blocks.iter().any(|(_, block)| {
            [
                format!("$({name})"),
                format!("${{{name}}}"),
                format!("{{{{{name}}}}}"),
                format!("{{{{ {name} }}}}"),
            ]
            .iter()
            .any(|used| block.contains(used.as_str()))
        });
        let is_read = TOOL_VARIABLE_SUBSTRINGS.iter().any(|part| name.contains(part));
        if is_used || is_read || MAKE_VARIABLES.contains(&name) || name.starts_with('.') {
            add_setting(settings, name.to_owned(), value.to_owned(), false);
        }
    }
    for (target, block) in blocks {
        let is_free = !target.starts_with('.') && !target.contains(['$', '%']);
        add_setting(settings, target, block, is_free);
    }
}

/// Adds tasks that run tests, and the settings that apply to all tasks.
fn add_task_settings(text: &str, settings: &mut TestSettings) {
    let (mut section, mut task) = ("", "");
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')) {
        let indent = line.len() - line.trim_start().len();
        let name = line.trim().split(':').next().unwrap_or_default().trim_matches(['"', '\'']);
        match indent {
            0 => (section, task) = (name, ""),
            1..=4 if section == "tasks" && (task.is_empty() || line.starts_with("  ") && indent == 2) => {
                task = name;
            }
            _ => {}
        }
        if section != "tasks" && section != "version" {
            add_setting(settings, section.to_owned(), line.trim().to_owned(), false);
        } else if contains_any(task, TEST_TARGET_WORDS)
            || (contains_any(task, CHECK_TARGET_WORDS) && line.contains("ignore_error"))
        {
            add_setting(settings, task.to_owned(), line.trim().to_owned(), true);
        }
    }
}

/// Adds the `replace` directives of a Go module.
fn add_replaced_modules(text: &str, settings: &mut TestSettings) {
    let mut is_inside = false;
    for line in text.lines().map(|line| line.split("//").next().unwrap_or_default().trim()) {
        let rest = line.strip_prefix("replace").filter(|rest| rest.starts_with([' ', '(', '\t']));
        match rest.map(str::trim) {
            Some("(") => is_inside = true,
            Some(replaced) => add_setting(settings, "replace".to_owned(), replaced.to_owned(), false),
            None if line == ")" => is_inside = false,
            None if is_inside && !line.is_empty() => {
                add_setting(settings, "replace".to_owned(), line.to_owned(), false);
            }
            None => {}
        }
    }
}

//! Finds the known tools that a repository uses, by signs such as configuration files. Reads from the
//! repository's pre-commit hooks with which options these tools run.

use std::collections::{BTreeMap, BTreeSet};

use truing_core::port::{DetectedTool, DetectedTools, ReaderError, ToolDetectionRequest};
use truing_diff::RepoPath;

use crate::bounds::is_one_line;
use crate::file::FileTree;
use crate::output::known;
use crate::output::known::exclude;
use crate::output::known::hooks::{self, HookUsage, PreCommitHooks};
use crate::output::known::sign::compile_glob;
use crate::output::known::tool::KnownTool;

/// Maximum total size in bytes of two lists of paths: the excluded files and the scripts of all tools.
/// Larger lists do not fit into a response, and are omitted. The defaults in the table of tools then apply.
const MAX_PATH_LISTS_BYTES: usize = 8 << 20;

/// Longest first line of a script, in bytes.
const MAX_SHEBANG_BYTES: usize = 256;

/// Finds the tools that a repository uses, by their signs among the paths of the request.
///
/// # Errors
///
/// [`ReaderError::Failed`] if the tree cannot be opened.
pub(crate) fn find_used_tools(request: &ToolDetectionRequest) -> Result<DetectedTools, ReaderError> {
    let tree = FileTree::open(&request.tree)?;
    let paths: Vec<&str> = request.paths.iter().map(String::as_str).collect();
    let read = |path: &str| tree.read_bytes(&RepoPath::from(path)).ok();
    let hooks = hooks::PRE_COMMIT_CONFIG_FILES.iter().find(|file| paths.contains(file)).map(|file| {
        let bytes =
            tree.read_bytes(&RepoPath::from(*file)).map_err(|reason| reason.as_str().replace('_', " "));
        bytes
            .and_then(|bytes| PreCommitHooks::parse(&bytes))
            .map_err(|reason| format!("{file} cannot be read: {reason}"))
    });
    let (hooks, unread_hooks) = match hooks.transpose() {
        Ok(hooks) => (hooks, None),
        Err(reason) => (None, Some(reason)),
    };
    let mut bytes = 0;
    let scripts = find_scripts(&request.changed_paths, &read);
    let used = known::known_tools().iter().filter_map(|tool| {
        let (_, path) = tool.find_sign(&paths, &read)?;
        let (files, own_scripts) = files_checked_by(tool, &request.changed_paths, &scripts);
        let hook = hooks.as_ref().map(|hooks| hooks.hook_usage(&tool.hook_ids(), &tool.keeps, &files));
        let mut usage = hook.unwrap_or_default();
        let excluded = exclude::select_excluded(&tool.excludes, &read, &files);
        usage.excluded_files.extend(excluded.into_iter().map(str::to_owned));
        usage.excluded_files.sort();
        usage.excluded_files.dedup();
        bytes += usage.excluded_files.iter().map(String::len).sum::<usize>();
        bytes += own_scripts.iter().map(|path| path.len()).sum::<usize>();
        let is_much = bytes > MAX_PATH_LISTS_BYTES;
        if is_much {
            usage.excluded_files.clear();
        }
        let own_scripts = own_scripts.into_iter().filter(|_| !is_much);
        let scripts = own_scripts.map(str::to_owned).collect();
        let HookUsage { args, excluded_files: left_out } = usage;
        // If an option is given twice, the last value applies. The hook's options come last, so they override
        // the other options.
        let args = hooks::filter_args(
            &tool.keeps,
            &[tool.sign_options(&path, &read), tool.table_options(&read), args].concat(),
        );
        let whole = tool.config_selects_files(&path, &read);
        Some(DetectedTool {
            name: tool.name.clone(),
            sign: path,
            args,
            left_out,
            scripts,
            selects_own_files: whole,
        })
    });
    Ok(DetectedTools { tools: used.collect(), unread_hooks })
}

/// Returns the changed files that a tool checks. The second list contains only the scripts among these files.
fn files_checked_by<'a>(
    tool: &KnownTool,
    changed_paths: &'a [String],
    scripts: &BTreeMap<&'a str, String>,
) -> (Vec<&'a str>, Vec<&'a str>) {
    let globs: Vec<_> = tool.paths.iter().filter_map(|glob| compile_glob(glob)).collect();
    let is_looked_at = |path: &str| globs.iter().any(|glob| glob.is_match(path));
    let scripts =
        scripts.iter().filter(|(path, program)| tool.shebang.contains(program) && !is_looked_at(path));
    let scripts: Vec<&str> = scripts.map(|(path, _)| *path).collect();
    let files = changed_paths.iter().map(String::as_str);
    (files.filter(|path| is_looked_at(path) || scripts.contains(path)).collect(), scripts)
}

/// Returns the changed files that have no extension, and whose first line names a program. The value for each
/// file is the program's name without its version.
fn find_scripts<'a>(
    changed_paths: &'a [String],
    read_file: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> BTreeMap<&'a str, String> {
    let has_no_ending = |path: &&str| !path.rsplit('/').next().unwrap_or(path).contains('.');
    let plain = changed_paths.iter().map(String::as_str).filter(has_no_ending);
    plain.filter_map(|path| Some((path, script_interpreter(&read_file(path)?)?))).collect()
}

/// Returns the program that the first line of a script names.
fn script_interpreter(bytes: &[u8]) -> Option<String> {
    let line = bytes.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line.get(..MAX_SHEBANG_BYTES).unwrap_or(line)).ok()?;
    let mut words = line.split_whitespace();
    let name = |word: &'_ str| word.rsplit('/').next().unwrap_or_default().to_owned();
    let mut program = name(words.next()?);
    if program == "env" {
        program = name(words.find(|word| !word.starts_with('-') && !word.contains('='))?);
    }
    // For example, `python3.12` becomes `python`.
    Some(program.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.').to_owned())
}

/// Checks that the response fits the request.
///
/// # Errors
///
/// Returns the name of the invalid part.
pub(crate) fn check_detected_tools(
    request: &ToolDetectionRequest,
    detected: &DetectedTools,
) -> Result<(), &'static str> {
    let DetectedTools { tools: detected, unread_hooks } = detected;
    let is_told =
        |reason: &String| is_one_line(reason) && reason.chars().count() <= hooks::MAX_REASON_CHARS + 100;
    if !unread_hooks.as_ref().is_none_or(is_told) {
        return Err("the reason why the hooks are not known");
    }
    let changed: BTreeSet<&str> = request.changed_paths.iter().map(String::as_str).collect();
    let is_well = |tool: &DetectedTool| {
        let Some(known) = known::known_tools().iter().find(|known| known.name == tool.name) else {
            return false;
        };
        let folder = format!("{}/", tool.sign);
        let named = request.paths.iter().any(|path| *path == tool.sign || path.starts_with(&folder));
        let is_run = hooks::can_come_from_hooks(&tool.args, &tool.left_out, &known.keeps, &changed);
        let is_script = |path: &String| changed.contains(path.as_str()) && !known.shebang.is_empty();
        named
            && is_run
            && tool.scripts.iter().all(is_script)
            && (!tool.selects_own_files || !known.project_command.is_empty())
    };
    let in_order =
        detected.windows(2).all(|pair| matches!(pair, [first, second] if first.name < second.name));
    if in_order && detected.iter().all(is_well) { Ok(()) } else { Err("a tool that is used") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_all_used(files: &[(&str, &str)], changed: &[&str]) -> DetectedTools {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let paths = files.iter().map(|(path, _)| (*path).to_owned()).collect();
        let changed = changed.iter().map(|path| (*path).to_owned()).collect();
        let request = ToolDetectionRequest { tree: folder.path().to_owned(), paths, changed_paths: changed };
        let used = find_used_tools(&request).unwrap();
        assert_eq!(check_detected_tools(&request, &used), Ok(()));
        used
    }

    fn find_for_changed(files: &[(&str, &str)], changed: &[&str]) -> Vec<DetectedTool> {
        let used = find_all_used(files, changed);
        assert_eq!(used.unread_hooks, None);
        used.tools
    }

    fn find_unchanged(files: &[(&str, &str)]) -> Vec<DetectedTool> {
        find_for_changed(files, &[])
    }

    #[test]
    fn tools_are_found_by_what_a_repository_configures() {
        let used = find_unchanged(&[
            ("pyproject.toml", "[tool.ruff]\nline-length = 100\n[tool.mypy]\n"),
            (".github/workflows/ci.yml", "on: push\n"),
            (".semgrep/a.yml", "rules: []\n"),
        ]);
        let words: Vec<_> = used.iter().map(|tool| format!("{}: {}", tool.name, tool.sign)).collect();
        assert_eq!(
            words,
            [
                "actionlint: .github/workflows/ci.yml",
                "mypy: pyproject.toml",
                "ruff: pyproject.toml",
                "semgrep: .semgrep",
            ]
        );
        assert!(
            used.iter()
                .all(|tool| tool.args.is_empty() && tool.left_out.is_empty() && !tool.selects_own_files)
        );
        assert_eq!(find_unchanged(&[("README.md", "ruff\n")]), []);
    }

    #[test]
    fn hooks_say_how_a_tool_is_run_whatever_shows_it() {
        let hooks = "
exclude: ^vendor/
repos:
- repo: https://github.com/codespell-project/codespell
  hooks:
  - id: codespell
    args: ['--write-changes', '--ignore-words-list=inout,te']
    exclude: ^docs/
- repo: https://github.com/astral-sh/ruff-pre-commit
  hooks:
  - {id: ruff-check, args: [--fix, --select, 'E,F', --output-format=github]}
";
        let files = [(".pre-commit-config.yaml", hooks), ("ruff.toml", "")];
        let used = find_for_changed(&files, &["docs/a.md", "src/a.py", "vendor/a.py", "vendor/a.md"]);
        let [codespell, ruff] = used.as_slice() else { panic!("{used:?}") };
        assert_eq!((codespell.name.as_str(), ruff.name.as_str()), ("codespell", "ruff"));
        assert_eq!(codespell.args, ["--ignore-words-list=inout,te"]);
        assert_eq!(codespell.left_out, ["docs/a.md", "vendor/a.md", "vendor/a.py"]);
        assert_eq!(
            (ruff.sign.as_str(), &ruff.args[..]),
            ("ruff.toml", &["--select".into(), "E,F".into()][..])
        );
        assert_eq!(ruff.left_out, ["vendor/a.py"], "it looks at no other file there");
    }

    #[test]
    fn a_file_that_a_tool_does_not_read_of_its_own_accord_is_named_to_it() {
        let args = |files: &[(&str, &str)], name: &str| {
            let used = find_unchanged(files);
            used.iter().find(|tool| tool.name == name).map(|tool| tool.args.join(" ")).unwrap()
        };
        let baseline = [(".secrets.baseline", "{}")];
        assert_eq!(args(&baseline, "detect-secrets"), "--baseline .secrets.baseline");
        let bandit = |files: &[(&str, &str)]| args(files, "bandit");
        assert_eq!(bandit(&[("pyproject.toml", "[tool.bandit]\nskips = []\n")]), "-c pyproject.toml");
        assert_eq!(
            bandit(&[(".bandit", "[bandit]\n"), ("pyproject.toml", "[tool.bandit]\n")]),
            "--ini .bandit"
        );
        let hook = "repos:\n- repo: x\n  hooks:\n  - {id: bandit, args: [-c, lint/b.yml, -ll]}\n";
        let both = [(".pre-commit-config.yaml", hook), ("pyproject.toml", "[tool.bandit]\n")];
        assert_eq!(bandit(&both), "-c pyproject.toml -c lint/b.yml -ll", "the hook's is the last one");
    }

    #[test]
    fn options_of_a_table_that_a_plugin_reads_are_passed() {
        let table = "[tool.flake8]\nmax_line_length = 99\nextend-ignore = ['E203', 'W503']\nexclude = \
             'a,  b'\nper-file-ignores = ['c.py:F401']\noutput-file = 'x'\nselect = true\ncolor = \
             'always'\n";
        let hook = "repos:\n- repo: x\n  hooks:\n  - {id: flake8, args: [--max-line-length=120]}\n";
        let files = [("pyproject.toml", table), (".pre-commit-config.yaml", hook)];
        let used = find_for_changed(&files, &["a/x.py", "c.py"]);
        let [flake8] = used.as_slice() else { panic!("{used:?}") };
        let mut args = flake8.args.clone();
        assert_eq!(args.pop().unwrap(), "--max-line-length=120", "the hook's is the last one");
        args.sort();
        let own = [
            "--exclude=a, b",
            "--extend-ignore=E203,W503",
            "--max-line-length=99",
            "--per-file-ignores=c.py:F401",
        ];
        assert_eq!(args, own);
        assert_eq!(flake8.left_out, ["a/x.py"]);
    }

    #[test]
    fn files_that_the_configuration_leaves_out_are_left_out_beside_those_of_hooks() {
        let hook = "repos:\n- repo: x\n  hooks:\n  - {id: flake8, exclude: ^docs/}\n";
        let files = [(".pre-commit-config.yaml", hook), ("setup.cfg", "[flake8]\nexclude = tests, docs\n")];
        let used = find_for_changed(&files, &["docs/a.py", "src/a.py", "tests/a.md", "tests/a.py"]);
        let left_out: Vec<_> =
            used.iter().map(|tool| (tool.name.as_str(), tool.left_out.join(" "))).collect();
        assert_eq!(left_out, [("flake8", "docs/a.py tests/a.py".to_owned())]);
    }

    #[test]
    fn a_script_without_an_ending_is_known_by_its_first_line() {
        let files = [
            (".shellcheckrc", ""),
            ("ruff.toml", ""),
            ("bin/deploy", "#!/usr/bin/env bash\nset -e\n"),
            ("bin/old", "#! /bin/sh -e\n"),
            ("bin/report", "#!/usr/bin/env -S python3.12 -u\n"),
            ("bin/notes", "bash\n"),
            ("bin/page", "#!/usr/bin/env node\n"),
            ("bin/run.txt", "#!/bin/sh\n"),
            ("bin/run.sh", "#!/bin/sh\n"),
        ];
        let changed: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
        let used = find_for_changed(&files, &changed);
        let scripts: Vec<_> = used.iter().map(|tool| (tool.name.as_str(), tool.scripts.join(" "))).collect();
        assert_eq!(
            scripts,
            [("ruff", "bin/report".to_owned()), ("shellcheck", "bin/deploy bin/old".to_owned())]
        );
    }

    #[test]
    fn a_script_may_be_kept_from_its_linter() {
        let hook = "repos:\n- repo: x\n  hooks:\n  - {id: shellcheck, exclude: ^bin/old$}\n";
        let sign = (".shellcheckrc", "");
        let files =
            [sign, (".pre-commit-config.yaml", hook), ("bin/new", "#!/bin/sh\n"), ("bin/old", "#!/bin/sh\n")];
        let used = find_for_changed(&files, &["bin/new", "bin/old"]);
        let [shellcheck] = used.as_slice() else { panic!("{used:?}") };
        assert_eq!(
            (shellcheck.scripts.as_slice(), shellcheck.left_out.as_slice()),
            (&["bin/new".to_owned(), "bin/old".to_owned()][..], &["bin/old".to_owned()][..])
        );
    }

    #[test]
    fn a_configuration_may_choose_the_files() {
        let whole = |files: &[(&str, &str)]| find_unchanged(files).iter().any(|tool| tool.selects_own_files);
        assert!(whole(&[("pyproject.toml", "[tool.mypy]\nfiles = ['src']\n")]));
        assert!(whole(&[("setup.cfg", "[mypy]\npackages = a\n")]));
        assert!(whole(&[("mypy.ini", "[mypy]\nmodules: a\n")]));
        assert!(whole(&[("pyrightconfig.json", "{\n  // ours\n  \"exclude\": [\"a\"],\n}\n")]));
        assert!(whole(&[("pyproject.toml", "[tool.basedpyright]\ninclude = ['src']\n")]));
        assert!(!whole(&[("pyproject.toml", "[tool.mypy]\nstrict = true\n")]));
        let other = [("mypy.ini", "[mypy]\n"), ("setup.cfg", "[mypy]\nfiles = src\n")];
        assert!(!whole(&other), "mypy reads the first file alone");
    }

    #[test]
    fn an_answer_names_known_tools_and_files_of_the_request_alone() {
        let request = ToolDetectionRequest {
            tree: "/".into(),
            paths: vec!["ruff.toml".into(), "mypy.ini".into()],
            changed_paths: vec!["a.py".into()],
        };
        let tool = |name: &str, sign: &str| DetectedTool {
            name: name.into(),
            sign: sign.into(),
            args: Vec::new(),
            left_out: Vec::new(),
            scripts: Vec::new(),
            selects_own_files: false,
        };
        let ruff = tool("ruff", "ruff.toml");
        let check = |tools: &[DetectedTool], unread: Option<&str>| {
            let used = DetectedTools { tools: tools.to_vec(), unread_hooks: unread.map(str::to_owned) };
            check_detected_tools(&request, &used)
        };
        let run = |args: &[&str], left_out: &[&str]| DetectedTool {
            args: args.iter().map(|word| (*word).to_owned()).collect(),
            left_out: left_out.iter().map(|path| (*path).to_owned()).collect(),
            ..ruff.clone()
        };
        let mypy = DetectedTool { selects_own_files: true, ..tool("mypy", "mypy.ini") };
        let select = "--select=E";
        for well in [ruff.clone(), mypy, run(&[select, "--ignore", "E501", "--preview"], &["a.py"])] {
            assert_eq!(check(std::slice::from_ref(&well), Some("why")), Ok(()), "{well:?}");
        }
        for wrong in [
            tool("rm", "ruff.toml"),
            tool("ruff", "../ruff.toml"),
            run(&["--fix"], &[]),
            run(&["--select=E", "/etc/passwd"], &[]),
            run(&["--select"], &[]),
            run(&["--", "--select=E"], &[]),
            run(&["--select=E\n"], &[]),
            run(&[&format!("--select={}", "E".repeat(hooks::MAX_ARGUMENT_BYTES))], &[]),
            run(&[select; hooks::MAX_ARGUMENTS + 1], &[]),
            run(&[], &["b.py"]),
            DetectedTool { scripts: vec!["bin/other".into()], ..ruff.clone() },
            DetectedTool { scripts: vec!["a.py".into()], ..tool("mypy", "mypy.ini") },
            DetectedTool { selects_own_files: true, ..ruff.clone() },
        ] {
            assert!(check(std::slice::from_ref(&wrong), None).is_err(), "{wrong:?}");
        }
        assert!(check(&[ruff.clone(), ruff], None).is_err());
        assert!(check(&[], Some("two\nlines")).is_err());
    }

    #[test]
    fn a_file_of_hooks_that_cannot_be_read_is_named_and_tools_are_found_by_the_rest() {
        for (hooks, reason) in [
            ("repos: [", ".pre-commit-config.yaml cannot be read: "),
            ("repos: 3\n", ".pre-commit-config.yaml cannot be read: "),
            (&"#".repeat(2 << 20), "bytes"),
        ] {
            let used = find_all_used(&[(".pre-commit-config.yaml", hooks), ("ruff.toml", "")], &["a.py"]);
            let said = used.unread_hooks.unwrap();
            assert!(said.contains(reason), "{said}");
            assert_eq!(used.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["ruff"]);
        }
    }
}

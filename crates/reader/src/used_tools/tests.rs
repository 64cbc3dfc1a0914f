//! Tests of the search for known tools.

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
        used.iter().all(|tool| tool.args.is_empty() && tool.left_out.is_empty() && !tool.selects_own_files)
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
    assert_eq!((ruff.sign.as_str(), &ruff.args[..]), ("ruff.toml", &["--select".into(), "E,F".into()][..]));
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
    assert_eq!(bandit(&[(".bandit", "[bandit]\n"), ("pyproject.toml", "[tool.bandit]\n")]), "--ini .bandit");
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
    let left_out: Vec<_> = used.iter().map(|tool| (tool.name.as_str(), tool.left_out.join(" "))).collect();
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
    assert_eq!(scripts, [("ruff", "bin/report".to_owned()), ("shellcheck", "bin/deploy bin/old".to_owned())]);
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
        ..DetectedTool::default()
    };
    let ruff = tool("ruff", "ruff.toml");
    let check = |tools: &[DetectedTool], unread: Option<&str>| {
        let used = DetectedTools {
            tools: tools.to_vec(),
            unread_hooks: unread.map(str::to_owned),
            ..DetectedTools::default()
        };
        check_detected_tools(&request, &used)
    };
    let run = |args: &[&str], left_out: &[&str]| DetectedTool {
        args: args.iter().map(|word| (*word).to_owned()).collect(),
        left_out: left_out.iter().map(|path| (*path).to_owned()).collect(),
        ..ruff.clone()
    };
    let mypy = DetectedTool { selects_own_files: true, ..tool("mypy", "mypy.ini") };
    let select = "--select=E";
    let pin = |version: &str, file: &str| Some(PinnedVersion { version: version.into(), file: file.into() });
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
        run(&[&format!("--select={}", "E".repeat(known::arguments::MAX_ARGUMENT_BYTES))], &[]),
        run(&[select; known::arguments::MAX_ARGUMENTS + 1], &[]),
        run(&[], &["b.py"]),
        DetectedTool { scripts: vec!["bin/other".into()], ..ruff.clone() },
        DetectedTool { hook_dependencies: vec!["../x".into()], ..ruff.clone() },
        DetectedTool { pinned_version: pin("1\n2", "uv.lock"), ..ruff.clone() },
        DetectedTool { pinned_version: pin("1.2", "/etc/passwd"), ..ruff.clone() },
        DetectedTool { hook_dependencies: vec!["two words".into()], ..ruff.clone() },
        DetectedTool { scripts: vec!["a.py".into()], ..tool("mypy", "mypy.ini") },
        DetectedTool { selects_own_files: true, ..ruff.clone() },
    ] {
        assert!(check(std::slice::from_ref(&wrong), None).is_err(), "{wrong:?}");
    }
    assert!(check(&[ruff.clone(), ruff], None).is_err());
    assert!(check(&[], Some("two\nlines")).is_err());
}

#[test]
fn recognises_every_tool_by_command_that_runs_it() {
    for tool in known::known_tools() {
        let has_subcommand = tool.command.first().filter(|word| !word.starts_with(['-', '{']));
        let subcommand = has_subcommand.map(String::as_str).unwrap_or_default();
        let line = format!("{} {subcommand} src", tool.program);
        let makefile = format!("lint:\n\t@{line}\n");
        let used = find_all_used(&[("Makefile", &makefile)], &[]);
        let expected = if tool.needs_configuration { vec![] } else { vec![tool.name.as_str()] };
        let found: Vec<_> = used.tools.iter().map(|used| used.name.as_str()).collect();
        assert_eq!(found, expected, "{line}");
        assert_eq!(used.unknown_linters.contains(&tool.name), tool.needs_configuration, "{line}");
        let comment = format!("lint:\n\t# {line}\n\techo {line}\n\t{} --version\n", tool.program);
        assert_eq!(find_unchanged(&[("Makefile", &comment)]), [], "{comment}");
    }
}

#[test]
fn recognises_tool_by_subcommand_that_lints() {
    let names = |line: &str| {
        let script = format!("set -e\n{line}\n");
        let used = find_unchanged(&[(".husky/pre-commit", &script)]);
        used.into_iter().map(|tool| tool.name).collect::<Vec<_>>().join(" ")
    };
    for (line, tools) in [
        ("ruff check --fix", "ruff"),
        ("ruff --config x.toml check", "ruff"),
        ("ruff .", "ruff"),
        ("ruff format", "ruff-format"),
        ("ruff format --check .", "ruff-format"),
        ("ruff --version", ""),
        ("npx @biomejs/biome ci .", "biome biome-format"),
        ("biome format .", "biome-format"),
        ("cargo +nightly clippy --all", "clippy"),
        ("cargo build", ""),
        ("golangci-lint fmt", ""),
        ("gitleaks git --staged", "gitleaks"),
        ("go build ./...", ""),
        ("uv run mypy", "mypy"),
        ("npx markdownlint '**/*.md'", "markdownlint-cli2"),
    ] {
        assert_eq!(names(line), tools, "{line}");
    }
}

#[test]
fn takes_over_options_that_all_commands_share() {
    let args = |text: &str| {
        let makefile = ("Makefile", text);
        find_unchanged(&[makefile]).into_iter().map(|tool| tool.args.join(" ")).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(args("a:\n\truff check --select E,F --fix --output-format github src\n"), "--select E,F");
    assert_eq!(
        args("a:\n\tflake8 --max-line-length=99 a\n\tflake8 --max-line-length=99 --ignore E1 b\n"),
        "--max-line-length=99"
    );
    assert_eq!(args("a:\n\tflake8 --config $(CONFIG) a\n"), "", "an unknown value");
    assert_eq!(args("a:\n\tcd b && flake8 --config c.ini a\n"), "", "a file of another folder");
    let hook = "repos:\n- repo: x\n  hooks:\n  - {id: flake8, args: [--max-complexity=3]}\n";
    let files = [(".pre-commit-config.yaml", hook), ("Makefile", "a:\n\tflake8 --ignore=E1\n")];
    let [flake8] = find_unchanged(&files).try_into().unwrap();
    assert_eq!(flake8.args, ["--max-complexity=3"], "those of the hook alone");
}

#[test]
fn recognises_hook_by_its_command() {
    let used = |hook: &str| {
        let text = format!("repos:\n- repo: local\n  hooks:\n  - {hook}\n");
        let used = find_for_changed(&[(".pre-commit-config.yaml", &text)], &["a.py", "docs/b.py"]);
        let line =
            |tool: &DetectedTool| format!("{} [{}] {:?}", tool.name, tool.args.join(" "), tool.left_out);
        used.iter().map(line).collect::<Vec<_>>().join("; ")
    };
    let run = "ruff [--select E] [\"docs/b.py\"]";
    assert_eq!(used("{id: lint, entry: uv run ruff check --select E, exclude: ^docs/}"), run);
    assert_eq!(used("{id: lint, entry: ruff, args: [check, --select, E], exclude: ^docs/}"), run);
    assert_eq!(used("{id: ruff, entry: ./lint.sh, args: [--select, E], exclude: ^docs/}"), run);
    assert_eq!(used("{id: ruff, entry: ruff format}"), "ruff-format [] []");
    assert_eq!(used("{id: lint, entry: ruff check, stages: [manual]}"), "");
}

#[test]
fn names_linters_that_hooks_and_scripts_run() {
    let hook = "repos:\n- repo: x\n  hooks: [{id: black}, {id: a, entry: isort .}, {id: ruff-format}]\n";
    let files = [
        (".pre-commit-config.yaml", hook),
        ("tox.ini", "[testenv]\ncommands = vulture src\ndeps = pydocstyle\n"),
        ("package.json", r#"{"lint-staged": {"*": "prettier --write"}, "prettier": {}}"#),
        (".gitlab-ci.yml", "a: {script: ['phpstan analyse src']}"),
    ];
    let used = find_all_used(&files, &[]);
    assert_eq!(used.unknown_linters, ["phpstan", "vulture"].map(str::to_owned).into());
    let names: Vec<&str> = used.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["black", "isort", "prettier", "ruff-format"]);
}

#[test]
fn prefers_command_to_file_that_tool_could_check() {
    let workflow = "jobs: {a: {steps: [{run: actionlint}]}}";
    let [actionlint] = find_unchanged(&[(".github/workflows/ci.yml", workflow)]).try_into().unwrap();
    assert!(actionlint.is_only_run, "{actionlint:?}");
    let [actionlint] = find_unchanged(&[(".github/workflows/ci.yml", "on: push")]).try_into().unwrap();
    assert!(!actionlint.is_only_run, "{actionlint:?}");
}

#[test]
fn needs_command_in_root_for_tool_with_dependencies() {
    let names = |text: &str| find_unchanged(&[("Makefile", text)]).len();
    assert_eq!(names("a:\n\tcd web && npx eslint .\n"), 0);
    assert_eq!(names("a:\n\tnpx eslint .\n"), 1);
    assert_eq!(names("a:\n\tcd web && shellcheck a.sh\n"), 1);
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

use truing_agent::verify::CommandOutput;
use truing_config::tool::ToolScope;
use truing_core::port::DetectedTool;
use truing_core::verification::CommandEndReason;
use truing_reader::output::known::FILES_PLACEHOLDER;

use super::inspected_files::MAX_BATCH_NAMES_BYTES;
use super::*;

fn used_tool(name: &str, sign: &str) -> DetectedTool {
    let (name, sign) = (name.to_owned(), sign.to_owned());
    DetectedTool { name, sign, ..DetectedTool::default() }
}

fn tool_config(name: &str) -> ToolConfig {
    ToolConfig {
        name: name.into(),
        command: None,
        format: None,
        paths: None,
        condition: ToolCondition::FilesChanged,
        success_exit_codes: None,
        timeout: std::time::Duration::from_secs(7),
        scope: ToolScope::Lines,
    }
}

fn select_one(tools: &[DetectedTool], config: ToolConfig) -> SelectedLinter {
    let mut all = select_linters(tools, &[config]);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn what_a_repository_uses_is_run_as_the_table_says() {
    let all = select_linters(&[used_tool("semgrep", ".semgrep"), used_tool("ruff", "pyproject.toml")], &[]);
    let names: Vec<_> = all.iter().map(|tool| (tool.name.as_str(), tool.output_format.as_str())).collect();
    assert_eq!(names, [("ruff", "ruff-json"), ("semgrep", "semgrep-json")]);
    let semgrep = all.last().unwrap();
    let words = fill_arguments(
        &semgrep.arguments,
        &semgrep.hook_options,
        &["a.py", "@c.py", "-b.py"],
        &semgrep.sign_path,
    );
    assert!(words.ends_with(&["a.py".into(), "./@c.py".into(), "./-b.py".into()]), "{words:?}");
    assert!(words.contains(&".semgrep".to_owned()), "{words:?}");
    assert!(!semgrep.is_configured && semgrep.condition == ToolCondition::FilesChanged);
}

#[test]
fn the_configuration_says_otherwise_adds_and_switches_off() {
    let tools = [used_tool("mypy", "mypy.ini"), used_tool("ruff", "ruff.toml")];
    let never = ToolConfig { condition: ToolCondition::Never, ..tool_config("mypy") };
    let own = ToolConfig {
        command: Some(vec!["make".into(), "lint".into()]),
        format: Some("unix".into()),
        success_exit_codes: Some(vec![0, 2]),
        condition: ToolCondition::Always,
        scope: ToolScope::Files,
        ..tool_config("own")
    };
    let ruff = ToolConfig { paths: Some(vec!["src/**".into()]), ..tool_config("ruff") };
    let all = select_linters(&tools, &[never, own, ruff]);
    let names: Vec<_> = all.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["own", "ruff"]);
    let [own, ruff] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((own.program.as_str(), &own.arguments[..]), ("make", &["lint".to_owned()][..]));
    assert_eq!(
        (own.success_exit_codes.as_slice(), own.condition, own.accepts_unchanged_lines),
        (&[0, 2][..], ToolCondition::Always, true)
    );
    assert!(own.inspects("any/file") && own.is_configured);
    assert!(ruff.inspects("src/a.py") && !ruff.inspects("docs/a.py"));
    assert_eq!((ruff.program.as_str(), ruff.time_limit.as_secs()), ("ruff", 7));
}

#[test]
fn a_command_of_ones_own_is_never_replaced_by_what_the_tree_brings_along() {
    let own = ToolConfig { command: Some(vec!["ruff".into(), "{files}".into()]), ..tool_config("ruff") };
    let own = select_one(&[used_tool("ruff", "ruff.toml")], own);
    assert!(own.install_paths.is_empty(), "{own:?}");
}

#[test]
fn a_hook_says_with_which_options_and_over_which_files_a_tool_runs() {
    let hook = DetectedTool {
        args: vec!["--config=./lint/eslint.js".into()],
        left_out: vec!["docs/a.js".into()],
        ..used_tool("eslint", "eslint.config.js")
    };
    let tools = [hook];
    let all = select_linters(&tools, &[]);
    let eslint = all.first().unwrap();
    assert!(eslint.inspects("src/a.js") && !eslint.inspects("docs/a.js"));
    let words = fill_arguments(&eslint.arguments, &eslint.hook_options, &["a.js"], &eslint.sign_path);
    assert!(words.ends_with(&["--config=./lint/eslint.js".into(), "a.js".into()]), "{words:?}");
    assert!(eslint.is_configured_by("lint/eslint.js"));
    let chosen =
        select_one(&tools, ToolConfig { paths: Some(vec!["docs/**".into()]), ..tool_config("eslint") });
    assert!(chosen.inspects("docs/a.js") && !chosen.hook_options.is_empty());
    let own = ToolConfig { command: Some(vec!["eslint".into(), "{files}".into()]), ..tool_config("eslint") };
    let own = select_one(&tools, own);
    assert!(own.hook_options.is_empty() && own.inspects("docs/a.js"));
}

#[test]
fn a_script_is_looked_at_beside_the_files_that_the_table_names() {
    let script =
        DetectedTool { scripts: vec!["bin/deploy".into()], ..used_tool("shellcheck", ".shellcheckrc") };
    let shellcheck = select_linters(std::slice::from_ref(&script), &[]).remove(0);
    assert!(
        shellcheck.inspects("bin/deploy") && shellcheck.inspects("a.sh") && !shellcheck.inspects("bin/other")
    );
    let kept = DetectedTool { left_out: vec!["bin/deploy".into()], ..script.clone() };
    assert!(!select_linters(&[kept], &[]).remove(0).inspects("bin/deploy"));
    let chosen = ToolConfig { paths: Some(vec!["src/**".into()]), ..tool_config("shellcheck") };
    assert!(
        !select_one(std::slice::from_ref(&script), chosen).inspects("bin/deploy"),
        "the operator chooses"
    );
    let below = select_nested_linters(&[("web".to_owned(), vec![script])], &mut [], &[]);
    assert!(below.iter().any(|tool| tool.inspects("web/bin/deploy") && !tool.inspects("bin/deploy")));
}

#[test]
fn a_tool_whose_configuration_chooses_the_files_is_told_of_none() {
    let mypy = DetectedTool { selects_own_files: true, ..used_tool("mypy", "mypy.ini") };
    let all = select_linters(std::slice::from_ref(&mypy), &[]);
    let tool = all.first().unwrap();
    assert!(
        !tool.arguments.iter().any(|word| word == FILES_PLACEHOLDER)
            && tool.arguments.contains(&"json".to_owned())
    );
    assert_eq!(split_batches(tool, &["a.py", "b.py"]).len(), 1);
    let all = select_linters(&[used_tool("mypy", "mypy.ini")], &[]);
    assert!(all.first().unwrap().arguments.iter().any(|word| word == FILES_PLACEHOLDER));
}

#[test]
fn files_that_configure_a_tool_are_known_by_their_names() {
    let all = select_linters(&[used_tool("eslint", "eslint.config.js")], &[]);
    let eslint = all.first().unwrap();
    for path in ["eslint.config.mjs", ".eslintrc.js", "package.json"] {
        assert!(eslint.is_configured_by(path), "{path}");
    }
    assert!(eslint.is_configured_by("web/.eslintrc.js"), "in whatever folder");
    assert!(!eslint.is_configured_by("src/index.js"));
}

#[test]
fn many_files_are_told_in_several_runs_and_none_twice() {
    let tool = select_one(&[], tool_config("ruff"));
    let names: Vec<String> = (0..3_000).map(|at| format!("folder/of/some/depth/{at:0>40}.py")).collect();
    let files: Vec<&str> = names.iter().map(String::as_str).collect();
    let batches = split_batches(&tool, &files);
    assert!(batches.len() > 1);
    assert!(
        batches
            .iter()
            .all(|batch| batch.iter().map(|name| name.len() + 1).sum::<usize>() <= MAX_BATCH_NAMES_BYTES)
    );
    assert_eq!(batches.concat(), files);
    let whole = select_one(&[], tool_config("clippy"));
    assert_eq!(super::split_batches(&whole, &files).len(), 1, "it looks at the whole project");
    let long = "x".repeat(MAX_BATCH_NAMES_BYTES + 1);
    assert_eq!(super::split_batches(&tool, &[&long, "b.py"]).len(), 2);
}

#[test]
fn a_run_is_whole_only_if_its_end_says_so() {
    let tool = select_one(&[], tool_config("ruff"));
    let ran = |end: CommandEndReason, out: &str| {
        let printout = CommandOutput {
            end_reason: end,
            duration_ms: 1,
            stdout: out.into(),
            stderr: "ruff: \u{1b}[31mbad\u{1b}[0m\n".into(),
            tree_path: "/tree".into(),
        };
        let output = LinterOutput::from_printout(&tool, &printout, &BTreeSet::new()).output;
        output.failure_reason.or(output.unnamed)
    };
    assert_eq!(ran(CommandEndReason::Exit { code: 0 }, "[]"), None);
    assert_eq!(ran(CommandEndReason::Exit { code: 0 }, " \n").unwrap(), "it printed nothing");
    assert_eq!(ran(CommandEndReason::Exit { code: 2 }, "").unwrap(), "exit code 2: ruff: bad");
    assert!(
        ran(CommandEndReason::Exit { code: 1 }, " []\n").unwrap().starts_with("it reported no finding: ")
    );
    assert_eq!(ran(CommandEndReason::Time, "[]").unwrap(), "took too long: ruff: bad");
    assert_eq!(ran(CommandEndReason::NoProgram, "").unwrap(), "cannot be started: ruff: bad");
}

#[test]
fn a_run_that_finds_nothing_may_print_nothing_where_its_format_is_so() {
    let printed = |name: &str, code: u8| {
        let printout = CommandOutput {
            end_reason: CommandEndReason::Exit { code },
            duration_ms: 1,
            stdout: String::new(),
            stderr: String::new(),
            tree_path: "/tree".into(),
        };
        let tool = select_one(&[], tool_config(name));
        let output = LinterOutput::from_printout(&tool, &printout, &BTreeSet::new()).output;
        output.failure_reason.or(output.unnamed)
    };
    for name in ["ast-grep", "codespell", "detect-secrets", "mypy"] {
        assert_eq!(printed(name, 0), None, "{name}");
    }
    assert!(printed("ast-grep", 1).unwrap().starts_with("it reported no finding"));
    assert_eq!(printed("ruff", 0).unwrap(), "it printed nothing");
}

#[test]
fn detect_secrets_is_told_of_a_baseline_where_there_is_one() {
    let run = |used: &[DetectedTool]| {
        let tool = select_one(used, tool_config("detect-secrets"));
        fill_arguments(&tool.arguments, &tool.hook_options, &["a.py"], &tool.sign_path)
    };
    assert_eq!(run(&[]), ["--json", "a.py"]);
    let args = vec!["--baseline".to_owned(), ".secrets.baseline".to_owned()];
    let with = DetectedTool { args, ..used_tool("detect-secrets", ".secrets.baseline") };
    assert_eq!(run(&[with]), ["--json", "--baseline", ".secrets.baseline", "a.py"]);
}

#[test]
fn signs_are_plain_files_of_a_few_folders() {
    let folder = tempfile::tempdir().unwrap();
    for path in ["ruff.toml", ".github/workflows/ci.yml", "deep/er/ruff.toml", ".semgrep/a.yml"] {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("mypy.ini")).unwrap();
    assert_eq!(
        signs::possible_sign_paths(folder.path()),
        [".github/workflows/ci.yml", ".semgrep/a.yml", "ruff.toml"]
    );
}

#[test]
fn a_file_that_a_tool_looks_at_is_a_guess_and_its_own_configuration_is_none() {
    let guessed = |name: &str, sign: &str| select_linters(&[used_tool(name, sign)], &[]).remove(0).is_guessed;
    assert!(guessed("actionlint", ".github/workflows/ci.yml"));
    assert!(!guessed("actionlint", ".github/actionlint.yml"));
    assert!(!guessed("eslint", "eslint.config.js"), "though it looks at that, too");
    assert!(!guessed("clippy", "Cargo.toml"));
}

#[test]
fn signs_below_the_root_are_looked_for_above_changed_files_alone() {
    let folder = tempfile::tempdir().unwrap();
    for path in [
        "a/ruff.toml",
        "a/b/c.py",
        "a/b/.eslintrc.js",
        "other/ruff.toml",
        "node_modules/x/.eslintrc.js",
        "a/.x/ruff.toml",
        "a/d/.pre-commit-config.yaml",
    ] {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    std::os::unix::fs::symlink("a", folder.path().join("link")).unwrap();
    let changed = ["a/b/c.py", "link/b/c.py", "node_modules/x/y.js", "a/.x/y.py", "a/d/e.py", "top.py"];
    let found = signs::folders_with_signs(folder.path(), &changed.map(str::to_owned));
    let found: Vec<_> = found.iter().map(|(folder, signs)| (folder.as_str(), signs.join(" "))).collect();
    assert_eq!(found, [("a", "ruff.toml".to_owned()), ("a/b", ".eslintrc.js".to_owned())]);
}

#[test]
fn a_file_is_looked_at_in_the_nearest_folder_that_configures_the_tool() {
    let below = [
        ("a".to_owned(), vec![used_tool("flake8", ".flake8"), used_tool("ruff", "ruff.toml")]),
        (
            "a/b".to_owned(),
            vec![DetectedTool { left_out: vec!["x.py".into()], ..used_tool("flake8", "setup.cfg") }],
        ),
        ("c".to_owned(), vec![used_tool("yamllint", ".yamllint")]),
    ];
    let mut root = select_linters(&[used_tool("ruff", "ruff.toml")], &[]);
    let tools = select_nested_linters(&below, &mut root, &[tool_config("yamllint")]);
    let names: Vec<_> = tools.iter().map(|tool| (tool.name.as_str(), tool.folder.as_str())).collect();
    assert_eq!(names, [("flake8", "a"), ("flake8", "a/b")], "the root and the configuration have the others");
    let [outer, inner] = tools.as_slice() else { panic!("{tools:?}") };
    assert!(outer.inspects("a/x.py") && !outer.inspects("a/b/y.py") && !outer.inspects("y.py"));
    assert!(inner.inspects("a/b/y.py") && !inner.inspects("a/b/x.py") && !inner.inspects("a/bc/y.py"));
    assert_eq!(inner.relative_path("a/b/y.py"), Some("y.py"));
    assert_eq!(LinterOutput::from_failure(inner, "why").output.left_out, ["a/b/x.py".to_owned()].into());
}

#[test]
fn a_linter_that_the_root_only_runs_is_left_to_the_folder_that_configures_it_if_it_needs_dependencies() {
    let below =
        [("web".to_owned(), vec![used_tool("eslint", "eslint.config.js"), used_tool("ruff", "ruff.toml")])];
    let hook = ".pre-commit-config.yaml";
    let run_by_hook = |name: &str| DetectedTool { is_only_run: true, ..used_tool(name, hook) };
    let mut root = select_linters(&[run_by_hook("eslint"), run_by_hook("ruff")], &[]);
    let tools = select_nested_linters(&below, &mut root, &[]);
    let names: Vec<_> = tools.iter().map(|tool| (tool.name.as_str(), tool.folder.as_str())).collect();
    assert_eq!(names, [("eslint", "web")], "ruff finds the nearest configuration itself");
    let [eslint, ruff] = root.as_slice() else { panic!("{root:?}") };
    assert!(!eslint.inspects("web/a.js") && eslint.inspects("other/a.js") && ruff.inspects("web/a.py"));
    assert!(tools.iter().all(|tool| tool.inspects("web/a.js") && !tool.inspects("other/a.js")));

    let mut own = select_linters(&[used_tool("eslint", "eslint.config.js")], &[]);
    assert_eq!(
        select_nested_linters(&below, &mut own, &[])
            .iter()
            .map(|tool| tool.name.as_str())
            .collect::<Vec<_>>(),
        ["ruff"]
    );
}

use std::os::unix::fs::MetadataExt as _;

use truing_core::port::{ChangedFile, DetectedTool};
use truing_reader::output::known::find_tool;

use super::super::select::select_linters;
use super::*;

fn is_tool_data(tool: &str, path: &str) -> bool {
    may_configure_as_data(find_tool(tool).unwrap(), path)
}

#[test]
fn files_of_the_table_configure_a_linter_and_what_it_looks_at_or_what_only_names_it_does_not() {
    for (tool, path) in [
        ("ruff", "ruff.toml"),
        ("ruff", "a/b/.ruff.toml"),
        ("ruff", "pyproject.toml"),
        ("shellcheck", ".shellcheckrc"),
        ("yamllint", ".yamllint.yml"),
        ("codespell", "setup.cfg"),
        ("semgrep", ".semgrep/own/a.yml"),
        ("semgrep", ".semgrepignore"),
        ("eslint", ".eslintignore"),
        ("markdownlint-cli2", ".markdownlintignore"),
        ("rubocop", ".rubocop_todo.yml"),
        ("gitleaks", ".gitleaksignore"),
        ("ktlint", "app/.editorconfig"),
    ] {
        assert!(is_tool_data(tool, path), "{tool}: {path}");
    }
    for (tool, path) in [
        ("ruff", "a.py"),
        ("ruff", ".pre-commit-config.yaml"),
        ("actionlint", ".github/workflows/ci.yml"),
        ("shellcheck", ".github/workflows/ci.yml"),
        ("yamllint", "a.yml"),
        ("codespell", "README.md"),
    ] {
        assert!(!is_tool_data(tool, path), "{tool}: {path}");
    }
}

#[test]
fn tables_of_others_are_no_part_of_a_linter() {
    let ruff = find_tool("ruff").unwrap();
    let is_same =
        |before: &str, after: &str| tool_lines(ruff, before.as_bytes()) == tool_lines(ruff, after.as_bytes());
    let before =
        "[project]\nname = \"a\"\n[tool.ruff.lint]\nselect = [\"E\"]\n[tool.black]\nline-length = 9\n";
    for (of, by, same) in [
        ("name = \"a\"", "name = \"b\"\nversion = \"1\"", true),
        ("line-length = 9", "line-length = 10", true),
        (
            "[tool.black]",
            "[tool.pytest.ini_options]\nx = 1\n[[tool.mypy.overrides]]\ny = 1\n[tool.black]",
            true,
        ),
        ("select", "ignore", false),
        ("[project]", "tool.ruff.ignore = [\"E741\"]\n[project]", false),
        ("[project]", "[tool]\nruff.ignore = [\"E741\"]\n[project]", false),
        ("[project]", "[\"tool\".ruff]\nignore = [\"E741\"]\n[project]", false),
        ("[project]", "[ tool . ruff ]\nignore = [\"E741\"]\n[project]", false),
        ("name = \"a\"", "requires-python = \">=3.8\"", false),
        (
            "select = [\"E\"]",
            "select = [\"E\"]\ncache-dir = \"\"\"\n[project]\n\"\"\"\nignore = [\"E741\"]",
            false,
        ),
        ("name = \"a\"", "name = \"a\"\n  [tool.ruff]\n  ignore = [\"E741\"]", false),
        ("name = \"a\"", "name = \"a\"\r[tool.ruff]\rignore = [\"E741\"]", false),
        ("[tool.ruff.lint]\nselect = [\"E\"]\n", "", false),
    ] {
        assert_eq!(is_same(before, &before.replacen(of, by, 1)), same, "{by}");
    }
    let codespell = find_tool("codespell").unwrap();
    let ini = |text: &str| tool_lines(codespell, text.as_bytes()).unwrap().join("\n");
    assert_eq!(ini("[metadata]\nname = a\n[codespell]\nskip = b\n"), "[codespell]\nskip = b");
    let before = "[codespell]\nskip =\n  b\n";
    let hidden = "[codespell]\nskip =\n  b\n  [metadata]\nignore-words-list = teh\n";
    assert_ne!(ini(before), ini(hidden));
    assert!(is_shared_config_file(ruff, "pyproject.toml") && !is_shared_config_file(ruff, "ruff.toml"));
    assert!(
        is_shared_config_file(codespell, "setup.cfg") && !is_shared_config_file(codespell, ".codespellrc")
    );
}

#[test]
fn a_folder_has_other_files_for_some_and_no_links() {
    let (head, base, both) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let write = |folder: &Path, path: &str, text: &str| {
        let file = folder.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    write(head.path(), "src/a.py", "a");
    write(head.path(), "ruff.toml", "head");
    write(head.path(), "src/ruff.toml", "new");
    write(base.path(), "ruff.toml", "base");
    write(base.path(), "gone/ruff.toml", "gone");
    std::os::unix::fs::symlink("/etc/passwd", head.path().join("link")).unwrap();
    let replaced = ["ruff.toml", "src/ruff.toml", "gone/ruff.toml"].map(PathBuf::from).into();
    link_files(head.path(), both.path(), &replaced).unwrap();
    link_files(base.path(), both.path(), &BTreeSet::new()).unwrap();
    let read = |path: &str| std::fs::read_to_string(both.path().join(path)).ok();
    assert_eq!(read("ruff.toml").as_deref(), Some("base"));
    assert_eq!(read("gone/ruff.toml").as_deref(), Some("gone"));
    assert_eq!((read("src/ruff.toml"), read("link")), (None, None));
    let number = |folder: &Path| folder.join("src/a.py").metadata().unwrap().ino();
    assert_eq!(number(head.path()), number(both.path()), "nothing is copied");
    assert_eq!(std::fs::read_to_string(head.path().join("ruff.toml")).unwrap(), "head");
    assert!(link_files(base.path(), both.path(), &BTreeSet::new()).is_err(), "no file is written over");
}

#[test]
fn a_linter_that_is_new_with_the_change_does_not_look_and_code_is_judged_as_before() {
    let used = |name: &str, sign: &str| DetectedTool {
        name: name.to_owned(),
        sign: sign.to_owned(),
        ..DetectedTool::default()
    };
    let files: Vec<ChangedFile> = ["a.py", "a.sh", ".github/workflows/ci.yml"]
        .iter()
        .map(|path| ChangedFile {
            path: (*path).into(),
            old_path: None,
            added_lines: vec![(1, 1)],
            secrets_only: false,
        })
        .collect();
    let mut of_base =
        select_linters(&[used("codespell", ".codespellrc"), used("ruff", "pyproject.toml")], &[]);
    let of_head = [
        used("actionlint", ".github/workflows/ci.yml"),
        used("flake8", ".flake8"),
        DetectedTool { args: vec!["--ignore=E741".into()], ..used("ruff", "ruff.toml") },
        used("shellcheck", ".shellcheckrc"),
        used("yamllint", ".yamllint"),
        used("hadolint", ".hadolint.yaml"),
    ];
    let folder = Path::new("");
    let touched = [".pre-commit-config.yaml", ".codespellrc"].map(RepoPath::from);
    let files = LinterFiles {
        tree: folder,
        pin_folder: folder,
        project_programs_folder: None,
        changed_files: &files,
        changed_paths: &touched,
        base: None,
        trust: None,
    };
    let LinterDifferences { new_linters: new, base_files: by_base } =
        merge_linters(&mut of_base, select_linters(&of_head, &[]), files);
    assert_eq!(by_base.keys().collect::<Vec<_>>(), ["codespell", "ruff"]);
    let names: Vec<&str> = of_base.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["codespell", "ruff", "actionlint", "flake8"]);
    assert_eq!(of_base.get(1).unwrap().sign_path, "pyproject.toml");
    let new: Vec<String> = new.iter().map(|(name, reason)| format!("{name}: {reason}")).collect();
    assert_eq!(
        new,
        [
            "shellcheck: the base does not use this linter: this change adds .shellcheckrc",
            "yamllint: the base does not use this linter: this change adds .yamllint"
        ]
    );
}

#[test]
fn what_counts_of_the_base_is_noted_with_each_linter() {
    let place =
        BaseConfigFolder { tree: PathBuf::new(), replaced_paths: [".codespellrc", "pyproject.toml"].into() };
    let mut by_base = BaseFilesByLinter::new();
    by_base.entry("codespell".to_owned()).or_default().add(&place, &["pyproject.toml", "a.py"]);
    by_base.entry("ruff".to_owned()).or_default().add(&place, &["a.py"]);
    by_base.insert("shellcheck".to_owned(), BaseConfigFiles::for_indicator_file(".pre-commit-config.yaml"));
    let run = |name: &str| ToolRunResult { name: name.into(), findings: 1, ..ToolRunResult::default() };
    let mut runs = vec![run("ruff"), run("codespell")];
    BaseConfigFiles::record_in_runs(by_base, &mut runs);
    let [ruff, codespell] = runs.as_slice() else { panic!("{runs:?}") };
    assert_eq!((ruff.findings, ruff.base_configuration.len(), &ruff.keeps_open), (1, 2, &None));
    assert_eq!(
        codespell.keeps_open.as_deref(),
        Some("the linter did not read pyproject.toml, which configures the linter")
    );
}

//! The known tools that a repository uses, by the signs in its files, and how its hooks of pre-commit run them.

use std::collections::BTreeSet;

use truing_core::port::{ReaderError, UsedTool, UsedTools, UsedToolsRequest};
use truing_diff::RepoPath;

use crate::bounds::is_one_line;
use crate::file::Tree;
use crate::output::known;
use crate::output::known::hooks::{self, Hooks, Usage};
use crate::output::known::sign::compiled;
use crate::output::known::tool::KnownTool;

/// The most bytes of paths that hooks keep from tools, of all tools: more do not fit into an answer, and are not kept from them.
const MAX_LEFT_OUT_BYTES: usize = 8 << 20;

/// Looks for signs in the files that were named.
///
/// # Errors
/// [`ReaderError::Failed`] if the tree cannot be opened.
pub(crate) fn used_tools(request: &UsedToolsRequest) -> Result<UsedTools, ReaderError> {
    let tree = Tree::open(&request.tree)?;
    let paths: Vec<&str> = request.paths.iter().map(String::as_str).collect();
    let read = |path: &str| tree.bytes(&RepoPath::from(path)).ok();
    let hooks = hooks::FILES.iter().find(|file| paths.contains(file)).map(|file| {
        let bytes = tree.bytes(&RepoPath::from(*file)).map_err(|reason| reason.as_str().replace('_', " "));
        bytes
            .and_then(|bytes| Hooks::parse(&bytes))
            .map_err(|reason| format!("{file} cannot be read: {reason}"))
    });
    let (hooks, unread_hooks) = match hooks.transpose() {
        Ok(hooks) => (hooks, None),
        Err(reason) => (None, Some(reason)),
    };
    let mut bytes = 0;
    let used = known::all().iter().filter_map(|tool| {
        let (_, path) = tool.sign(&paths, &read)?;
        let mut usage = hooks.as_ref().map(|hooks| usage(tool, hooks, &request.changed)).unwrap_or_default();
        bytes += usage.left_out.iter().map(String::len).sum::<usize>();
        if bytes > MAX_LEFT_OUT_BYTES {
            usage.left_out.clear();
        }
        let Usage { args, left_out } = usage;
        let whole = tool.chooses_files(&path, &read);
        Some(UsedTool { name: tool.name.clone(), sign: path, args, left_out, whole })
    });
    Ok(UsedTools { tools: used.collect(), unread_hooks })
}

/// The way in which hooks run a tool over those of the files that it looks at.
fn usage(tool: &KnownTool, hooks: &Hooks, changed: &[String]) -> Usage {
    let globs: Vec<_> = tool.paths.iter().filter_map(|glob| compiled(glob)).collect();
    let is_looked_at = |path: &&str| globs.iter().any(|glob| glob.is_match(path));
    let files: Vec<&str> = changed.iter().map(String::as_str).filter(is_looked_at).collect();
    hooks.usage(&tool.hook_ids(), &tool.keeps, &files)
}

/// Is this an answer to the request?
///
/// # Errors
/// The part that is wrong.
pub(crate) fn check_used(request: &UsedToolsRequest, used: &UsedTools) -> Result<(), &'static str> {
    let UsedTools { tools: used, unread_hooks } = used;
    let is_told = |reason: &String| is_one_line(reason) && reason.chars().count() <= hooks::MAX_REASON + 100;
    if !unread_hooks.as_ref().is_none_or(is_told) {
        return Err("the reason for which hooks are not known");
    }
    let changed: BTreeSet<&str> = request.changed.iter().map(String::as_str).collect();
    let is_well = |tool: &UsedTool| {
        let Some(known) = known::all().iter().find(|known| known.name == tool.name) else { return false };
        let folder = format!("{}/", tool.sign);
        let named = request.paths.iter().any(|path| *path == tool.sign || path.starts_with(&folder));
        let is_run = hooks::is_possible(&tool.args, &tool.left_out, &known.keeps, &changed);
        named && is_run && (!tool.whole || !known.whole.is_empty())
    };
    let in_order = used.windows(2).all(|pair| matches!(pair, [first, second] if first.name < second.name));
    if in_order && used.iter().all(is_well) { Ok(()) } else { Err("a tool that is used") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_of(files: &[(&str, &str)], changed: &[&str]) -> UsedTools {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let paths = files.iter().map(|(path, _)| (*path).to_owned()).collect();
        let changed = changed.iter().map(|path| (*path).to_owned()).collect();
        let request = UsedToolsRequest { tree: folder.path().to_owned(), paths, changed };
        let used = used_tools(&request).unwrap();
        assert_eq!(check_used(&request, &used), Ok(()));
        used
    }

    fn looked_at(files: &[(&str, &str)], changed: &[&str]) -> Vec<UsedTool> {
        let used = all_of(files, changed);
        assert_eq!(used.unread_hooks, None);
        used.tools
    }

    fn looked(files: &[(&str, &str)]) -> Vec<UsedTool> {
        looked_at(files, &[])
    }

    #[test]
    fn tools_are_found_by_what_a_repository_configures() {
        let used = looked(&[
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
        assert!(used.iter().all(|tool| tool.args.is_empty() && tool.left_out.is_empty() && !tool.whole));
        assert_eq!(looked(&[("README.md", "ruff\n")]), []);
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
        let used = looked_at(&files, &["docs/a.md", "src/a.py", "vendor/a.py", "vendor/a.md"]);
        let [codespell, ruff] = used.as_slice() else { panic!("{used:?}") };
        assert_eq!((codespell.name.as_str(), ruff.name.as_str()), ("codespell", "ruff"));
        assert_eq!(codespell.args, ["--ignore-words-list=inout,te"]);
        assert_eq!(codespell.left_out, ["docs/a.md", "vendor/a.py", "vendor/a.md"]);
        assert_eq!(
            (ruff.sign.as_str(), &ruff.args[..]),
            ("ruff.toml", &["--select".into(), "E,F".into()][..])
        );
        assert_eq!(ruff.left_out, ["vendor/a.py"], "it looks at no other file there");
    }

    #[test]
    fn a_configuration_may_choose_the_files() {
        let whole = |files: &[(&str, &str)]| looked(files).iter().any(|tool| tool.whole);
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
        let request = UsedToolsRequest {
            tree: "/".into(),
            paths: vec!["ruff.toml".into(), "mypy.ini".into()],
            changed: vec!["a.py".into()],
        };
        let tool = |name: &str, sign: &str| UsedTool {
            name: name.into(),
            sign: sign.into(),
            args: Vec::new(),
            left_out: Vec::new(),
            whole: false,
        };
        let ruff = tool("ruff", "ruff.toml");
        let check = |tools: &[UsedTool], unread: Option<&str>| {
            let used = UsedTools { tools: tools.to_vec(), unread_hooks: unread.map(str::to_owned) };
            check_used(&request, &used)
        };
        let run = |args: &[&str], left_out: &[&str]| UsedTool {
            args: args.iter().map(|word| (*word).to_owned()).collect(),
            left_out: left_out.iter().map(|path| (*path).to_owned()).collect(),
            ..ruff.clone()
        };
        let mypy = UsedTool { whole: true, ..tool("mypy", "mypy.ini") };
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
            UsedTool { whole: true, ..ruff.clone() },
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
            let used = all_of(&[(".pre-commit-config.yaml", hooks), ("ruff.toml", "")], &["a.py"]);
            let said = used.unread_hooks.unwrap();
            assert!(said.contains(reason), "{said}");
            assert_eq!(used.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["ruff"]);
        }
    }
}

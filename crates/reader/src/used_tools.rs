//! The known tools that a repository uses, by the signs in its files.

use truing_core::port::{ReaderError, UsedTool, UsedToolsRequest};
use truing_diff::RepoPath;

use crate::file::Tree;
use crate::output::known;

/// The most bytes of a sign in words.
const MAX_WORDS_BYTES: usize = 5_000;

/// Looks for signs in the files that were named.
///
/// # Errors
/// [`ReaderError::Failed`] if the tree cannot be opened.
pub(crate) fn used_tools(request: &UsedToolsRequest) -> Result<Vec<UsedTool>, ReaderError> {
    let tree = Tree::open(&request.tree)?;
    let paths: Vec<&str> = request.paths.iter().map(String::as_str).collect();
    let read = |path: &str| tree.bytes(&RepoPath::from(path)).ok();
    let used = known::all().iter().filter_map(|tool| {
        let (sign, path) = tool.sign(&paths, &read)?;
        Some(UsedTool { name: tool.name.clone(), shown_by: sign.reason(&path), sign: path })
    });
    Ok(used.collect())
}

/// Is this an answer to the request?
///
/// # Errors
/// The part that is wrong.
pub(crate) fn check_used(request: &UsedToolsRequest, used: &[UsedTool]) -> Result<(), &'static str> {
    let is_well = |tool: &UsedTool| {
        let known = known::all().iter().any(|known| known.name == tool.name);
        let folder = format!("{}/", tool.sign);
        let named = request.paths.iter().any(|path| *path == tool.sign || path.starts_with(&folder));
        let words = tool.shown_by.len() <= MAX_WORDS_BYTES && !tool.shown_by.chars().any(char::is_control);
        known && named && words
    };
    let in_order = used.windows(2).all(|pair| matches!(pair, [first, second] if first.name < second.name));
    if in_order && used.iter().all(is_well) { Ok(()) } else { Err("a tool that is used") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(files: &[(&str, &str)]) -> Vec<UsedTool> {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let paths = files.iter().map(|(path, _)| (*path).to_owned()).collect();
        let request = UsedToolsRequest { tree: folder.path().to_owned(), paths };
        let used = used_tools(&request).unwrap();
        assert_eq!(check_used(&request, &used), Ok(()));
        used
    }

    #[test]
    fn tools_are_found_by_what_a_repository_configures() {
        let used = looked(&[
            ("pyproject.toml", "[tool.ruff]\nline-length = 100\n[tool.mypy]\n"),
            (".github/workflows/ci.yml", "on: push\n"),
            (".semgrep/a.yml", "rules: []\n"),
        ]);
        let words: Vec<_> = used.iter().map(|tool| format!("{}: {}", tool.name, tool.shown_by)).collect();
        assert_eq!(
            words,
            [
                "actionlint: .github/workflows/ci.yml",
                "mypy: pyproject.toml ([tool.mypy])",
                "ruff: pyproject.toml ([tool.ruff])",
                "semgrep: .semgrep",
            ]
        );
        assert_eq!(looked(&[("README.md", "ruff\n")]), []);
    }

    #[test]
    fn an_answer_names_known_tools_and_files_of_the_request_alone() {
        let request = UsedToolsRequest { tree: "/".into(), paths: vec!["ruff.toml".into()] };
        let tool = |name: &str, sign: &str, words: &str| UsedTool {
            name: name.into(),
            sign: sign.into(),
            shown_by: words.into(),
        };
        assert_eq!(check_used(&request, &[tool("ruff", "ruff.toml", "ruff.toml")]), Ok(()));
        for wrong in [
            tool("rm", "ruff.toml", "ruff.toml"),
            tool("ruff", "../ruff.toml", "ruff.toml"),
            tool("ruff", "ruff.toml", "ruff\ntoml"),
        ] {
            assert!(check_used(&request, std::slice::from_ref(&wrong)).is_err(), "{wrong:?}");
        }
        let twice = [tool("ruff", "ruff.toml", ""), tool("ruff", "ruff.toml", "")];
        assert!(check_used(&request, &twice).is_err());
    }
}

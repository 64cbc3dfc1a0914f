//! Finds the files that a project's configuration excludes from a tool. Some tools apply their exclusions
//! only to files that they find themselves, and not to files that are passed as arguments. For such tools,
//! Truing itself applies the exclusions.

use globset::{GlobBuilder, GlobMatcher};
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use truing_core::glob::check_bounds;
use truing_core::nesting::is_too_deep;

use crate::output::known::sign::{self, MAX_CONFIG_FILE_BYTES, find_toml_value, strip_json_comments};

/// Maximum number of patterns of one tool.
const MAX_PATTERNS: usize = 500;
/// Maximum memory of a compiled expression, in bytes.
const MAX_COMPILED_REGEX_BYTES: usize = 1 << 20;

/// A list of excluded files in a configuration file.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExcludeList {
    /// Path of the file from the root of the tree.
    pub file: String,
    /// Key of the list in a TOML, JSON or YAML file, as names separated by dots. If `key` and `section` are
    /// not set, the whole file is the list.
    pub key: Option<String>,
    /// Section of an INI file.
    pub section: Option<String>,
    /// Option in the section of the INI file.
    pub option: Option<String>,
    /// Syntax of the patterns in the list.
    pub form: ExcludeSyntax,
}

/// Syntaxes of exclude patterns. If a pattern matches a folder, all files in the folder are excluded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExcludeSyntax {
    /// Regular expressions, which may match any part of a path from the root. For the match, a slash is added
    /// to the path of a folder.
    Regex,
    /// Regular expressions like [`Self::Regex`], but with a slash before the path. White space in an
    /// expression of several lines has no meaning.
    Rooted,
    /// Globs. A glob with a slash is compared with paths relative to the root, and a glob without a slash
    /// with the names of files and folders. A `*` also matches slashes.
    Paths,
    /// Globs that match a name, or a path relative to the root. The path may begin with `./`.
    Globs,
    /// Globs that begin with `!` and are compared with paths from the root. A `*` does not match a slash.
    Negated,
    /// Lines as in a `.gitignore`.
    Gitignore,
}

/// Returns the files that the lists in these configuration files exclude. Like the tools, uses only one
/// configuration file: the first file that contains the section or the table.
pub fn select_excluded<'a>(
    exclude_rules: &[ExcludeList],
    read_file: &dyn Fn(&str) -> Option<Vec<u8>>,
    files: &[&'a str],
) -> Vec<&'a str> {
    let mut patterns: Vec<ExcludePattern> = Vec::new();
    let mut counts: Option<&str> = None;
    for place in exclude_rules.iter().filter(|_| !files.is_empty()) {
        if counts.is_some_and(|file| file != place.file) {
            break;
        }
        let Some(bytes) = read_file(&place.file).filter(|bytes| bytes.len() <= MAX_CONFIG_FILE_BYTES) else {
            continue;
        };
        let Some(values) = place.read_values(&String::from_utf8_lossy(&bytes)) else { continue };
        counts = Some(&place.file);
        patterns.extend(compile_patterns(place.form, &values));
    }
    files.iter().copied().filter(|file| patterns.iter().any(|pattern| pattern.excludes(file))).collect()
}

impl ExcludeList {
    /// Returns the values in the list, or `None` if the file does not configure the tool.
    fn read_values(&self, text: &str) -> Option<Vec<String>> {
        match (&self.key, &self.section, &self.option) {
            (Some(key), ..) => {
                let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
                let table = read_table(&self.file, text, table)?;
                Some(table.get(name).map(string_values).unwrap_or_default())
            }
            (None, Some(section), Some(option)) => {
                let value = read_option(text, section, option)?;
                Some(vec![value])
            }
            (None, _, _) => Some(vec![text.to_owned()]),
        }
    }
}

/// Returns the table with this name in a TOML, JSON or YAML file. For an empty name, returns the whole file.
fn read_table(file: &str, text: &str, name: &str) -> Option<serde_json::Value> {
    let parts = || name.split('.').filter(|part| !part.is_empty());
    let table = match file.rsplit('.').next() {
        Some("toml") => serde_json::to_value(find_toml_value(text, name)?).ok()?,
        Some("yaml" | "yml") => {
            let value: serde_json::Value =
                (!is_too_deep(text)).then(|| serde_saphyr::from_str(text).ok())??;
            parts().try_fold(value, |value, part| value.get(part).cloned())?
        }
        Some(_) | None => {
            let value: serde_json::Value = serde_json::from_str(&strip_json_comments(text)).ok()?;
            parts().try_fold(value, |value, part| value.get(part).cloned())?
        }
    };
    table.is_object().then_some(table)
}

fn string_values(value: &serde_json::Value) -> Vec<String> {
    let one = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    match value.as_array() {
        Some(all) => all.iter().filter_map(one).collect(),
        None => one(value).into_iter().collect(),
    }
}

/// Returns the value of an option of an INI file with its continuation lines. The value is empty if the
/// section lacks the option. Returns `None` if the file lacks the section.
fn read_option(text: &str, section: &str, option: &str) -> Option<String> {
    let head = format!("[{section}]");
    let (mut is_there, mut is_within, mut is_value) = (false, false, false);
    let mut value: Vec<&str> = Vec::new();
    for line in text.lines() {
        let is_more = line.starts_with([' ', '\t']);
        let words = line.trim();
        if words.is_empty() || words.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with('[') {
            is_within = words == head;
            is_there |= is_within;
            is_value = false;
        } else if is_more && is_value {
            value.push(words);
        } else if is_within && !is_more {
            let named = line.split_once(['=', ':']);
            is_value = named.is_some_and(|(name, _)| name.trim_end().eq_ignore_ascii_case(option));
            value.extend(named.filter(|_| is_value).map(|(_, first)| first.trim()));
        }
    }
    is_there.then(|| value.join("\n"))
}

/// Pattern that excludes files.
enum ExcludePattern {
    Regex(Regex),
    RootedRegex(Regex),
    Paths(GlobMatcher, bool),
    Globs(GlobMatcher),
    Gitignore(Box<Gitignore>),
}

/// Compiles regular expressions. A malformed expression is left out. If `are_lines_verbose`, white space in
/// an expression of several lines is ignored.
fn compile_regexes(values: &[String], are_lines_verbose: bool) -> impl Iterator<Item = Regex> {
    let values = values.iter().filter(|value| !value.trim().is_empty()).take(MAX_PATTERNS);
    values.filter_map(move |value| {
        RegexBuilder::new(value.trim())
            .ignore_whitespace(are_lines_verbose && value.contains('\n'))
            .size_limit(MAX_COMPILED_REGEX_BYTES)
            .build()
            .ok()
    })
}

/// Compiles the patterns in these values. A malformed pattern excludes nothing.
fn compile_patterns(syntax: ExcludeSyntax, values: &[String]) -> Vec<ExcludePattern> {
    let pieces = || values.iter().flat_map(|value| value.split([',', '\n'])).map(str::trim);
    let pieces = || pieces().filter(|piece| !piece.is_empty()).take(MAX_PATTERNS);
    match syntax {
        ExcludeSyntax::Regex => compile_regexes(values, false).map(ExcludePattern::Regex).collect(),
        ExcludeSyntax::Rooted => compile_regexes(values, true).map(ExcludePattern::RootedRegex).collect(),
        ExcludeSyntax::Paths => pieces()
            .filter_map(|piece| {
                let plain = piece.strip_prefix("./").unwrap_or(piece).trim_end_matches('/');
                Some(ExcludePattern::Paths(compile_path_glob(plain)?, piece.contains('/')))
            })
            .collect(),
        ExcludeSyntax::Globs => {
            pieces().filter_map(|piece| Some(ExcludePattern::Globs(compile_path_glob(piece)?))).collect()
        }
        ExcludeSyntax::Negated => {
            let negated = values.iter().filter_map(|value| value.strip_prefix('!')).take(MAX_PATTERNS);
            let globs = negated.filter_map(|value| sign::compile_glob(value.trim_end_matches('/')));
            globs.map(|glob| ExcludePattern::Paths(glob, true)).collect()
        }
        ExcludeSyntax::Gitignore => {
            let mut builder = GitignoreBuilder::new("");
            for line in values.iter().flat_map(|value| value.lines()).take(MAX_PATTERNS) {
                if check_bounds(line).is_ok() {
                    let _ = builder.add_line(None, line);
                }
            }
            builder.build().map(|lines| ExcludePattern::Gitignore(Box::new(lines))).into_iter().collect()
        }
    }
}

/// Compiles a glob in which `*` matches slashes, too.
fn compile_path_glob(text: &str) -> Option<GlobMatcher> {
    check_bounds(text).ok()?;
    Some(GlobBuilder::new(text).literal_separator(false).build().ok()?.compile_matcher())
}

impl ExcludePattern {
    /// Returns true if the pattern excludes the file or a folder above it.
    fn excludes(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(at, _)| at);
        let mut all = ends.filter_map(|at| path.get(..at)).chain(std::iter::once(path));
        let name = |part: &str| part.rsplit('/').next().unwrap_or_default().to_owned();
        match self {
            Self::Regex(expression) => all.any(|part| expression.is_match(&with_folder_slash(part, path))),
            Self::RootedRegex(expression) => {
                all.any(|part| expression.is_match(&format!("/{}", with_folder_slash(part, path))))
            }
            Self::Paths(glob, true) => all.any(|part| glob.is_match(part)),
            Self::Paths(glob, false) => all.any(|part| glob.is_match(name(part))),
            Self::Globs(glob) => {
                glob.is_match(path)
                    || all.any(|part| glob.is_match(name(part)) || glob.is_match(format!("./{part}")))
            }
            Self::Gitignore(lines) => {
                !path.starts_with('/') && lines.matched_path_or_any_parents(path, false).is_ignore()
            }
        }
    }
}

/// Returns a part of a path, with a slash at the end if the part is a folder.
fn with_folder_slash(part: &str, path: &str) -> String {
    if part.len() < path.len() { format!("{part}/") } else { part.to_owned() }
}

#[cfg(test)]
mod tests {
    use crate::output::known::find_tool;

    /// Returns the files that one configuration file excludes from this tool.
    fn excluded_files<'a>(tool: &str, file: &str, text: &str, files: &[&'a str]) -> Vec<&'a str> {
        let read = |path: &str| (path == file).then(|| text.as_bytes().to_vec());
        super::select_excluded(&find_tool(tool).unwrap().excludes, &read, files)
    }

    #[test]
    fn expressions_of_mypy_are_looked_for_in_paths_and_in_those_of_folders() {
        let files = ["src/a.py", "src/tests/b.py", "tests/a.py"];
        let of = |file: &str, text: &str| excluded_files("mypy", file, text, &files);
        assert_eq!(of("pyproject.toml", "[tool.mypy]\nexclude = ['^tests/$']\n"), ["tests/a.py"]);
        assert_eq!(
            of("pyproject.toml", "[tool.mypy]\nexclude = 'tests/'\n"),
            ["src/tests/b.py", "tests/a.py"]
        );
        let verbose = "[mypy]\nstrict = true\nexclude = (?x)(\n    ^src/a\\.py$\n    # those of tests\n    | \
             ^tests/\n    )\n";
        assert_eq!(of("mypy.ini", verbose), ["src/a.py", "tests/a.py"]);
        assert_eq!(of("setup.cfg", "[mypy]\n[other]\nexclude = .\n"), [""; 0]);
        assert_eq!(of("setup.cfg", "[mypy]\nexclude = (?!x)\n"), [""; 0], "it looks around");
    }

    #[test]
    fn expressions_of_black_begin_at_the_root() {
        let files = ["gen/a.py", "src/a.py", "src/gen/b.py", "src/old.py"];
        let of = |text: &str| excluded_files("black", "pyproject.toml", text, &files);
        assert_eq!(of("[tool.black]\nexclude = '^/gen/'\n"), ["gen/a.py"]);
        let lines = "[tool.black]\nextend-exclude = '''\n/(\n    gen\n  | old\\.py\n)\n'''\n";
        assert_eq!(of(lines), ["gen/a.py", "src/gen/b.py", "src/old.py"]);
    }

    #[test]
    fn globs_of_flake8_are_of_names_or_of_paths_from_the_root() {
        let files = ["a/gen/x.py", "src/a.py", "src/a_pb2.py", "src/tests/b.py", "tests/a.py"];
        let of = |text: &str| excluded_files("flake8", ".flake8", text, &files);
        assert_eq!(of("[flake8]\nexclude = tests\n"), ["src/tests/b.py", "tests/a.py"]);
        assert_eq!(of("[flake8]\nexclude = tests/,./src/tests\n"), ["src/tests/b.py", "tests/a.py"]);
        let both =
            "[flake8]\nexclude =\n    *_pb2.py,\n    # what is made\n    */gen\nextend-exclude = ./tests/*\n";
        assert_eq!(of(both), ["a/gen/x.py", "src/a_pb2.py", "tests/a.py"]);
        let read = |path: &str| match path {
            "setup.cfg" => Some(b"[flake8]\nmax-line-length = 9\n".to_vec()),
            ".flake8" => Some(b"[flake8]\nexclude = src\n".to_vec()),
            _ => None,
        };
        let flake8 = find_tool("flake8").unwrap();
        assert_eq!(
            super::select_excluded(&flake8.excludes, &read, &files),
            [""; 0],
            "flake8 reads the first file alone"
        );
    }

    #[test]
    fn globs_of_codespell_are_of_names_and_of_paths_as_it_writes_them() {
        let files = ["a.md", "docs/a.md", "src/po/x.po", "src/x.js.map"];
        let of = |file: &str, text: &str| excluded_files("codespell", file, text, &files);
        assert_eq!(of(".codespellrc", "[codespell]\nskip = *.po, ./docs\n"), ["docs/a.md", "src/po/x.po"]);
        assert_eq!(
            of("pyproject.toml", "[tool.codespell]\nskip = 'docs/*,*.map'\n"),
            ["docs/a.md", "src/x.js.map"]
        );
        assert_eq!(of("setup.cfg", "[codespell]\nskip = po\n"), ["src/po/x.po"]);
        assert_eq!(of(".codespellrc", "[codespell]\nskip = docs/\n"), [""; 0], "nor does codespell");
    }

    #[test]
    fn markdownlint_has_lines_to_ignore_and_globs_that_are_negated() {
        let files = ["README.md", "docs/a.md", "docs/keep/b.md", "web/node_modules/x.md"];
        let ignored = "# ours\nnode_modules\n/docs/*\n!docs/keep\n";
        assert_eq!(
            excluded_files("markdownlint-cli2", ".markdownlintignore", ignored, &files),
            ["docs/a.md", "web/node_modules/x.md"]
        );
        let globs = "{\n  // ours\n  \"globs\": [\"**/*.md\", \"!docs\", \"!**/node_modules/**\"],\n}\n";
        assert_eq!(
            excluded_files("markdownlint-cli2", ".markdownlint-cli2.jsonc", globs, &files),
            ["docs/a.md", "docs/keep/b.md", "web/node_modules/x.md"]
        );
        let yaml = "globs: ['*.md', '!README.md']\n";
        assert_eq!(
            excluded_files("markdownlint-cli2", ".markdownlint-cli2.yaml", yaml, &files),
            ["README.md"]
        );
    }

    #[test]
    fn names_that_pylint_ignores_are_left_out() {
        let files = ["src/a.py", "src/gen/b.py"];
        let text = "[tool.pylint.main]\nignore = ['gen', 'CVS']\n";
        assert_eq!(excluded_files("pylint", "pyproject.toml", text, &files), ["src/gen/b.py"]);
        assert_eq!(
            excluded_files("pylint", ".pylintrc", "[MASTER]\nignore=CVS,gen\n", &files),
            ["src/gen/b.py"]
        );
    }
}

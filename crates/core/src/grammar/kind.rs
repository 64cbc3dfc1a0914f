//! Types of flag values and operands, and the check whether a word has a type.

use std::fmt;

use globset::GlobBuilder;
use serde::Deserialize;
use truing_diff::RepoPath;

use crate::glob::check_bounds;

/// Maximum number of digits in a number.
const MAX_DIGITS: usize = 9;

/// Modules of Python that run other code, install packages, write files or use the network.
pub(super) const REFUSED_MODULES: [&str; 48] = [
    "IPython",
    "antigravity",
    "asyncio",
    "bdb",
    "build",
    "cProfile",
    "cgi",
    "code",
    "codeop",
    "compileall",
    "coverage",
    "ctypes",
    "doctest",
    "ensurepip",
    "ftplib",
    "http",
    "idlelib",
    "ipykernel",
    "jupyter",
    "multiprocessing",
    "os",
    "pdb",
    "pip",
    "pipx",
    "profile",
    "pty",
    "pydoc",
    "runpy",
    "setuptools",
    "shutil",
    "site",
    "smtplib",
    "socketserver",
    "sqlite3",
    "subprocess",
    "sys",
    "tarfile",
    "telnetlib",
    "timeit",
    "trace",
    "turtle",
    "twine",
    "uv",
    "venv",
    "virtualenv",
    "webbrowser",
    "xmlrpc",
    "zipapp",
];

/// A type of values or operands.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub enum ValueType {
    /// One of these words.
    OneOf(Vec<String>),
    /// A type with a name.
    Named(NamedType),
}

/// The types with a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NamedType {
    /// A number of decimal digits.
    Number,
    /// A number of at most three decimal digits, not zero.
    #[serde(rename = "small")]
    SmallNumber,
    /// A number with a unit, such as `30s`. Zero is invalid, because programs read zero as no limit.
    Time,
    /// A number of at most three decimal digits with `%`.
    Percent,
    /// One or more names: letters, digits and `_ . , : + - @`, beginning with a letter, a digit or `_`.
    Word,
    /// Any text on one line.
    Text,
    /// A git format for commits: any text without placeholders that make git start `gpg` (`%G?` and similar
    /// placeholders).
    Format,
    /// A path inside the tree and outside any git folder.
    Path,
    /// A path that may begin with `!`.
    Glob,
    /// A path, optionally after `:!` or `:^`, which makes git exclude the path.
    Pathspec,
    /// A Go package as a path, such as `./...`, without a version (`@`).
    Package,
    /// Lines of a file: `FIRST,LAST:FILE` or `:NAME:FILE`.
    Lines,
    /// A path, optionally followed by `::` and the names of tests in this file.
    Test,
    /// A git revision, a range of revisions, a file in a revision, or a path.
    Revision,
    /// One or more targets or tasks of a build: letters, digits and `_ . , : / + -`, beginning with a letter,
    /// a digit, `_`, `.` or `:`. A target must not lead out of the tree or into a `.git` folder.
    Target,
    /// A task of a build, `NAME` or `:PROJECT:NAME`.
    Task,
    /// A tag of tests, or `~` and a tag, which excludes the tests with this tag.
    Tag,
    /// A Python module with tests, one of its classes or functions (`tests.test_a`), or a path that ends with
    /// `.py`. Modules that run other code are invalid, because unittest can call any function of a module
    /// that the word names.
    Module,
    /// Name of a nox session, optionally with parameters in brackets: `tests(django='5.2')`.
    Session,
    /// An expression that selects tests. The expression must not begin with `-`. It must not begin with `@`
    /// either, because the program may replace `@FILE` with the words of a file.
    Expression,
    /// An expression for `dotnet test --filter`, without characters that are special in MSBuild.
    Filter,
    /// Names of test classes and methods, with the wildcards of Maven's Surefire plugin.
    Surefire,
    /// A package name, optionally with a version: `NAME==VERSION`.
    Requirement,
    /// A package name with a version, `NAME==VERSION`.
    #[serde(rename = "pinned")]
    PinnedRequirement,
}

impl ValueType {
    /// Returns true if the value has this type.
    pub fn fits(&self, value: &str) -> bool {
        match self {
            Self::OneOf(words) => words.iter().any(|word| word == value),
            Self::Named(named) => named.fits(value),
        }
    }
}

impl NamedType {
    fn fits(self, value: &str) -> bool {
        match self {
            Self::Number => {
                (1..=MAX_DIGITS).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit())
            }
            Self::SmallNumber => is_small_number(value),
            Self::Time => value.strip_suffix(['s', 'm', 'h', 'x']).is_some_and(is_small_number),
            Self::Percent => is_small_number(value.strip_suffix('%').unwrap_or(value)),
            Self::Word => is_word(value),
            Self::Text => is_text(value),
            Self::Format => is_text(value) && !has_signature_placeholder(value),
            Self::Path => is_path(value),
            Self::Glob => match value.strip_prefix('!') {
                Some(left_out) => is_path(left_out),
                None => is_path(value) && !matches_git_folder(value),
            },
            Self::Pathspec => {
                is_path(value.strip_prefix(":!").or_else(|| value.strip_prefix(":^")).unwrap_or(value))
            }
            Self::Package => is_path(value) && !value.contains('@'),
            Self::Lines => {
                is_text(value)
                    && value.rsplit_once(':').is_some_and(|(lines, path)| !lines.is_empty() && is_path(path))
            }
            Self::Test => is_path(value.split_once("::").map_or(value, |(path, _)| path)),
            Self::Revision => is_revision(value),
            Self::Target => is_target(value),
            Self::Task => {
                value.strip_prefix(':').unwrap_or(value).split(':').all(|name| is_name(name, "_.+-"))
            }
            Self::Tag => is_word(value.strip_prefix('~').unwrap_or(value)),
            Self::Module => is_module(value),
            Self::Session => is_session(value),
            Self::Expression => is_text(value) && !value.is_empty() && !value.starts_with(['@', '-']),
            Self::Filter => {
                value.starts_with(|first: char| first.is_alphanumeric() || "_(".contains(first))
                    && value
                        .chars()
                        .all(|letter| letter.is_alphanumeric() || "_ .,~=!&|()+:-`".contains(letter))
            }
            Self::Surefire => {
                let names = value.strip_prefix('!').unwrap_or(value);
                !names.is_empty()
                    && names.chars().all(|letter| letter.is_alphanumeric() || "_.,*?#+!$-".contains(letter))
            }
            Self::Requirement => is_requirement(value),
            Self::PinnedRequirement => is_requirement(value) && value.contains("=="),
        }
    }
}

fn is_target(value: &str) -> bool {
    let begins = value.starts_with(|first: char| first.is_alphanumeric() || "_.:".contains(first));
    let is_part = |part: &str| part != ".." && !part.eq_ignore_ascii_case(".git");
    begins
        && value.chars().all(|letter| letter.is_alphanumeric() || "_.,:/+-".contains(letter))
        && value.split(['/', ':', ',']).all(is_part)
}

/// Returns true if the value begins with a letter, a digit or `_`, and continues with letters, digits or
/// characters of `extra_chars`.
fn is_name(value: &str, extra_chars: &str) -> bool {
    value.starts_with(|first: char| first.is_alphanumeric() || first == '_')
        && value.chars().all(|letter| letter.is_alphanumeric() || extra_chars.contains(letter))
}

fn is_module(value: &str) -> bool {
    if value.ends_with(".py") {
        return is_path(value);
    }
    let is_refused = value.split('.').next().is_some_and(|first| REFUSED_MODULES.contains(&first));
    !is_refused && value.split('.').all(|name| is_name(name, "_"))
}

/// Returns true for the name of a nox session, optionally followed by parameters in brackets.
fn is_session(value: &str) -> bool {
    let Some(inner) = value.strip_suffix(')') else { return is_word(value) && !value.contains('@') };
    inner.split_once('(').is_some_and(|(name, parameters)| {
        is_word(name)
            && !name.contains('@')
            && parameters.chars().all(|letter| letter.is_alphanumeric() || " _.,='\"+-".contains(letter))
    })
}

/// Returns true for a name and version by the rules of Python packages. `@` and `:` are invalid, because they
/// could form an address.
fn is_requirement(value: &str) -> bool {
    let (name, version) = value.split_once("==").unwrap_or((value, "0"));
    let has = |part: &str, extra_chars: &str| {
        part.bytes().all(|byte| byte.is_ascii_alphanumeric() || extra_chars.contains(char::from(byte)))
    };
    has(name, "._-")
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.ends_with(|last: char| last.is_ascii_alphanumeric())
        && version.starts_with(|first: char| first.is_ascii_digit())
        && has(version, ".!+_-")
}

fn is_text(value: &str) -> bool {
    !value.chars().any(char::is_control)
}

/// Detects git's placeholders for signatures: `%G` and a letter, with an optional `+`, `-` or blank in
/// between. The check does not treat `%%` as an escaped percent sign, so `%%G` counts as a placeholder, too.
fn has_signature_placeholder(format: &str) -> bool {
    format.split('%').skip(1).any(|rest| rest.trim_start_matches(['+', '-', ' ']).starts_with('G'))
}

fn is_small_number(value: &str) -> bool {
    (1..=3).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_digit())
        && value.parse() != Ok(0)
}

fn is_word(value: &str) -> bool {
    let begins = value.starts_with(|first: char| first.is_alphanumeric() || first == '_');
    begins && value.chars().all(|letter| letter.is_alphanumeric() || "_.,:+-@".contains(letter))
}

/// Returns true if a glob matches a `.git` folder. Such a glob makes ripgrep read hidden files.
fn matches_git_folder(value: &str) -> bool {
    if check_bounds(value).is_err() {
        return true;
    }
    // Slashes at both ends are removed. Ripgrep matches a glob without a `/` against names in every folder,
    // so three depths are tested.
    let glob = value.trim_start_matches('/').trim_end_matches('/');
    let built = GlobBuilder::new(glob).literal_separator(true).case_insensitive(true).build();
    built.map_or(true, |glob| {
        let glob = glob.compile_matcher();
        [".git", "a/.git", "a/b/.git"].iter().any(|folder| glob.is_match(folder))
    })
}

/// Returns true for a path inside the tree that no program can mistake for a flag or another special word.
/// Flags (`-`), argument files (`@`), git's magic pathspecs (`:`) and home folders (`~`) are invalid. `.` and
/// a path that begins with `./` are valid.
fn is_path(value: &str) -> bool {
    if value.starts_with(['-', '@', ':', '~']) || value.chars().any(char::is_control) {
        return false;
    }
    let mut parts = value.strip_suffix('/').unwrap_or(value);
    while let Some(rest) = parts.strip_prefix("./") {
        parts = rest;
    }
    parts == "." || RepoPath::from_bytes(parts).is_safe_to_write()
}

/// Returns true if the value contains only characters of revisions, and is not a path that leads out of the
/// tree. Git also accepts a path instead of a revision, and could otherwise compare files outside the tree.
fn is_revision(value: &str) -> bool {
    let letters = |letter: char| letter.is_alphanumeric() || "_-./@^~{}:+#, ".contains(letter);
    // A file in the index: `:0:FILE` up to `:3:FILE`.
    if let Some(staged) = value.strip_prefix(':') {
        return matches!(staged.split_once(':'), Some(("0" | "1" | "2" | "3", path)) if is_path(path));
    }
    // `git~1` is valid: it names the parent of the branch `git`. `git~1/config` is invalid, because on
    // Windows it may be a short name of `.git/config`.
    let has_folders = value.contains('/');
    let is_gits =
        |part: &str| !(part.is_empty() || part == "." || RepoPath::from_bytes(part).is_safe_to_write());
    !value.is_empty()
        && !value.starts_with(['-', '/', '~'])
        && value.chars().all(letters)
        && value.split(['/', ':']).all(|part| part != "..")
        && !value.split(['/', ':']).any(|part| is_gits(part) && (has_folders || !part.contains('~')))
}

impl fmt::Display for ValueType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneOf(words) => write!(out, "one of {}", words.join(", ")),
            Self::Named(named) => out.write_str(match named {
                NamedType::Number => "a number",
                NamedType::SmallNumber => "a number from 1 to 999",
                NamedType::Time => "a time such as `30s`",
                NamedType::Percent => "a percentage",
                NamedType::Word => "a word",
                NamedType::Text => "a line of text",
                NamedType::Format => "a format without signatures (`%G…` starts gpg)",
                NamedType::Path => "a path inside the tree",
                NamedType::Glob => "a glob inside the tree",
                NamedType::Pathspec => "a path inside the tree, or a path to exclude",
                NamedType::Package => "a package inside the tree, without a version",
                NamedType::Lines => "lines of a file inside the tree, `FIRST,LAST:FILE`",
                NamedType::Test => "a test inside the tree",
                NamedType::Revision => "a revision or a path inside the tree",
                NamedType::Target => "a name of a target",
                NamedType::Task => "a task, `NAME` or `:PROJECT:NAME`",
                NamedType::Tag => "a tag, or `~TAG`",
                NamedType::Module => "a module with tests, or a path that ends with `.py`",
                NamedType::Session => "a session, or `NAME(PARAMETERS)`",
                NamedType::Expression => "an expression that begins with neither `@` nor `-`",
                NamedType::Filter => "a filter of letters, digits and `_ . , ~ = ! & | ( ) + : -`",
                NamedType::Surefire => "names of tests with `* ? # , !`",
                NamedType::Requirement => "a package, or `NAME==VERSION`",
                NamedType::PinnedRequirement => "a package with its version, `NAME==VERSION`",
            }),
        }
    }
}

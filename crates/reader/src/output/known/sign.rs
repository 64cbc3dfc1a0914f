//! Searches a repository for signs that it uses a tool. A sign is, for example, a configuration file or a
//! table in a configuration file.

use globset::{GlobBuilder, GlobMatcher};
use serde::Deserialize;
use truing_core::glob::check_bounds;
use truing_core::nesting::{TOO_DEEP_REASON, is_too_deep};

/// Files that list the hooks of pre-commit.
const HOOK_FILES_GLOB: &str = ".pre-commit-config.{yaml,yml}";
/// Maximum number of files that are read for one sign.
const MAX_SIGN_FILES: usize = 50;
/// Maximum size of a file in which a sign is searched for, in bytes. Larger files are ignored.
pub(crate) const MAX_CONFIG_FILE_BYTES: usize = 1 << 20;

/// Sign that a repository uses a tool.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "SignEntry")]
pub enum ToolSign {
    /// Tracked file whose path matches this glob. The glob begins at the root of the tree.
    File(String),
    /// Folder that contains at least one tracked file.
    Folder(String),
    /// Entry within a tracked file.
    #[serde(rename = "Within")]
    FileEntry {
        /// Glob that the path of the file matches. The glob begins at the root of the tree.
        file: String,
        /// Entry that the file must contain.
        #[serde(rename = "what")]
        target: SignTarget,
    },
}

/// Entries that a file can contain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SignTarget {
    /// Table of a TOML file, as names separated by dots.
    Table(String),
    /// Section of an INI file.
    Section(String),
    /// Option in a section of an INI file: the section, the option.
    SectionOption(String, String),
    /// Key as names separated by dots, in a TOML file (if the name ends with `.toml`) or else in a JSON file.
    Key(String),
    /// A text of one or more words that the file must contain.
    WholeWords(String),
    /// Hook of pre-commit, by its id.
    Hook(String),
}

/// Sign in the notation of `tools.toml`. A sign has only `folder`, or only `hook`, or `file` with at most one
/// of `table`, `section`, `key` and `word`. `option` requires `section`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignEntry {
    file: Option<String>,
    table: Option<String>,
    section: Option<String>,
    option: Option<String>,
    key: Option<String>,
    word: Option<String>,
    folder: Option<String>,
    hook: Option<String>,
}

impl TryFrom<SignEntry> for ToolSign {
    type Error = &'static str;

    fn try_from(entry: SignEntry) -> Result<Self, Self::Error> {
        let SignEntry { file, table, section, option, key, word, folder, hook } = entry;
        let section = match (section, option) {
            (Some(section), Some(option)) => Some(SignTarget::SectionOption(section, option)),
            (Some(section), None) => Some(SignTarget::Section(section)),
            (None, None) => None,
            (None, Some(_)) => return Err("`option` needs a `section`"),
        };
        let things = [
            table.map(SignTarget::Table),
            section,
            key.map(SignTarget::Key),
            word.map(SignTarget::WholeWords),
            hook.map(SignTarget::Hook),
        ];
        let mut things = things.into_iter().flatten();
        let sign = match (file, folder, things.next()) {
            (Some(file), None, None) => Self::File(file),
            (None, Some(folder), None) => Self::Folder(folder),
            (None, None, Some(target @ SignTarget::Hook(_))) => {
                Self::FileEntry { file: HOOK_FILES_GLOB.to_owned(), target }
            }
            (Some(file), None, Some(target)) if !matches!(target, SignTarget::Hook(_)) => {
                Self::FileEntry { file, target }
            }
            (_, _, _) => return Err("a sign must be a file, an entry in a file, a folder or a hook"),
        };
        if things.next().is_some() { Err("a sign must name only one entry in a file") } else { Ok(sign) }
    }
}

impl ToolSign {
    /// Searches the tracked files for the sign. Returns the file or folder in which the sign was found. A
    /// sign that is a hook is only found by [`KnownTool::find_sign`](super::tool::KnownTool::find_sign).
    pub fn find_path(
        &self,
        tracked_paths: &[&str],
        read_file: &dyn Fn(&str) -> Option<Vec<u8>>,
    ) -> Option<String> {
        match self {
            Self::File(file) => matching_paths(file, tracked_paths).next().map(str::to_owned),
            Self::Folder(folder) => {
                let is_in = |path: &&&str| {
                    path.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/'))
                };
                tracked_paths.iter().find(is_in).map(|_| folder.clone())
            }
            Self::FileEntry { file, target: what } => {
                let shows = |path: &&str| {
                    let text = read_file(path).filter(|bytes| bytes.len() <= MAX_CONFIG_FILE_BYTES);
                    text.is_some_and(|bytes| what.is_present_in(path, &String::from_utf8_lossy(&bytes)))
                };
                matching_paths(file, tracked_paths).take(MAX_SIGN_FILES).find(shows).map(str::to_owned)
            }
        }
    }

    /// Returns the glob of the sign's file. Returns `None` if the sign is a folder.
    pub fn glob(&self) -> Option<&str> {
        match self {
            Self::File(file) | Self::FileEntry { file, .. } => Some(file),
            Self::Folder(_) => None,
        }
    }

    /// Returns the glob of the sign's file if the file configures the tool. A file that only names
    /// the tool does not configure it.
    pub fn configuration_glob(&self) -> Option<&str> {
        match self {
            Self::FileEntry { target: SignTarget::WholeWords(_), .. } => None,
            Self::File(_) | Self::Folder(_) | Self::FileEntry { .. } => self.glob(),
        }
    }

    /// Returns the id of the hook. Returns `None` if the sign is not a hook.
    pub fn hook(&self) -> Option<&str> {
        match self {
            Self::FileEntry { target: SignTarget::Hook(id), .. } => Some(id),
            Self::FileEntry {
                target:
                    SignTarget::Table(_)
                    | SignTarget::Section(_)
                    | SignTarget::SectionOption(_, _)
                    | SignTarget::Key(_)
                    | SignTarget::WholeWords(_),
                ..
            }
            | Self::File(_)
            | Self::Folder(_) => None,
        }
    }
}

impl SignTarget {
    /// Returns true if the text of the file at this path contains the entry.
    fn is_present_in(&self, path: &str, text: &str) -> bool {
        match self {
            Self::Table(name) => find_toml_value(text, name).is_some_and(|value| value.is_table()),
            Self::Section(name) => {
                let section = format!("[{name}]");
                text.lines().any(|line| line.trim_end() == section)
            }
            Self::SectionOption(section, option) => has_option(text, section, option),
            Self::Key(name) if path.ends_with(".toml") => find_toml_value(text, name).is_some(),
            Self::Key(name) => has_json_key(text, name),
            Self::WholeWords(word) => contains_whole_words(text, word),
            // The tool searches its hooks itself, because a hook may run another program.
            Self::Hook(_) => false,
        }
    }
}

/// Returns the tracked files that a glob matches, in their order.
fn matching_paths<'a>(glob: &str, tracked_paths: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let has_pattern = glob.contains(['*', '?', '{', '[']);
    let matcher = if has_pattern { compile_glob(glob) } else { None };
    let name = glob.to_owned();
    tracked_paths.iter().copied().filter(move |path| match &matcher {
        Some(matcher) => matcher.is_match(path),
        None => *path == name,
    })
}

/// Compiles a glob in which `*` does not match `/`. Returns `None` if the glob is malformed or too large.
pub fn compile_glob(glob: &str) -> Option<GlobMatcher> {
    check_bounds(glob).ok()?;
    let glob = GlobBuilder::new(glob).literal_separator(true).empty_alternates(true).build().ok()?;
    Some(glob.compile_matcher())
}

/// Parses a TOML text whose author may be hostile.
///
/// # Errors
///
/// Returns the reason why the text cannot be parsed.
pub(crate) fn parse_toml(text: &str) -> Result<toml::Table, String> {
    if is_too_deep(text) {
        return Err(TOO_DEEP_REASON.to_owned());
    }
    text.parse::<toml::Table>().map_err(|error| error.message().to_owned())
}

/// Returns the value of a key in a TOML text. `name` contains the parts of the key, separated by dots.
pub(super) fn find_toml_value(text: &str, name: &str) -> Option<toml::Value> {
    let table = toml::Value::Table(parse_toml(text).ok()?);
    name.split('.').try_fold(&table, |value, name| value.as_table()?.get(name)).cloned()
}

/// Returns true if a section has this option. Lines that begin with a space or a tab are skipped, because
/// they continue the value of the previous option.
fn has_option(text: &str, section: &str, option: &str) -> bool {
    let head = format!("[{section}]");
    let mut is_within = false;
    for line in text.lines() {
        if line.starts_with('[') {
            is_within = line.trim_end() == head;
        } else if is_within && !line.starts_with([' ', '\t']) {
            let name = line.split(['=', ':']).next().filter(|name| name.len() < line.len());
            if name.is_some_and(|name| name.trim_end().eq_ignore_ascii_case(option)) {
                return true;
            }
        }
    }
    false
}

fn has_json_key(text: &str, name: &str) -> bool {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(&strip_json_comments(text)) else {
        return false;
    };
    name.split('.').try_fold(&value, |value, name| value.get(name)).is_some()
}

/// Returns a JSON text without comments and without trailing commas. Configuration files may contain both.
pub(crate) fn strip_json_comments(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    // Position of the last comma. `None` if a character other than whitespace has followed this comma.
    let mut comma = None;
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let length = match letter {
            '"' => json_string_length(rest),
            '/' if rest.starts_with("//") => {
                rest = rest.find('\n').and_then(|end| rest.get(end..)).unwrap_or_default();
                continue;
            }
            '/' if rest.starts_with("/*") => {
                let within = rest.get(2..).unwrap_or_default();
                rest = within.split_once("*/").map(|(_, after)| after).unwrap_or_default();
                continue;
            }
            other => other.len_utf8(),
        };
        match (letter, comma) {
            (',', _) => comma = Some(plain.len()),
            (']' | '}', Some(at)) => {
                plain.replace_range(at..=at, " ");
                comma = None;
            }
            (other, _) if other.is_whitespace() => {}
            (_, _) => comma = None,
        }
        let (piece, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        plain.push_str(piece);
        rest = after;
    }
    plain
}

/// Returns the length in bytes of the JSON string at the beginning of a text, with its quotes.
fn json_string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Returns true if the text contains `word`, and `word` neither begins nor ends within a longer word.
fn contains_whole_words(text: &str, word: &str) -> bool {
    let is_letter = |letter: char| letter.is_alphanumeric() || letter == '-';
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|after| after.chars().next());
        !before.is_some_and(is_letter) && !after.is_some_and(is_letter)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_found_in_files() {
        let toml = "[tool.ruff.lint]\nselect = []\n[tool.black]\n";
        assert!(SignTarget::Table("tool.ruff".into()).is_present_in("a.toml", toml));
        assert!(!SignTarget::Table("tool.mypy".into()).is_present_in("a.toml", toml));
        assert!(!SignTarget::Table("tool.ruff".into()).is_present_in("a", "[tool.ruff"));
        assert!(
            !SignTarget::Table("tool.black.line-length".into())
                .is_present_in("a", "tool.black.line-length = 3")
        );
        assert!(SignTarget::Section("flake8".into()).is_present_in("a", "[metadata]\r\n[flake8]\r\n"));
        assert!(
            !SignTarget::Section("flake8".into()).is_present_in("a", "# [flake8]\n[flake8:local-plugins]\n")
        );
        assert!(
            SignTarget::Key("devDependencies.@biomejs/biome".into())
                .is_present_in("a.json", r#"{"devDependencies":{"@biomejs/biome":"2"}}"#)
        );
        assert!(!SignTarget::Key("eslintConfig".into()).is_present_in("a", "{"));
        assert!(SignTarget::WholeWords("cargo clippy".into()).is_present_in("a", "run: cargo clippy --all"));
        assert!(
            !SignTarget::WholeWords("shellcheck".into()).is_present_in("a", "uses: my-shellcheck-action")
        );
    }

    #[test]
    fn keys_and_options_are_found_in_files() {
        let toml = "[tool.mypy]\nfiles = ['src']\n[tool.mypy.overrides]\n";
        let key = |name: &str| SignTarget::Key(name.into()).is_present_in("pyproject.toml", toml);
        assert!(key("tool.mypy.files") && key("tool.mypy"));
        assert!(!key("tool.mypy.packages") && !key("files"));
        let ini = "[mypy]\nstrict = true\nexclude =\n  files = x\nFiles: src\n[other]\nmodules=a\npackages\n";
        let option = |name: &str, section: &str| {
            SignTarget::SectionOption(section.into(), name.into()).is_present_in("mypy.ini", ini)
        };
        assert!(option("strict", "mypy") && option("files", "mypy") && option("modules", "other"));
        assert!(!option("modules", "mypy") && !option("packages", "other") && !option("files", "other"));
        assert!(
            !SignTarget::SectionOption("mypy".into(), "files".into())
                .is_present_in("a", "[mypy]\n# files = x\n  files = y\n")
        );
    }

    #[test]
    fn json_may_have_comments() {
        let json =
            "// a\n{\"a\": [1, 2,], /* \" */ \"b\": \"// \\\" /*\", // c\n \"include\": {\"é\": 1, }\n,}";
        let key = |name: &str| SignTarget::Key(name.into()).is_present_in("a.json", json);
        assert!(key("include.é") && key("a") && key("b"), "{}", strip_json_comments(json));
        for text in ["/*", "/*/", "//", "\"", "\"\\", ",", ",}", "{\"a\"", "/", "\"é"] {
            strip_json_comments(text);
        }
    }

    #[test]
    fn files_are_matched_from_the_root() {
        let tracked = ["a/ruff.toml", "eslint.config.mjs", ".eslintrc", ".semgrep/a.yml"];
        let none = |_: &str| None;
        assert_eq!(ToolSign::File("ruff.toml".into()).find_path(&tracked, &none), None);
        let found = |glob: &str| ToolSign::File(glob.into()).find_path(&tracked, &none);
        assert_eq!(found("eslint.config.{js,mjs}").as_deref(), Some("eslint.config.mjs"));
        assert_eq!(found(".eslintrc{,.js}").as_deref(), Some(".eslintrc"));
        assert_eq!(
            ToolSign::Folder(".semgrep".into()).find_path(&tracked, &none).as_deref(),
            Some(".semgrep")
        );
        assert_eq!(ToolSign::Folder(".sem".into()).find_path(&tracked, &none), None);
    }
}

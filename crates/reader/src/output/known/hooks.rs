//! Reads the hooks of pre-commit. A hook shows with which arguments a project runs a tool, and which files
//! the project excludes from the tool.
//!
//! Only arguments in an allow-list are used ([`filter_args`]). The allow-list contains arguments that select
//! rules, words, severities, lengths and configuration files. Other arguments are not used, because they
//! change files, change the output format, or load code.

use std::collections::BTreeSet;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use truing_core::line::clean_line;

use crate::output::known::sign::MAX_CONFIG_FILE_BYTES;

/// Files that list hooks. If both files exist, pre-commit reads the first one.
pub const PRE_COMMIT_CONFIG_FILES: [&str; 2] = [".pre-commit-config.yaml", ".pre-commit-config.yml"];
/// Maximum number of arguments that are used.
pub const MAX_ARGUMENTS: usize = 50;
/// Maximum length of an argument, in bytes.
pub const MAX_ARGUMENT_BYTES: usize = 2_000;
/// Maximum number of characters of the message about an unreadable hooks file.
pub const MAX_REASON_CHARS: usize = 300;
/// Maximum memory of a compiled path pattern, in bytes.
const MAX_COMPILED_REGEX_BYTES: usize = 1 << 20;

/// Hooks of a repository.
#[derive(Debug, Default, Deserialize)]
pub struct PreCommitHooks {
    #[serde(default)]
    repos: Vec<HookRepository>,
    files: Option<String>,
    exclude: Option<String>,
}

/// A repository from which hooks are taken.
#[derive(Debug, Deserialize)]
struct HookRepository {
    #[serde(default)]
    hooks: Vec<PreCommitHook>,
}

/// Entry of one hook.
#[derive(Debug, Deserialize)]
struct PreCommitHook {
    id: String,
    #[serde(default)]
    args: Vec<String>,
    files: Option<String>,
    exclude: Option<String>,
    /// False if the hook receives no file names. The tool then selects its files itself, and the hook's
    /// patterns have no effect.
    pass_filenames: Option<bool>,
}

/// The arguments and excluded files with which a project's hooks run a tool.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HookUsage {
    /// Arguments of the hooks that the allow-list contains.
    pub args: Vec<String>,
    /// Files that pre-commit does not pass to any of the tool's hooks.
    pub excluded_files: Vec<String>,
}

impl PreCommitHooks {
    /// Parses a file of hooks.
    ///
    /// # Errors
    ///
    /// The reason why the file cannot be read, in words for people. The hooks of such a file are ignored.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_CONFIG_FILE_BYTES {
            return Err(format!("it has more than {MAX_CONFIG_FILE_BYTES} bytes"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        serde_saphyr::from_str(text).map_err(|error| clean_line(&error.to_string(), MAX_REASON_CHARS))
    }

    /// Returns true if one of the hooks has this id.
    pub(super) fn has_hook(&self, id: &str) -> bool {
        self.repos.iter().flat_map(|repository| &repository.hooks).any(|hook| hook.id == id)
    }

    /// Determines how the hooks with these ids run a tool on these files. Returns the allowed arguments that
    /// all these hooks share, and the files that no hook receives. If no hook has one of the ids, both lists
    /// are empty.
    pub fn hook_usage(&self, ids: &[&str], allow_list: &[String], files: &[&str]) -> HookUsage {
        let all = self.repos.iter().flat_map(|repository| &repository.hooks);
        let hooks: Vec<&PreCommitHook> = all.filter(|hook| ids.contains(&hook.id.as_str())).collect();
        let mut options = hooks.iter().map(|hook| allowed_options(allow_list, &hook.args));
        let Some(mut common) = options.next() else { return HookUsage::default() };
        for other in options {
            common.retain(|option| other.contains(option));
        }
        let everywhere = HookFilter::new(self.files.as_deref(), self.exclude.as_deref());
        let own: Vec<Option<HookFilter>> = hooks
            .iter()
            .map(|hook| match hook.pass_filenames {
                Some(false) => None,
                Some(true) | None => Some(HookFilter::new(hook.files.as_deref(), hook.exclude.as_deref())),
            })
            .collect();
        let is_told = |path: &str| {
            own.iter().any(|own| {
                own.as_ref().is_none_or(|own| own.matches_path(path) && everywhere.matches_path(path))
            })
        };
        let left_out = files.iter().filter(|path| !is_told(path)).map(|path| (*path).to_owned()).collect();
        HookUsage { args: common.concat(), excluded_files: left_out }
    }
}

/// Patterns that select files. A pattern is a regular expression in Python's syntax that may match anywhere
/// in a path.
struct HookFilter {
    files: Option<Regex>,
    exclude: Option<Regex>,
}

impl HookFilter {
    /// Compiles the patterns. A pattern that Rust's regular expressions do not support, such as one with
    /// look-around, is ignored.
    fn new(files: Option<&str>, exclude: Option<&str>) -> Self {
        let compiled =
            |pattern: &str| RegexBuilder::new(pattern).size_limit(MAX_COMPILED_REGEX_BYTES).build().ok();
        Self { files: files.and_then(compiled), exclude: exclude.and_then(compiled) }
    }

    fn matches_path(&self, path: &str) -> bool {
        self.files.as_ref().is_none_or(|files| files.is_match(path))
            && !self.exclude.as_ref().is_some_and(|exclude| exclude.is_match(path))
    }
}

/// Returns the arguments that the allow-list `keeps` permits. An entry of the allow-list that ends with `=`
/// permits an option with a value, which may be the next argument. Any other entry permits an option without
/// a value. Filtering the returned arguments again does not change them.
pub fn filter_args(allow_list: &[String], args: &[String]) -> Vec<String> {
    allowed_options(allow_list, args).concat()
}

/// Returns the allowed arguments as a list of options, each with its value.
fn allowed_options(allow_list: &[String], args: &[String]) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    let mut count = 0;
    let mut words = args.iter().peekable();
    while let Some(word) = words.next() {
        if word == "--" {
            break;
        }
        let option = match option_word_kind(allow_list, word) {
            OptionWordKind::NotAllowed => continue,
            OptionWordKind::CompleteOption => vec![word.clone()],
            OptionWordKind::OptionAwaitingValue => {
                match words.next_if(|next| !next.starts_with('-') || *next == "-") {
                    Some(value) => vec![word.clone(), value.clone()],
                    None => continue,
                }
            }
        };
        if option.iter().all(|word| is_safe_argument(word)) && count + option.len() <= MAX_ARGUMENTS {
            count += option.len();
            found.push(option);
        }
    }
    found
}

/// The classes of words on a command line that the allow-list distinguishes.
enum OptionWordKind {
    /// An option that is permitted, together with any value in the same word.
    CompleteOption,
    /// An option that is permitted and whose value is the next word.
    OptionAwaitingValue,
    /// A word that is not permitted.
    NotAllowed,
}

fn option_word_kind(allow_list: &[String], word: &str) -> OptionWordKind {
    for keep in allow_list {
        let Some(name) = keep.strip_suffix('=') else {
            if keep == word {
                return OptionWordKind::CompleteOption;
            }
            continue;
        };
        if word == name {
            return OptionWordKind::OptionAwaitingValue;
        }
        // `-Lword` is the one-letter option `-L` with the value `word`.
        let is_letter = name.len() == 2 && !name.ends_with('-');
        if word.starts_with(keep.as_str()) || (is_letter && word.starts_with(name)) {
            return OptionWordKind::CompleteOption;
        }
    }
    OptionWordKind::NotAllowed
}

/// Returns true if the word is not too long for an argument and contains no control characters.
fn is_safe_argument(word: &str) -> bool {
    word.len() <= MAX_ARGUMENT_BYTES && !word.chars().any(char::is_control)
}

/// Returns true if the hooks of a tool can result in these arguments and these excluded files.
pub fn can_come_from_hooks(
    args: &[String],
    excluded_files: &[String],
    allow_list: &[String],
    files: &BTreeSet<&str>,
) -> bool {
    filter_args(allow_list, args) == args && excluded_files.iter().all(|path| files.contains(path.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn parse_usage(text: &str, files: &[&str]) -> HookUsage {
        let keeps = words("--ignore-words-list= -L= --check-hidden");
        PreCommitHooks::parse(text.as_bytes()).unwrap().hook_usage(&["codespell"], &keeps, files)
    }

    #[test]
    fn options_of_the_allow_list_are_kept_with_their_values_and_no_others() {
        let keeps = words("--select= -L= --strict -ignore=");
        let same = ["--select=E,F", "--select E,F", "-L te", "-Lte", "--strict -ignore x", "-L -"];
        for args in same {
            assert_eq!(filter_args(&keeps, &words(args)), words(args), "{args}");
        }
        assert_eq!(
            filter_args(&keeps, &words("--fix --select E --strict=1 src -w -q 3")),
            words("--select E")
        );
        assert_eq!(filter_args(&keeps, &words("--select --fix")), words(""), "its value is missing");
        assert_eq!(filter_args(&keeps, &words("--selected=E --strictest")), words(""));
        assert_eq!(filter_args(&keeps, &words("--strict -- --select E")), words("--strict"), "files follow");
        assert_eq!(filter_args(&keeps, &["--select".into(), "a\nb".into()]), words(""));
        assert_eq!(filter_args(&keeps, &[format!("--select={}", "x".repeat(MAX_ARGUMENT_BYTES))]), words(""));
        let many = filter_args(&keeps, &words(&"-L a --strict ".repeat(50)));
        assert_eq!(many.len(), MAX_ARGUMENTS);
        assert_eq!(filter_args(&keeps, &many), many);
    }

    #[test]
    fn a_hook_says_how_a_tool_is_run() {
        let text = "
exclude: ^vendor/
repos:
  - repo: https://github.com/codespell-project/codespell
    rev: v2
    hooks:
      - id: codespell
        args: ['--write-changes', '--ignore-words-list=inout,te']
        files: \\.(md|py)$
        exclude: |
          (?x)^(
            docs/old\\.md  # as it was
            | tests/.*
          )$
  - repo: meta
    hooks: [{ id: check-hooks-apply }]
";
        let files = ["a.md", "a.txt", "docs/old.md", "tests/a.py", "vendor/a.py", "src/vendor/a.py"];
        let usage = parse_usage(text, &files);
        assert_eq!(usage.args, ["--ignore-words-list=inout,te"]);
        assert_eq!(usage.excluded_files, ["a.txt", "docs/old.md", "tests/a.py", "vendor/a.py"]);
    }

    #[test]
    fn a_pattern_that_looks_around_leaves_nothing_out_and_the_others_do() {
        let hook = |more: &str| format!("repos:\n- repo: x\n  hooks:\n  - id: codespell\n{more}");
        let of = |more: &str| parse_usage(&hook(more), &["a.md", "b.md"]).excluded_files;
        assert_eq!(of("    files: ^(?!a)\n"), Vec::<String>::new());
        assert_eq!(of("    files: ^(?!a)\n    exclude: ^b\n"), ["b.md"]);
        assert_eq!(of("    exclude: .\n    pass_filenames: false\n"), Vec::<String>::new());
    }

    #[test]
    fn several_hooks_of_a_tool_have_their_common_arguments_and_all_their_files() {
        let text = "
repos:
  - repo: x
    hooks:
      - { id: codespell, files: '^a', args: [-L, te, --check-hidden] }
      - { id: codespell, files: '^b', args: [--check-hidden] }
      - { id: typos, files: '^c' }
";
        let usage = parse_usage(text, &["a.md", "b.md", "c.md"]);
        assert_eq!(usage.args, ["--check-hidden"]);
        assert_eq!(usage.excluded_files, ["c.md"]);
    }

    #[test]
    fn without_a_hook_nothing_is_said() {
        assert_eq!(parse_usage("exclude: .\nrepos: []\n", &["a.md"]), HookUsage::default());
        assert_eq!(parse_usage("{}", &["a.md"]), HookUsage::default());
    }

    #[test]
    fn a_file_that_is_malformed_too_large_or_too_deep_says_nothing() {
        for text in ["repos: 3", "repos: [", "- a", "repos: [{hooks: [{args: [a]}]}]"] {
            assert!(PreCommitHooks::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(PreCommitHooks::parse(b"repos: []\n# \xff").is_err());
        assert!(
            PreCommitHooks::parse(format!("repos: []\n#{}", "x".repeat(MAX_CONFIG_FILE_BYTES)).as_bytes())
                .is_err()
        );
        for bracket in ["[", "{a: ", "- "] {
            let deep = format!("ci: {}", bracket.repeat((MAX_CONFIG_FILE_BYTES - 10) / bracket.len()));
            assert!(PreCommitHooks::parse(deep.as_bytes()).is_err(), "{bracket}");
        }
        let doubled = "&a [x, x, x, x, x, x, x, x, x, x]".to_owned();
        let bomb = ('b'..='i').fold(format!("a: {doubled}\n"), |text, name| {
            let before = char::from_u32(name as u32 - 1).unwrap();
            format!("{text}{name}: &{name} [{}]\n", vec![format!("*{before}"); 10].join(", "))
        });
        let repos = PreCommitHooks::parse(bomb.as_bytes()).map(|hooks| hooks.repos).unwrap_or_default();
        assert!(repos.is_empty());
    }
}

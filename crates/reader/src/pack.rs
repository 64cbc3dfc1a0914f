//! Parses rule packs. Each rule is a data file, `packs/{pack}/rules/{rule}.toml` or `.yml`. The file's name
//! without its ending is the rule's id: lower-case letters, digits and `-`. A rule's full name is
//! `{pack}/{id}`.
//!
//! # Fields of every rule in TOML
//!
//! * `id`: as above
//! * `kind`: `text`; `secret`, whose matches are never shown; `flow`; `companion`; `size`
//! * `severity`: `P0` to `P2`; `category`: the letter of the defect category, `A` to `J`
//! * `title`: one line; `body`: the reason and the remedy, in Markdown
//! * `paths`, `not_paths`: globs. The rule applies to files that match a glob in `paths` (to every file if
//!   `paths` is missing) and no glob in `not_paths`. A `*` does not match `/`
//! * `parts`: the severity of findings in a part of the repository, or `"off"`: `{ test = "P2", document =
//!   "off" }`. The parts are `test` (in Rust also items after `#[cfg(test)]` and `#[test]`), `fixture` (test
//!   data; its default is the entry for `test`), `document`, `example` and `foreign`, recognised by words in
//!   the path
//! * `enabled`: if `false`, the rule is not used, and only its examples are tested
//! * `linters`: equivalent rules of linters, `["eslint/no-debugger", "ruff/T100"]`: a comment (or an
//!   attribute for `clippy/dbg_macro`) that disables one of them disables this rule, too
//! * `measured`: the rule's results on released code, for the pack's page: the numbers of hits, of files, and
//!   of correct findings
//! * `valid`, `invalid`: examples in which the rule must find nothing, and examples in which it must find
//!   something; [`RulePacks::run_examples`]
//!
//! # Kinds `text` and `secret`
//!
//! * `keywords`: the rule is tried on files that contain one of these, in any ASCII case
//! * `pattern`: a regular expression over the bytes of the whole file. `^` and `$` match at the start and end
//!   of each line; character classes are ASCII. A group named `secret` is the secret part of the match;
//!   without this group, the whole match is the secret. The match of a group named `code` must be in code: in
//!   a file of a built-in language, a match in a string or a comment is ignored
//! * `second_pattern`: a second regular expression with the same groups. Its matches also count, even within
//!   a match of `pattern`. Matches of both expressions on the same lines are one finding
//! * `node`: text only: a kind of syntax node. In a file of a built-in language, a node of this kind must
//!   begin where the group `code` begins
//! * `names`: text only: a regular expression that must match the full name of the group `name` at the
//!   position of the group `code`. The full name is the import that binds the name (`import ipdb as d`:
//!   `d.set_trace` is `ipdb.set_trace`; `import { a } from './b'`: `./b.a`). If the file does not bind the
//!   name, the full name is the name itself. A name that the file defines has no full name
//! * `both_ends`: if `true`, the first and the last line of a match must both be added; otherwise one added
//!   line is enough
//! * `counterpart`: secrets only: a regular expression that identifies test values. A secret is not reported
//!   if its file, or a changed file in the same folder, contains a match. The secret is still reported if a
//!   word of the path (`deploy`, `prod`, `etc` and the like) suggests that the file is used in a running
//!   system
//! * `entropy`: secrets only: the minimum Shannon entropy of the secret, in bits per byte
//! * `allow`: regular expressions; a secret (or the match of a text rule) that matches one is ignored
//! * `fix`: text only, `{ pattern = '…', replacement = '…' }`: the first match of `pattern` on the lines of
//!   the finding is replaced by `replacement`, in which `$1` refers to a group. A group named `part` limits
//!   the replacement to a part of the match. A group named `bound` is a name that the removed text imports:
//!   there is no fix if the file uses this name elsewhere. If the rule has `names`, there is no fix whose
//!   replacement begins with a name that the file defines. A fix is shown as a suggestion if it is validated,
//!   see below
//! * `valid`, `invalid`, `example_path`: whole files, and their path (default `file.txt`). An example is a
//!   text, or `{ text = "…", fixed = "…" }`, in which `fixed` is the text after the suggestions are applied.
//!   Without `fixed`, the rule must suggest nothing
//!
//! In an example of a secret, one letter is written as a TOML escape, because rule files must not contain
//! secrets themselves.
//!
//! # Kind `flow`: use of values in a Python file
//!
//! * `follows`: the kind of use. `contexts`: clients and sessions that are opened but not entered;
//!   `coroutines`: coroutines that are not awaited; `blocking`: blocking calls in coroutines;
//!   `cancellations`: cancellations that a coroutine swallows; `iterations`: asynchronous values in a plain
//!   `for` or `with`; `pieces`: parts of botocore for which aiobotocore has its own version; `callbacks`:
//!   callbacks that may be sync or async; `names`: names of overrides
//! * `valid`, `invalid`, `example_path`: as for text (default path `file.py`)
//!
//! # Kind `companion`: files that change together
//!
//! If a file that the rule applies to has added lines, one of its companions must have changed too. The
//! finding is on the first added line that requires a companion. A companion that changed but is not read
//! (ignored, removed, binary) counts as changed.
//!
//! * `paths`, `not_paths`: as above: the files whose change requires a companion
//! * `added`: a regular expression: only added lines that match it require a companion (default: all do)
//! * `under`: a regular expression. An added line requires a companion only if this expression matches the
//!   nearest line above that ends with `{`
//! * `companions`: paths, not globs; at least one companion must have changed. `x.lock` is in the file's
//!   folder or in any folder above; `/a/x.py` is a path from the root
//! * `companion_added`: a regular expression: an added line of the companion must match it
//! * `companion_holds`: texts in which `$1` or `${name}` refers to a group of `added`. A line does not
//!   require a change if a companion, changed or not, contains one of these texts
//! * `unless_holds`: texts as in `companion_holds`. A line does not require a change if its own file contains
//!   one of these texts
//! * `above_holds`: texts in which `${folder}` is the path of the file's folder relative to the companion's
//!   folder. A companion in a folder above counts only if it contains one of these texts
//! * `even_if_missing`: if `true`, the rule also applies if no companion exists (default `false`)
//! * `overrides`: if `true` (default `false`), the companion is a table of Python tuples `(Class.method, …)`
//!   or `(function, …)`, one for each overridden method or function. If an added line of code (not a comment,
//!   not a docstring) is in an override with an entry, this entry must have an added line that
//!   `companion_added` matches. `added`, if present, applies in addition
//! * `pieces`: methods, as `Class.method`. An added `def` or `async def` that overrides one of these methods
//!   also requires a companion. The names of its class and of the class's bases determine which methods it
//!   overrides
//! * `named`: if `true` (default `false`), a changed companion must also contain the name, followed by `,` or
//!   `:`, of each function whose added head requires the companion
//! * `valid`, `invalid`: changes: `{ changed = { "a.toml" = "text" }, unchanged = ["a.lock"], beside = {
//!   "b.lock" = "text" } }`; all lines of `changed` are added, the other files are unchanged
//!
//! # Kind `size`: new files over a limit
//!
//! * `max_bytes`, `max_lines`: one limit or both. A new file that exceeds a limit is reported on its first
//!   line
//! * `valid`, `invalid`, `example_path`: new files: `{ bytes = 100, lines = 2 }`, and their path (default
//!   `file.txt`)
//!
//! # Kind `syntax`: ast-grep's rules, in its own YAML
//!
//! A file that ast-grep's command line accepts can be a rule file of Truing, if it contains only one rule.
//! Truing reads its keys as follows:
//!
//! * `id`: as above; may be left out
//! * `language`: `python`, `typescript`, `tsx`, `javascript`, `rust`, `go` or `java` (or ast-grep's short
//!   names); any other language is an error
//! * `rule`, `constraints`, `utils`, `transform`, `rewriters`: the code that the rule matches; global utility
//!   rules are not supported
//! * `fix`: shown as a suggestion if it is validated, see below
//! * `message`: the title, in one line; `note`: the body. Without a `note`, the title is also the body
//! * `severity`: `error` is `P1`; `warning`, `info` and `hint` are `P2`; `off` means `enabled: false`
//! * `files`, `ignores`: as `paths` and `not_paths`, with ast-grep's globs, in which `*` also matches `/`
//! * `labels`, `url`: accepted, not shown
//! * `metadata.truing`: Truing's own fields, below; other metadata is ignored
//!
//! * `severity`, `category`, `parts`, `enabled`, `linters`, `measured`: as in TOML. By default, the top-level
//!   `severity` determines the severity, the category is `J`, and the rule is enabled
//! * `valid`, `invalid`, `example_path`: as for text. By default, there are no examples, and the path is
//!   `file` with the language's ending
//! * `also`: further languages that the same rule applies to: `[tsx, javascript]`
//!
//! ```yaml
//! id: bare-except
//! language: python
//! severity: error
//! message: Every exception is swallowed
//! note: Name the exceptions that are expected here.
//! rule:
//!   kind: except_clause
//!   regex: '^except\s*:'
//! metadata:
//!   truing:
//!     category: F
//!     valid:
//!       - |
//!         try: f()
//!         except ValueError: pass
//!     invalid:
//!       - |
//!         try: f()
//!         except: pass
//! ```
//!
//! # Fixes
//!
//! A `fix` must be certain to be correct, because a reviewer should not have to check it. A fix is shown as a
//! suggestion only in files of a built-in language, and only if it is validated by applying it in memory. The
//! fix must change the file without adding syntax errors. It must not cut a string or a comment, and must not
//! change the syntax tree around the fixed text. Lines that a fix leaves blank are removed.

mod error;
mod examples;
mod folder;
mod page;
mod pattern;
mod rule;
mod toml_file;
mod yaml_file;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use serde::Serialize;
use truing_core::finding::{DefectCategory, Severity};
use truing_core::port::ReaderError;

use crate::bounds::{MAX_BODY_BYTES, MAX_RULE_NAME_BYTES, MAX_TITLE_BYTES, is_valid_body, is_valid_title};
use crate::stack::run_on_large_stack;
pub use error::PackError;
pub use examples::ExampleResults;
pub(crate) use pattern::RulePattern;
pub(crate) use rule::{PackRule, RuleCheck};
use rule::{RuleExample, RuleExamples};

/// Rule files that are built into the binary: paths below `packs/`, and texts.
const EMBEDDED_RULE_FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/packs.rs"));

/// Maximum size of a rule file in bytes. The limit bounds the depth of recursion when a pattern is compiled.
const MAX_RULE_FILE_BYTES: usize = 16 * 1024;

/// All known packs. Embedded packs are parsed when they are used for the first time.
#[derive(Debug, Default)]
pub struct RulePacks {
    packs: BTreeMap<String, RulePack>,
}

/// One pack: its files, and its rules, which are parsed when they are used for the first time.
#[derive(Debug, Default)]
struct RulePack {
    /// Path `{pack}/rules/{rule}.toml` or `.yml`, and text, of each file.
    files: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    rules: OnceLock<Result<Vec<PackRule>, PackError>>,
}

impl RulePack {
    fn rules(&self) -> Result<&[PackRule], PackError> {
        let read = || {
            run_on_large_stack(|| {
                let mut rules: Vec<PackRule> = Vec::with_capacity(self.files.len());
                for (file, text) in &self.files {
                    let rule = parse_rule(file, text)?;
                    if rules.iter().any(|known| known.name == rule.name) {
                        return Err(PackError::Duplicate { file: file.to_string(), rule: rule.name });
                    }
                    rules.push(rule);
                }
                Ok(rules)
            })
            .unwrap_or_else(|error| Err(PackError::ThreadStartFailed(error.to_string())))
        };
        self.rules.get_or_init(read).as_deref().map_err(PackError::clone)
    }
}

impl RulePacks {
    /// Returns the packs built into the binary.
    ///
    /// # Errors
    ///
    /// [`ReaderError::BadPack`] if an embedded file has an invalid name.
    pub fn load_embedded() -> Result<Self, ReaderError> {
        let mut packs = Self::default();
        for (file, text) in EMBEDDED_RULE_FILES {
            packs.add(Cow::Borrowed(file), Cow::Borrowed(text))?;
        }
        Ok(packs)
    }

    /// Returns the embedded packs, and the packs of a folder with rule files `FOLDER/PACK/rules/RULE`. A pack
    /// in the folder may add rules to an embedded pack, but cannot replace a rule.
    ///
    /// # Errors
    ///
    /// The folder or one of its files cannot be read, or a rule in the folder is invalid.
    pub fn with_folder(folder: &Path) -> Result<Self, ReaderError> {
        let mut packs = Self::load_embedded()?;
        for (file, text) in folder::read_packs(folder)? {
            packs.add(file.into(), text.into())?;
        }
        // The rules in the folder are parsed now, so an operator's mistakes are reported when the packs are
        // loaded.
        for (_, pack) in packs.packs.iter().filter(|(name, _)| folder.join(name).is_dir()) {
            pack.rules()?;
        }
        Ok(packs)
    }

    /// Reads one pack from its folder. The name of the folder is the name of the pack, and the folder
    /// contains a folder `rules`.
    ///
    /// # Errors
    ///
    /// The folder or a file cannot be read, or a rule is invalid.
    pub fn from_folder(folder: &Path) -> Result<Self, PackError> {
        Self::parse(&folder::read_pack(folder)?)
    }

    /// Parses packs from rule files: (`{pack}/rules/{rule}.toml` or `.yml`, text).
    ///
    /// # Errors
    ///
    /// The first invalid file, with line, column and the required correction.
    pub fn parse<S: AsRef<str>>(files: &[(S, S)]) -> Result<Self, PackError> {
        let mut packs = Self::default();
        for (file, text) in files {
            packs.add(file.as_ref().to_owned().into(), text.as_ref().to_owned().into())?;
        }
        for pack in packs.packs.values() {
            pack.rules()?;
        }
        Ok(packs)
    }

    /// Adds a file to the pack that the file's path names.
    fn add(&mut self, file: Cow<'static, str>, text: Cow<'static, str>) -> Result<(), PackError> {
        let Some((pack, _)) = file.split_once("/rules/").filter(|(pack, _)| is_valid_name(pack)) else {
            return Err(PackError::InvalidPath { file: file.into_owned() });
        };
        self.packs.entry(pack.to_owned()).or_default().files.push((file, text));
        Ok(())
    }

    /// Returns the names of all packs, in order.
    pub fn pack_names(&self) -> Vec<&str> {
        self.packs.keys().map(String::as_str).collect()
    }

    /// Returns the rules of all packs, ordered by pack and file name.
    ///
    /// # Errors
    ///
    /// A rule is invalid.
    pub fn list_rules(&self) -> Result<Vec<ListedRule<'_>>, PackError> {
        let mut listed = Vec::new();
        for pack in self.packs.values() {
            listed.extend(pack.rules()?.iter().map(ListedRule::from_rule));
        }
        Ok(listed)
    }

    /// Returns the rule with this full name, `pack/rule`, and the rule's file. Returns `None` if there is no
    /// such rule.
    ///
    /// # Errors
    ///
    /// A rule of the pack is invalid.
    pub fn find_rule(&self, name: &str) -> Result<Option<RuleSource<'_>>, PackError> {
        let Some(pack) = name.split_once('/').and_then(|(pack, _)| self.packs.get(pack)) else {
            return Ok(None);
        };
        let mut rules = pack.files.iter().zip(pack.rules()?);
        Ok(rules.find(|(_, rule)| rule.name == name).map(|((file, text), rule)| {
            let RuleExamples { valid, invalid } = &rule.examples;
            let bad = invalid.iter().find(|example| example.fixed_text.is_some()).or(invalid.first());
            RuleSource {
                rule: ListedRule::from_rule(rule),
                file,
                text,
                valid_example_count: valid.len(),
                invalid_example_count: invalid.len(),
                valid_code: valid.first().and_then(RuleExample::displayable_code),
                invalid_code: bad.and_then(RuleExample::displayable_code),
                fixed_code: bad.and_then(|example| example.fixed_text.as_deref()),
                has_fix: rule.check.has_fix(),
            }
        }))
    }

    /// Returns all enabled rules of these packs, without duplicates.
    ///
    /// # Errors
    ///
    /// [`ReaderError::UnknownPack`] for a pack that does not exist, [`ReaderError::BadPack`] if a rule is
    /// invalid.
    pub fn enabled_rules(&self, pack_names: &[String]) -> Result<Vec<ListedRule<'_>>, ReaderError> {
        Ok(self.select_rules(pack_names)?.into_iter().map(ListedRule::from_rule).collect())
    }

    /// Renders a pack's page for people, in Markdown. `judgements` maps a rule's id to people's judgement of
    /// the rule's findings in the histories of public repositories.
    ///
    /// # Errors
    ///
    /// [`ReaderError::UnknownPack`] for a pack that does not exist, [`ReaderError::BadPack`] if a rule is
    /// invalid.
    pub fn render_page(
        &self,
        name: &str,
        judgements: &BTreeMap<String, String>,
    ) -> Result<String, ReaderError> {
        Ok(page::render_page(name, self.pack_rules(name)?, judgements))
    }

    /// Checks that these packs exist. The rules need not be parsed here: rules of a folder were parsed when
    /// the folder was read, and tests check the embedded rules.
    ///
    /// # Errors
    ///
    /// [`ReaderError::UnknownPack`] for a pack that does not exist.
    pub fn check_packs_exist(&self, names: &[String]) -> Result<(), ReaderError> {
        names.iter().try_for_each(|name| self.find_pack(name).map(drop))
    }

    /// Returns every rule of a pack.
    fn pack_rules(&self, name: &str) -> Result<&[PackRule], ReaderError> {
        Ok(self.find_pack(name)?.rules()?)
    }

    fn find_pack(&self, name: &str) -> Result<&RulePack, ReaderError> {
        let unknown =
            || ReaderError::UnknownPack { name: name.to_owned(), known_packs: self.pack_names().join(", ") };
        self.packs.get(name).ok_or_else(unknown)
    }

    /// Returns the enabled rules of these packs, without duplicates.
    pub(crate) fn select_rules(&self, pack_names: &[String]) -> Result<Vec<&PackRule>, ReaderError> {
        let mut selected = BTreeMap::new();
        for name in pack_names {
            selected.insert(name, self.pack_rules(name)?);
        }
        Ok(selected.into_values().flatten().filter(|rule| rule.enabled).collect())
    }
}

/// Public description of a rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ListedRule<'packs> {
    /// Full name of the rule, `pack/rule`.
    #[serde(rename = "rule")]
    pub name: &'packs str,
    /// Kind: `text`, `secret`, `syntax`, `flow`, `companion` or `size`.
    pub kind: &'static str,
    /// Severity of the rule's findings.
    pub severity: Severity,
    pub category: DefectCategory,
    /// Languages of the files to which a syntax rule or flow rule applies; empty for rules of other kinds.
    pub languages: Vec<&'static str>,
    /// True if runs use the rule.
    pub enabled: bool,
    /// Defect that the rule finds, in one line.
    pub title: &'packs str,
    /// The reason why the defect matters, and the remedy, in Markdown.
    pub body: &'packs str,
}

impl<'packs> ListedRule<'packs> {
    fn from_rule(rule: &'packs PackRule) -> Self {
        Self {
            name: &rule.name,
            kind: rule.check.kind(),
            severity: rule.severity,
            category: rule.category,
            languages: rule.check.languages(),
            enabled: rule.enabled,
            title: &rule.title,
            body: &rule.body,
        }
    }
}

/// A rule, with the file that defines it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleSource<'packs> {
    /// Public description of the rule.
    pub rule: ListedRule<'packs>,
    /// Path `{pack}/rules/{rule}.toml` or `.yml`, relative to the folder that contains the packs.
    pub file: &'packs str,
    /// Whole text of the file.
    pub text: &'packs str,
    /// Number of examples in which the rule must find nothing.
    pub valid_example_count: usize,
    /// Number of examples in which the rule must find something.
    pub invalid_example_count: usize,
    /// Code of the first example in which the rule must find nothing. `None` if this example does not consist
    /// of one short text file.
    pub valid_code: Option<&'packs str>,
    /// Code of an example in which the rule must find something. `None` if this example does not consist of
    /// one short text file. For a rule with a fix, this is an example that the fix changes.
    pub invalid_code: Option<&'packs str>,
    /// Text of `invalid_code` after the rule's fix is applied.
    pub fixed_code: Option<&'packs str>,
    /// True if the rule proposes a replacement.
    pub has_fix: bool,
}

/// Parses the rule in a file.
fn parse_rule(file: &str, text: &str) -> Result<PackRule, PackError> {
    let misnamed = || PackError::InvalidPath { file: file.to_owned() };
    let (pack, rest) = file.split_once("/rules/").ok_or_else(misnamed)?;
    let (id, ending) = rest.split_once('.').filter(|(id, _)| is_valid_name(id)).ok_or_else(misnamed)?;
    if text.len() > MAX_RULE_FILE_BYTES {
        let message = format!("a rule file may have at most {MAX_RULE_FILE_BYTES} bytes");
        return Err(PackError::Unreadable { path: file.to_owned(), message });
    }
    let name = format!("{pack}/{id}");
    let rule = match ending {
        "toml" => toml_file::parse(file, text, id, &name)?,
        "yml" | "yaml" => yaml_file::parse(file, text, id, &name)?,
        _ => return Err(misnamed()),
    };
    check_texts(file, &rule)?;
    Ok(rule)
}

/// Checks the texts that a rule gives to its findings. The limits are those of a finding, because a review
/// drops a finding that exceeds them.
fn check_texts(file: &str, rule: &PackRule) -> Result<(), PackError> {
    let reason = if rule.name.len() > MAX_RULE_NAME_BYTES {
        format!("the name may have at most {MAX_RULE_NAME_BYTES} bytes")
    } else if !is_valid_title(&rule.title) {
        format!(
            "the title (`title` or `message`) must be one line without control characters, of at most \
             {MAX_TITLE_BYTES} bytes"
        )
    } else if !is_valid_body(&rule.body) {
        format!(
            "the text below the title (`body` or `note`) must not contain control characters, except tabs \
             and line breaks, and may have at most {MAX_BODY_BYTES} bytes"
        )
    } else {
        return Ok(());
    };
    let message = format!("rule `{}`: {reason}", rule.name);
    Err(PackError::Invalid { file: file.to_owned(), line: 1, column: 1, message })
}

/// Returns true if the text consists only of lower-case letters, digits and `-`.
fn is_valid_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

#[cfg(test)]
mod tests;

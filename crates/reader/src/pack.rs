//! Parses rule packs. Rules are data, one file each, `packs/{pack}/rules/{rule}.toml` or `.yml`. The file's
//! name without its ending is the rule's id: lower-case letters, digits and `-`. A rule's full name is
//! `{pack}/{id}`.
//!
//! # Fields of every rule in TOML
//!
//! * `id`: as above
//! * `kind`: `text`; `secret`, whose matches are never shown; `flow`; `companion`; `size`
//! * `severity`, `category`: `P0` to `P2`; the letter of the defect category, `A` to `J`
//! * `title`, `body`: one line; the reason and the remedy, in Markdown
//! * `paths`, `not_paths`: globs: the rule applies to files that match one of the former (all if there are
//!   none), and none of the latter; `*` stays within a folder
//! * `parts`: the severity of findings in a part of the repository, or `"off"`:
//!   `{ test = "P2", document = "off" }`. The parts are `test` (in Rust also items after `#[cfg(test)]` and
//!   `#[test]`), `fixture` (test data; its default is the entry for `test`), `document`, `example` and
//!   `foreign`, recognised by words in the path
//! * `enabled`: `false`: the rule is not used, and only its examples are tested
//! * `linters`: equivalent rules of linters, `["eslint/no-debugger", "ruff/T100"]`: a comment (or an
//!   attribute for `clippy/dbg_macro`) that disables one of them disables this rule, too
//! * `measured`: its findings in released code, for the pack's page: the number of hits, of files, and of
//!   correct findings
//! * `valid`, `invalid`: examples in which the rule must find nothing, and examples in which it must find
//!   something; [`RulePacks::run_examples`]
//!
//! # Kinds `text` and `secret`
//!
//! * `keywords`: the rule is tried on files that contain one of these, in any ASCII case
//! * `pattern`: a regular expression over the whole file's bytes: `^` and `$` match at lines, classes are
//!   ASCII. A group named `secret` is the secret part of the match; without it the whole match is. A group
//!   named `code` must be in code: a match in a string or a comment is ignored, if the file's language is
//!   built in
//! * `second_pattern`: a regular expression with the same groups, whose matches count too, also within a
//!   match of `pattern`; matches of both on the same lines are one finding
//! * `node`: text only: the kind of node of the syntax tree that must begin where the group `code` does, if
//!   the file's language is built in
//! * `names`: text only, a regular expression: matches the meaning of the group named `name` at the group
//!   `code`. The meaning is the import behind the name (`import ipdb as d`: `d.set_trace` is
//!   `ipdb.set_trace`; `import { a } from './b'`: `./b.a`), the name itself if the file does not bind it,
//!   and nothing if the file defines it
//! * `both_ends`: `true`: the first and the last line of a match must both be added, not only one of its
//!   lines
//! * `counterpart`: secrets only, a regular expression: a secret together with a match of it, in its file
//!   or in a changed file of the same folder, is not reported, unless a word of the path is evidence of use
//!   (`deploy`, `prod`, `etc` and the like)
//! * `entropy`: secrets only: the minimum Shannon entropy of the secret, in bits per byte
//! * `allow`: regular expressions; a secret (or the match of a text rule) that matches one is ignored
//! * `fix`: text only, `{ pattern = '…', replacement = '…' }`: the first match of the pattern on the lines
//!   of the finding becomes the replacement, in which `$1` refers to a group. A group named `part` limits
//!   the replacement to a part of the match. It is shown as a suggestion if it is validated, see below
//! * `valid`, `invalid`, `example_path`: whole files, and their path (default `file.txt`). An example is
//!   its text, or `{ text = "…", fixed = "…" }` with its text after the suggestions. Without `fixed`,
//!   nothing must be suggested
//!
//! Examples of secrets write one letter as a TOML escape, because rule files must not contain secrets
//! themselves.
//!
//! # Kind `flow`: use of values in a Python file
//!
//! * `follows`: `contexts`: clients and sessions that are opened and not entered; `coroutines` that are not
//!   awaited; `blocking` calls in coroutines; `cancellations` that a coroutine swallows; `iterations`:
//!   asynchronous values in a plain `for` or `with`; `pieces` of botocore for which aiobotocore has its own
//!   version; `callbacks` that may be sync or async; `names` of overrides
//! * `valid`, `invalid`, `example_path`: as for text (default path `file.py`)
//!
//! # Kind `companion`: files that change together
//!
//! If a file that the rule applies to has added lines, one of its companions must have changed too. The
//! finding is on the first of those lines. A companion that changed but is not read (ignored, removed,
//! binary) counts as changed.
//!
//! * `paths`, `not_paths`: as above: the files whose change requires a companion
//! * `added`: a regular expression: only added lines that match it require a companion (default: all do)
//! * `under`: a regular expression: an added line requires a companion only if the nearest line above that
//!   ends with `{` matches it
//! * `companions`: paths, no globs; one of them must have changed. `x.lock`: in the file's folder or any
//!   above; `/a/x.py`: from the root
//! * `companion_added`: a regular expression: an added line of the companion must match it
//! * `companion_holds`: texts in which `$1` or `${name}` refers to a group of `added`: a line requires
//!   nothing if a companion, changed or not, contains one of them
//! * `unless_holds`: the same, if the file itself contains one of them
//! * `above_holds`: texts in which `${folder}` is the file's folder relative to the companion's: a
//!   companion in a folder above counts only if it contains one of them
//! * `even_if_missing`: `true`: applies also if no companion exists (default `false`)
//! * `overrides`: `true`: the companion is a table of Python tuples `(Class.method, …)` or `(function, …)`
//!   of the overridden methods and functions. If an added line of code (not a comment, not a docstring) is
//!   in an override that has an entry, the entry must have an added line, which `companion_added` matches.
//!   `added`, if present, applies in addition (default `false`)
//! * `pieces`: names `Class.method`: an added `async def` that overrides one of these, by the bases of its
//!   class, requires a companion too
//! * `named`: `true`: a companion that changed must also name each function whose added head requires it,
//!   followed by `,` or `:` (default `false`)
//! * `valid`, `invalid`: changes:
//!   `{ changed = { "a.toml" = "text" }, unchanged = ["a.lock"], beside = { "b.lock" = "text" } }`; all
//!   lines of `changed` are added, the other files are unchanged
//!
//! # Kind `size`: new files over a limit
//!
//! * `max_bytes`, `max_lines`: one of them or both: a new file over either is reported, on its first line
//! * `valid`, `invalid`, `example_path`: new files: `{ bytes = 100, lines = 2 }`, and their path (default
//!   `file.txt`)
//!
//! # Kind `syntax`: ast-grep's rules, in its own YAML
//!
//! A file that ast-grep's command line accepts is a rule here, with one rule per file. Truing reads its keys
//! as follows:
//!
//! * `id`: as above; may be left out
//! * `language`: `python`, `typescript`, `tsx`, `javascript`, `rust`, `go` or `java` (or ast-grep's short
//!   names); another is an error
//! * `rule`, `constraints`, `utils`, `transform`, `rewriters`: the code that the rule matches; global
//!   utility rules are not supported
//! * `fix`: shown as a suggestion if it is validated, see below
//! * `message`, `note`: title and body; the title has one line, and without a note it is the body too
//! * `severity`: `error` is `P1`, `warning`, `info` and `hint` are `P2`, `off` is `enabled: false`
//! * `files`, `ignores`: as `paths` and `not_paths`, with ast-grep's globs, in which `*` also matches `/`
//! * `labels`, `url`: accepted, not shown
//! * `metadata.truing`: Truing's own fields, below; other metadata is ignored
//!
//! * `severity`, `category`, `parts`, `enabled`, `linters`, `measured`: as in TOML; by default as
//!   `severity` says, `J`, `true`
//! * `valid`, `invalid`, `example_path`: as for text; by default none, none, and `file` with the language's
//!   ending
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
//! A `fix` must be certain to be correct, because a reviewer should not have to check it. It is shown as a
//! suggestion only in files of a built-in language, and only if it is validated by applying it in memory:
//! something changes, the file has no more syntax errors than before, no string or comment is cut, and the
//! tree around the fixed text is unchanged. Lines that a fix leaves blank are removed.

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

use crate::stack::on_large_stack;
pub use error::PackError;
pub use examples::ExampleResults;
pub(crate) use pattern::RulePattern;
pub(crate) use rule::{PackRule, RuleCheck};
use rule::{RuleExample, RuleExamples};

/// Rule files built into the binary: path under `packs/`, and text.
const EMBEDDED: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/packs.rs"));

/// Size of the largest rule file, in bytes. It is limited because compiling a pattern is recursive.
const MAX_RULE_BYTES: usize = 16 * 1024;

/// All known packs. A pack built into the binary is parsed when it is first used.
#[derive(Debug, Default)]
pub struct RulePacks {
    packs: BTreeMap<String, RulePack>,
}

/// One pack: its files, and its rules after they were first used.
#[derive(Debug, Default)]
struct RulePack {
    /// Path `{pack}/rules/{rule}.toml` or `.yml`, and text, of each file.
    files: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    rules: OnceLock<Result<Vec<PackRule>, PackError>>,
}

impl RulePack {
    fn rules(&self) -> Result<&[PackRule], PackError> {
        let read = || {
            on_large_stack(|| {
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
            .unwrap_or_else(|error| Err(PackError::Thread(error.to_string())))
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
        for (file, text) in EMBEDDED {
            packs.add(Cow::Borrowed(file), Cow::Borrowed(text))?;
        }
        Ok(packs)
    }

    /// Returns the embedded packs, and those of a folder that holds packs: `FOLDER/PACK/rules/RULE`. A pack
    /// there may add rules to an embedded one; it cannot replace a rule.
    ///
    /// # Errors
    ///
    /// The folder or a file cannot be read, or a rule in it is invalid.
    pub fn with_folder(folder: &Path) -> Result<Self, ReaderError> {
        let mut packs = Self::load_embedded()?;
        for (file, text) in folder::read_packs(folder)? {
            packs.add(file.into(), text.into())?;
        }
        // An operator's mistake must be reported at once, not when the pack is first used.
        for (_, pack) in packs.packs.iter().filter(|(name, _)| folder.join(name).is_dir()) {
            pack.rules()?;
        }
        Ok(packs)
    }

    /// Reads one pack from its folder, which has the pack's name and contains a folder `rules`.
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

    /// Adds a file to the pack in its path.
    fn add(&mut self, file: Cow<'static, str>, text: Cow<'static, str>) -> Result<(), PackError> {
        let Some((pack, _)) = file.split_once("/rules/").filter(|(pack, _)| is_valid_name(pack)) else {
            return Err(PackError::Name { file: file.into_owned() });
        };
        self.packs.entry(pack.to_owned()).or_default().files.push((file, text));
        Ok(())
    }

    /// Returns the names of all packs, in order.
    pub fn pack_names(&self) -> Vec<&str> {
        self.packs.keys().map(String::as_str).collect()
    }

    /// Returns every rule of every pack, by pack and file name.
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

    /// Returns a rule by its full name, `pack/rule`, with the file that it is from, or `None` if there is no
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
            let bad = invalid.iter().find(|example| example.fixed.is_some()).or(invalid.first());
            RuleSource {
                rule: ListedRule::from_rule(rule),
                file,
                text,
                valid_example_count: valid.len(),
                invalid_example_count: invalid.len(),
                valid_code: valid.first().and_then(RuleExample::code),
                invalid_code: bad.and_then(RuleExample::code),
                fixed_code: bad.and_then(|example| example.fixed.as_deref()),
                has_fix: rule.check.has_fix(),
            }
        }))
    }

    /// Returns the rules that a run with these packs uses: the enabled ones, each once.
    ///
    /// # Errors
    ///
    /// [`ReaderError::UnknownPack`] for a pack that does not exist, [`ReaderError::BadPack`] if a rule is
    /// invalid.
    pub fn enabled_rules(&self, pack_names: &[String]) -> Result<Vec<ListedRule<'_>>, ReaderError> {
        Ok(self.select_rules(pack_names)?.into_iter().map(ListedRule::from_rule).collect())
    }

    /// Renders a pack's page for people, in Markdown. `judged` maps a rule's id to people's judgement of its
    /// findings in histories.
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

    /// Checks that these packs exist. No rule is parsed: those of a folder were parsed with it, and the
    /// embedded ones are tested.
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
            || ReaderError::UnknownPack { name: name.to_owned(), known: self.pack_names().join(", ") };
        self.packs.get(name).ok_or_else(unknown)
    }

    /// Returns the enabled rules of the named packs, each once.
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
    /// Languages that a syntax rule applies to; empty for rules of other kinds.
    pub languages: Vec<&'static str>,
    /// True if runs use the rule.
    pub enabled: bool,
    /// Defect that the rule finds, in one line.
    pub title: &'packs str,
    /// Reason for which the defect matters and the remedy, in Markdown.
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

/// Rule with the file that it is from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleSource<'packs> {
    /// Public description of the rule.
    pub rule: ListedRule<'packs>,
    /// Path `{pack}/rules/{rule}.toml` or `.yml`, from the folder of packs.
    pub file: &'packs str,
    /// Whole text of the file.
    pub text: &'packs str,
    /// Number of examples in which the rule must find nothing.
    pub valid_example_count: usize,
    /// Number of examples in which the rule must find something.
    pub invalid_example_count: usize,
    /// Code in which the rule must find nothing, if an example is one file of text.
    pub valid_code: Option<&'packs str>,
    /// Code in which the rule must find something, if an example is one file of text. For a rule with a fix,
    /// it is one that is fixed.
    pub invalid_code: Option<&'packs str>,
    /// The bad code after the rule's fix.
    pub fixed_code: Option<&'packs str>,
    /// True if the rule proposes a replacement.
    pub has_fix: bool,
}

/// Parses the rule in a file.
fn parse_rule(file: &str, text: &str) -> Result<PackRule, PackError> {
    let misnamed = || PackError::Name { file: file.to_owned() };
    let (pack, rest) = file.split_once("/rules/").ok_or_else(misnamed)?;
    let (id, ending) = rest.split_once('.').filter(|(id, _)| is_valid_name(id)).ok_or_else(misnamed)?;
    if text.len() > MAX_RULE_BYTES {
        let message = format!("a rule file has {MAX_RULE_BYTES} bytes at most");
        return Err(PackError::Unreadable { path: file.to_owned(), message });
    }
    let name = format!("{pack}/{id}");
    match ending {
        "toml" => toml_file::parse(file, text, id, &name),
        "yml" | "yaml" => yaml_file::parse(file, text, id, &name),
        _ => Err(misnamed()),
    }
}

/// Returns true for lower-case letters, digits and `-`.
fn is_valid_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

#[cfg(test)]
mod tests;

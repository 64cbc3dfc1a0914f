//! Rule packs: rules as data, one file each, `packs/{pack}/rules/{rule}.toml` or `.yml`. The file's name without
//! its ending is the rule's id: lower-case letters, digits and `-`. A rule's full name is `{pack}/{id}`.
//!
//! # Fields of every rule in TOML
//!
//! | Field | Meaning |
//! |---|---|
//! | `id` | as above |
//! | `kind` | `text`; `secret`: what it matches is never shown; `companion`; `size` |
//! | `severity`, `category` | `P0` to `P2`; the letter of the kind of defect, `A` to `J` |
//! | `title`, `body` | one line; why it matters and what to do, in Markdown |
//! | `paths`, `not_paths` | globs: the rule looks at files that match one of the former (none: all), and none of the latter; `*` stays within a folder |
//! | `enabled` | `false`: only its examples are tested |
//! | `valid`, `invalid` | examples in which the rule must find nothing, or something; [`Packs::test`] |
//!
//! # Kinds `text` and `secret`
//!
//! | Field | Meaning |
//! |---|---|
//! | `keywords` | the rule is tried on files that hold one of these, in any ASCII case |
//! | `pattern` | a regular expression over the whole file's bytes: `^` and `$` match at lines, classes are ASCII. A group named `secret` says which part of the match is the secret; without it all of it is |
//! | `entropy` | secrets only: the least Shannon entropy of the secret, in bits per byte |
//! | `allow` | regular expressions; a secret (or the match of a text rule) that one matches is none |
//! | `valid`, `invalid`, `example_path` | whole files, and what path they have (`example.txt`) |
//!
//! Examples of secrets write one letter as a TOML escape, so that the rule files hold nothing that looks like one.
//!
//! # Kind `companion`: files that change together
//!
//! If a file that the rule looks at has added lines, one of its companions must have changed too. The finding is on
//! the first of those lines. A companion that changed but is not read (ignored, removed, binary) counts as changed.
//!
//! | Field | Meaning |
//! |---|---|
//! | `paths`, `not_paths` | as above: the files whose change asks for a companion |
//! | `added` | a regular expression: only added lines that it matches ask (none: all do) |
//! | `companions` | paths, no globs; one of them must have changed. `x.lock`: in the file's folder or any above; `/a/x.py`: from the root |
//! | `companion_added` | a regular expression: an added line of the companion must match it |
//! | `even_if_missing` | `true`: also where no companion exists (`false`) |
//! | `valid`, `invalid` | changes: `{ changed = { "a.toml" = "text" }, unchanged = ["a.lock"] }`; all lines of `changed` are added |
//!
//! # Kind `size`: new files over a limit
//!
//! | Field | Meaning |
//! |---|---|
//! | `max_bytes`, `max_lines` | one of them or both: a new file over either is reported, on its first line |
//! | `valid`, `invalid`, `example_path` | new files: `{ bytes = 100, lines = 2 }`, and what path they have (`example.txt`) |
//!
//! # Kind `syntax`: ast-grep's rules, in its own YAML
//!
//! A file that ast-grep's command line accepts is a rule here, with one rule a file. Its keys, and what we make of
//! them:
//!
//! | Key | Meaning |
//! |---|---|
//! | `id` | as above; may be left out |
//! | `language` | `python`, `typescript`, `tsx`, `javascript`, `rust`, `go` or `java` (or ast-grep's short names); another is an error |
//! | `rule`, `constraints`, `utils`, `transform`, `rewriters` | what it matches; global utility rules are not known |
//! | `fix` | shown as a suggestion where it is proven: the file still parses, and something changes |
//! | `message`, `note` | title and body; the title has one line, and without a note it is the body too |
//! | `severity` | `error` is `P1`, `warning`, `info` and `hint` are `P2`, `off` is `enabled: false` |
//! | `files`, `ignores` | as `paths` and `not_paths`, with ast-grep's globs, in which `*` also matches `/` |
//! | `labels`, `url` | accepted, not shown |
//! | `metadata.truing` | our own fields, below; other metadata is ignored |
//!
//! | Field of `metadata.truing` | Meaning |
//! |---|---|
//! | `severity`, `category`, `enabled` | as in TOML; by default as `severity` says, `J`, `true` |
//! | `valid`, `invalid`, `example_path` | as for text; by default none, none, and `example` with the language's ending |
//! | `also` | further languages that the same rule is for: `[tsx, javascript]` |
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

mod error;
mod folder;
mod rule;
mod toml_file;
mod yaml_file;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use truing_core::finding::{Category, Severity};
use truing_core::port::{ChangedFile, ReaderError};
use truing_diff::RepoPath;

use crate::engine::RuleSet;
use crate::rules::companion::Change;
use crate::stack::on_large_stack;
use crate::syntax::Parsers;
pub use error::PackError;
use rule::Example;
pub(crate) use rule::{Check, Pattern, Rule};

/// The rule files built into the binary: path under `packs/`, and text.
const EMBEDDED: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/packs.rs"));

/// The largest rule file, in bytes: compiling a pattern recurses along it.
const MAX_RULE_BYTES: usize = 16 * 1024;

/// All known packs.
#[derive(Debug)]
pub struct Packs {
    rules: BTreeMap<String, Vec<Rule>>,
}

impl Packs {
    /// The packs built into the binary.
    ///
    /// # Errors
    /// [`ReaderError::BadPack`] if one of their files is wrong.
    pub fn embedded() -> Result<Self, ReaderError> {
        Ok(Self::parse(EMBEDDED)?)
    }

    /// The embedded packs, and those of a folder that holds packs: `FOLDER/PACK/rules/RULE`. A pack there may add
    /// rules to an embedded one; it cannot replace one.
    ///
    /// # Errors
    /// The folder or a file cannot be read, or a rule is wrong.
    pub fn with_folder(folder: &Path) -> Result<Self, PackError> {
        let mut files: Vec<(String, String)> =
            EMBEDDED.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        files.extend(folder::packs_in(folder)?);
        Self::parse(&files)
    }

    /// One pack from its folder, which holds a folder `rules` and is called like the pack.
    ///
    /// # Errors
    /// The folder or a file cannot be read, or a rule is wrong.
    pub fn of_folder(folder: &Path) -> Result<Self, PackError> {
        Self::parse(&folder::pack_in(folder)?)
    }

    /// Packs from rule files: (`{pack}/rules/{rule}.toml` or `.yml`, text).
    ///
    /// # Errors
    /// The first file that is wrong, with line and column and what to mend.
    pub fn parse<S: AsRef<str> + Sync>(files: &[(S, S)]) -> Result<Self, PackError> {
        on_large_stack(|| {
            let mut packs = Self { rules: BTreeMap::new() };
            for (file, text) in files {
                packs.add(file.as_ref(), text.as_ref())?;
            }
            Ok(packs)
        })
        .unwrap_or_else(|error| Err(PackError::Thread(error.to_string())))
    }

    /// Adds the rule that a file holds.
    fn add(&mut self, file: &str, text: &str) -> Result<(), PackError> {
        let misnamed = || PackError::Name { file: file.to_owned() };
        let (pack, rest) = file.split_once("/rules/").ok_or_else(misnamed)?;
        let (id, ending) = rest.split_once('.').ok_or_else(misnamed)?;
        if !is_name(pack) || !is_name(id) {
            return Err(misnamed());
        }
        if text.len() > MAX_RULE_BYTES {
            let message = format!("a rule file has {MAX_RULE_BYTES} bytes at most");
            return Err(PackError::Unreadable { path: file.to_owned(), message });
        }
        let name = format!("{pack}/{id}");
        let rule = match ending {
            "toml" => toml_file::parse(file, text, id, &name)?,
            "yml" | "yaml" => yaml_file::parse(file, text, id, &name)?,
            _ => return Err(misnamed()),
        };
        let rules = self.rules.entry(pack.to_owned()).or_default();
        if rules.iter().any(|known| known.name == name) {
            return Err(PackError::Twice { file: file.to_owned(), rule: name });
        }
        rules.push(rule);
        Ok(())
    }

    /// The names of all packs, in order.
    pub fn names(&self) -> Vec<&str> {
        self.rules.keys().map(String::as_str).collect()
    }

    /// Every rule of every pack, by pack and file name.
    pub fn list(&self) -> Vec<Listed<'_>> {
        self.rules.values().flatten().map(Listed::of).collect()
    }

    /// The enabled rules of the named packs, each once.
    pub(crate) fn select(&self, names: &[String]) -> Result<Vec<&Rule>, ReaderError> {
        let mut selected = BTreeMap::new();
        for name in names {
            let unknown = || ReaderError::UnknownPack { name: name.clone(), known: self.names().join(", ") };
            selected.insert(name, self.rules.get(name).ok_or_else(unknown)?);
        }
        Ok(selected.into_values().flatten().filter(|rule| rule.enabled).collect())
    }

    /// Runs every rule of these packs (none: of all), enabled or not, on its own examples.
    ///
    /// # Errors
    /// [`ReaderError::UnknownPack`] for a pack there is not, [`ReaderError::BadPack`] for a pattern over the size
    /// limit.
    pub fn test(&self, names: &[String]) -> Result<Tested, ReaderError> {
        for name in names {
            self.select(std::slice::from_ref(name))?;
        }
        on_large_stack(|| {
            let mut tested = Tested::default();
            let packs = self.rules.iter().filter(|(name, _)| names.is_empty() || names.contains(name));
            for rule in packs.flat_map(|(_, rules)| rules) {
                tested.rules += 1;
                let alone = RuleSet::new(vec![rule])?;
                let valid = rule.examples.valid.iter().map(|example| (example, false));
                for (example, expected) in valid.chain(rule.examples.invalid.iter().map(|it| (it, true))) {
                    tested.examples += 1;
                    if finds(&alone, example)? != expected {
                        let what =
                            if expected { "finds nothing in invalid" } else { "finds something in valid" };
                        tested.failing.push(format!("{} {what} example {}", rule.name, example.shown));
                    }
                }
            }
            Ok(tested)
        })
        .unwrap_or_else(|error| Err(PackError::Thread(error.to_string()).into()))
    }
}

/// What became of the rules' own examples.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tested {
    /// Rules that were tried.
    pub rules: usize,
    /// Examples they were tried on.
    pub examples: usize,
    /// One line for each `valid` example in which something is found, and each `invalid` one in which nothing is.
    pub failing: Vec<String>,
}

/// A rule as people see it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Listed<'packs> {
    /// `pack/rule`.
    pub rule: &'packs str,
    /// `text`, `secret`, `syntax`, `companion` or `size`.
    pub kind: &'static str,
    /// How bad what it finds is.
    pub severity: Severity,
    /// The kind of defect.
    pub category: Category,
    /// The languages it is for; none for rules of other kinds than syntax.
    pub languages: Vec<&'static str>,
    /// Is it used?
    pub enabled: bool,
    /// What it finds, in one line.
    pub title: &'packs str,
}

impl<'packs> Listed<'packs> {
    fn of(rule: &'packs Rule) -> Self {
        Self {
            rule: &rule.name,
            kind: rule.check.kind(),
            severity: rule.severity,
            category: rule.category,
            languages: rule.check.languages(),
            enabled: rule.enabled,
            title: &rule.title,
        }
    }
}

/// Does a rule find something in an example? A file of it that is not read is an error.
fn finds(alone: &RuleSet<'_>, example: &Example) -> Result<bool, ReaderError> {
    let new = |(path, _): &(RepoPath, Vec<u8>)| ChangedFile {
        path: path.clone(),
        old_path: None,
        added: vec![(1, u32::MAX)],
    };
    let files: Vec<ChangedFile> = example.changed.iter().map(new).collect();
    let change = Change::new(&files, &[], example);
    let mut found = false;
    for (file, (_, text)) in files.iter().zip(&example.changed) {
        let examined = alone.examine(file, text, &change, &mut Parsers::default())?;
        found = found || !examined.findings.is_empty();
    }
    Ok(found)
}

/// Lower-case letters, digits and `-`.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"id = "x"
kind = "secret"
severity = "P1"
category = "J"
title = "T"
body = "B"
keywords = ["key"]
pattern = 'key(\d+)'
valid = ["key"]
invalid = ["key1"]
"#;

    fn error(text: &str) -> String {
        Packs::parse(&[("p/rules/x.toml", text)]).unwrap_err().to_string()
    }

    fn names(packs: &[&str]) -> Vec<String> {
        packs.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn every_embedded_rule_does_what_its_examples_say() {
        let packs = Packs::embedded().unwrap();
        assert_eq!(packs.names(), ["aiobotocore", "core"]);
        assert_eq!(packs.test(&[]).unwrap().failing, Vec::<String>::new());
    }

    #[test]
    fn no_rule_file_holds_what_the_secret_rules_find() {
        let packs = Packs::embedded().unwrap();
        let rules = packs.select(&names(&["core"])).unwrap();
        let secrets = rules.into_iter().filter(|rule| matches!(rule.check, Check::Secret(_))).collect();
        let secrets = RuleSet::new(secrets).unwrap();
        for (file, text) in EMBEDDED {
            let example = Example::of_text(&RepoPath::from_text(file), (*text).to_owned());
            assert!(!finds(&secrets, &example).unwrap(), "{file}");
        }
    }

    #[test]
    fn examples_that_fail_are_named() {
        let packs = Packs::parse(&[(
            "p/rules/x.toml",
            &GOOD.replace(
                r#"["key"]
invalid = ["key1"]"#,
                r#"["key1"]
invalid = ["key"]"#,
            ),
        )]);
        let failing = packs.unwrap().test(&[]).unwrap().failing;
        assert_eq!(
            failing,
            ["p/x finds something in valid example \"key1\"", "p/x finds nothing in invalid example \"key\"",]
        );
    }

    #[test]
    fn a_wrong_file_is_named_with_line_and_reason() {
        let with = |line: &str| format!("{GOOD}{line}\n");
        let instead = |from: &str, to: &str| {
            assert!(GOOD.contains(from));
            GOOD.replace(from, to)
        };
        for (text, expected) in [
            (with("colour = 1"), "11:1: unknown field `colour`"),
            (with("enabled = 1"), "11:11: invalid type"),
            (with("= 1"), "11:1: "),
            (instead("severity = \"P1\"\n", ""), "1:1: missing field `severity`"),
            (instead("\"P1\"", "\"P9\""), "3:12: unknown variant `P9`"),
            (instead("\"x\"", "\"y\""), "1:6: rule `p/x`: id: "),
            (instead("\"T\"", "\"\"\"T\nU\"\"\""), "5:9: rule `p/x`: title: "),
            (instead("\"B\"", "\" \""), "6:8: rule `p/x`: body: "),
            (instead("[\"key\"]\np", "[\"ke\"]\np"), "7:12: rule `p/x`: keywords: "),
            (instead("[\"key\"]\np", "[]\np"), "7:12: rule `p/x`: keywords: "),
            (
                instead(r"key(\d+)", r"key(\d+"),
                "8:11: rule `p/x`: pattern: unclosed group (at line 1, column 4 of the pattern)",
            ),
            (instead(r"key(\d+)", r"key\pL"), "8:11: rule `p/x`: pattern: Unicode not allowed here (at"),
            (instead(r"key(\d+)", r"(key)*"), "8:11: rule `p/x`: pattern: it matches empty text"),
            (instead("[\"key1\"]", "[]"), "10:11: rule `p/x`: invalid: "),
            (with("allow = ['a', 'b',\n '[']"), "12:2: rule `p/x`: allow: unclosed character class"),
            (with("paths = ['a{']"), "11:10: rule `p/x`: paths: "),
            (with("entropy = 3.0").replace("secret", "text"), "11:11: rule `p/x`: entropy: "),
        ] {
            let expected = format!("p/rules/x.toml:{expected}");
            assert!(error(&text).starts_with(&expected), "{expected}\n{}", error(&text));
        }
        for file in [
            "x.toml",
            "p/x.toml",
            "p/rules/x",
            "p/rules/x.json",
            "p/rules/a/x.toml",
            "p/rules/X.toml",
            "/rules/x.toml",
        ] {
            let error = Packs::parse(&[(file, GOOD)]).unwrap_err();
            assert_eq!(error, PackError::Name { file: file.to_owned() });
        }
    }

    const COMPANION: &str = r#"id = "x"
kind = "companion"
severity = "P2"
category = "J"
title = "T"
body = "B"
paths = ["**/a.toml"]
added = '^version'
companions = ["a.lock"]
valid = [
  { changed = { "s/a.toml" = "version\n", "a.lock" = "x\n" } },
  { changed = { "s/a.toml" = "name\n" }, unchanged = ["a.lock"] },
  { changed = { "a.toml" = "version\n" } },
]
invalid = [{ changed = { "s/a.toml" = "version\n" }, unchanged = ["a.lock"] }]
"#;

    const SIZE: &str = r#"id = "x"
kind = "size"
severity = "P2"
category = "J"
title = "T"
body = "B"
max_bytes = 10
max_lines = 3
valid = [{ bytes = 10, lines = 3 }]
invalid = [{ bytes = 11 }, { bytes = 8, lines = 4 }]
"#;

    #[test]
    fn rules_of_companions_and_size_are_tested_on_changes() {
        for rule in [COMPANION, SIZE] {
            let packs = Packs::parse(&[("p/rules/x.toml", rule)]).unwrap();
            assert_eq!(packs.test(&[]).unwrap().failing, Vec::<String>::new());
        }
        for (rule, from, to, expected) in [
            (COMPANION, "[\"a.lock\"]\nvalid", "[]\nvalid", "9:14: rule `p/x`: companions: "),
            (COMPANION, "[\"a.lock\"]\nvalid", "[\"../a\"]\nvalid", "9:14: rule `p/x`: companions: "),
            (COMPANION, "'^version'", "'('", "8:9: rule `p/x`: added: unclosed group"),
            (COMPANION, "added = ", "pattern = ", "8:1: unknown field `pattern`"),
            (SIZE, "max_bytes = 10\nmax_lines = 3\n", "", "1:1: rule `p/x`: max_bytes: one of "),
            (SIZE, "\"size\"", "\"sise\"", "2:8: unknown variant `sise`"),
            (SIZE, "[{ bytes = 10, lines = 3 }]", "[\"x\"]", "9:10: "),
        ] {
            assert!(rule.contains(from), "{from}");
            let error = error(&rule.replace(from, to));
            assert!(error.starts_with(&format!("p/rules/x.toml:{expected}")), "{expected}\n{error}");
        }
    }

    const SYNTAX: &str = "id: x
language: python
severity: error
message: T
note: B
rule:
  kind: call
metadata:
  truing:
    category: F
";

    #[test]
    fn a_wrong_syntax_rule_is_named_with_line_column_and_reason() {
        let instead = |from: &str, to: &str| {
            assert!(SYNTAX.contains(from));
            SYNTAX.replace(from, to)
        };
        for (text, expected) in [
            (
                instead("python", "cobol"),
                "2:11: the language `cobol` is not built in (there are: python, typescript,",
            ),
            // ast-grep knows this one, but its grammar is not built in.
            (instead("python", "kotlin"), "2:11: the language `kotlin` is not built in (there are: python,"),
            (
                instead("    category: F", "    also: [go, ruby]"),
                "10:16: the language `ruby` is not built in",
            ),
            (instead("id: x", "id: y"), "1:5: id: it must be the file's name"),
            (instead("language: python\n", ""), "7:1: missing field `language`"),
            (instead("severity: error", "severity: fatal"), "3:11: unknown variant"),
            (instead("    category: F", "    colour: F"), "10:5: unknown field `colour`"),
            (instead("    category: F", "    category: Q"), "10:15: unknown variant"),
            (instead("note: B", "notes: B"), "5:1: unknown field `notes`"),
            (instead("kind: call", "kind: calll"), "7:9: as a rule for python: Kind `calll` is invalid."),
            (instead("kind: call", "kind: [call"), "8:9: illegal placement"),
            (instead("kind: call", "regex: call"), "6:1: as a rule for python: Rule must specify"),
            (
                instead("kind: call", "kind: call\n  regex: '('"),
                "6:1: as a rule for python: regex parse error",
            ),
            (
                instead("kind: call", "pattern: f($A)\nfix: g($B)"),
                "8:1: as a rule for python: Undefined meta var",
            ),
            (instead("rule:\n", "files: ['a{']\nrule:\n"), "6:9: "),
            (instead("kind: call", "kind: call\n  matches: other"), "8:12: as a rule for python: "),
            (String::new(), "1:1: "),
        ] {
            let error = Packs::parse(&[("p/rules/x.yml", text.as_str())]).unwrap_err().to_string();
            let expected = format!("p/rules/x.yml:{expected}");
            assert!(error.starts_with(&expected) && !error.contains('\n'), "{expected}\n{error}");
        }
    }

    #[test]
    fn a_rule_as_ast_grep_has_it_needs_nothing_of_ours() {
        let rule = "language: Python\nrule:\n  pattern: f($A)\n";
        let packs = Packs::parse(&[("p/rules/no-f.yml", rule)]).unwrap();
        let rules = packs.select(&names(&["p"])).unwrap();
        let told = (rules[0].title.as_str(), rules[0].severity, rules[0].category);
        assert_eq!(told, ("no-f", Severity::P2, Category::J));
        let off = format!("{rule}severity: 'off'\n");
        assert!(
            Packs::parse(&[("p/rules/no-f.yml", off.as_str())])
                .unwrap()
                .select(&names(&["p"]))
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn two_files_for_one_rule_are_an_error() {
        let error = Packs::parse(&[("p/rules/x.toml", GOOD), ("p/rules/x.yml", SYNTAX)]).unwrap_err();
        assert_eq!(error.to_string(), "p/rules/x.yml: there is a rule `p/x` already");
    }

    #[test]
    fn a_rule_that_nests_as_deep_as_its_file_is_large_is_read_or_refused() {
        for (open, close) in [("(", ")"), ("[", "]"), ("-", ""), ("a+", ""), ("a.", ""), ("f(", ")")] {
            let count = (MAX_RULE_BYTES - 200) / (open.len() + close.len());
            let pattern = format!("{}a{}", open.repeat(count), close.repeat(count));
            let rule = format!("language: python\nrule:\n  pattern: '{pattern}'\n");
            assert!(rule.len() <= MAX_RULE_BYTES);
            let packs = Packs::parse(&[("p/rules/x.yml", rule.as_str())]);
            if let Ok(packs) = packs {
                packs.test(&[]).unwrap();
            }
        }
        let long = format!("# {}\n", "x".repeat(MAX_RULE_BYTES));
        let error = Packs::parse(&[("p/rules/x.yml", long.as_str())]).unwrap_err().to_string();
        assert_eq!(error, "p/rules/x.yml: a rule file has 16384 bytes at most");
    }

    #[test]
    fn a_pattern_too_large_is_an_error_when_it_is_needed() {
        let large = GOOD.replace(r"key(\d+)", r"key(\d{1000}){1000}");
        let packs = Packs::parse(&[("p/rules/x.toml", &large)]).unwrap();
        let error = packs.test(&[]).unwrap_err().to_string();
        assert!(error.starts_with("rule pack rule `p/x`: "), "{error}");
    }

    #[test]
    fn packs_are_selected_by_name_and_disabled_rules_are_left_out() {
        let off = format!("{GOOD}enabled = false\n").replace("id = \"x\"", "id = \"off\"");
        let packs =
            Packs::parse(&[("b/rules/x.toml", GOOD), ("a/rules/off.toml", &off), ("a/rules/x.toml", GOOD)])
                .unwrap();
        let selected = |asked: &[&str]| {
            let rules = packs.select(&names(asked));
            rules.map(|rules| rules.iter().map(|rule| rule.name.clone()).collect::<Vec<_>>())
        };
        assert_eq!(selected(&["b", "a", "b"]).unwrap(), ["a/x", "b/x"]);
        assert_eq!(selected(&[]).unwrap(), Vec::<String>::new());
        let unknown = selected(&["a", "c"]).unwrap_err();
        assert_eq!(unknown, ReaderError::UnknownPack { name: "c".into(), known: "a, b".into() });
    }

    #[test]
    fn globs_decide_which_files_a_rule_looks_at() {
        let globs = format!("{GOOD}paths = ['**/*.py', 'bin/*']\nnot_paths = ['vendor/**']\n");
        let packs = Packs::parse(&[("p/rules/x.toml", &globs)]).unwrap();
        let rules = packs.select(&names(&["p"])).unwrap();
        for (path, expected) in [
            ("a.py", true),
            ("a/b.py", true),
            ("bin/x", true),
            ("bin/a/x", false),
            ("a.pyc", false),
            ("vendor/a.py", false),
        ] {
            assert_eq!(rules[0].applies_to(&path.into()), expected, "{path}");
        }
    }
}

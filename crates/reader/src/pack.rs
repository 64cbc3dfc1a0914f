//! Rule packs: rules as data, one TOML file each, `packs/{pack}/rules/{rule}.toml`.
//!
//! | Field | Meaning |
//! |---|---|
//! | `id` | the file's name without `.toml`: lower-case letters, digits and `-` |
//! | `kind` | `text`, or `secret`: what it matches is never shown |
//! | `severity`, `category` | `P0` to `P2`; the letter of the kind of defect, `A` to `J` |
//! | `title`, `body` | one line; why it matters and what to do, in Markdown |
//! | `keywords` | the rule is tried on files that hold one of these, in any ASCII case |
//! | `pattern` | a regular expression over the whole file's bytes: `^` and `$` match at lines, classes are ASCII. A group named `secret` says which part of the match is the secret; without it all of it is |
//! | `entropy` | secrets only: the least Shannon entropy of the secret, in bits per byte |
//! | `allow` | regular expressions; a secret (or the match of a text rule) that one matches is none |
//! | `paths`, `not_paths` | globs: the rule looks at files that match one of the former (none: all), and none of the latter |
//! | `enabled` | `false`: only its examples are tested |
//! | `valid`, `invalid` | whole files in which the rule must find nothing, or something; [`Packs::failing_examples`] |
//! | `example_path` | what path the examples have (`example.txt`) |
//!
//! Examples of secrets write one letter as a TOML escape, so that the rule files hold nothing that looks like one.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::OnceLock;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;
use toml::Spanned;
use truing_core::finding::{Category, Severity};
use truing_core::port::ReaderError;
use truing_diff::RepoPath;

use crate::engine::RuleSet;

/// The rule files built into the binary: path under `packs/`, and text.
const EMBEDDED: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/packs.rs"));

/// The shortest keyword, in bytes: shorter ones occur everywhere and save nothing.
const MIN_KEYWORD_BYTES: usize = 3;

/// What is wrong with a rule file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PackError {
    /// The path is not `{pack}/rules/{rule}.toml`.
    #[error("{file}: a rule file is called PACK/rules/RULE.toml")]
    Name {
        /// The file.
        file: String,
    },
    /// Not TOML, or a field is unknown, missing or of the wrong type.
    #[error("{file}:{line}: {message}")]
    Toml {
        /// The file.
        file: String,
        /// 1-based.
        line: usize,
        /// The parser's words.
        message: String,
    },
    /// A field's value cannot be used.
    #[error("{file}:{line}: rule `{rule}`: {field}: {message}")]
    Field {
        /// The file.
        file: String,
        /// 1-based, where the value begins.
        line: usize,
        /// The rule's full name.
        rule: String,
        /// The field.
        field: &'static str,
        /// What is wrong with it; for patterns with the position within the pattern.
        message: String,
    },
    /// A pattern that reads well is too large to compile.
    #[error("rule `{rule}`: {message}")]
    Compile {
        /// The rule's full name.
        rule: String,
        /// The compiler's words.
        message: String,
    },
}

impl From<PackError> for ReaderError {
    fn from(error: PackError) -> Self {
        Self::BadPack(error.to_string())
    }
}

/// How a rule's matches are treated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Shown as it is.
    Text,
    /// Shown by its first characters only, in this and every other finding.
    Secret,
}

/// A rule, ready to be used. Its patterns are compiled when they are first needed.
#[derive(Debug)]
pub(crate) struct Rule {
    /// `pack/rule`.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) severity: Severity,
    pub(crate) category: Category,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) keywords: Vec<String>,
    pub(crate) entropy: Option<f64>,
    pattern: Pattern,
    allow: Vec<Pattern>,
    paths: Option<GlobSet>,
    not_paths: GlobSet,
    enabled: bool,
    valid: Vec<String>,
    invalid: Vec<String>,
    example_path: RepoPath,
}

impl Rule {
    /// Does the rule look at files of this path?
    pub(crate) fn applies_to(&self, path: &RepoPath) -> bool {
        let path = Path::new(OsStr::from_bytes(path.as_bytes()));
        self.paths.as_ref().is_none_or(|paths| paths.is_match(path)) && !self.not_paths.is_match(path)
    }

    /// What it looks for.
    pub(crate) fn pattern(&self) -> Result<&Regex, ReaderError> {
        self.pattern.compiled(&self.name)
    }

    /// Is this a known placeholder?
    pub(crate) fn allows(&self, matched: &[u8]) -> Result<bool, ReaderError> {
        for pattern in &self.allow {
            if pattern.compiled(&self.name)?.is_match(matched) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A regular expression that is known to be well-formed, compiled at first use.
#[derive(Debug)]
struct Pattern {
    text: String,
    regex: OnceLock<Result<Regex, regex::Error>>,
}

impl Pattern {
    /// Checks the form, with the options it will be compiled with. The error says where in the pattern.
    fn parse(text: &str) -> Result<Self, String> {
        let mut parser = regex_syntax::ParserBuilder::new();
        let parsed = parser.unicode(false).utf8(false).multi_line(true).crlf(true).build().parse(text);
        let at = |span: &regex_syntax::ast::Span, what: String| {
            format!("{what} (at line {}, column {} of the pattern)", span.start.line, span.start.column)
        };
        match parsed {
            Ok(parsed) if parsed.properties().minimum_len() == Some(0) => {
                Err("it matches empty text".to_owned())
            }
            Ok(_) => Ok(Self { text: text.to_owned(), regex: OnceLock::new() }),
            Err(regex_syntax::Error::Parse(error)) => Err(at(error.span(), error.kind().to_string())),
            Err(regex_syntax::Error::Translate(error)) => Err(at(error.span(), error.kind().to_string())),
            Err(other) => Err(other.to_string()),
        }
    }

    fn compiled(&self, rule: &str) -> Result<&Regex, ReaderError> {
        let mut builder = RegexBuilder::new(&self.text);
        let compile = || builder.unicode(false).multi_line(true).crlf(true).build();
        self.regex
            .get_or_init(compile)
            .as_ref()
            .map_err(|error| PackError::Compile { rule: rule.to_owned(), message: error.to_string() }.into())
    }
}

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

    /// Packs from rule files: (`{pack}/rules/{rule}.toml`, text).
    ///
    /// # Errors
    /// The first file that is wrong, with the line and what to mend.
    pub fn parse(files: &[(&str, &str)]) -> Result<Self, PackError> {
        let mut rules: BTreeMap<String, Vec<Rule>> = BTreeMap::new();
        for (file, text) in files {
            let (pack, rule) = parse_rule(file, text)?;
            rules.entry(pack).or_default().push(rule);
        }
        Ok(Self { rules })
    }

    /// The names of all packs, in order.
    pub fn names(&self) -> Vec<&str> {
        self.rules.keys().map(String::as_str).collect()
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

    /// Runs every rule, enabled or not, on its own examples: one line for each `valid` one that is reported and
    /// each `invalid` one that is not. Empty: the packs do what they say.
    ///
    /// # Errors
    /// [`ReaderError::BadPack`] for a pattern over the size limit.
    pub fn failing_examples(&self) -> Result<Vec<String>, ReaderError> {
        let mut failing = Vec::new();
        for rule in self.rules.values().flatten() {
            let alone = RuleSet::new(vec![rule])?;
            for (examples, expected) in [(&rule.valid, false), (&rule.invalid, true)] {
                for example in examples {
                    let examined = alone.examine(&rule.example_path, example.as_bytes(), &[(1, u32::MAX)])?;
                    if examined.findings.is_empty() == expected {
                        let what =
                            if expected { "finds nothing in invalid" } else { "finds something in valid" };
                        failing.push(format!("{} {what} example {example:?}", rule.name));
                    }
                }
            }
        }
        Ok(failing)
    }
}

/// A rule file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    id: Spanned<String>,
    kind: Kind,
    severity: Severity,
    category: Category,
    title: Spanned<String>,
    body: Spanned<String>,
    keywords: Spanned<Vec<String>>,
    pattern: Spanned<String>,
    entropy: Option<Spanned<f64>>,
    #[serde(default)]
    allow: Vec<Spanned<String>>,
    #[serde(default)]
    paths: Vec<Spanned<String>>,
    #[serde(default)]
    not_paths: Vec<Spanned<String>>,
    #[serde(default = "yes")]
    enabled: bool,
    valid: Spanned<Vec<String>>,
    invalid: Spanned<Vec<String>>,
    #[serde(default = "example_path")]
    example_path: String,
}

fn yes() -> bool {
    true
}

fn example_path() -> String {
    "example.txt".to_owned()
}

/// The pack's name and the rule.
fn parse_rule(file: &str, text: &str) -> Result<(String, Rule), PackError> {
    let named = file.split_once("/rules/").and_then(|(pack, rule)| Some((pack, rule.strip_suffix(".toml")?)));
    let Some((pack, id)) = named.filter(|(pack, id)| is_name(pack) && is_name(id)) else {
        return Err(PackError::Name { file: file.to_owned() });
    };
    let name = format!("{pack}/{id}");
    let raw: RuleFile = toml::from_str(text).map_err(|error| PackError::Toml {
        file: file.to_owned(),
        line: error.span().map_or(1, |span| line_at(text, span.start)),
        message: error.message().to_owned(),
    })?;

    let wrong = |field: &'static str, at: usize, message: String| PackError::Field {
        file: file.to_owned(),
        line: line_at(text, at),
        rule: name.clone(),
        field,
        message,
    };
    let pattern_of = |field: &'static str, value: &Spanned<String>| {
        Pattern::parse(value.get_ref()).map_err(|message| wrong(field, value.span().start, message))
    };
    let globs_of = |field: &'static str, values: &[Spanned<String>]| {
        let mut globs = GlobSetBuilder::new();
        for value in values {
            let glob = GlobBuilder::new(value.get_ref()).literal_separator(true).build();
            globs.add(glob.map_err(|error| wrong(field, value.span().start, error.to_string()))?);
        }
        globs.build().map_err(|error| wrong(field, 0, error.to_string()))
    };
    let check = |right: bool, field: &'static str, at: usize, message: &str| {
        if right { Ok(()) } else { Err(wrong(field, at, message.to_owned())) }
    };

    check(raw.id.get_ref() == id, "id", raw.id.span().start, "it must be the file's name without .toml")?;
    for (field, value, right) in
        [("title", &raw.title, !raw.title.get_ref().contains('\n')), ("body", &raw.body, true)]
    {
        let right = right && !value.get_ref().trim().is_empty();
        check(right, field, value.span().start, "it must not be empty, and a title has one line")?;
    }
    let keywords = raw.keywords.get_ref();
    let long_enough =
        !keywords.is_empty() && keywords.iter().all(|keyword| keyword.len() >= MIN_KEYWORD_BYTES);
    let message = format!("at least one is needed, each of {MIN_KEYWORD_BYTES} bytes or more");
    check(long_enough, "keywords", raw.keywords.span().start, &message)?;
    for (field, examples) in [("valid", &raw.valid), ("invalid", &raw.invalid)] {
        check(
            !examples.get_ref().is_empty(),
            field,
            examples.span().start,
            "at least one example is needed",
        )?;
    }
    if let Some(entropy) = &raw.entropy {
        check(raw.kind == Kind::Secret, "entropy", entropy.span().start, "it is for secrets only")?;
    }

    let allow = raw.allow.iter().map(|value| pattern_of("allow", value)).collect::<Result<Vec<_>, _>>()?;
    let rule = Rule {
        kind: raw.kind,
        severity: raw.severity,
        category: raw.category,
        pattern: pattern_of("pattern", &raw.pattern)?,
        allow,
        paths: if raw.paths.is_empty() { None } else { Some(globs_of("paths", &raw.paths)?) },
        not_paths: globs_of("not_paths", &raw.not_paths)?,
        entropy: raw.entropy.map(Spanned::into_inner),
        enabled: raw.enabled,
        example_path: RepoPath::from_text(&raw.example_path),
        title: raw.title.into_inner(),
        body: raw.body.into_inner().trim().to_owned(),
        keywords: raw.keywords.into_inner(),
        valid: raw.valid.into_inner(),
        invalid: raw.invalid.into_inner(),
        name,
    };
    Ok((pack.to_owned(), rule))
}

/// Lower-case letters, digits and `-`.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// The 1-based line of a byte offset.
fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
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
        assert_eq!(packs.names(), ["core"]);
        assert_eq!(packs.failing_examples().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn no_rule_file_holds_what_the_secret_rules_find() {
        let packs = Packs::embedded().unwrap();
        let rules = packs.select(&names(&["core"])).unwrap();
        let secrets = rules.into_iter().filter(|rule| rule.kind == Kind::Secret).collect();
        let secrets = RuleSet::new(secrets).unwrap();
        for (file, text) in EMBEDDED {
            let found =
                secrets.examine(&RepoPath::from_text(file), text.as_bytes(), &[(1, u32::MAX)]).unwrap();
            assert_eq!(found.findings, [], "{file}");
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
        let failing = packs.unwrap().failing_examples().unwrap();
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
            (with("colour = 1"), "p/rules/x.toml:11: unknown field `colour`"),
            (with("enabled = 1"), "p/rules/x.toml:11: invalid type"),
            (with("= 1"), "p/rules/x.toml:11: "),
            (instead("severity = \"P1\"\n", ""), "p/rules/x.toml:1: missing field `severity`"),
            (instead("\"P1\"", "\"P9\""), "p/rules/x.toml:3: unknown variant `P9`"),
            (instead("\"x\"", "\"y\""), "p/rules/x.toml:1: rule `p/x`: id: "),
            (instead("\"T\"", "\"\"\"T\nU\"\"\""), "p/rules/x.toml:5: rule `p/x`: title: "),
            (instead("\"B\"", "\" \""), "p/rules/x.toml:6: rule `p/x`: body: "),
            (instead("[\"key\"]\np", "[\"ke\"]\np"), "p/rules/x.toml:7: rule `p/x`: keywords: "),
            (instead("[\"key\"]\np", "[]\np"), "p/rules/x.toml:7: rule `p/x`: keywords: "),
            (
                instead(r"key(\d+)", r"key(\d+"),
                "p/rules/x.toml:8: rule `p/x`: pattern: unclosed group (at line 1, column 4 of the pattern)",
            ),
            (
                instead(r"key(\d+)", r"key\pL"),
                "p/rules/x.toml:8: rule `p/x`: pattern: Unicode not allowed here (at",
            ),
            (instead(r"key(\d+)", r"(key)*"), "p/rules/x.toml:8: rule `p/x`: pattern: it matches empty text"),
            (instead("[\"key1\"]", "[]"), "p/rules/x.toml:10: rule `p/x`: invalid: "),
            (
                with("allow = ['a', 'b',\n '[']"),
                "p/rules/x.toml:12: rule `p/x`: allow: unclosed character class",
            ),
            (with("paths = ['a{']"), "p/rules/x.toml:11: rule `p/x`: paths: "),
            (with("entropy = 3.0").replace("secret", "text"), "p/rules/x.toml:11: rule `p/x`: entropy: "),
        ] {
            assert!(error(&text).starts_with(expected), "{expected}\n{}", error(&text));
        }
        for file in ["x.toml", "p/x.toml", "p/rules/x", "p/rules/a/x.toml", "p/rules/X.toml", "/rules/x.toml"]
        {
            let error = Packs::parse(&[(file, GOOD)]).unwrap_err();
            assert_eq!(error, PackError::Name { file: file.to_owned() });
        }
    }

    #[test]
    fn a_pattern_too_large_is_an_error_when_it_is_needed() {
        let large = GOOD.replace(r"key(\d+)", r"key(\d{1000}){1000}");
        let packs = Packs::parse(&[("p/rules/x.toml", &large)]).unwrap();
        let error = packs.failing_examples().unwrap_err().to_string();
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

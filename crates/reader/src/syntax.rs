//! The one home of tree-sitter and ast-grep: which languages there are, rules in ast-grep's own YAML (`rule`),
//! the scan of one file, which is parsed once however many rules look at it (`scan`), and where a text defines a name
//! (`definitions`),
//! and what is around a place (`around`).

mod around;
mod definitions;
mod rule;
mod scan;

use ast_grep_language::SupportLang;

pub(crate) use around::Places;
pub(crate) use definitions::{Definition, definitions};
pub(crate) use rule::{SyntaxCheck, WrongRule, from_yaml};
pub(crate) use scan::{
    MAX_DEPTH, MAX_SOURCE_BYTES, MAX_TIME, Match, Parsers, Scan, Shape, TooComplex, text_of,
};

/// The size of the stacks on which syntax is read, in bytes. Matching recurses along the tree, whose depth is
/// bounded, and compiling a rule along the rule, which is bounded by its file's size.
pub(crate) const STACK_BYTES: usize = 64 * 1024 * 1024;

/// A language whose grammar is compiled in.
#[derive(Debug)]
pub(crate) struct Language {
    /// What rules may call it, in lower case; the first is the one shown.
    names: &'static [&'static str],
    /// What its files' names end with, after the dot; the first is for examples.
    extensions: &'static [&'static str],
    grammar: SupportLang,
    /// What gives things their names in it.
    definitions: &'static [definitions::Kind],
}

/// Every language there is. ast-grep knows more names, but panics at one whose grammar is not compiled in.
pub(crate) const LANGUAGES: &[Language] = &[
    Language {
        names: &["python", "py"],
        extensions: &["py", "pyi", "py3"],
        grammar: SupportLang::Python,
        definitions: definitions::PYTHON,
    },
    Language {
        names: &["typescript", "ts"],
        extensions: &["ts", "mts", "cts"],
        grammar: SupportLang::TypeScript,
        definitions: definitions::SCRIPT,
    },
    Language {
        names: &["tsx"],
        extensions: &["tsx"],
        grammar: SupportLang::Tsx,
        definitions: definitions::SCRIPT,
    },
    Language {
        names: &["javascript", "js", "jsx"],
        extensions: &["js", "mjs", "cjs", "jsx"],
        grammar: SupportLang::JavaScript,
        definitions: definitions::SCRIPT,
    },
    Language {
        names: &["rust", "rs"],
        extensions: &["rs"],
        grammar: SupportLang::Rust,
        definitions: definitions::RUST,
    },
    Language {
        names: &["go", "golang"],
        extensions: &["go"],
        grammar: SupportLang::Go,
        definitions: definitions::GO,
    },
    Language {
        names: &["java"],
        extensions: &["java"],
        grammar: SupportLang::Java,
        definitions: definitions::JAVA,
    },
];

impl Language {
    /// By a name that a rule gives it, in any case.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        LANGUAGES.iter().find(|language| language.names.iter().any(|known| known.eq_ignore_ascii_case(name)))
    }

    /// By a file's path.
    pub(crate) fn of_path(path: &[u8]) -> Option<&'static Self> {
        let name = path.rsplit(|byte| *byte == b'/').next()?;
        let dot = name.iter().rposition(|byte| *byte == b'.')?;
        let extension = name.get(dot + 1..)?;
        LANGUAGES
            .iter()
            .find(|language| language.extensions.iter().any(|known| known.as_bytes() == extension))
    }

    /// The name that errors and lists show.
    pub(crate) fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }

    /// What an example's file is called.
    pub(crate) fn example_path(&self) -> String {
        format!("file.{}", self.extensions.first().copied().unwrap_or_default())
    }

    /// All names, for errors.
    pub(crate) fn known() -> String {
        LANGUAGES.iter().map(Self::name).collect::<Vec<_>>().join(", ")
    }
}

impl PartialEq for Language {
    fn eq(&self, other: &Self) -> bool {
        self.grammar == other.grammar
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_s_language_is_told_by_the_end_of_its_name() {
        for (path, expected) in [
            ("a/b.py", Some("python")),
            ("a.test.ts", Some("typescript")),
            ("a.tsx", Some("tsx")),
            ("a.mjs", Some("javascript")),
            ("a.d/b.rs", Some("rust")),
            ("a.py/b", None),
            ("py", None),
            ("a.PY", None),
            ("a.", None),
            ("", None),
        ] {
            assert_eq!(Language::of_path(path.as_bytes()).map(Language::name), expected, "{path}");
        }
    }

    #[test]
    fn every_language_is_known_by_every_name_and_has_its_grammar() {
        for language in LANGUAGES {
            for name in language.names {
                assert_eq!(Language::named(&name.to_uppercase()), Some(language));
            }
            // A grammar that is not compiled in panics here.
            assert!(scan::tests::parses(language, "x"), "{}", language.name());
        }
        assert_eq!(Language::named("kotlin"), None);
    }
}

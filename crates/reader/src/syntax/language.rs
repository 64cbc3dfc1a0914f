//! Languages whose grammars are compiled in.

use ast_grep_language::SupportLang;

use super::kinds;

/// Language whose grammar is compiled in.
#[derive(Debug)]
pub(crate) struct SourceLanguage {
    /// Names that rules may use for the language, in lower case. Errors and lists show the first name.
    pub(super) names: &'static [&'static str],
    /// File extensions of the language, without the dot. The paths of examples use the first extension.
    pub(super) extensions: &'static [&'static str],
    pub(super) grammar: SupportLang,
    /// Kinds of nodes that define a name.
    pub(super) definition_kinds: &'static [kinds::DefinitionKind],
}

/// All languages. ast-grep accepts the names of more languages, but panics if their grammar is not compiled
/// in.
pub(crate) const LANGUAGES: &[SourceLanguage] = &[
    SourceLanguage {
        names: &["python", "py"],
        extensions: &["py", "pyi", "py3"],
        grammar: SupportLang::Python,
        definition_kinds: kinds::PYTHON,
    },
    SourceLanguage {
        names: &["typescript", "ts"],
        extensions: &["ts", "mts", "cts"],
        grammar: SupportLang::TypeScript,
        definition_kinds: kinds::JAVASCRIPT,
    },
    SourceLanguage {
        names: &["tsx"],
        extensions: &["tsx"],
        grammar: SupportLang::Tsx,
        definition_kinds: kinds::JAVASCRIPT,
    },
    SourceLanguage {
        names: &["javascript", "js", "jsx"],
        extensions: &["js", "mjs", "cjs", "jsx"],
        grammar: SupportLang::JavaScript,
        definition_kinds: kinds::JAVASCRIPT,
    },
    SourceLanguage {
        names: &["rust", "rs"],
        extensions: &["rs"],
        grammar: SupportLang::Rust,
        definition_kinds: kinds::RUST,
    },
    SourceLanguage {
        names: &["go", "golang"],
        extensions: &["go"],
        grammar: SupportLang::Go,
        definition_kinds: kinds::GO,
    },
    SourceLanguage {
        names: &["java"],
        extensions: &["java"],
        grammar: SupportLang::Java,
        definition_kinds: kinds::JAVA,
    },
];

impl SourceLanguage {
    /// Finds a language by its name in a rule. Case is ignored.
    pub(crate) fn from_name(name: &str) -> Option<&'static Self> {
        LANGUAGES.iter().find(|language| language.names.iter().any(|known| known.eq_ignore_ascii_case(name)))
    }

    /// Finds the language of a file by the file's extension.
    pub(crate) fn from_path(path: &[u8]) -> Option<&'static Self> {
        let name = path.rsplit(|byte| *byte == b'/').next()?;
        let dot = name.iter().rposition(|byte| *byte == b'.')?;
        let extension = name.get(dot + 1..)?;
        LANGUAGES
            .iter()
            .find(|language| language.extensions.iter().any(|known| known.as_bytes() == extension))
    }

    /// Returns the name that errors and lists show.
    pub(crate) fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }

    /// Returns the path of a file for an example in this language.
    pub(crate) fn example_path(&self) -> String {
        format!("file.{}", self.extensions.first().copied().unwrap_or_default())
    }

    /// Returns all language names as one text for error messages.
    pub(crate) fn all_names() -> String {
        LANGUAGES.iter().map(Self::name).collect::<Vec<_>>().join(", ")
    }
}

impl PartialEq for SourceLanguage {
    fn eq(&self, other: &Self) -> bool {
        self.grammar == other.grammar
    }
}

//! Wraps tree-sitter and ast-grep. The module contains the languages (`language`) and the rules in ast-grep's
//! own YAML (`rule`). `scan` parses a file once and runs all rules on it. `definitions` finds the positions
//! at which a text defines a name, and `around` describes the code around a position.

mod bindings;
mod component_scripts;
mod definitions;
mod kinds;
mod language;
mod parsed_file;
mod rule;
mod scan;

pub(crate) use definitions::{DefinitionLocation, find_definitions};
pub(crate) use language::{LANGUAGES, SourceLanguage};
pub(crate) use parsed_file::ParsedFile;
pub use parsed_file::top_level_digest;
pub(crate) use rule::{RuleSyntaxError, SyntaxCheck, from_yaml};
pub(crate) use scan::{
    MAX_FILE_CPU_TIME, MAX_SOURCE_BYTES, MAX_TREE_DEPTH, ParserPool, SyntaxMatch, SyntaxScan,
    SyntaxScanError, TreeShape, decode_keeping_offsets,
};

/// Size in bytes of the stacks for threads that parse code and compile rules. Matching follows the tree
/// recursively, and the depth of the tree is bounded. Compiling follows the rule recursively, and the depth
/// of the rule is bounded by the size of its file.
pub(crate) const STACK_BYTES: usize = 64 * 1024 * 1024;

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
            assert_eq!(
                SourceLanguage::from_path(path.as_bytes()).map(SourceLanguage::name),
                expected,
                "{path}"
            );
        }
    }

    #[test]
    fn every_language_is_known_by_every_name_and_has_its_grammar() {
        for language in LANGUAGES {
            for name in language.names {
                assert_eq!(SourceLanguage::from_name(&name.to_uppercase()), Some(language));
            }
            // A grammar that is missing in the binary causes a panic here.
            assert!(scan::tests::can_parse(language, "x"), "{}", language.name());
        }
        assert_eq!(SourceLanguage::from_name("kotlin"), None);
    }
}

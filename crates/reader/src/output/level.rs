//! Maps the words of tools for severity levels to levels.

use crate::output::diagnostic::DiagnosticLevel;

/// Words in lower case, and their levels. RuboCop and Pylint print a letter instead of a word. A letter that
/// both tools use has the same meaning in both.
const LEVEL_WORDS: &[(&str, DiagnosticLevel)] = &[
    ("blocker", DiagnosticLevel::Error),
    ("c", DiagnosticLevel::Note),
    ("convention", DiagnosticLevel::Note),
    ("critical", DiagnosticLevel::Error),
    ("debug", DiagnosticLevel::Note),
    ("e", DiagnosticLevel::Error),
    ("error", DiagnosticLevel::Error),
    ("f", DiagnosticLevel::Error),
    ("failure", DiagnosticLevel::Error),
    ("fatal", DiagnosticLevel::Error),
    ("fatal error", DiagnosticLevel::Error),
    ("help", DiagnosticLevel::Note),
    ("high", DiagnosticLevel::Error),
    ("hint", DiagnosticLevel::Note),
    ("i", DiagnosticLevel::Note),
    ("info", DiagnosticLevel::Note),
    ("information", DiagnosticLevel::Note),
    ("inventory", DiagnosticLevel::Note),
    ("low", DiagnosticLevel::Note),
    ("medium", DiagnosticLevel::Warning),
    ("message", DiagnosticLevel::Note),
    ("note", DiagnosticLevel::Note),
    ("parse error", DiagnosticLevel::Error),
    ("performance", DiagnosticLevel::Note),
    ("portability", DiagnosticLevel::Note),
    ("r", DiagnosticLevel::Note),
    ("refactor", DiagnosticLevel::Note),
    ("remark", DiagnosticLevel::Note),
    ("style", DiagnosticLevel::Note),
    ("suggestion", DiagnosticLevel::Note),
    ("w", DiagnosticLevel::Warning),
    ("warn", DiagnosticLevel::Warning),
    ("warning", DiagnosticLevel::Warning),
];

/// Returns the level for a word, in upper or lower case. Returns `None` for an unknown word.
pub(crate) fn parse_level(word: &str) -> Option<DiagnosticLevel> {
    let word = word.trim();
    LEVEL_WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, level)| *level)
}

/// Returns the level for a word, or a warning if the word is unknown or missing.
pub(crate) fn level_or_warning(word: Option<&str>) -> DiagnosticLevel {
    word.and_then(parse_level).unwrap_or(DiagnosticLevel::Warning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_sorted_and_found_in_any_case() {
        assert!(LEVEL_WORDS.is_sorted_by(|one, two| one.0 < two.0));
        assert!(
            LEVEL_WORDS.iter().all(|(word, level)| self::parse_level(&word.to_uppercase()) == Some(*level))
        );
        assert_eq!(level_or_warning(Some("horrible")), DiagnosticLevel::Warning);
        assert_eq!(level_or_warning(None), DiagnosticLevel::Warning);
    }
}

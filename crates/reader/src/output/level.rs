//! The words by which tools say how bad something is.

use crate::output::diagnostic::Level;

/// Each word in lower case, and its level. RuboCop and Pylint print a letter; the letters mean the same in both.
const WORDS: &[(&str, Level)] = &[
    ("blocker", Level::Error),
    ("c", Level::Note),
    ("convention", Level::Note),
    ("critical", Level::Error),
    ("debug", Level::Note),
    ("e", Level::Error),
    ("error", Level::Error),
    ("f", Level::Error),
    ("failure", Level::Error),
    ("fatal", Level::Error),
    ("fatal error", Level::Error),
    ("help", Level::Note),
    ("high", Level::Error),
    ("hint", Level::Note),
    ("i", Level::Note),
    ("info", Level::Note),
    ("information", Level::Note),
    ("inventory", Level::Note),
    ("low", Level::Note),
    ("medium", Level::Warning),
    ("message", Level::Note),
    ("note", Level::Note),
    ("parse error", Level::Error),
    ("performance", Level::Note),
    ("portability", Level::Note),
    ("r", Level::Note),
    ("refactor", Level::Note),
    ("remark", Level::Note),
    ("style", Level::Note),
    ("suggestion", Level::Note),
    ("w", Level::Warning),
    ("warn", Level::Warning),
    ("warning", Level::Warning),
];

/// The level that a word names, in letters of any case. None for an unknown word.
pub(crate) fn level(word: &str) -> Option<Level> {
    let word = word.trim();
    WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, level)| *level)
}

/// The level that a word names, and a warning for an unknown word or none.
pub(crate) fn level_or_warning(word: Option<&str>) -> Level {
    word.and_then(level).unwrap_or(Level::Warning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_sorted_and_found_in_any_case() {
        assert!(WORDS.is_sorted_by(|one, two| one.0 < two.0));
        assert!(WORDS.iter().all(|(word, level)| self::level(&word.to_uppercase()) == Some(*level)));
        assert_eq!(level_or_warning(Some("horrible")), Level::Warning);
        assert_eq!(level_or_warning(None), Level::Warning);
    }
}

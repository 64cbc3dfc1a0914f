//! Splits a shell command line into words. A text is refused if any shell might split or expand it into other
//! words.

/// The reason why a text is not accepted as a list of plain words.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ShellSyntaxError {
    /// A character that some shell may interpret.
    #[error("a shell may interpret {0:?}: Truing accepts only plain words")]
    Character(char),
    /// A word that a shell expands or interprets as an assignment.
    #[error("a shell interprets {0:?}: Truing accepts only plain words")]
    Word(String),
    /// A quotation mark without its counterpart, or in the middle of a word.
    #[error(
        "{0:?} has an unpaired quotation mark, or a quotation mark inside a word: quote only whole \
        words"
    )]
    Quote(String),
}

/// Returns the words of a text if every shell splits the text into exactly these words; otherwise returns an
/// error. A word may consist of letters, digits and characters without special meaning. A whole word may also
/// be enclosed in one pair of quotation marks, if no shell expands anything between them.
///
/// # Errors
/// [`ShellSyntaxError`] if the text may mean something else to some shell.
///
/// # Examples
/// ```
/// use truing_core::policy::plain_words;
/// assert_eq!(plain_words("git grep 'two words' src").unwrap(), ["git", "grep", "two words", "src"]);
/// assert!(plain_words("git log; id").is_err());
/// ```
pub fn plain_words(text: &str) -> Result<Vec<&str>, ShellSyntaxError> {
    let mut words = Vec::new();
    let mut rest = text.trim_matches([' ', '\t']);
    while !rest.is_empty() {
        let quote = rest.chars().next().filter(|first| matches!(first, '\'' | '"'));
        let (word, after) = match quote {
            Some(quote) => {
                let inner = rest.get(1..).unwrap_or_default();
                let (word, after) =
                    inner.split_once(quote).ok_or_else(|| ShellSyntaxError::Quote(rest.to_owned()))?;
                if !after.is_empty() && !after.starts_with([' ', '\t']) {
                    return Err(ShellSyntaxError::Quote(rest.to_owned()));
                }
                let expands = |letter: char| letter.is_control() || quote == '"' && "$`\\!".contains(letter);
                if let Some(letter) = word.chars().find(|letter| expands(*letter)) {
                    return Err(ShellSyntaxError::Character(letter));
                }
                // Quoted words are not checked further. `'git'` names the program `git`. `'A=b'` as the first
                // word is a program name, not an assignment; no grammar lists such a program.
                (word, after)
            }
            None => {
                let (word, after) = rest.split_at(rest.find([' ', '\t']).unwrap_or(rest.len()));
                check_unquoted_word(word, words.is_empty())?;
                (word, after)
            }
        };
        words.push(word);
        rest = after.trim_start_matches([' ', '\t']);
    }
    Ok(words)
}

/// Refuses an unquoted word that a shell would interpret.
fn check_unquoted_word(word: &str, is_first: bool) -> Result<(), ShellSyntaxError> {
    let is_plain = |letter: char| letter.is_alphanumeric() || "_-./,:+@%=~^".contains(letter);
    if let Some(letter) = word.chars().find(|letter| !is_plain(*letter)) {
        return Err(ShellSyntaxError::Character(letter));
    }
    // Shells expand home folders (`~`), and zsh expands command names (`=ls`) and patterns (`^`). A first
    // word with `=` is an assignment.
    let is_expanded =
        word.starts_with(['~', '=', '^']) || [":~", "=~"].iter().any(|home| word.contains(home));
    if is_expanded || is_first && word.contains('=') {
        return Err(ShellSyntaxError::Word(word.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    #[test]
    fn nothing_that_a_shell_acts_on_is_a_word() {
        for text in [
            "git log; id",
            "git log && id",
            "git log | sh",
            "git log & id",
            "git log > f",
            "git log < f",
            "git log\nid",
            "git log\rid",
            "$(id)",
            "git log $(id)",
            "git log `id`",
            "git log $HOME",
            "git log \"$HOME\"",
            "git log \"`id`\"",
            "FOO=1 git log",
            "rg x *",
            "rg x a?",
            "rg x [a]",
            "rg x {a,b}",
            "rg x ~/a",
            "rg x ~",
            "rg x --a=~/b",
            "=git log",
            "git log #x",
            "!git",
            "git log 'a",
            "git log a'b'",
            "git log 'a'b",
            "git log \"a\\\"b\"",
            "(git log)",
            "git\u{a0}log",
            "git log \\; id",
            "rg x ^a",
            "git log $'a'",
            "git log \"a!b\"",
        ] {
            assert!(plain_words(text).is_err(), "{text:?}: {:?}", plain_words(text));
        }
        assert_eq!(plain_words("").unwrap(), [""; 0]);
        assert_eq!(
            plain_words(" git\tdiff  HEAD~1 HEAD^ --stat=80 ").unwrap(),
            ["git", "diff", "HEAD~1", "HEAD^", "--stat=80"]
        );
        assert_eq!(plain_words("rg 'a|b $x' \"c d\" ''").unwrap(), ["rg", "a|b $x", "c d", ""]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        /// Checks that a shell splits an accepted text into the same words.
        #[test]
        fn shells_make_the_same_words_of_it(
            parts in prop::collection::vec(
                select(vec!["a", "B9", " ", "  ", "'", "\"", "=", "~", "^", "-", ".", "/", ":", ",", "+",
                    "@", "%", "$", ";", "*", "\\", "é", "#", "!", "x"]),
                0..12,
            )
        ) {
            let text = format!("a{}", parts.concat());
            if let Ok(words) = plain_words(&text) {
                for shell in ["sh", "bash"] {
                    let script = format!("printf '%s\\0' {text}");
                    let Ok(output) = Command::new(shell).args(["-c", &script]).env("HOME",
                        "/elsewhere").output() else { continue };
                    let expected: String = words.iter().map(|word| format!("{word}\0")).collect();
                    prop_assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{}: {}", shell, text);
                }
            }
        }
    }
}

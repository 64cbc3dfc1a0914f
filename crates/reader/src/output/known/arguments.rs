//! Selects the arguments of a team's commands that another run of the tool may use.

/// Maximum number of arguments that are used.
pub(crate) const MAX_ARGUMENTS: usize = 50;
/// Maximum length of an argument, in bytes.
pub(crate) const MAX_ARGUMENT_BYTES: usize = 2_000;

/// Returns the arguments that the allow-list `keeps` permits. An entry of the allow-list that ends with `=`
/// permits an option with a value, which may be the next argument. Any other entry permits an option without
/// a value. Filtering the returned arguments again does not change them.
pub(crate) fn filter_args(allow_list: &[String], args: &[String]) -> Vec<String> {
    allowed_options(allow_list, args).concat()
}

/// Returns the allowed arguments that all of these runs share.
pub(crate) fn common_args<'a>(
    allow_list: &[String],
    runs: impl IntoIterator<Item = &'a [String]>,
) -> Vec<String> {
    let mut options = runs.into_iter().map(|args| allowed_options(allow_list, args));
    let Some(mut common) = options.next() else { return Vec::new() };
    for other in options {
        common.retain(|option| other.contains(option));
    }
    common.concat()
}

/// Returns the allowed arguments as a list of options, each with its value.
fn allowed_options(allow_list: &[String], args: &[String]) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    let mut count = 0;
    let mut words = args.iter().peekable();
    while let Some(word) = words.next() {
        if word == "--" {
            break;
        }
        let option = match option_word_kind(allow_list, word) {
            OptionWordKind::NotAllowed => continue,
            OptionWordKind::CompleteOption => vec![word.clone()],
            OptionWordKind::OptionAwaitingValue => {
                match words.next_if(|next| !next.starts_with('-') || *next == "-") {
                    Some(value) => vec![word.clone(), value.clone()],
                    None => continue,
                }
            }
        };
        if option.iter().all(|word| is_safe_argument(word)) && count + option.len() <= MAX_ARGUMENTS {
            count += option.len();
            found.push(option);
        }
    }
    found
}

/// The classes of words on a command line that the allow-list distinguishes.
enum OptionWordKind {
    /// An option that is permitted, together with any value in the same word.
    CompleteOption,
    /// An option that is permitted and whose value is the next word.
    OptionAwaitingValue,
    /// A word that is not permitted.
    NotAllowed,
}

fn option_word_kind(allow_list: &[String], word: &str) -> OptionWordKind {
    for keep in allow_list {
        let Some(name) = keep.strip_suffix('=') else {
            if keep == word {
                return OptionWordKind::CompleteOption;
            }
            continue;
        };
        if word == name {
            return OptionWordKind::OptionAwaitingValue;
        }
        // `-Lword` is the one-letter option `-L` with the value `word`.
        let is_letter = name.len() == 2 && !name.ends_with('-');
        if word.starts_with(keep.as_str()) || (is_letter && word.starts_with(name)) {
            return OptionWordKind::CompleteOption;
        }
    }
    OptionWordKind::NotAllowed
}

/// Returns true if the word is not too long for an argument, contains no control characters, and names no
/// path outside of the tree.
fn is_safe_argument(word: &str) -> bool {
    let value = word.split_once('=').map_or(word, |(_, value)| value);
    let leaves_tree = value.starts_with(['/', '~']) || value.split('/').any(|part| part == "..");
    word.len() <= MAX_ARGUMENT_BYTES && !word.chars().any(char::is_control) && !leaves_tree
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options_of_the_allow_list_are_kept_with_their_values_and_no_others() {
        let keeps = words("--select= -L= --strict -ignore=");
        let same = ["--select=E,F", "--select E,F", "-L te", "-Lte", "--strict -ignore x", "-L -"];
        for args in same {
            assert_eq!(filter_args(&keeps, &words(args)), words(args), "{args}");
        }
        assert_eq!(
            filter_args(&keeps, &words("--fix --select E --strict=1 src -w -q 3")),
            words("--select E")
        );
        assert_eq!(filter_args(&keeps, &words("--select --fix")), words(""), "its value is missing");
        assert_eq!(filter_args(&keeps, &words("--selected=E --strictest")), words(""));
        assert_eq!(filter_args(&keeps, &words("--strict -- --select E")), words("--strict"), "files follow");
        assert_eq!(filter_args(&keeps, &["--select".into(), "a\nb".into()]), words(""));
        assert_eq!(filter_args(&keeps, &[format!("--select={}", "x".repeat(MAX_ARGUMENT_BYTES))]), words(""));
        let many = filter_args(&keeps, &words(&"-L a --strict ".repeat(50)));
        assert_eq!(many.len(), MAX_ARGUMENTS);
        assert_eq!(filter_args(&keeps, &many), many);
    }
}

//! Finds sentences that are hard to read: long sentences, and sentences with certain phrases.

/// Phrases that hide who does what, old words, and metaphors. Upper and lower case are not distinguished.
const FLAGGED_PHRASES: &[&str] = &[
    "told",
    "tell",
    "tells",
    "telling",
    "nobody",
    "somebody",
    "whoever",
    "whatever",
    "anew",
    "in vain",
    "mend",
    "mends",
    "mended",
    "of which",
    "so that it is",
    "what is",
    "for want of",
    "for ever",
    "comes to nothing",
    "come to nothing",
    "looked at",
    "purse",
    "the former",
    "the latter",
    "but for",
];

/// Maximum number of words of a sentence.
pub(super) const MAX_SENTENCE_WORDS: usize = 35;

/// Consecutive lines of prose.
pub(super) struct ProseBlock {
    /// The number of the first line.
    pub(super) first_line: usize,
    pub(super) text: String,
}

/// Returns the comments of a source; consecutive comment lines are one block. Code examples are left out.
pub(super) fn comment_blocks(source: &str) -> Vec<ProseBlock> {
    collect_blocks(source.lines().map(|row| {
        let comment = row.trim_start().strip_prefix("//")?;
        Some(comment.trim_start_matches(['/', '!']).trim())
    }))
}

/// Returns the paragraphs of a Markdown page, without code, tables and headings.
pub(super) fn page_blocks(page: &str) -> Vec<ProseBlock> {
    collect_blocks(page.lines().map(|row| Some(row.trim())))
}

/// Joins consecutive lines to blocks. `None` means a line that is not prose. Such a line ends a block.
fn collect_blocks<'a>(lines: impl Iterator<Item = Option<&'a str>>) -> Vec<ProseBlock> {
    let mut blocks: Vec<ProseBlock> = Vec::new();
    let (mut is_inside, mut is_code) = (false, false);
    for (index, row) in lines.enumerate() {
        let fence = row.is_some_and(|row| row.starts_with("```"));
        is_code = row.is_some() && is_code != fence;
        let Some(row) =
            row.filter(|row| !fence && !is_code && !row.is_empty() && !row.starts_with(['|', '#', '<']))
        else {
            is_inside = false;
            continue;
        };
        let is_item = row.starts_with("* ") || row.starts_with("- ");
        match blocks.last_mut() {
            Some(block) if is_inside && !is_item => {
                block.text.push(' ');
                block.text.push_str(row);
            }
            _ => blocks.push(ProseBlock { first_line: index + 1, text: row.to_owned() }),
        }
        is_inside = true;
    }
    blocks
}

/// Returns the [`FLAGGED_PHRASES`] that occur in a text, each as often as it occurs.
pub(super) fn find_flagged_phrases(text: &str) -> Vec<&'static str> {
    let lower = without_code(text).to_lowercase();
    let words: Vec<&str> =
        lower.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let count = |phrase: &&str| {
        let wanted: Vec<&str> = phrase.split(' ').collect();
        words.windows(wanted.len()).filter(|window| *window == wanted.as_slice()).count()
    };
    FLAGGED_PHRASES.iter().flat_map(|phrase| std::iter::repeat_n(*phrase, count(phrase))).collect()
}

/// Returns the sentences of more than [`MAX_SENTENCE_WORDS`] words.
pub(super) fn find_long_sentences(text: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = [". ", "; ", ": ", "! ", "? "].iter().filter_map(|end| rest.find(end)).min();
        let (sentence, after) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
        if sentence.split_whitespace().count() > MAX_SENTENCE_WORDS {
            sentences.push(sentence.trim());
        }
        rest = after;
    }
    sentences
}

/// Returns a text without its code spans (text between grave accents).
fn without_code(text: &str) -> String {
    text.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_pages_are_read_in_blocks_without_their_code() {
        let source = "//! One\n//! two.\n\nlet a = 1; // not a block of its own\n/// Three\n/// ```\n/// \
             code\n/// ```\n/// four\n";
        let texts = |blocks: Vec<ProseBlock>| -> Vec<String> {
            blocks.into_iter().map(|block| format!("{} {}", block.first_line, block.text)).collect()
        };
        assert_eq!(texts(comment_blocks(source)), ["1 One two.", "5 Three", "9 four"]);
        let page = "# Title\n\nA line\nand one.\n\n| a | b |\n\n* item\n  more\n* other\n\n```sh\nls\n```\n";
        assert_eq!(texts(page_blocks(page)), ["3 A line and one.", "8 * item more", "10 * other"]);
    }

    #[test]
    fn phrases_are_found_as_words_outside_of_code() {
        assert_eq!(
            find_flagged_phrases("Nobody mends it; `told` is a name, retold is a word."),
            ["nobody", "mends"]
        );
        assert_eq!(
            find_flagged_phrases("Two files, of\nwhich one is new, and of which"),
            ["of which", "of which"]
        );
    }

    #[test]
    fn a_sentence_is_long_by_its_own_words() {
        let words = |count: usize| vec!["word"; count].join(" ");
        assert!(find_long_sentences(&format!("{}. {}.", words(35), words(35))).is_empty());
        assert_eq!(
            find_long_sentences(&format!("Short. {}. Short.", words(36))),
            [format!("{}.", words(36))]
        );
    }
}

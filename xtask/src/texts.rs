//! `cargo xtask texts`: lists the texts that the program prints, with file and line, for proofreading.

use std::str::FromStr as _;

use anyhow::{Context, Result};
use proc_macro2::{TokenStream, TokenTree};

use crate::say;
use crate::workspace::{self, TrackedFile};

/// Folders whose texts are not printed for users.
const EXCLUDED_FOLDERS: [&str; 4] = ["crates/contract/", "crates/fakes/", "bench/", "xtask/"];
/// Minimum number of words of a text. A shorter string is a name or a label.
const MIN_TEXT_WORDS: usize = 3;
/// First words of SQL statements, which are not texts for people.
const SQL_KEYWORDS: [&str; 8] = ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "WITH"];

#[derive(clap::Args)]
pub(crate) struct TextFilter {
    /// Print only the texts in files below these paths, such as `crates/truing/src/cli`
    paths: Vec<String>,
}

/// A text that the program prints, as one line.
pub(crate) struct ProgramText {
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// Prints each string of three words or more in the program's own code, and each help text.
pub(crate) fn run(filter: &TextFilter) -> Result<bool> {
    let mut count = 0_usize;
    for file in workspace::tracked_files(&workspace::workspace_root()?)? {
        let path = file.path.as_str();
        let is_wanted =
            filter.paths.is_empty() || filter.paths.iter().any(|prefix| path.starts_with(prefix.as_str()));
        if !is_wanted {
            continue;
        }
        for ProgramText { line, text } in read_program_texts(&file)? {
            say::print_line(&format!("{path}:{line}: {text}"));
            count += 1;
        }
    }
    say::print_problem(&format!("{count} texts"));
    Ok(true)
}

/// Returns the texts in a source file of the program. Returns no texts for a test or a file of another
/// program.
pub(crate) fn read_program_texts(file: &TrackedFile) -> Result<Vec<ProgramText>> {
    let mut texts = Vec::new();
    if is_program_source(&file.path) {
        let tokens = TokenStream::from_str(&file.text)
            .map_err(|error| anyhow::anyhow!("{error}"))
            .with_context(|| format!("cannot read {}", file.path))?;
        collect_texts(tokens, file.text.contains("clap::"), &mut texts);
    }
    Ok(texts)
}

/// Returns true if the file at this path is a Rust source of the program, and not a test.
pub(crate) fn is_program_source(path: &str) -> bool {
    let is_test = path.contains("/tests/") || path.ends_with("tests.rs") || path.contains("/benches/");
    path.ends_with(".rs") && !is_test && !EXCLUDED_FOLDERS.iter().any(|folder| path.starts_with(folder))
}

/// Adds the texts in a token stream, except texts in `#[cfg(test)]` items. If `reads_docs` is true, doc
/// comments are included, because clap prints them as help texts.
fn collect_texts(tokens: TokenStream, reads_docs: bool, texts: &mut Vec<ProgramText>) {
    let (mut is_attribute, mut skips_body) = (false, false);
    for token in tokens {
        match token {
            TokenTree::Group(group) if is_attribute => {
                let attribute = group.stream().to_string();
                is_attribute = false;
                if attribute.starts_with("cfg") && attribute.contains("test") {
                    skips_body = true;
                } else if reads_docs || !attribute.starts_with("doc") {
                    collect_texts(group.stream(), reads_docs, texts);
                }
            }
            // A skipped item ends after its body, or at a `;`, which another match arm handles.
            TokenTree::Group(group) if skips_body && group.delimiter() == proc_macro2::Delimiter::Brace => {
                skips_body = false;
            }
            TokenTree::Group(group) => collect_texts(group.stream(), reads_docs, texts),
            TokenTree::Literal(literal) if !skips_body => {
                let line = literal.span().start().line;
                texts.extend(readable_text(&literal).map(|text| ProgramText { line, text }));
            }
            TokenTree::Punct(punct) => {
                is_attribute = punct.as_char() == '#' || is_attribute && punct.as_char() == '!';
                skips_body &= punct.as_char() != ';';
            }
            TokenTree::Ident(_) | TokenTree::Literal(_) => is_attribute = false,
        }
    }
}

/// Returns the value of a string literal if it is a text for people.
fn readable_text(literal: &proc_macro2::Literal) -> Option<String> {
    let text = syn::parse_str::<syn::LitStr>(&literal.to_string()).ok()?.value();
    let words: Vec<&str> = text.split_whitespace().collect();
    let are_words =
        words.iter().filter(|word| word.chars().any(char::is_alphabetic)).count() >= MIN_TEXT_WORDS;
    let is_sql = words.first().is_some_and(|word| SQL_KEYWORDS.contains(word));
    (are_words && !is_sql).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_program_are_found_with_their_lines_and_those_of_tests_are_not() {
        let code = r##"
            /// Prints all of it
            #[error("{at}: the file\n cannot be read")]
            struct A(#[serde(rename = "two words")] u8);
            const SQL: &str = "SELECT a FROM b";
            fn f() { g(&["one two three"], r#"a "raw" one"#, b"bytes are no text"); }
            #[cfg(test)]
            use a::b;
            fn h() { g("after the use"); }
            #[cfg(test)]
            mod tests { fn t() { g("never shown to anybody"); } }
        "##;
        let texts = |reads_docs| {
            let mut texts = Vec::new();
            collect_texts(code.parse().unwrap(), reads_docs, &mut texts);
            texts.into_iter().map(|text| format!("{}: {}", text.line, text.text)).collect::<Vec<_>>()
        };
        let strings =
            ["3: {at}: the file cannot be read", "6: one two three", "6: a \"raw\" one", "9: after the use"];
        assert_eq!(texts(false), strings);
        assert_eq!(texts(true)[0], "2: Prints all of it");
    }
}

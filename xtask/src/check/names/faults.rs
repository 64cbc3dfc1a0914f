//! Finds faults in the names and comments of sources. The sources are searched as text, without a parser, so
//! every line that looks like a declaration counts as a declaration.

use std::collections::BTreeMap;
use std::fmt;

use super::prose::{ProseBlock, comment_blocks, find_flagged_phrases, find_long_sentences, page_blocks};
use super::tuple_parameters::find_tuple_parameters;
use crate::texts;
use crate::workspace::TrackedFile;

/// A type name counts as a fault if at least this number of types have the name.
const MIN_SHARING_TYPES: usize = 5;

/// Minimum number of words of a documentation comment.
const MIN_DOC_WORDS: usize = 4;

/// Number of words of a documentation comment or sentence that a report shows.
const MAX_REPORTED_WORDS: usize = 10;

/// Type names of one word that are accepted, because every Rust programmer knows them.
const ACCEPTED_TYPE_NAMES: &str = "Error Result Args Options Config Builder Iter";

/// Words that are not accepted as the name of a type, because they are not nouns: participles, adjectives,
/// pronouns and adverbs.
const NON_NOUN_NAMES: &str = "Said Asked Kept Went Found Told Shown Seen Made Given Left Read Done Known \
    Lost \
     Taken Begun Ended Heard Tried Held Meant Brought Sent Drawn Put Set Come Gone Chosen Decided Spent \
     Wanted Needed Used Missed Passed Stopped Started Settled Loaded Parsed Looked Traced Watched Bounded \
     Served Printed Identified Recalled Performed Replaced Refused Untold Unread Beside Before After What \
     Why How Which Who Where When Whose So Such Own Others Fresh Whole Lately Ready Past Ahead Old New Same \
     Other Mine Ours";

/// The forms of a verb that hides who does what in a comment.
const TELL_VERB_FORMS: &str = "told tell tells telling";

/// Words with which a documentation comment must not begin, because they begin a question instead of a
/// statement.
const QUESTION_WORDS: &str = "What Whether Which Why When How Who Where So";

/// Maximum number of columns of a line.
const MAX_COLUMNS: usize = 110;

/// Names of folders that contain no sources of this project.
const SKIPPED_FOLDERS: &str = "target generated node_modules fixtures snapshots";

/// A kind of fault, which is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NamingFault {
    /// The name of a type is one word, and is not one of the `ACCEPTED_TYPE_NAMES`.
    OneWordType,
    /// At least [`MIN_SHARING_TYPES`] types have the same name.
    SharedTypeName,
    /// The name of a type is not a noun.
    NonNounType,
    /// The name of a function is one word.
    OneWordFunction,
    /// A parameter of a function is a tuple.
    TupleParameter,
    /// A comment has one of the [`TELL_VERB_FORMS`].
    TellVerbComment,
    /// A documentation comment has fewer than [`MIN_DOC_WORDS`] words.
    ShortDocComment,
    /// A documentation comment begins with one of the [`QUESTION_WORDS`].
    QuestionDocComment,
    /// A line is longer than [`MAX_COLUMNS`].
    WideLine,
    /// A comment has a phrase that hides who does what.
    CommentPhrase,
    /// A sentence of a comment is too long.
    CommentSentence,
    /// A text that the program prints has a phrase that hides who does what.
    TextPhrase,
    /// A page of the documentation has a phrase that hides who does what.
    PagePhrase,
    /// A sentence of a page of the documentation is too long.
    PageSentence,
}

impl NamingFault {
    pub(super) const ALL: [Self; 14] = [
        Self::OneWordType,
        Self::SharedTypeName,
        Self::NonNounType,
        Self::OneWordFunction,
        Self::TupleParameter,
        Self::TellVerbComment,
        Self::ShortDocComment,
        Self::QuestionDocComment,
        Self::WideLine,
        Self::CommentPhrase,
        Self::CommentSentence,
        Self::TextPhrase,
        Self::PagePhrase,
        Self::PageSentence,
    ];

    /// Returns the key of this fault's count in `names.toml`.
    pub(super) fn record_key(self) -> &'static str {
        match self {
            Self::OneWordType => "one-word-types",
            Self::SharedTypeName => "shared-types",
            Self::NonNounType => "bare-types",
            Self::OneWordFunction => "one-word-functions-percent",
            Self::TupleParameter => "tuple-parameters",
            Self::TellVerbComment => "told-comments",
            Self::ShortDocComment => "short-blocks",
            Self::QuestionDocComment => "question-blocks",
            Self::WideLine => "wide-lines",
            Self::CommentPhrase => "comment-phrases",
            Self::CommentSentence => "long-comment-sentences",
            Self::TextPhrase => "text-phrases",
            Self::PagePhrase => "page-phrases",
            Self::PageSentence => "long-page-sentences",
        }
    }

    /// Returns the advice to a person who has added such a fault.
    pub(super) fn remedy_text(self) -> &'static str {
        match self {
            Self::OneWordType => "name a type with two words",
            Self::SharedTypeName => "add no type of a name that five have",
            Self::NonNounType => "name a type with a noun",
            Self::OneWordFunction => "name a function with a verb and its object",
            Self::TupleParameter => "take two parameters or a struct in place of a tuple",
            Self::TellVerbComment => "write another verb than `tell`",
            Self::ShortDocComment => "write a sentence of four words or more, or no documentation",
            Self::QuestionDocComment => "open documentation with the subject of a sentence",
            Self::WideLine => "break the line",
            Self::CommentPhrase | Self::TextPhrase | Self::PagePhrase => {
                "write who does what, in plain words"
            }
            Self::CommentSentence | Self::PageSentence => "make two sentences of it",
        }
    }
}

/// A location with a fault.
pub(super) struct FaultPlace {
    pub(super) fault: NamingFault,
    pub(super) path: String,
    pub(super) line: usize,
    /// The faulty name or word, or the first words of the faulty comment.
    pub(super) name: String,
}

impl fmt::Display for FaultPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} {}", self.path, self.line, self.name)
    }
}

/// The faults of a set of files.
#[derive(Default)]
pub(super) struct NamingFaults {
    places: Vec<FaultPlace>,
    /// The number of all functions, with and without a fault.
    function_count: usize,
}

impl NamingFaults {
    pub(super) fn from_files(files: &[TrackedFile]) -> Self {
        let mut faults = Self::default();
        for file in files {
            if file.path.ends_with(".md") {
                faults.add_page(&file.path, &file.text);
            } else {
                faults.add_file(&file.path, text_before_tests(&file.text));
                faults.add_texts(file);
            }
        }
        faults.retain_shared_types();
        faults
    }

    /// Returns the number to record: the number of locations or, for functions, a percentage of all
    /// functions. For functions, a percentage is recorded because traits require one-word method names
    /// (`fmt`, `from`). The number of such methods grows with every new type.
    pub(super) fn recorded_number(&self, fault: NamingFault) -> usize {
        let places = self.fault_places(fault).len();
        if fault == NamingFault::OneWordFunction { 100 * places / self.function_count.max(1) } else { places }
    }

    /// Returns the locations of one fault, in the order of files and lines.
    pub(super) fn fault_places(&self, fault: NamingFault) -> Vec<&FaultPlace> {
        self.places.iter().filter(|place| place.fault == fault).collect()
    }

    /// Adds the faults of a page of documentation.
    fn add_page(&mut self, path: &str, text: &str) {
        self.add_prose(path, page_blocks(text), NamingFault::PagePhrase, NamingFault::PageSentence);
    }

    /// Adds the faults of the texts that the program prints. A source that cannot be parsed adds no faults.
    fn add_texts(&mut self, file: &TrackedFile) {
        for text in texts::read_program_texts(file).unwrap_or_default() {
            for phrase in find_flagged_phrases(&text.text) {
                self.add_place(NamingFault::TextPhrase, &file.path, text.line, phrase);
            }
        }
    }

    fn add_prose(
        &mut self,
        path: &str,
        blocks: Vec<ProseBlock>,
        phrase_fault: NamingFault,
        sentence_fault: NamingFault,
    ) {
        for block in blocks {
            for found in find_flagged_phrases(&block.text) {
                self.add_place(phrase_fault, path, block.first_line, found);
            }
            for found in find_long_sentences(&block.text) {
                let shown = found.split_whitespace().take(MAX_REPORTED_WORDS).collect::<Vec<_>>().join(" ");
                self.add_place(sentence_fault, path, block.first_line, &shown);
            }
        }
    }

    fn add_place(&mut self, fault: NamingFault, path: &str, line: usize, name: &str) {
        self.places.push(FaultPlace { fault, path: path.to_owned(), line, name: name.to_owned() });
    }

    fn add_file(&mut self, path: &str, text: &str) {
        self.add_prose(path, comment_blocks(text), NamingFault::CommentPhrase, NamingFault::CommentSentence);
        let places = &mut self.places;
        let mut add_place = |fault, line, name: &str| {
            places.push(FaultPlace { fault, path: path.to_owned(), line, name: name.to_owned() });
        };
        for (index, row) in text.split('\n').enumerate() {
            let line = index + 1;
            if row.chars().count() > MAX_COLUMNS {
                add_place(NamingFault::WideLine, line, "");
            }
            if let Some(name) = type_name(row) {
                add_place(NamingFault::SharedTypeName, line, name);
                if count_capital_letters(name) <= 1 && !has_word(ACCEPTED_TYPE_NAMES, name) {
                    add_place(NamingFault::OneWordType, line, name);
                }
                if has_word(NON_NOUN_NAMES, name) {
                    add_place(NamingFault::NonNounType, line, name);
                }
            }
            for name in function_names(row) {
                self.function_count += 1;
                if !name.trim_matches('_').contains('_') {
                    add_place(NamingFault::OneWordFunction, line, name);
                }
            }
            for word in comment_words(row).filter(|word| has_word(TELL_VERB_FORMS, word)) {
                add_place(NamingFault::TellVerbComment, line, word);
            }
        }
        for block in doc_blocks(text) {
            let shown = block.words.iter().take(MAX_REPORTED_WORDS).copied().collect::<Vec<_>>().join(" ");
            if block.words.len() < MIN_DOC_WORDS {
                add_place(NamingFault::ShortDocComment, block.line, &shown);
            }
            if block.words.first().is_some_and(|word| has_word(QUESTION_WORDS, word)) {
                add_place(NamingFault::QuestionDocComment, block.line, &shown);
            }
        }
        for parameter in find_tuple_parameters(text) {
            add_place(NamingFault::TupleParameter, parameter.line, &parameter.function);
        }
    }

    /// Removes the locations of type names that fewer than `MIN_SHARING_TYPES` types have. Must be called
    /// after all files were read.
    fn retain_shared_types(&mut self) {
        let mut types = BTreeMap::<String, usize>::new();
        for place in self.fault_places(NamingFault::SharedTypeName) {
            *types.entry(place.name.clone()).or_default() += 1;
        }
        self.places.retain(|place| {
            place.fault != NamingFault::SharedTypeName
                || types.get(&place.name).is_some_and(|&count| count >= MIN_SHARING_TYPES)
        });
    }
}

/// Returns true if the file at this path is a page that people read, and not an input of a test or a prompt.
pub(super) fn is_documentation_page(path: &str) -> bool {
    let is_below_docs = path.starts_with("docs/") || !path.contains('/');
    path.ends_with(".md") && is_below_docs
}

/// Returns true if the file at this path is a Rust source of the project, and not a test, benchmark or
/// example.
pub(super) fn is_checked_source(path: &str) -> bool {
    let (folders, file) = path.rsplit_once('/').unwrap_or(("", path));
    let skipped = |folder: &str| folder.starts_with('.') || has_word(SKIPPED_FOLDERS, folder);
    let of_tests = |folder: &str| matches!(folder, "test" | "tests");
    let below_crate = |folder: &str| matches!(folder, "benches" | "examples");
    let test_file = |ending: &str| file == ending || file.ends_with(&format!("_{ending}"));
    file.ends_with(".rs")
        && !folders.split('/').any(|folder| skipped(folder) || of_tests(folder))
        // Such a folder in the root, for example `examples/`, contains crates and is therefore measured.
        && !folders.split('/').skip(1).any(below_crate)
        && !["test.rs", "tests.rs"].into_iter().any(test_file)
        && !path.contains("testutils")
}

/// Returns the part of a source before its module of tests, which must be the last item of the source.
fn text_before_tests(text: &str) -> &str {
    let opens_tests = |after: &str| {
        let after = after.trim_start();
        let module = after.strip_prefix("pub ").unwrap_or(after).strip_prefix("mod ");
        module.is_some_and(|name| {
            let word = first_word(name);
            !word.is_empty() && name[word.len()..].starts_with(" {")
        })
    };
    let mut attributes = text.match_indices("#[cfg(test)]");
    let tests = attributes.find(|(at, attribute)| opens_tests(&text[at + attribute.len()..]));
    tests.map_or(text, |(at, _)| &text[..at])
}

/// Returns the name of the type that a line declares.
fn type_name(line: &str) -> Option<&str> {
    let row = line.trim_start();
    let in_crate = || row.strip_prefix("pub(")?.split_once(')')?.1.strip_prefix(' ');
    let row = row.strip_prefix("pub ").or_else(in_crate).unwrap_or(row);
    let keywords = ["struct ", "enum ", "trait ", "union "];
    let name = first_word(keywords.into_iter().find_map(|keyword| row.strip_prefix(keyword))?);
    (!name.is_empty()).then_some(name)
}

/// Returns the names of the functions that a source declares, or that a comment mentions.
fn function_names(text: &str) -> impl Iterator<Item = &str> {
    const KEYWORD: &str = "fn ";
    text.match_indices(KEYWORD).filter_map(|(offset, _)| {
        let name = first_word(&text[offset + KEYWORD.len()..]);
        let is_keyword = !text[..offset].ends_with(is_word_char) && !name.is_empty();
        is_keyword.then_some(name)
    })
}

/// Returns the words of a line if the line is a comment.
fn comment_words(first_line: &str) -> impl Iterator<Item = &str> {
    let comment = first_line.trim_start().strip_prefix("//");
    comment.into_iter().flat_map(|text| text.split(|char| !is_word_char(char)))
}

/// Consecutive lines of a documentation comment.
struct DocBlock<'a> {
    /// The number of the first line.
    line: usize,
    words: Vec<&'a str>,
}

fn doc_blocks(text: &str) -> Vec<DocBlock<'_>> {
    let mut blocks: Vec<DocBlock<'_>> = Vec::new();
    let mut is_inside = false;
    for (index, row) in text.split('\n').enumerate() {
        let row = row.trim_start();
        let doc = row.strip_prefix("///").or_else(|| row.strip_prefix("//!"));
        if doc.is_some() && !is_inside {
            blocks.push(DocBlock { line: index + 1, words: Vec::new() });
        }
        if let (Some(doc), Some(block)) = (doc, blocks.last_mut()) {
            block.words.extend(doc.split_whitespace());
        }
        is_inside = doc.is_some();
    }
    blocks
}

fn first_word(text: &str) -> &str {
    let end = text.find(|char| !is_word_char(char)).unwrap_or(text.len());
    &text[..end]
}

fn is_word_char(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

fn count_capital_letters(name: &str) -> usize {
    name.chars().filter(char::is_ascii_uppercase).count()
}

/// Returns true if `word` is one of the words in the list `words`.
fn has_word(words: &str, word: &str) -> bool {
    words.split_whitespace().any(|known| known == word)
}

#[cfg(test)]
mod tests {
    use NamingFault::{
        NonNounType, OneWordFunction, OneWordType, QuestionDocComment, SharedTypeName, ShortDocComment,
        TellVerbComment,
    };

    use super::*;

    /// Returns the locations of a fault in one source, as texts such as `12 name`.
    fn find_fault_places(fault: NamingFault, text: &str) -> Vec<String> {
        let faults = NamingFaults::from_files(&[TrackedFile { path: "a.rs".into(), text: text.into() }]);
        let places = faults.fault_places(fault).into_iter();
        places.map(|place| format!("{} {}", place.line, place.name)).collect()
    }

    #[test]
    fn a_type_of_one_word_is_found_and_a_usual_one_is_not() {
        let text = "pub struct Tree {}\n  pub(crate) enum Plan {}\npub(in crate::a) trait Walk {}\nunion \
             Bits {}\nstruct PlanStep;\nenum Error {}\n/// struct Comment\nlet x = struct Inline;\nstruct \
             lower;\n";
        assert_eq!(find_fault_places(OneWordType, text), ["1 Tree", "2 Plan", "3 Walk", "4 Bits", "9 lower"]);
    }

    #[test]
    fn a_name_is_shared_when_five_types_have_it() {
        let four = "struct Run;\nenum Run {}\ntrait Run {}\nstruct Run;\n";
        assert_eq!(find_fault_places(SharedTypeName, four), [""; 0]);
        assert_eq!(
            find_fault_places(SharedTypeName, &format!("{four}struct Other;\nstruct Run;\n")).len(),
            5
        );
    }

    #[test]
    fn a_participle_is_no_name_of_a_type_but_may_be_part_of_one() {
        assert_eq!(
            find_fault_places(NonNounType, "struct Kept;\nenum Why {}\nstruct KeptPlan;\nfn Asked() {}"),
            ["1 Kept", "2 Why"]
        );
    }

    #[test]
    fn a_function_of_one_word_counts_in_a_share_of_all() {
        let text = "fn run() {}\nfn _run_() {}\nfn run_all() {}\npub fn a_b() {} // my_fn x, fn (u8)\n";
        assert_eq!(find_fault_places(OneWordFunction, text), ["1 run", "2 _run_"]);
        let number = |text: &str| {
            let file = TrackedFile { path: "a.rs".into(), text: text.into() };
            NamingFaults::from_files(&[file]).recorded_number(OneWordFunction)
        };
        assert_eq!(number(text), 50);
        assert_eq!(number("fn run() {}\nfn a_b() {}\nfn c_d() {}"), 33, "a part of a per cent is dropped");
        assert_eq!(number(""), 0);
    }

    #[test]
    fn told_words_are_found_in_rows_that_are_comments() {
        let text = "/// It is told, and tells.\n  // telling\n//! tell\nlet told = 1; // told\n// teller \
             untold Told\n";
        assert_eq!(find_fault_places(TellVerbComment, text), ["1 told", "1 tells", "2 telling", "3 tell"]);
    }

    #[test]
    fn a_short_block_has_three_words_or_fewer_in_all_its_rows() {
        let text =
            "/// One two three.\nstruct A;\n/// One two\n/// three four.\nstruct B;\n//!\n\n    /// Last";
        assert_eq!(find_fault_places(ShortDocComment, text), ["1 One two three.", "6 ", "8 Last"]);
        assert_eq!(find_fault_places(ShortDocComment, "// One\n"), [""; 0]);
    }

    #[test]
    fn a_block_that_opens_with_a_question_is_found_by_its_first_word() {
        let text = "/// What it is.\n/// More.\nstruct A;\n/// It says\n/// What it is.\nstruct B;\n/// \
             What's this\n\n//! So";
        assert_eq!(find_fault_places(QuestionDocComment, text), ["1 What it is. More.", "9 So"]);
    }

    #[test]
    fn nothing_counts_from_the_module_of_tests_on() {
        let code = "/// What\nstruct Kept;\nfn run((a, b): (u8, u8)) {} \n// told\n";
        for tests in ["#[cfg(test)]\nmod tests {\n", "#[cfg(test)] pub mod t {\n"] {
            for fault in NamingFault::ALL {
                assert_eq!(find_fault_places(fault, &format!("{tests}{code}}}")), [""; 0], "{fault:?}");
            }
        }
        // The measured part of a source ends at a test module inside the file. A declaration of a test module
        // in another file, or a single test item, does not end it.
        for before in
            ["#[cfg(test)]\nmod tests;\n", "#[cfg(test)]\nuse a;\n", "#[cfg(test)]\npub(crate) mod a {}\n"]
        {
            assert_eq!(find_fault_places(NonNounType, &format!("{before}{code}")).len(), 1, "{before}");
        }
    }

    #[test]
    fn files_of_tests_and_of_others_are_not_measured() {
        for path in ["a.rs", "crates/a/src/b.rs", "examples/a/src/lib.rs", "crates/a/src/contest.rs"] {
            assert!(is_checked_source(path), "{path}");
        }
        for path in [
            "crates/a/README.md",
            "crates/a/tests/it/main.rs",
            "crates/a/src/tests.rs",
            "crates/a/src/test/b.rs",
            "xtask/src/test.rs",
            "crates/a/src/b_test.rs",
            "crates/a/benches/b.rs",
            "crates/a/examples/b.rs",
            "crates/testutils/src/lib.rs",
            "crates/a/fixtures/b.rs",
            "crates/a/src/generated/b.rs",
            ".ci/a.rs",
        ] {
            assert!(!is_checked_source(path), "{path}");
        }
    }
}

//! Detects new behaviour outside tests that could determine the results of tests. Such code uses test
//! libraries, ends the program, finds out which code calls it, redefines names in other modules, or assembles
//! a name from parts.
//!
//! The module searches [`tokens`](super::tokens) for the patterns of a table. If a finding is about the
//! behaviour, the behaviour is permitted. If the file already had such behaviour, new behaviour is only
//! reported. In files that are executed directly, program exits and detection of the caller are also only
//! reported.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use super::file::{FileVersionPair, added_lines};
use super::patterns::*;
use super::runner_files;
use super::tokens::{CodeToken, NormalizedCode};
use super::version::{AnalyzedVersion, can_affect_tests};
use super::weakening::{FindingSubject, Weakening, WeakeningKind};
use WeakeningKind::{
    AssembledName, ModifiedTestProcess, ProgramExit, TestDetection, TestLibraryUse, UnresolvedImports,
};
use truing_diff::RepoPath;

/// Adds a weakening for each behaviour that this fix adds outside tests.
pub(super) fn find_new_behaviour(
    files: &[FileVersionPair<'_>],
    subjects: &BTreeSet<FindingSubject>,
    weakenings: &mut Vec<Weakening>,
) {
    let products: Vec<_> = files
        .iter()
        .map(|file| {
            (
                file,
                NonTestFile::from_optional_version(&file.before),
                NonTestFile::from_optional_version(&file.after),
            )
        })
        .collect();
    let mut each = |kind: WeakeningKind,
                    words: &[&str],
                    is_told: bool,
                    lines: &dyn Fn(&NonTestFile<'_>) -> Vec<String>| {
        let sides = products.iter().map(|(file, before, after)| {
            let of = |side: &Option<NonTestFile<'_>>| side.as_ref().map(lines).unwrap_or_default();
            (*file, of(before), of(after))
        });
        let sides: Vec<_> = sides.collect();
        for (file, line) in added_lines(&sides) {
            if subjects.iter().any(|subject| subject.path == *file.path && subject.mentions_any(words)) {
                continue;
            }
            let had = sides.iter().any(|(of, before, _)| std::ptr::eq(*of, file) && !before.is_empty());
            let is_program = products.iter().any(|(of, before, after)| {
                std::ptr::eq(*of, file)
                    && [before, after].iter().all(|side| side.as_ref().is_some_and(NonTestFile::is_program))
            });
            let is_mild = is_told || had || (is_program && matches!(kind, ProgramExit | TestDetection));
            weakenings.push(Weakening { is_report_only: is_mild, ..file.new_weakening(kind, &line) });
        }
    };
    for rule in FORBIDDEN_BEHAVIOURS {
        each(rule.kind, rule.exempting_words, rule.kind.is_report_only(), &|product| {
            product.matching_lines(rule)
        });
    }
    for rule in CUSTOM_COMPARISONS {
        each(rule.kind, rule.exempting_words, false, &|product| product.find_comparisons(rule, true));
        each(rule.kind, rule.exempting_words, true, &|product| product.find_comparisons(rule, false));
    }
    each(TestLibraryUse, TEST_LIBRARY_WORDS, false, &|product| product.find_test_libraries(TEST_LIBRARIES));
    each(TestLibraryUse, TEST_LIBRARY_WORDS, true, &|product| {
        product.find_test_libraries(&[(JAVASCRIPT_SUFFIXES, ASSERTION_LIBRARIES)])
    });
    each(ModifiedTestProcess, PATCHING_WORDS, false, &|product| product.patched_lines(true));
    each(ModifiedTestProcess, PATCHING_WORDS, true, &|product| product.patched_lines(false));
    each(AssembledName, &[], false, &|product| product.assembled_name_lines());
    each(ProgramExit, PROGRAM_END_WORDS, false, &|product| product.find_replaced_symbols());
    for (file, before, after) in &products {
        let is_cut = |side: &Option<NonTestFile<'_>>| {
            side.as_ref().is_some_and(|side| side.code.has_unresolved_imports)
        };
        if is_cut(after) {
            weakenings.push(Weakening {
                is_report_only: is_cut(before),
                ..file.new_weakening(UnresolvedImports, "")
            });
        }
    }
}

/// Maximum number of characters before the body of a program's main part.
const MAX_MAIN_HEAD_CHARS: usize = 400;

/// Maximum number of main parts in a file, and maximum number of test parts.
const MAX_REGIONS: usize = 64;

/// Maximum number of words in the head of a class.
const MAX_CLASS_HEAD_TOKENS: usize = 64;

/// A file that does not belong to tests.
struct NonTestFile<'h> {
    version: &'h AnalyzedVersion,
    code: NormalizedCode,
    /// Positions of each word in the code.
    index: BTreeMap<Rc<str>, Vec<usize>>,
    /// Ranges of code that run only when the file is executed directly.
    main_ranges: Vec<Range<usize>>,
    /// Ranges of code that are compiled only for tests.
    test_ranges: Vec<Range<usize>>,
}

impl<'h> NonTestFile<'h> {
    /// Returns none if the file belongs to tests or its language is unknown.
    fn from_optional_version(version: &'h Option<AnalyzedVersion>) -> Option<Self> {
        let is_read = |side: &&AnalyzedVersion| {
            side.scanned_file.is_some() && !can_affect_tests(&RepoPath::from_text(&side.path))
        };
        version.as_ref().filter(is_read).map(Self::new)
    }

    fn new(version: &'h AnalyzedVersion) -> Self {
        let code = NormalizedCode::new(version);
        let mut index: BTreeMap<Rc<str>, Vec<usize>> = BTreeMap::new();
        for (at, token) in code.tokens.iter().enumerate() {
            index.entry(Rc::clone(&token.text)).or_default().push(at);
        }
        let mut product = Self { version, code, index, main_ranges: Vec::new(), test_ranges: Vec::new() };
        product.main_ranges = product.find_regions(&[
            "if @main",
            "def main (",
            "if ( require . main === module )",
            "if ( import . meta . main )",
        ]);
        if version.path.ends_with(".rs") {
            product.main_ranges = product.find_regions(&["fn main ("]);
            product.test_ranges = product.find_regions(&["# [ cfg ( test ) ]"]);
        }
        if version.path.ends_with(".go") && version.text.contains("package main") {
            product.main_ranges = product.find_regions(&["func main ( )"]);
        }
        product
    }

    fn has_ending(&self, endings: &[&str]) -> bool {
        endings.iter().any(|ending| self.version.path.ends_with(ending))
    }

    /// Returns true if the shebang line, the name or the folder shows that the file is executed directly.
    fn is_program(&self) -> bool {
        let mut parts = self.version.path.rsplit('/');
        let name = parts.next().unwrap_or_default();
        let stem = name.split('.').next().unwrap_or_default();
        self.version.text.starts_with("#!")
            || matches!(stem, "__main__" | "manage" | "cli")
            || parts.next().is_some_and(|folder| folder == "bin" || folder == "scripts")
    }

    /// Returns the ranges of the blocks that begin with one of these heads, including the bodies.
    fn find_regions(&self, heads: &[&str]) -> Vec<Range<usize>> {
        let Some(read) = &self.version.scanned_file else { return Vec::new() };
        let scanned = &read.scanned_text;
        let is_python = self.version.path.ends_with(".py");
        let starts = heads.iter().flat_map(|head| self.pattern_positions(head));
        let region = |at: usize| {
            let line = scanned.line_of(at);
            let indent = at - scanned.line_range(line).start;
            // In Python, only an unindented part can be the main part.
            if indent > 0 && is_python {
                return None;
            }
            if is_python {
                let ends = (line + 1..scanned.line_starts.len()).find(|line| {
                    let text = scanned.code.get(scanned.line_range(*line)).unwrap_or_default();
                    !text.trim().is_empty() && !text.starts_with([' ', '\t', ')', ']'])
                });
                return Some(at..ends.map_or(scanned.code.len(), |line| scanned.line_range(line).start));
            }
            let mut near = scanned.code.get(at..)?.char_indices().take(MAX_MAIN_HEAD_CHARS);
            let (stop, sign) = near.find(|(_, letter)| matches!(letter, '{' | ';'))?;
            let end = if sign == '{' { scanned.closing_bracket(at + stop)? } else { at + stop };
            Some(at..end)
        };
        starts
            .filter_map(|start| self.code.tokens.get(start))
            .filter_map(|token| region(token.offset))
            .take(MAX_REGIONS)
            .collect()
    }

    fn line_text(&self, line: usize) -> String {
        let scanned = self.version.scanned_file.as_ref().map(|read| &read.scanned_text);
        let text = scanned.and_then(|scanned| scanned.code_with_strings.get(scanned.line_range(line)));
        text.unwrap_or_default().trim().to_owned()
    }

    /// Returns the texts of these lines, without duplicate line numbers.
    fn line_texts(&self, mut lines: Vec<usize>) -> Vec<String> {
        lines.sort_unstable();
        lines.dedup();
        lines.into_iter().map(|line| self.line_text(line)).collect()
    }

    /// Returns the positions of the tokens at which this pattern matches.
    fn pattern_positions(&self, pattern: &str) -> Vec<usize> {
        let is_failing = pattern.ends_with('!') && pattern != "!";
        let words: Vec<&str> = pattern.split(' ').filter(|word| *word != "!" || !is_failing).collect();
        let tokens = &self.code.tokens;
        let Some(first) = words.first() else { return Vec::new() };
        let is_own = first.starts_with(|letter: char| letter.is_ascii_lowercase() || letter == '_');
        let fits = |at: &usize| {
            let is_field = is_own && at.checked_sub(1).is_some_and(|before| self.has_token_at(before, "."));
            let is_all = (*at..).zip(&words).all(|(at, word)| {
                tokens.get(at).is_some_and(|token| matches_pattern_word(&token.text, word))
            });
            is_all
                && !is_field
                && !(is_failing && is_failure_code(tokens.get(at + words.len()..).unwrap_or_default()))
        };
        let candidates: Vec<usize> = match first.strip_suffix('*').filter(|begin| begin.starts_with('"')) {
            Some(begin) => {
                let texts =
                    self.index.range(Rc::from(begin)..).take_while(|(text, _)| text.starts_with(begin));
                texts.flat_map(|(_, places)| places).copied().collect()
            }
            None => self.index.get(*first).cloned().unwrap_or_default(),
        };
        candidates.into_iter().filter(fits).collect()
    }

    fn has_token_at(&self, token_index: usize, text: &str) -> bool {
        self.code.tokens.get(token_index).is_some_and(|token| token.has_text(text))
    }

    fn matching_lines(&self, rule: &ForbiddenBehaviour) -> Vec<String> {
        if !self.has_ending(rule.file_suffixes) {
            return Vec::new();
        }
        let mut places: Vec<usize> =
            rule.patterns.iter().flat_map(|pattern| self.pattern_positions(pattern)).collect();
        places.sort_unstable();
        let is_hit = |at: &usize| {
            let Some(token) = self.code.tokens.get(*at) else { return false };
            let is_main =
                rule.is_allowed_in_main && self.main_ranges.iter().any(|main| main.contains(&token.offset));
            !is_main && !self.is_main_guard(*at)
        };
        let mut lines: Vec<usize> = places
            .into_iter()
            .filter(is_hit)
            .filter_map(|at| self.code.tokens.get(at))
            .map(|token| token.line)
            .collect();
        lines.dedup();
        self.line_texts(lines)
    }

    /// Returns true for a condition such as `if (require.main === module)`. The condition is permitted,
    /// because it only separates the main part from code that also runs in tests.
    fn is_main_guard(&self, token_index: usize) -> bool {
        ["if ( require . main === module )", "if ( import . meta . main )"].iter().any(|guard| {
            token_index.checked_sub(2).is_some_and(|start| self.matches_pattern_at(start, guard))
        })
    }

    fn matches_pattern_at(&self, start: usize, pattern: &str) -> bool {
        let words = pattern.split(' ');
        words
            .enumerate()
            .all(|(at, word)| self.code.tokens.get(start + at).is_some_and(|token| token.has_text(word)))
    }

    /// Returns the lines that define custom comparisons. If `is_value_type` is true, only types that imitate
    /// a built-in type are examined; otherwise, only the other types.
    fn find_comparisons(&self, rule: &ForbiddenBehaviour, is_value_type: bool) -> Vec<String> {
        if !self.has_ending(rule.file_suffixes) {
            return Vec::new();
        }
        let mut lines = Vec::new();
        for pattern in rule.patterns {
            for at in self.pattern_positions(pattern) {
                let Some(token) = self.code.tokens.get(at) else { continue };
                if self.is_value_type_comparison(at, token) == is_value_type {
                    lines.push(token.line);
                }
            }
        }
        self.line_texts(lines)
    }

    fn is_value_type_comparison(&self, token_index: usize, token: &CodeToken) -> bool {
        let tokens = &self.code.tokens;
        let (start, end) = match &*token.text {
            "PartialEq" | "PartialOrd" => (token_index + 1, token_index + 4),
            _ if self.version.path.ends_with(".rs") => (token_index, token_index),
            _ => {
                let classes = self.index.get("class").map(Vec::as_slice).unwrap_or_default();
                let class = classes
                    .partition_point(|class| *class < token_index)
                    .checked_sub(1)
                    .and_then(|last| classes.get(last));
                let class = class.copied();
                let Some(class) = class else { return false };
                let opens = if self.version.path.ends_with(".py") { ":" } else { "{" };
                let head =
                    tokens.get(class..token_index.min(class + MAX_CLASS_HEAD_TOKENS)).unwrap_or_default();
                (class, class + head.iter().position(|token| token.has_text(opens)).unwrap_or(0))
            }
        };
        let row = tokens.get(start..end.min(tokens.len())).unwrap_or_default();
        row.iter().any(|token| BUILTIN_VALUE_TYPES.contains(&&*token.text))
    }

    /// Finds the lines that import or name a test library.
    fn find_test_libraries(&self, libraries: &[(&[&str], &[&str])]) -> Vec<String> {
        let known: Vec<&str> = libraries
            .iter()
            .filter(|(endings, _)| self.has_ending(endings))
            .flat_map(|(_, names)| *names)
            .copied()
            .collect();
        let is_of = |name: &str| {
            known.iter().any(|known| {
                name == *known || name.strip_prefix(known).is_some_and(|rest| rest.starts_with(['/', '.']))
            })
        };
        let tokens = &self.code.tokens;
        let mut lines = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            let next = |count: usize| tokens.get(at + count).map_or("", |token| &*token.text);
            let is_import = token.has_text("import")
                && (is_of(next(1)) || (next(2) == "." && is_of(&format!("{}.{}", next(1), next(3)))));
            // If the library's name is an ordinary word, a string with this word is ignored: it may not refer
            // to the library.
            let is_named = token.text.strip_prefix('"').is_some_and(|text| {
                let module = text.strip_prefix("node:");
                let is_word = matches!(text, "test" | "expect" | "mock" | "should" | "tap" | "ava" | "insta");
                let is_special = text.starts_with('@') || (text.contains("test") && known.contains(&text));
                module.is_some_and(&is_of) || (is_special && !is_word && is_of(text))
            });
            let is_for_tests = self.test_ranges.iter().any(|range| range.contains(&token.offset));
            if (is_import || is_named) && !is_for_tests && lines.last() != Some(&token.line) {
                lines.push(token.line);
            }
        }
        self.line_texts(lines)
    }

    /// Returns the lines that assign to a field of another module. If
    /// `is_builtin_or_test_module` is true, only modules of the language and test libraries are examined;
    /// otherwise, only other imports.
    fn patched_lines(&self, is_builtin_or_test_module: bool) -> Vec<String> {
        let tokens = &self.code.tokens;
        let mut lines = Vec::new();
        let targets = FIELD_SETTER_CALLS.iter().flat_map(|setter| {
            let length = setter.split(' ').count();
            self.pattern_positions(setter).into_iter().map(move |at| at + length)
        });
        for at in targets {
            lines.extend(
                self.is_builtin_or_test(at)
                    .filter(|owner| *owner == is_builtin_or_test_module)
                    .and_then(|_| tokens.get(at)),
            );
        }
        for (at, token) in tokens.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|at| tokens.get(at));
            let begins = before.is_none_or(|before| !before.has_text("."));
            if !begins || tokens.get(at + 1).is_none_or(|next| !next.has_text(".")) {
                continue;
            }
            let length = path_length(tokens.get(at..).unwrap_or_default());
            let next = |count: usize| tokens.get(at + length + count).map_or("", |token| &*token.text);
            // In `LIMIT: typing.Final = 3`, the path is a type annotation, and nothing is assigned to it.
            let is_annotation = at.checked_sub(2).and_then(|name| tokens.get(name)).is_some_and(|name| {
                let is_begin = at
                    .checked_sub(3)
                    .and_then(|before| tokens.get(before))
                    .is_none_or(|before| before.line != name.line);
                is_begin && name.is_name() && !matches!(&*name.text, "else" | "try" | "finally" | "lambda")
            });
            let is_first = before.is_none_or(|before| {
                before.line != token.line
                    || matches!(&*before.text, ";" | "import")
                    || (before.has_text(":") && !is_annotation)
            });
            let is_python = self.version.path.ends_with(".py");
            let is_set = next(0) == "=" && (is_first || !is_python);
            let is_updated = tokens.get(at..at + length).is_some_and(|path| {
                path.iter().any(|part| part.has_text("__dict__"))
                    && path.last().is_some_and(|last| last.has_text("update") || last.has_text("setdefault"))
            });
            let last = (at + length).checked_sub(1).and_then(|last| tokens.get(last));
            let is_getter = last.is_some_and(|last| last.text.starts_with("__define"));
            if (is_set || is_updated || is_getter)
                && self.is_builtin_or_test(at) == Some(is_builtin_or_test_module)
            {
                lines.push(token);
            }
        }
        self.line_texts(lines.into_iter().map(|token| token.line).collect())
    }

    /// Returns true if the name at this position belongs to the language or a test library, and false if it
    /// belongs to another import. Returns `None` if this file defines the name, or if programs normally
    /// assign to the name.
    fn is_builtin_or_test(&self, token_index: usize) -> Option<bool> {
        let tokens = &self.code.tokens;
        let token_index =
            token_index + usize::from(tokens.get(token_index).is_some_and(|token| token.has_text("import")));
        let first = tokens.get(token_index)?;
        let path = tokens.get(token_index..token_index + path_length(tokens.get(token_index..)?))?;
        let words = path.iter().map(|token| &*token.text).collect::<Vec<_>>().join(" ");
        if LIBRARY_SETTING_PREFIXES.iter().any(|setting| words.starts_with(setting)) {
            return None;
        }
        let name = &*first.text;
        let is_python = self.version.path.ends_with(".py");
        if !is_python && self.has_ending(JAVASCRIPT_SUFFIXES) && JAVASCRIPT_GLOBALS.contains(&name) {
            return Some(true);
        }
        if !first.is_imported || !(is_python || self.has_ending(JAVASCRIPT_SUFFIXES)) {
            return None;
        }
        let is_library = TEST_LIBRARIES
            .iter()
            .filter(|(endings, _)| self.has_ending(endings))
            .any(|(_, names)| names.contains(&name));
        let is_own = if is_python {
            runner_files::is_standard_module(name)
        } else {
            NODE_MODULE_NAMES.contains(&name)
        };
        // In JavaScript and TypeScript, fields of packages are ignored, because programs normally set such
        // fields to configure a package.
        (is_library || is_own || is_python).then_some(is_library || is_own)
    }

    fn assembled_name_lines(&self) -> Vec<String> {
        self.line_texts(self.code.assembled_name_lines.clone())
    }

    /// Returns the lines of Rust definitions that are exported under the name of a C library function or
    /// variable, and so replace it.
    fn find_replaced_symbols(&self) -> Vec<String> {
        let tokens = &self.code.tokens;
        let is_open = ["no_mangle", "export_name", "extern \"*"]
            .iter()
            .any(|word| !self.pattern_positions(word).is_empty());
        if !self.has_ending(RUST_SUFFIXES) || !is_open {
            return Vec::new();
        }
        let is_mangled = !self.pattern_positions("no_mangle").is_empty();
        let mut lines = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            let next = |count: usize| tokens.get(at + count).map_or("", |token| &*token.text);
            let is_symbol = |name: &str| C_LIBRARY_SYMBOLS.contains(&name) || name.starts_with("__");
            let is_function = matches!(&*token.text, "fn" | "static")
                && is_symbol(next(1))
                && !(next(1) == "main" && next(3) == ")" && !is_mangled)
                && !matches!(next(3), "self" | "&" | "mut");
            let is_export = token.has_text("export_name") && next(2).strip_prefix('"').is_some_and(is_symbol);
            if is_function || is_export {
                lines.push(token.line);
            }
        }
        self.line_texts(lines)
    }
}

/// Returns the number of tokens in the dotted name at the start of these tokens.
fn path_length(tokens: &[CodeToken]) -> usize {
    let is_next = |(at, token): &(usize, &CodeToken)| (at % 2 == 1) == (token.has_text("."));
    let length = tokens.iter().enumerate().take_while(is_next).count();
    length - usize::from(length % 2 == 0 && length > 0)
}

fn matches_pattern_word(text: &str, word: &str) -> bool {
    match word.strip_prefix('"').and_then(|word| word.strip_suffix('*')) {
        Some(begin) => text.strip_prefix('"').is_some_and(|text| text.starts_with(begin)),
        None => word == text || word == "_",
    }
}

/// Returns true if these tokens begin with a non-zero number, which is the exit code of a failure.
fn is_failure_code(following_tokens: &[CodeToken]) -> bool {
    let number = following_tokens.iter().find(|token| !token.has_text("("));
    let is_direct = following_tokens.iter().position(|token| !token.has_text("(")).is_some_and(|at| at <= 1);
    is_direct && number.is_some_and(|number| number.text.parse::<u8>().is_ok_and(|code| code > 0))
}

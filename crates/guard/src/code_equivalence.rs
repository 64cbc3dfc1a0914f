//! Determines if a fix changes the behaviour of code. Changes of white space, line breaks, comments and names
//! of local variables do not count. The module compares the text of the code. In a language that the module
//! does not support, every change counts.

use std::collections::BTreeMap;

use super::language::{LanguageRules, TestEndRule};
use super::scan::{ScannedText, is_word_byte};
use super::version::{FileChange, FileVersion, language_of};

/// Operators of several characters. White space between these characters would change the meaning. Longer
/// operators come first, because the first match is used.
const OPERATORS: [&str; 23] = [
    "===", "!==", "...", "**=", "//=", "==", "!=", "<=", ">=", "+=", "-=", "*=", "/=", "%=", "|=", "&=",
    "**", "//", "->", "=>", ":=", "::", "&&",
];
/// Words after which an opening bracket does not begin a call.
const NON_CALL_KEYWORDS: [&str; 17] = [
    "return", "in", "yield", "and", "or", "not", "if", "else", "elif", "while", "assert", "await", "del",
    "is", "lambda", "raise", "for",
];
/// Words that can precede the name in the declaration of a local variable. In some languages, a line break
/// after a word in `ENDS` ends the statement.
const BINDING_KEYWORDS: [&str; 5] = ["for", "let", "const", "var", "mut"];
const NEWLINE_TERMINATED_KEYWORDS: [&str; 5] = ["return", "throw", "yield", "break", "continue"];

/// A word, an operator, a string, or the start of a line whose indentation matters.
#[derive(Clone, PartialEq, Eq, Debug)]
enum SourceToken<'a> {
    Word(&'a str),
    Operator(&'a str),
    StringLiteral(&'a str),
    LineStart(usize),
}

/// A token, and the number of open brackets around the token.
type NestedToken<'a> = (SourceToken<'a>, usize);

/// Returns true if the rewritten file behaves like the original file.
pub fn is_equivalent(rewrite: &FileChange<'_>) -> bool {
    let (Some(before), Some(after)) = (&rewrite.before, &rewrite.after) else { return false };
    let (Some(was), Some(is)) = (CodeText::from_version(before), CodeText::from_version(after)) else {
        return false;
    };
    before.path == after.path && differs_only_in_locals(&was.tokens(), &is.tokens())
}

/// Returns true if any line from the first to the last of `lines` contains code. In a file of an unsupported
/// language, every line counts as code.
pub fn contains_code(version: &FileVersion<'_>, lines: (u32, u32)) -> bool {
    let (first, last) = lines;
    let Some(code) = CodeText::from_version(version) else { return true };
    let line = |line: u32| usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
    (line(first)..=line(last)).take(code.scanned.line_starts.len()).any(|line| {
        let bare = code.scanned.code_with_strings.get(code.scanned.line_range(line));
        bare.is_some_and(|bare| !bare.trim().is_empty())
    })
}

/// The text of a file in a supported language.
struct CodeText {
    scanned: ScannedText,
    language: &'static LanguageRules,
}

impl CodeText {
    fn from_version(version: &FileVersion<'_>) -> Option<Self> {
        let language = language_of(version.path.as_str()?)?;
        let scanned = ScannedText::new(std::str::from_utf8(version.bytes).ok()?, language);
        Some(Self { scanned, language })
    }

    fn tokens(&self) -> Vec<NestedToken<'_>> {
        let is_indented = self.language.openings.iter().any(|opening| opening.extent == TestEndRule::Indent);
        let (bare, mut strings) =
            (self.scanned.code_with_strings.as_str(), self.scanned.strings.iter().peekable());
        let mut out = TokenBuilder::default();
        let (mut at, mut is_new) = (0, true);
        while let Some(rest) = bare.get(at..).filter(|rest| !rest.is_empty()) {
            let letter = rest.chars().next().unwrap_or_default();
            if letter == '\n' {
                is_new = !continues_on_next_line(bare, at);
                let last = out.last_token();
                let ends_statement = |token: &SourceToken<'_>| {
                    let SourceToken::Word(word) = token else { return false };
                    NEWLINE_TERMINATED_KEYWORDS.contains(word)
                };
                if !is_indented && last.is_some_and(ends_statement) {
                    out.push_token(SourceToken::Operator("\n"));
                }
                at += 1;
                continue;
            }
            if letter.is_whitespace() {
                at += letter.len_utf8();
                continue;
            }
            if std::mem::take(&mut is_new) && is_indented && out.open_brackets.is_empty() {
                let line = bare.get(..at).unwrap_or_default();
                out.begin_line(at - line.rfind('\n').map_or(0, |end| end + 1));
            }
            while strings.next_if(|range| range.start < at).is_some() {}
            if let Some(range) = strings.next_if(|range| range.start == at) {
                out.push_token(SourceToken::StringLiteral(bare.get(range.clone()).unwrap_or_default()));
                at = range.end.max(at + letter.len_utf8());
                continue;
            }
            let is_in_word =
                |letter: char| !letter.is_ascii() || u8::try_from(letter).is_ok_and(is_word_byte);
            let (token, len) = if is_in_word(letter) {
                let len = rest.find(|letter| !is_in_word(letter)).unwrap_or(rest.len());
                (SourceToken::Word(rest.get(..len).unwrap_or_default()), len)
            } else {
                let sign = OPERATORS.iter().find(|sign| rest.starts_with(**sign));
                let len = sign.map_or(letter.len_utf8(), |sign| sign.len());
                (SourceToken::Operator(rest.get(..len).unwrap_or_default()), len)
            };
            out.push_token(token);
            at += len;
        }
        out.tokens
    }
}

/// Returns true if the line that ends at `end` explicitly continues on the next line.
fn continues_on_next_line(text: &str, end: usize) -> bool {
    text.get(..end).is_some_and(|before| before.ends_with('\\'))
}

/// State of the tokeniser.
#[derive(Default)]
struct TokenBuilder<'a> {
    tokens: Vec<NestedToken<'a>>,
    /// A flag and a number for each open bracket. The flag is true if the bracket begins a call or is not a
    /// parenthesis. The number counts the commas in the bracket so far.
    open_brackets: Vec<(bool, usize)>,
    /// Indentations of the enclosing blocks, outermost first.
    indents: Vec<usize>,
}

impl<'a> TokenBuilder<'a> {
    fn last_token(&self) -> Option<&SourceToken<'a>> {
        self.tokens.last().map(|(token, _)| token)
    }

    /// Begins a line with this indentation.
    fn begin_line(&mut self, indent: usize) {
        while self.indents.last().is_some_and(|outer| *outer > indent) {
            self.indents.pop();
        }
        if self.indents.last().is_none_or(|outer| *outer < indent) {
            self.indents.push(indent);
        }
        self.push_token(SourceToken::LineStart(self.indents.len()));
    }

    fn push_token(&mut self, token: SourceToken<'a>) {
        match token {
            SourceToken::Operator(sign @ ("(" | "[" | "{")) => {
                let is_call = match self.last_token() {
                    Some(SourceToken::Word(word)) => !NON_CALL_KEYWORDS.contains(word),
                    Some(SourceToken::Operator(before)) => matches!(*before, ")" | "]"),
                    Some(SourceToken::StringLiteral(_) | SourceToken::LineStart(_)) | None => false,
                };
                self.tokens.push((token, self.open_brackets.len()));
                self.open_brackets.push((is_call || sign != "(", 0));
                return;
            }
            SourceToken::Operator(")" | "]" | "}") => {
                let (is_free, commas) = self.open_brackets.pop().unwrap_or_default();
                let is_last = self.last_token() == Some(&SourceToken::Operator(","));
                let before = self.tokens.len().checked_sub(2).and_then(|at| self.tokens.get(at));
                let is_alone = before.is_some_and(|(token, _)| *token == SourceToken::Operator(","));
                // A trailing comma has no effect, except in a tuple with one element.
                if is_last && !is_alone && (is_free || commas > 1) {
                    self.tokens.pop();
                }
            }
            SourceToken::Operator(",") => {
                if let Some((_, commas)) = self.open_brackets.last_mut() {
                    *commas += 1;
                }
            }
            SourceToken::Word(_)
            | SourceToken::Operator(_)
            | SourceToken::StringLiteral(_)
            | SourceToken::LineStart(_) => {}
        }
        self.tokens.push((token, self.open_brackets.len()));
    }
}

/// Returns true if the token lists differ at most in the names of local variables.
fn differs_only_in_locals(before_tokens: &[NestedToken<'_>], after_tokens: &[NestedToken<'_>]) -> bool {
    if before_tokens.len() != after_tokens.len() {
        return false;
    }
    let (mut there, mut back) = (BTreeMap::new(), BTreeMap::new());
    for ((before, _), (after, _)) in before_tokens.iter().zip(after_tokens) {
        let is_same = match (before, after) {
            (SourceToken::Word(before), SourceToken::Word(after)) => {
                *there.entry(*before).or_insert(*after) == *after
                    && *back.entry(*after).or_insert(*before) == *before
            }
            _ => before == after,
        };
        if !is_same {
            return false;
        }
    }
    let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, (token, _)) in before_tokens.iter().enumerate() {
        if let SourceToken::Word(name) = token {
            places.entry(name).or_default().push(at);
        }
    }
    let renamed = there.iter().filter(|(before, after)| before != after);
    renamed
        .filter_map(|(before, _)| places.get(before))
        .all(|places| is_local_variable(before_tokens, places))
}

/// Returns true if all these positions name one local variable that other code cannot access.
fn is_local_variable(tokens: &[NestedToken<'_>], positions: &[usize]) -> bool {
    let token = |at: usize| tokens.get(at).map(|(token, _)| token);
    let is = |token: Option<&SourceToken<'_>>, signs: &[&str]| {
        token.is_some_and(|token| matches!(token, SourceToken::Operator(sign) if signs.contains(sign)))
    };
    let (mut times, mut is_bound) = (0, false);
    for (at, depth) in positions.iter().filter_map(|at| Some((*at, &tokens.get(*at)?.1))) {
        let before = at.checked_sub(1).and_then(token);
        let (after, outer) = (token(at + 1), at.checked_sub(2).and_then(token));
        let is_member = is(before, &[".", "->", "::"]);
        let is_key = is(before, &["(", ","]) && *depth > 0 && is(after, &["="])
            || is(before, &["{", ","]) && is(after, &["}", ",", ":"])
            || outer == Some(&SourceToken::Word("export"));
        if is_member || is_key {
            return false;
        }
        times += 1;
        is_bound |= match before {
            Some(SourceToken::Word(word)) => BINDING_KEYWORDS.contains(word),
            Some(SourceToken::LineStart(level)) => *level > 1 && is(after, &["="]),
            Some(SourceToken::Operator(_) | SourceToken::StringLiteral(_)) | None => false,
        } || is(after, &[":="]);
    }
    is_bound && times > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn are_equivalent(path: &str, before: &str, after: &str) -> bool {
        let path = path.into();
        let version = |text: &'static [u8]| FileVersion { path: &path, bytes: text };
        let [before, after] = [before, after].map(|text| &*Vec::leak(text.as_bytes().to_vec()));
        is_equivalent(&FileChange { before: Some(version(before)), after: Some(version(after)) })
    }

    const PY: &str =
        "def total(xs):\n    s = 0\n    for i in range(len(xs) - 1):\n        s += xs[i]\n    return s\n";

    #[test]
    fn white_space_comments_line_breaks_and_names_of_local_variables_change_nothing() {
        for (old, new) in [
            ("for i", "for  i"),
            ("len(xs) - 1", "len(xs)-1"),
            ("range(len(xs) - 1)", "range(\n        len(xs) - 1,\n    )"),
            ("    return s", "    return s  # size"),
            ("    s = 0\n", "    # begin\n\n    s = 0\n"),
            ("def total(xs):\n", "def total(xs):\n    \"\"\"The sum.\"\"\"\n"),
        ] {
            assert!(are_equivalent("a.py", PY, &PY.replace(old, new)), "{old:?} -> {new:?}");
        }
        let renamed = PY.replace("for i", "for index").replace("xs[i]", "xs[index]");
        assert!(are_equivalent("a.py", PY, &renamed));
        let rust = "fn f(xs: &[u8]) -> usize {\n    let n = xs.len() - 1;\n    n\n}\n";
        let other =
            "fn f(xs: &[u8]) -> usize { // count\n    let many =\n        xs.len() - 1;\n    many\n}\n";
        assert!(are_equivalent("a.rs", rust, other));
        let go = "func f() int {\n\tn := 1\n\treturn n\n}\n";
        assert!(are_equivalent("a.go", go, &go.replace("n :=", "one :=").replace("return n", "return one")));
    }

    #[test]
    fn changes_of_code_are_not_equivalent() {
        for (old, new) in [
            ("len(xs) - 1", "len(xs)"),
            ("        s += xs[i]\n    return s", "        s += xs[i]\n        return s"),
            ("xs[i]", "xs[s]"),
            ("def total(xs)", "def sum_of(xs)"),
            ("s += xs[i]", "s = + xs[i]"),
            ("return s", "return (s,)"),
            ("return s", "return 's'"),
        ] {
            assert!(!are_equivalent("a.py", PY, &PY.replace(old, new)), "{old:?} -> {new:?}");
        }
        // These changes affect the behaviour: a tuple with one element, the name of an attribute, function,
        // parameter or key, and a line break after `return`.
        for (path, before, after) in [
            ("a.py", "def f():\n    return (1)\n", "def f():\n    return (1,)\n"),
            (
                "a.py",
                "def f(x):\n    return x.lenght + x.lenght\n",
                "def f(x):\n    return x.length + x.length\n",
            ),
            ("a.py", "def f(x):\n    prnt(x)\n    prnt(x)\n", "def f(x):\n    print(x)\n    print(x)\n"),
            ("a.py", "def f(x):\n    return x\n", "def f(y):\n    return y\n"),
            ("a.py", "def f():\n    n = 1\n    g(n=n)\n", "def f():\n    m = 1\n    g(m=m)\n"),
            ("a.js", "const n = 1;\nsend({n});\n", "const m = 1;\nsend({m});\n"),
            ("a.js", "return\n1\n", "return 1\n"),
            ("a.yaml", "a: 1\n", "a:  1\n"),
        ] {
            assert!(!are_equivalent(path, before, after), "{before:?} -> {after:?}");
        }
    }

    #[test]
    fn lines_of_comments_and_of_documentation_hold_no_code() {
        let text = "\"\"\"Sums.\"\"\"\n\n# The sum.\ndef total(xs):  # of all\n    return 0\n";
        let path = "a.py".into();
        let version = FileVersion { path: &path, bytes: text.as_bytes() };
        assert!([(1, 1), (3, 3), (1, 3), (9, 12)].iter().all(|lines| !contains_code(&version, *lines)));
        assert!([(4, 4), (3, 5)].iter().all(|lines| contains_code(&version, *lines)));
    }
}

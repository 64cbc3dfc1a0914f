//! Reads the names that a test file binds by definitions, assignments and parameters.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::rc::Rc;

use super::test_bindings::{BindingKind, TestBinding, TestFileBindings, join_tokens, resolve_path};
use super::tokens::CodeToken;

/// Maximum number of words of a definition that are compared.
const MAX_BODY_TOKENS: usize = 300;

/// Maximum number of words of a destructuring pattern.
const MAX_PATTERN_TOKENS: usize = 200;

/// Maximum number of lines in a declaration of several names.
const MAX_DECLARATION_LINES: usize = 20;

/// Reads the bindings of names in a file.
pub(super) struct BindingReader<'s, 'h> {
    side: &'s TestFileBindings<'h>,
    bindings: Vec<TestBinding>,
}

impl<'s, 'h> BindingReader<'s, 'h> {
    pub(super) fn new(side: &'s TestFileBindings<'h>) -> Self {
        Self { side, bindings: Vec::new() }
    }

    pub(super) fn read_bindings(mut self) -> Vec<TestBinding> {
        let mut open: Vec<usize> = Vec::new();
        let mut closed = 0;
        for (at, token) in self.side.tokens.iter().enumerate() {
            match &*token.text {
                "(" | "[" | "{" => open.push(at),
                ")" | "]" | "}" => closed = open.pop().unwrap_or(0),
                "=>" => self.read_parameters(
                    if self.side.has_token_at(at.saturating_sub(1), ")") {
                        closed
                    } else {
                        at.saturating_sub(2)
                    },
                    at,
                ),
                "=" | ":=" => {
                    let is_bracketed = open.last().is_some_and(|open| {
                        self.side.has_token_at(*open, "(") || self.side.has_token_at(*open, "[")
                    });
                    if !is_bracketed
                        || self.side.naming_rules.allows_bracketed_assignment
                        || token.has_text(":=")
                    {
                        self.read_assignment(at, open.last().copied());
                    }
                }
                _ => self.read_definition(at),
            }
        }
        self.bindings
    }

    fn push_binding(
        &mut self,
        token_index: usize,
        name: String,
        kind: BindingKind,
        origin: String,
        text: &str,
        is_shared: bool,
    ) {
        let Some(token) = self.side.tokens.get(token_index) else { return };
        // In Go and Rust, `_` is not a name.
        if name == "_"
            && [".go", ".rs"].iter().any(|ending| self.side.naming_rules.file_suffixes.contains(ending))
        {
            return;
        }
        let is_literal = origin.is_empty()
            || origin.starts_with(|first: char| {
                first.is_ascii_digit() || matches!(first, '"' | '[' | '{' | '(' | '-')
            });
        let mut digest = DefaultHasher::new();
        text.hash(&mut digest);
        let test = self.side.test_at(token.offset);
        let text = digest.finish();
        self.bindings.push(TestBinding {
            name,
            kind,
            target_path: origin,
            value_digest: text,
            test,
            is_shared,
            is_literal,
            line: token.line,
        });
    }

    /// Reads `def NAME`, `fn NAME`, `as NAME`, and the parameters of functions.
    fn read_definition(&mut self, token_index: usize) {
        let side = self.side;
        let Some(word) =
            side.naming_rules.definition_words.iter().find(|word| side.matches_tokens_at(token_index, word))
        else {
            return;
        };
        if token_index.checked_sub(1).is_some_and(|before| side.has_token_at(before, ".")) {
            return;
        }
        let mut next = token_index + word.split(' ').count();
        // Skips the receiver of a method in Go, and the `*` of a generator.
        if *word == "func" && side.has_token_at(next, "(") {
            let Some(close) =
                (next..next + MAX_PATTERN_TOKENS).find(|token_index| side.has_token_at(*token_index, ")"))
            else {
                return;
            };
            next = close + 1;
        }
        next += usize::from(side.has_token_at(next, "*") || side.has_token_at(next, "mut"));
        let Some(name) = side.tokens.get(next).filter(|token| token.is_name()) else { return };
        let is_valued = ["const", "let", "var", "val", "static"].contains(word);
        if is_valued && (side.has_token_at(next + 1, "=") || side.has_token_at(next + 1, ":")) {
            return;
        }
        let name = name.text.to_string();
        let body = self.definition_body(token_index);
        let has_tests = side
            .tokens
            .get(body.clone())
            .unwrap_or_default()
            .iter()
            .any(|token| side.test_at(token.offset).is_some());
        let is_name_only = has_tests || matches!(*word, "as" | "for");
        let text = if is_name_only {
            (*word).to_owned()
        } else {
            join_tokens(side.tokens.get(body).unwrap_or_default())
        };
        let is_in_test =
            side.tokens.get(token_index).is_some_and(|token| side.test_at(token.offset).is_some());
        self.push_binding(next, name, BindingKind::Definition, (*word).to_owned(), &text, false);
        if side.has_token_at(next + 1, "(") && is_in_test {
            self.read_parameters(next + 1, next + 1);
        }
    }

    /// Reads the parameter names in the brackets that open at `open_index`. Without brackets, reads the
    /// single name before `arrow`.
    fn read_parameters(&mut self, open_index: usize, arrow_index: usize) {
        let side = self.side;
        let end =
            if side.has_token_at(open_index, "(") { side.statement_end(open_index) } else { arrow_index };
        let mut depth = 0_usize;
        for at in open_index..end {
            let Some(token) = side.tokens.get(at) else { return };
            match &*token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && at > open_index && side.has_token_at(open_index, "(") {
                return;
            }
            let next = side.tokens.get(at + 1).map_or("", |next| &*next.text);
            let before = at
                .checked_sub(1)
                .and_then(|before| side.tokens.get(before))
                .map_or("", |before| &*before.text);
            let is_parameter = token.is_name()
                && (matches!(next, "," | ")" | ":" | "=" | "=>" | "}" | "]")
                    || !side.has_token_at(open_index, "("))
                && !matches!(before, "." | "=" | ":" | "=>" | "|");
            if is_parameter && depth <= 2 {
                self.push_binding(
                    at,
                    token.text.to_string(),
                    BindingKind::Parameter,
                    String::new(),
                    "",
                    false,
                );
            }
        }
    }

    /// Returns the words that belong to the definition at this position.
    fn definition_body(&self, token_index: usize) -> Range<usize> {
        let side = self.side;
        let Some(read) = &side.version.scanned_file else { return token_index..token_index };
        let scanned = &read.scanned_text;
        let column = |token: &CodeToken| token.offset - scanned.line_range(token.line).start;
        let Some(first) = side.tokens.get(token_index) else { return token_index..token_index };
        let rest = side
            .tokens
            .get(token_index..(token_index + MAX_BODY_TOKENS).min(side.tokens.len()))
            .unwrap_or_default();
        let length = if side.naming_rules.file_suffixes.contains(&".py") {
            rest.iter().position(|token| {
                token.line > first.line && column(token) <= column(first) && !token.has_text(")")
            })
        } else {
            let opens = rest.iter().position(|token| token.has_text("{") || token.has_text(";"));
            let close =
                opens.and_then(|opens| rest.get(opens)).and_then(|open| scanned.closing_bracket(open.offset));
            close
                .and_then(|close| rest.iter().position(|token| token.offset > close))
                .or_else(|| opens.filter(|_| close.is_none()))
        };
        token_index..token_index + length.unwrap_or(rest.len())
    }

    /// Reads an assignment `NAME = VALUE`. The assignment may have several names.
    fn read_assignment(&mut self, equals_index: usize, open_index: Option<usize>) {
        let side = self.side;
        let first = side.statement_start(equals_index);
        // `type Line = …` defines a type and is not an assignment. If the language's type definitions matter,
        // `read_definition` has already read the definition.
        let is_type = |equals_index: usize| side.tokens.get(equals_index).is_some_and(CodeToken::is_name);
        let type_at =
            first + usize::from(side.has_token_at(first, "export") || side.has_token_at(first, "declare"));
        if side.has_token_at(type_at, "type") && is_type(type_at + 1) {
            return;
        }
        let mut start = first.max(open_index.map_or(0, |open_index| open_index + 1)).min(equals_index);
        for back in (start..equals_index).rev() {
            if side.has_token_at(back, "=") || (side.has_token_at(back, ";")) {
                start = back + 1;
                break;
            }
        }
        // The targets of a destructuring assignment such as `{ a, b } = …` begin at the opening bracket.
        let mut targets = side.tokens.get(start..equals_index).unwrap_or_default();
        let close = equals_index
            .checked_sub(1)
            .filter(|close| side.has_token_at(*close, "}") || side.has_token_at(*close, "]"));
        if let Some(close) = close.filter(|_| !side.naming_rules.file_suffixes.contains(&".py")) {
            let opening = (close.saturating_sub(MAX_PATTERN_TOKENS)..close)
                .rev()
                .find(|open_index| side.has_token_at(*open_index, "{") || side.has_token_at(*open_index, "["))
                .unwrap_or(close);
            // Go has no destructuring: `seen[name] = true` sets an element of `seen`.
            if side.naming_rules.file_suffixes.contains(&".go") {
                self.read_item_assignment(equals_index, start..opening);
                return;
            }
            targets = side.tokens.get(opening + 1..close).unwrap_or_default();
            start = opening;
        } else if let Some(name) = self.strip_target_type(targets) {
            targets = name;
        }
        let is_parameter =
            open_index.is_some_and(|open_index| self.is_parameter_default(open_index, equals_index));
        if is_parameter {
            targets = targets.rsplit(|token| token.has_text(",")).next().unwrap_or_default();
        }
        let is_declaration =
            |index| side.naming_rules.declaration_words.iter().any(|word| side.has_token_at(index, word));
        let is_declared = (start.saturating_sub(1)..equals_index).any(is_declaration)
            || side.has_token_at(equals_index, ":=")
            || is_parameter
            || self.is_declared_before(first, open_index)
            // In Java, a type before the name makes the statement a declaration.
            || (side.naming_rules.file_suffixes.contains(&".java")
                && equals_index >= start + 2
                && !side.has_token_at(equals_index - 2, "."));
        let end = side.statement_end(equals_index + 1);
        let value = side.tokens.get(equals_index + 1..end).unwrap_or_default();
        let (origin, text) = (self.value_path(value), join_tokens(value));
        for target in targets.split(|token| token.has_text(",")) {
            let Some((name, key)) = self.parse_target(target, close.is_some()) else { continue };
            let origin = if key.is_empty() { origin.clone() } else { format!("{origin} . {key}") };
            let is_global =
                join_tokens(target).starts_with("globals ( )") || self.is_global(&name, equals_index);
            let is_others = side.naming_rules.can_set_foreign_variables
                && !is_declared
                && !name.contains('.')
                && !side.declared_names.contains(name.as_str());
            let is_shared = is_global || is_others || name.contains('.');
            self.push_binding(equals_index, name, BindingKind::Value, origin, &text, is_shared);
        }
    }

    /// Returns the tokens `const NAME` of the target `const NAME: TYPE`: the commas in a type do not separate
    /// targets.
    fn strip_target_type<'t>(&self, targets: &'t [CodeToken]) -> Option<&'t [CodeToken]> {
        let declares = |token: &CodeToken| self.side.naming_rules.declaration_words.contains(&&*token.text);
        let words = targets.iter().take_while(|token| declares(token)).count();
        let is_typed = words > 0
            && targets.get(words).is_some_and(CodeToken::is_name)
            && targets.get(words + 1).is_some_and(|token| token.has_text(":"));
        targets.get(..=words).filter(|_| is_typed)
    }

    /// Reads `seen[name] = …` as an assignment to an unspecified field of the value before the bracket.
    fn read_item_assignment(&mut self, equals_index: usize, target: Range<usize>) {
        let side = self.side;
        let target = side.tokens.get(target).unwrap_or_default();
        let length = target.iter().rev().take_while(|token| token.is_name() || token.has_text(".")).count();
        let path: String = target.iter().rev().take(length).rev().map(|token| &*token.text).collect();
        let end = side.statement_end(equals_index + 1);
        let value = side.tokens.get(equals_index + 1..end).unwrap_or_default();
        let (origin, text) = (self.value_path(value), join_tokens(value));
        self.push_binding(equals_index, format!("{path}.[]"), BindingKind::Value, origin, &text, true);
    }

    /// Returns true if the `=` at `equals_index` is in the parameters of a JavaScript function. `open_index`
    /// is the position of the opening bracket.
    fn is_parameter_default(&self, open_index: usize, equals_index: usize) -> bool {
        let side = self.side;
        if !side.naming_rules.file_suffixes.contains(&".js") || !side.has_token_at(open_index, "(") {
            return false;
        }
        let is_statement =
            open_index.checked_sub(1).and_then(|before| side.tokens.get(before)).is_some_and(|word| {
                matches!(&*word.text, "if" | "while" | "for" | "switch" | "catch" | "with" | "return")
            });
        let mut depth = 1_usize;
        let close = (equals_index + 1..equals_index + MAX_PATTERN_TOKENS).find(|equals_index| {
            match side.tokens.get(*equals_index).map_or("", |token| &*token.text) {
                "(" => depth += 1,
                ")" => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        !is_statement
            && close
                .is_some_and(|close| side.has_token_at(close + 1, "=>") || side.has_token_at(close + 1, "{"))
    }

    /// Returns true if a declaring word precedes the statement or pattern, as in `var one = 1\n, NAME = …`
    /// and `const {NAME = 1} = …`.
    fn is_declared_before(&self, start_index: usize, open_index: Option<usize>) -> bool {
        let side = self.side;
        let declares = |at: usize| {
            side.naming_rules.declaration_words.iter().any(|declares| side.has_token_at(at, declares))
        };
        let is_pattern = open_index
            .filter(|open_index| side.has_token_at(*open_index, "{") || side.has_token_at(*open_index, "["))
            .and_then(|open_index| open_index.checked_sub(1))
            .is_some_and(declares);
        let mut begin = start_index;
        for _ in 0..MAX_DECLARATION_LINES {
            let Some(before) = begin.checked_sub(1).filter(|_| side.has_token_at(begin, ",")) else { break };
            begin = side.statement_start(before);
        }
        is_pattern || (begin != start_index && declares(begin))
    }

    fn is_global(&self, name: &str, token_index: usize) -> bool {
        let side = self.side;
        let Some(token) = side.tokens.get(token_index) else { return false };
        side.test_at(token.offset)
            .is_some_and(|test| side.nonlocal_declarations.contains(&(Rc::from(name), test)))
    }

    /// Returns the name to which a value is assigned. In a destructuring assignment, also returns the key of
    /// the assigned field.
    fn parse_target(&self, target: &[CodeToken], is_destructured: bool) -> Option<(String, String)> {
        let declares = self.side.naming_rules.declaration_words;
        let skipped = target
            .iter()
            .take_while(|token| {
                declares.contains(&&*token.text) || matches!(&*token.text, "(" | "&" | "*" | "global")
            })
            .count();
        let mut target = target.get(skipped..)?;
        if is_destructured {
            let key = target.iter().find(|token| token.is_name())?;
            let name = target
                .split(|token| token.has_text("="))
                .next()?
                .iter()
                .rev()
                .find(|token| token.is_name())?;
            return Some((name.text.to_string(), key.text.to_string()));
        }
        if target
            .first()
            .is_some_and(|first| matches!(&*first.text, "globals" | "vars" | "locals" | "window"))
        {
            let rest = target.iter().position(|token| token.has_text("."))?;
            target = target.get(rest + 1..)?;
        }
        // In Java, the type precedes the name; in other languages, it follows a colon.
        let is_typed_before = self.side.naming_rules.file_suffixes.contains(&".java");
        let path = |tokens: &[CodeToken]| -> String {
            let is_next = |(at, token): &(usize, &CodeToken)| {
                if at % 2 == 0 { token.is_name() } else { token.has_text(".") }
            };
            tokens.iter().enumerate().take_while(is_next).map(|(_, token)| &*token.text).collect()
        };
        let from = if is_typed_before {
            let mut from = target.len().checked_sub(1)?;
            while from >= 2 && target.get(from - 1).is_some_and(|token| token.has_text(".")) {
                from -= 2;
            }
            from
        } else {
            0
        };
        let name = path(target.get(from..)?);
        Some((name, String::new())).filter(|(name, _)| !name.is_empty() && !name.ends_with('.'))
    }

    /// Returns the dotted path at the beginning of a value, with imported names replaced by their import
    /// paths. If there is no path, returns the value's first word.
    fn value_path(&self, value: &[CodeToken]) -> String {
        let skips =
            |token: &&CodeToken| matches!(&*token.text, "await" | "new" | "&" | "(" | "import" | "mut" | "*");
        let skipped = value.iter().take_while(skips).count();
        let rest = value.get(skipped..).unwrap_or_default();
        let is_next = |(at, token): &(usize, &CodeToken)| {
            if at % 2 == 0 { token.is_name() || token.is_imported } else { token.has_text(".") }
        };
        let length = rest.iter().enumerate().take_while(is_next).count();
        if length == 0 {
            return rest.first().map_or_else(String::new, |first| first.text.to_string());
        }
        let path = self.side.resolved_path(rest.get(..length).unwrap_or_default());
        let is_new = value.first().is_some_and(|first| first.has_text("new"));
        // An anonymous class is a different class from the class that it extends.
        let is_anonymous = is_new
            && value
                .windows(2)
                .any(|pair| matches!(pair, [close, open] if close.has_text(")") && open.has_text("{")));
        let path = resolve_path(&self.side.version.path, &path);
        if is_anonymous { format!("{path} {{") } else { path }
    }
}

//! Parses the licence expressions of crates' manifests (SPDX 2.3, annex D), and checks whether the permitted
//! licences satisfy an expression.

/// The reason why a text is not a licence expression.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SpdxError(String);

impl std::fmt::Display for SpdxError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

/// Maximum nesting depth of parentheses.
const MAX_PARENTHESIS_DEPTH: usize = 32;

/// Returns true if the licences for which `is_allowed` returns true satisfy `expression`. A licence with an
/// exception is passed to `is_allowed` as one text: `Apache-2.0 WITH LLVM-exception`. `AND` binds tighter
/// than `OR`; `/` is an old way to write `OR`.
pub(crate) fn is_satisfied(
    expression: &str,
    is_allowed: &mut dyn FnMut(&str) -> bool,
) -> Result<bool, SpdxError> {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = SpdxParser { remaining_tokens: &words, is_allowed };
    let result = parser.parse_or(0)?;
    match parser.remaining_tokens {
        [] => Ok(result),
        [word, ..] => Err(SpdxError(format!("`{word}` is not expected there"))),
    }
}

/// The words that are not parsed yet, and the function `allowed`, which decides whether a licence is
/// permitted. The function is called for every licence of the expression, even if the result is already
/// certain.
struct SpdxParser<'a> {
    remaining_tokens: &'a [&'a str],
    is_allowed: &'a mut dyn FnMut(&str) -> bool,
}

impl<'a> SpdxParser<'a> {
    fn parse_or(&mut self, depth: usize) -> Result<bool, SpdxError> {
        let mut result = self.parse_and(depth)?;
        while self.consume("OR") {
            result |= self.parse_and(depth)?;
        }
        Ok(result)
    }

    fn parse_and(&mut self, depth: usize) -> Result<bool, SpdxError> {
        let mut result = self.parse_operand(depth)?;
        while self.consume("AND") {
            result &= self.parse_operand(depth)?;
        }
        Ok(result)
    }

    fn parse_operand(&mut self, depth: usize) -> Result<bool, SpdxError> {
        if self.consume("(") {
            if depth == MAX_PARENTHESIS_DEPTH {
                return Err(SpdxError("too many parentheses".into()));
            }
            let result = self.parse_or(depth + 1)?;
            return if self.consume(")") { Ok(result) } else { Err(SpdxError("`)` is missing".into())) };
        }
        let licence = self.parse_name()?;
        if self.consume("WITH") {
            let exception = self.parse_name()?;
            return Ok((self.is_allowed)(&format!("{licence} WITH {exception}")));
        }
        Ok((self.is_allowed)(licence))
    }

    /// Removes the next word and returns true if the next word is `word`; otherwise returns false.
    fn consume(&mut self, word: &str) -> bool {
        let [first, rest @ ..] = self.remaining_tokens else { return false };
        let found = first.eq_ignore_ascii_case(word);
        if found {
            self.remaining_tokens = rest;
        }
        found
    }

    fn parse_name(&mut self) -> Result<&'a str, SpdxError> {
        match self.remaining_tokens {
            [] => Err(SpdxError("it ends too early".into())),
            [word, rest @ ..] if is_licence_name(word) => {
                self.remaining_tokens = rest;
                Ok(word)
            }
            [word, ..] => Err(SpdxError(format!("`{word}` is not a licence"))),
        }
    }
}

/// Returns true for a word of letters, digits, `-`, `.`, `+` and `:` that is not an operator.
fn is_licence_name(word: &str) -> bool {
    let operator = ["AND", "OR", "WITH"].iter().any(|operator| word.eq_ignore_ascii_case(operator));
    !operator && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.+:".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_satisfied_by(allowed: &[&str], expression: &str) -> Result<bool, SpdxError> {
        is_satisfied(expression, &mut |licence| allowed.contains(&licence))
    }

    #[test]
    fn expressions_are_satisfied_as_spdx_says() {
        for (expression, expected) in [
            ("MIT", true),
            ("ISC", false),
            ("MIT OR GPL-3.0-only", true),
            ("GPL-3.0-only OR MIT", true),
            ("MIT AND GPL-3.0-only", false),
            ("MIT/GPL-3.0-only", true),
            ("MIT or ISC", true),
            // `AND` binds tighter than `OR`, whether `AND` is before or after the `OR`.
            ("MIT OR ISC AND GPL-3.0-only", true),
            ("ISC AND GPL-3.0-only OR MIT", true),
            ("(MIT OR ISC) AND GPL-3.0-only", false),
            ("(MIT OR ISC) AND (Zlib OR ISC)", true),
            ("((MIT))", true),
            // A licence with an exception is a different licence.
            ("Apache-2.0 WITH LLVM-exception", true),
            ("Apache-2.0", false),
            ("MIT WITH LLVM-exception", false),
        ] {
            let allowed = ["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"];
            assert_eq!(is_satisfied_by(&allowed, expression), Ok(expected), "{expression}");
        }
    }

    #[test]
    fn what_is_no_expression_is_never_satisfied() {
        for expression in [
            "",
            "MIT OR",
            "OR MIT",
            "MIT MIT",
            "(MIT",
            "MIT)",
            "()",
            "MIT WITH",
            "MIT AND AND MIT",
            "MIT, ISC",
        ] {
            assert!(is_satisfied_by(&["MIT"], expression).is_err(), "{expression}");
        }
        let deep = format!("{}MIT{}", "(".repeat(10_000), ")".repeat(10_000));
        assert!(is_satisfied_by(&["MIT"], &deep).is_err());
    }
}

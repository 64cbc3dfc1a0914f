//! Checks the nesting of untrusted TOML before the text is parsed. The parser recurses for each open bracket.
//! The parser has a nesting limit of its own, but unmatched closing brackets lower its count of open
//! brackets. An invalid text can therefore evade the limit and overflow the stack.

use toml_parser::Source;
use toml_parser::lexer::TokenKind;

/// Maximum number of brackets that may be open at one position of the text. For valid text, the parser's own
/// limit of 80 applies first.
pub const MAX_NESTING: usize = 100;

/// Reason for refusing a text with more open brackets.
pub const TOO_DEEP_REASON: &str = "more than 100 brackets are open at once";

/// Returns true if more than [`MAX_NESTING`] brackets are open at one position of the text. A closing bracket
/// closes only an open bracket of the same kind.
///
/// # Examples
/// ```
/// use truing_core::nesting::is_too_deep;
///
/// assert!(!is_too_deep("a = [[1], { b = '[[[' }]"));
/// assert!(is_too_deep(&"a = {b = ]".repeat(200)));
/// ```
pub fn is_too_deep(text: &str) -> bool {
    // The closing brackets that match the currently open brackets, innermost last.
    let mut awaited = Vec::new();
    for token in Source::new(text).lex() {
        let kind = token.kind();
        if kind == TokenKind::LeftSquareBracket {
            awaited.push(TokenKind::RightSquareBracket);
        } else if kind == TokenKind::LeftCurlyBracket {
            awaited.push(TokenKind::RightCurlyBracket);
        } else if awaited.last() == Some(&kind) {
            awaited.pop();
        }
        if awaited.len() > MAX_NESTING {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_of_another_kind_close_none_and_those_in_strings_and_comments_are_none() {
        let most = MAX_NESTING;
        assert!(!is_too_deep(&format!("a = {}{}", "[".repeat(most), "]".repeat(most))));
        assert!(is_too_deep(&format!("a = {}", "[".repeat(most + 1))));
        assert!(is_too_deep(&"{a=|| [[a]]\n%==".repeat(most + 1)));
        assert!(is_too_deep(&"a = {b = ]\n".repeat(most + 1)));
        assert!(!is_too_deep(&"[[a]]\nb = [1, '[', \"{\"] # {[\n".repeat(most + 1)));
        assert!(!is_too_deep(&"]}".repeat(most + 1)));
    }
}

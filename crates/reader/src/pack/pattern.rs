//! Regular expressions of rules.

use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};
use truing_core::port::ReaderError;

use super::error::PackError;

/// A regular expression with valid syntax. The expression is compiled when it is used for the first time.
#[derive(Debug)]
pub(crate) struct RulePattern {
    text: String,
    regex: OnceLock<Result<Regex, regex::Error>>,
}

impl RulePattern {
    /// Checks the pattern's syntax, with the options that are later used to compile the pattern. The error
    /// contains the position in the pattern.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = regex_syntax::ParserBuilder::new();
        let parsed = parser.unicode(false).utf8(false).multi_line(true).crlf(true).build().parse(text);
        let at = |span: &regex_syntax::ast::Span, message: String| {
            format!("{message} (at line {}, column {} of the pattern)", span.start.line, span.start.column)
        };
        match parsed {
            Ok(parsed) if parsed.properties().minimum_len() == Some(0) => {
                Err("the pattern matches empty text".to_owned())
            }
            Ok(_) => Ok(Self { text: text.to_owned(), regex: OnceLock::new() }),
            Err(regex_syntax::Error::Parse(error)) => Err(at(error.span(), error.kind().to_string())),
            Err(regex_syntax::Error::Translate(error)) => Err(at(error.span(), error.kind().to_string())),
            Err(other) => Err(other.to_string()),
        }
    }

    /// Compiles the pattern when it is used for the first time. If the pattern is too large, the error
    /// contains the name `rule`.
    pub(crate) fn get_or_compile(&self, rule: &str) -> Result<&Regex, ReaderError> {
        let mut builder = RegexBuilder::new(&self.text);
        let compile = || builder.unicode(false).multi_line(true).crlf(true).build();
        self.regex.get_or_init(compile).as_ref().map_err(|error| {
            PackError::PatternTooLarge { rule: rule.to_owned(), message: error.to_string() }.into()
        })
    }
}

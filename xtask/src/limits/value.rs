//! Evaluates constants from their source text: sums, products and shifts of whole numbers, and durations.

use std::time::Duration;

use anyhow::{Context, Result, bail};

/// The value of a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConstantValue {
    /// A number, for example of bytes, entries or levels.
    Number(u64),
    /// A duration.
    Time(Duration),
}

/// A constant's declaration in a source file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SourceConstant {
    pub(crate) name: String,
    /// The constant's documentation comment, on one line; empty if the constant has no comment.
    pub(crate) doc_comment: String,
    expression: String,
}

impl SourceConstant {
    pub(crate) fn new(name: &str, expression: &str) -> Self {
        Self { name: name.to_owned(), doc_comment: String::new(), expression: expression.trim().to_owned() }
    }

    /// Returns the value as the source contains it.
    pub(crate) fn expression(&self) -> &str {
        &self.expression
    }
}

/// Returns the constants of a source file, in their order in the file. A value that spans several lines is
/// read completely.
pub(crate) fn parse_constants(source: &str) -> Vec<SourceConstant> {
    let mut found = Vec::new();
    let mut doc_lines: Vec<&str> = Vec::new();
    let mut lines = source.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if let Some(words) = line.strip_prefix("///") {
            doc_lines.push(words.trim());
            continue;
        }
        if line.starts_with("#[") {
            continue;
        }
        if let Some((name, mut expression)) = parse_declaration(line) {
            while !expression.ends_with(';') {
                let Some(more) = lines.next() else { break };
                expression.push_str(more);
            }
            let expression = expression.trim_end_matches(';').trim().to_owned();
            found.push(SourceConstant {
                name: name.to_owned(),
                doc_comment: doc_lines.join(" "),
                expression,
            });
        }
        doc_lines.clear();
    }
    found
}

/// Returns the name of the constant and the beginning of its value, if the line declares a constant.
fn parse_declaration(line: &str) -> Option<(&str, String)> {
    let line = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(')')?.1.trim_start(),
        Some(rest) => rest.trim_start(),
        None => line,
    };
    let (name, rest) = line.strip_prefix("const ")?.split_once(':')?;
    let (_, value) = rest.split_once(" =")?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    is_name.then(|| (name, value.to_owned()))
}

/// Returns the value of the constant `name`. `constants` contains all constants of its file. The value may
/// refer to other constants of the file.
///
/// # Errors
///
/// Returns an error if the constant does not exist, or if this module does not support its value's
/// expression.
pub(crate) fn evaluate_constant(name: &str, constants: &[SourceConstant]) -> Result<ConstantValue> {
    evaluate_nested(name, constants, 8)
}

fn evaluate_nested(name: &str, constants: &[SourceConstant], remaining_depth: u32) -> Result<ConstantValue> {
    let constant = constants.iter().find(|it| it.name == name).context("there is no such constant")?;
    let mut reader = ExpressionReader { rest: &constant.expression, constants, remaining_depth };
    let value = reader.parse_shift().with_context(|| format!("its value is `{}`", constant.expression))?;
    if reader.rest.trim().is_empty() { Ok(value) } else { bail!("`{}` is not read", constant.expression) }
}

/// Evaluates an expression by Rust's precedence: products first, then sums, then shifts.
struct ExpressionReader<'a> {
    rest: &'a str,
    constants: &'a [SourceConstant],
    /// Number of further references to other constants that may be followed; the limit detects cycles.
    remaining_depth: u32,
}

impl<'a> ExpressionReader<'a> {
    fn parse_shift(&mut self) -> Result<ConstantValue> {
        let mut value = self.parse_sum()?;
        while self.consume("<<") {
            let by = u32::try_from(to_number(self.parse_sum()?)?)?;
            value = ConstantValue::Number(
                to_number(value)?
                    .checked_mul(1u64.checked_shl(by).unwrap_or(0))
                    .context("it is too large")?,
            );
        }
        Ok(value)
    }

    fn parse_sum(&mut self) -> Result<ConstantValue> {
        let mut value = self.parse_product()?;
        while self.consume("+") {
            let more = to_number(self.parse_product()?)?;
            value = ConstantValue::Number(to_number(value)?.checked_add(more).context("it is too large")?);
        }
        Ok(value)
    }

    fn parse_product(&mut self) -> Result<ConstantValue> {
        let mut value = self.parse_operand()?;
        while self.consume("*") {
            let factor = to_number(self.parse_operand()?)?;
            value = ConstantValue::Number(to_number(value)?.checked_mul(factor).context("it is too large")?);
        }
        Ok(value)
    }

    fn parse_operand(&mut self) -> Result<ConstantValue> {
        if self.consume("(") {
            let inner = self.parse_shift()?;
            return if self.consume(")") { Ok(inner) } else { bail!("a bracket is open") };
        }
        let word = self.read_word();
        if let Ok(value) = word.replace('_', "").parse() {
            return Ok(ConstantValue::Number(value));
        }
        if let Some((_, unit)) = word.rsplit_once("::").filter(|_| self.consume("(")) {
            let many = to_number(self.parse_shift()?)?;
            self.consume(")");
            return Ok(ConstantValue::Time(match unit {
                "from_millis" => Duration::from_millis(many),
                "from_secs" | "seconds" => Duration::from_secs(many),
                "from_mins" | "minutes" => Duration::from_secs(many.saturating_mul(60)),
                _ => bail!("`{unit}` is not known as a unit of time"),
            }));
        }
        match self.remaining_depth.checked_sub(1) {
            Some(deep) if !word.is_empty() => evaluate_nested(word, self.constants, deep),
            _ => bail!("`{}` is not read", self.rest),
        }
    }

    fn consume(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Reads a number, a name or a path.
    fn read_word(&mut self) -> &'a str {
        let rest = self.rest.trim_start();
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
        let (word, rest) = rest.split_at(rest.find(|letter| !is_part(letter)).unwrap_or(rest.len()));
        self.rest = rest;
        word
    }
}

fn to_number(value: ConstantValue) -> Result<u64> {
    match value {
        ConstantValue::Number(number) => Ok(number),
        ConstantValue::Time(_) => bail!("a span of time is no number"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "
/// The most bytes
/// of a file.
pub(crate) const MAX_BYTES: usize = 2 * 1024 * 1024;
const KEPT: u64 = (1 << 10) + 6 * MAX_BYTES;
const TIME: Duration = Duration::from_millis(1_500);
const LONG: Span = Span::minutes(24 * 60);
const OTHER: Duration = something(5);
const CIRCLE: u32 = CIRCLE + 1;
";

    #[test]
    fn values_are_as_rust_has_them() {
        let all = parse_constants(SOURCE);
        assert_eq!(all[0].doc_comment, "The most bytes of a file.");
        assert_eq!(evaluate_constant("MAX_BYTES", &all).unwrap(), ConstantValue::Number(2 << 20));
        assert_eq!(
            evaluate_constant("KEPT", &all).unwrap(),
            ConstantValue::Number((1 << 10) + 12 * (1 << 20))
        );
        assert_eq!(
            evaluate_constant("TIME", &all).unwrap(),
            ConstantValue::Time(Duration::from_millis(1500))
        );
        assert_eq!(
            evaluate_constant("LONG", &all).unwrap(),
            ConstantValue::Time(Duration::from_secs(86_400))
        );
    }

    #[test]
    fn what_is_not_read_is_an_error() {
        let all = parse_constants(SOURCE);
        for name in ["OTHER", "CIRCLE", "NOWHERE"] {
            evaluate_constant(name, &all).unwrap_err();
        }
    }
}

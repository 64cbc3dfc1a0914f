//! Parses Cloud's filters (`q=state="OPEN" AND updated_on>=2026-01-01`), and evaluates them on JSON objects.

use serde_json::Value;

#[derive(Clone, PartialEq, Debug)]
pub(super) enum FilterQuery {
    And(Box<FilterQuery>, Box<FilterQuery>),
    Or(Box<FilterQuery>, Box<FilterQuery>),
    Comparison { field: String, operator: FilterOperator, value: Value },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FilterOperator {
    Equal,
    AtLeast,
}

/// Comparison operators, each with its spelling.
const COMPARISON_OPERATORS: &[(&str, FilterOperator)] =
    &[("=", FilterOperator::Equal), (">=", FilterOperator::AtLeast)];

impl FilterQuery {
    /// Parses a filter; `None` if it is invalid.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let query = parse_or(&mut rest, 0)?;
        rest.trim().is_empty().then_some(query)
    }

    /// Returns true if this object matches the filter. The value of a missing field is null.
    pub(super) fn matches_item(&self, item: &Value) -> bool {
        match self {
            Self::And(one, other) => one.matches_item(item) && other.matches_item(item),
            Self::Or(one, other) => one.matches_item(item) || other.matches_item(item),
            Self::Comparison { field, operator: how, value } => {
                comparison_holds(field_value(item, field), *how, value)
            }
        }
    }

    /// Returns true if the filter names this field.
    pub(super) fn mentions_field(&self, name: &str) -> bool {
        match self {
            Self::And(one, other) | Self::Or(one, other) => {
                one.mentions_field(name) || other.mentions_field(name)
            }
            Self::Comparison { field, .. } => field == name,
        }
    }
}

/// Returns the field at a path of names with dots between them.
pub(super) fn field_value<'a>(item: &'a Value, field: &str) -> &'a Value {
    field.split('.').fold(item, |value, name| &value[name])
}

fn comparison_holds(field_value: &Value, operator: FilterOperator, value: &Value) -> bool {
    let order = || match (field_value, value) {
        (Value::String(field_value), Value::String(value)) => {
            let instant = |text: &str| text.parse::<jiff::Timestamp>().ok();
            // Different texts can denote the same instant, so instants are parsed before they are compared.
            match (instant(field_value), instant(value)) {
                (Some(field_value), Some(value)) => Some(field_value.cmp(&value)),
                (_, _) => Some(field_value.as_str().cmp(value)),
            }
        }
        (field_value, value) => Some(field_value.as_i64()?.cmp(&value.as_i64()?)),
    };
    match operator {
        FilterOperator::Equal => field_value == value || order().is_some_and(std::cmp::Ordering::is_eq),
        FilterOperator::AtLeast => order().is_some_and(std::cmp::Ordering::is_ge),
    }
}

/// Maximum depth of nested brackets.
const MAX_NESTING_DEPTH: usize = 16;

fn parse_or(rest: &mut &str, depth: usize) -> Option<FilterQuery> {
    let mut query = parse_and(rest, depth)?;
    while consume_keyword(rest, "OR") {
        query = FilterQuery::Or(Box::new(query), Box::new(parse_and(rest, depth)?));
    }
    Some(query)
}

fn parse_and(rest: &mut &str, depth: usize) -> Option<FilterQuery> {
    let mut query = parse_term(rest, depth)?;
    while consume_keyword(rest, "AND") {
        query = FilterQuery::And(Box::new(query), Box::new(parse_term(rest, depth)?));
    }
    Some(query)
}

fn parse_term(rest: &mut &str, depth: usize) -> Option<FilterQuery> {
    *rest = rest.trim_start();
    if let Some(inner) = rest.strip_prefix('(') {
        if depth >= MAX_NESTING_DEPTH {
            return None;
        }
        *rest = inner;
        let query = parse_or(rest, depth + 1)?;
        *rest = rest.trim_start().strip_prefix(')')?;
        return Some(query);
    }
    let named = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let end = rest.find(|c| !named(c)).filter(|end| *end > 0)?;
    let (field, after) = rest.split_at(end);
    let after = after.trim_start();
    let (after, how) =
        COMPARISON_OPERATORS.iter().find_map(|(text, how)| Some((after.strip_prefix(text)?, *how)))?;
    let (value, after) = parse_value(after.trim_start())?;
    *rest = after;
    Some(FilterQuery::Comparison { field: field.to_owned(), operator: how, value })
}

/// Parses a quoted text, a number, a date, `true`, `false` or `null`. Returns the value, and the rest of the
/// text.
fn parse_value(text: &str) -> Option<(Value, &str)> {
    if let Some(inner) = text.strip_prefix('"') {
        let mut plain = String::new();
        let mut chars = inner.char_indices();
        while let Some((place, c)) = chars.next() {
            match c {
                '"' => return Some((plain.into(), inner.get(place + 1..)?)),
                '\\' => plain.push(chars.next()?.1),
                _ => plain.push(c),
            }
        }
        return None;
    }
    let end = text.find(|c: char| c.is_whitespace() || c == ')').unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    let value = match word {
        "" => return None,
        "true" | "TRUE" => true.into(),
        "false" | "FALSE" => false.into(),
        "null" | "NULL" => Value::Null,
        word => word.parse::<i64>().map_or_else(|_| word.into(), Value::from),
    };
    Some((value, after))
}

/// If `keyword` is the next word, in upper or lower case, removes it and returns true; otherwise returns
/// false.
fn consume_keyword(rest: &mut &str, keyword: &str) -> bool {
    let text = rest.trim_start();
    let ends = |c: char| c.is_whitespace() || c == '(';
    match text.get(..keyword.len()) {
        Some(found)
            if found.eq_ignore_ascii_case(keyword)
                && text.get(keyword.len()..).is_some_and(|after| after.starts_with(ends)) =>
        {
            *rest = text.get(keyword.len()..).unwrap_or_default();
            true
        }
        Some(_) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_filter_is_read_and_asked() {
        let item = json!({"state": "OPEN", "draft": false, "id": 7, "source": {"branch": {"name": "a \"b\""}},
            "updated_on": "2026-11-24T10:00:00.000000+00:00"});
        for (text, fits) in [
            (r#"state="OPEN" AND (draft=true OR draft=false)"#, true),
            (r#"state="MERGED" or id >= 7"#, true),
            (r#"source.branch.name="a \"b\"""#, true),
            (r#"source.branch.name="a""#, false),
            ("updated_on>=2026-11-24T10:00:00Z", true),
            ("updated_on>=\"2026-11-24T10:00:01+00:00\"", false),
            ("updated_on >= 2026-11-24T10:00:00Z AND id = 8", false),
            ("nothing = null", true),
        ] {
            assert_eq!(FilterQuery::parse(text).unwrap().matches_item(&item), fits, "{text}");
        }
        for bad in ["", "state", "state=", "state=\"OPEN", "(id=1", "id=1 AND", "id=1 id=2", "=1", "id>1"] {
            assert_eq!(FilterQuery::parse(bad), None, "{bad}");
        }
        assert!(FilterQuery::parse("id=1 AND state=\"OPEN\"").unwrap().mentions_field("state"));
    }
}

//! Reduces a response to the fields that the query selects, as every GraphQL server does. A client must not
//! receive fields that it did not request.

use serde_json::Value;

/// The selected fields, each with its inner selection. A field without an inner selection has a scalar value.
type FieldSelection = Vec<(String, SelectedFields)>;

/// The inner selection of one field.
struct SelectedFields(FieldSelection);

/// Returns the response without the fields that the query does not select.
pub(super) fn select_fields(query: &str, mut answer: Value) -> Value {
    let mut words = tokenize_query(query).into_iter();
    // The operation's name and variables precede the first brace.
    let _ = words.by_ref().find(|word| word == "{");
    let selected = parse_selection(&mut words);
    if let Some(data) = answer.get_mut("data") {
        retain_selected(data, &selected);
    }
    answer
}

fn retain_selected(value: &mut Value, selected: &FieldSelection) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| match selected.iter().find(|(wanted, _)| wanted == name) {
                Some((_, SelectedFields(inner))) => {
                    if !inner.is_empty() {
                        retain_selected(value, inner);
                    }
                    true
                }
                None => false,
            });
        }
        Value::Array(items) => items.iter_mut().for_each(|item| retain_selected(item, selected)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Returns the names and braces, without arguments.
fn tokenize_query(query: &str) -> Vec<String> {
    let (mut words, mut word, mut depth) = (Vec::new(), String::new(), 0_u32);
    for c in query.chars().chain([' ']) {
        if depth == 0 && (c.is_ascii_alphanumeric() || c == '_') {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '{' | '}' if depth == 0 => words.push(c.to_string()),
            _ => {}
        }
    }
    words
}

/// Parses the fields up to the closing brace.
fn parse_selection(tokens: &mut impl Iterator<Item = String>) -> FieldSelection {
    let mut fields: FieldSelection = Vec::new();
    while let Some(word) = tokens.next() {
        match word.as_str() {
            "}" => break,
            "{" => {
                let inner = parse_selection(tokens);
                if let Some((_, last)) = fields.last_mut() {
                    *last = SelectedFields(inner);
                }
            }
            // An inline fragment (`... on Type { … }`): its fields belong to the enclosing selection.
            "on" => {
                let _type_and_brace = (tokens.next(), tokens.next());
                fields.extend(parse_selection(tokens));
            }
            _ => fields.push((word, SelectedFields(Vec::new()))),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_not_asked_for_is_not_there() {
        let query = "query($n: Int!) { list(first: $n, order: {by: NAME}) { nodes { id ... on Kind { of { \
            login } } } } }";
        let node = |id: u64| json!({"id": id, "more": 1, "of": {"login": "a", "url": "b"}});
        let answer = json!({"data": {"list": {"nodes": [node(1), node(2)], "total": 2}}, "errors": []});
        let kept = |id: u64| json!({"id": id, "of": {"login": "a"}});
        assert_eq!(
            select_fields(query, answer),
            json!({"data": {"list": {"nodes": [kept(1), kept(2)]}}, "errors": []})
        );
    }
}

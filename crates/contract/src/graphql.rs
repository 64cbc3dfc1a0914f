//! Checks GraphQL exchanges: compares the query and its variables with the schema, and the response with the
//! query and the schema.

use apollo_compiler::ast::Type;
use apollo_compiler::executable::{Field, Selection, SelectionSet};
use apollo_compiler::request::coerce_variable_values;
use apollo_compiler::response::JsonMap;
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema};
use serde_json::{Map, Value};

use crate::{ContractLoadError, ContractViolation, ExchangePart, WireExchange};

/// The operation that a violation names for every GraphQL request.
const GRAPHQL_OPERATION: &str = "POST /graphql";
/// The fields that the body of a request may contain.
const REQUEST_FIELDS: &[&str] = &["operationName", "query", "variables"];

/// The parsed and validated schema of GitHub.
#[derive(Debug)]
pub(crate) struct GraphqlSchema(Valid<Schema>);

impl GraphqlSchema {
    pub(crate) fn new(text: &str) -> Result<Self, ContractLoadError> {
        let schema = Schema::parse_and_validate(text, "github.graphql");
        schema.map(Self).map_err(|error| ContractLoadError::Graphql(error.errors.to_string()))
    }

    /// Returns the violations in an exchange.
    pub(crate) fn check(&self, exchange: &WireExchange<'_>) -> Vec<ContractViolation> {
        let mut found = Vec::new();
        let mut wrong = |part, location: &str, description: String| {
            found.push(ContractViolation {
                operation: GRAPHQL_OPERATION.into(),
                part,
                location: location.to_owned(),
                description,
            });
        };
        let empty = Map::new();
        let request = exchange.request_body.and_then(Value::as_object).unwrap_or(&empty);
        for name in request.keys().filter(|name| !REQUEST_FIELDS.contains(&name.as_str())) {
            wrong(ExchangePart::Request, &format!("/{name}"), "not a field of a GraphQL request".into());
        }
        let query = request.get("query").and_then(Value::as_str).unwrap_or_default();
        let document = match ExecutableDocument::parse_and_validate(&self.0, query, "query") {
            Ok(document) => document,
            Err(error) => {
                for error in error.errors.iter() {
                    wrong(ExchangePart::Request, "/query", error.to_json().message);
                }
                return found;
            }
        };
        let operation = match document.operations.get(None) {
            Ok(operation) => operation,
            Err(error) => {
                wrong(ExchangePart::Request, "/query", error.message().to_string());
                return found;
            }
        };
        let variables = request.get("variables").cloned().unwrap_or_else(|| Map::new().into());
        let known: Vec<&str> = operation.variables.iter().map(|variable| variable.name.as_str()).collect();
        for name in variables
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
            .filter(|name| !known.contains(&name.as_str()))
        {
            wrong(ExchangePart::Request, &format!("/variables/{name}"), "not a variable of the query".into());
        }
        match serde_json::from_value::<JsonMap>(variables) {
            Ok(values) => {
                if let Err(error) = coerce_variable_values(&self.0, operation, &values) {
                    wrong(ExchangePart::Request, "/variables", error.message().to_string());
                }
            }
            Err(error) => wrong(ExchangePart::Request, "/variables", error.to_string()),
        }
        // GitHub also sends errors with status 200. Responses with another status come from an intermediary
        // and are not checked.
        if let Some((200, answer)) = exchange.response {
            let data = answer.map_or(&Value::Null, |answer| &answer["data"]);
            let is_error = answer.is_some_and(|answer| answer["errors"].is_array());
            if let (Value::Null, true) = (data, is_error) {
                return found;
            }
            let checker = ResponseChecker { schema: &self.0, document: &document };
            let mut violations = Vec::new();
            checker.check_object(&operation.selection_set, data, "/data", &mut violations);
            violations.into_iter().for_each(|(location, description)| {
                wrong(ExchangePart::ResponseBody(200), &location, description);
            });
        }
        found
    }
}

/// Compares a response with the fields that the query selects.
struct ResponseChecker<'a> {
    schema: &'a Schema,
    document: &'a ExecutableDocument,
}

impl ResponseChecker<'_> {
    fn check_object(
        &self,
        set: &SelectionSet,
        value: &Value,
        location: &str,
        violations: &mut Vec<(String, String)>,
    ) {
        let Some(fields) = value.as_object() else {
            violations.push((location.to_owned(), "should be an object".into()));
            return;
        };
        let mut selected = Vec::new();
        self.collect_fields(set, true, &mut selected);
        for name in fields
            .keys()
            .filter(|name| selected.iter().all(|(field, _)| field.response_key() != name.as_str()))
        {
            violations.push((format!("{location}/{name}"), "nobody asked for it".into()));
        }
        for (field, always) in selected {
            let location = format!("{location}/{}", field.response_key());
            match fields.get(field.response_key().as_str()) {
                Some(value) => self.check_value(field, field.ty(), value, &location, violations),
                None if always => violations.push((location, "is missing".into())),
                None => {}
            }
        }
    }

    /// Adds the fields of a selection to `fields`. A field's flag is true if every response must contain the
    /// field.
    fn collect_fields<'b>(
        &'b self,
        set: &'b SelectionSet,
        is_required: bool,
        fields: &mut Vec<(&'b Field, bool)>,
    ) {
        for selection in &set.selections {
            let (inner, on) = match selection {
                Selection::Field(field) => {
                    fields.push((field, is_required && field.directives.is_empty()));
                    continue;
                }
                Selection::InlineFragment(fragment) => {
                    (&fragment.selection_set, fragment.type_condition.as_ref())
                }
                Selection::FragmentSpread(spread) => match self.document.fragments.get(&spread.fragment_name)
                {
                    Some(fragment) => (&fragment.selection_set, Some(fragment.type_condition())),
                    None => continue,
                },
            };
            self.collect_fields(inner, is_required && on.is_none_or(|on| *on == set.ty), fields);
        }
    }

    fn check_value(
        &self,
        field: &Field,
        field_type: &Type,
        value: &Value,
        location: &str,
        violations: &mut Vec<(String, String)>,
    ) {
        let mut wrong = |message: &str| violations.push((location.to_owned(), message.to_owned()));
        match (field_type.is_non_null(), value) {
            (true, Value::Null) => return wrong("must not be null"),
            (false, Value::Null) => return,
            (true | false, _) => {}
        }
        if field_type.is_list() {
            let Some(items) = value.as_array() else { return wrong("should be a list") };
            let location = format!("{location}/*");
            return items.iter().for_each(|item| {
                self.check_value(field, field_type.item_type(), item, &location, violations);
            });
        }
        let name = field_type.inner_named_type().as_str();
        let right = match (name, self.schema.types.get(name)) {
            ("String" | "ID", _) => value.is_string(),
            ("Int", _) => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
            ("Boolean", _) => value.is_boolean(),
            (_, Some(ExtendedType::Enum(known))) => {
                value.as_str().is_some_and(|text| known.values.keys().any(|name| name.as_str() == text))
            }
            (_, Some(ExtendedType::Scalar(_)) | None) => !value.is_object() && !value.is_array(),
            (_, Some(_)) => return self.check_object(&field.selection_set, value, location, violations),
        };
        if !right {
            wrong(&format!("is not of type {name}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SCHEMA: &str = "type Query { thread(id: ID!): Thread, threads: [Thread!]! } type Thread \
         { id: ID!, line: Int, side: Side }
        enum Side { LEFT RIGHT }";
    const THREAD_QUERY: &str = "query($id: ID!) { thread(id: $id) { id line side } }";

    fn find_violations(request: Value, answer: Value) -> Vec<String> {
        let document = GraphqlSchema::new(SCHEMA).unwrap();
        let (method, target) = ("POST", "/graphql");
        let exchange = WireExchange {
            method,
            target,
            request_body: Some(&request),
            response: Some((200, Some(&answer))),
        };
        document
            .check(&exchange)
            .into_iter()
            .map(|violation| format!("{} {}", violation.location, violation.description))
            .collect()
    }

    #[test]
    fn a_query_names_what_the_schema_has() {
        let one = json!({"query": THREAD_QUERY, "variables": {"id": "x"}});
        let right = json!({"data": {"thread": {"id": "x", "line": null, "side": "LEFT"}}});
        assert_eq!(find_violations(one, right.clone()), Vec::<String>::new());
        let unknown = find_violations(json!({"query": "{ thread(id: 1) { nothing } }"}), right.clone());
        assert!(unknown.iter().any(|told| told.contains("a field `nothing`")), "{unknown:?}");
        assert_eq!(
            find_violations(
                json!({"query": THREAD_QUERY, "variables": {"id": "x", "more": 1}}),
                right.clone()
            )
            .len(),
            1
        );
        assert_eq!(
            find_violations(json!({"query": THREAD_QUERY, "variables": {}}), right.clone()).len(),
            1,
            "a variable is missing"
        );
        assert_eq!(
            find_violations(json!({"query": THREAD_QUERY, "variables": {"id": "x"}, "extra": 1}), right)
                .len(),
            1
        );
    }

    #[test]
    fn an_answer_has_what_was_asked_for_and_nothing_else() {
        let ask = |thread: Value| {
            find_violations(
                json!({"query": THREAD_QUERY, "variables": {"id": "x"}}),
                json!({"data": {"thread": thread}}),
            )
        };
        assert_eq!(ask(Value::Null), Vec::<String>::new());
        assert_eq!(ask(json!({"id": null, "line": 1, "side": null})), ["/data/thread/id must not be null"]);
        assert_eq!(
            ask(json!({"id": "x", "line": "1", "side": null})),
            ["/data/thread/line is not of type Int"]
        );
        assert_eq!(
            ask(json!({"id": "x", "line": 1, "side": "UP"})),
            ["/data/thread/side is not of type Side"]
        );
        assert_eq!(ask(json!({"id": "x", "line": 1})), ["/data/thread/side is missing"]);
        assert_eq!(
            ask(json!({"id": "x", "line": 1, "side": null, "path": "a"})),
            ["/data/thread/path nobody asked for it"]
        );
    }

    #[test]
    fn an_error_has_no_data() {
        let one = json!({"query": THREAD_QUERY, "variables": {"id": "x"}});
        assert_eq!(
            find_violations(one, json!({"data": null, "errors": [{"message": "no"}]})),
            Vec::<String>::new()
        );
    }
}

//! Reads the operations of an OpenAPI document, and compares exchanges with them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::schema::{CompiledSchema, convert_nullable, resolve_reference};
use crate::{ContractLoadError, ContractViolation, ExchangePart, WireExchange};

/// Two prefixes of a repository's paths: the prefix with the repository's id, which the document does not
/// describe, and the described prefix with the owner and the name. GitHub redirects requests for a
/// repository's former name to a path with the repository's id. All operations of the repository are
/// available below this path.
const REPOSITORY_PATH_PREFIXES: (&str, &str) = ("/repositories/{id}", "/repos/{owner}/{repo}");

/// An OpenAPI document and its operations.
#[derive(Debug)]
pub(crate) struct OpenapiDocument {
    /// True if the operations of a repository are also available at paths with the repository's id.
    has_repository_id_paths: bool,
    components: Value,
    operations: Vec<ApiOperation>,
}

/// One operation of the document.
#[derive(Debug)]
struct ApiOperation {
    /// The name, such as `GET /user`.
    name: String,
    method: String,
    template: String,
    /// The query parameters, with their schemas.
    query_parameters: BTreeMap<String, LazySchema>,
    request_body: Option<LazySchema>,
    responses: BTreeMap<String, Option<LazySchema>>,
}

/// The schema of a body or a query parameter. The schema is compiled at its first use.
#[derive(Debug)]
struct LazySchema {
    schema: Value,
    compiled: OnceLock<Result<CompiledSchema, String>>,
}

impl OpenapiDocument {
    pub(crate) fn new(mut document: Value, has_repository_id_paths: bool) -> Result<Self, ContractLoadError> {
        convert_nullable(&mut document);
        let components = document["components"].take();
        let paths = document["paths"].as_object();
        let paths = paths.ok_or_else(|| ContractLoadError::Openapi("it has no paths".into()))?;
        let mut operations = Vec::new();
        for (template, path) in paths {
            for (method, operation) in path.as_object().into_iter().flatten() {
                if method != "parameters" {
                    operations.push(ApiOperation::new(method, template, path, operation, &components));
                }
            }
        }
        Ok(Self { has_repository_id_paths, components, operations })
    }

    pub(crate) fn operation_names(&self) -> impl Iterator<Item = &str> {
        self.operations.iter().map(|operation| operation.name.as_str())
    }

    /// Returns the violations in an exchange.
    pub(crate) fn check(&self, exchange: &WireExchange<'_>) -> Vec<ContractViolation> {
        let (path, query) = exchange.target.split_once('?').unwrap_or((exchange.target, ""));
        let fitting = self.operations.iter().filter(|operation| operation.method == exchange.method);
        // If several operations match, the operation with the fewest path parameters is used.
        let fitting = fitting.filter_map(|operation| {
            Some((
                count_matched_parameters(&operation.template, path, self.has_repository_id_paths)?,
                operation,
            ))
        });
        let Some((_, operation)) = fitting.min_by_key(|(parameters, _)| *parameters) else {
            return vec![ContractViolation {
                operation: format!("{} {path}", exchange.method),
                part: ExchangePart::Request,
                location: String::new(),
                description:
                    "no such call (one that is new belongs into crates/contract/data/github.toml, or to \
                     those of bitbucket.rs)"
                        .into(),
            }];
        };
        operation.check(exchange, query, &self.components)
    }
}

impl ApiOperation {
    fn new(method: &str, template: &str, path_item: &Value, operation: &Value, components: &Value) -> Self {
        let parameters =
            [path_item, operation].into_iter().flat_map(|message| message["parameters"].as_array()).flatten();
        let parameters = parameters.map(|given| resolve_reference(given, components).unwrap_or(given));
        let query = parameters.filter(|given| given["in"] == "query").filter_map(|given| {
            Some((given["name"].as_str()?.to_owned(), LazySchema::new(&given["schema"])))
        });
        let body = |message: &Value| {
            let message = resolve_reference(message, components).unwrap_or(message);
            let mut media = message["content"].as_object()?.iter();
            let (_, json) = media.find(|(kind, _)| kind.contains("json"))?;
            Some(LazySchema::new(&json["schema"]))
        };
        let answers = operation["responses"].as_object().into_iter().flatten();
        let method = method.to_uppercase();
        Self {
            name: format!("{method} {template}"),
            method,
            template: template.to_owned(),
            query_parameters: query.collect(),
            request_body: operation.get("requestBody").and_then(body),
            responses: answers.map(|(status, answer)| (status.clone(), body(answer))).collect(),
        }
    }

    fn check(&self, exchange: &WireExchange<'_>, query: &str, components: &Value) -> Vec<ContractViolation> {
        let mut found = Vec::new();
        let mut report_violation = |part, location: String, description: String| {
            found.push(ContractViolation { operation: self.name.clone(), part, location, description });
        };
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match self.query_parameters.get(name) {
                None => {
                    report_violation(
                        ExchangePart::Request,
                        format!("?{name}"),
                        "not among the query's fields".into(),
                    );
                }
                Some(field) => {
                    let location = format!("?{name}");
                    let value = coerce_to_schema_type(&field.schema, value);
                    field.check(&value, components, |_, description| {
                        report_violation(ExchangePart::Request, location.clone(), description);
                    });
                }
            }
        }
        match (&self.request_body, exchange.request_body) {
            (Some(body), Some(value)) => {
                body.check(value, components, |location, description| {
                    report_violation(ExchangePart::Request, location, description);
                });
            }
            (None, Some(_)) => {
                report_violation(ExchangePart::Request, String::new(), "the call takes no body".into());
            }
            (Some(_) | None, None) => {}
        }
        let Some((status, answer)) = exchange.response else { return found };
        let part = ExchangePart::ResponseBody(status);
        match (self.responses.get(&status.to_string()), answer) {
            (None, _) => {
                report_violation(ExchangePart::Status(status), String::new(), "not among the call's".into());
            }
            (Some(Some(body)), Some(value)) => {
                body.check(value, components, |location, description| {
                    report_violation(part, location, description);
                });
            }
            (Some(Some(_)), None) => report_violation(part, String::new(), "there should be JSON".into()),
            (Some(None), Some(_)) => report_violation(part, String::new(), "there should be no JSON".into()),
            (Some(None), None) => {}
        }
        found
    }
}

impl LazySchema {
    fn new(schema: &Value) -> Self {
        Self { schema: schema.clone(), compiled: OnceLock::new() }
    }

    fn check(&self, value: &Value, components: &Value, mut report_violation: impl FnMut(String, String)) {
        match self.compiled.get_or_init(|| CompiledSchema::new(&self.schema, components)) {
            Ok(schema) => {
                schema
                    .check(value, components)
                    .into_iter()
                    .for_each(|(location, description)| report_violation(location, description));
            }
            Err(error) => report_violation(String::new(), format!("its schema is of no use: {error}")),
        }
    }
}

/// Converts the value of a query parameter to the type that the parameter's schema requires.
fn coerce_to_schema_type(schema: &Value, text: &str) -> Value {
    let integer = || text.parse::<i64>().ok().map(|number| json!(number));
    let boolean = || text.parse::<bool>().ok().map(|value| json!(value));
    let typed = match schema["type"].as_str() {
        Some("integer" | "number") => integer(),
        Some("boolean") => boolean(),
        Some(_) => None,
        None => integer().or_else(boolean),
    };
    typed.unwrap_or_else(|| text.into())
}

/// Returns the number of parameters in a path template if the path matches the template; otherwise `None`.
pub(crate) fn count_matched_parameters(
    template: &str,
    path: &str,
    has_repository_id_paths: bool,
) -> Option<usize> {
    let rest = path.strip_prefix("/repositories/").filter(|_| has_repository_id_paths);
    let (of, rest_after_id) = match rest.map(|rest| rest.split_once('/')) {
        Some(rest) => {
            (template.strip_prefix(REPOSITORY_PATH_PREFIXES.1)?, Some(rest.map_or("", |(_, rest)| rest)))
        }
        None => (template, None),
    };
    let path = rest_after_id.unwrap_or(path).trim_start_matches('/');
    let (of, mut parts): (Vec<_>, _) = (
        of.split('/').filter(|part| !part.is_empty()).collect(),
        path.split('/').filter(|part| !part.is_empty()),
    );
    let mut parameters = 0;
    let last = of.len().checked_sub(1);
    for (at, expected) in of.into_iter().enumerate() {
        let part = parts.next()?;
        if expected == "{path}" && Some(at) == last {
            // The last parameter is the path of a file, which may have any number of components.
            return Some(parameters + 1);
        }
        if expected.starts_with('{') {
            let number = expected.ends_with("_id}") || expected.ends_with("_number}");
            if number && part.parse::<u64>().is_err() {
                return None;
            }
            parameters += 1;
        } else if expected != part {
            return None;
        }
    }
    parts.next().is_none().then_some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_fits_by_its_parts() {
        assert_eq!(
            count_matched_parameters("/repos/{owner}/{repo}/pulls", "/repos/a/b/pulls", true),
            Some(2)
        );
        assert_eq!(count_matched_parameters("/repos/{owner}/{repo}/pulls", "/repos/a/b/issues", true), None);
        assert_eq!(count_matched_parameters("/repos/{owner}/{repo}/pulls", "/repos/a/b/pulls/1", true), None);
        assert_eq!(count_matched_parameters("/repos/{owner}/{repo}", "/repositories/7", true), Some(0));
        assert_eq!(
            count_matched_parameters("/repos/{owner}/{repo}/pulls", "/repositories/7/pulls", true),
            Some(0)
        );
        assert_eq!(count_matched_parameters("/user", "/repositories/7", true), None);
        assert_eq!(
            count_matched_parameters("/repositories/{workspace}/{slug}", "/repositories/a/b", false),
            Some(2)
        );
        assert_eq!(count_matched_parameters("/diff/{path}", "/diff/src/a.py", false), Some(1));
        assert_eq!(count_matched_parameters("/diff/{path}", "/diff", false), None);
        assert_eq!(
            count_matched_parameters("/pulls/{pull_number}", "/pulls/comments", true),
            None,
            "not a number"
        );
    }

    #[test]
    fn a_value_of_the_query_has_the_type_that_the_schema_wants() {
        assert_eq!(coerce_to_schema_type(&json!({"type": "integer"}), "100"), json!(100));
        assert_eq!(coerce_to_schema_type(&json!({"type": "integer"}), "x"), json!("x"));
        assert_eq!(coerce_to_schema_type(&json!({"type": "string"}), "100"), json!("100"));
    }
}

//! Checks the names of classes that override botocore or aiobotocore classes. The name of such a class must
//! begin with a prefix such as `Aio`.

use tree_sitter::Node;

use super::FlowMatch;
use super::table;
use super::value::{FlowValue, FlowValueResolver};

/// Prefixes for the names of classes that override botocore's classes.
const BOTOCORE_OVERRIDE_PREFIXES: &[&str] = &["Aio", "AIO", "Anyio"];
/// Prefixes for the names of classes that override aiobotocore's classes. `Httpx` is the prefix for overrides
/// that use the library httpx.
const AIOBOTOCORE_OVERRIDE_PREFIXES: &[&str] = &["Aio", "AIO", "Anyio", "Httpx"];

/// Finds the names of classes that do not have the required prefix.
pub(super) fn find_misnamed_classes(values: &FlowValueResolver<'_, '_>) -> Vec<FlowMatch> {
    let classes = values.model.nodes_of_kinds(&["class_definition"]).into_iter();
    classes.filter_map(|class| find_wrong_name(values, class)).map(FlowMatch::from_node).collect()
}

fn find_wrong_name<'t>(values: &FlowValueResolver<'_, 't>, class: Node<'t>) -> Option<Node<'t>> {
    let name = class.child_by_field_name("name")?;
    let written = values.model.text(name);
    let begins =
        |prefixes: &[&str]| prefixes.iter().any(|it| written.trim_start_matches('_').starts_with(it));
    let mut bases = values.base_classes(class).into_iter();
    let is_wrong = bases.any(|base| {
        // A private class whose base class has no override in aiobotocore is not reported, because it is only
        // a helper.
        let is_of_botocore = values.may_have_value(base, |value| {
            is_botocore_class(value)
                && (!written.starts_with('_') || value.qualified_name().is_some_and(table::has_aio_version))
        });
        is_of_botocore && !begins(BOTOCORE_OVERRIDE_PREFIXES)
            || is_override_name(values, base) && !begins(AIOBOTOCORE_OVERRIDE_PREFIXES)
    });
    is_wrong.then_some(name)
}

/// Returns true if the value is a class of botocore or boto3, but not an exception class.
fn is_botocore_class(value: &FlowValue<'_>) -> bool {
    let Some(path) = value.qualified_name() else { return false };
    let of_package = path.starts_with("botocore.") || path.starts_with("boto3.");
    let name = path.rsplit('.').next().unwrap_or(path);
    let is_class = name.trim_start_matches('_').starts_with(char::is_uppercase);
    let is_exception = path.starts_with("botocore.exceptions.") || name.ends_with("Error");
    of_package && is_class && !is_exception
}

/// Returns true if the base class has an override's name, such as `AioSession`.
fn is_override_name<'t>(values: &FlowValueResolver<'_, 't>, base: Node<'t>) -> bool {
    let name = values.model.text(base);
    let name = name.rsplit('.').next().unwrap_or(name);
    let is_named = |rest: &str| rest.starts_with(char::is_uppercase);
    name.strip_prefix("Aio").is_some_and(is_named)
}

//! What keys are worth when nobody sets them.

use super::converge;
use super::keys::{Default, Key};
use super::problem::Problem;
use super::secret::Secret;
use super::value::Value;
use crate::environment::Environment;

/// The default of a key, at the path that it has for a name. None: the table of keys has a default that nobody knows.
///
/// # Errors
/// A [`Problem`], if somebody has to set it.
pub(super) fn of(path: &str, key: &Key, environment: &Environment) -> Result<Option<Value>, Box<Problem>> {
    let name = || path.split('.').nth(1).unwrap_or_default();
    Ok(match key.default {
        Default::Text(text) => Value::from_text(key.kind, text, environment.directory()).ok(),
        Default::Variable(name) => Some(Value::Secret(Secret::Env(name.to_owned()))),
        Default::Computed { .. } => match key.path.split('.').collect::<Vec<_>>().as_slice() {
            ["store", "url"] => Some(store(environment)),
            ["forge", _, "kind"] => {
                let kind = Value::from_text(key.kind, name(), environment.directory());
                Some(kind.map_err(|_| Box::new(Problem::KindMissing { name: name().to_owned() }))?)
            }
            ["sync", _, "package"] => Some(Value::Name(name().to_owned())),
            ["sync", _, "branch"] => Some(Value::Name(format!("truing/sync-{}", name()))),
            ["reviewer", _, key] => Some(converge::default(name(), key)),
            ["sync", ..]
            | ["server", "metrics_listen"]
            | ["mcp", _, "url" | "forge" | "transport" | "token" | "tools"]
            | ["forge", _, "app_id" | "private_key" | "marker_key"]
            | ["rules" | "prompts", "dir"]
            | ["budget", "prices"]
            | ["model", "region" | "workspace_id"]
            | ["model", _, "region" | "workspace_id" | "api_key" | "name"]
            | ["team" | "repo" | "price" | "notify" | "telemetry", ..] => Some(Value::Unset),
            _ => None,
        },
    })
}

fn store(environment: &Environment) -> Value {
    let state = environment.user_folder("XDG_STATE_HOME", ".local/state");
    state.map_or(Value::Unset, |state| Value::Store(state.join("truing/truing.db")))
}

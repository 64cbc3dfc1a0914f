//! Default values of configuration keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::converge;
use super::keys::{ConfigKey, KeyDefault};
use super::model::{AWS_KEY_VARIABLE, BEDROCK_TOKEN_VARIABLE, OPENAI_BASE_URL, OPENAI_KEY_VARIABLE};
use super::problem::{ConfigProblem, ValueOrigin};
use super::secret::SecretSource;
use super::value::ConfigValue;
use super::{EffectiveSetting, ForgeKind};
use crate::environment::Environment;

/// Returns the default of a key. `path` is the key's path, in which a name replaces `NAME`. Returns `None` if
/// this function does not know the default, although the table of keys requires one. `settings` contains the
/// settings that are already known. A forge's kind must be known before its other keys.
///
/// # Errors
/// A [`ConfigProblem`] if the key is required.
pub(super) fn default_value(
    path: &str,
    key: &ConfigKey,
    environment: &Environment,
    settings: &BTreeMap<String, EffectiveSetting>,
) -> Result<Option<ConfigValue>, Box<ConfigProblem>> {
    let name = || path.split('.').nth(1).unwrap_or_default();
    let key_parts: Vec<&str> = key.path.split('.').collect();
    if let ["model", of @ ("base_url" | "api_key")] | ["model", _, of @ ("base_url" | "api_key")] = *key_parts
        && let Some(value) = other_provider_default(of, path, settings)
    {
        return Ok(Some(value));
    }
    Ok(match key.default {
        KeyDefault::Text(text) => ConfigValue::from_text(key.kind, text, environment.directory()).ok(),
        KeyDefault::SecretVariable(name) => Some(ConfigValue::Secret(SecretSource::Env(name.to_owned()))),
        KeyDefault::Computed { .. } => match key_parts.as_slice() {
            ["store", "url"] => Some(
                state_path(environment, "truing/truing.db")
                    .map_or(ConfigValue::Unset, ConfigValue::DatabasePath),
            ),
            ["store", "folder"] => {
                let beside = match settings.get("store.url").map(|setting| &setting.value) {
                    Some(ConfigValue::DatabasePath(file)) => file.parent().map(Path::to_owned),
                    Some(_) | None => state_path(environment, "truing"),
                };
                Some(beside.map_or(ConfigValue::Unset, ConfigValue::Path))
            }
            ["store", "records" | "password" | "records_password"] => Some(ConfigValue::Unset),
            ["forge", _, "kind"] => {
                let kind = ConfigValue::from_text(key.kind, name(), environment.directory());
                Some(kind.map_err(|_| Box::new(ConfigProblem::KindMissing { name: name().to_owned() }))?)
            }
            ["forge", _, "token"] if uses_gh_token(name(), environment, settings) => {
                Some(ConfigValue::Secret(SecretSource::Env(GH_TOKEN_VARIABLE.to_owned())))
            }
            ["forge", _, of @ ("api_url" | "git_url" | "token" | "webhook_secret")] => {
                Some(forge_default(name(), of, forge_kind(name(), settings))?)
            }
            ["sync", _, "package"] => Some(ConfigValue::Text(name().to_owned())),
            ["sync", _, "branch"] => Some(ConfigValue::Text(format!("truing/sync-{}", name()))),
            ["reviewer", _, key] => Some(converge::reviewer_default(name(), key)),
            ["sync", ..]
            | ["server", "metrics_listen"]
            | ["mcp", _, "url" | "forge" | "transport" | "token" | "headers" | "tools"]
            | ["forge", _, "app_id" | "private_key" | "marker_key" | "email" | "account" | "halted"]
            | ["forge", _, "sign", ..]
            | ["tool", _, "command" | "format" | "paths" | "exit"]
            | ["review", "tier" | "most"]
            | ["rules" | "prompts" | "policy", "dir"]
            | ["budget", "prices"]
            | ["model", "region" | "workspace_id" | "api_version" | "effort" | "claude_config_dir"]
            | ["model", _, "region" | "workspace_id" | "api_version" | "effort" | "api_key" | "name"]
            | ["team" | "repo" | "price" | "notify" | "telemetry", ..] => Some(ConfigValue::Unset),
            _ => None,
        },
    })
}

/// Returns the default of a model's key if the provider is not the default provider. The table of keys lists
/// the defaults of the default provider.
fn other_provider_default(
    key: &str,
    path: &str,
    settings: &BTreeMap<String, EffectiveSetting>,
) -> Option<ConfigValue> {
    let (section, _) = path.rsplit_once('.')?;
    let Some(ConfigValue::Choice(provider)) =
        settings.get(&format!("{section}.provider")).map(|setting| &setting.value)
    else {
        return None;
    };
    let variable = |name: &str| ConfigValue::Secret(SecretSource::Env(name.to_owned()));
    match (*provider, key) {
        ("openai", "base_url") => Some(ConfigValue::Url(OPENAI_BASE_URL.to_owned())),
        ("openai", _) => Some(variable(OPENAI_KEY_VARIABLE)),
        // The address depends on the region.
        ("aws" | "bedrock", "base_url") => Some(ConfigValue::Unset),
        // Requests are signed with AWS credentials if there is no token.
        ("bedrock", _) => Some(variable(BEDROCK_TOKEN_VARIABLE)),
        ("aws", _) => Some(variable(AWS_KEY_VARIABLE)),
        (_, _) => None,
    }
}

/// Returns the kind of a forge. For an unknown kind, returns GitHub; other code reports the error.
fn forge_kind(name: &str, settings: &BTreeMap<String, EffectiveSetting>) -> ForgeKind {
    match settings.get(&format!("forge.{name}.kind")).map(|setting| &setting.value) {
        Some(ConfigValue::Choice(word)) => ForgeKind::from_word(word).unwrap_or(ForgeKind::Github),
        Some(_) | None => ForgeKind::Github,
    }
}

/// Variable that GitHub's own program `gh` reads its token from.
const GH_TOKEN_VARIABLE: &str = "GH_TOKEN";

/// Returns true if the forge is github.com, `GH_TOKEN` is set, and `GITHUB_TOKEN` is not. `gh` uses
/// `GH_TOKEN` only for github.com. Therefore, Truing sends this token to another server only if the
/// configuration explicitly names `GH_TOKEN`.
fn uses_gh_token(
    name: &str,
    environment: &Environment,
    settings: &BTreeMap<String, EffectiveSetting>,
) -> bool {
    let is_set = |name: &str| environment.get(name).is_some_and(|value| !value.is_empty());
    let is_elsewhere = |key: &str| {
        let setting = settings.get(&format!("forge.{name}.{key}"));
        setting.is_some_and(|setting| setting.origin != ValueOrigin::Default)
    };
    forge_kind(name, settings) == ForgeKind::Github
        && !["api_url", "git_url"].into_iter().any(is_elsewhere)
        && is_set(GH_TOKEN_VARIABLE)
        && !is_set("GITHUB_TOKEN")
}

/// Returns the default of a forge's key, if the default depends on the kind of forge.
fn forge_default(name: &str, key: &str, kind: ForgeKind) -> Result<ConfigValue, Box<ConfigProblem>> {
    let url = |text: &str| Ok(ConfigValue::Url(text.to_owned()));
    let variable = |name: &str| Ok(ConfigValue::Secret(SecretSource::Env(name.to_owned())));
    match (key, kind) {
        ("api_url", ForgeKind::Github) => url("https://api.github.com"),
        ("api_url", ForgeKind::Bitbucket) => url("https://api.bitbucket.org/2.0"),
        ("api_url", ForgeKind::BitbucketDc) => {
            Err(Box::new(ConfigProblem::MissingForgeAddress { name: name.to_owned() }))
        }
        ("git_url", ForgeKind::Github) => url("https://github.com"),
        ("git_url", ForgeKind::Bitbucket) => url("https://bitbucket.org"),
        ("token", ForgeKind::Github) => variable("GITHUB_TOKEN"),
        ("token", ForgeKind::Bitbucket | ForgeKind::BitbucketDc) => variable("BITBUCKET_TOKEN"),
        ("webhook_secret", ForgeKind::Github) => variable("GITHUB_WEBHOOK_SECRET"),
        ("webhook_secret", ForgeKind::Bitbucket | ForgeKind::BitbucketDc) => {
            variable("BITBUCKET_WEBHOOK_SECRET")
        }
        // The caller derives the value from `api_url` after `api_url` is known.
        (_, ForgeKind::Github | ForgeKind::Bitbucket | ForgeKind::BitbucketDc) => Ok(ConfigValue::Unset),
    }
}

/// Returns a path in the user's state folder.
fn state_path(environment: &Environment, relative_path: &str) -> Option<PathBuf> {
    Some(environment.user_folder("XDG_STATE_HOME", ".local/state")?.join(relative_path))
}

//! Generates documents from the table of keys: the commented file of `truing init`, the JSON Schema, and the
//! reference page.

mod starter_forge;

use serde_json::{Map, Value as Json, json};
use truing_core::linter::FORMATS;

use super::keys::{
    self, ConfigKey, KeyDefault, NamedSection, RepositoryOverride, SECTIONS, ValueKind, key_variable,
};
use super::value::instructions::schema_of_instruction;
use super::value::rule::schema_of_severities;
use super::value::tiers::schema_of_tier_rule;
use super::value::{FormattedDuration, MAX_HOSTS, NAME_PATTERN};
use super::value_kind::scheme_prefix;
pub use starter_forge::StarterForge;
use starter_forge::{FORGE_KIND_KEY, REPOSITORIES_KEY};

/// Maximum width of a comment line in the commented file.
const MAX_COMMENT_WIDTH: usize = 100;

/// Renders a configuration file for a forge. If the forge has a repository, the file limits the server to
/// this repository. All other keys are commented out, with their defaults.
///
/// Each key can be enabled separately, because it is written with its full path and needs no table header.
pub fn commented_file(forge: &StarterForge) -> String {
    let mut text = String::from(
        "# Configuration of truing. Every key is shown with its default, or with an example if the\n# key \
            has no default. To set a key, remove the `# ` in front of its line.\n# `review.debounce = \
            \"30s\"` means the same as `debounce = \"30s\"` below `[review]`.\n# For each section, use \
            only one of these two forms.\n# A variable overrides a key: TRUING_REVIEW__DEBOUNCE=30s. \
            Effective values: `truing config show`.\n",
    );
    for (section, about) in SECTIONS {
        let path = forge.section_path(section);
        text += &format!("\n# ---- {path}\n{}\n", render_comment(about));
        for (name, key) in keys::section_keys(section) {
            let (value, is_set) = forge.value(key);
            let line_prefix = if is_set { "" } else { "# " };
            text += &format!("{}{line_prefix}{path}.{name} = {value}\n", render_comment(key.doc));
        }
    }
    text
}

/// Keys in the short file, which must fit on one screen.
const STARTER_FILE_KEYS: [&str; 10] = [
    FORGE_KIND_KEY,
    "forge.NAME.token",
    "forge.NAME.webhook_secret",
    REPOSITORIES_KEY,
    "server.listen",
    "store.url",
    "review.runtime",
    "review.tools",
    "budget.review_usd",
    "budget.repo_day_usd",
];

/// Renders a short configuration file for a first server. It contains only the required keys, each with the
/// first sentence of its description, and fits on one screen.
pub fn starter_file(forge: &StarterForge) -> String {
    let mut text = String::from(
        "# Configuration of truing: the keys that a first server needs. For all keys: `truing init \
            --all`\n# To set a key, remove the `# ` in front of its line. Effective values: `truing config \
            show`.\n",
    );
    for (section, _) in SECTIONS {
        let path = forge.section_path(section);
        let is_shown = |key: &ConfigKey| STARTER_FILE_KEYS.contains(&key.path) || forge.needs(key);
        let keys: Vec<_> = keys::section_keys(section).filter(|(_, key)| is_shown(key)).collect();
        if !keys.is_empty() {
            text.push('\n');
        }
        for (name, key) in keys {
            let (value, is_set) = forge.value(key);
            let off = if is_set { "" } else { "# " };
            let first = key.doc.split_once(". ").map_or(key.doc, |(first, _)| first);
            text += &format!("{}{off}{path}.{name} = {value}\n", render_comment(first.trim_end_matches('.')));
        }
    }
    text
}

/// Renders the JSON Schema of the configuration file.
pub fn schema() -> Json {
    let mut root = Map::new();
    for (section, about) in SECTIONS {
        let mut keys = Map::new();
        for (name, key) in keys::section_keys(section) {
            insert_key_schema(&mut keys, name, key_schema(key));
        }
        let table = json!({
            "type": "object", "description": about, "additionalProperties": false, "properties": keys
        });
        match named_section(section) {
            // If the section `model` exists, a named table such as `model.NAME` is described as an additional
            // property of this section.
            Some(named) if root.contains_key(named.as_str()) => {
                if let Some(above) = root.get_mut(named.as_str()).and_then(Json::as_object_mut) {
                    above.insert("additionalProperties".to_owned(), table);
                }
                continue;
            }
            Some(named) => {
                let listed = (named == NamedSection::Tool).then(|| list_item_schema(&table, named));
                let by_name = json!({
                    "type": "object",
                    "propertyNames": { "pattern": named.pattern() },
                    "additionalProperties": table
                });
                let schema = match listed {
                    Some(listed) => json!({ "anyOf": [by_name, { "type": "array", "items": listed }] }),
                    None => by_name,
                };
                root.insert(named.as_str().to_owned(), schema)
            }
            None => root.insert((*section).to_owned(), table),
        };
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "truing.toml",
        "description": "The operator's configuration of truing. A repository's own file (.truing.toml) may \
            set only the keys that are marked with x-repository.",
        "type": "object",
        "additionalProperties": false,
        "properties": root
    })
}

/// Returns the schema of a named table in list notation, such as `[[tool]]`. In this notation, the required
/// key `name` contains the table's name.
fn list_item_schema(table: &Json, section: NamedSection) -> Json {
    let mut table = table.clone();
    if let Some(keys) = table.get_mut("properties").and_then(Json::as_object_mut) {
        let about = "The name of the tool. Set this key only in a list (`[[tool]]`); otherwise, the \
            header `[tool.NAME]` contains the name.";
        keys.insert(
            "name".to_owned(),
            json!({ "type": "string", "pattern": section.pattern(), "description": about }),
        );
    }
    if let Some(table) = table.as_object_mut() {
        table.insert("required".to_owned(), json!(["name"]));
    }
    table
}

/// Renders the reference page docs/reference/config.md.
pub fn reference_page() -> String {
    let mut text = String::from(
        "# Configuration reference\n\n<!-- Generated from crates/config/src/keys.rs. To update it: \
        UPDATE_DOCS=1 cargo test -p truing-config -->\n\nThe value of a key comes from the first of these \
        sources that sets the key:\n\n1. a flag;\n2. a `TRUING_…` variable;\n3. for `review.runtime`, the \
        variable `RUNTIME_MODE`;\n4. the operator's file: `--config FILE`, else `TRUING_CONFIG`, else \
        `truing/truing.toml` in the user's configuration\n   folder;\n5. for some keys, the repository's \
        own `.truing.toml`;\n6. the default.\n\n`truing config show` shows the source of each \
        value.\n\nLengths of time are whole numbers with units: `500ms`, `15s`, `2m`, `1h30m`, `7d`, \
        `2w`. The file never contains a secret\nitself, but only a reference to the secret: `{ env = \
        \"VARIABLE\" }` or `{ file = \"PATH\" }`. The name of a variable with\nsuch a reference ends in \
        `__ENV` or `__FILE`. In a variable, commas separate the entries of a list. A relative path \
        starts\nat the folder of the file that contains the path.\n",
    );
    for (section, about) in SECTIONS {
        text += &format!("\n## [{section}]\n\n{about}\n");
        for (_, key) in keys::section_keys(section) {
            let ending = if key.kind == ValueKind::SecretLocation { "__ENV" } else { "" };
            let repository = match key.repository {
                RepositoryOverride::Forbidden => "no",
                RepositoryOverride::MaySet => "can set the key if the operator does not set it",
                RepositoryOverride::MaySetIfAllowed => {
                    "can set the key if `verify.from_repository` is true and the operator does not set it"
                }
                RepositoryOverride::MayAdd => "can add entries to those of the operator",
            };
            let default = match key.default {
                KeyDefault::Computed { description: words, .. } => words.to_owned(),
                KeyDefault::Text(_) | KeyDefault::SecretVariable(_) => format!("`{}`", default_as_toml(key)),
            };
            let variable =
                key_variable(key.path).map_or("none".to_owned(), |variable| format!("`{variable}{ending}`"));
            text += &format!(
                "\n### `{}`\n\n{}\n\n- Type: {}\n- Default: {default}\n- Variable: {variable}\n- Repository: \
                 {repository}\n- Since: {}\n",
                key.path,
                key.doc,
                describe_kind(key.kind),
                key.since,
            );
        }
    }
    text
}

/// Returns the named section that a path such as `model.NAME` denotes. Returns `None` if the path does not
/// end with `NAME`.
fn named_section(section: &str) -> Option<NamedSection> {
    section.strip_suffix(".NAME").and_then(NamedSection::from_word)
}

/// Inserts a key's schema into the nested tables that the key's dotted name describes.
fn insert_key_schema(keys: &mut Map<String, Json>, name: &str, schema: Json) {
    let Some((table, below)) = name.split_once('.') else {
        keys.insert(name.to_owned(), schema);
        return;
    };
    let table = keys
        .entry(table)
        .or_insert_with(|| json!({ "type": "object", "additionalProperties": false, "properties": {} }));
    if let Some(below_it) = table.get_mut("properties").and_then(Json::as_object_mut) {
        insert_key_schema(below_it, below, schema);
    }
}

fn default_as_toml(key: &ConfigKey) -> String {
    match (key.default, key.kind) {
        (KeyDefault::Computed { example, .. }, _) => example.to_owned(),
        (KeyDefault::SecretVariable(name), _) => format!("{{ env = \"{name}\" }}"),
        (KeyDefault::Text(text), ValueKind::Integer(..) | ValueKind::Usd(_) | ValueKind::Flag) => {
            text.to_owned()
        }
        (KeyDefault::Text(text), ValueKind::ExitCodes) => format!("[{}]", text.replace(',', ", ")),
        (
            KeyDefault::Text(text),
            ValueKind::IdsByName | ValueKind::SecretHeaders | ValueKind::RuleSeverities,
        ) => {
            format!("{{{text}}}")
        }
        (
            KeyDefault::Text(""),
            ValueKind::Globs
            | ValueKind::PathPairs
            | ValueKind::RepositoryGlobs
            | ValueKind::RulePacks
            | ValueKind::Rules
            | ValueKind::ExternalNames
            | ValueKind::Accounts
            | ValueKind::Choices(_)
            | ValueKind::Folders
            | ValueKind::HostPorts
            | ValueKind::Command
            | ValueKind::Commands
            | ValueKind::SecretLocations
            | ValueKind::TierRules
            | ValueKind::Instructions
            | ValueKind::Networks,
        ) => "[]".to_owned(),
        // This arm is never reached, because all keys of these kinds have an empty default.
        (
            KeyDefault::Text(text),
            ValueKind::Command
            | ValueKind::Commands
            | ValueKind::SecretLocations
            | ValueKind::TierRules
            | ValueKind::Instructions,
        ) => text.to_owned(),
        (
            KeyDefault::Text(text),
            ValueKind::Globs
            | ValueKind::PathPairs
            | ValueKind::RepositoryGlobs
            | ValueKind::RulePacks
            | ValueKind::Rules
            | ValueKind::ExternalNames
            | ValueKind::Accounts
            | ValueKind::Choices(_)
            | ValueKind::Folders
            | ValueKind::HostPorts
            | ValueKind::Networks,
        ) => {
            format!("[\"{}\"]", text.replace(',', "\", \""))
        }
        (
            KeyDefault::Text(text),
            ValueKind::StoreAddress(_)
            | ValueKind::ListenAddress
            | ValueKind::Duration(..)
            | ValueKind::Choice { .. }
            | ValueKind::Url
            | ValueKind::VerbatimUrl
            | ValueKind::UnspacedName
            | ValueKind::Program
            | ValueKind::ModelSection
            | ValueKind::Email
            | ValueKind::AccountUuid
            | ValueKind::Text
            | ValueKind::Cron
            | ValueKind::Repository
            | ValueKind::Branch
            | ValueKind::Folder
            | ValueKind::File
            | ValueKind::ToolFormat
            | ValueKind::SecretUrl(_)
            | ValueKind::SecretLocation,
        ) => format!("\"{text}\""),
    }
}

/// Renders a text as comment lines.
fn render_comment(text: &str) -> String {
    let mut lines = vec![String::from("#")];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= MAX_COMMENT_WIDTH => {
                *line += &format!(" {word}");
            }
            Some(_) | None => lines.push(format!("# {word}")),
        }
    }
    lines.join("\n") + "\n"
}

/// Regular expression for repositories, `owner/name`, and for globs of repositories.
const REPOSITORY_PATTERN: &str = "^[^/]*/[^/]*$";
/// Regular expression for lengths of time.
const DURATION_PATTERN: &str = "^([0-9]+(w|d|h|m|s|ms))+$";

/// Regular expression for names of rules.
const RULE_PATTERN: &str = "^[-_.0-9A-Za-z]+/[-_.0-9A-Za-z]+$";
/// Regular expression for names of headers.
const HEADER_PATTERN: &str = "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$";

/// Regular expression for hosts, `host:port`.
const HOST_PATTERN: &str = "^([0-9a-z._-]+|\\[[0-9a-f:.]+\\]):[1-9][0-9]{0,4}$";

fn key_schema(key: &ConfigKey) -> Json {
    let mut schema = match key.kind {
        ValueKind::StoreAddress(schemes) => {
            let begins = schemes.iter().map(|scheme| scheme_prefix(scheme).replace('+', "\\+"));
            let pattern = match schemes.contains(&"sqlite") {
                true => format!("^({})[^:]", begins.collect::<Vec<_>>().join("|")),
                false => format!("^(({}).+)?$", begins.collect::<Vec<_>>().join("|")),
            };
            json!({ "anyOf": [{ "type": "string", "pattern": pattern }, secret_schema()] })
        }
        ValueKind::ListenAddress => json!({ "type": "string", "pattern": "^.+:[0-9]+$" }),
        ValueKind::Integer(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        ValueKind::Duration(..) => json!({ "type": "string", "pattern": DURATION_PATTERN }),
        ValueKind::Choice { supported: built, .. } => json!({ "enum": built }),
        ValueKind::Flag => json!({ "type": "boolean" }),
        ValueKind::Url | ValueKind::VerbatimUrl => {
            json!({ "type": "string", "format": "uri", "pattern": "^https?://" })
        }
        ValueKind::Folder | ValueKind::File | ValueKind::Text | ValueKind::Program => {
            json!({ "type": "string", "minLength": 1 })
        }
        ValueKind::Usd(most) => json!({ "type": "number", "minimum": 0, "maximum": most }),
        ValueKind::UnspacedName => json!({ "type": "string", "pattern": "^[!-~]+$" }),
        ValueKind::AccountUuid => json!({ "type": "string", "pattern": "^(\\{[0-9A-Fa-f-]{36}\\})?$" }),
        ValueKind::Email => json!({ "type": "string", "pattern": "^([^@:\\s]+@[^@:\\s]+)?$" }),
        ValueKind::ModelSection => json!({ "type": "string", "pattern": "^([a-z][a-z0-9-]*)?$" }),
        ValueKind::Cron => json!({ "type": "string", "minLength": 9 }),
        ValueKind::Repository => json!({ "type": "string", "pattern": "^[^/]+/[^/]+$" }),
        ValueKind::Branch => json!({ "type": "string", "minLength": 1 }),
        ValueKind::SecretLocation => secret_schema(),
        ValueKind::SecretLocations => json!({ "type": "array", "items": secret_schema() }),
        ValueKind::SecretUrl(schemes) => json!({
            "anyOf": [{ "type": "string",
                "pattern": format!("^({})://", schemes.join("|").replace("https", "https?")) },
                secret_schema()]
        }),
        ValueKind::Choices(known) => json!({ "type": "array", "items": { "enum": known } }),
        ValueKind::Command => json!({ "type": "array", "items": { "type": "string" } }),
        ValueKind::Commands => json!({
            "type": "array",
            "items": { "type": "array", "minItems": 1, "items": { "type": "string" } }
        }),
        ValueKind::Globs
        | ValueKind::PathPairs
        | ValueKind::ExternalNames
        | ValueKind::Accounts
        | ValueKind::Networks
        | ValueKind::Folders => {
            json!({ "type": "array", "items": { "type": "string" } })
        }
        ValueKind::RepositoryGlobs => {
            json!({ "type": "array", "items": { "type": "string", "pattern": REPOSITORY_PATTERN } })
        }
        ValueKind::RulePacks => {
            json!({ "type": "array", "items": { "type": "string", "pattern": NAME_PATTERN } })
        }
        ValueKind::HostPorts => json!({
            "type": "array", "maxItems": MAX_HOSTS, "items": { "type": "string", "pattern": HOST_PATTERN }
        }),
        ValueKind::Rules => {
            json!({ "type": "array", "items": { "type": "string", "pattern": RULE_PATTERN } })
        }
        ValueKind::RuleSeverities => json!({
            "type": "object",
            "propertyNames": { "pattern": RULE_PATTERN },
            "additionalProperties": schema_of_severities()
        }),
        ValueKind::ToolFormat => json!({ "enum": FORMATS }),
        ValueKind::IdsByName => json!({
            "type": "object", "additionalProperties": { "type": "string", "pattern": "^[!-~]+$" }
        }),
        ValueKind::SecretHeaders => json!({
            "type": "object",
            "propertyNames": { "pattern": HEADER_PATTERN },
            "additionalProperties": secret_schema()
        }),
        ValueKind::TierRules => json!({ "type": "array", "items": schema_of_tier_rule() }),
        ValueKind::Instructions => json!({ "type": "array", "items": schema_of_instruction() }),
        ValueKind::ExitCodes => json!({
            "type": "array", "minItems": 1, "items": { "type": "integer", "minimum": 0, "maximum": 255 }
        }),
    };
    let default = match (key.default, key.kind) {
        (KeyDefault::Computed { .. }, _) => None,
        (KeyDefault::SecretVariable(name), _) => Some(json!({ "env": name })),
        (KeyDefault::Text(text), ValueKind::Integer(..)) => {
            text.parse::<i64>().ok().map(|number| json!(number))
        }
        // This arm is never reached, because all keys of these kinds have an empty default.
        (
            KeyDefault::Text(_),
            ValueKind::IdsByName | ValueKind::SecretHeaders | ValueKind::RuleSeverities,
        ) => Some(json!({})),
        (KeyDefault::Text(text), ValueKind::ExitCodes) => {
            Some(json!(text.split(',').filter_map(|code| code.parse::<i32>().ok()).collect::<Vec<_>>()))
        }
        (KeyDefault::Text(text), ValueKind::Flag) => text.parse::<bool>().ok().map(|yes| json!(yes)),
        (KeyDefault::Text(text), ValueKind::Usd(_)) => text.parse::<f64>().ok().map(|number| json!(number)),
        (
            KeyDefault::Text(text),
            ValueKind::Globs
            | ValueKind::PathPairs
            | ValueKind::RepositoryGlobs
            | ValueKind::RulePacks
            | ValueKind::Rules
            | ValueKind::ExternalNames
            | ValueKind::Accounts
            | ValueKind::Choices(_)
            | ValueKind::Folders
            | ValueKind::HostPorts
            | ValueKind::Command
            | ValueKind::Commands
            | ValueKind::SecretLocations
            | ValueKind::TierRules
            | ValueKind::Instructions
            | ValueKind::Networks,
        ) => Some(json!(text.split(',').filter(|item| !item.is_empty()).collect::<Vec<_>>())),
        (
            KeyDefault::Text(text),
            ValueKind::StoreAddress(_)
            | ValueKind::ListenAddress
            | ValueKind::Duration(..)
            | ValueKind::Choice { .. }
            | ValueKind::Url
            | ValueKind::VerbatimUrl
            | ValueKind::UnspacedName
            | ValueKind::Program
            | ValueKind::ModelSection
            | ValueKind::Email
            | ValueKind::AccountUuid
            | ValueKind::Text
            | ValueKind::Cron
            | ValueKind::Repository
            | ValueKind::Branch
            | ValueKind::Folder
            | ValueKind::File
            | ValueKind::ToolFormat
            | ValueKind::SecretUrl(_)
            | ValueKind::SecretLocation,
        ) => Some(json!(text)),
    };
    if let Some(map) = schema.as_object_mut() {
        map.insert("description".into(), json!(key.doc));
        if let Some(variable) = key_variable(key.path) {
            map.insert("x-variable".into(), json!(variable));
        }
        if let Some(default) = default {
            map.insert("default".into(), default);
        }
        if key.repository != RepositoryOverride::Forbidden {
            map.insert("x-repository".into(), json!(true));
        }
    }
    schema
}

/// Returns the schema of a secret's location.
fn secret_schema() -> Json {
    json!({
        "type": "object",
        "additionalProperties": false,
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {
            "env": { "type": "string", "pattern": "^[A-Z_][A-Z0-9_]*$" },
            "file": { "type": "string", "minLength": 1 }
        }
    })
}

fn describe_kind(kind: ValueKind) -> String {
    match kind {
        ValueKind::StoreAddress(schemes) => {
            let begins: Vec<String> = schemes.iter().map(|scheme| scheme_prefix(scheme)).collect();
            format!("address that begins with `{}`, or a secret", begins.join("` or `"))
        }
        ValueKind::ListenAddress => "IP address and port".to_owned(),
        ValueKind::Integer(least, most) => format!("whole number, {least} to {most}"),
        ValueKind::Duration(least, most) => {
            format!("length of time, {} to {}", FormattedDuration(least), FormattedDuration(most))
        }
        ValueKind::Choice { supported: built, .. } => {
            built.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ")
        }
        ValueKind::Flag => "true or false".to_owned(),
        ValueKind::Url | ValueKind::VerbatimUrl => "URL: https, or http to a loopback address".to_owned(),
        ValueKind::UnspacedName => "name".to_owned(),
        ValueKind::Program => "name or path of a program".to_owned(),
        ValueKind::Text => "text".to_owned(),
        ValueKind::Cron => "cron pattern".to_owned(),
        ValueKind::Email => "e-mail address".to_owned(),
        ValueKind::AccountUuid => "UUID in braces".to_owned(),
        ValueKind::ModelSection => "the `NAME` of a `[model.NAME]`".to_owned(),
        ValueKind::Repository => "repository, `owner/name`".to_owned(),
        ValueKind::Branch => "branch".to_owned(),
        ValueKind::Folder => "path of a folder".to_owned(),
        ValueKind::File => "path of a file".to_owned(),
        ValueKind::Usd(most) => format!("US dollars, 0 to {most}"),
        ValueKind::SecretLocation => "secret".to_owned(),
        ValueKind::SecretLocations => "list of secrets".to_owned(),
        ValueKind::SecretHeaders => {
            "table of headers, each with its secret (in a variable: a JSON object)".to_owned()
        }
        ValueKind::SecretUrl(schemes) => {
            format!("URL that begins with `{}://`, or a secret", schemes.join("://` or `"))
        }
        ValueKind::Globs => "list of globs".to_owned(),
        ValueKind::PathPairs => "list of pairs `UPSTREAM=OURS`".to_owned(),
        ValueKind::RepositoryGlobs => "list of globs of `owner/name`".to_owned(),
        ValueKind::RulePacks => "list of names of rule packs".to_owned(),
        ValueKind::Rules => "list of names of rules, `PACK/RULE`".to_owned(),
        ValueKind::RuleSeverities => {
            "table of rules and severities (in a variable: a JSON object)".to_owned()
        }
        ValueKind::ExternalNames => "list of names".to_owned(),
        ValueKind::Accounts => "list of names, numbers or UUIDs of accounts".to_owned(),
        ValueKind::Networks => "list of networks and addresses".to_owned(),
        ValueKind::Choices(known) => {
            format!(
                "list of {}",
                known.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ")
            )
        }
        ValueKind::HostPorts => format!("list of up to {MAX_HOSTS} entries of the form `host:port`"),
        ValueKind::Folders => "list of paths of folders".to_owned(),
        ValueKind::Command => "command, as a list of words".to_owned(),
        ValueKind::Commands => "list of commands, each a list of words".to_owned(),
        ValueKind::ToolFormat => "name of a diagnostics format".to_owned(),
        ValueKind::ExitCodes => "list of whole numbers, 0 to 255".to_owned(),
        ValueKind::TierRules | ValueKind::Instructions => {
            "list of tables (in a variable: a JSON array)".to_owned()
        }
        ValueKind::IdsByName => "table of names and ids (in a variable: a JSON object)".to_owned(),
    }
}

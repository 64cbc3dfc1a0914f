//! Values of keys. Values are parsed from a file's TOML or from the text of a variable or flag, validated,
//! and rendered again.

use std::fmt;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;
use toml::de::DeValue;
use truing_core::branch_name::is_branch_name;
use truing_core::glob;
use truing_core::money::MicroUsd;
use truing_core::severity::RuleSeverity;

mod address;
mod config_value;
mod host;
mod ids;
pub(crate) mod instructions;
mod length;
mod linter;
mod name;
mod program;
pub(crate) mod rule;
mod secret_locations;
pub(crate) mod tiers;

use super::secret::{SecretSource, SecretText};
use super::value_kind::{ValueKind, scheme_prefix};
use address::{parse_base_url, parse_endpoint, parse_secret_url, redacted_url};
pub use config_value::ConfigValue;
pub(crate) use config_value::ConfigValueError;
use config_value::{join_alternatives, requirement_error};
pub use host::McpHost;
pub(crate) use host::{MAX_HOSTS, parse_host};
use ids::{ids_from_toml, is_model_id, parse_id_table};
pub use length::FormattedDuration;
use length::parse_duration;
pub use length::parse_milliseconds;
use linter::{check_exit_codes, exit_codes_from_toml, parse_output_format};
pub(crate) use name::{NAME_PATTERN, is_name, parse_mirror_pair, parse_network, remove_duplicates};
pub(crate) use program::commands_text;
pub(super) use program::is_relative_program;
use program::{
    command_requirement, commands_from_json, commands_from_toml, parse_command, parse_program,
    parse_string_list,
};
pub(crate) use rule::severities_from_json;
use rule::{is_rule_id, parse_severities, severities_to_json, severity_table_requirement};
pub(crate) use secret_locations::add_header;
use secret_locations::{
    header_table_requirement, location_to_toml, parse_headers, parse_secrets, place_json,
    secret_list_requirement,
};

impl ConfigValue {
    /// Parses a value of a file. Relative paths are relative to `folder`. Tables with secrets are read by the
    /// caller, because only the caller knows the positions of their keys.
    pub(crate) fn from_toml(
        kind: ValueKind,
        value: &DeValue<'_>,
        folder: &Path,
    ) -> Result<Self, ConfigValueError> {
        let text = value.as_str();
        match kind {
            ValueKind::Integer(least, most) => match value.as_integer() {
                Some(number) => parse_integer(number.as_str(), number.radix(), least, most),
                None => Err(requirement_error(format_args!(
                    "be a whole number; it is of type {}",
                    value.type_str()
                ))),
            },
            ValueKind::Flag => match value.as_bool() {
                Some(yes) => Ok(Self::Flag(yes)),
                None => Err(requirement_error(format_args!(
                    "be true or false; it is of type {}",
                    value.type_str()
                ))),
            },
            ValueKind::Usd(most) => match (value.as_integer(), value.as_float()) {
                (Some(number), _) if number.radix() == 10 => parse_usd(number.as_str(), most),
                (_, Some(number)) => parse_usd(number.as_str(), most),
                (Some(_) | None, None) => Err(requirement_error(format_args!(
                    "be a number of dollars such as {}; it is of type {}",
                    kind.sample(),
                    value.type_str()
                ))),
            },
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
            | ValueKind::Networks => match parse_string_list(value) {
                Some(items) => parse_list(kind, items, folder),
                None => Err(requirement_error("be a list of strings, such as [\"a\", \"b\"]")),
            },
            ValueKind::Command => match parse_string_list(value) {
                Some(words) => parse_command(words, folder),
                None => Err(requirement_error(command_requirement())),
            },
            ValueKind::Commands(words) => commands_from_toml(words, value),
            ValueKind::SecretLocation => Err(match text {
                Some(_) => ConfigValueError::LiteralSecret,
                None => requirement_error("be { env = \"VARIABLE\" } or { file = \"PATH\" }"),
            }),
            ValueKind::SecretLocations => Err(requirement_error(secret_list_requirement())),
            ValueKind::SecretHeaders => Err(requirement_error(header_table_requirement())),
            ValueKind::TierRules => Err(requirement_error(tiers::tier_list_requirement())),
            ValueKind::Instructions => Err(requirement_error(instructions::instruction_list_requirement())),
            ValueKind::ExitCodes => exit_codes_from_toml(value),
            ValueKind::IdsByName => ids_from_toml(value),
            ValueKind::RuleSeverities => Err(requirement_error(severity_table_requirement())),
            ValueKind::StoreAddress(_)
            | ValueKind::ListenAddress
            | ValueKind::Duration(..)
            | ValueKind::Choice { .. }
            | ValueKind::Url
            | ValueKind::VerbatimUrl
            | ValueKind::UnspacedName
            | ValueKind::AccountUuid
            | ValueKind::Program
            | ValueKind::ModelSection
            | ValueKind::Email
            | ValueKind::Text
            | ValueKind::SecretUrl(_)
            | ValueKind::Cron
            | ValueKind::Repository
            | ValueKind::Branch
            | ValueKind::Folder
            | ValueKind::File
            | ValueKind::ToolFormat => match text {
                Some(text) => Self::from_text(kind, text, folder),
                None => Err(requirement_error(format_args!(
                    "be a string such as {}; it is of type {}",
                    kind.sample(),
                    value.type_str()
                ))),
            },
        }
    }

    /// Parses a value of a variable or flag. Commas separate the items of a list.
    pub(crate) fn from_text(kind: ValueKind, text: &str, folder: &Path) -> Result<Self, ConfigValueError> {
        match kind {
            ValueKind::StoreAddress(schemes) => parse_store(text, folder, schemes),
            ValueKind::ListenAddress => text.parse().map(Self::Address).map_err(|_| {
                requirement_error(format_args!(
                    "be an IP address and a port such as {}, not `{text}`",
                    kind.sample()
                ))
            }),
            ValueKind::Integer(least, most) => parse_integer(text, 10, least, most),
            ValueKind::Duration(least, most) => parse_duration(text, least, most),
            ValueKind::Choice { supported: built, planned } => match built.iter().find(|word| **word == text)
            {
                Some(word) => Ok(Self::Choice(word)),
                None if planned.contains(&text) => {
                    Err(ConfigValueError::UnsupportedWord { word: text.to_owned(), supported_words: built })
                }
                None => Err(requirement_error(format_args!("be {}, not `{text}`", join_alternatives(built)))),
            },
            ValueKind::Flag => match text {
                "true" | "1" => Ok(Self::Flag(true)),
                "false" | "0" => Ok(Self::Flag(false)),
                _ => Err(requirement_error(format_args!("be true or false, not `{text}`"))),
            },
            ValueKind::Url => parse_base_url(text).map(Self::Url),
            ValueKind::VerbatimUrl => parse_endpoint(text).map(Self::Url),
            ValueKind::UnspacedName if is_model_id(text) => Ok(Self::Text(text.to_owned())),
            ValueKind::Program => parse_program(text, folder).map(Self::Text),
            ValueKind::Text if !text.trim().is_empty() && !text.contains('\0') => {
                Ok(Self::Text(text.to_owned()))
            }
            ValueKind::Text => Err(requirement_error("contain some text")),
            ValueKind::ModelSection if text.is_empty() => Ok(Self::Unset),
            ValueKind::ModelSection if is_name(text) => Ok(Self::Text(text.to_owned())),
            ValueKind::Email | ValueKind::AccountUuid if text.is_empty() => Ok(Self::Unset),
            ValueKind::AccountUuid if is_braced_uuid(text) => Ok(Self::Text(text.to_owned())),
            ValueKind::AccountUuid => {
                Err(requirement_error("be a UUID with its braces, such as `{0f3a9c56-…}`"))
            }
            ValueKind::Email if is_email(text) => Ok(Self::Text(text.to_owned())),
            ValueKind::Email => Err(requirement_error("be an e-mail address, `name@host`")),
            ValueKind::ModelSection => Err(requirement_error("be the NAME of a `[model.NAME]`")),
            ValueKind::UnspacedName => {
                Err(requirement_error("be a name: letters, digits and signs, without blanks"))
            }
            ValueKind::Repository if is_repository(text) => Ok(Self::Text(text.to_owned())),
            ValueKind::Branch if is_branch_name(text) => Ok(Self::Text(text.to_owned())),
            ValueKind::Repository => Err(requirement_error("be a repository's name, `owner/name`")),
            ValueKind::Branch => {
                Err(requirement_error("be a branch's name that `git check-ref-format --branch` accepts"))
            }
            ValueKind::Cron => match text.parse::<croner::Cron>() {
                Ok(cron)
                    if cron
                        .find_next_occurrence(&Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC), false)
                        .is_err() =>
                {
                    Err(requirement_error(format_args!(
                        "be a cron pattern that matches some time; `{text}` matches no time"
                    )))
                }
                Ok(_) => Ok(Self::Text(text.to_owned())),
                Err(error) => Err(requirement_error(format_args!(
                    "be a cron pattern such as {}: {error}",
                    kind.sample()
                ))),
            },
            ValueKind::Folder if text.is_empty() => Err(requirement_error("name a folder")),
            ValueKind::File if text.is_empty() => Err(requirement_error("name a file")),
            ValueKind::Folder | ValueKind::File => Ok(Self::Path(folder.join(text))),
            ValueKind::Usd(most) => parse_usd(text, most),
            ValueKind::SecretUrl(schemes) => parse_secret_url(text, schemes).map(Self::Secret),
            ValueKind::SecretLocation => Err(ConfigValueError::LiteralSecret),
            ValueKind::SecretLocations if text.trim().is_empty() => Ok(Self::Secrets(Vec::new())),
            ValueKind::SecretLocations => parse_secrets(text, folder).map(Self::Secrets),
            ValueKind::SecretHeaders if text.trim().is_empty() => Ok(Self::SecretTable(Default::default())),
            ValueKind::SecretHeaders => parse_headers(text, folder).map(Self::SecretTable),
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
            | ValueKind::Networks => parse_list(
                kind,
                text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect(),
                folder,
            ),
            ValueKind::ToolFormat => parse_output_format(text),
            ValueKind::TierRules if text.trim().is_empty() => Ok(Self::Tiers(Vec::new())),
            ValueKind::TierRules => tiers::rules_from_text(text).map(Self::Tiers),
            ValueKind::Instructions if text.trim().is_empty() => Ok(Self::Instructions(Vec::new())),
            ValueKind::Instructions => instructions::instructions_from_text(text).map(Self::Instructions),
            ValueKind::IdsByName if text.trim().is_empty() => Ok(Self::NamedIds(Default::default())),
            ValueKind::IdsByName => parse_id_table(serde_json::from_str(text).ok()),
            ValueKind::RuleSeverities if text.trim().is_empty() => {
                Ok(Self::RuleSeverities(Default::default()))
            }
            ValueKind::RuleSeverities => parse_severities(text).map(Self::RuleSeverities),
            ValueKind::ExitCodes => {
                check_exit_codes(text.split(',').map(|code| code.trim().parse().ok()).collect())
            }
            ValueKind::Command if text.trim().is_empty() => Ok(Self::StringList(Vec::new())),
            ValueKind::Command => match serde_json::from_str::<Vec<String>>(text) {
                Ok(words) => parse_command(words.iter().map(String::as_str).collect(), folder),
                Err(_) => Err(requirement_error(command_requirement())),
            },
            ValueKind::Commands(_) if text.trim().is_empty() => Ok(Self::Commands(Vec::new())),
            ValueKind::Commands(words) => commands_from_json(words, text),
        }
    }

    /// Returns the value as JSON, with the same structure as in TOML.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Unset => serde_json::Value::Null,
            Self::DatabasePath(path) => json!(format!("sqlite:{}", path.display())),
            Self::Address(address) => json!(address.to_string()),
            Self::Integer(number) => json!(number),
            Self::Duration(_, written) => json!(written),
            Self::Choice(word) => json!(word),
            Self::Flag(yes) => json!(yes),
            Self::Url(url) => json!(url),
            Self::Path(path) => json!(path.display().to_string()),
            Self::Usd(_, written) => json!(written.parse::<f64>().ok()),
            Self::Text(name) => json!(name),
            Self::Secret(secret) => place_json(secret),
            Self::Secrets(all) => all.iter().map(place_json).collect(),
            Self::SecretTable(all) => {
                all.iter().map(|(name, secret)| (name.clone(), place_json(secret))).collect()
            }
            Self::StringList(items) => json!(items),
            Self::Commands(all) => json!(all),
            Self::ExitCodes(codes) => json!(codes),
            Self::NamedIds(ids) => json!(ids),
            Self::RuleSeverities(all) => {
                all.iter().map(|(rule, severities)| (rule.clone(), severities_to_json(severities))).collect()
            }
            Self::Tiers(rules) => rules.iter().map(tiers::to_json).collect(),
            Self::Instructions(all) => all.iter().map(instructions::to_json).collect(),
        }
    }
}

/// Returns true for a repository name in the notation of forges, `owner/name`.
fn is_repository(text: &str) -> bool {
    let is_part = |part: &str| {
        let letters =
            part.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.' | '~'));
        !matches!(part, "" | "." | "..") && letters
    };
    text.split_once('/').is_some_and(|(owner, name)| is_part(owner) && is_part(name))
}

/// Renders the value as TOML. [`ConfigValue::Unset`] is rendered as an empty text.
impl fmt::Display for ConfigValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let string = |text: &dyn fmt::Display| toml::Value::String(text.to_string()).to_string();
        match self {
            Self::Unset => Ok(()),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Flag(yes) => write!(f, "{yes}"),
            Self::ExitCodes(codes) => write!(f, "{codes:?}"),
            Self::Tiers(rules) => f.write_str(&tiers::to_toml(rules)),
            Self::Instructions(all) => f.write_str(&instructions::to_toml(all)),
            Self::NamedIds(ids) if ids.is_empty() => f.write_str("{}"),
            Self::NamedIds(ids) => {
                let one = |(name, id): (&String, &String)| format!("{} = {}", string(name), string(id));
                write!(f, "{{ {} }}", ids.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            Self::RuleSeverities(all) if all.is_empty() => f.write_str("{}"),
            Self::RuleSeverities(all) => {
                let one = |(rule, severities): (&String, &Vec<RuleSeverity>)| {
                    let value = toml::Value::try_from(severities_to_json(severities));
                    format!("{} = {}", string(rule), value.map(|value| value.to_string()).unwrap_or_default())
                };
                write!(f, "{{ {} }}", all.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            Self::SecretTable(all) if all.is_empty() => f.write_str("{}"),
            Self::SecretTable(all) => {
                let one = |(name, secret): (&String, &SecretSource)| {
                    format!("{} = {}", string(name), location_to_toml(secret))
                };
                write!(f, "{{ {} }}", all.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            Self::Secret(secret) => f.write_str(&location_to_toml(secret)),
            Self::Secrets(all) => {
                write!(f, "[{}]", all.iter().map(location_to_toml).collect::<Vec<_>>().join(", "))
            }
            Self::StringList(items) => {
                write!(f, "[{}]", items.iter().map(|item| string(item)).collect::<Vec<_>>().join(", "))
            }
            Self::Commands(all) => {
                let one = |words: &Vec<String>| {
                    format!("[{}]", words.iter().map(|word| string(word)).collect::<Vec<_>>().join(", "))
                };
                write!(f, "[{}]", all.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            Self::DatabasePath(path) => f.write_str(&string(&format_args!("sqlite:{}", path.display()))),
            Self::Address(address) => f.write_str(&string(address)),
            Self::Duration(_, written) => f.write_str(&string(written)),
            Self::Choice(word) => f.write_str(&string(word)),
            Self::Url(url) => f.write_str(&string(url)),
            Self::Path(path) => f.write_str(&string(&path.display())),
            Self::Usd(_, written) => f.write_str(written),
            Self::Text(name) => f.write_str(&string(name)),
        }
    }
}

/// Returns a secret's location in the variable `name`. A name with a lower-case letter is refused, because it
/// is probably a token that a user entered by mistake. Errors do not contain the refused text.
pub(crate) fn secret_variable(name: &str) -> Result<SecretSource, ConfigValueError> {
    let capital = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    if !name.is_empty() && name.chars().all(capital) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(SecretSource::Env(name.to_owned()));
    }
    Err(requirement_error("be a variable name of capital letters, digits and `_`, such as GITHUB_TOKEN"))
}

/// Returns a secret's location in the file `path`.
pub(crate) fn secret_file(path: &str, folder: &Path) -> Result<SecretSource, ConfigValueError> {
    if path.is_empty() {
        Err(requirement_error("name a file"))
    } else {
        Ok(SecretSource::File(folder.join(path)))
    }
}

/// Compiles globs for names of files or branches: `*` matches within one folder, and `**` matches across
/// folders.
///
/// # Errors
/// The first pattern that is not a valid glob.
pub fn compile_globs(patterns: &[String]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(GlobBuilder::new(pattern).literal_separator(true).build()?);
    }
    set.build()
}

/// Compiles globs for names of repositories. The globs ignore letter case, as forges do.
///
/// # Errors
/// The first pattern that is not a valid glob.
pub fn compile_repository_globs(patterns: &[String]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(GlobBuilder::new(pattern).literal_separator(true).case_insensitive(true).build()?);
    }
    set.build()
}

/// Returns true for a UUID in Bitbucket Cloud's notation, with braces.
pub(super) fn is_braced_uuid(text: &str) -> bool {
    let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    inner.is_some_and(|id| id.len() == 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'))
}

/// Returns true for an e-mail address: visible characters around one `@`. A `:` is invalid, because it
/// separates the e-mail address from the token in a login.
fn is_email(text: &str) -> bool {
    let right =
        |part: &str| !part.is_empty() && part.chars().all(|char| !char.is_whitespace() && !char.is_control());
    let parts = text.split_once('@').filter(|(name, host)| right(name) && right(host) && !host.contains('@'));
    parts.is_some() && !text.contains(':') && text.len() <= 320
}

/// Returns true for a number, a UUID in braces, or a login. A login consists of letters, digits, `-` and `_`;
/// the login of an App also ends with `[bot]`.
fn is_account(text: &str) -> bool {
    let text = text.strip_prefix('{').and_then(|inside| inside.strip_suffix('}')).unwrap_or(text);
    let name = text.strip_suffix("[bot]").unwrap_or(text);
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Parses the address of a store: a server's URL with one of these schemes, or `sqlite:PATH` if `schemes`
/// contains `sqlite`. Errors omit the address, because it may contain a password.
fn parse_store(text: &str, folder: &Path, schemes: &[&str]) -> Result<ConfigValue, ConfigValueError> {
    let is_file = schemes.contains(&"sqlite");
    match text.split_once(':') {
        None if text.is_empty() && !is_file => Ok(ConfigValue::Unset),
        Some(("sqlite", path)) if is_file => {
            // `~` is the shell's notation: as a path, it is a folder of this name.
            if path.starts_with("//") || path.is_empty() || path.starts_with([':', '~']) {
                let sample = "\"sqlite:/var/lib/truing/truing.db\"";
                return Err(requirement_error(format_args!(
                    "be `sqlite:` followed by the path of a file, such as {sample}"
                )));
            }
            Ok(ConfigValue::DatabasePath(folder.join(path)))
        }
        Some((scheme, rest)) if schemes.contains(&scheme) => {
            // The URL must contain a host, either before the path or in the query. Several hosts are
            // separated by commas.
            let authority =
                rest.strip_prefix("//").map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
            let host = authority.map(|all| all.rsplit('@').next().unwrap_or_default());
            match host {
                Some(host) if !host.is_empty() || rest.contains("host=") => {
                    Ok(ConfigValue::Secret(SecretSource::PlainText(SecretText::new(text))))
                }
                Some(_) | None => Err(requirement_error("contain a host after `//`")),
            }
        }
        Some(_) | None => {
            let all: Vec<String> = schemes.iter().map(|scheme| scheme_prefix(scheme)).collect();
            Err(requirement_error(format_args!("begin with {}", join_alternatives(&all))))
        }
    }
}

fn parse_integer(digits: &str, radix: u32, min: i64, max: i64) -> Result<ConfigValue, ConfigValueError> {
    match i64::from_str_radix(digits, radix) {
        Ok(number) if (min..=max).contains(&number) => Ok(ConfigValue::Integer(number)),
        Ok(_) | Err(_) => {
            Err(requirement_error(format_args!("be a whole number from {min} to {max}, not `{digits}`")))
        }
    }
}

/// Parses an amount in dollars. An amount with too many decimal places is refused, because the ledger could
/// not store it exactly.
fn parse_usd(text: &str, max_dollars: u32) -> Result<ConfigValue, ConfigValueError> {
    match MicroUsd::from_dollars(text) {
        Some(money) if money <= MicroUsd(u64::from(max_dollars) * 1_000_000) => {
            Ok(ConfigValue::Usd(money, text.to_owned()))
        }
        Some(_) | None => Err(requirement_error(format_args!(
            "be an amount from 0 to {max_dollars} dollars, with at most six decimal places, not `{text}`"
        ))),
    }
}

/// Validates each item of a list, for example of globs, networks, hosts, folders or names. Removes duplicates
/// and keeps the order.
fn parse_list(kind: ValueKind, items: Vec<&str>, folder: &Path) -> Result<ConfigValue, ConfigValueError> {
    for item in &items {
        if let ValueKind::Choices(known) = kind
            && !known.contains(item)
        {
            return Err(requirement_error(format_args!(
                "contain {}, not `{item}`",
                join_alternatives(known)
            )));
        }
        if kind == ValueKind::Networks && parse_network(item).is_none() {
            return Err(requirement_error(format_args!(
                "contain networks such as 10.0.0.0/8 or addresses such as 192.0.2.1, not `{item}`"
            )));
        }
        // A pattern must contain an owner, because a pattern without an owner would silently match nothing.
        if kind == ValueKind::RepositoryGlobs && item.matches('/').count() != 1 {
            return Err(requirement_error(format_args!(
                "contain repositories in the form `owner/name`, not `{item}`; `*` stands for any name \
                (`owner/*`)"
            )));
        }
        if kind == ValueKind::Accounts && !is_account(item) {
            return Err(requirement_error(format_args!(
                "contain the numbers or names of accounts, not `{item}`"
            )));
        }
        if kind == ValueKind::PathPairs && parse_mirror_pair(item).is_none() {
            return Err(requirement_error(format_args!(
                "contain pairs of folders (`UPSTREAM/=OURS/`) or of files, not `{item}`"
            )));
        }
        if kind == ValueKind::ExternalNames && (item.trim().is_empty() || item.chars().any(char::is_control))
        {
            return Err(requirement_error(format_args!("contain names such as {}", kind.sample())));
        }
        if kind == ValueKind::HostPorts {
            parse_host(item).map_err(|wrong| requirement_error(format_args!("contain {wrong}")))?;
        }
        if kind == ValueKind::Rules && !is_rule_id(item) {
            return Err(requirement_error(format_args!("contain names of rules, `PACK/RULE`, not `{item}`")));
        }
        if kind == ValueKind::RulePacks && !is_name(item) {
            return Err(requirement_error(format_args!(
                "contain names of rule packs (lower-case letters, digits, `-`), not `{item}`"
            )));
        }
    }
    let named = |item: &str| match kind == ValueKind::Folders {
        true => folder.join(item).display().to_string(),
        false => item.to_owned(),
    };
    let items: Vec<String> = remove_duplicates(items.into_iter().map(named));
    if kind == ValueKind::HostPorts && items.len() > MAX_HOSTS {
        return Err(requirement_error(format_args!(
            "contain at most {MAX_HOSTS} entries, not {}",
            items.len()
        )));
    }
    if matches!(kind, ValueKind::Globs | ValueKind::RepositoryGlobs) {
        items
            .iter()
            .try_for_each(|item| glob::check_bounds(item))
            .map_err(|reason| requirement_error(format_args!("contain valid globs: {reason}")))?;
    }
    if kind == ValueKind::Globs {
        compile_globs(&items)
            .map_err(|error| requirement_error(format_args!("contain valid globs: {error}")))?;
    }
    if kind == ValueKind::RepositoryGlobs {
        compile_repository_globs(&items).map_err(|error| {
            requirement_error(format_args!("contain valid globs of repositories, `owner/name`: {error}"))
        })?;
    }
    Ok(ConfigValue::StringList(items))
}

#[cfg(test)]
mod tests;

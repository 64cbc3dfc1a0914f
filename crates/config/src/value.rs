//! Values of keys: read from a file's TOML or from the text of a variable or flag, checked, and shown again.

use std::fmt;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;
use toml::de::DeValue;
use truing_core::branch_name::is_branch_name;
use truing_core::glob;
use truing_core::loopback::is_loopback;
use truing_core::money::MicroUsd;
use truing_core::severity::RuleSeverity;
use url::Url;

mod checked;
mod host;
mod ids;
pub(crate) mod instructions;
mod length;
mod linter;
mod name;
mod places;
mod program;
pub(crate) mod rule;
pub(crate) mod tiers;

use super::keys;
use super::kind::{Kind, begins};
use super::secret::{Secret, SecretText};
pub use checked::Value;
pub(crate) use checked::Wrong;
use checked::must;
pub use host::McpHost;
pub(crate) use host::{MAX_HOSTS, host};
use ids::{ids, ids_in_toml, is_model};
pub use length::ShownDuration;
use length::duration;
pub use length::milliseconds;
use linter::{codes, codes_in_toml, format_of_output};
pub(crate) use name::{NAME_PATTERN, is_name, network, pair, unique};
pub(crate) use places::add_header;
use places::{headers, no_headers, no_secrets, place, place_in_toml, secrets};
pub(super) use program::starts_here;
use program::{command, commands, no_command, no_commands, program};
pub(crate) use rule::severities_of;
use rule::{is_rule, no_severities, severities, severities_to_json};

impl Value {
    /// A value of a file. Relative paths start at `folder`. Secrets' tables are read by the caller, which knows
    /// the places of their keys.
    pub(crate) fn from_toml(kind: Kind, value: &DeValue<'_>, folder: &Path) -> Result<Self, Wrong> {
        let text = value.as_str();
        match kind {
            Kind::Integer(least, most) => match value.as_integer() {
                Some(number) => integer(number.as_str(), number.radix(), least, most),
                None => Err(must(format_args!("be a whole number; it is of type {}", value.type_str()))),
            },
            Kind::Flag => match value.as_bool() {
                Some(yes) => Ok(Self::Flag(yes)),
                None => Err(must(format_args!("be true or false; it is of type {}", value.type_str()))),
            },
            Kind::Usd(most) => match (value.as_integer(), value.as_float()) {
                (Some(number), _) if number.radix() == 10 => usd(number.as_str(), most),
                (_, Some(number)) => usd(number.as_str(), most),
                (Some(_) | None, None) => Err(must(format_args!(
                    "be a number of dollars such as {}; it is of type {}",
                    kind.sample(),
                    value.type_str()
                ))),
            },
            Kind::Globs
            | Kind::Pairs
            | Kind::Repositories
            | Kind::Packs
            | Kind::Rules
            | Kind::Names
            | Kind::Accounts
            | Kind::Words(_)
            | Kind::Folders
            | Kind::Hosts
            | Kind::Networks => match strings(value) {
                Some(items) => list(kind, items, folder),
                None => Err(must("be a list of strings, such as [\"a\", \"b\"]")),
            },
            Kind::Command => match strings(value) {
                Some(words) => command(words, folder),
                None => Err(must(no_command())),
            },
            Kind::Commands => {
                let all = value.as_array().map(|all| all.iter().map(|one| strings(one.get_ref())).collect());
                match all {
                    Some(Some(all)) => commands(all),
                    Some(None) | None => Err(must(no_commands())),
                }
            }
            Kind::Secret => Err(match text {
                Some(_) => Wrong::Literal,
                None => must("be { env = \"VARIABLE\" } or { file = \"PATH\" }"),
            }),
            Kind::Secrets => Err(must(no_secrets())),
            Kind::Headers => Err(must(no_headers())),
            Kind::Tiers => Err(must(tiers::no_tiers())),
            Kind::Instructions => Err(must(instructions::no_instructions())),
            Kind::Codes => codes_in_toml(value),
            Kind::Ids => ids_in_toml(value),
            Kind::Severities => Err(must(no_severities())),
            Kind::Store(_)
            | Kind::Address
            | Kind::Duration(..)
            | Kind::Choice { .. }
            | Kind::Url
            | Kind::Endpoint
            | Kind::Name
            | Kind::Account
            | Kind::Program
            | Kind::Model
            | Kind::Email
            | Kind::Text
            | Kind::Sink(_)
            | Kind::Cron
            | Kind::Repository
            | Kind::Branch
            | Kind::Folder
            | Kind::File
            | Kind::Format => match text {
                Some(text) => Self::from_text(kind, text, folder),
                None => Err(must(format_args!(
                    "be a string such as {}; it is of type {}",
                    kind.sample(),
                    value.type_str()
                ))),
            },
        }
    }

    /// A value of a variable or flag. Lists are separated by commas.
    pub(crate) fn from_text(kind: Kind, text: &str, folder: &Path) -> Result<Self, Wrong> {
        match kind {
            Kind::Store(schemes) => store(text, folder, schemes),
            Kind::Address => text.parse().map(Self::Address).map_err(|_| {
                must(format_args!("be an IP address and a port such as {}, not `{text}`", kind.sample()))
            }),
            Kind::Integer(least, most) => integer(text, 10, least, most),
            Kind::Duration(least, most) => duration(text, least, most),
            Kind::Choice { built, planned } => match built.iter().find(|word| **word == text) {
                Some(word) => Ok(Self::Choice(word)),
                None if planned.contains(&text) => Err(Wrong::Planned { word: text.to_owned(), built }),
                None => Err(must(format_args!("be {}, not `{text}`", or(built)))),
            },
            Kind::Flag => match text {
                "true" | "1" => Ok(Self::Flag(true)),
                "false" | "0" => Ok(Self::Flag(false)),
                _ => Err(must(format_args!("be true or false, not `{text}`"))),
            },
            Kind::Url => web_address(text).map(Self::Url),
            Kind::Endpoint => endpoint(text).map(Self::Url),
            Kind::Name if is_model(text) => Ok(Self::Name(text.to_owned())),
            Kind::Program => program(text, folder).map(Self::Name),
            Kind::Text if !text.trim().is_empty() && !text.contains('\0') => Ok(Self::Name(text.to_owned())),
            Kind::Text => Err(must("hold some words")),
            Kind::Model if text.is_empty() => Ok(Self::Unset),
            Kind::Model if is_name(text) => Ok(Self::Name(text.to_owned())),
            Kind::Email | Kind::Account if text.is_empty() => Ok(Self::Unset),
            Kind::Account if is_uuid(text) => Ok(Self::Name(text.to_owned())),
            Kind::Account => Err(must("be a UUID with its braces, such as `{0f3a9c56-…}`")),
            Kind::Email if is_email(text) => Ok(Self::Name(text.to_owned())),
            Kind::Email => Err(must("be an e-mail address, `name@host`")),
            Kind::Model => Err(must("be the NAME of a `[model.NAME]`")),
            Kind::Name => Err(must("be a name: letters, digits and signs, without blanks")),
            Kind::Repository if is_repository(text) => Ok(Self::Name(text.to_owned())),
            Kind::Branch if is_branch_name(text) => Ok(Self::Name(text.to_owned())),
            Kind::Repository => Err(must("be a repository's name, `owner/name`")),
            Kind::Branch => Err(must("be a branch's name, as `git check-ref-format --branch` wants it")),
            Kind::Cron => match text.parse::<croner::Cron>() {
                Ok(cron)
                    if cron
                        .find_next_occurrence(&Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC), false)
                        .is_err() =>
                {
                    Err(must(format_args!("be a cron pattern whose time comes; `{text}` never does")))
                }
                Ok(_) => Ok(Self::Name(text.to_owned())),
                Err(error) => Err(must(format_args!("be a cron pattern such as {}: {error}", kind.sample()))),
            },
            Kind::Folder if text.is_empty() => Err(must("name a folder")),
            Kind::File if text.is_empty() => Err(must("name a file")),
            Kind::Folder | Kind::File => Ok(Self::Path(folder.join(text))),
            Kind::Usd(most) => usd(text, most),
            Kind::Sink(schemes) => sink(text, schemes).map(Self::Secret),
            Kind::Secret => Err(Wrong::Literal),
            Kind::Secrets if text.trim().is_empty() => Ok(Self::Secrets(Vec::new())),
            Kind::Secrets => secrets(text, folder).map(Self::Secrets),
            Kind::Headers if text.trim().is_empty() => Ok(Self::SecretTable(Default::default())),
            Kind::Headers => headers(text, folder).map(Self::SecretTable),
            Kind::Globs
            | Kind::Pairs
            | Kind::Repositories
            | Kind::Packs
            | Kind::Rules
            | Kind::Names
            | Kind::Accounts
            | Kind::Words(_)
            | Kind::Folders
            | Kind::Hosts
            | Kind::Networks => {
                list(kind, text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect(), folder)
            }
            Kind::Format => format_of_output(text),
            Kind::Tiers if text.trim().is_empty() => Ok(Self::Tiers(Vec::new())),
            Kind::Tiers => tiers::rules_in_text(text).map(Self::Tiers),
            Kind::Instructions if text.trim().is_empty() => Ok(Self::Instructions(Vec::new())),
            Kind::Instructions => instructions::instructions_in_text(text).map(Self::Instructions),
            Kind::Ids if text.trim().is_empty() => Ok(Self::Ids(Default::default())),
            Kind::Ids => ids(serde_json::from_str(text).ok()),
            Kind::Severities if text.trim().is_empty() => Ok(Self::Severities(Default::default())),
            Kind::Severities => severities(text).map(Self::Severities),
            Kind::Codes => codes(text.split(',').map(|code| code.trim().parse().ok()).collect()),
            Kind::Command if text.trim().is_empty() => Ok(Self::List(Vec::new())),
            Kind::Command => match serde_json::from_str::<Vec<String>>(text) {
                Ok(words) => command(words.iter().map(String::as_str).collect(), folder),
                Err(_) => Err(must(no_command())),
            },
            Kind::Commands if text.trim().is_empty() => Ok(Self::Commands(Vec::new())),
            Kind::Commands => match serde_json::from_str::<Vec<Vec<String>>>(text) {
                Ok(all) => commands(all.iter().map(|one| one.iter().map(String::as_str).collect()).collect()),
                Err(_) => Err(must(no_commands())),
            },
        }
    }

    /// As TOML, where TOML can say it.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Unset => serde_json::Value::Null,
            Self::Store(path) => json!(format!("sqlite:{}", path.display())),
            Self::Address(address) => json!(address.to_string()),
            Self::Integer(number) => json!(number),
            Self::Duration(_, written) => json!(written),
            Self::Choice(word) => json!(word),
            Self::Flag(yes) => json!(yes),
            Self::Url(url) => json!(url),
            Self::Path(path) => json!(path.display().to_string()),
            Self::Usd(_, written) => json!(written.parse::<f64>().ok()),
            Self::Name(name) => json!(name),
            Self::Secret(secret) => place(secret),
            Self::Secrets(all) => all.iter().map(place).collect(),
            Self::SecretTable(all) => {
                all.iter().map(|(name, secret)| (name.clone(), place(secret))).collect()
            }
            Self::List(items) => json!(items),
            Self::Commands(all) => json!(all),
            Self::Codes(codes) => json!(codes),
            Self::Ids(ids) => json!(ids),
            Self::Severities(all) => {
                all.iter().map(|(rule, severities)| (rule.clone(), severities_to_json(severities))).collect()
            }
            Self::Tiers(rules) => rules.iter().map(tiers::to_json).collect(),
            Self::Instructions(all) => all.iter().map(instructions::to_json).collect(),
        }
    }
}

/// Is it `owner/name`, as forges write it?
fn is_repository(text: &str) -> bool {
    let is_part = |part: &str| {
        let letters =
            part.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.' | '~'));
        !matches!(part, "" | "." | "..") && letters
    };
    text.split_once('/').is_some_and(|(owner, name)| is_part(owner) && is_part(name))
}

/// As TOML; nothing at all for [`Value::Unset`].
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let string = |text: &dyn fmt::Display| toml::Value::String(text.to_string()).to_string();
        match self {
            Self::Unset => Ok(()),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Flag(yes) => write!(f, "{yes}"),
            Self::Codes(codes) => write!(f, "{codes:?}"),
            Self::Tiers(rules) => f.write_str(&tiers::to_toml(rules)),
            Self::Instructions(all) => f.write_str(&instructions::to_toml(all)),
            Self::Ids(ids) if ids.is_empty() => f.write_str("{}"),
            Self::Ids(ids) => {
                let one = |(name, id): (&String, &String)| format!("{} = {}", string(name), string(id));
                write!(f, "{{ {} }}", ids.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            Self::Severities(all) if all.is_empty() => f.write_str("{}"),
            Self::Severities(all) => {
                let one = |(rule, severities): (&String, &Vec<RuleSeverity>)| {
                    let value = toml::Value::try_from(severities_to_json(severities));
                    format!("{} = {}", string(rule), value.map(|value| value.to_string()).unwrap_or_default())
                };
                write!(f, "{{ {} }}", all.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            Self::SecretTable(all) if all.is_empty() => f.write_str("{}"),
            Self::SecretTable(all) => {
                let one = |(name, secret): (&String, &Secret)| {
                    format!("{} = {}", string(name), place_in_toml(secret))
                };
                write!(f, "{{ {} }}", all.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            Self::Secret(secret) => f.write_str(&place_in_toml(secret)),
            Self::Secrets(all) => {
                write!(f, "[{}]", all.iter().map(place_in_toml).collect::<Vec<_>>().join(", "))
            }
            Self::List(items) => {
                write!(f, "[{}]", items.iter().map(|item| string(item)).collect::<Vec<_>>().join(", "))
            }
            Self::Commands(all) => {
                let one = |words: &Vec<String>| {
                    format!("[{}]", words.iter().map(|word| string(word)).collect::<Vec<_>>().join(", "))
                };
                write!(f, "[{}]", all.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            Self::Store(path) => f.write_str(&string(&format_args!("sqlite:{}", path.display()))),
            Self::Address(address) => f.write_str(&string(address)),
            Self::Duration(_, written) => f.write_str(&string(written)),
            Self::Choice(word) => f.write_str(&string(word)),
            Self::Url(url) => f.write_str(&string(url)),
            Self::Path(path) => f.write_str(&string(&path.display())),
            Self::Usd(_, written) => f.write_str(written),
            Self::Name(name) => f.write_str(&string(name)),
        }
    }
}

/// The variable that a secret is said to be in. Only capitals: nearly every token that is put here by mistake
/// has a small letter, and is then not printed.
pub(crate) fn secret_variable(name: &str) -> Result<Secret, Wrong> {
    let capital = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    if !name.is_empty() && name.chars().all(capital) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(Secret::Env(name.to_owned()));
    }
    Err(must("name a variable in capitals, digits and `_`, such as GITHUB_TOKEN"))
}

/// The file that a secret is said to be in.
pub(crate) fn secret_file(path: &str, folder: &Path) -> Result<Secret, Wrong> {
    if path.is_empty() { Err(must("name a file")) } else { Ok(Secret::File(folder.join(path))) }
}

/// Names of files or branches: `*` stays within a folder, `**` does not.
///
/// # Errors
/// The first pattern that is no glob.
pub fn globs(patterns: &[String]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(GlobBuilder::new(pattern).literal_separator(true).build()?);
    }
    set.build()
}

/// Names of repositories, as forges compare them: whatever their case.
///
/// # Errors
/// The first pattern that is no glob.
pub fn repositories(patterns: &[String]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(GlobBuilder::new(pattern).literal_separator(true).case_insensitive(true).build()?);
    }
    set.build()
}

/// A UUID as Bitbucket Cloud writes it, with its braces.
pub(super) fn is_uuid(text: &str) -> bool {
    let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    inner.is_some_and(|id| id.len() == 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'))
}

/// Visible characters around one `@`; `:` would end the name that goes before a token.
fn is_email(text: &str) -> bool {
    let right =
        |part: &str| !part.is_empty() && part.chars().all(|char| !char.is_whitespace() && !char.is_control());
    let parts = text.split_once('@').filter(|(name, host)| right(name) && right(host) && !host.contains('@'));
    parts.is_some() && !text.contains(':') && text.len() <= 320
}

/// A number, a UUID in braces, or a login: letters, digits, `-` and `_`, of an App with `[bot]` behind.
fn is_account(text: &str) -> bool {
    let text = text.strip_prefix('{').and_then(|inside| inside.strip_suffix('}')).unwrap_or(text);
    let name = text.strip_suffix("[bot]").unwrap_or(text);
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// `"a"`, `"a" or "b"`.
fn or<S: fmt::Display>(words: &[S]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ")
}

/// `sqlite:PATH`, where a file is meant; or a server's URL of one of these schemes. What was given is not shown: it may
/// carry a password.
fn store(text: &str, folder: &Path, schemes: &[&str]) -> Result<Value, Wrong> {
    let is_file = schemes.contains(&"sqlite");
    match text.split_once(':') {
        None if text.is_empty() && !is_file => Ok(Value::Unset),
        Some(("sqlite", path)) if is_file => {
            if path.starts_with("//") || path.is_empty() || path.starts_with(':') {
                let sample = "\"sqlite:/var/lib/truing/truing.db\"";
                return Err(must(format_args!("be `sqlite:` and then a file's path, such as {sample}")));
            }
            Ok(Value::Store(folder.join(path)))
        }
        Some((scheme, rest)) if schemes.contains(&scheme) => {
            // One host at least, or its name in the query; several are separated by commas.
            let authority =
                rest.strip_prefix("//").map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
            let host = authority.map(|all| all.rsplit('@').next().unwrap_or_default());
            match host {
                Some(host) if !host.is_empty() || rest.contains("host=") => {
                    Ok(Value::Secret(Secret::Plain(SecretText::new(text))))
                }
                Some(_) | None => Err(must("name a host, after `//`")),
            }
        }
        Some(_) | None => {
            let all: Vec<String> = schemes.iter().map(|scheme| begins(scheme)).collect();
            Err(must(format_args!("begin with {}", or(&all))))
        }
    }
}

fn integer(digits: &str, radix: u32, least: i64, most: i64) -> Result<Value, Wrong> {
    match i64::from_str_radix(digits, radix) {
        Ok(number) if (least..=most).contains(&number) => Ok(Value::Integer(number)),
        Ok(_) | Err(_) => Err(must(format_args!("be a whole number from {least} to {most}, not `{digits}`"))),
    }
}

/// Dollars. What is finer than the ledger counts is refused, not rounded.
fn usd(text: &str, most: u32) -> Result<Value, Wrong> {
    match MicroUsd::from_dollars(text) {
        Some(money) if money <= MicroUsd(u64::from(most) * 1_000_000) => {
            Ok(Value::Usd(money, text.to_owned()))
        }
        Some(_) | None => Err(must(format_args!(
            "be dollars from 0 to {most}, with six digits after the point at most, not `{text}`"
        ))),
    }
}

/// What [`endpoint`] is, as the beginning of other URLs: without a slash at its end, and without a query.
fn web_address(text: &str) -> Result<String, Wrong> {
    let url = endpoint(text)?;
    if url.contains('?') {
        return Err(must("be a URL without `?` and `#`"));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// https anywhere, http on loopback only, no user or fragment. What was given is not shown: it may carry a password.
fn endpoint(text: &str) -> Result<String, Wrong> {
    let url = Url::parse(text)
        .map_err(|error| must(format_args!("be a URL such as https://api.github.com: {error}")))?;
    match url.scheme() {
        "https" => {}
        "http" if url.host_str().is_some_and(is_loopback) => {}
        "http" => return Err(must("be https: http is allowed to loopback addresses only")),
        _ => return Err(must("be a URL that begins with https://")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(must("be a URL without user and password: give those as secrets"));
    }
    if url.fragment().is_some() {
        return Err(must("be a URL without `#`"));
    }
    Ok(url.into())
}

/// A URL that is written out though it may be a secret. What was given is not shown.
fn sink(text: &str, schemes: &[&str]) -> Result<Secret, Wrong> {
    let all = || {
        format!("begin with {}", or(&schemes.iter().map(|scheme| format!("{scheme}://")).collect::<Vec<_>>()))
    };
    let url = Url::parse(text).map_err(|error| must(format_args!("be a URL: {error}")))?;
    if !(schemes.contains(&url.scheme())
        || schemes == ["https"] && url.scheme() == "http" && url.host_str().is_some_and(is_loopback))
    {
        return Err(must(all()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(must("name a host"));
    }
    if url.password().is_some() {
        return Err(must("be a URL without a password: give that as a secret"));
    }
    Ok(Secret::Plain(SecretText::new(text)))
}

/// Enough of a URL to recognise it, and not what it lets its holder do: of a store's all but passwords, of others no path.
fn shown(text: &SecretText) -> String {
    let text = text.expose();
    match text.split_once("://") {
        Some((scheme, rest)) if [keys::SLOTS, keys::RECORDS].concat().contains(&scheme) => {
            format!("{scheme}://{}", without_passwords(rest))
        }
        Some(_) | None => {
            let Ok(url) = Url::parse(text) else { return "…".to_owned() };
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}://{}{port}/…", url.scheme(), url.host_str().unwrap_or_default())
        }
    }
}

/// The rest of a store's URL, after its scheme, without passwords. It may name several hosts, as no other URL does.
fn without_passwords(rest: &str) -> String {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (login, place) = rest.rsplit_once('@').unwrap_or(("", rest));
    let user = login.split(':').next().filter(|user| !user.is_empty());
    let query: Vec<&str> =
        query.split('&').filter(|pair| !pair.is_empty() && !pair.contains("pass")).collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    format!("{}{place}{query}", user.map(|user| format!("{user}@")).unwrap_or_default())
}

/// The items of a list of strings.
fn strings<'a>(value: &'a DeValue<'_>) -> Option<Vec<&'a str>> {
    value.as_array()?.iter().map(|item| item.get_ref().as_str()).collect()
}

/// Globs, networks and hosts that parse, folders, or names of packs; each once, in the given order.
fn list(kind: Kind, items: Vec<&str>, folder: &Path) -> Result<Value, Wrong> {
    for item in &items {
        if let Kind::Words(known) = kind
            && !known.contains(item)
        {
            return Err(must(format_args!("hold {}, not `{item}`", or(known))));
        }
        if kind == Kind::Networks && network(item).is_none() {
            return Err(must(format_args!(
                "hold networks such as 10.0.0.0/8 or addresses such as 192.0.2.1, not `{item}`"
            )));
        }
        // Without an owner a pattern would match nothing, and nobody would be told.
        if kind == Kind::Repositories && item.matches('/').count() != 1 {
            return Err(must(format_args!(
                "hold `owner/name`, where `*` stands for any (`owner/*`), not `{item}`"
            )));
        }
        if kind == Kind::Accounts && !is_account(item) {
            return Err(must(format_args!("hold accounts' numbers or names, not `{item}`")));
        }
        if kind == Kind::Pairs && pair(item).is_none() {
            return Err(must(format_args!(
                "hold pairs of folders (`UPSTREAM/=OURS/`) or of files, not `{item}`"
            )));
        }
        if kind == Kind::Names && (item.trim().is_empty() || item.chars().any(char::is_control)) {
            return Err(must(format_args!("hold names such as {}", kind.sample())));
        }
        if kind == Kind::Hosts {
            host(item).map_err(|wrong| must(format_args!("hold {wrong}")))?;
        }
        if kind == Kind::Rules && !is_rule(item) {
            return Err(must(format_args!("hold rules' names, `PACK/RULE`, not `{item}`")));
        }
        if kind == Kind::Packs && !is_name(item) {
            return Err(must(format_args!(
                "hold rule packs' names (lower-case letters, digits, `-`), not `{item}`"
            )));
        }
    }
    let named = |item: &str| match kind == Kind::Folders {
        true => folder.join(item).display().to_string(),
        false => item.to_owned(),
    };
    let items: Vec<String> = unique(items.into_iter().map(named));
    if kind == Kind::Hosts && items.len() > MAX_HOSTS {
        return Err(must(format_args!("hold {MAX_HOSTS} places at most, not {}", items.len())));
    }
    if matches!(kind, Kind::Globs | Kind::Repositories) {
        items
            .iter()
            .try_for_each(|item| glob::is_bounded(item))
            .map_err(|why| must(format_args!("hold globs: {why}")))?;
    }
    if kind == Kind::Globs {
        globs(&items).map_err(|error| must(format_args!("hold globs: {error}")))?;
    }
    if kind == Kind::Repositories {
        repositories(&items).map_err(|error| must(format_args!("hold globs of `owner/name`: {error}")))?;
    }
    Ok(Value::List(items))
}

#[cfg(test)]
mod tests;

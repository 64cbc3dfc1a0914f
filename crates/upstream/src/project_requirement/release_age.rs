//! The settings with which package managers hide young releases from their users.
//!
//! If several settings apply, each of them is applied, so a release is followed only if every package manager
//! of the project installs it. Defaults of package managers are not applied, because they depend on the
//! manager's version.

use globset::GlobBuilder;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp};
use toml_edit::{Item, Value};
use truing_core::registry::PackageRegistry::{self, Crates, Npm, Pypi};

use super::package_sources::{
    PackageSources, SettingsFile, item_at, npmrc_settings, settings_files, toml_settings, unquote,
    yaml_settings,
};
use super::requirement::{ReleaseAgeLimit, ReleaseCutoff, RequirementPlace};
use super::toml::normalise_package_name;

/// A setting that hides young releases.
struct AgeSetting {
    registry: PackageRegistry,
    file: &'static str,
    keys: &'static [&'static str],
    /// The unit of a value that is only a number; empty if such a value is not valid.
    unit: &'static str,
    /// The keys of the list of packages to which the setting does not apply; empty if there is none.
    exceptions: &'static [&'static str],
}

/// A key that stands for the package's scope.
const SCOPE_KEY: &str = "{scope}";

const fn age_setting(
    registry: PackageRegistry,
    file: &'static str,
    keys: &'static [&'static str],
    unit: &'static str,
    exceptions: &'static [&'static str],
) -> AgeSetting {
    AgeSetting { registry, file, keys, unit, exceptions }
}

const AGE_SETTINGS: [AgeSetting; 16] = [
    age_setting(Pypi, "pyproject.toml", &["tool", "uv", "exclude-newer"], "", &[]),
    age_setting(Pypi, "pyproject.toml", &["tool", "uv", "pip", "exclude-newer"], "", &[]),
    age_setting(Pypi, "pyproject.toml", &["tool", "pixi", "workspace", "exclude-newer"], "", &[]),
    age_setting(Pypi, "uv.toml", &["exclude-newer"], "", &[]),
    age_setting(Pypi, "uv.toml", &["pip", "exclude-newer"], "", &[]),
    age_setting(
        Pypi,
        "poetry.toml",
        &["solver", "min-release-age"],
        "days",
        &["solver", "min-release-age-exclude"],
    ),
    age_setting(Npm, ".npmrc", &["before"], "", &[]),
    age_setting(Npm, ".npmrc", &["min-release-age"], "days", &[]),
    age_setting(Npm, ".npmrc", &["minimum-release-age"], "minutes", &["minimum-release-age-exclude"]),
    age_setting(Npm, "pnpm-workspace.yaml", &["minimumReleaseAge"], "minutes", &["minimumReleaseAgeExclude"]),
    age_setting(Npm, ".yarnrc.yml", &["npmMinimalAgeGate"], "minutes", &["npmPreapprovedPackages"]),
    age_setting(
        Npm,
        ".yarnrc.yml",
        &["npmScopes", SCOPE_KEY, "npmMinimalAgeGate"],
        "minutes",
        &["npmPreapprovedPackages"],
    ),
    age_setting(
        Npm,
        "bunfig.toml",
        &["install", "minimumReleaseAge"],
        "seconds",
        &["install", "minimumReleaseAgeExcludes"],
    ),
    age_setting(Crates, ".cargo/config.toml", &["registry", "global-min-publish-age"], "", &[]),
    age_setting(Crates, ".cargo/config.toml", &["registries", "crates-io", "min-publish-age"], "", &[]),
    age_setting(Crates, ".cargo/config", &["registry", "global-min-publish-age"], "", &[]),
];

/// Adds the settings around the project that hide young releases of the package. A value that is not
/// understood is a doubt.
pub(super) fn add_limits(
    sources: &mut PackageSources,
    place: &RequirementPlace<'_>,
    text: &str,
) -> Result<(), String> {
    let scope = place.package.split_once('/').map_or("", |(scope, _)| scope.trim_start_matches('@'));
    for setting in AGE_SETTINGS.iter().filter(|setting| setting.registry == place.registry) {
        let keys: Vec<&str> =
            setting.keys.iter().map(|key| if *key == SCOPE_KEY { scope } else { key }).collect();
        for file in settings_files(place, text, &[setting.file])? {
            let values = values_at(&file, &keys)?;
            if values.is_empty() || is_excepted(&values_at(&file, setting.exceptions)?, place) {
                continue;
            }
            for value in values {
                let declared_by = format!("`{} = {value}` of {}", keys.join("."), file.label);
                match parse_cutoff(&value, setting.unit) {
                    Ok(None) => {}
                    Ok(Some(cutoff)) => sources.age_limits.push(ReleaseAgeLimit { cutoff, declared_by }),
                    Err(_) => sources.add_doubt(format!("{declared_by} is not understood")),
                }
            }
        }
    }
    Ok(())
}

/// Returns the value, or the values of the list, at these keys of a settings file.
fn values_at(file: &SettingsFile, keys: &[&str]) -> Result<Vec<String>, String> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    if file.label.ends_with(".npmrc") {
        let is_wanted = |key: &str| keys.contains(&key.strip_suffix("[]").unwrap_or(key));
        let values = npmrc_settings(file).filter(|(key, _)| is_wanted(key));
        return Ok(values.map(|(_, value)| unquote(value).to_owned()).collect());
    }
    if file.label.ends_with("yml") || file.label.ends_with("yaml") {
        let root: serde_json::Value = yaml_settings(file)?;
        let value = keys.iter().try_fold(&root, |value, key| value.get(key));
        let text =
            |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        return Ok(match value {
            None | Some(serde_json::Value::Null) => Vec::new(),
            Some(serde_json::Value::Array(list)) => list.iter().map(text).collect(),
            Some(value) => vec![text(value)],
        });
    }
    let document = toml_settings(file)?;
    Ok(match item_at(document.as_item(), keys) {
        None => Vec::new(),
        Some(Item::Value(Value::Array(list))) => list.iter().map(scalar_text).collect(),
        Some(Item::Value(value)) => vec![scalar_text(value)],
        Some(item) => vec![item.to_string()],
    })
}

fn scalar_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.value().clone(),
        Value::Integer(number) => number.value().to_string(),
        Value::Float(number) => number.value().to_string(),
        Value::Boolean(flag) => flag.value().to_string(),
        Value::Datetime(time) => time.value().to_string(),
        Value::Array(_) | Value::InlineTable(_) => value.to_string(),
    }
}

/// Returns true if a list of exceptions names the package. Entries with a version are ignored, and so are
/// lists that except packages from the exceptions (`!`): the setting then applies.
fn is_excepted(exceptions: &[String], place: &RequirementPlace<'_>) -> bool {
    let names: Vec<&str> = exceptions.iter().flat_map(|entry| entry.split(',')).map(str::trim).collect();
    let is_named = |name: &&str| match place.registry {
        Pypi => normalise_package_name(name) == normalise_package_name(place.package),
        Npm | Crates => {
            let glob = GlobBuilder::new(name).literal_separator(true).build();
            glob.is_ok_and(|glob| glob.compile_matcher().is_match(place.package))
        }
    };
    !names.iter().any(|name| name.starts_with('!')) && names.iter().any(is_named)
}

/// Parses the value of a setting: a time, a date, an age such as `7 days` or `P7D`, or a number of units. A
/// date means the beginning of this day in UTC, which is not later than any package manager reads it.
/// Returns `None` if the value hides no release.
fn parse_cutoff(text: &str, unit: &str) -> Result<Option<ReleaseCutoff>, jiff::Error> {
    let text = text.trim();
    if matches!(text, "" | "0" | "false") {
        return Ok(None);
    }
    let age = if !unit.is_empty() && text.bytes().all(|letter| letter.is_ascii_digit()) {
        format!("{text} {unit}")
    } else {
        let day = || text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok().map(|start| start.timestamp());
        if let Some(time) = text.parse::<Timestamp>().ok().or_else(day) {
            return Ok(Some(ReleaseCutoff::Time(time)));
        }
        text.to_owned()
    };
    let age = age.parse::<Span>()?.to_duration(SpanRelativeTo::days_are_24_hours())?;
    Ok(Some(ReleaseCutoff::Age(age.abs())))
}

//! Detects values that contradict each other.

use std::collections::BTreeMap;
use std::time::Duration;

use truing_core::money::MicroUsd;

use super::problem::{ConfigError, ConfigProblem, ValueOrigin};
use super::value::ConfigValue;
use super::{ForgeConfig, TypedSettings};

/// Returns all conflicts between values.
pub(super) fn find_conflicts(
    settings: &TypedSettings<'_>,
    forges: &BTreeMap<String, ForgeConfig>,
) -> Result<Vec<ConfigProblem>, ConfigError> {
    let mut problems = check_store(settings, forges)?;
    let conflict = |key: &'static str, relation, other: &'static str| {
        let (one, another) = (settings.setting(key)?, settings.setting(other)?);
        Ok::<_, ConfigError>(ConfigProblem::Conflict {
            key,
            value: one.value.to_string(),
            origin: one.origin.clone(),
            relation,
            other_key: other,
            other_value: another.value.to_string(),
            other_origin: another.origin.clone(),
        })
    };
    for (key, relation, other, fits) in RELATIONS {
        if !fits(settings.duration(key)?, settings.duration(other)?) {
            problems.push(conflict(key, relation, other)?);
        }
    }
    let (metrics, all) = ("server.metrics_listen", "server.listen");
    let (apart, usual) = (settings.address_if_any(metrics)?, settings.address(all)?);
    // Port 0 is no conflict, because the system then chooses a different port for each listener.
    if apart.is_some_and(|apart| apart.port() != 0 && apart == usual) {
        problems.push(conflict(metrics, "be different from", all)?);
    }
    let (ask, most) = ("budget.pr_ask_usd", "budget.pr_usd");
    let (soft, hard) = (settings.usd(ask)?, settings.usd(most)?);
    // The value 0 of the upper limit means no limit, so no conflict is possible.
    if hard > MicroUsd(0) && soft >= hard {
        problems.push(conflict(ask, "be less than", most)?);
    }
    Ok(problems)
}

/// Checks that servers for slots and for records are configured together, and that each forge then has a
/// marker key. All processes that share a store use the same key.
fn check_store(
    settings: &TypedSettings<'_>,
    forges: &BTreeMap<String, ForgeConfig>,
) -> Result<Vec<ConfigProblem>, ConfigError> {
    let (url, records) = (settings.setting("store.url")?, settings.setting("store.records")?);
    let bad = |origin: &ValueOrigin, key: &str, requirement: &str| ConfigProblem::BadValue {
        origin: origin.clone(),
        key: key.to_owned(),
        requirement: requirement.to_owned(),
    };
    let is_server = matches!(url.value, ConfigValue::Secret(_));
    let mut problems = Vec::new();
    if !is_server {
        if records.value != ConfigValue::Unset {
            let requirement = "is valid only if `store.url` is the URL of a Valkey server; a SQLite file \
                needs no such setting";
            problems.push(bad(&records.origin, "store.records", requirement));
        }
        return Ok(problems);
    }
    if records.value == ConfigValue::Unset {
        let requirement = "must be set to a URL such as \"postgres://…\", because the server in \
            `store.url` stores only slots";
        problems.push(bad(&url.origin, "store.records", requirement));
    }
    let without = forges.iter().filter(|(_, forge)| forge.marker_key.is_none());
    problems.extend(without.map(|(name, _)| {
        let requirement = "must be set, because all processes that share a store must sign with the same \
            key";
        bad(&url.origin, &format!("forge.{name}.marker_key"), requirement)
    }));
    Ok(problems)
}

/// A required relation between two keys: the first key, the relation in words, the second key, and a function
/// that returns true if both values fit.
type KeyRelation = (&'static str, &'static str, &'static str, fn(Duration, Duration) -> bool);

const RELATIONS: [KeyRelation; 4] = [
    // The heartbeat must be this short, because a worker stops itself if no heartbeat was acknowledged for
    // two thirds of the lease.
    ("server.heartbeat", "be less than two thirds of", "server.lease", |heartbeat, lease| {
        heartbeat * 3 < lease * 2
    }),
    ("review.debounce", "be at most", "review.max_wait", |debounce, most| debounce <= most),
    ("review.quiet", "be at most", "review.storm_max", |quiet, most| quiet <= most),
    ("review.backoff", "be at most", "review.backoff_max", |backoff, most| backoff <= most),
];

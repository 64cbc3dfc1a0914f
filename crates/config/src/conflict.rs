//! Detects values that contradict each other.

use std::collections::BTreeMap;
use std::time::Duration;

use truing_core::money::MicroUsd;

use super::problem::{ConfigError, ConfigProblem, ValueOrigin};
use super::value::ConfigValue;
use super::{ForgeConfig, TypedSettings};

/// Returns all conflicts between values.
pub(super) fn find_conflicts(
    of: &TypedSettings<'_>,
    forges: &BTreeMap<String, ForgeConfig>,
) -> Result<Vec<ConfigProblem>, ConfigError> {
    let mut problems = check_store(of, forges)?;
    let conflict = |key: &'static str, relation, other: &'static str| {
        let (one, another) = (of.setting(key)?, of.setting(other)?);
        Ok::<_, ConfigError>(ConfigProblem::Conflict {
            key,
            value: one.value.to_string(),
            origin: one.origin.clone(),
            relation,
            other,
            other_value: another.value.to_string(),
            other_origin: another.origin.clone(),
        })
    };
    for (key, relation, other, fits) in RELATIONS {
        if !fits(of.duration(key)?, of.duration(other)?) {
            problems.push(conflict(key, relation, other)?);
        }
    }
    let (metrics, all) = ("server.metrics_listen", "server.listen");
    let (apart, usual) = (of.address_if_any(metrics)?, of.address(all)?);
    // With port 0, the system chooses a different port for each listener.
    if apart.is_some_and(|apart| apart.port() != 0 && apart == usual) {
        problems.push(conflict(metrics, "be different from", all)?);
    }
    let (ask, most) = ("budget.pr_ask_usd", "budget.pr_usd");
    let (soft, hard) = (of.usd(ask)?, of.usd(most)?);
    // The value 0 means no limit.
    if hard > MicroUsd(0) && soft >= hard {
        problems.push(conflict(ask, "be less than", most)?);
    }
    Ok(problems)
}

/// Checks that a server for slots is configured together with a server for records and, for each forge, a
/// marker key that all processes share.
fn check_store(
    of: &TypedSettings<'_>,
    forges: &BTreeMap<String, ForgeConfig>,
) -> Result<Vec<ConfigProblem>, ConfigError> {
    let (url, records) = (of.setting("store.url")?, of.setting("store.records")?);
    let bad = |at: &ValueOrigin, key: &str, wrong: &str| ConfigProblem::BadValue {
        origin: at.clone(),
        key: key.to_owned(),
        requirement: wrong.to_owned(),
    };
    let is_server = matches!(url.value, ConfigValue::Secret(_));
    let mut problems = Vec::new();
    if !is_server {
        if records.value != ConfigValue::Unset {
            let wrong =
                "is valid only if `store.url` names a Valkey server; a SQLite file needs no such setting";
            problems.push(bad(&records.origin, "store.records", wrong));
        }
        return Ok(problems);
    }
    if records.value == ConfigValue::Unset {
        let wrong = "must be set, \"postgres://…\": `store.url` names a server that stores only slots";
        problems.push(bad(&url.origin, "store.records", wrong));
    }
    let without = forges.iter().filter(|(_, forge)| forge.marker_key.is_none());
    problems.extend(without.map(|(name, _)| {
        let wrong = "must be set: processes that share a store sign with the same key";
        bad(&url.origin, &format!("forge.{name}.marker_key"), wrong)
    }));
    Ok(problems)
}

/// A relation: one key, the relation in words, the other key, and the check of both values.
type KeyRelation = (&'static str, &'static str, &'static str, fn(Duration, Duration) -> bool);

const RELATIONS: [KeyRelation; 4] = [
    // A worker stops itself if no heartbeat was acknowledged for two thirds of the lease.
    ("server.heartbeat", "be less than two thirds of", "server.lease", |heartbeat, lease| {
        heartbeat * 3 < lease * 2
    }),
    ("review.debounce", "be at most", "review.max_wait", |debounce, most| debounce <= most),
    ("review.quiet", "be at most", "review.storm_max", |quiet, most| quiet <= most),
    ("review.backoff", "be at most", "review.backoff_max", |backoff, most| backoff <= most),
];

//! Pairs of values that do not go together.

use std::time::Duration;

use super::Typed;
use super::problem::{ConfigError, Problem};

/// Pairs of values that do not go together.
pub(super) fn all(of: &Typed<'_>) -> Result<Vec<Problem>, ConfigError> {
    let mut problems = Vec::new();
    let conflict = |key: &'static str, relation, other: &'static str| {
        let (one, another) = (of.setting(key)?, of.setting(other)?);
        Ok::<_, ConfigError>(Problem::Conflict {
            key,
            value: one.value.to_string(),
            at: one.origin.clone(),
            relation,
            other,
            other_value: another.value.to_string(),
            other_at: another.origin.clone(),
        })
    };
    for (key, relation, other, fits) in RELATIONS {
        if !fits(of.duration(key)?, of.duration(other)?) {
            problems.push(conflict(key, relation, other)?);
        }
    }
    let (metrics, all) = ("server.metrics_listen", "server.listen");
    let (apart, usual) = (of.address_if_any(metrics)?, of.address(all)?);
    // Port 0 is another one each time.
    if apart.is_some_and(|apart| apart.port() != 0 && apart == usual) {
        problems.push(conflict(metrics, "be another address than", all)?);
    }
    Ok(problems)
}

/// One key, what it must be to the other, the other, and whether it is.
type Relation = (&'static str, &'static str, &'static str, fn(Duration, Duration) -> bool);

const RELATIONS: [Relation; 4] = [
    // A worker without an acknowledged heartbeat for two thirds of the lease stops itself.
    ("server.heartbeat", "be less than two thirds of", "server.lease", |heartbeat, lease| {
        heartbeat * 3 < lease * 2
    }),
    ("review.debounce", "be at most", "review.max_wait", |debounce, most| debounce <= most),
    ("review.quiet", "be at most", "review.storm_max", |quiet, most| quiet <= most),
    ("review.backoff", "be at most", "review.backoff_max", |backoff, most| backoff <= most),
];

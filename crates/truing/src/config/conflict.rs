//! Pairs of values that do not go together.

use std::time::Duration;

use super::Typed;
use super::problem::{ConfigError, Problem};

/// Pairs of values that do not go together.
pub(super) fn all(of: &Typed<'_>) -> Result<Vec<Problem>, ConfigError> {
    let mut problems = Vec::new();
    for (key, relation, other, fits) in RELATIONS {
        if !fits(of.duration(key)?, of.duration(other)?) {
            problems.push(Problem::Conflict {
                key,
                value: of.setting(key)?.value.to_string(),
                at: of.setting(key)?.origin.clone(),
                relation,
                other,
                other_value: of.setting(other)?.value.to_string(),
                other_at: of.setting(other)?.origin.clone(),
            });
        }
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

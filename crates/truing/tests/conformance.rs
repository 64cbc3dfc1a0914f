//! The conformance suite: the same scenarios and the same invariants for every forge (the fakes of them), and a
//! table of what each took, which is part of the documentation.
//!
//! `TRUING_SCENARIO=NAME` plays one alone. `UPDATE_DOCS=1` writes the table anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests may fail them")]

#[path = "support/change.rs"]
#[allow(dead_code, reason = "some of it is for other tests")]
mod change;
#[path = "conformance/invariants.rs"]
mod invariants;
#[path = "conformance/page.rs"]
mod page;
#[path = "conformance/play.rs"]
mod play;
#[path = "support/process.rs"]
mod process;
#[path = "conformance/scenarios.rs"]
mod scenarios;
#[path = "support/site.rs"]
#[allow(dead_code, reason = "some of it is for other tests")]
mod site;
#[path = "conformance/tree.rs"]
mod tree;
#[path = "support/watch.rs"]
mod watch;

use truing_forge::capability::ALL;

use play::{Played, play};
use scenarios::SCENARIOS;

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_keeps_every_invariant_on_every_forge() {
    let only = std::env::var("TRUING_SCENARIO").ok();
    let mut played: Vec<Played> = Vec::new();
    let mut broken = Vec::new();
    for forge in ALL {
        for scenario in SCENARIOS {
            if only.as_ref().is_some_and(|only| only != scenario.name) {
                continue;
            }
            match play(forge, scenario).await {
                Ok(figures) => played.push(figures),
                Err(problems) => broken.push(format!("{} on {}:\n{problems}", scenario.name, forge.name)),
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
    if only.is_none() {
        page::is_current(&played);
    }
}

//! The conformance suite: the same scenarios and the same invariants for every forge (the fakes of them), and a
//! table of what each took, which is part of the documentation.
//!
//! `TRUING_SCENARIO=NAME` plays one alone. `UPDATE_DOCS=1` writes the table anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests may fail them")]

mod invariants;
mod page;
mod play;
mod scenarios;
mod tree;

use crate::support::{change, deliver, process, site};

use std::io;
use std::sync::Mutex;

use truing_forge::capability::ALL;

use play::{Played, play};
use scenarios::scenarios;
use site::secrets_of_tests;

/// Everything that was logged.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_keeps_every_invariant_on_every_forge() {
    let level = tracing_subscriber::filter::LevelFilter::DEBUG;
    tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(|| Log).init();
    let only = std::env::var("TRUING_SCENARIO").ok();
    let mut played: Vec<Played> = Vec::new();
    let mut broken = Vec::new();
    for forge in ALL {
        let chosen: Vec<_> =
            scenarios().filter(|scenario| only.as_ref().is_none_or(|only| only == scenario.name)).collect();
        assert!(!chosen.is_empty(), "no scenario has that name");
        // Two at a time: each waits for git now and then.
        for pair in chosen.chunks(2) {
            let (one, other) = (pair[0], pair.get(1).copied());
            let other = async {
                match other {
                    Some(scenario) => Some((scenario, play(forge, scenario).await)),
                    None => None,
                }
            };
            let (one, other) = tokio::join!(async { (one, play(forge, one).await) }, other);
            for (scenario, result) in [Some(one), other].into_iter().flatten() {
                match result {
                    Ok(figures) => played.push(figures),
                    Err(problems) => {
                        broken.push(format!("{} on {}:\n{problems}", scenario.name, forge.name));
                    }
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
    let log = String::from_utf8_lossy(&LOG.lock().unwrap()).into_owned();
    assert!(log.contains("published"), "nothing was logged");
    for secret in secrets_of_tests() {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "a secret is logged");
    }
    if only.is_none() {
        page::is_current(&played);
    }
}

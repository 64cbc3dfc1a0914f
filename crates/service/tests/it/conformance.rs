//! The conformance suite plays the same scenarios on the fake of every forge and checks the same invariants.
//! Each scenario is a separate test per forge. A table in the documentation shows the cost of each scenario
//! on each forge.
//!
//! `UPDATE_DOCS=1` rewrites the table cells of the scenarios that are run.

mod invariants;
mod page;
mod play;
mod scenarios;
mod tree;

use crate::support::{change, deliver, process, site};

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once};

use truing_fakes::forge::ForgeFlavour;
use truing_forge::capability::{BITBUCKET_CLOUD, BITBUCKET_DC, ForgeCapability, GITHUB};

use play::play;
use scenarios::scenarios;
use site::secrets_of_tests;

/// Log lines that contain a secret.
static LEAKED: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// True after a log line reported a published review.
static LOGGED: AtomicBool = AtomicBool::new(false);

/// A log writer that checks every line for secrets, and stores only lines that contain a secret.
struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        if line.contains("published") {
            LOGGED.store(true, Ordering::SeqCst);
        }
        if secrets_of_tests().any(|secret| line.contains(secret)) {
            LEAKED.lock().unwrap().push(line.into_owned());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Enables all log levels of this program from now on.
fn log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let level = tracing_subscriber::filter::LevelFilter::DEBUG;
        tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(|| Log).init();
    });
}

/// A forge under test: the fake, and its row of the capability table.
#[derive(Clone, Copy)]
pub(crate) struct Forge {
    pub(crate) flavour: ForgeFlavour,
    pub(crate) row: &'static ForgeCapability,
}

/// All forges under test.
pub(crate) const PLAYED: [Forge; 3] = [
    Forge { flavour: ForgeFlavour::GitHub, row: &GITHUB },
    Forge { flavour: ForgeFlavour::Cloud, row: &BITBUCKET_CLOUD },
    Forge { flavour: ForgeFlavour::DataCenter, row: &BITBUCKET_DC },
];

/// Plays one scenario on one forge. If the forge cannot send the scenario's responses, checks only the cell
/// of the documentation page.
async fn keeps_every_invariant(name: &str, flavour: ForgeFlavour) {
    log();
    let scenario = scenarios().find(|scenario| scenario.name == name).unwrap();
    let forge = PLAYED.into_iter().find(|forge| forge.flavour == flavour).unwrap();
    if let Some(why) = scenario.absent_at(flavour) {
        return page::tells(forge, name, &format!("cannot: {why}"));
    }
    match play(forge, scenario).await {
        Ok(_) if scenario.injects_an_answer() => page::tells(forge, name, page::HOLDS),
        Ok(played) => page::tells(forge, name, &page::held(&played)),
        Err(problems) => panic!("{name} on {}:\n{problems}", forge.row.name),
    }
    assert!(LOGGED.load(Ordering::SeqCst), "nothing was logged");
    assert_eq!(*LEAKED.lock().unwrap(), Vec::<String>::new(), "a secret is logged");
}

/// Defines a test for each scenario on each forge.
macro_rules! tests {
    ($($test:ident: $name:literal;)*) => {
        /// The scenarios that have a test.
        const TESTED: &[&str] = &[$($name),*];

        $(
            mod $test {
                use super::{ForgeFlavour, keeps_every_invariant};

                #[tokio::test(flavor = "multi_thread")]
                async fn github() {
                    keeps_every_invariant($name, ForgeFlavour::GitHub).await;
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn bitbucket_cloud() {
                    keeps_every_invariant($name, ForgeFlavour::Cloud).await;
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn bitbucket_data_center() {
                    keeps_every_invariant($name, ForgeFlavour::DataCenter).await;
                }
            }
        )*
    };
}

tests! {
    storm: "storm";
    re_push: "re-push";
    regression: "regression";
    force_push: "force-push";
    rebase: "rebase";
    rename: "rename";
    base_change: "base-change";
    with_30_findings: "30-findings";
    with_30_findings_of_which_6_move: "30-findings-of-which-6-move";
    with_300_files: "300-files";
    with_3000_files: "3000-files";
    crash_at_every_write: "crash-at-every-write";
    lost_answer_of_every_write: "lost-answer-of-every-write";
    push_amid_every_write: "push-amid-every-write";
    secondary_limit: "secondary-limit";
    forged_marker: "forged-marker";
    forged_marker_without_records: "forged-marker-without-records";
    foreign_account: "foreign-account";
    deleted_comment: "deleted-comment";
    edited_comment: "edited-comment";
    resolved_by_a_person: "resolved-by-a-person";
    closed: "closed";
    base_deleted: "base-deleted";
    fork: "fork";
    key_rotation: "key-rotation";
    key_rotation_without_records: "key-rotation-without-records";
    answer_400: "400";
    answer_401: "401";
    answer_403_permission: "403-permission";
    answer_403_single_sign_on: "403-single-sign-on";
    answer_403_secondary_limit: "403-secondary-limit";
    answer_403_secondary_limit_retry_after: "403-secondary-limit-retry-after";
    answer_403_primary_limit: "403-primary-limit";
    answer_404: "404";
    answer_410: "410";
    answer_409: "409";
    answer_413: "413";
    answer_422: "422";
    answer_422_strings: "422-strings";
    answer_422_objects: "422-objects";
    answer_429: "429";
    answer_429_retry_after: "429-retry-after";
    answer_500: "500";
    answer_503: "503";
    answer_html: "html";
    answer_html_502: "html-502";
    answer_json_cut_off: "json-cut-off";
    answer_redirect_elsewhere: "redirect-elsewhere";
    answer_redirect_within: "redirect-within";
    answer_pages_in_a_circle: "pages-in-a-circle";
}

#[test]
fn every_scenario_is_played_and_the_page_tells_of_each() {
    let names: Vec<&str> = scenarios().map(|scenario| scenario.name).collect();
    assert_eq!(TESTED, names);
    page::is_whole();
}

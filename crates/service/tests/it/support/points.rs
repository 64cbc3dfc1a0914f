//! Selects the calls at which a test interrupts a process: by default some calls, chosen by name and
//! position, or all with `cargo xtask test --full`.

use std::collections::BTreeSet;
use std::io::Write as _;

/// The environment variable that requests all points.
const FULL: &str = "TRUING_TEST_FULL";
/// The environment variable with the path of a file for counts. Every test of interruptions appends a line
/// with the numbers of selected calls and of all calls.
const COUNTS: &str = "TRUING_TEST_POINTS";
/// Every sixth call is selected, even if its name has occurred before.
const STRIDE: usize = 6;

/// Returns true if the tests interrupt processes at all calls.
pub(crate) fn is_full() -> bool {
    std::env::var_os(FULL).is_some()
}

/// Returns the indices of the calls to interrupt: the first call of each name, and every [`STRIDE`]-th call
/// from `offset` on. The ways of interrupting use different offsets.
pub(crate) fn select(calls: &[&str], offset: usize) -> Vec<usize> {
    let mut names = BTreeSet::new();
    let mut is_selected = |index, name| names.insert(name) || index % STRIDE == offset % STRIDE;
    (0..).zip(calls).filter(|(index, name)| is_selected(*index, **name)).map(|(index, _)| index).collect()
}

/// Returns the indices of the calls to interrupt: all calls in a full run, otherwise the calls that
/// [`select`] returns. Prints the indices and both counts, and writes the counts to the file for `cargo xtask
/// test`.
pub(crate) fn to_play(test: &str, calls: &[&str], offset: usize) -> Vec<usize> {
    let chosen = if is_full() { (0..calls.len()).collect() } else { select(calls, offset) };
    println!("{test}: {} of {} points: {chosen:?}", chosen.len(), calls.len());
    if let Some(file) = std::env::var_os(COUNTS) {
        let mut file = std::fs::File::options().append(true).create(true).open(file).unwrap();
        file.write_all(format!("{} {}\n", chosen.len(), calls.len()).as_bytes()).unwrap();
    }
    chosen
}

#[test]
fn every_kind_of_call_is_selected_and_the_ways_select_different_points() {
    let calls: Vec<&str> = ["open", "read", "write", "read", "write"].into_iter().cycle().take(60).collect();
    let selections = [0, 2, 4].map(|offset| select(&calls, offset));
    for selection in &selections {
        assert_eq!(selection[..3], [0, 1, 2]);
        assert!((10..=14).contains(&selection.len()), "{selection:?}");
    }
    let union: BTreeSet<usize> = selections.into_iter().flatten().collect();
    assert!(union.len() > 30, "{union:?}");
}

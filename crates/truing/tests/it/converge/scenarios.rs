//! Generates the documentation page with the acceptance scenarios of the converge loop and the tests that
//! cover each scenario.
//!
//! `UPDATE_DOCS=1` writes the page. The test fails if a listed test does not exist.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const ADVERSE: &str = "crates/truing/tests/it/converge/adverse.rs";
const KILLED: &str = "crates/truing/tests/it/converge/killed.rs";
const LOCAL: &str = "crates/truing/tests/it/converge/local.rs";
const PULL: &str = "crates/truing/tests/it/converge/pull.rs";
const REVIEWED: &str = "crates/truing/tests/it/converge/reviewed.rs";
const SEVERAL: &str = "crates/truing/tests/it/converge/several.rs";
const OTHERS: &str = "crates/truing/tests/it/converge/others.rs";
const OWNERS: &str = "crates/truing/tests/it/converge/owners.rs";
const MACHINE: &str = "crates/core/tests/it/converge.rs";
const PAIRS: &str = "crates/core/tests/it/converge/simulation.rs";
const READY: &str = "crates/core/tests/it/converge/readiness.rs";
const MERGE: &str = "crates/core/src/converge/merge.rs";
const REPOSITORY: &str = "crates/forge/tests/it/repository/conversing.rs";

/// The description of a scenario and its tests by file and function. The position in the list is the number
/// of the scenario.
type Scenario = (&'static str, &'static [(&'static str, &'static str)]);

const SCENARIOS: [Scenario; 24] = [
    (
        "A run is refused: Truing prints one line. The command makes no calls, changes nothing and posts \
        nothing",
        &[
            (LOCAL, "what_is_refused_is_said_in_one_line_and_nothing_is_touched"),
            (LOCAL, "a_run_that_was_killed_or_interrupted_goes_on_where_it_was"),
            (ADVERSE, "a_refusal_asks_neither_the_forge_nor_a_model_for_anything"),
        ],
    ),
    (
        "A run converges in two loops: Truing makes one fix, posts two reviews, and writes the log and \
        the report",
        &[
            (LOCAL, "a_planted_bug_is_mended_and_a_fresh_audit_finds_nothing"),
            (PULL, "each_audit_is_a_review_and_each_finding_is_answered_and_resolved"),
            (MACHINE, "two_loops_converge"),
        ],
    ),
    (
        "The first audit finds nothing: Truing posts one review that states this, writes the description, \
        and makes no fix",
        &[
            (ADVERSE, "a_clean_pull_request_gets_one_review_and_its_description"),
            (LOCAL, "a_clean_branch_needs_one_audit"),
        ],
    ),
    (
        "Nothing can be fixed: the run is stuck after one loop, lists the remaining findings, and leaves \
        no files or changes behind",
        &[
            (ADVERSE, "what_nobody_can_mend_is_answered_with_the_reason_and_stays_open"),
            (LOCAL, "what_nobody_can_mend_ends_stuck_and_is_named"),
            (MACHINE, "nothing_fixable_is_stuck_after_one_loop"),
        ],
    ),
    (
        "The run reaches the limit of audits: there is no eleventh audit, and the report counts the \
        remaining findings. From the fourth audit on, three auditors work in parallel",
        &[
            (LOCAL, "there_are_ten_audits_three_at_a_time_from_the_fourth_and_what_remains_is_counted"),
            (LOCAL, "after_the_last_audit_nothing_is_mended_that_nobody_would_audit"),
            (MACHINE, "there_is_no_audit_beyond_the_cap_and_no_fix_that_nobody_audits"),
        ],
    ),
    (
        "Three auditors disagree: Truing merges their findings into one list. A merged finding has the \
        worst severity that an auditor reported",
        &[
            (LOCAL, "several_auditors_look_side_by_side_and_what_they_say_is_one_list"),
            (MERGE, "auditors_of_one_loop_are_merged"),
        ],
    ),
    (
        "An auditor crashes, returns bad JSON or leaves out a category: Truing asks the auditor again. \
        The audit counts as degraded, and never as clean",
        &[
            (LOCAL, "an_auditor_that_gives_no_answer_is_asked_again_and_never_counts_as_clean"),
            (MACHINE, "who_does_not_answer_is_asked_once_more_and_is_never_clean"),
            (MACHINE, "a_loop_with_a_silent_auditor_goes_on_but_does_not_converge"),
        ],
    ),
    (
        "One of three findings is outside the diff: the review's body contains this finding. The other \
        two findings are comments on lines",
        &[(ADVERSE, "a_finding_off_the_diff_stands_in_the_body_of_the_review")],
    ),
    (
        "The forge refuses a review, then fails, then accepts the review: the review is posted once. The \
        forge never accepts the review: a comment contains the whole review",
        &[
            (ADVERSE, "a_review_that_the_forge_does_not_take_at_once_is_there_once"),
            (ADVERSE, "where_no_review_can_be_posted_a_comment_has_it_all"),
        ],
    ),
    (
        "The gate blocks once, keeps blocking, or cannot run. If the gate cannot run, no model is asked",
        &[
            (LOCAL, "a_fix_of_what_the_gate_says_is_not_pushed_if_a_check_fails_with_it"),
            (LOCAL, "a_gate_that_goes_on_blocking_ends_the_run_and_one_that_cannot_run_asks_nobody"),
            (MACHINE, "the_gate_is_mended_so_often_and_no_more"),
        ],
    ),
    (
        "A hook blocks the fix: Truing tries one more fix, and then the run is stuck and shows the hook's \
            output",
        &[
            (ADVERSE, "a_hook_that_blocks_a_fix_twice_is_shown_and_ends_it"),
            (MACHINE, "a_hook_that_blocks_is_told_to_one_more_fixer"),
        ],
    ),
    (
        "Another person pushes commits during a run: no commit is lost, and Truing audits the commits",
        &[
            (ADVERSE, "who_pushes_while_a_fix_is_on_its_way_loses_nothing_and_is_audited"),
            (PULL, "what_comes_with_the_base_branch_in_the_middle_of_a_run_is_not_audited_as_the_change"),
            (MACHINE, "what_others_push_is_audited_anew_and_a_few_times_without_cost"),
        ],
    ),
    (
        "A fixer tries to change a file that it may not change: the file stays unchanged, and Truing \
        reports the attempt",
        &[(LOCAL, "files_that_a_fix_may_not_change_stay_as_they_are")],
    ),
    (
        "The process is killed after any step: the run continues, and nothing is posted or pushed twice",
        &[
            (KILLED, "wherever_it_is_killed_before_a_write_it_goes_on_and_nothing_is_there_twice"),
            (KILLED, "wherever_it_is_killed_after_a_write_it_goes_on_and_nothing_is_there_twice"),
            (KILLED, "wherever_it_is_killed_while_it_asks_a_model_it_goes_on_and_nothing_is_there_twice"),
            (
                "crates/truing/tests/it/converge/crash.rs",
                "whatever_is_forgotten_is_done_again_and_nothing_is_there_twice",
            ),
        ],
    ),
    (
        "Two runs on one pull request: the second run is refused. Runs on two pull requests: both run at \
            the same time",
        &[
            (ADVERSE, "of_two_runs_on_one_pull_request_the_second_is_refused"),
            (SEVERAL, "they_are_side_by_side_and_a_signal_ends_them_all_and_each_can_be_gone_on_with"),
        ],
    ),
    (
        "The writer of the description fails, or drops text that people wrote: the description stays \
            unchanged",
        &[
            (PULL, "a_description_that_is_not_wanted_loses_something_or_is_never_written_stays_as_it_was"),
            (PULL, "the_description_tells_in_the_end_what_is_delivered_and_keeps_what_people_wrote"),
        ],
    ),
    (
        "A head was already audited as clean: the run converges without another audit. A forged marker \
        does not make a head clean",
        &[
            (LOCAL, "a_planted_bug_is_mended_and_a_fresh_audit_finds_nothing"),
            (LOCAL, "a_run_that_has_converged_is_told_again_and_not_paid_again"),
            (ADVERSE, "a_marker_that_somebody_else_posts_makes_nothing_clean"),
            (REVIEWED, "a_head_that_our_review_calls_clean_is_not_paid_for_again_by_another_store"),
            (REVIEWED, "our_own_words_that_are_copied_to_another_pull_request_or_head_make_nothing_clean"),
        ],
    ),
    (
        "Bugbot reviews before Truing's audit: if its review is stale, Truing requests a new one once. \
        Truing waits after an eyes reaction. If Bugbot's comments do not arrive or Bugbot stays silent, \
        the run is blocked",
        &[
            (
                ADVERSE,
                "a_stale_review_of_another_is_asked_for_anew_once_and_our_audit_follows_when_it_is_clean",
            ),
            (ADVERSE, "a_reviewer_that_stays_silent_blocks_in_the_end"),
            (READY, "a_stale_review_is_triggered_once_and_then_waited_for"),
            (READY, "whoever_is_queued_is_not_triggered_but_not_waited_for_without_end"),
            (READY, "comments_that_lag_are_looked_for_so_often_and_then_it_is_blocked"),
            (READY, "the_silent_are_asked_so_often_and_then_block_or_are_left"),
            (OTHERS, "a_call_of_a_person_that_a_reviewer_has_seen_is_not_made_again"),
            (OTHERS, "a_reviewer_that_counts_and_shows_nothing_blocks"),
        ],
    ),
    (
        "Truing pushes: reviews of the old head by other reviewers no longer count",
        &[
            (READY, "a_push_forgets_every_stamp_wait_and_lag"),
            (OTHERS, "whoever_is_listed_first_is_so_after_each_push_whatever_strangers_say"),
            (PULL, "another_reviewer_is_asked_once_a_head_and_what_it_finds_is_answered_in_its_own_thread"),
        ],
    ),
    (
        "Copilot comments on lines, comments without lines, writes only in the body of its review, or \
        never reviews",
        &[
            (READY, "copilot_is_clean_when_it_comments_and_shows_nothing"),
            (OTHERS, "what_a_reviewer_says_in_its_text_alone_is_mended"),
            (READY, "who_comes_by_itself_is_never_asked_and_who_cannot_be_asked_is_so_for_the_run"),
        ],
    ),
    (
        "The mergeability is first unknown and then clean, in conflict, unstable, or blocked because the \
        pull request is a draft",
        &[
            (ADVERSE, "a_conflict_with_the_base_blocks_and_what_is_not_known_yet_is_waited_for"),
            (READY, "mergeability_is_waited_for_while_it_can_change_and_is_named_when_it_does_not"),
            (REPOSITORY, "what_a_merge_would_be_and_why_not"),
        ],
    ),
    (
        "Two repositories have pull requests with the same number",
        &[(SEVERAL, "two_repositories_have_pull_requests_of_the_same_number_and_neither_is_the_other")],
    ),
    (
        "A sweep finds no, one or many pull requests, in a list with one or more pages",
        &[
            (OWNERS, "where_nothing_is_open_that_is_said_and_no_model_is_asked"),
            (OWNERS, "every_open_pull_request_of_the_owners_is_worked_on_whatever_others_have_its_number"),
            (OWNERS, "all_pages_of_a_list_are_read"),
        ],
    ),
    (
        "Someone hides instructions in the change or in comments: the instructions have no effect",
        &[
            (ADVERSE, "orders_that_are_planted_in_the_change_and_in_comments_change_nothing"),
            (PAIRS, "a_thousand_pairs_end_as_they_must_and_within_their_limits"),
        ],
    ),
];

const HEAD: &str = "# Scenarios of the converge loop

<!-- Generated by \
    crates/truing/tests/it/converge/scenarios.rs. To update it: UPDATE_DOCS=1 cargo test -p truing --test \
    it converge:: -->

This page lists the acceptance scenarios of the converge loop, and the tests that cover each scenario. \
        The tests under `crates/truing/tests` run the real program with a scripted model and a fake \
        forge. The tests of `core` check only the loop's decisions, but they cover more cases.

| | What happens | Shown by \
    |
|---:|---|---|
";

fn repository_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns true if the file contains a test function with this name.
fn contains_test(file: &str, name: &str) -> bool {
    let text = std::fs::read_to_string(repository_root().join(file)).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let is_it = |line: &str| {
        let line = line.trim_start_matches("async ");
        line.strip_prefix("fn ")
            .and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| rest.starts_with('('))
    };
    lines.windows(2).any(|pair| {
        let marks = pair[0].starts_with("#[test]") || pair[0].starts_with("#[tokio::test");
        marks && is_it(pair[1])
    })
}

#[test]
fn the_page_tells_which_tests_show_each_scenario() {
    let mut page = HEAD.to_owned();
    for (number, (what, tests)) in (1..).zip(SCENARIOS) {
        assert!(!tests.is_empty(), "scenario {number}: no test shows it");
        for (file, name) in tests {
            assert!(contains_test(file, name), "scenario {number}: there is no test `{name}` in {file}");
        }
        let shown = tests.iter().map(|(file, name)| {
            let file = file.trim_start_matches("crates/");
            format!("[`{name}`](../../crates/{file})")
        });
        let shown = shown.collect::<Vec<_>>().join("<br>");
        let _ = writeln!(page, "| {number} | {what} | {shown} |");
    }
    let path = repository_root().join("docs/reference/converge-scenarios.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, page, "update it: UPDATE_DOCS=1 cargo test -p truing --test it converge::");
}

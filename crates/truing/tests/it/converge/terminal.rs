//! Tests of the progress display. On a terminal, a spinner shows the current step; elsewhere, each step is
//! one line; with `--quiet`, nothing is shown.

use truing_fakes::model::ScriptedAnswer;

use crate::converge::scene::{
    BUG_ID, RIGHT, Scene, WRONG, clean_audit_answer, clean_fix_answer, edit, fix_report_answer,
    planted_bug_answer,
};
use crate::support::terminal::{Terminal, read_screen};

fn two_loop_answers() -> [ScriptedAnswer; 5] {
    [
        planted_bug_answer(),
        edit("total.py", WRONG, RIGHT),
        fix_report_answer(&[(BUG_ID, None)]),
        clean_fix_answer(),
        clean_audit_answer(),
    ]
}

/// Runs a command whose standard error is a terminal. Returns the text that the command writes there.
fn run_on_terminal(scene: &Scene, arguments: &[&str]) -> String {
    let Terminal { screen, line } = Terminal::open(80);
    let mut command = scene.command(arguments);
    let mut child =
        command.env("TERM", "xterm").stderr(line).stdout(std::process::Stdio::null()).spawn().unwrap();
    // Dropping the command closes the parent's handle of the terminal, so the end of the child closes the
    // terminal.
    drop(command);
    let seen = read_screen(screen);
    assert!(child.wait().unwrap().success());
    seen
}

#[test]
fn a_terminal_shows_the_step_and_how_long_it_takes_and_keeps_what_was_done() {
    let seen = run_on_terminal(&Scene::new(two_loop_answers()), &[]);
    // The line of a running step is overwritten, while the line of a result is kept.
    assert!(seen.contains("\u{1b}[") && seen.contains("Checking the fix …"), "{seen:?}");
    assert!(!seen.contains("Checking the fix …\r\n"), "{seen:?}");
    for line in [
        "topic: head ",
        "at most 10 audits ",
        "your checkout does not change",
        "Loop 1 audit: 0P0 / 1P1 / 0P2",
    ] {
        let shown = seen.split("\r\n").any(|shown| shown.contains(line));
        assert!(shown, "{line}: {seen:?}");
    }
}

#[test]
fn nothing_is_shown_with_quiet_and_no_bar_where_there_is_no_terminal() {
    assert_eq!(run_on_terminal(&Scene::new(two_loop_answers()), &["--quiet"]), "");
    let ran = Scene::new(two_loop_answers()).run(&[]);
    assert!(ran.err.lines().any(|line| line == "Checking the fix …"), "{ran:?}");
    assert!(!ran.err.contains('\u{1b}'), "{ran:?}");
}

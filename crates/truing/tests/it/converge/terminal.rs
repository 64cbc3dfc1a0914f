//! Tests of the progress display: a spinner with the step on a terminal, one line for each step elsewhere,
//! and nothing with `--quiet`.

use truing_fakes::model::ScriptedAnswer;

use crate::converge::scene::{BUG_ID, RIGHT, Scene, WRONG, clean, dirty, edit, fix_is_clean, mended};
use crate::support::terminal::{Terminal, shown};

fn two_loops() -> [ScriptedAnswer; 5] {
    [dirty(), edit("total.py", WRONG, RIGHT), mended(&[(BUG_ID, None)]), fix_is_clean(), clean()]
}

/// Returns the output on standard error at a terminal.
fn on_a_terminal(scene: &Scene, arguments: &[&str]) -> String {
    let Terminal { screen, line } = Terminal::open(80);
    let mut command = scene.command(arguments);
    let mut child =
        command.env("TERM", "xterm").stderr(line).stdout(std::process::Stdio::null()).spawn().unwrap();
    // The command's handle is closed here, so the child's end closes the terminal.
    drop(command);
    let seen = shown(screen);
    assert!(child.wait().unwrap().success());
    seen
}

#[test]
fn a_terminal_shows_the_step_and_how_long_it_takes_and_keeps_what_was_done() {
    let seen = on_a_terminal(&Scene::new(two_loops()), &[]);
    // A step is overwritten; a result ends with a line.
    assert!(seen.contains("\u{1b}[") && seen.contains("Checking the fix …"), "{seen:?}");
    assert!(!seen.contains("Checking the fix …\r\n"), "{seen:?}");
    for line in [
        "topic: head ",
        "at most 10 audits ",
        "your checkout stays as it is",
        "Loop 1 audit: 0P0 / 1P1 / 0P2",
    ] {
        let shown = seen.split("\r\n").any(|shown| shown.contains(line));
        assert!(shown, "{line}: {seen:?}");
    }
}

#[test]
fn nothing_is_shown_with_quiet_and_no_bar_where_there_is_no_terminal() {
    assert_eq!(on_a_terminal(&Scene::new(two_loops()), &["--quiet"]), "");
    let ran = Scene::new(two_loops()).run(&[]);
    assert!(ran.err.lines().any(|line| line == "Checking the fix …"), "{ran:?}");
    assert!(!ran.err.contains('\u{1b}'), "{ran:?}");
}

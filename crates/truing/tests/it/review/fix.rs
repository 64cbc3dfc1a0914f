//! Tests of `truing review --fix`: the diff that it shows, the changed files, the skipped files, and the
//! undo.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Stdio};

use insta::assert_snapshot;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use truing_loops::fix::lock::FixLock;

use crate::review::place::{Place, Ran, field_of_findings};

/// Content of a file with a fixable finding on its third line, before and after the fix.
const ASSERTS: (&str, &str) =
    ("def f(a):\n    g()\n    assert (a, 'why')\n", "def f(a):\n    g()\n    assert a, 'why'\n");

/// Runs `truing review --fix` and returns its output.
fn fix(place: &Place, arguments: &[&str]) -> Ran {
    Ran::from(place.command(&[&["review", "--fix"], arguments].concat()).output().unwrap())
}

/// Returns the undo command in the output.
fn undo_command(ran: &Ran) -> &str {
    let told = ran.err.lines().skip_while(|line| *line != "to undo the fixes:").nth(1);
    told.unwrap_or_else(|| panic!("{}", ran.err))
}

/// Runs a shell command in the home folder. Returns true if it succeeds.
fn shell(place: &Place, command: &str) -> bool {
    let mut shell = Command::new("bash");
    shell.args(["-c", command]).current_dir(place.home()).env_clear();
    shell.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", place.home());
    let output = shell.output().unwrap();
    output.status.success()
}

fn read(place: &Place, name: &str) -> Vec<u8> {
    std::fs::read(place.repo().join(name)).unwrap()
}

#[test]
fn fixes_are_shown_made_and_reviewed_again() {
    let place = Place::new();
    place.write("b.py", ASSERTS.0);
    place.write("c.test.js", "it.only('x', f)\nfdescribe('y', f)\n");
    // An empty block is a syntax error in Python, so the removal of this statement is not a safe fix.
    place.write("d.py", "def f():\n    breakpoint()\n");
    let text = place.review(&[]).out;
    assert!(text.contains("\n3 findings are auto-fixable: truing review --fix\n"), "{text}");
    let named = place.review(&["."]).out;
    assert!(named.contains("auto-fixable: truing review . --fix\n"), "{named}");
    let ran = fix(&place, &["--format", "json"]);
    assert_eq!(String::from_utf8(read(&place, "b.py")).unwrap(), ASSERTS.1);
    assert_eq!(read(&place, "c.test.js"), b"it('x', f)\ndescribe('y', f)\n");
    assert_eq!((ran.exit, field_of_findings(&ran.json(), "path")), (1, vec![&json!("d.py")]), "what is left");
    let home = place.home().display().to_string();
    let stamp = regex::Regex::new(r"\d{8}T\d{6}\.\d{3}-00").unwrap();
    assert_snapshot!(stamp.replace(&ran.err.replace(&home, "HOME"), "STAMP"), @r"
    reviewing
    --- a/b.py
    +++ b/b.py
    @@ -3 +3 @@
    -    assert (a, 'why')
    +    assert a, 'why'
    --- a/c.test.js
    +++ b/c.test.js
    @@ -1,2 +1,2 @@
    -it.only('x', f)
    -fdescribe('y', f)
    +it('x', f)
    +describe('y', f)
    to undo the fixes:
      git --git-dir=/dev/null -c core.autocrlf=false -C HOME/r apply -R --whitespace=nowarn HOME/.local/state/truing/undo/STAMP.patch
    fixed 3 findings in 2 files
    reviewing again
    ");
    // The second run changes nothing, because all fixable findings are fixed.
    let before = place.read_all_files();
    let again = fix(&place, &[]);
    assert_eq!((again.exit, again.out.contains("1 finding (1 P1)")), (1, true), "{}", again.out);
    assert!(again.err.ends_with("nothing to fix: no finding is auto-fixable\n"), "{}", again.err);
    assert!(before == place.read_all_files());

    place.write("d.py", "f()\nbreakpoint()\n");
    let last = fix(&place, &["--quiet"]);
    assert_eq!((last.exit, last.err.lines().count()), (0, 2), "{}", last.err);
    assert_eq!(read(&place, "d.py"), b"f()\n");
    assert!(shell(&place, undo_command(&last)), "what undoes it is told all the same");
    assert_eq!(read(&place, "d.py"), b"f()\nbreakpoint()\n");
}

#[test]
fn what_was_changed_is_undone_by_the_command_that_was_told() {
    let place = Place::new();
    let odd = OsString::from_vec(b"caf\xe9 'x\" $y\t.py".to_vec());
    let blank = "with blank/b c.py";
    for (name, text) in [
        (odd.clone(), &b"f()\r\nbreakpoint()\r\ng()"[..]),
        (blank.into(), b"f()\nbreakpoint()"),
        ("mark.py".into(), b"\xef\xbb\xbfbreakpoint()\nf()\n"),
        ("mixed.test.js".into(), b"it.only('x', f)\r\nfit('y', f)\n\tfit('z', f)"),
    ] {
        place.write(name, text);
    }
    place.commit("as it is");
    place.git(["checkout", "--quiet", "-b", "other", "HEAD~1"]);
    place.git(["checkout", "--quiet", "main", "--", "."]);
    for attributes in ["", "* text eol=crlf\n", "* text=auto\n", "* -text whitespace=error\n"] {
        place.write(".gitattributes", attributes);
        place.git(["config", "apply.whitespace", "error"]);
        std::fs::write(place.home().join(".gitconfig"), "[core]\nautocrlf = true\n").unwrap();
        let before = place.read_all_files();
        let ran = fix(&place, &["--no-record"]);
        assert_eq!(
            (ran.exit, ran.err.contains("fixed 6 findings in 4 files")),
            (0, true),
            "{}{}",
            ran.err,
            ran.out
        );
        assert_eq!(std::fs::read(place.repo().join(&odd)).unwrap(), b"f()\r\ng()");
        assert_eq!(read(&place, blank), b"f()");
        assert_eq!(read(&place, "mark.py"), b"\xef\xbb\xbff()\n");
        assert_eq!(read(&place, "mixed.test.js"), b"it('x', f)\r\nit('y', f)\n\tit('z', f)");
        assert!(shell(&place, undo_command(&ran)), "{attributes}");
        let contents = |files: std::collections::BTreeMap<_, (i64, Vec<u8>)>| {
            files.into_iter().map(|(path, (_, content))| (path, content)).collect::<Vec<_>>()
        };
        assert!(contents(before) == contents(place.read_all_files()), "{attributes}");
    }
    assert!(!place.store().exists(), "without records there are none; what undoes it is kept all the same");
}

#[test]
fn a_run_that_was_killed_between_two_files_is_undone_file_by_file() {
    let place = Place::new();
    for name in ["b.py", "c.py"] {
        place.write(name, ASSERTS.0);
    }
    let ran = fix(&place, &[]);
    // One of the two files gets its old content back, so the undo patch no longer applies completely.
    place.write("c.py", ASSERTS.0);
    let undo = undo_command(&ran);
    assert!(!shell(&place, undo), "git applies all of it or nothing");
    assert_eq!(String::from_utf8(read(&place, "b.py")).unwrap(), ASSERTS.1);
    let (command, patch) = undo.rsplit_once(' ').unwrap();
    let about = std::fs::read_to_string(patch).unwrap();
    assert!(about.contains("--include=PATH"), "{about}");
    assert!(shell(&place, &format!("{command} --include=b.py {patch}")));
    assert_eq!((read(&place, "b.py"), read(&place, "c.py")), (ASSERTS.0.into(), ASSERTS.0.into()));
}

/// Runs `truing review --fix` on many files with one fix each. Sends a signal to the command after it has
/// changed the first file.
fn signal_during_fix(signal: Signal) -> (Place, Ran) {
    for _ in 0..TRIES {
        let place = Place::new();
        for number in 0..MANY {
            place.write(format!("{number:03}.py"), ASSERTS.0);
        }
        let temp = place.home().join("tmp");
        std::fs::create_dir_all(&temp).unwrap();
        let mut command = place.command(&["review", "--fix", "--quiet"]);
        let mut child =
            command.env("TMPDIR", &temp).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut has_ended = false;
        while !has_ended && read(&place, "000.py") == ASSERTS.0.as_bytes() {
            has_ended = child.try_wait().unwrap().is_some();
        }
        // The test sends the signal with a system call, because the start of a `kill` process would take as
        // long as many fixes.
        if !has_ended {
            kill_process(Pid::from_child(&child), signal).unwrap();
        }
        let output = child.wait_with_output().unwrap();
        if count_fixed(&place) < MANY {
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            let exit = output.status.code().unwrap_or(-1);
            return (place, Ran { exit, out: text(output.stdout), err: text(output.stderr) });
        }
    }
    panic!("the signal always came too late");
}

/// Maximum number of attempts. An attempt fails if all files are fixed before the signal arrives.
const TRIES: usize = 20;

/// Number of files, which is high enough that the signal usually arrives before all of them are fixed.
const MANY: usize = 600;

/// Checks that no temporary file is left in the repository and in the temporary folder. Returns the number of
/// fixed files.
fn check_and_count_fixed(place: &Place) -> usize {
    let names: Vec<_> =
        std::fs::read_dir(place.repo()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let odd = names.iter().find(|name| name.to_string_lossy().starts_with(".truing"));
    assert_eq!(odd, None);
    assert_eq!(std::fs::read_dir(place.home().join("tmp")).unwrap().count(), 0);
    count_fixed(place)
}

fn count_fixed(place: &Place) -> usize {
    (0..MANY).filter(|number| read(place, &format!("{number:03}.py")) == ASSERTS.1.as_bytes()).count()
}

#[test]
fn an_interrupted_run_ends_between_two_files_and_what_it_told_undoes_it() {
    for signal in [Signal::INT, Signal::QUIT] {
        let (place, ran) = signal_during_fix(signal);
        assert_eq!(ran.exit, 130, "{}", ran.err);
        let fixed = check_and_count_fixed(&place);
        assert!((1..MANY).contains(&fixed), "{fixed}");
        let told = format!("warning: interrupted: {} files not fixed\n", MANY - fixed);
        assert!(ran.err.contains(&told), "{}", ran.err);
        assert!(shell(&place, undo_command(&ran)), "{}", ran.err);
        assert_eq!(check_and_count_fixed(&place), 0);
    }
}

#[test]
fn what_a_killed_run_did_is_told_by_the_next_with_what_undoes_it() {
    let (place, killed) = signal_during_fix(Signal::KILL);
    assert_eq!(killed.exit, -1);
    std::fs::write(place.repo().join(".truing-fix-mine"), "").unwrap();
    let mut again = place.command(&["review", "--fix", "--quiet"]);
    let again = Ran::from(again.env("TMPDIR", place.home().join("tmp")).output().unwrap());
    assert!(
        again.err.starts_with("warning: an earlier run with --fix was killed after it had changed "),
        "{}",
        again.err
    );
    std::fs::remove_file(place.repo().join(".truing-fix-mine")).unwrap();
    assert_eq!(check_and_count_fixed(&place), MANY);
    let older = again.err.lines().skip_while(|line| *line != "to undo its fixes:").nth(1).unwrap();
    assert!(shell(&place, undo_command(&again)) && shell(&place, older), "{}", again.err);
    assert_eq!(check_and_count_fixed(&place), 0);
    assert_eq!(fix(&place, &[]).err.matches("earlier").count(), 0, "it is told once");
}

#[test]
fn what_a_killed_run_that_this_store_does_not_know_has_left_beside_a_file_is_removed() {
    let place = Place::new();
    place.write("b.py", ASSERTS.0);
    let mut gone = Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let left = place.repo().join(format!(".truing-fix-{}", gone.id()));
    std::fs::write(&left, "half").unwrap();
    assert_eq!(fix(&place, &[]).exit, 0);
    assert_eq!(read(&place, "b.py"), ASSERTS.1.as_bytes());
    assert!(!left.exists());
}

#[test]
fn a_second_run_in_the_same_tree_is_refused() {
    let place = Place::new();
    place.write("b.py", ASSERTS.0);
    let undo = place.home().join(".local/state/truing/undo");
    let lock = FixLock::acquire(&undo, &place.repo().canonicalize().unwrap()).unwrap();
    let ran = fix(&place, &["--format", "json"]);
    assert_eq!((ran.exit, &ran.json()["error"]["code"]), (4, &json!("already_running")), "{}", ran.err);
    assert_eq!(read(&place, "b.py"), ASSERTS.0.as_bytes());
    assert_eq!(place.review(&[]).exit, 1, "a review without fixes is another thing");
    drop(lock);
    assert_eq!(fix(&place, &[]).exit, 0);
}

#[test]
fn modes_are_kept_links_and_what_cannot_be_written_are_left_and_told() {
    let place = Place::new();
    place.write("b.py", ASSERTS.0);
    let mode = |name: &str| place.repo().join(name).metadata().unwrap().permissions().mode() & 0o7777;
    std::fs::set_permissions(place.repo().join("b.py"), std::fs::Permissions::from_mode(0o751)).unwrap();
    std::fs::write(place.home().join("out.py"), ASSERTS.0).unwrap();
    symlink("../out.py", place.repo().join("link.py")).unwrap();
    std::fs::hard_link(place.repo().join("b.py"), place.home().join("other.py")).unwrap();
    let ran = fix(&place, &[]);
    let told = "warning: b.py: the file's other names (hard links) still have the earlier content\n";
    assert!(ran.exit == 0 && ran.err.contains(told), "{}", ran.err);
    assert_eq!((String::from_utf8(read(&place, "b.py")).unwrap().as_str(), mode("b.py")), (ASSERTS.1, 0o751));
    assert_eq!(std::fs::read_to_string(place.home().join("out.py")).unwrap(), ASSERTS.0);

    // The folder for undo patches cannot be created, so no file is changed.
    place.write("b.py", ASSERTS.0);
    std::fs::remove_dir_all(place.home().join(".local/state/truing/undo")).unwrap();
    std::fs::write(place.home().join(".local/state/truing/undo"), "").unwrap();
    let ran = fix(&place, &["--format", "json"]);
    assert_eq!((ran.exit, &ran.json()["error"]["code"]), (3, &json!("write_failed")), "{}", ran.err);
    assert!(ran.err.contains("hint: nothing was changed"), "{}", ran.err);
    assert_eq!(String::from_utf8(read(&place, "b.py")).unwrap(), ASSERTS.0);
}

#[test]
fn of_fixes_that_do_not_go_together_the_first_is_made_and_the_rest_is_told() {
    let place = Place::new();
    place.write("b.py", "def f():\n    breakpoint()\n    breakpoint()\n");
    let ran = fix(&place, &[]);
    assert_eq!(read(&place, "b.py"), b"def f():\n    breakpoint()\n");
    let told = "warning: b.py:3: core/python-debugger not fixed: together with the other fixes of the \
        file, the fix would change the surrounding code\n";
    assert!(ran.exit == 1 && ran.err.contains(told), "{}", ran.err);
    assert!(ran.err.ends_with("fixed 1 finding in 1 file\nreviewing again\n"), "{}", ran.err);
}

#[test]
fn of_what_is_staged_files_are_fixed_that_are_the_same_in_the_working_tree_and_the_index_never_is() {
    let place = Place::new();
    for name in ["same.py", "other.py", "gone.py"] {
        place.write(name, ASSERTS.0);
    }
    place.git(["add", "--all"]);
    let mine = format!("# mine\n{}", ASSERTS.0);
    place.write("other.py", &mine);
    std::fs::remove_file(place.repo().join("gone.py")).unwrap();
    // This file is not staged, so the review with `--staged` ignores it.
    place.write("new.py", ASSERTS.0);
    let index = |place: &Place| std::fs::read(place.repo().join(".git/index")).unwrap();
    let before = index(&place);
    let ran = fix(&place, &["--staged", "--format", "json"]);
    assert_eq!(String::from_utf8(read(&place, "same.py")).unwrap(), ASSERTS.1);
    assert_eq!(String::from_utf8(read(&place, "other.py")).unwrap(), mine);
    assert_eq!(String::from_utf8(read(&place, "new.py")).unwrap(), ASSERTS.0);
    assert!(index(&place) == before && !place.repo().join("gone.py").exists());
    for name in ["other.py", "gone.py"] {
        let told = format!(
            "warning: {name}: not fixed: the file has unstaged changes, or other line endings than the index: \
             run `git add` or `git stash --keep-index`, and then this command again\n"
        );
        assert!(ran.err.contains(&told), "{}", ran.err);
    }
    assert!(ran.err.contains("fixed 1 finding in 1 file\nthe index is unchanged: "), "{}", ran.err);
    assert_eq!(
        (ran.exit, field_of_findings(&ran.json(), "path").len()),
        (1, 3),
        "what would be committed is as it was"
    );
    place.git(["add", "same.py"]);
    assert_eq!(field_of_findings(&place.report(&["--staged"]), "path"), ["gone.py", "other.py"]);
    assert!(shell(&place, undo_command(&ran)), "{}", ran.err);
    assert_eq!(String::from_utf8(read(&place, "same.py")).unwrap(), ASSERTS.0);
}

#[test]
fn of_what_is_staged_files_are_fixed_that_git_checks_out_with_crlf() {
    let place = Place::new();
    place.git(["config", "core.autocrlf", "true"]);
    let crlf = |text: &str| text.replace('\n', "\r\n");
    place.write("b.py", crlf(ASSERTS.0));
    // This file has both kinds of line endings. With these settings, git would not check it out in this form.
    place.write("c.py", format!("import os\n{}", crlf(ASSERTS.0)));
    place.git(["add", "--all"]);
    assert_eq!(place.git(["cat-file", "blob", ":b.py"]), ASSERTS.0.trim_end());
    let ran = fix(&place, &["--staged"]);
    assert_eq!(String::from_utf8(read(&place, "b.py")).unwrap(), crlf(ASSERTS.1), "{}", ran.err);
    let told =
        "warning: c.py: not fixed: the file has unstaged changes, or other line endings than the index";
    assert!(ran.err.contains(told), "{}", ran.err);
    assert!(shell(&place, undo_command(&ran)), "{}", ran.err);
    assert_eq!(String::from_utf8(read(&place, "b.py")).unwrap(), crlf(ASSERTS.0));
}

#[test]
fn a_commit_and_a_given_diff_are_not_fixed() {
    let place = Place::new();
    for other in [["--head", "HEAD"], ["--diff", "-"]] {
        let ran = place.review(&[&["--fix"][..], &other].concat());
        assert_eq!(ran.exit, 2);
        assert!(ran.err.contains("cannot be used with"), "{}", ran.err);
    }
}

#[test]
fn a_secret_beside_a_fix_is_not_shown() {
    let place = Place::new();
    let key = crate::review::place::fake_key();
    place.write("b.py", format!("KEY = '{key}'\nassert (a, 'why')\n"));
    let ran = fix(&place, &[]);
    assert!(ran.err.contains("+assert a, 'why'") && !ran.err.contains(&key), "{}", ran.err);
}

#[test]
fn a_fix_of_a_line_with_a_secret_is_not_made_and_this_is_the_reason() {
    let place = Place::new();
    let text = format!("it.only('{}', f)\n", crate::review::place::fake_key());
    place.write("b.test.js", &text);
    let ran = fix(&place, &[]);
    let told = "warning: b.test.js:1: core/focused-test not fixed: the line contains a secret\n";
    assert!(ran.err.contains(told), "{}", ran.err);
    assert_eq!(String::from_utf8(read(&place, "b.test.js")).unwrap(), text);
}

#[test]
fn json_lists_the_fixes_that_are_not_made() {
    let place = Place::new();
    place.write("b.py", "def f():\n    breakpoint()\n    breakpoint()\n");
    let ran = fix(&place, &["--format", "json"]);
    let reason = "together with the other fixes of the file, the fix would change the surrounding code";
    let left = json!([{ "path": "b.py", "start_line": 3, "rule": "core/python-debugger", "reason": reason }]);
    assert_eq!(ran.json()["not_fixed"], left, "{}", ran.err);
    assert!(fix(&place, &["--format", "json"]).json().get("not_fixed").is_none());
}

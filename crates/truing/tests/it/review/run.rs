//! Tests of unusable records, output files, concurrent reviews, closed output pipes and interruptions.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::review::place::{Place, Ran, STOPS};

#[test]
fn records_that_cannot_be_opened_are_a_warning() {
    let place = Place::new();
    place.write("b.py", STOPS);
    let expected = place.report(&["--no-record"]);
    let warned = |config: &str, why: &str, is_known: bool| {
        std::fs::write(place.home().join("op.toml"), config).unwrap();
        let ran = place.review(&["--config", "../op.toml", "--format", "json"]);
        let (mut told, mut outcome) = (ran.json(), expected["outcome"].clone());
        if !is_known {
            // Open findings of earlier reviews may be in the unreadable records, so the review is partial.
            outcome["kind"] = json!("partial");
            let reason = told["outcome"]["reason"].as_str().unwrap();
            assert!(
                reason.starts_with("records: the findings of earlier reviews could not be read: "),
                "{reason}"
            );
            told["outcome"]["reason"] = outcome["reason"].clone();
        }
        assert_eq!((ran.exit, &told["outcome"], &told["findings"]), (1, &outcome, &expected["findings"]));
        assert!(ran.err.starts_with("warning: the review is not recorded: "), "{}", ran.err);
        assert!(ran.err.contains(why) && ran.err.lines().count() == 1, "{}", ran.err);
    };
    place.report(&[]);
    std::fs::set_permissions(place.store(), std::fs::Permissions::from_mode(0o444)).unwrap();
    warned("", "is read only", false);
    warned("store.url = \"sqlite:r/a.py/truing.db\"", "cannot create the folder", true);
    warned("store.url = \"sqlite:r/a.py\"", "not a database", false);
    let mut homeless = place.command(&["review", "--quiet"]);
    let ran = Ran::from(homeless.env_remove("HOME").output().unwrap());
    assert!(ran.exit == 1 && ran.err.starts_with("warning: the review is not recorded: "), "{}", ran.err);
}

#[test]
fn many_at_once_all_print_and_are_recorded() {
    let place = Place::new();
    place.write("b.py", STOPS);
    let start = || {
        let mut command = place.command(&["review", "--quiet", "--format", "json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = (0..4).map(|_| start()).collect();
    let ran: Vec<Ran> =
        children.into_iter().map(|child| Ran::from(child.wait_with_output().unwrap())).collect();
    for one in &ran {
        assert_eq!((one.exit, one.err.as_str()), (1, ""));
        assert_eq!(one.json(), ran[0].json());
    }
}

#[test]
fn a_file_is_written_whole_and_never_inside_git() {
    let place = Place::new();
    place.write("b.py", STOPS);
    let expected = place.review(&["--format", "json"]).out;
    let file = place.home().join("report.json");
    let to = |path: &str| place.review(&["--format", "json", "--output", path]);
    let ran = to("../report.json");
    assert_eq!((ran.exit, ran.out.as_str()), (1, ""), "the exit code is the review's");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), expected);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o400, 0o400);
    std::fs::write(&file, "old").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink("report.json", place.home().join("link.json")).unwrap();
    assert_eq!(to("../link.json").exit, 1);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), expected, "a link is followed");
    assert_eq!(
        file.metadata().unwrap().permissions().mode() & 0o777,
        0o600,
        "who may read it is the user's choice"
    );
    assert!(place.home().join("link.json").is_symlink());
    assert_eq!(to("-").out, expected);
    let text = place.review(&["--output", "../report.txt"]);
    assert_eq!((text.exit, text.out.as_str()), (1, ""));
    assert!(!std::fs::read_to_string(place.home().join("report.txt")).unwrap().contains('\x1b'));

    let before = (place.read_all_files(), std::fs::read_dir(place.home()).unwrap().count());
    for path in ["../no/such/folder/x", "..", "a.py/x"] {
        let ran = to(path);
        assert_eq!((ran.exit, &ran.json()["error"]["code"]), (2, &json!("bad_output")), "{path}");
    }
    place.git(["init", "--quiet", "--bare", "../bare"]);
    for path in [".git/x", ".git/config", ".git/refs/heads/x", "../bare/hooks/x"] {
        let ran = to(path);
        assert_eq!((ran.exit, &ran.json()["error"]["code"]), (2, &json!("inside_git")), "{path}");
    }
    std::fs::remove_dir_all(place.home().join("bare")).unwrap();
    assert!(
        before == (place.read_all_files(), std::fs::read_dir(place.home()).unwrap().count()),
        "nothing is left"
    );
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_the_review() {
    let place = Place::new();
    place.write("b.py", STOPS);
    for path in ["..", "../no/such/folder/x", ".git/x"] {
        let ran = Ran::from(place.command(&["review", "--output", path]).output().unwrap());
        assert_eq!(ran.exit, 2, "{}", ran.err);
        let said = ran.err.lines().map(|line| line.split(':').next().unwrap()).collect::<Vec<_>>();
        assert_eq!(said, ["error", "hint"], "{}", ran.err);
        assert!(!place.store().exists(), "nothing was reviewed");
        let ran = Ran::from(place.command(&["rules", "check", "b.py", "--output", path]).output().unwrap());
        assert_eq!(ran.exit, 2, "{}", ran.err);
    }
}

#[test]
fn devices_and_pipes_are_written_into_and_a_link_makes_what_it_names() {
    let place = Place::new();
    place.write("b.py", STOPS);
    let expected = place.review(&["--format", "json"]).out;
    let to = |path: &str| place.review(&["--format", "json", "--output", path]);
    let ran = to("/dev/null");
    assert_eq!((ran.exit, ran.out.as_str(), ran.err.as_str()), (1, "", ""));
    assert_eq!((to("/dev/stdout").out, to("/dev/stderr").err), (expected.clone(), expected.clone()));

    let pipe = place.home().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read_to_string(pipe).unwrap()
    });
    assert_eq!(to("../pipe").exit, 1);
    assert_eq!(reader.join().unwrap(), expected);
    assert!(!pipe.metadata().unwrap().is_file());

    std::fs::create_dir(place.home().join("reports")).unwrap();
    let link = place.home().join("latest");
    std::os::unix::fs::symlink("reports/one.json", &link).unwrap();
    assert_eq!(to("../latest").exit, 1);
    assert!(link.is_symlink());
    assert_eq!(std::fs::read_to_string(place.home().join("reports/one.json")).unwrap(), expected);
}

#[test]
fn a_link_of_the_repository_is_not_written_through() {
    let place = Place::new();
    place.write("b.py", STOPS);
    let outside = place.home().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("precious"), "precious").unwrap();
    let link = |target: &Path, link: &str| {
        std::os::unix::fs::symlink(target, place.repo().join(link)).unwrap();
    };
    link(&outside.join("precious"), "review.sarif");
    link(&outside, "reports");
    link(&outside.join("absent"), "later.sarif");
    link(Path::new("/dev/null"), "device");
    link(&place.repo().join("review.sarif"), "../latest");
    for path in ["review.sarif", "reports/precious", "reports/new", "later.sarif", "device", "../latest"] {
        let ran = place.review(&["--format", "json", "--output", path]);
        let error = &ran.json()["error"];
        assert_eq!((ran.exit, &error["code"]), (2, &json!("bad_output")), "{path}");
        let message = error["message"].as_str().unwrap();
        assert!(message.ends_with(" is a link in a repository"), "{message}");
    }
    assert_eq!(std::fs::read_to_string(outside.join("precious")).unwrap(), "precious");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    let ran = place.review(&["--format", "json", "--output", "plain.json"]);
    assert_eq!((ran.exit, ran.err.as_str()), (1, ""), "a file of the repository is still written");
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let place = Place::new();
    place.write("b.py", STOPS.repeat(50));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ran = Ran::from(place.command(&["review", "--quiet"]).stdout(writer).output().unwrap());
    assert_eq!((ran.exit, ran.err.as_str()), (1, ""), "the answer is the review's");
}

#[test]
fn an_interruption_ends_it_at_once_and_leaves_no_child() {
    let place = Place::new();
    place.write("b.py", STOPS);
    // For `git diff`, the fake git never exits and keeps the named pipe open for writing.
    let (bin, pipe) = (place.home().join("bin"), place.home().join("pipe"));
    std::fs::create_dir(&bin).unwrap();
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = diff ]; then exec 3>'{}'; echo up >&3; tail -f /dev/null; fi\nexec \
         {} \"$@\"\n",
        pipe.display(),
        truing_fakes::repo::git_program().display()
    );
    std::fs::write(bin.join("git"), script).unwrap();
    std::fs::set_permissions(bin.join("git"), std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Under `nohup`, `truing` inherits an ignored SIGHUP, so the test sends SIGINT instead.
    let nohup = std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        let mask = status
            .lines()
            .find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
        mask.is_some_and(|mask| mask & 1 == 1)
    });
    for signal in ["-INT", "-TERM", "-QUIT", if nohup { "-INT" } else { "-HUP" }] {
        let mut command =
            place.command(&["review", "--quiet", "--format", "json", "--output", "../out.json"]);
        let folders = format!("{}:/usr/bin:/bin", bin.display());
        let temp = place.home().join("tmp");
        std::fs::create_dir_all(&temp).unwrap();
        command.env("PATH", folders).env("TMPDIR", &temp);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut alive = std::fs::File::open(&pipe).unwrap();
        let mut up = [0; 3];
        alive.read_exact(&mut up).unwrap();

        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert_eq!((ran.exit, &ran.json()["error"]["code"]), (130, &json!("interrupted")));
        // The read returns when the last process that has the pipe open for writing exits.
        alive.read_to_end(&mut Vec::new()).unwrap();
        assert!(!place.home().join("out.json").exists() && !place.store().exists());
        assert_eq!(std::fs::read_dir(&temp).unwrap().count(), 0, "no private folder is left");
    }
}

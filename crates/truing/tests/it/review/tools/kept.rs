//! Tests of the cache of linter findings: a linter runs again only on the changed files.

use super::*;

/// Returns a fake Ruff whose findings contain the number of checked files and the time of the run.
fn counting_ruff_script(version: &str) -> String {
    let run = format!(
        "[ \"$1\" = --version ] && {{ echo {version}; exit 0; }}\n\
         count=0\nfor word; do case \"$word\" in *.py) count=$((count + 1)) ;; esac; done\n\
         export RUN=\"among $count at $(date +%s.%N)\"\n[ \"$1\" = check ]"
    );
    let message = "\" ENVIRON[\"RUN\"] \"";
    RUFF.replace("[ \"$1\" = check ]", &run).replace("Ambiguous variable name: `l`", message)
}

/// Returns the findings' messages, each with its path and line.
fn finding_messages(place: &Place, arguments: &[&str]) -> Vec<String> {
    let told = review_report(place, arguments);
    assert_eq!(told["outcome"]["kind"], "reviewed", "{told:#}");
    field_of_findings(&told, "title").into_iter().map(|title| title.as_str().unwrap().to_owned()).collect()
}

/// Creates two files, each with a finding on an added line.
fn create_two_files() -> Place {
    let place = Place::new();
    place.write("ruff.toml", "");
    for file in ["a.py", "b.py"] {
        place.write(file, "a = 1\n");
    }
    place.commit("second");
    for file in ["a.py", "b.py"] {
        place.write(file, "a = 1\nl = 2\n");
    }
    install(place.home(), "ruff", &counting_ruff_script("ruff-1"));
    place
}

fn cache_entries(place: &Place) -> Vec<std::path::PathBuf> {
    let folder = place.store().parent().unwrap().join("tools");
    let folders = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let files = folders.filter(|path| path.is_dir()).flat_map(|folder| std::fs::read_dir(folder).unwrap());
    files.map(|file| file.unwrap().path()).collect()
}

#[test]
fn a_linter_looks_at_files_that_changed_alone() {
    let place = create_two_files();
    let first = finding_messages(&place, &[]);
    assert!(first.iter().all(|words| words.starts_with("among 2 ")), "{first:?}");
    assert_eq!(finding_messages(&place, &[]), first, "nothing changed: it has not run");

    place.write("b.py", "a = 1\nl = 2\nl = 3\n");
    let second = finding_messages(&place, &[]);
    assert_eq!(second.len(), 3, "{second:?}");
    assert_eq!(second[0], first[0]);
    assert!(second[1..].iter().all(|words| words.starts_with("among 1 ")), "{second:?}");

    place.write("a.py", "a = 1\nl = 2\nb = 3\n");
    place.write("b.py", "a = 1\nl = 2\n");
    let third = finding_messages(&place, &[]);
    assert!(third[0].starts_with("among 1 "), "{third:?}");
    assert_eq!(third[1], first[1], "it is as it was in the first run");
}

#[test]
fn a_change_of_the_configuration_or_of_the_program_is_looked_at_anew() {
    let place = create_two_files();
    let first = finding_messages(&place, &[]);
    place.write("ruff.toml", "line-length = 80\n");
    let second = finding_messages(&place, &[]);
    assert!(second.iter().all(|words| words.starts_with("among 2 ") && !first.contains(words)), "{second:?}");
    install(place.home(), "ruff", &counting_ruff_script("ruff-2"));
    let third = finding_messages(&place, &[]);
    assert!(third.iter().all(|words| words.starts_with("among 2 ") && !second.contains(words)), "{third:?}");
    let options = "repos:\n- repo: x\n  hooks:\n  - {id: ruff, args: [--select=E]}\n";
    place.write(".pre-commit-config.yaml", options);
    let fourth = finding_messages(&place, &[]);
    assert!(fourth.iter().all(|words| !third.contains(words)), "{fourth:?}");
}

#[test]
fn findings_are_placed_by_the_change_that_is_reviewed_now() {
    let place = create_two_files();
    finding_messages(&place, &[]);
    place.commit("third");
    // `a.py` is still a changed file, but the added lines differ.
    place.write("a.py", "a = 1\nl = 2\nl = 3\n");
    let told = review_report(&place, &[]);
    assert_eq!(
        (field_of_findings(&told, "path"), field_of_findings(&told, "start_line")),
        (vec![&json!("a.py")], vec![&json!(3)])
    );
    let both = review_report(&place, &["--base", "HEAD~1"]);
    assert_eq!(field_of_findings(&both, "start_line"), [2, 3, 2], "{both:#}");
}

#[test]
fn a_damaged_entry_is_looked_at_anew_and_what_failed_is_not_kept() {
    let place = create_two_files();
    let first = finding_messages(&place, &[]);
    assert_eq!(cache_entries(&place).len(), 2);
    for entry in cache_entries(&place) {
        let text = std::fs::read_to_string(&entry).unwrap();
        std::fs::write(&entry, text.replace("E741", "E742")).unwrap();
    }
    let second = finding_messages(&place, &[]);
    assert!(second.iter().all(|words| words.starts_with("among 2 ") && !first.contains(words)), "{second:?}");

    install(place.home(), "ruff", &counting_ruff_script("ruff-2").replace("exit count > 0", "exit 3"));
    assert!(incomplete_reason(&place).starts_with("ruff: exit code 3"));
    assert!(incomplete_reason(&place).starts_with("ruff: exit code 3"), "it has run again");
}

#[test]
fn nothing_is_kept_without_records() {
    let place = create_two_files();
    let first = finding_messages(&place, &["--no-record"]);
    let second = finding_messages(&place, &["--no-record"]);
    assert!(second.iter().all(|words| !first.contains(words)), "{first:?} {second:?}");
    assert!(cache_entries(&place).is_empty());
}

#[test]
fn a_file_whose_linter_looks_at_others_too_is_looked_at_each_time() {
    let place = create_two_files();
    let command = "[[tool]]\nname = \"ruff\"\ncommand = [\"ruff\", \"check\", \"{files}\"]\n";
    place.write("ops.toml", command);
    let run = || {
        let arguments = ["--config", "ops.toml", "review", "--quiet", "--tools", "--format", "json"];
        let ran =
            Ran::from(place.command(&arguments).env("PATH", search_path_with_own(&place)).output().unwrap());
        let told = ran.json();
        field_of_findings(&told, "title").into_iter().map(|title| title.to_string()).collect::<Vec<_>>()
    };
    let first = run();
    assert!(run().iter().all(|words| !first.contains(words)), "a command of one's own: nobody knows");
}

//! `truing prompts`, as people and scripts call it.

// Helpers of tests are tests too; clippy exempts test functions only.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const TRUING: &str = env!("CARGO_BIN_EXE_truing");

/// Exit code, stdout and stderr of a call in a folder, without anybody's configuration.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let ran = Command::new(TRUING)
        .arg("prompts")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ran.status.code().unwrap(), text(ran.stdout), text(ran.stderr))
}

#[test]
fn every_prompt_is_listed_within_80_columns_and_for_programs() {
    let here = tempfile::tempdir().unwrap();
    let (exit, text, err) = run(here.path(), &["list"]);
    assert_eq!((exit, err.as_str()), (0, ""));
    assert!(text.contains("review/system\n"), "{text}");
    assert!(text.contains("  takes     max_turns (integer, required): "), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let (_, lines, _) = run(here.path(), &["list", "--format", "json"]);
    let listed: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let budget = listed.iter().find(|prompt| prompt["name"] == "review/budget").unwrap();
    assert_eq!(budget["variables"][0]["type"], "integer");
    assert_eq!(budget["variables"][0]["required"], true);
}

#[test]
fn a_prompt_is_rendered_strictly() {
    let here = tempfile::tempdir().unwrap();
    let values = ["render", "review/system", "--set", "max_turns=7", "--set", "max_findings=50"];
    let (exit, text, _) = run(here.path(), &values);
    assert_eq!(exit, 0);
    assert!(text.starts_with("# Your task\n") && text.contains("at most 7 turns"), "{text}");
    let (_, json, _) = run(here.path(), &[values.as_slice(), &["--format", "json"]].concat());
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["text"], text);
    assert_eq!(json["hash"].as_str().unwrap().len(), 64);

    for (arguments, told) in [
        (&["render", "review/sytem"][..], "there is no prompt `review/sytem`"),
        (&["render", "review/budget"], "budget.md:5: variable `max_turns` is not given"),
        (&["render", "review/budget", "--set", "max_turns=many"], "must be a whole number"),
        (&["render", "review/role", "--set", "x=1"], "`x` is given, and no module of it declares that"),
        (&["render", "review/budget", "--set", "max_turns=1", "--set", "max_turns=2"], "is set twice"),
        (&["render", "review/budget", "--set", "max_turns"], "NAME=VALUE"),
    ] {
        let (exit, out, err) = run(here.path(), arguments);
        assert_eq!((exit, out.as_str()), (2, ""), "{err}");
        assert!(err.contains(told), "{err}");
    }
}

#[test]
fn a_strangers_folder_is_checked_with_file_and_line() {
    let here = tempfile::tempdir().unwrap();
    let house = here.path().join("house");
    std::fs::create_dir(&house).unwrap();
    let (exit, text, _) = run(here.path(), &["check"]);
    assert_eq!((exit, text.as_str()), (0, "no problems\n"));
    let front = "+++\nname = \"one\"\ndescription = \"One\"\nincludes = [\"review/role\"]\n+++\n";
    std::fs::write(house.join("one.md"), format!("{front}Costs $VERSION\n")).unwrap();
    assert_eq!(run(here.path(), &["check", "house"]).0, 0);
    std::fs::write(house.join("one.md"), format!("{front}Costs {{{{ version }}}}\n")).unwrap();
    let (exit, text, _) = run(here.path(), &["check", "house"]);
    assert_eq!(exit, 1);
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(joined.contains("house/one.md:6: variable `version` is not declared"), "{text}");
    assert!(text.ends_with("1 problem\n"), "{text}");
    let (exit, json, _) = run(here.path(), &["check", "house", "--format", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((exit, &json["problems"][0]["line"]), (1, &Value::from(6)));

    let (exit, _, err) = run(here.path(), &["check", "nowhere"]);
    assert!(exit == 2 && err.contains("nowhere cannot be read"), "{err}");
    // A folder that is named must be there and be sound, whatever is asked.
    let config = here.path().join("truing.toml");
    std::fs::write(&config, format!("[prompts]\ndir = \"{}\"\n", house.display())).unwrap();
    let (exit, _, err) = run(here.path(), &["list", "--config", config.to_str().unwrap()]);
    assert!(exit == 2 && err.contains("one.md:6: variable `version` is not declared"), "{err}");
}

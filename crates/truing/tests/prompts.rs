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

/// A workflow in which `step` fills in the prompt.
fn workflow(step: &str) -> String {
    format!(
        "on: workflow_dispatch\nenv:\n  LATEST: 1.43.1\njobs:\n  sync:\n    runs-on: ubuntu-latest\n    steps:\n      - id: detect\n        \
         run: echo \"lower=1\" >> \"$GITHUB_OUTPUT\"\n{step}\n      - name: agent\n        uses: someone/agent@v1\n        env:\n          \
         DRY_RUN: false\n"
    )
}

#[test]
fn a_strangers_envsubst_prompt_is_checked_with_its_workflow() {
    let here = tempfile::tempdir().unwrap();
    let prompt =
        "Follow botocore $LATEST, from ${LOWER}.\n\nTag it:\n\n    git tag v$VERSION\n\nDry run: $DRY_RUN\n";
    std::fs::write(here.path().join("prompt.md"), prompt).unwrap();
    let check = |step: &str| {
        std::fs::write(here.path().join("sync.yml"), workflow(step)).unwrap();
        let arguments = ["check", "--envsubst", "prompt.md", "--workflow", "sync.yml", "--format", "json"];
        let (exit, out, err) = run(here.path(), &arguments);
        let json: Value = serde_json::from_str(&out).unwrap_or_else(|_| unreachable!("{out}{err}"));
        let told = |problem: &Value| {
            format!(
                "{}:{}: {}",
                problem["file"].as_str().unwrap(),
                problem["line"],
                problem["message"].as_str().unwrap()
            )
        };
        let told: Vec<String> = json["problems"].as_array().unwrap().iter().map(told).collect();
        assert_eq!(exit, i32::from(!told.is_empty()), "{told:?}");
        told
    };
    let render = |argument: &str, env: &str| {
        format!(
            "      - name: render\n        env:\n          LOWER: ${{{{ steps.detect.outputs.lower }}}}\n{env}        run: |\n          envsubst {argument} < prompt.md > out.md"
        )
    };
    let dry = "          DRY_RUN: true\n";
    let all = "'$LATEST ${LOWER} $DRY_RUN'";
    assert_eq!(check(&render(all, dry)), [""; 0], "this one is right");

    // Without a list, `$VERSION` of a git example is erased; that it is set on the agent's step is of no use.
    let told = check(&render("", ""));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("prompt.md:5: `$VERSION` is erased: `envsubst` has no list"), "{told:?}");
    assert!(told[1].starts_with("prompt.md:7: `$DRY_RUN` is erased: it is set on step `agent`"), "{told:?}");
    for (step, expected) in [
        (
            "      - run: cat prompt.md > out.md".to_owned(),
            "prompt.md:1: `$LATEST` reaches the model as it is",
        ),
        (render("'$LATEST $DRY_RUN'", dry), "prompt.md:1: `$LOWER` stays as it is"),
        (
            render("'$LATEST $LOWER'", ""),
            "prompt.md:7: `$DRY_RUN` reaches the model as it is: it is set on step `agent`",
        ),
        (render("'$LATEST $LOWER $DRY_RUN $VERSION'", dry), "prompt.md:5: `$VERSION` is erased: the list"),
        (render("'$LATEST $LOWER $DRY_RUN $OTHER'", dry), "names `$OTHER`, and prompt.md does not use it"),
        (render("\"$LATEST $LOWER $DRY_RUN\"", dry), "the list of variables stands in double quotes"),
        (
            render(all, "          DRY_RUN: true\n          UPPER: 2\n"),
            "sync.yml:14: `UPPER` is passed to step `render`, and prompt.md does not use it",
        ),
        (
            render(all, "          DRY_RUN: ${{ steps.fork.outputs.is }}\n"),
            "step `fork`, which computes it, does not come before",
        ),
        (
            render(all, dry) + "\n          echo \"table<<EOF\" >> \"$GITHUB_OUTPUT\"",
            "the value of `table` ends at the first line `EOF`",
        ),
    ] {
        let told = check(&step);
        assert!(told.iter().any(|told| told.contains(expected)), "{expected}: {told:#?}");
    }
    assert!(check("      - run: [").iter().all(|told| told.starts_with("sync.yml:")));
    let (exit, text, _) = run(here.path(), &["check", "--envsubst", "prompt.md"]);
    assert_eq!((exit, text.as_str()), (2, ""), "both files are needed");
    let (exit, _, err) = run(here.path(), &["check", "--envsubst", "prompt.md", "--workflow", "none.yml"]);
    assert!(exit == 2 && err.contains("none.yml cannot be read"), "{err}");
}

#[test]
fn prompts_are_wrapped_and_all_that_are_shipped_are() {
    let here = tempfile::tempdir().unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/prompts");
    let (exit, out, err) = run(here.path(), &["fmt", "--check", shipped.to_str().unwrap()]);
    assert_eq!((exit, out.as_str(), err.as_str()), (0, "", ""));
    let house = here.path().join("house");
    std::fs::create_dir(&house).unwrap();
    let long = format!("+++\nname = \"one\"\n+++\n\n{}\n", "word ".repeat(50).trim());
    std::fs::write(house.join("one.md"), &long).unwrap();
    assert_eq!(run(here.path(), &["fmt", "--check", "house"]).0, 1);
    assert_eq!(std::fs::read_to_string(house.join("one.md")).unwrap(), long);
    assert_eq!(run(here.path(), &["fmt", "house"]), (0, "house/one.md\n".to_owned(), String::new()));
    let wrapped = std::fs::read_to_string(house.join("one.md")).unwrap();
    assert!(wrapped.lines().all(|line| line.len() <= 120) && wrapped.lines().count() == 7, "{wrapped}");
    assert_eq!(run(here.path(), &["fmt", "--check", "house"]).0, 0);
    assert_eq!(run(here.path(), &["fmt"]).0, 2);
}

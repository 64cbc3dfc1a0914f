//! Tests of `truing prompts` with the real program.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use truing_fakes::model::{DEFAULT_API_KEY, FakeModel, ModelScript, ScriptedAnswer};

const TRUING: &str = env!("CARGO_BIN_EXE_truing");

/// Runs a `truing prompts` command in a folder without a configuration. Returns the exit code, standard
/// output and standard error.
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
        (&["render", "review/role", "--set", "x=1"], "`x` is given, but no module of the prompt declares it"),
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
    // Every subcommand requires that the configured folder exists and is valid.
    let config = here.path().join("truing.toml");
    std::fs::write(&config, format!("[prompts]\ndir = \"{}\"\n", house.display())).unwrap();
    let (exit, _, err) = run(here.path(), &["list", "--config", config.to_str().unwrap()]);
    assert!(exit == 2 && err.contains("one.md:6: variable `version` is not declared"), "{err}");
}

/// Returns a workflow with this step, which fills in the prompt before the agent's step.
fn workflow_with_step(step: &str) -> String {
    format!(
        "on: workflow_dispatch\nenv:\n  LATEST: 1.43.1\njobs:\n  sync:\n    runs-on: \
         ubuntu-latest\n    steps:\n      - id: detect\n        run: echo \"lower=1\" \
         >> \"$GITHUB_OUTPUT\"\n{step}\n      - name: agent\n        uses: \
         someone/agent@v1\n        env:\n          DRY_RUN: false\n"
    )
}

#[test]
fn a_strangers_envsubst_prompt_is_checked_with_its_workflow() {
    let here = tempfile::tempdir().unwrap();
    let prompt =
        "Follow botocore $LATEST, from ${LOWER}.\n\nTag it:\n\n    git tag v$VERSION\n\nDry run: $DRY_RUN\n";
    std::fs::write(here.path().join("prompt.md"), prompt).unwrap();
    let check = |step: &str| {
        std::fs::write(here.path().join("sync.yml"), workflow_with_step(step)).unwrap();
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
            "      - name: render\n        env:\n          LOWER: ${{{{ steps.detect.outputs.lower \
             }}}}\n{env}        run: |\n          envsubst {argument} < prompt.md > out.md"
        )
    };
    let dry = "          DRY_RUN: true\n";
    let all = "'$LATEST ${LOWER} $DRY_RUN'";
    assert_eq!(check(&render(all, dry)), [""; 0], "this one is right");

    // The list is the value of a variable.
    let with_list = |assignment: &str, argument: &str| {
        render(all, dry).replace(
            &format!("envsubst {all}"),
            &format!("{assignment}\n          text=$(envsubst {argument} < prompt.md); echo \"$text\" #"),
        )
    };
    for (assignment, argument) in [
        ("VARS='$LATEST ${LOWER} $DRY_RUN'", "\"$VARS\""),
        ("export VARS=\"\\$LATEST \\$LOWER \\$DRY_RUN\"", "\"${VARS}\""),
        ("true", "\"$(cat list.txt)\""),
        ("VARS=$(cat list.txt)", "\"$VARS\""),
    ] {
        assert_eq!(check(&with_list(assignment, argument)), [""; 0], "{assignment}");
    }
    let given = "          DRY_RUN: true\n          VARS: $LATEST $LOWER $DRY_RUN\n";
    assert_eq!(check(&render("\"$VARS\"", given)), [""; 0]);
    let short = check(&with_list("VARS='$LATEST $DRY_RUN'", "\"$VARS\""));
    assert!(short[0].contains("`$LOWER` is not replaced"), "{short:?}");
    let replaced = check(&with_list("VARS=\"$LATEST $LOWER\"", "\"$VARS\""));
    assert!(replaced[0].contains("in double quotes"), "{replaced:?}");

    // Without a list of variables, `envsubst` also erases `$VERSION` in an example of a git command. A
    // variable that is set only on the agent's step has no value when the prompt is filled in.
    let told = check(&render("", ""));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with(
            "prompt.md:5: `$VERSION` is erased: nothing sets this variable, and `envsubst` has no list"
        ),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("prompt.md:7: `$DRY_RUN` is erased: the variable is set on step `agent`"),
        "{told:?}"
    );
    for (step, expected) in [
        (
            "      - run: cat prompt.md > out.md".to_owned(),
            "prompt.md:1: `$LATEST` reaches the model as it is",
        ),
        (render("'$LATEST $DRY_RUN'", dry), "prompt.md:1: `$LOWER` is not replaced: its value is passed"),
        (
            render("'$LATEST $LOWER'", ""),
            "prompt.md:7: `$DRY_RUN` reaches the model as it is: the variable is set on step `agent`",
        ),
        (render("'$LATEST $LOWER $DRY_RUN $VERSION'", dry), "prompt.md:5: `$VERSION` is erased: the list"),
        (render("'$LATEST $LOWER $DRY_RUN $OTHER'", dry), "names `$OTHER`, and prompt.md does not use it"),
        (render("\"$LATEST $LOWER $DRY_RUN\"", dry), "the list of variables is in double quotes"),
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

// ---------------------------------------------------------------------------------------------- test

/// Runs `truing prompts test` and returns the exit code and the JSON output.
fn run_prompt_tests(folder: &Path, arguments: &[&str]) -> (i32, Value) {
    let (exit, out, err) = run(folder, &[&["test", "--format", "json"], arguments].concat());
    (exit, serde_json::from_str(&out).unwrap_or_else(|_| unreachable!("{out}{err}")))
}

fn case_problems(tested: &Value, case: &str) -> String {
    let cases = tested["cases"].as_array().unwrap();
    cases.iter().find(|one| one["name"] == case).unwrap()["problems"].to_string()
}

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Returns the text of an operator's prompt that declares the variable `what`.
fn operator_module(name: &str, text: &str) -> String {
    format!(
        "+++\nname = \"house/{name}\"\ndescription = \"d\"\n[variables.what]\ntype = \"word\"\ndescription \
         = \"d\"\n+++\n{text}\n"
    )
}

/// Returns a test case for the operator's prompts. `needs` lists the texts that the task must contain; `more`
/// is added at the end.
fn operator_module_case(needs: &str, more: &str) -> String {
    format!(
        "description = \"d\"\nroute = \"sync/bump\"\n[system]\nprompt = \"house/who\"\nvalues = {{ what \
         = \"cat\" }}\n[task]\nprompt = \"house/about\"\nvalues = {{ what = \"dog\" }}\nneeds = \
         {needs}\n[[right]]\ntool = \"report\"\ninput = {{ summary = \"s\", completed = [\"dog\"], remaining \
         = [] }}\n[[wrong]]\ntool = \"report\"\ninput = {{ summary = \"s\", completed = [], remaining = \
         [\"dog\"] }}\n[[expect]]\ntool = \"report\"\ninput = {{ remaining = [] }}\n{more}"
    )
}

#[test]
fn every_case_that_is_shipped_passes_and_every_mistake_is_noticed() {
    let here = tempfile::tempdir().unwrap();
    let (exit, all) = run_prompt_tests(here.path(), &["--mutate"]);
    assert_eq!(exit, 0, "{all}");
    let cases = all["cases"].as_array().unwrap();
    assert!(cases.iter().all(|case| case["passed"] == true && case["turns"].as_u64() > Some(0)), "{all}");
    // Every prompt of the loops is used by at least one case.
    assert_eq!(all["not_covered"], json!([]));
    let count = |what: &str| all["mistakes"][what].as_u64().unwrap();
    let by = [count("noticed_by_check"), count("noticed_by_values"), count("noticed_by_cases")];
    println!("{} mistakes: {by:?} noticed by check, values, cases", count("made"));
    assert_eq!((all["mistakes"]["unnoticed"].as_array().unwrap().len(), by.iter().sum()), (0, count("made")));
    assert!(count("made") > 200 && by.into_iter().all(|count| count > 20), "{by:?}");
    let (exit, text, _) = run(here.path(), &["test", "--case", "sync/bump"]);
    assert_eq!((exit, text.as_str()), (0, "sync/bump: passed\n1 case, 0 failed\n"));
}

#[test]
fn a_prompt_that_no_longer_says_what_is_needed_fails_its_case() {
    let here = tempfile::tempdir().unwrap();
    let step = include_str!("../../../agent/prompts/sync/step-4b-bump.md");
    let clause = "Do not replace the counterpart with a copy of";
    write(
        here.path(),
        "p/sync/step-4b-bump.md",
        &step.replace(clause, "Replace the counterpart by a copy of"),
    );
    let (exit, all) = run_prompt_tests(here.path(), &["p"]);
    let told = case_problems(&all, "sync/bump");
    assert!(exit == 1 && told.contains("the request lacks: Carry over"), "{told}");
    // The scripted model did not find the required text, so it made other calls, and the case failed.
    assert!(told.contains("not called: edit"), "{told}");
    assert_eq!(case_problems(&all, "sync/go-on"), "[]");
    // Line breaks within the required text have no effect.
    write(here.path(), "p/sync/step-4b-bump.md", &step.replace("Do not replace", "Do not\n   replace"));
    assert_eq!(run_prompt_tests(here.path(), &["p"]).0, 0);
    // The changed prompt contains a variable for which the case has no value.
    let task = include_str!("../../../agent/prompts/sync/task.md");
    write(here.path(), "p/sync/task.md", &task.replace("from", "since"));
    let (exit, all) = run_prompt_tests(here.path(), &["p"]);
    assert!(exit == 1 && case_problems(&all, "sync/bump").contains("`since` is not given"), "{all}");
}

#[test]
fn somebody_s_own_prompts_are_tested_by_their_own_cases() {
    let here = tempfile::tempdir().unwrap();
    write(here.path(), "p/house/who.md", &operator_module("who", "You like every {{ what }}."));
    write(here.path(), "p/house/about.md", &operator_module("about", "Look for the {{ what }}."));
    let whole = "[\"Look for the dog.\"]\n[[expect]]\ntool = \"report\"\ninput = { completed = [\"dog\"] }";
    let other = operator_module_case(whole, "").replace("[task]", "needs = [\"every cat\"]\n[task]");
    write(here.path(), "p/cases/house/pet.toml", &other);
    let (exit, all) = run_prompt_tests(here.path(), &["p", "--mutate"]);
    assert_eq!((exit, &all["mistakes"]["unnoticed"]), (0, &json!([])), "{all}");
    // This case does not check where the value `what` occurs, so two mutations are not detected. The command
    // reports them.
    write(here.path(), "p/cases/house/pet.toml", &operator_module_case("[\"Look for\"]", ""));
    let (exit, all) = run_prompt_tests(here.path(), &["p", "--mutate", "--case", "house/pet"]);
    let unnoticed = all["mistakes"]["unnoticed"].as_array().unwrap();
    assert_eq!((exit, unnoticed.len()), (1, 2), "{all}");
    assert_eq!(
        unnoticed[0],
        "house/about: the placeholder of `what` is moved to the end, and `0.0.0` replaces the placeholder"
    );
    // A case in the folder replaces the built-in case with the same name.
    write(here.path(), "p/cases/sync/bump.toml", &operator_module_case("[\"Look for\"]", ""));
    assert_eq!(run_prompt_tests(here.path(), &["p"]).1["cases"].as_array().unwrap().len(), 17);
    // If a call of the script fails, the case fails.
    let broken = "[[right]]\ntool = \"read\"\ninput = { path = \"none.py\" }\n[[right]]";
    let broken = operator_module_case("[\"Look for\"]", "").replacen("[[right]]", broken, 1);
    write(here.path(), "p/cases/sync/bump.toml", &broken);
    let (exit, all) = run_prompt_tests(here.path(), &["p"]);
    assert!(exit == 1 && case_problems(&all, "sync/bump").contains("a call failed: read"), "{all}");
    // If the script's report is invalid, the case fails, too.
    let unread = operator_module_case("[\"Look for\"]", "").replacen("completed = [\"dog\"],", "", 1);
    write(here.path(), "p/cases/sync/bump.toml", &unread);
    let (exit, all) = run_prompt_tests(here.path(), &["p"]);
    assert!(exit == 1 && case_problems(&all, "sync/bump").contains("a call failed: report"), "{all}");
    // The error names the missing prompt, or the variable with the invalid value.
    for (from, to, told) in [
        ("house/about", "house/none", "there is no prompt `house/none`"),
        ("what = \"dog\"", "", "about.md:4: variable `what` is not given"),
        ("what = \"dog\"", "what = \"a dog\"", "variable `what` must be one word"),
        (
            "what = \"dog\"",
            "what = \"dog\", why = \"x\"",
            "`why` is given, but no module of the prompt declares it",
        ),
    ] {
        write(
            here.path(),
            "p/cases/sync/bump.toml",
            &operator_module_case("[\"Look for\"]", "").replace(from, to),
        );
        let (exit, all) = run_prompt_tests(here.path(), &["p"]);
        assert!(exit == 1 && case_problems(&all, "sync/bump").contains(told), "{told}: {all}");
    }
}

#[test]
fn the_module_and_the_case_that_are_explained_are_right() {
    let here = tempfile::tempdir().unwrap();
    let page = include_str!("../../../../docs/prompts.md");
    let block = |kind: &str| {
        let (_, rest) = page.split_once(&format!("```{kind}\n")).unwrap();
        rest.split_once("```").unwrap().0.to_owned()
    };
    write(here.path(), "p/cases/sync/tone.toml", &block("toml"));
    let (exit, all) = run_prompt_tests(here.path(), &["p", "--case", "sync/tone"]);
    assert_eq!((exit, &all["cases"][0]["passed"]), (0, &json!(true)), "{all}");
    write(here.path(), "q/sync/common.md", &block("markdown"));
    write(
        here.path(),
        "q/house/tone.md",
        "+++\nname = \"house/tone\"\ndescription = \"d\"\n+++\nBe brief.\n",
    );
    assert_eq!(run(here.path(), &["check", "q"]).1, "no problems\n");
}

#[test]
fn what_is_no_case_is_refused_with_its_line() {
    let here = tempfile::tempdir().unwrap();
    let good = operator_module_case("[\"Look for\"]", "");
    let refused = |text: &[u8]| {
        write(here.path(), "p/cases/one.toml", "");
        std::fs::write(here.path().join("p/cases/one.toml"), text).unwrap();
        let (exit, out, err) = run(here.path(), &["test", "p"]);
        assert_eq!((exit, out.as_str()), (2, ""), "{err}");
        err.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let changed = |from: &str, to: &str| good.replacen(from, to, 1).into_bytes();
    for (text, told) in [
        (changed("route", "colour = 1\nroute"), "one.toml:2: the case is wrong: unknown field `colour`"),
        (changed("sync/bump", "sync/none"), "one.toml:2: the case is wrong: there is no route `sync/none`"),
        (changed("\"d\"\n", "\"d\"\ndescription = \"e\"\n"), "one.toml:2: the case is wrong: duplicate key"),
        (changed("\"dog\" }", "3 }"), "one.toml:8: the case is wrong: invalid type"),
        (changed("[\"Look for\"]", "[]"), "`needs` is empty in both `system` and `task`"),
        (changed("[\"Look for\"]", "[\" \"]"), "an entry of `needs` is empty"),
        (changed("tool = \"report\"", "tool = \"read\""), "`right` has to end with a call of `report`"),
        (changed("remaining = [\"dog\"]", "remaining = []"), "`wrong` does all that is expected"),
        (changed("remaining = []", "remaining = [\"x\"]"), "`right` does not have the expected effect"),
        (
            format!("{good}[files]\n\"../x\" = \"\"\n").into_bytes(),
            "`../x` must be a relative path without `.` and `..`",
        ),
        (
            format!("{good}#{}", "x".repeat(300_000)).into_bytes(),
            "one.toml:1: it is longer than 262144 bytes",
        ),
        (
            "[".repeat(101).into_bytes(),
            "one.toml:1: the case is wrong: more than 100 brackets are open at once",
        ),
        (b"description = \"\xff\"".to_vec(), "one.toml:1: it is not UTF-8 text"),
        (Vec::new(), "one.toml:1: the case is wrong: missing field `description`"),
    ] {
        let err = refused(&text);
        assert!(err.contains(told), "{told}: {err}");
    }
    std::fs::create_dir(here.path().join("empty")).unwrap();
    write(here.path(), "file", "x");
    write(here.path(), "odd/cases", "x");
    write(here.path(), "circle/a.md", "+++\nname = \"a\"\ndescription = \"d\"\nincludes = [\"a\"]\n+++\n");
    for (folder, told) in [
        ("empty", "holds neither prompts nor cases"),
        ("none", "cannot be read"),
        ("file", "cannot be read"),
        ("odd", "cases cannot be read"),
        ("circle", "a.md:4: it includes `a`, which is in the prompt already"),
    ] {
        let (exit, out, err) = run(here.path(), &["test", folder]);
        assert!(exit == 2 && out.is_empty() && err.contains(told), "{told}: {err}");
    }
    let (exit, _, err) = run(here.path(), &["test", "--case", "sync/bmp"]);
    assert!(exit == 2 && err.contains("no case `sync/bmp` (known: converge/audit"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configured_model_is_asked_only_with_a_key_and_is_judged_by_what_it_does() {
    let here = tempfile::tempdir().unwrap();
    let edit = json!({ "path": "aiobotocore/credentials.py", "old": "await self._fetcher.get(uri)",
        "new": "await self._fetcher.get(uri, headers=headers)" });
    let lost = json!({ "path": "none.py" });
    let report = |completed: &str| {
        let said = json!({ "summary": "s", "completed": [completed], "remaining": [] });
        ScriptedAnswer::tool("report", said)
    };
    // The case passes even if one of the calls of the real model fails.
    let right = [
        ScriptedAnswer::tool("read", lost),
        ScriptedAnswer::tool("edit", edit),
        report("fetch: _create_fetcher"),
    ];
    let model = FakeModel::start(ModelScript::from_answers(right)).await.unwrap();
    let config = format!(
        "[store]\nurl = \"sqlite:{}\"\n[model]\nbase_url = \"{}\"\n",
        here.path().join("t.db").display(),
        model.url()
    );
    std::fs::write(here.path().join("truing.toml"), config).unwrap();
    let ask = |key: Option<&str>| {
        let mut command = Command::new(TRUING);
        command.args(["prompts", "test", "--live", "--case", "sync/bump", "--format", "json"]);
        command
            .args(["--config", "truing.toml"])
            .current_dir(here.path())
            .env_clear()
            .env("HOME", here.path());
        command.envs(key.map(|key| ("ANTHROPIC_API_KEY", key)));
        tokio::task::spawn_blocking(move || {
            let ran = command.output().unwrap();
            let text = |bytes| String::from_utf8(bytes).unwrap();
            (ran.status.code().unwrap(), text(ran.stdout), text(ran.stderr))
        })
    };
    let (exit, _, err) = ask(None).await.unwrap();
    assert!(exit == 2 && err.contains("model.api_key"), "{err}");
    assert_eq!(model.request_log().len(), 0);

    let (exit, out, err) = ask(Some(DEFAULT_API_KEY)).await.unwrap();
    assert!(err.contains("1 case: at most $0.50 each, $0.50 in all"), "{err}");
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((exit, &answer["cases"][0]["passed"]), (0, &json!(true)), "{out}");
    assert!(answer["cost_micro_usd"].as_u64() > Some(0), "{out}");
    let asked = model.request_log()[0].body.clone();
    assert!(asked["system"].to_string().contains("Carry over what the release changed"), "{asked}");
    assert!(!asked["tools"].to_string().contains("\"run\""), "nothing is run: {asked}");

    model.set_script(ModelScript::from_answers([report("_create_fetcher")]));
    let (exit, out, _) = ask(Some(DEFAULT_API_KEY)).await.unwrap();
    assert!(exit == 1 && out.contains("not called: edit"), "{out}");
    let (exit, _, err) = ask(Some("wrong")).await.unwrap();
    assert!(exit == 3 && err.contains("the model cannot be called"), "{err}");
    assert_eq!(model.violations(), Vec::<String>::new());
}

// ---------------------------------------------------------------------------------------------- in CI

/// Parses an example of a workflow. Returns the workflow, and the scripts of its only job.
fn parse_workflow_example(text: &str) -> (Value, Vec<String>) {
    let workflow: Value = serde_saphyr::from_str(text).unwrap();
    let jobs = workflow["jobs"].as_object().unwrap();
    assert_eq!(jobs.len(), 1);
    let steps = jobs.values().flat_map(|job| job["steps"].as_array().unwrap());
    let scripts = steps.filter_map(|step| step["run"].as_str()).map(str::to_owned).collect();
    (workflow, scripts)
}

/// Runs these scripts with `bash` in a folder, as a CI runner does. Returns the exit codes.
fn run_scripts(folder: &Path, scripts: &[String]) -> Vec<i32> {
    let programs = Path::new(TRUING).parent().unwrap();
    let run = |script: &String| {
        let mut shell = Command::new("bash");
        shell.args(["-e", "-c", script]).current_dir(folder).env_clear().env("HOME", folder);
        shell.env("PATH", format!("{}:/usr/bin:/bin", programs.display()));
        shell.output().unwrap().status.code().unwrap()
    };
    scripts.iter().map(run).collect()
}

const PROMPTS_YML: &str = include_str!("../../../../examples/ci/prompts.yml");
const ENVSUBST_YML: &str = include_str!("../../../../examples/ci/envsubst-prompt.yml");

#[test]
fn the_workflows_that_are_shipped_may_read_only_are_pinned_and_run_when_their_files_change() {
    for (name, text) in [("prompts.yml", PROMPTS_YML), ("envsubst-prompt.yml", ENVSUBST_YML)] {
        let (workflow, scripts) = parse_workflow_example(text);
        assert_eq!(workflow["permissions"], json!({ "contents": "read" }), "{name}");
        assert_eq!(
            workflow["on"].as_object().unwrap().keys().collect::<Vec<_>>(),
            ["pull_request"],
            "{name}"
        );
        let paths = workflow["on"]["pull_request"]["paths"].as_array().unwrap();
        assert!(paths.contains(&json!(format!(".github/workflows/{name}"))), "{name}");
        // The path filter of the workflow contains every file that the scripts name.
        let words = scripts.iter().flat_map(|script| script.split_whitespace());
        for file in words.filter(|word| word.starts_with(".github/")) {
            assert!(paths.contains(&json!(file)), "{name}: {file}");
        }
        for uses in text.lines().filter_map(|line| line.split_once("uses: ")) {
            let (_, pin) = uses.1.split_once('@').unwrap();
            let commit = pin.split(' ').next().unwrap();
            assert!(
                commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{name}: {pin}"
            );
        }
        assert!(!text.contains("secrets."), "{name}");
    }
    let (workflow, _) = parse_workflow_example(PROMPTS_YML);
    assert_eq!(workflow["on"]["pull_request"]["paths"][0], "prompts/**");
}

#[test]
fn what_the_workflow_for_prompts_runs_fails_where_a_prompt_is_wrong() {
    let here = tempfile::tempdir().unwrap();
    let (_, scripts) = parse_workflow_example(PROMPTS_YML);
    let about = operator_module("about", "Look for the {{ what }}.");
    let sound = [("who", operator_module("who", "You like every {{ what }}.")), ("about", about.clone())];
    for (name, text) in sound {
        write(here.path(), &format!("prompts/house/{name}.md"), &text);
    }
    write(here.path(), "prompts/cases/house/pet.toml", &operator_module_case("[\"Look for the dog.\"]", ""));
    assert_eq!(run_scripts(here.path(), &scripts), [0, 0, 0]);
    for (wrong, exits) in [
        // The prompt uses an undeclared variable. The check fails, and the test cannot load the prompt.
        (about.replace("the {{", "the {{ colour }} {{"), [1, 2, 0]),
        (about.replace("Look for", "Do not look for"), [0, 1, 0]),
        (about.replace("}}.", &format!("}}}}. {}", "word ".repeat(40).trim())), [0, 0, 1]),
    ] {
        write(here.path(), "prompts/house/about.md", &wrong);
        assert_eq!(run_scripts(here.path(), &scripts), exits, "{wrong}");
    }
}

#[test]
fn what_the_workflow_for_an_envsubst_prompt_runs_fails_where_a_variable_is_lost() {
    let here = tempfile::tempdir().unwrap();
    let (_, scripts) = parse_workflow_example(ENVSUBST_YML);
    write(here.path(), ".github/botocore-sync-prompt.md", "Follow botocore $LATEST.\n");
    for (list, exit) in [("'$LATEST'", 0), ("'$NEWEST'", 1)] {
        let step = format!(
            "      - run: envsubst {list} < .github/botocore-sync-prompt.md > \"$RUNNER_TEMP/prompt.md\""
        );
        write(here.path(), ".github/workflows/botocore-sync.yml", &workflow_with_step(&step));
        assert_eq!(run_scripts(here.path(), &scripts), [exit], "{list}");
    }
}

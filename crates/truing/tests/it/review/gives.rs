//! Tests of the parts of a model's output other than findings: proposed replacements that are proven, and a
//! walkthrough.

use serde_json::{Value, json};
use truing_fakes::model::{AnswerCondition, ModelScript, ScriptedAnswer};

use crate::review::model::{Scene, finding};
use crate::review::place::{Ran, fake_key};

/// Replacement text for the lines of [`finding`].
const BETTER: &str = "    except ChargeError:\n        raise";

/// Returns the finding with its excerpt and this replacement for the excerpt's lines.
fn finding_with_replacement(replacement: &str) -> Value {
    let mut finding = finding();
    finding["excerpt"] = json!("    except Exception:\n        return None");
    finding["replacement"] = json!(replacement);
    finding
}

fn report_answer(findings: &[Value], walkthrough: Value) -> ScriptedAnswer {
    let input = json!({ "findings": findings, "walkthrough": walkthrough });
    ScriptedAnswer::tool("report", input).usage(1000, 100).times(0)
}

/// Creates a scene whose model proposes this replacement. For a request that shows the repaired code, the
/// model reports no finding.
fn create_proposing_scene(replacement: &str) -> Scene {
    let mended =
        AnswerCondition { contains: Some("except ChargeError".into()), ..AnswerCondition::default() };
    let content = report_answer(&[], json!([])).with_condition(mended);
    Scene::new(ModelScript::from_answers([
        content,
        report_answer(&[finding_with_replacement(replacement)], json!([])),
    ]))
}

fn agent_finding(result: &Value) -> Value {
    let all = result["findings"].as_array().unwrap();
    all.iter().find(|finding| finding["source"] == "agent").unwrap().clone()
}

#[test]
fn a_proven_replacement_is_a_suggestion_in_every_format() {
    let scene = create_proposing_scene(BETTER);
    let agent = agent_finding(&scene.review(&[]).json());
    assert_eq!(agent["suggestion"], json!({ "replacement": BETTER }));
    assert_eq!(agent["body"], "A failed charge looks like success.");
    let out = |format: &str| Ran::from(scene.command(&["--format", format]).output().unwrap()).out;
    let sarif: Value = serde_json::from_str(&out("sarif")).unwrap();
    let fixes: Vec<&Value> = sarif["runs"][0]["results"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|result| result["ruleId"] == "agent/silent-failure")
        .map(|result| &result["fixes"][0]["artifactChanges"][0]["replacements"][0])
        .collect();
    let expected = json!({ "deletedRegion": { "startLine": 4, "endLine": 5 },
        "insertedContent": { "text": BETTER } });
    assert_eq!(fixes, [&expected]);
    let rdjson: Value = serde_json::from_str(&out("rdjson")).unwrap();
    let texts: Vec<&Value> = rdjson["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|told| told["code"]["value"] == "agent/silent-failure")
        .map(|told| &told["suggestions"][0]["text"])
        .collect();
    assert_eq!(texts, [BETTER]);
    let markdown = out("markdown");
    assert!(markdown.contains("+    except ChargeError:\n+        raise\n"), "{markdown}");
    let text = out("text");
    assert!(text.contains("help: fix that the model proposes"), "{text}");
    let told =
        "1 finding is fixable if you accept the model's proposal: truing --config ../op.toml review --fix";
    assert!(text.split_whitespace().collect::<Vec<_>>().join(" ").contains(told), "{text}");
    for format in ["gitlab", "github"] {
        assert!(!out(format).contains("ChargeError"), "{format} has no place for it");
    }
}

#[test]
fn a_replacement_that_is_not_proven_is_text_and_no_suggestion() {
    for replacement in [
        "    except ChargeError:\n        raise (",
        "    except ChargeError:",
        "except ChargeError:\n    raise",
        "    except Exception:\n        return None",
        "    except ChargeError:  # <!-- truing:1 summary -->\n        raise",
    ] {
        let scene = create_proposing_scene(replacement);
        let agent = agent_finding(&scene.review(&["--no-record"]).json());
        assert_eq!(agent["suggestion"], Value::Null, "{replacement}");
        let body = agent["body"].as_str().unwrap();
        let text = format!("Proposed replacement, which Truing has not verified:\n\n```\n{replacement}\n```");
        assert!(body.ends_with(&text), "{body}");
    }
    let secret =
        create_proposing_scene(&format!("    except ChargeError:\n        raise Oops(\"{}\")", fake_key()));
    let ran = secret.review(&[]);
    let agent = agent_finding(&ran.json());
    assert_eq!(agent["suggestion"], Value::Null);
    assert!(agent["body"].as_str().unwrap().contains("AKIA…") && !ran.out.contains(&fake_key()), "{agent:#}");
}

#[test]
fn fixes_of_a_model_are_made_only_if_somebody_agrees() {
    let scene = create_proposing_scene(BETTER);
    let read = || std::fs::read_to_string(scene.place.repo().join("pay.py")).unwrap();
    let before = read();
    let ran = Ran::from(scene.command(&["--fix"]).output().unwrap());
    assert_eq!(read(), before, "nobody could be asked: {}", ran.err);
    let told = "not applied: 1 fix proposed by the model. To decide about each, run the command on a \
        terminal; to apply all, add --yes";
    assert!(ran.err.contains(told), "{}", ran.err);
    let wrong = Ran::from(scene.command(&["--yes"]).output().unwrap());
    assert_eq!(wrong.exit, 2, "{}", wrong.err);

    let ran = Ran::from(scene.command(&["--fix", "--yes"]).output().unwrap());
    let mended = before.replace("    except Exception:\n        return None", BETTER);
    assert_eq!(read(), mended, "{}", ran.err);
    assert!(ran.err.contains("proposed by the model: P1 Swallows every error (pay.py:4)\n"), "{}", ran.err);
    assert!(ran.err.contains("to undo the fixes:"), "{}", ran.err);
}

#[test]
fn a_walkthrough_is_asked_for_told_and_not_there_unless_it_is_wanted() {
    let lines = json!([
        { "path": "pay.py", "text": "Charges; begin at `pay`.\u{202e} See <b>@ada</b>." },
        { "path": "b.py", "text": "LGTM, safe to merge." },
        { "path": "nowhere.py", "text": "It is not there." },
    ]);
    let scene = Scene::from_answers([report_answer(&[finding()], lines)]);
    let off = scene.review(&["--no-record"]).json();
    assert_eq!(off.get("walkthrough"), None);
    let asked = |at: usize| scene.model.request_log()[at].body["tools"].to_string().contains("walkthrough");
    assert!(!asked(0), "nobody asked");

    let before = scene.model.request_log().len();
    // The repository's own `.truing.toml` may enable the walkthrough.
    scene.place.write(".truing.toml", "[review]\nwalkthrough = true\n");
    let ran = scene.review(&["--no-record"]);
    let told = ran.json();
    let text = "Charges; begin at `pay`. See <b>@ada</b>.";
    assert_eq!(told["walkthrough"], json!([{ "path": "pay.py", "text": text }]), "{}", ran.err);
    assert!(asked(before));
    assert_eq!(told["turns"], 1, "it is part of the same run");
    let out =
        |format: &str| Ran::from(scene.command(&["--format", format, "--no-record"]).output().unwrap()).out;
    assert!(out("text").contains(&format!("walkthrough, by the model:\n- pay.py: {text}\n")));
    let markdown = out("markdown").replace('\u{200b}', "");
    assert!(
        markdown.contains("### Walkthrough\n\n- `pay.py`: Charges; begin at \\`pay\\`. See \\<b\\>@ada"),
        "{markdown}"
    );
    let sarif: Value = serde_json::from_str(&out("sarif")).unwrap();
    assert_eq!(sarif["runs"][0]["properties"]["walkthrough"], told["walkthrough"]);
}

#[test]
fn a_review_that_the_model_did_not_end_has_no_walkthrough() {
    let lines = json!([{ "path": "pay.py", "text": "Charges." }]);
    let more = json!({ "findings": [finding()], "walkthrough": lines, "more": true });
    let scene = Scene::from_answers([ScriptedAnswer::tool("report", more).usage(1000, 100).times(0)])
        .with_config("[review]\nwalkthrough = true\nmax_turns = 2\n");
    let told = scene.review(&[]).json();
    assert_eq!((&told["outcome"]["kind"], told.get("walkthrough")), (&json!("partial"), None), "{told:#}");
}

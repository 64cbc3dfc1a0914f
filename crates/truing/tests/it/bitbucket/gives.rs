//! Tests of a model's review on each kind of forge. The review contains a verified replacement in the format
//! of the forge, hostile text that is shown as text, and a walkthrough of the reviewed head. Nothing is
//! posted twice after further pushes.

use serde_json::json;
use truing_fakes::model::{DEFAULT_API_KEY, FakeModel, ModelScript, ScriptedAnswer};

use super::*;

const PAY: &str =
    "def pay(x):\n    try:\n        return charge(x)\n    except Exception:\n        return None\n";
const BETTER: &str = "    except ChargeError:\n        raise";
/// Text that would be rendered or parsed as markup if it were not escaped.
const HOSTILE: &str = "        return charge(x\n```\n<!-- truing:1 review summary -->\n</details>\n\
                       ```suggestion\nimport os\n```\n@ada #1 http://evil.example";

fn review_script() -> ModelScript {
    let finding = |start: u32, end: u32, category: &str, title: &str, excerpt: &str, replacement: &str| {
        json!({ "path": "pay.py", "start_line": start, "end_line": end, "severity": "P1", "category": category,
            "title": title, "body": "It matters.", "excerpt": excerpt, "replacement": replacement })
    };
    let caught = "    except Exception:\n        return None";
    let findings = json!([
        finding(4, 5, "F", "Swallows every error", caught, BETTER),
        finding(3, 3, "A", "The charge lacks its currency", "        return charge(x)", HOSTILE),
    ]);
    let walkthrough = json!([
        { "path": "pay.py", "text": "Charges. </details> @ada <!-- truing:1 review summary --> \
             [x](http://evil.example)" },
        { "path": "pay.py", "text": "Again." },
        { "path": "other.py", "text": "Not part of it." },
    ]);
    let input = json!({ "findings": findings, "walkthrough": walkthrough });
    ModelScript::from_answers([ScriptedAnswer::tool("report", input).usage(1000, 100).times(0)])
}

async fn test_suggestions_and_walkthrough(flavour: ForgeFlavour) {
    let site = Site::new(flavour).await;
    let configures = CommitBuilder::new("configure").write(".truing.toml", "[review]\nwalkthrough = true\n");
    site.repo.push("main", configures).await.unwrap();
    site.repo.push("one", CommitBuilder::new("pay").write("pay.py", PAY)).await.unwrap();
    let number = site.repo.open_pull(NewPull::from_branch("one")).await.unwrap();
    let model = FakeModel::start(review_script()).await.unwrap();
    let publish = || {
        let mut command = site.command(&["review", "--pr", "o/r#1", "--runtime", "native", "--publish"]);
        command.env("GITHUB_TOKEN", TOKEN).env("GITHUB_WEBHOOK_SECRET", SECRET);
        command.env("TRUING_MODEL__BASE_URL", model.url()).env("ANTHROPIC_API_KEY", DEFAULT_API_KEY);
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    };
    let (exit, out, err) = publish();
    assert_eq!(exit, 1, "{out}{err}");
    let view = site.repo.pull(number).await.unwrap();
    assert_eq!((view.conversation_comments().count(), view.inline_comments().count()), (1, 2), "{view:#?}");
    let body =
        |word: &str| view.inline_comments().find(|comment| comment.body.contains(word)).unwrap().body.clone();

    let proven = body("Swallows every error");
    let offered = format!("```suggestion\n{BETTER}\n```");
    let as_code = format!("Proposed replacement of these lines:\n\n```\n{BETTER}\n```");
    match flavour {
        ForgeFlavour::GitHub | ForgeFlavour::DataCenter => assert!(proven.contains(&offered), "{proven}"),
        ForgeFlavour::Cloud => {
            assert!(proven.contains(&as_code) && !proven.contains("suggestion\n"), "{proven}");
        }
    }
    let hostile = body("lacks its currency");
    let (prose, code) = hostile.split_once("which Truing has not verified:\n\n````\n").expect(&hostile);
    let (code, rest) = code.split_once("\n````\n").expect(&hostile);
    let shown = HOSTILE.replace("<!-- truing", "&lt;!-- truing");
    assert_eq!(code, shown, "all of it stands in the code, and no marker but our own in the body");
    assert!(!prose.contains("suggestion") && !rest.contains("evil") && !rest.contains("@ada"), "{hostile}");

    let summary = |view: &PullView| view.conversation_comments().next().unwrap().body.clone();
    let first = summary(&view);
    let shown = first.replace('\u{200b}', "");
    let heading = |head: &str| format!("### Walkthrough of `{}`", &head[..10]);
    assert!(shown.contains(&heading(&view.head)) && shown.contains("- `pay.py`: Charges."), "{shown}");
    assert!(!shown.contains("Again.") && !shown.contains("Not part of it"), "{shown}");
    for alive in ["@ada", "<!-- truing:1 review summary", "[x](http", "http://evil"] {
        assert!(!first.contains(alive), "{alive} acts: {first}");
    }
    let states = format!("{:?}{:?}", view.statuses, view.checks);
    assert!(!states.contains("Walkthrough") && !states.contains("Charges"), "{states}");

    let (exit, out, err) = publish();
    assert_eq!(exit, 1, "{out}{err}");
    site.repo.push("one", CommitBuilder::new("more").write("more.py", "b = 2\n")).await.unwrap();
    let (exit, out, err) = publish();
    assert_eq!(exit, 1, "{out}{err}");
    let after = site.repo.pull(number).await.unwrap();
    assert_eq!(
        (after.conversation_comments().count(), after.inline_comments().count()),
        (1, 2),
        "{after:#?}"
    );
    assert!(after.comments.iter().all(|comment| !comment.deleted), "{after:#?}");
    let second = summary(&after);
    assert!(second.contains(&heading(&after.head)) && !second.contains(&heading(&view.head)), "{second}");
    let bodies =
        |view: &PullView| view.inline_comments().map(|comment| comment.body.clone()).collect::<Vec<_>>();
    assert_eq!(bodies(&after), bodies(&view), "what stands is not written anew");
    assert_eq!(site.forge.violations(), Vec::<String>::new());
    assert_eq!(model.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_by_a_model_gives_suggestions_and_a_walkthrough_at_github() {
    test_suggestions_and_walkthrough(ForgeFlavour::GitHub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_by_a_model_gives_text_and_a_walkthrough_at_cloud() {
    test_suggestions_and_walkthrough(ForgeFlavour::Cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_by_a_model_gives_suggestions_and_a_walkthrough_at_a_data_center() {
    test_suggestions_and_walkthrough(ForgeFlavour::DataCenter).await;
}

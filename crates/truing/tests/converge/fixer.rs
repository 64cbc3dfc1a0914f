//! `--fixer`: another model mends than the one that audits.

use serde_json::json;
use truing_fakes::model::{FakeModel, KEY, Script};

use crate::place::Ran;
use crate::scene::{BUG_ID, RIGHT, Scene, WRONG, clean, dirty, edit, fix_is_clean, mended};

/// A second model, at $0.11 a request.
async fn mender() -> (FakeModel, String) {
    let answers = [edit("total.py", WRONG, RIGHT), mended(&[(BUG_ID, None)])];
    let model = FakeModel::start(Script::of(answers)).await.unwrap();
    let config = format!(
        "[model.mender]\nbase_url = \"{}\"\napi_key = {{ env = \"MENDER_KEY\" }}\nname = \"mender-1\"\n\
         [price.\"mender-1\"]\ninput = 100\noutput = 100\n",
        model.url()
    );
    (model, config)
}

fn run(scene: &Scene, arguments: &[&str]) -> Ran {
    let mut command = scene.command(&[&["--format", "json"], arguments].concat());
    Ran::from(command.env("MENDER_KEY", KEY).output().unwrap())
}

#[test]
fn the_fix_is_asked_of_the_second_model_alone_and_its_cost_is_the_runs() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for is_flag in [true, false] {
        let (second, config) = runtime.block_on(mender());
        let key = if is_flag { "" } else { "[converge]\nfixer = \"mender\"\n" };
        let scene = Scene::new([dirty(), fix_is_clean(), clean()]).with(&format!("{config}{key}"));
        let ran = run(&scene, if is_flag { &["--fixer", "mender"] } else { &[] });
        let told = ran.json();
        assert_eq!((ran.exit, &told["exit"], &told["loops"]), (0, &json!("converged"), &json!(2)), "{ran:?}");
        assert_eq!(told["cost_micro_usd"], json!(3 * 3_000 + 2 * 110_000));
        let (first, second) = (scene.model.log(), second.log());
        assert_eq!((first.len(), second.len()), (3, 2));
        assert!(second.iter().all(|request| request.body["model"] == "mender-1"));
        assert!(first.iter().all(|request| request.body["model"] != "mender-1"));
    }
}

#[test]
fn what_it_costs_counts_against_the_same_limit() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_second, config) = runtime.block_on(mender());
    let scene = Scene::new([dirty()]).with(&format!("{config}[budget]\nconverge_usd = 0.1\n"));
    let ran = run(&scene, &["--fixer", "mender"]);
    let told = ran.json();
    assert_eq!((ran.exit, &told["exit"], &told["code"]), (4, &json!("error"), &json!("budget")), "{ran:?}");
}

#[test]
fn a_model_that_is_not_there_is_named_with_those_that_are_before_anything_is_asked() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (second, config) = runtime.block_on(mender());
    let wrong = "must be the NAME of a `[model.NAME]`, not `nobody`: there are `mender`";
    let scene = Scene::new([]).with(&config);
    let ran = run(&scene, &["--fixer", "nobody"]);
    assert!(ran.exit == 2 && ran.err.contains(&format!("error: --fixer {wrong}\nhint: ")), "{ran:?}");
    let scene = scene.with(&format!("{config}[converge]\nfixer = \"nobody\"\n"));
    let ran = run(&scene, &[]);
    assert!(ran.exit == 2 && ran.err.contains(&format!("`converge.fixer` {wrong}\n")), "{ran:?}");
    // One whose key is not there is no fixer.
    let scene = scene.with(&config);
    let ran = scene.run(&["--fixer", "mender"]);
    let said = "error: Required subagent type clean-coder not installed. /bugteam needs both code-quality-agent and clean-coder available.\n";
    assert!(
        ran.exit == 2 && ran.err.contains(said) && ran.err.contains("[model.mender]: model.mender.api_key: "),
        "{ran:?}"
    );
    assert_eq!((scene.asked(), second.log().len()), (0, 0));
}

//! A run that dies after any act, before it has remembered that it was done: it goes on, and nothing is there twice.

use rusqlite::Connection;
use serde_json::{Value, json};
use truing_fakes::model::{Answer, When};

use crate::converge::scene::{BUG, BUG_ID, RIGHT, Scene, WRONG, clean, dirty, edit, fix_is_clean, mended};

/// Answers by what is asked, however often.
pub(crate) fn by_what_is_asked(starting: &str) -> Vec<Answer> {
    let auditor = || vec!["You audit one change".to_owned()];
    let audit = |first: String| When { system: auditor(), first: vec![first], ..When::default() };
    let fixer = |contains: Option<&str>| When {
        system: vec!["You fix them on a private clone".to_owned()],
        contains: contains.map(str::to_owned),
        ..When::default()
    };
    vec![
        dirty().when(audit(format!("to {starting}"))).times(0),
        fix_is_clean().when(audit(format!("from {starting} to"))).times(0),
        clean().when(audit("Review the change".to_owned())).times(0),
        mended(&[(BUG_ID, None)]).when(fixer(Some("tool_result"))).times(0),
        edit("total.py", WRONG, RIGHT).when(fixer(None)).times(0),
    ]
}

/// Lets the write of a run fail that comes after so many.
pub(crate) fn fail_after(database: &Connection, writes: i64) {
    let sql = format!(
        "DROP TRIGGER IF EXISTS dies; DROP TABLE IF EXISTS written; CREATE TABLE written (n INTEGER);
         CREATE TRIGGER dies BEFORE INSERT ON converge WHEN (SELECT count(*) FROM written) = {writes}
             BEGIN SELECT RAISE(ABORT, 'the disk is gone'); END;
         CREATE TRIGGER IF NOT EXISTS counts AFTER INSERT ON converge
             BEGIN INSERT INTO written VALUES (1); END;"
    );
    database.execute_batch(&sql).unwrap();
}

#[test]
fn whatever_is_forgotten_is_done_again_and_nothing_is_there_twice() {
    let mut writes = 0;
    loop {
        let scene = Scene::new([]);
        let starting = scene.place.git(["rev-parse", "topic"]);
        scene.play(by_what_is_asked(&starting));
        let (dry, _) = scene.json(&["--dry-run"]);
        assert_eq!((&dry["exit"], scene.asked()), (&Value::Null, 0));
        let database = Connection::open(scene.place.store()).unwrap();
        fail_after(&database, writes);
        let ran = scene.run(&["--format", "json"]);
        if ran.exit == 0 {
            break;
        }
        assert_eq!(ran.exit, 3, "write {writes}: {ran:?}");
        fail_after(&database, -1);
        let (answer, exit) = scene.json(&[]);
        assert_eq!(
            (exit, &answer["code"], &answer["loops"]),
            (0, &json!("clean"), &json!(2)),
            "write {writes}: {answer}"
        );
        assert_eq!(answer["commits"].as_array().unwrap().len(), 1, "write {writes}: {answer}");
        let branches = scene.place.git(["branch", "--list", "--format=%(refname:short)", "truing/run/*"]);
        let branch = answer["branch"].as_str().unwrap();
        // Of a run that had forgotten itself altogether, there is no branch either.
        assert_eq!(branches, branch, "write {writes}");
        assert_eq!(
            scene.place.git(["rev-list", "--count", &format!("topic..{branch}")]),
            "1",
            "write {writes}"
        );
        let text = scene.place.git(["show", &format!("{branch}:total.py")]);
        assert_eq!(text, BUG.replace(WRONG, RIGHT).trim_end());
        writes += 1;
    }
    assert!(writes >= 10, "only {writes} acts were tried");
}

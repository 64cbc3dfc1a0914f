//! Tests of a run that fails after an action, before it can record the action. The run is resumed and must
//! not perform any action twice.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rusqlite::Connection;
use serde_json::json;
use truing_fakes::model::{AnswerCondition, ScriptedAnswer};
use truing_loops::machine::SystemClock;
use truing_store::Store;

use crate::converge::scene::{
    BUG, BUG_ID, RIGHT, Scene, WRONG, clean_audit_answer, clean_fix_answer, edit, fix_report_answer,
    planted_bug_answer,
};

/// Number of runs that are tested at the same time.
const AT_ONCE: i64 = 3;

/// Returns answers that depend on the content of the request. Each answer can be used repeatedly.
pub(crate) fn answers_by_request(starting: &str) -> Vec<ScriptedAnswer> {
    let auditor = || vec!["You audit one change".to_owned()];
    let audit = |first: String| AnswerCondition {
        system: auditor(),
        first_message: vec![first],
        ..AnswerCondition::default()
    };
    let fixer = |contains: Option<&str>| AnswerCondition {
        system: vec!["You fix them on a private clone".to_owned()],
        contains: contains.map(str::to_owned),
        ..AnswerCondition::default()
    };
    vec![
        planted_bug_answer().with_condition(audit(format!("to {starting}"))).times(0),
        clean_fix_answer().with_condition(audit(format!("from {starting} to"))).times(0),
        clean_audit_answer().with_condition(audit("Review the change".to_owned())).times(0),
        fix_report_answer(&[(BUG_ID, None)]).with_condition(fixer(Some("tool_result"))).times(0),
        edit("total.py", WRONG, RIGHT).with_condition(fixer(None)).times(0),
    ]
}

/// Creates the database, as a run would, and opens it.
pub(crate) fn create_database(file: &Path) -> Connection {
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    drop(Store::open(file, Arc::new(SystemClock)).unwrap());
    Connection::open(file).unwrap()
}

/// Makes the insertion of a converge record fail after `writes` successful insertions.
pub(crate) fn fail_write_after(database: &Connection, writes: i64) {
    let sql = format!(
        "DROP TRIGGER IF EXISTS dies; DROP TABLE IF EXISTS written; CREATE TABLE written (n INTEGER);
         CREATE TRIGGER dies BEFORE INSERT ON run
             WHEN NEW.loop = 'converge' AND (SELECT count(*) FROM written) = {writes}
             BEGIN SELECT RAISE(ABORT, 'the disk is gone'); END;
         CREATE TRIGGER IF NOT EXISTS counts AFTER INSERT ON run WHEN NEW.loop = 'converge'
             BEGIN INSERT INTO written VALUES (1); END;"
    );
    database.execute_batch(&sql).unwrap();
}

/// Makes a run fail at the write after `writes` writes, and resumes the run. Returns false if the run ends
/// before that write.
fn crash_and_resume(writes: i64) -> bool {
    let scene = Scene::new([]);
    let starting = scene.place.git(["rev-parse", "topic"]);
    scene.set_answers(answers_by_request(&starting));
    let database = create_database(&scene.place.store());
    fail_write_after(&database, writes);
    let ran = scene.run(&["--format", "json"]);
    if ran.exit == 0 {
        return false;
    }
    assert_eq!(ran.exit, 3, "write {writes}: {ran:?}");
    fail_write_after(&database, -1);
    let (answer, exit) = scene.json(&[]);
    assert_eq!(
        (exit, &answer["code"], &answer["loops"]),
        (0, &json!("clean"), &json!(2)),
        "write {writes}: {answer}"
    );
    assert_eq!(answer["commits"].as_array().unwrap().len(), 1, "write {writes}: {answer}");
    let branches = scene.place.git(["branch", "--list", "--format=%(refname:short)", "truing/run/*"]);
    let branch = answer["branch"].as_str().unwrap();
    // The branch of the resumed run is the only one: the run that could not be recorded has left no branch.
    assert_eq!(branches, branch, "write {writes}");
    assert_eq!(scene.place.git(["rev-list", "--count", &format!("topic..{branch}")]), "1", "write {writes}");
    let text = scene.place.git(["show", &format!("{branch}:total.py")]);
    assert_eq!(text, BUG.replace(WRONG, RIGHT).trim_end());
    true
}

#[test]
fn whatever_is_forgotten_is_done_again_and_nothing_is_there_twice() {
    let (next, forgotten) = (AtomicI64::new(0), AtomicI64::new(0));
    // Each thread tests the next write, until a run ends before that write. Then all writes of a run have
    // been tested.
    let tries = || {
        while crash_and_resume(next.fetch_add(1, Ordering::Relaxed)) {
            forgotten.fetch_add(1, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(tries);
        }
    });
    let forgotten = forgotten.into_inner();
    assert!(forgotten >= 10, "only {forgotten} acts were tried");
    // For each thread, exactly one run ended before the write that should have failed.
    assert_eq!(next.into_inner(), forgotten + AT_ONCE);
}

//! Tests of the state of jobs, and of the fence that rejects writes of outdated runs.

use truing_core::port::{RunStore as _, StoreError};
use truing_core::sync::job::{self, JobQuestion, JobState};
use truing_core::sync::record::{SyncDetail, SyncEvidence, SyncOutcome, SyncRecord, SyncStep};

use super::*;

pub(crate) fn run(id: &str, token: u64) -> RunReference {
    RunReference { id: RunId::new(id), key: job::job_key("botocore"), token: FencingToken(token) }
}

pub(crate) fn state_with_question(version: &str) -> JobState {
    let question = JobQuestion {
        id: "1".into(),
        version: version.into(),
        issue: 7,
        url: None,
        last_comment: None,
        manifest: None,
        is_closed: false,
    };
    JobState { question: Some(question), ..JobState::default() }
}

fn record(id: &str, ended: i64) -> SyncRecord {
    let detail = SyncDetail {
        job: "botocore".into(),
        result: SyncOutcome::RangeWidened,
        exit_reason: String::new(),
        verdict: None,
        package: "botocore".into(),
        current_release: None,
        target_release: None,
        highest_step: SyncStep::Publish,
        pull: None,
        question_url: None,
        evidence: SyncEvidence::default(),
    };
    SyncRecord::new(RunId::new(id), job::job_key("botocore"), detail, UnixMillis(ended))
}

#[tokio::test]
async fn a_job_is_remembered_by_its_newest_run_alone() {
    let (home, store) = new_store().await;
    let (first, second) = (run("a", 3), run("b", 5));
    assert_eq!(store.begin_job_run(&first).await.unwrap(), JobState::default());
    store.store_job(&first, &state_with_question("1.0")).await.unwrap();
    assert_eq!(store.begin_job_run(&first).await.unwrap(), state_with_question("1.0"), "the answer was lost");
    assert_eq!(store.begin_job_run(&second).await.unwrap(), state_with_question("1.0"));
    let late = [
        store.store_job(&first, &JobState::default()).await.unwrap_err(),
        store.end_job_run(&first, &JobState::default(), &record("a", NOW)).await.unwrap_err(),
        store.begin_job_run(&first).await.unwrap_err(),
        store.begin_job_run(&run("c", 5)).await.unwrap_err(),
    ];
    for error in late {
        assert_eq!(
            error,
            StoreError::Fenced { key: job::job_key("botocore"), greatest_token: FencingToken(5) }
        );
    }
    for _ in 0..2 {
        store.end_job_run(&second, &state_with_question("2.0"), &record("b", NOW)).await.unwrap();
    }
    drop(store);
    let store = home.open().await;
    assert_eq!(store.jobs().await.unwrap(), [(job::job_key("botocore"), state_with_question("2.0"))]);
    let records =
        store.records::<SyncDetail>(Some(&job::job_key("botocore")), UnixMillis(0), 9).await.unwrap();
    assert_eq!(records, [record("b", NOW)]);
    assert!(
        store.records::<SyncDetail>(Some(&job::job_key("other")), UnixMillis(0), 9).await.unwrap().is_empty()
    );
    assert!(store.fresh_token().await.unwrap() > FencingToken(5));
}

#[tokio::test]
async fn old_records_are_forgotten_and_the_job_is_not() {
    let (_home, store) = new_store().await;
    for (token, ended) in [(1, NOW - 10), (2, NOW)] {
        let run = run(&token.to_string(), token);
        store.begin_job_run(&run).await.unwrap();
        store.end_job_run(&run, &state_with_question("1.0"), &record(run.id.as_str(), ended)).await.unwrap();
    }
    assert_eq!(store.records::<SyncDetail>(None, UnixMillis(0), 9).await.unwrap().len(), 2);
    assert_eq!(store.delete_old_loop_runs(UnixMillis(NOW)).await.unwrap(), 1);
    assert_eq!(store.delete_old_loop_runs(UnixMillis(NOW)).await.unwrap(), 0);
    assert_eq!(store.records::<SyncDetail>(None, UnixMillis(0), 9).await.unwrap(), [record("2", NOW)]);
    assert_eq!(store.jobs().await.unwrap().len(), 1);
}

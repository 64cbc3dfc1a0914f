//! Tests of properties that only stores in a file have: migration of older schemas, the stored time, and no
//! writes without a change.

mod effects {
    use truing_core::id::Topic;
    use truing_core::port::{EffectLog as _, RunStore as _};

    use super::super::on_sqlite::effects::{announced_entry, replace, writer};
    use super::super::*;

    #[tokio::test]
    async fn a_call_without_an_answer_of_an_older_version_is_an_open_effect_of_each_item() {
        let (folder, store) = new_file();
        let path = folder.path().join("truing.db");
        store.begin_run(&run(3), &revision('a'), UnixMillis(NOW)).await.unwrap();
        drop(store);
        let old = rusqlite::Connection::open(&path).unwrap();
        old.execute_batch(&format!("{} PRAGMA user_version = 9;", former_tables_sql(9))).unwrap();
        let key = key();
        old.execute("INSERT INTO intent VALUES (?1, 'review', 'i1', ?2)", (key.as_str(), NOW)).unwrap();
        let item = "INSERT INTO intent_item VALUES (?1, 'review', 'i1', ?2, ?3)";
        for (position, word) in ["summary", "f1"].into_iter().enumerate() {
            old.execute(item, (key.as_str(), word, position)).unwrap();
        }
        drop(old);
        let store = open(&path);
        let open = store.open_entries(&writer(CommentProducer::Review, Some(3))).await.unwrap();
        let expected = ["item/f1", "item/summary"].map(|topic| (Topic::new(topic), announced_entry("", NOW)));
        assert_eq!(open, expected);
    }

    #[tokio::test]
    async fn a_database_from_before_effects_is_opened_with_all_that_it_held() {
        let (folder, store) = new_file();
        let path = folder.path().join("truing.db");
        store.begin_run(&run(3), &revision('a'), UnixMillis(NOW)).await.unwrap();
        let before = dump(store.path().unwrap());
        drop(store);
        let old = rusqlite::Connection::open(&path).unwrap();
        old.execute_batch(&format!("DROP TABLE effect; {} PRAGMA user_version = 7;", former_tables_sql(7)))
            .unwrap();
        drop(old);
        let store = open(&path);
        assert_eq!(dump(store.path().unwrap()), before);
        let (ours, intent) = (writer(CommentProducer::Converge, Some(3)), announced_entry("1", NOW));
        assert!(replace(&store, &ours, &Topic::new("report"), None, Some(&intent)).await.unwrap());
    }
}

mod jobs {
    use truing_core::port::RunStore as _;
    use truing_core::sync::job::{self, JobState, TrackingIssue};

    use super::super::on_sqlite::jobs::{run, state_with_question};
    use super::super::*;

    #[tokio::test]
    async fn an_issue_that_was_to_be_opened_is_no_more_remembered_and_an_open_one_is() {
        let (folder, store) = new_file();
        let path = folder.path().join("truing.db");
        store.begin_job_run(&run("a", 3)).await.unwrap();
        store.store_job(&run("a", 3), &state_with_question("1.0")).await.unwrap();
        drop(store);
        let question =
            |issue: &str| format!("{{\"id\":\"1\",\"version\":\"1.0\",\"issue\":{issue},\"asked\":1}}");
        for (issue, tracked, job) in [
            ("null", "null", JobState::default()),
            ("7", "8", JobState { tracked: Some(TrackingIssue { issue: 8 }), ..state_with_question("1.0") }),
        ] {
            let body = format!(
                "{{\"question\":{},\"tracked\":{{\"issue\":{tracked},\"begun\":1}}}}",
                question(issue)
            );
            let old = rusqlite::Connection::open(&path).unwrap();
            old.execute("UPDATE job SET body = ?1", [body]).unwrap();
            old.execute_batch(&former_tables_sql(8)).unwrap();
            old.pragma_update(None, "user_version", 8).unwrap();
            drop(old);
            assert_eq!(open(&path).jobs().await.unwrap(), [(job::job_key("botocore"), job)]);
        }
    }
}

mod operations {
    use truing_core::port::OperatorStore as _;
    use truing_core::switch::KillSwitch;

    use super::super::*;

    #[tokio::test]
    async fn a_file_of_the_former_version_keeps_everything() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truing.db");
        {
            let old = rusqlite::Connection::open(&path).unwrap();
            old.execute_batch(include_str!("../../migrations/0001.sql")).unwrap();
            old.execute_batch(
                "PRAGMA application_id = 0x54727565; PRAGMA user_version = 1;
             INSERT INTO described VALUES (1, 'pr/github/11/7', 'o/old#7', 'https://x/1', NULL),
                 (2, 'pr/ghe/22/1', 'o/n#1', 'https://x/2', NULL),
                 (3, 'pr/github/11/8', 'o/new#8', 'https://x/3', NULL),
                 (4, 'local/x', 'x', 'x', NULL);
             INSERT INTO run VALUES ('k', 1, 'r', 'ended', '', '', 1, NULL, '{\"ended\":42}'),
                 ('k', 2, 's', 'prepared', '', '', 1, NULL, NULL);",
            )
            .unwrap();
        }
        let store = open(&path);
        assert_eq!(store.kill_switches().await.unwrap().global_switch, KillSwitch::Off);
        assert!(store.find_pull_key("o/n#1").await.unwrap().is_some());
        let new = rusqlite::Connection::open(&path).unwrap();
        let mut rows = new.prepare("SELECT forge || ' ' || id || ' ' || name FROM repository").unwrap();
        let rows: Vec<String> = rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows, ["ghe 22 o/n", "github 11 o/new"]);
        let mut ended = new.prepare("SELECT ended FROM run ORDER BY token").unwrap();
        let ended: Vec<Option<i64>> =
            ended.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(ended, [Some(42), None]);
    }
}

mod watchlist {
    use truing_core::id::AccountId;
    use truing_core::port::{CommentKind, KnownRepository, RequestOrigin, SweepStore as _, UserRequest};

    use super::super::on_sqlite::watchlist::{comment, pull_request_id, repository};
    use super::super::*;

    /// Returns the version of a file as another connection sees it; each write changes the version.
    fn version(watcher: &rusqlite::Connection) -> i64 {
        watcher.query_row("PRAGMA data_version", [], |row| row.get(0)).unwrap()
    }

    #[tokio::test]
    async fn remembering_what_is_known_writes_nothing_and_moves_no_cursor() {
        let (_folder, store) = new_file();
        store.store_repositories(&[repository("1", "octo/one", 5)]).await.unwrap();
        let watcher = rusqlite::Connection::open(store.path().unwrap()).unwrap();
        let before = version(&watcher);
        store.store_repositories(&[repository("1", "octo/one", 9)]).await.unwrap();
        store.store_requests(&[], &repository("1", "octo/one", 9), Some(UnixMillis(5))).await.unwrap();
        assert_eq!(version(&watcher), before);
        let gone =
            KnownRepository { missing_since: Some(UnixMillis(3)), ..repository("1", "octo/renamed", 9) };
        store.store_requests(&[], &gone, Some(UnixMillis(7))).await.unwrap();
        let known = store.repositories("github").await.unwrap();
        assert_eq!(known, [KnownRepository { cursor: UnixMillis(7), ..gone }]);
    }

    #[tokio::test]
    async fn comments_of_an_older_form_are_those_of_the_conversation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truing.db");
        drop(open(&path));
        let old = rusqlite::Connection::open(&path).unwrap();
        // The test replaces the tables by those of schema version 3.
        old.execute_batch(&format!(
        "{} DROP TABLE effect; DROP TABLE label_set; DROP TABLE job; DROP TABLE check_pressed; DROP TABLE \
         draw; DROP TABLE reservation; DROP TABLE level; DROP TABLE dismissal;
         DROP TABLE comment_seen;
         CREATE TABLE comment_seen (forge TEXT NOT NULL, repository TEXT NOT NULL, id INTEGER NOT NULL,
             number INTEGER NOT NULL, at INTEGER NOT NULL, served INTEGER NOT NULL,
             PRIMARY KEY (forge, repository, id)) STRICT, WITHOUT ROWID;
         INSERT INTO comment_seen VALUES ('github', '1', 5, 7, 3, 0), ('github', '1', 6, 7, 3, 1);
         PRAGMA user_version = 3;",
        former_tables_sql(3)
    ))
        .unwrap();
        drop(old);
        let store = open(&path);
        let told = comment(7, CommentKind::Conversation, 5, 3);
        assert_eq!(store.unserved_requests("github", 9).await.unwrap(), std::slice::from_ref(&told));
        // A comment on the diff may have the same id as a comment on the conversation.
        let diff = comment(7, CommentKind::Diff, 6, 3);
        store
            .store_requests(std::slice::from_ref(&diff), &repository("1", "octo/one", 1), None)
            .await
            .unwrap();
        assert_eq!(store.unserved_requests("github", 9).await.unwrap(), [told, diff]);
    }

    #[tokio::test]
    async fn a_button_of_a_former_file_was_pressed_by_the_same_account() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        drop(open(&path));
        let old = rusqlite::Connection::open(&path).unwrap();
        let sql =
            "ALTER TABLE level DROP COLUMN allowed; ALTER TABLE switch DROP COLUMN repositories; ALTER \
             TABLE repository DROP COLUMN onboarded;
               DROP TABLE transfer; DROP INDEX reservation_run; DROP INDEX run_damaged; DROP INDEX run_told;
               DROP TABLE check_pressed;
               CREATE TABLE check_pressed (
                   forge TEXT NOT NULL, repository TEXT NOT NULL, number INTEGER NOT NULL, account INTEGER \
             NOT NULL,
                   login TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (forge, repository, number, account)
               ) STRICT, WITHOUT ROWID;
               INSERT INTO check_pressed VALUES ('github', '1', 7, 583231, 'ada', 3);
               PRAGMA user_version = 11;";
        old.execute_batch(sql).unwrap();
        drop(old);
        let store = open(&path);
        let origin = RequestOrigin::Check { account: AccountId::new("583231"), login: "ada".into() };
        let pressed = UserRequest { pr: pull_request_id("1", 7), origin, noticed_at: UnixMillis(3) };
        assert_eq!(store.unserved_requests("github", 9).await.unwrap(), std::slice::from_ref(&pressed));
        store.mark_request_served(&pressed, None).await.unwrap().unwrap();
        assert_eq!(store.unserved_requests("github", 9).await.unwrap(), []);
    }
}

mod slots {
    use truing_core::id::SlotVersion;
    use truing_core::port::{RunStore as _, SlotStore as _};
    use truing_core::slot::Slot;

    use super::super::on_sqlite::history::slot_description;
    use super::super::on_sqlite::slots::{key, waiting};
    use super::super::*;

    #[tokio::test]
    async fn the_instant_survives_a_restart_and_a_clock_that_was_set_back() {
        let (folder, store) = new_file();
        drop(store);
        let path = folder.path().join("truing.db");
        let hand = ManualWallClock::at(NOW + 600_000);
        let store = Store::open(&path, hand.clone()).unwrap();
        store.commit_slots(&[(SlotVersion(0), waiting(1, 1))]).await.unwrap()[0].unwrap();
        let before = store.now().await.unwrap();
        drop(store);

        hand.set(NOW + 600_000 - 30_000);
        let store = Store::open(&path, hand.clone()).unwrap();
        assert_eq!(store.now().await.unwrap(), before);
        // The wall clock is set back by ten minutes. The store's clock then follows it, with a lead of a
        // minute.
        hand.set(NOW);
        assert_eq!(store.now().await.unwrap(), UnixMillis(NOW + 60_000));
        store.raise_version(SlotVersion(200)).await.unwrap();
        drop(store);
        // The stored time was also set back.
        hand.set(NOW + 30_000);
        let store = Store::open(&path, hand).unwrap();
        assert_eq!(store.now().await.unwrap(), UnixMillis(NOW + 60_000));
    }

    #[tokio::test]
    async fn asking_and_finding_nothing_new_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let hand = ManualWallClock::at(NOW);
        let store = Store::open(&folder.path().join("truing.db"), Arc::clone(&hand) as _).unwrap();
        let version = store.commit_slots(&[(SlotVersion(0), waiting(1, 1))]).await.unwrap()[0].unwrap();
        let known = [(key(1), slot_description("o/n#1", Some('a')))];
        store.store_descriptions(&known).await.unwrap();

        let watcher = rusqlite::Connection::open(store.path().unwrap()).unwrap();
        let seen = || watcher.query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0)).unwrap();
        let before = seen();
        hand.set(NOW + 3_600_000);
        assert_eq!(store.now().await.unwrap(), UnixMillis(NOW + 3_600_000));
        store.store_descriptions(&known).await.unwrap();
        store.store_descriptions(&[(key(1), slot_description("o/n#1", None))]).await.unwrap();
        store.raise_version(version).await.unwrap();
        store.commit_slots(&[(SlotVersion(0), Slot::new(key(2)))]).await.unwrap()[0].unwrap();
        store.commit_slots(&[(SlotVersion(0), waiting(1, 9))]).await.unwrap()[0].unwrap_err();
        assert_eq!(seen(), before);
        store.raise_version(SlotVersion(version.0 + 1)).await.unwrap();
        assert_ne!(seen(), before, "the watcher sees writes at all");
    }
}

mod ledger {
    use truing_core::port::{Ledger as _, StoreError};

    use super::super::on_sqlite::ledger::{
        budget_of_levels, repo, reservation_request, reserve_granted, team,
    };
    use super::super::*;

    #[tokio::test]
    async fn a_row_that_cannot_be_read_is_named_and_lets_nothing_through() {
        let (_folder, store) = new_file();
        reserve_granted(&store, &[repo(100), team(100)], reservation_request(1, 5)).await;
        let other = rusqlite::Connection::open(store.path().unwrap()).unwrap();
        other.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
        other.execute("UPDATE level SET spent = -3 WHERE kind = 'repo_day'", []).unwrap();
        let error =
            store.reserve(&budget_of_levels(&[repo(100)]), &reservation_request(1, 5)).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Corrupt(told) if told.contains("repo_day of github/1")),
            "{error:?}"
        );
        assert!(matches!(store.current_usage().await, Err(StoreError::Corrupt(_))));
        assert_eq!(
            reserve_granted(&store, &[team(100)], reservation_request(1, 5)).await.1,
            5,
            "another level is not concerned"
        );
        other.execute("UPDATE level SET spent = 0, kind = 'week' WHERE kind = 'repo_day'", []).unwrap();
        let error = store.current_usage().await.unwrap_err();
        assert!(error.to_string().contains("`week` for github/1"), "{error}");
    }
}

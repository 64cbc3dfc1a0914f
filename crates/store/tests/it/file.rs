//! Tests of properties that only stores in a file have: the stored time, and no writes without a
//! change.

mod watchlist {
    use truing_core::port::{KnownRepository, SweepStore as _};

    use super::super::on_sqlite::watchlist::repository;
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

//! Tests of targets, sources and rows that a copy refuses. Each error says what to do next.

use truing_core::id::SlotVersion;
use truing_core::switch::SwitchRequest;
use truing_store::{CommandLock, ServeLock};

use super::*;

/// Returns the error of a copy that must fail.
async fn copy_refused(from: &Store, to: &Home, zeros: NulPolicy) -> TransferError {
    let target = to.open_target().await;
    from.copy_to(&target, zeros, |_| ()).await.unwrap_err()
}

#[tokio::test]
async fn a_target_that_holds_something_else_is_refused_and_changed_in_nothing() {
    let (_home, source) = filled_store(new_file_home()).await;
    let at = UnixMillis(NOW);
    let event = HistoryEvent { at, key: key(), run: None, description: "x".into() };
    for to in [new_file_home(), new_servers()] {
        to.open().await.append_history(std::slice::from_ref(&event)).await.unwrap();
        let before = to.dump();
        let said = copy_refused(&source, &to, NulPolicy::Refuse).await.to_string();
        assert!(said.contains("is not new: it holds rows of table event"), "{said}");
        assert_eq!(to.dump(), before);
        assert_eq!(to.open().await.events(&key(), 9).await.unwrap(), std::slice::from_ref(&event));
    }
    for to in [new_file_home(), new_servers()] {
        let slot = truing_core::slot::Slot::new(key());
        let slot = slot.apply_event(truing_core::slot::LoopKind::Review, &Default::default(), at).slot;
        let store = to.open().await;
        store.commit_slots(&[(SlotVersion(0), slot)]).await.unwrap()[0].unwrap();
        let said = copy_refused(&source, &to, NulPolicy::Refuse).await.to_string();
        assert!(said.contains("is not new: it holds") && said.contains("slots"), "{said}");
        assert_eq!(store.list_slots().await.unwrap().len(), 1);
        drop(to.open().await);
    }
    let to = new_servers();
    let Home::Servers { slots, .. } = &to else { panic!() };
    SlotServer::shared_server().send_command(*slots, &["SET", "bot:killswitch:enabled", "true"]);
    let said = copy_refused(&source, &to, NulPolicy::Refuse).await.to_string();
    assert!(said.contains("the kill switch that was set manually"), "{said}");
    // A target that was only opened and read is accepted. A target with an enabled kill switch is refused.
    for (to, turn) in [(new_servers(), false), (new_file_home(), false), (new_file_home(), true)] {
        let store = to.open().await;
        store.kill_switches().await.unwrap();
        store.fresh_token().await.unwrap();
        if turn {
            store.turn_switch(&SwitchRequest::TurnOn { reason: None, mode: None }, "ada").await.unwrap();
            drop(store);
            let error = copy_refused(&source, &to, NulPolicy::Refuse).await;
            assert!(matches!(error, TransferError::NotNew { .. }), "{error}");
        } else {
            drop(store);
            assert_equal_tables(&copy_store(&source, &to).await);
        }
    }
}

#[tokio::test]
async fn a_half_filled_target_takes_no_other_source_and_is_no_source() {
    for to in [new_file_home(), new_servers()] {
        let ((first_home, first), (_second_home, second)) =
            (filled_store(new_file_home()).await, filled_store(new_file_home()).await);
        let target = to.open_target().await;
        assert!(copy_until(&first, &target, (4, usize::MAX)).await.is_none());
        drop(target);
        assert!(to.open_error().await.contains("truing store migrate"));
        let target = to.open_target().await;
        let name = first_home.file().unwrap().canonicalize().unwrap().display().to_string();
        let error = second.copy_to(&target, NulPolicy::Refuse, |_| ()).await.unwrap_err();
        assert!(matches!(error, TransferError::OtherSource { .. }), "{error}");
        assert!(error.to_string().contains(&format!("specify {name} after --from")), "{error}");
        let error = copy_refused(&target, &new_file_home(), NulPolicy::Refuse).await;
        assert!(matches!(error, TransferError::UnfinishedSource { .. }), "{error}");
        drop(target);
        let said = to.open_error().await;
        assert!(said.contains(&name) && said.contains("To start over"), "{said}");
        // An unfinished copy is refused if it continues with another database for the slots.
        if let Home::Servers { records, .. } = &to {
            let other = Home::Servers { slots: SlotServer::new_database(), records: records.clone() };
            let error = copy_refused(&first, &other, NulPolicy::Refuse).await;
            assert!(matches!(error, TransferError::OtherSlotServer { .. }), "{error}");
        }
        assert_equal_tables(&copy_store(&first, &to).await);
    }
}

#[tokio::test]
async fn a_store_is_not_copied_to_itself_nor_while_others_are_at_work() {
    for home in [new_file_home(), new_servers()] {
        let (home, source) = filled_store(home).await;
        let error = copy_refused(&source, &home, NulPolicy::Refuse).await;
        assert!(matches!(error, TransferError::SameStore(_)), "{error}");
    }
    let ((from, source), to) = (filled_store(new_file_home()).await, new_file_home());
    let command = CommandLock::acquire(&from.file().unwrap()).unwrap();
    let error = copy_refused(&source, &to, NulPolicy::Refuse).await;
    assert!(matches!(error, TransferError::CommandRunning { .. }), "{error}");
    drop(command);
    let target = to.open_target().await;
    let serving = ServeLock::acquire(&to.file().unwrap(), "127.0.0.1:1", UnixMillis(NOW)).unwrap();
    let error = source.copy_to(&target, NulPolicy::Refuse, |_| ()).await.unwrap_err();
    assert!(error.to_string().contains(&format!("by process {}", std::process::id())), "{error}");
    drop(serving);
    let serving = ServeLock::acquire(&from.file().unwrap(), "127.0.0.1:2", UnixMillis(NOW)).unwrap();
    let error = source.copy_to(&target, NulPolicy::Refuse, |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("127.0.0.1:2"), "{error}");
    drop(serving);
    source.copy_to(&target, NulPolicy::Refuse, |_| ()).await.unwrap();
}

#[tokio::test]
async fn a_table_or_a_column_that_is_not_listed_stops_the_copying() {
    for change in ["CREATE TABLE later (at BIGINT)", "ALTER TABLE event ADD COLUMN later TEXT"] {
        // Both SQLite and PostgreSQL accept the type `BIGINT`; SQLite accepts it because the table is not
        // `STRICT`.
        for home in [new_file_home(), new_servers()] {
            let (home, store) = filled_store(home).await;
            home.change_rows(change);
            let error = copy_refused(&store, &new_file_home(), NulPolicy::Refuse).await;
            assert!(matches!(error, TransferError::SchemaMismatch { .. }), "{error}");
            assert!(error.to_string().contains("later"), "{error}");
            store.compare(&store).await.unwrap_err();
        }
    }
}

#[tokio::test]
async fn a_text_that_postgresql_cannot_hold_is_named_or_replaced_if_that_is_asked_for() {
    let ((home, source), to) = (filled_store(new_file_home()).await, new_servers());
    home.change_rows("INSERT INTO event VALUES (900, 'pr/x', 1, '', CAST(x'610062' AS TEXT))");
    let error = copy_refused(&source, &to, NulPolicy::Refuse).await;
    let said = error.to_string();
    assert!(matches!(error, TransferError::UnfitValue { table: "event", column: "what", .. }), "{said}");
    assert!(said.contains("where id = 900") && said.contains("--replace-zeros"), "{said}");
    // With the option to replace zero characters, the copy continues.
    let target = to.open_target().await;
    assert_equal_tables(&source.copy_to(&target, NulPolicy::Replace, |_| ()).await.unwrap());
    drop(target);
    assert_eq!(to.rows("SELECT what FROM event WHERE id = 900"), ["a\u{fffd}b"]);
    assert_equal_tables(&source.compare(&to.open().await).await.unwrap());
    // A copy from file to file keeps the zero character.
    let file = new_file_home();
    assert_equal_tables(&copy_store(&source, &file).await);
    assert_eq!(file.dump(), home.dump());
}

#[tokio::test]
async fn keys_with_zeros_broken_texts_and_slots_that_cannot_be_read_are_named() {
    let cases = [
        (
            "INSERT INTO job VALUES (CAST(x'6100' AS TEXT), 1, '', '{}')",
            "where key = CAST(x'6100' AS TEXT); correct that row, or delete it",
        ),
        (
            "INSERT INTO job VALUES ('k', 1, CAST(x'ff' AS TEXT), '{}')",
            "table job: column run is not valid UTF-8 in the row where key = 'k'",
        ),
        ("INSERT INTO slot (key, version, body) VALUES ('pr/x/1/1', 1, '{')", "`truing queue drop pr/x/1/1`"),
        (
            "INSERT INTO slot (key, version, body)
             SELECT 'pr/x/1/1', -9223372036854775808, body FROM slot LIMIT 1",
            "its version is negative: -9223372036854775808; delete the slot with `truing queue drop \
                pr/x/1/1`",
        ),
        (
            "INSERT INTO job VALUES ('k', -9223372036854775808, '', '{}')",
            "table job: column token is less than zero in the row where key = 'k'",
        ),
    ];
    for (change, part) in cases {
        let ((home, source), to) = (filled_store(new_file_home()).await, new_servers());
        home.change_rows(change);
        let said = copy_refused(&source, &to, NulPolicy::Replace).await.to_string();
        assert!(said.contains(part), "{said}");
        home.change_rows("DELETE FROM job WHERE key < 'l'; DELETE FROM slot WHERE key = 'pr/x/1/1'");
        let done = copy_store(&source, &to).await;
        assert!(done.iter().all(TableComparison::is_equal));
    }
}

#[tokio::test]
async fn a_row_that_the_target_does_not_take_is_named_among_all_of_its_page() {
    let ((home, source), to) = (filled_store(new_file_home()).await, new_servers());
    fill_many(&source).await;
    // This value is too long for an entry in PostgreSQL's index, and too random to be compressed.
    let mut state = 1_u64;
    let long: String = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap())
    })
    .filter(|letter| *letter != '\'')
    .take(12_000)
    .collect();
    home.change_rows("INSERT INTO repository SELECT 'f', 'r' || id, 'n', 1, NULL, 1 FROM event LIMIT 200");
    home.change_rows(&format!("INSERT INTO repository VALUES ('f', 'x', '{long}', 1, NULL, 1)"));
    home.change_rows(&format!("INSERT INTO label_set VALUES ('f', 'r', 1, '{long}', 1)"));
    let error = copy_refused(&source, &to, NulPolicy::Refuse).await;
    let TransferError::RowRefused { table, row, .. } = &error else { panic!("{error}") };
    assert_eq!(
        (*table, row.contains("forge = 'f' AND repository = 'r' AND number = 1")),
        ("label_set", true)
    );
    assert!(error.to_string().contains("index row"), "{error}");
    home.change_rows("DELETE FROM label_set WHERE repository = 'r'");
    assert_equal_tables(&copy_store(&source, &to).await);
}

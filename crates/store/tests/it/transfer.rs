//! Tests of copying a whole store to another one: between all kinds of stores, with interruptions, to targets
//! that are refused, and with rows that cannot be copied.

mod fill;
mod refused;

use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::task::Poll;

use truing_core::port::{HistoryEvent, OperatorStore as _, RunStore as _, SlotStore as _};
use truing_store::{CopiedPage, NulPolicy, TableComparison, TransferError};

use self::fill::{fill, fill_many};
use super::on_sqlite::ledger::{repo, reservation_request, reserve_granted};
use super::*;

fn new_file_home() -> Home {
    Home::for_suite("on_sqlite")
}

fn new_servers() -> Home {
    Home::for_suite("on_servers")
}

impl Home {
    /// Opens the store as the target of a copy.
    async fn open_target(&self) -> Store {
        let clock = ManualWallClock::at(NOW);
        match self {
            Self::Servers { slots, records } => {
                let (slots, records) =
                    (SlotServer::shared_server().url(*slots), Server::shared_server().url(records));
                Store::connect_for_transfer(&slots, &records, Some(clock)).await.unwrap()
            }
            Self::File(_) | Self::Path(_) => Store::open_for_transfer(&self.file().unwrap(), clock).unwrap(),
        }
    }

    /// Returns the error of opening the store normally, which must fail.
    async fn open_error(&self) -> String {
        match self {
            Self::Servers { slots, records } => {
                let (slots, records) =
                    (SlotServer::shared_server().url(*slots), Server::shared_server().url(records));
                Store::connect(&slots, &records, None).await.err().unwrap().to_string()
            }
            Self::File(_) | Self::Path(_) => {
                Store::open(&self.file().unwrap(), ManualWallClock::at(NOW)).err().unwrap().to_string()
            }
        }
    }
}

/// Creates a store at this location with rows in every table.
async fn filled_store(home: Home) -> (Home, Store) {
    let store = home.open().await;
    fill(&store).await;
    (home, store)
}

/// Copies a store to this location without interruption, and returns the comparison of the tables.
async fn copy_store(from: &Store, to: &Home) -> Vec<TableComparison> {
    let target = to.open_target().await;
    from.copy_to(&target, NulPolicy::Refuse, |_| ()).await.unwrap()
}

fn assert_equal_tables(compared: &[TableComparison]) {
    assert_eq!(compared.len(), 20, "the slots and every table");
    for table in compared {
        assert!(table.is_equal(), "{}: {table}", table.table);
        assert!(table.row_counts.0 > 0, "nothing is in table {}, so nothing is tried there", table.table);
        assert_eq!(table.row_counts.0, table.row_counts.1, "{}", table.table);
    }
}

#[tokio::test]
async fn a_store_that_was_moved_to_servers_and_back_is_what_it_was() {
    let (first, source) = filled_store(new_file_home()).await;
    // A reservation id that was used once must not be used again in the copy, even if the row was deleted.
    let (last, _) = reserve_granted(&source, &[repo(1_000)], reservation_request(1, 1)).await;
    first.change_rows(&format!(
        "DELETE FROM draw WHERE reservation = {0}; DELETE FROM reservation WHERE id = {0}",
        last.0
    ));
    let before = first.dump();
    let token = source.fresh_token().await.unwrap();

    let servers = new_servers();
    assert_equal_tables(&copy_store(&source, &servers).await);
    let there = servers.open().await;
    assert_eq!(there.list_slots().await.unwrap(), source.list_slots().await.unwrap(), "with their versions");
    assert_eq!(there.kill_switches().await.unwrap(), source.kill_switches().await.unwrap());
    let Home::Servers { slots, .. } = &servers else { panic!() };
    assert_eq!(SlotServer::shared_server().send_command(*slots, &["GET", "bot:killswitch:enabled"]), "true");
    assert_eq!(
        there.audit_entries(9).await.unwrap(),
        source.audit_entries(9).await.unwrap(),
        "nothing is added"
    );

    // The copy is repeated after it has completed, and must change nothing.
    let whole = servers.dump();
    assert_equal_tables(&copy_store(&source, &servers).await);
    assert_eq!(servers.dump(), whole);

    let second = new_file_home();
    assert_equal_tables(&copy_store(&there, &second).await);
    assert_eq!(second.dump(), before);
    let back = second.open().await;
    assert_equal_tables(&source.compare(&back).await.unwrap());

    for store in [&there, &back] {
        assert!(store.fresh_token().await.unwrap() > token);
        let (next, _) = reserve_granted(store, &[repo(1_000)], reservation_request(1, 1)).await;
        assert!(next.0 > last.0, "{next:?} after {last:?}");
        let at = UnixMillis(NOW + 1);
        store
            .append_history(&[HistoryEvent { at, key: key(), run: None, description: "later".into() }])
            .await
            .unwrap();
        let latest = store.events(&key(), 1).await.unwrap();
        assert_eq!(latest[0].description, "later", "numbers of history go on");
    }
}

#[tokio::test]
async fn a_store_moves_between_two_of_the_same_engine() {
    for (from, to) in [(new_file_home(), new_file_home()), (new_servers(), new_servers())] {
        let (from, source) = filled_store(from).await;
        assert_equal_tables(&copy_store(&source, &to).await);
        assert_eq!(to.dump(), from.dump());
        let there = to.open().await;
        assert_eq!(there.list_slots().await.unwrap(), source.list_slots().await.unwrap());
    }
}

#[tokio::test]
async fn slots_are_due_counted_and_swapped_where_they_are_now_as_they_were() {
    let (_home, source) = filled_store(new_file_home()).await;
    let servers = new_servers();
    copy_store(&source, &servers).await;
    let there = servers.open().await;
    let late = UnixMillis(NOW + 1_000_000_000);
    assert_eq!(there.due_slots(late, 99).await.unwrap(), source.due_slots(late, 99).await.unwrap());
    let counts = (
        there.collect_statistics().await.unwrap().slot_counts,
        source.collect_statistics().await.unwrap().slot_counts,
    );
    assert_eq!(counts.0, counts.1);
    // The copied slot has the version of the original, so a process that read the original can write the
    // copy.
    let slots = source.list_slots().await.unwrap();
    let leased = slots.iter().find(|slot| slot.token().is_some()).unwrap();
    let again = there.commit_slots(&[(leased.version, leased.clone())]).await.unwrap();
    assert!(again[0].unwrap() > leased.version);
    assert_eq!(there.load_slots(std::slice::from_ref(&leased.key)).await.unwrap()[0].token(), leased.token());
}

/// Runs a copy until it has reported this number of pages or was polled this number of times, and then drops
/// it. Returns the result if the copy completes earlier.
async fn copy_until(
    from: &Store,
    to: &Store,
    (pages, polls): (usize, usize),
) -> Option<Result<Vec<TableComparison>, TransferError>> {
    let (told, mut polled) = (AtomicUsize::new(0), 0);
    let count = |_| {
        told.fetch_add(1, Ordering::Relaxed);
    };
    let mut copy = pin!(from.copy_to(to, NulPolicy::Refuse, count));
    let until = std::future::poll_fn(|context| {
        polled += 1;
        match copy.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if told.load(Ordering::Relaxed) >= pages || polled >= polls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    });
    until.await
}

/// Copies a store in several attempts until the copy is complete; all attempts but the last are interrupted.
/// For each attempt, `end` returns a number of pages and a number of polls. The attempt is interrupted when
/// one of them is reached. Returns the number of attempts.
async fn copy_with_interruptions(source: &Store, to: &Home, end: impl Fn(usize) -> (usize, usize)) -> usize {
    for life in 1..300 {
        let target = to.open_target().await;
        if let Some(done) = copy_until(source, &target, end(life)).await {
            assert_equal_tables(&done.unwrap());
            return life;
        }
    }
    panic!("it does not go on where it was");
}

#[tokio::test]
async fn a_copy_that_is_killed_after_each_page_or_in_the_middle_of_one_goes_on_and_ends_alike() {
    let (_home, of_file) = filled_store(new_file_home()).await;
    fill_many(&of_file).await;
    let of_servers = filled_store(new_servers()).await.1;
    fill_many(&of_servers).await;
    for source in [&of_file, &of_servers] {
        for (to, in_pages) in [(new_servers(), true), (new_file_home(), true), (new_servers(), false)] {
            let end = |life| if in_pages { (1, usize::MAX) } else { (usize::MAX, life) };
            // An interruption while a page is being written may leave that page written or not; the next
            // attempt must work in both cases.
            assert!(copy_with_interruptions(source, &to, end).await > 10);
            let there = to.open().await;
            assert_equal_tables(&source.compare(&there).await.unwrap());
            assert_eq!(there.list_slots().await.unwrap(), source.list_slots().await.unwrap());
        }
    }
}

#[tokio::test]
async fn a_copy_whose_connections_are_cut_at_any_page_ends_alike_at_the_latest_when_it_is_run_again() {
    let (_home, source) = filled_store(new_file_home()).await;
    fill_many(&source).await;
    let to = new_servers();
    let Home::Servers { records, .. } = &to else { panic!() };
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
               AND pid <> pg_backend_pid()";
    let target = to.open_target().await;
    let mut told = Vec::new();
    let cutting = |page: CopiedPage| {
        told.push(page);
        if told.len() % 5 == 0 {
            assert!(Server::shared_server().psql(records, &[cut]).1);
        }
    };
    let first = source.copy_to(&target, NulPolicy::Refuse, cutting).await;
    drop(target);
    let done = match first {
        Ok(done) => done,
        Err(TransferError::Store(_)) => copy_store(&source, &to).await,
        Err(other) => panic!("{other}"),
    };
    assert_equal_tables(&done);
    let events: Vec<u64> =
        told.iter().filter(|page| page.table == "event").map(|page| page.copied_rows).collect();
    assert!(events.is_sorted() && events.len() > 1, "{events:?}");
}

#[tokio::test]
async fn of_two_that_fill_one_target_at_once_one_does_and_the_other_is_told_or_waits() {
    for to in [new_servers(), new_file_home()] {
        let (_home, source) = filled_store(new_file_home()).await;
        fill_many(&source).await;
        let (one, other) = (to.open_target().await, to.open_target().await);
        let fill = |target| source.copy_to(target, NulPolicy::Refuse, |_| ());
        let done = tokio::join!(fill(&one), fill(&other));
        let done = [done.0, done.1];
        assert!(done.iter().any(Result::is_ok), "{done:?}");
        for failed in done.iter().filter_map(|done| done.as_ref().err()) {
            let is_told =
                matches!(failed, TransferError::StoreBusy { .. } | TransferError::CommandRunning { .. });
            assert!(is_told, "{failed}");
        }
        assert_equal_tables(&source.compare(&to.open().await).await.unwrap());
    }
}

#[tokio::test]
async fn a_row_that_somebody_changes_removes_or_adds_there_is_named() {
    let (_home, source) = filled_store(new_file_home()).await;
    let to = new_servers();
    copy_store(&source, &to).await;
    let there = to.open().await;
    let differing = async || -> Vec<(&'static str, String)> {
        let compared = source.compare(&there).await.unwrap();
        let differ = compared.into_iter().filter(|table| !table.is_equal());
        differ.map(|table| (table.table, table.first_difference.unwrap())).collect()
    };
    assert_eq!(differing().await, []);
    to.change_rows("UPDATE finding SET body = body || ' ' WHERE id = 'f1'");
    let finding = ("finding", "key = 'pr/github/1/7' AND id = 'f1'".to_owned());
    assert_eq!(differing().await, std::slice::from_ref(&finding));
    to.change_rows("DELETE FROM label_set");
    let label = "forge = 'github' AND repository = '1' AND number = 7 AND name = 'it''s'".to_owned();
    assert_eq!(differing().await, [finding.clone(), ("label_set", label.clone())]);
    to.change_rows("INSERT INTO job (key, token, run, body) VALUES ('a', 1, 'x', '{}')");
    let job = ("job", "key = 'a'".to_owned());
    assert_eq!(differing().await, [finding.clone(), ("label_set", label.clone()), job.clone()]);
    let Home::Servers { slots, .. } = &to else { panic!() };
    SlotServer::shared_server().send_command(*slots, &["DEL", "review:slot:{truing}:github:1:9"]);
    let slot = ("slot", "key = 'pr/github/1/9'".to_owned());
    assert_eq!(differing().await, [slot, finding, ("label_set", label), job]);
}

#[tokio::test]
async fn a_target_that_somebody_changes_while_it_is_filled_stays_half_and_the_table_is_named() {
    let (_home, source) = filled_store(new_file_home()).await;
    let to = new_servers();
    let target = to.open_target().await;
    let changing = |page: CopiedPage| {
        if page.table == "job" {
            to.change_rows("DELETE FROM effect");
        }
    };
    let error = source.copy_to(&target, NulPolicy::Refuse, changing).await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("table effect of PostgreSQL at") && said.contains("1 rows, 0 in the other store"),
        "{said}"
    );
    assert!(to.open_error().await.contains("truing store migrate"));
}

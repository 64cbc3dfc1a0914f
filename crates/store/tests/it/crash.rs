//! Tests that kill a process: acknowledged writes are kept, and the lock of the server is released. The
//! killed process is another instance of this test binary, with an environment variable that contains the
//! path of the database.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use truing_core::id::{FencingToken, SlotKey, SlotVersion, UnixMillis};
use truing_core::port::SlotStore;
use truing_core::slot::{LoopKind, Slot, SlotState, WaitReason};
use truing_store::{CommandLock, ServeLock, ServeLockError};

use super::{NOW, new_file, open};

/// The environment variable with the path of the database for a child process. Without this variable, the
/// tests of the child do nothing.
const DATABASE: &str = "TRUING_TEST_CHILD_DATABASE";

fn spawn_child(test: &str, database: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(DATABASE, database)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Writes one line directly to standard output and flushes it, because the test harness would capture a
/// normal print.
fn write_line(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{line}").unwrap();
    out.flush().unwrap();
}

#[tokio::test]
async fn writing_child() {
    let Some(database) = std::env::var_os(DATABASE) else { return };
    let store = open(Path::new(&database));
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let store = store.clone();
        tasks.spawn(async move {
            for number in 0.. {
                let key = SlotKey::new(format!("sync/{writer}-{number}"));
                let state = SlotState::Waiting { due_at: UnixMillis(number), reason: WaitReason::Scheduled };
                let slot = Slot { state, ..Slot::new(key.clone()) };
                let version = store.commit_slots(&[(SlotVersion(0), slot)]).await.unwrap()[0].unwrap();
                write_line(&format!("ack {key} {}", version.0));
            }
        });
    }
    tasks.join_all().await;
}

#[tokio::test]
async fn a_killed_writer_loses_nothing_that_it_acknowledged() {
    let (_folder, store) = new_file();
    let mut writer = spawn_child("crash::writing_child", store.path().unwrap());
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut acknowledged = BTreeSet::new();
    for line in lines {
        if let Some(acknowledgement) = line.strip_prefix("ack ") {
            acknowledged.insert(acknowledgement.to_owned());
            // The test kills the process while it writes, and then reads the rest of its output.
            if acknowledged.len() == 100 {
                writer.kill().unwrap();
            }
        }
    }
    writer.wait().unwrap();
    assert!(acknowledged.len() >= 100, "{acknowledged:?}");
    let there: BTreeSet<String> = store
        .list_slots()
        .await
        .unwrap()
        .into_iter()
        .map(|slot| format!("{} {}", slot.key, slot.version.0))
        .collect();
    let lost: Vec<&String> = acknowledged.difference(&there).collect();
    assert!(lost.is_empty(), "{lost:?}");
    // The next version is at least as great as every version that the killed process assigned.
    let slot = Slot {
        state: SlotState::Waiting { due_at: UnixMillis(0), reason: WaitReason::Storm },
        ..Slot::new(super::key())
    };
    let next = store.commit_slots(&[(SlotVersion(0), slot)]).await.unwrap()[0].unwrap();
    assert!(store.list_slots().await.unwrap().iter().all(|slot| slot.version <= next));
}

#[test]
fn serving_child() {
    let Some(database) = std::env::var_os(DATABASE) else { return };
    let _lock = ServeLock::acquire(Path::new(&database), "127.0.0.1:1234", UnixMillis(NOW)).unwrap();
    write_line("serving");
    // The child waits until it is killed, or until its standard input is closed because the parent has
    // exited.
    let _ = std::io::stdin().lock().read_line(&mut String::new());
}

#[test]
fn a_second_server_learns_who_is_the_first_and_death_frees_the_lock() {
    let (folder, store) = new_file();
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(store.path().unwrap(), &link).unwrap();
    let mut server = spawn_child("crash::serving_child", store.path().unwrap());
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "serving"));
    for name in [store.path().unwrap(), &link] {
        let error = ServeLock::acquire(name, "127.0.0.1:99", UnixMillis(NOW + 1)).unwrap_err();
        let told = error.to_string();
        let ServeLockError::AlreadyServed { holder, .. } = error else { panic!("{told}") };
        assert_eq!(holder.pid, Some(server.id()));
        assert_eq!(holder.listen_address.as_deref(), Some("127.0.0.1:1234"));
        assert_eq!(holder.locked_at, Some(UnixMillis(NOW)));
        assert!(told.contains(&format!("process {}", server.id())), "{told}");
        assert!(told.contains("127.0.0.1:1234"), "{told}");
    }
    server.kill().unwrap();
    server.wait().unwrap();
    let mut lock = ServeLock::acquire(store.path().unwrap(), "127.0.0.1:5", UnixMillis(NOW + 2)).unwrap();
    let Err(ServeLockError::AlreadyServed { holder, .. }) = ServeLock::acquire(&link, "x", UnixMillis(NOW))
    else {
        panic!()
    };
    assert_eq!(holder.pid, Some(std::process::id()), "not what the dead one had left");
    let text = std::fs::read_to_string(folder.path().join("truing.db.lock")).unwrap();
    assert_eq!(text, format!("pid {}\nlisten 127.0.0.1:5\nsince {}\n", std::process::id(), NOW + 2));
    // The server was configured with any free port, and now records the actual port.
    lock.set_address("127.0.0.1:4567", UnixMillis(NOW + 3)).unwrap();
    let told = ServeLock::acquire(&link, "x", UnixMillis(NOW)).unwrap_err().to_string();
    assert!(told.contains("listening on 127.0.0.1:4567"), "{told}");
    drop(lock);
    ServeLock::acquire(&link, "127.0.0.1:6", UnixMillis(NOW + 3)).unwrap();
}

#[test]
fn a_database_is_served_once_by_whatever_name() {
    let (folder, store) = new_file();
    let mut server = spawn_child("crash::serving_child", store.path().unwrap());
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "serving"));
    let hard = folder.path().join("hard.db");
    std::fs::hard_link(store.path().unwrap(), &hard).unwrap();
    let error = ServeLock::acquire(&hard, "x", UnixMillis(NOW)).unwrap_err();
    assert!(
        matches!(error, ServeLockError::ServedByOtherName { .. }) && error.to_string().contains("hard.db"),
        "{error}"
    );
    server.kill().unwrap();
    server.wait().unwrap();
    let lock = ServeLock::acquire(&hard, "x", UnixMillis(NOW)).unwrap();
    drop(lock);
    ServeLock::acquire(store.path().unwrap(), "x", UnixMillis(NOW)).unwrap();
}

#[test]
fn leasing_child() {
    let Some(database) = std::env::var_os(DATABASE) else { return };
    let _lock = CommandLock::acquire(Path::new(&database)).unwrap();
    write_line("leasing");
    let _ = std::io::stdin().lock().read_line(&mut String::new());
}

#[tokio::test]
async fn leases_are_nobodys_when_every_command_that_may_hold_one_is_dead() {
    let (_folder, store) = new_file();
    let state = SlotState::Leased {
        token: FencingToken(1),
        deadline: UnixMillis(NOW),
        loop_kind: LoopKind::Review,
        claimed_events: None,
        pause_requested: false,
    };
    store.commit_slots(&[(SlotVersion(0), Slot { state, ..Slot::new(super::key()) })]).await.unwrap();
    let mut command = spawn_child("crash::leasing_child", store.path().unwrap());
    let mut lines = BufReader::new(command.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "leasing"));
    let another = CommandLock::acquire(store.path().unwrap()).unwrap();
    drop(another);
    assert_eq!(store.orphaned_slots().await.unwrap(), [], "one is at work still");
    command.kill().unwrap();
    command.wait().unwrap();
    let orphans = store.orphaned_slots().await.unwrap();
    assert_eq!(orphans.iter().map(Slot::token).collect::<Vec<_>>(), [Some(FencingToken(1))]);
}

#[test]
fn a_lock_file_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("missing/truing.db");
    let error = ServeLock::acquire(&database, "x", UnixMillis(NOW)).unwrap_err();
    assert!(matches!(error, ServeLockError::Io { .. }));
    assert!(error.to_string().contains("missing/truing.db.lock"), "{error}");
}

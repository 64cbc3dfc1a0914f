//! Tests of files that can be opened and of files that cannot. Each error names the path, and a file that
//! cannot be opened is not changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use truing_core::id::{SlotVersion, UnixMillis};
use truing_core::port::{OperatorStore as _, RunStore, SlotStore, StoreError};
use truing_store::{ServeLock, ServeLockError, SqliteOpenError, Store};

use super::{ManualWallClock, NOW, open};

fn file_mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Opens a file, which must fail with an error that contains the path.
fn open_refused(path: &Path) -> SqliteOpenError {
    let Err(error) = Store::open(path, ManualWallClock::at(NOW)) else {
        panic!("{} was opened", path.display())
    };
    let told = error.to_string();
    assert!(told.contains(path.to_str().unwrap()), "{told}");
    error
}

#[tokio::test]
async fn a_missing_folder_and_file_are_made_for_their_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/deep/truing.db");
    let store = open(&path);
    store.raise_version(SlotVersion(1)).await.unwrap();
    assert_eq!(file_mode(&folder.path().join("state")), 0o700);
    assert_eq!(file_mode(&folder.path().join("state/deep")), 0o700);
    for file in ["truing.db", "truing.db-wal", "truing.db-shm"] {
        assert_eq!(file_mode(&folder.path().join("state/deep").join(file)), 0o600, "{file}");
    }
}

#[tokio::test]
async fn what_is_deleted_or_replaced_is_written_and_opened_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let (path, aside) = (folder.path().join("truing.db"), folder.path().join("aside.db"));
    let store = open(&path);
    store.raise_version(SlotVersion(1)).await.unwrap();
    fs::rename(&path, &aside).unwrap();
    store.check_store_file().unwrap_err();
    let error = store.raise_version(SlotVersion(2)).await.unwrap_err().to_string();
    assert!(error.contains("truing.db was deleted or replaced"), "{error}");
    fs::write(&path, "").unwrap();
    store.raise_version(SlotVersion(2)).await.unwrap_err();
    // The store has no connection for reading yet. If it opened one to the empty file, SQLite would delete
    // the log of the moved file.
    let error = store.kill_switches().await.unwrap_err().to_string();
    assert!(error.contains("truing.db was deleted or replaced"), "{error}");
    fs::rename(&aside, &path).unwrap();
    store.check_store_file().unwrap();
    store.raise_version(SlotVersion(2)).await.unwrap();
    open(&path).raise_version(SlotVersion(3)).await.unwrap();
    store.kill_switches().await.unwrap();
}

#[test]
fn a_form_that_its_tables_do_not_have_is_said_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truing.db");
    drop(open(&path));
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 0).unwrap();
    drop(connection);
    let told = open_refused(&path).to_string();
    assert!(
        told.contains("records schema version 0, but its tables do not match that version")
            && !told.contains("CREATE"),
        "{told}"
    );
}

#[test]
fn a_file_with_several_names_is_refused_before_anything_is_written_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, hard) = (folder.path().join("truing.db"), folder.path().join("hard.db"));
    let store = open(&path);
    fs::hard_link(&path, &hard).unwrap();
    assert!(matches!(open_refused(&hard), SqliteOpenError::HasHardLinks { link_count: 2, .. }));
    assert!(!folder.path().join("hard.db-wal").exists());
    drop(store);
    fs::remove_file(&hard).unwrap();
    open(&path);
}

#[test]
fn a_file_that_lost_its_content_is_not_taken_for_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truing.db");
    // A file that is empty before the store uses it for the first time is accepted.
    fs::write(&path, "").unwrap();
    drop(open(&path));
    drop(ServeLock::acquire(&path, "127.0.0.1:1", UnixMillis(NOW)).unwrap());
    fs::write(&path, "").unwrap();
    for beside in ["truing.db-wal", "truing.db-shm"] {
        let _ = fs::remove_file(folder.path().join(beside));
    }
    let error = open_refused(&path);
    let told = error.to_string();
    assert!(matches!(error, SqliteOpenError::Emptied { .. }) && told.contains("restore a backup"), "{told}");
    assert_eq!(fs::metadata(&path).unwrap().len(), 0, "it is as it was");
    fs::remove_file(&path).unwrap();
    drop(open(&path));
}

/// A bind mount of a file or folder at another path. `bind` returns `None` if the process is not allowed to
/// mount. The mount is removed when the value is dropped.
struct Mount(std::path::PathBuf);

impl Mount {
    fn bind(file: &Path, target: &Path) -> Option<Self> {
        let mut mount = std::process::Command::new("mount");
        let mounted = mount.arg("--bind").args([file, target]).stderr(std::process::Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(target.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(std::process::Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

#[tokio::test]
async fn a_served_file_is_not_opened_by_the_name_of_a_mount_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("truing.db"), folder.path().join("other.db"));
    drop(open(&path));
    fs::write(&other, "").unwrap();
    let Some(_mount) = Mount::bind(&path, &other) else {
        eprintln!("skipped: this process may not mount");
        return;
    };
    let lock = ServeLock::acquire(&path, "127.0.0.1:1", UnixMillis(NOW)).unwrap();
    assert!(matches!(open_refused(&other), SqliteOpenError::ServedByOtherName { .. }));
    assert!(!folder.path().join("other.db-wal").exists(), "it was not opened");
    assert!(matches!(
        ServeLock::acquire(&other, "x", UnixMillis(NOW)),
        Err(ServeLockError::ServedByOtherName { .. })
    ));
    // A server and commands can open the file at its original path.
    open(&path).raise_version(SlotVersion(1)).await.unwrap();
    // If the whole folder is mounted at another path, the log and the lock of the file are there, too.
    let (data, same) = (folder.path().join("data"), folder.path().join("same"));
    drop(open(&data.join("truing.db")));
    fs::create_dir(&same).unwrap();
    let _folder = Mount::bind(&data, &same).unwrap();
    let _served = ServeLock::acquire(&data.join("truing.db"), "127.0.0.1:2", UnixMillis(NOW)).unwrap();
    open(&same.join("truing.db")).raise_version(SlotVersion(1)).await.unwrap();
    // After the server has released the lock, the file can be opened at either path.
    drop(lock);
    open(&other);
}

#[test]
fn a_file_that_is_deleted_or_replaced_under_a_server_is_not_made_anew_nor_opened() {
    let folder = tempfile::tempdir().unwrap();
    let (path, aside) = (folder.path().join("truing.db"), folder.path().join("aside.db"));
    drop(open(&path));
    let lock = ServeLock::acquire(&path, "127.0.0.1:1", UnixMillis(NOW)).unwrap();
    fs::rename(&path, &aside).unwrap();
    let error = open_refused(&path);
    let told = error.to_string();
    assert!(matches!(error, SqliteOpenError::Deleted { .. }) && !path.exists(), "{told}");
    assert!(told.contains(&format!("process {}", std::process::id())), "{told}");
    fs::write(&path, "").unwrap();
    let error = open_refused(&path);
    let told = error.to_string();
    assert!(matches!(error, SqliteOpenError::FileReplaced { .. }), "{told}");
    assert!(told.contains(&format!("process {}", std::process::id())), "{told}");
    assert_eq!(fs::read(&path).unwrap(), b"", "it was not opened");
    fs::rename(&aside, &path).unwrap();
    open(&path);
    drop(lock);
    fs::remove_file(&path).unwrap();
    open(&path);
}

#[test]
fn every_table_is_strict() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("truing.db"));
    let other = rusqlite::Connection::open(store.path().unwrap()).unwrap();
    let sql = "SELECT count(*), total(strict) FROM pragma_table_list
               WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%'";
    let (tables, strict): (f64, f64) =
        other.query_row(sql, [], |row| Ok((row.get::<_, i64>(0)? as f64, row.get(1)?))).unwrap();
    assert!(tables > 5.0);
    assert_eq!(tables, strict);
}

#[tokio::test]
async fn an_empty_file_becomes_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truing.db");
    fs::write(&path, "").unwrap();
    open(&path).raise_version(SlotVersion(1)).await.unwrap();
}

#[test]
fn a_folder_is_not_a_file() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(open_refused(folder.path()), SqliteOpenError::IsAFolder { .. }));
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let Err(error) = Store::open(&file.join("sub/truing.db"), ManualWallClock::at(NOW)) else { panic!() };
    assert!(matches!(error, SqliteOpenError::Folder { .. }), "{error}");
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
}

#[test]
fn a_read_only_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truing.db");
    drop(open(&path));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(matches!(open_refused(&path), SqliteOpenError::ReadOnly { .. }));
}

#[test]
fn garbage_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truing.db");
    let garbage = "not a database, but long enough to be looked at as one\n".repeat(100);
    fs::write(&path, &garbage).unwrap();
    let told = open_refused(&path).to_string();
    assert!(told.contains("not a database"), "{told}");
    assert_eq!(fs::read_to_string(&path).unwrap(), garbage);
}

#[test]
fn another_programs_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(open_refused(&path), SqliteOpenError::ForeignDatabase { .. }));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_newer_form_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truing.db");
    drop(open(&path));
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(&path).unwrap();
    let error = open_refused(&path);
    assert!(matches!(error, SqliteOpenError::Newer { found_version: 99, .. }));
    assert!(error.to_string().contains("made by a newer or an unreleased truing"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn many_may_open_a_new_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/truing.db");
    std::thread::scope(|scope| {
        let opened: Vec<_> =
            (0..8).map(|_| scope.spawn(|| Store::open(&path, ManualWallClock::at(NOW)))).collect();
        for store in opened {
            store.join().unwrap().unwrap();
        }
    });
}

#[tokio::test]
async fn names_that_mean_something_to_sqlite_are_just_files() {
    let folder = tempfile::tempdir().unwrap();
    for name in [":memory:", "file:x?mode=memory"] {
        let path = folder.path().join(name);
        let store = open(&path);
        let token = store.fresh_token().await.unwrap();
        drop(store);
        assert!(path.is_file(), "{name}");
        assert!(open(&path).fresh_token().await.unwrap() > token, "{name}");
    }
}

/// SQLite reads most pages only when they are needed, so only a check of the whole file finds the damage.
#[tokio::test]
async fn a_damaged_page_anywhere_is_found_by_a_look_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truing.db");
    drop(open(&path));
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE filler (id INTEGER PRIMARY KEY, text TEXT);
             WITH RECURSIVE rows (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM rows WHERE id < 20000)
             INSERT INTO filler SELECT id, printf('%0100d', id) FROM rows;
             PRAGMA wal_checkpoint(TRUNCATE);",
        )
        .unwrap();
    drop(connection);
    let whole = fs::read(&path).unwrap();
    open(&path).check_integrity().await.unwrap();
    let pages = whole.len() / 4096;
    for page in [pages / 4, pages / 2, pages - 2] {
        let mut damaged = whole.clone();
        damaged[page * 4096..(page + 1) * 4096].fill(0xa5);
        fs::write(&path, &damaged).unwrap();
        let error = open(&path).check_integrity().await.unwrap_err();
        let told = error.to_string();
        assert!(matches!(error, StoreError::Corrupt(_)), "{page}: {told}");
        assert!(told.contains("truing.db") && told.contains("restore a backup"), "{told}");
        assert_eq!(fs::read(&path).unwrap(), damaged, "nothing is changed");
    }
}

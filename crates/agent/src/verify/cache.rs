//! What set-ups left, kept for those that would leave the same.
//!
//! A set-up runs code of the repository that it is for, so what it leaves is as good as that repository: results are
//! kept by scope, and nobody finds those of a scope that he was not told to trust. An entry is never changed: whoever
//! uses it gets a copy.

use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use truing_core::verification::CommandRun;

use super::copy;
use super::usage;
use crate::proxy::HostAccess;

/// What the names of folders begin with that are in use by a process, and gone with it.
const HELD: &str = "held-";
/// How often a new folder may be taken for a dead process's, between its making and its locking.
const MAX_TRIES: u32 = 100;
/// What is told of an entry; beside what the set-up could write.
const ABOUT: &str = "about.json";
/// What an entry holds: new files of the tree, and the home folder.
const PARTS: [&str; 2] = ["tree", "home"];
/// So far clocks that are read one after another may disagree.
const SKEW: Duration = Duration::from_secs(60);

/// Whose set-up it is, and whose it may use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CacheScope {
    own: String,
    trusted: Vec<String>,
}

impl CacheScope {
    /// Results are kept under this name. Whatever decides whether code is trusted belongs into it: the repository, and
    /// the pull request where that is not the repository's own branch.
    pub fn new(own: impl Into<String>) -> Self {
        Self { own: own.into(), trusted: Vec::new() }
    }

    /// And found under this one, too.
    #[must_use]
    pub fn trusting(mut self, other: impl Into<String>) -> Self {
        self.trusted.push(other.into());
        self
    }

    /// The names under which results are found; they are kept under the first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.own).chain(&self.trusted).map(String::as_str)
    }
}

/// How much is kept, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CacheRetention {
    /// In bytes, all entries together. What was not used for longest goes first.
    pub bytes: u64,
    /// Since an entry was made.
    pub age: Duration,
}

/// A folder of results.
#[derive(Clone, Debug)]
pub struct SetupCache {
    folder: PathBuf,
    kept: CacheRetention,
}

/// What a set-up left.
#[derive(Debug)]
pub(super) struct SetupEntry {
    folder: PathBuf,
    about: SetupMetadata,
    /// As long as it is locked nobody removes it.
    _lock: File,
    /// What could not be put where others find it is gone with this process.
    _held: Option<LockedFolder>,
}

/// What is told of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SetupMetadata {
    /// The commands that made it.
    pub(super) commands: Vec<CommandRun>,
    /// What they reached.
    pub(super) reached: Vec<HostAccess>,
    /// What it holds, in bytes.
    bytes: u64,
    /// In so many files, folders and links: an entry that somebody has taken from is none.
    files: u64,
    /// When it was made.
    made: SystemTime,
}

/// A folder that this process holds.
#[derive(Debug)]
pub(super) struct LockedFolder {
    folder: TempDir,
    _lock: File,
}

impl Drop for LockedFolder {
    fn drop(&mut self) {
        // Whoever filled it may have made folders that cannot be emptied. What is left is removed by a later process.
        let _ = copy::open_up(self.folder.path());
    }
}

impl LockedFolder {
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl SetupEntry {
    /// The new files of the tree.
    pub(super) fn tree(&self) -> PathBuf {
        self.folder.join(PARTS[0])
    }

    /// The home folder.
    pub(super) fn home(&self) -> PathBuf {
        self.folder.join(PARTS[1])
    }

    pub(super) fn about(&self) -> &SetupMetadata {
        &self.about
    }
}

impl SetupCache {
    /// In this folder, which is made when the first comes.
    pub fn new(folder: PathBuf, kept: CacheRetention) -> Self {
        Self { folder, kept }
    }

    /// Makes a folder that is gone when this process is, in the very file system of the entries.
    pub(super) fn hold(&self) -> io::Result<LockedFolder> {
        let named = |error| copy::at(&self.folder, error);
        std::fs::create_dir_all(&self.folder).map_err(named)?;
        for _ in 0..MAX_TRIES {
            let alone = Permissions::from_mode(0o700);
            let folder = tempfile::Builder::new()
                .prefix(HELD)
                .permissions(alone)
                .tempdir_in(&self.folder)
                .map_err(named)?;
            let Ok(lock) = File::open(folder.path()) else { continue };
            lock.lock_shared()?;
            if folder.path().exists() {
                return Ok(LockedFolder { folder, _lock: lock });
            }
        }
        Err(io::Error::other("new folders vanish from it"))
    }

    /// What is kept for this key, if somebody trusted has made it and it is not too old.
    pub(super) fn find(&self, scope: &CacheScope, key: &str, now: SystemTime) -> Option<SetupEntry> {
        let scopes = std::iter::once(&scope.own).chain(&scope.trusted);
        scopes.map(|scope| self.folder.join(place(scope, key))).find_map(|folder| self.open(folder, now))
    }

    fn open(&self, folder: PathBuf, now: SystemTime) -> Option<SetupEntry> {
        let lock = File::open(&folder).ok()?;
        lock.lock_shared().ok()?;
        // Between the two it may have been removed: then this cannot be read.
        let about = about(&folder)?;
        if self.is_old(&about, now) || !is_whole(&folder, &about) {
            return None;
        }
        // When it was last used. That it cannot be noted makes it go sooner.
        let _ = File::open(folder.join(ABOUT)).and_then(|file| file.set_modified(now));
        Some(SetupEntry { folder, about, _lock: lock, _held: None })
    }

    /// Keeps what a set-up left in `held`, below `tree` and `home`. If somebody else was sooner, theirs is it; where it cannot
    /// be put, it serves this process alone.
    pub(super) fn keep(
        &self,
        scope: &CacheScope,
        key: &str,
        held: LockedFolder,
        commands: Vec<CommandRun>,
        reached: Vec<HostAccess>,
        now: SystemTime,
    ) -> io::Result<SetupEntry> {
        let usage::DiskUsage { bytes, files } = usage_of(held.path());
        let told = SetupMetadata { commands, reached, bytes, files, made: now };
        std::fs::write(held.path().join(ABOUT), serde_json::to_vec(&told)?)?;
        let folder = self.folder.join(place(&scope.own, key));
        // One of the same key that is no good makes room.
        if about(&folder).is_none_or(|there| self.is_old(&there, now) || !is_whole(&folder, &there)) {
            remove(&folder);
        }
        // A folder that is there and in use is not replaced.
        let _ = std::fs::rename(held.path(), &folder);
        if let Some(entry) = self.open(folder, now) {
            return Ok(entry);
        }
        let lock = File::open(held.path())?;
        Ok(SetupEntry { folder: held.path().to_owned(), about: told, _lock: lock, _held: Some(held) })
    }

    /// Removes what is too old, too much, or left by processes that are gone.
    pub(super) fn clean(&self, now: SystemTime) {
        let folders =
            std::fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut entries = Vec::new();
        for folder in folders {
            match about(&folder) {
                _ if is_held(&folder) => remove(&folder),
                Some(about) if !self.is_old(&about, now) => {
                    let used = folder.join(ABOUT).metadata().and_then(|file| file.modified());
                    entries.push((used.unwrap_or(about.made), about.bytes, folder));
                }
                Some(_) | None => remove(&folder),
            }
        }
        entries.sort();
        let mut all: u64 = entries.iter().map(|(_, bytes, _)| *bytes).sum();
        for (_, bytes, folder) in entries {
            if all <= self.kept.bytes {
                break;
            }
            remove(&folder);
            all = all.saturating_sub(bytes);
        }
    }

    /// Also one of the future: somebody set the clock.
    fn is_old(&self, about: &SetupMetadata, now: SystemTime) -> bool {
        (now + SKEW).duration_since(about.made).map_or(true, |age| age > self.kept.age + SKEW)
    }
}

fn is_held(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(HELD.as_bytes()))
}

/// The name of an entry's folder.
fn place(scope: &str, key: &str) -> String {
    hex::encode(Sha256::digest(format!("{key} {scope}")))
}

/// What is told of an entry; none of what is no plain file, which may never end.
fn about(folder: &Path) -> Option<SetupMetadata> {
    let file = folder.join(ABOUT);
    if !file.symlink_metadata().ok()?.is_file() {
        return None;
    }
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

/// What an entry's parts hold.
fn usage_of(folder: &Path) -> usage::DiskUsage {
    PARTS.iter().fold(usage::DiskUsage::default(), |all, part| all.and(usage::of(&folder.join(part))))
}

/// Is everything there that was kept?
fn is_whole(folder: &Path, about: &SetupMetadata) -> bool {
    PARTS.iter().all(|part| folder.join(part).is_dir()) && usage_of(folder).files == about.files
}

/// Removes a folder that nobody uses. What cannot be removed stays for the next time.
fn remove(folder: &Path) {
    let Ok(lock) = File::open(folder) else { return };
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => return,
    }
    let _ = copy::open_up(folder).and_then(|()| std::fs::remove_dir_all(folder));
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    struct TestCache {
        folder: TempDir,
        cache: SetupCache,
    }

    impl TestCache {
        fn new(bytes: u64) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let cache = SetupCache::new(folder.path().join("cache"), CacheRetention { bytes, age: DAY });
            Self { folder, cache }
        }

        fn keep(&self, scope: &CacheScope, key: &str, text: &str, now: SystemTime) -> SetupEntry {
            let held = self.cache.hold().unwrap();
            for name in ["tree", "home"] {
                std::fs::create_dir(held.path().join(name)).unwrap();
            }
            std::fs::write(held.path().join("tree/made"), text).unwrap();
            self.cache.keep(scope, key, held, Vec::new(), Vec::new(), now).unwrap()
        }

        fn found(&self, scope: &CacheScope, key: &str, now: SystemTime) -> Option<String> {
            let entry = self.cache.find(scope, key, now)?;
            Some(std::fs::read_to_string(entry.tree().join("made")).unwrap())
        }

        fn folders(&self) -> usize {
            std::fs::read_dir(self.folder.path().join("cache")).unwrap().count()
        }
    }

    #[test]
    fn an_entry_is_found_by_its_scope_and_those_who_trust_it_until_it_is_old() {
        let (cache, now) = (TestCache::new(u64::MAX), SystemTime::now());
        let (base, change) = (CacheScope::new("base"), CacheScope::new("change").trusting("base"));
        drop(cache.keep(&change, "a", "of a change", now));
        assert_eq!(cache.found(&change, "a", now).as_deref(), Some("of a change"));
        assert_eq!(cache.found(&base, "a", now), None, "a change says nothing of the base");
        assert_eq!(cache.found(&CacheScope::new("other"), "a", now), None);
        drop(cache.keep(&base, "b", "of the base", now));
        assert_eq!(cache.found(&change, "b", now).as_deref(), Some("of the base"));
        assert_eq!(cache.found(&base, "c", now), None);
        assert_eq!(cache.found(&base, "b", now + 2 * DAY), None);
        assert_eq!(cache.found(&base, "b", now - DAY), None, "made in the future");
        // Who comes second uses what is there.
        drop(cache.keep(&base, "b", "later", now));
        assert_eq!(cache.found(&base, "b", now).as_deref(), Some("of the base"));
        drop(cache.keep(&base, "b", "much later", now + 2 * DAY));
        assert_eq!(cache.found(&base, "b", now + 2 * DAY).as_deref(), Some("much later"));
    }

    #[test]
    fn an_entry_that_somebody_took_from_is_made_anew() {
        let (now, scope) = (SystemTime::now(), CacheScope::new("x"));
        let damages: [fn(&Path); 4] = [
            |entry| std::fs::remove_dir(entry.join("home")).unwrap(),
            |entry| std::fs::remove_dir_all(entry.join("tree")).unwrap(),
            |entry| std::fs::remove_file(entry.join("tree/made")).unwrap(),
            |entry| {
                std::fs::remove_file(entry.join(ABOUT)).unwrap();
                let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
                rustix::fs::mknodat(rustix::fs::CWD, entry.join(ABOUT), kind, mode, 0).unwrap();
            },
        ];
        for damage in damages {
            let cache = TestCache::new(u64::MAX);
            let entry = cache.keep(&scope, "a", "first", now);
            damage(&entry.folder);
            drop(entry);
            assert_eq!(cache.found(&scope, "a", now), None);
            drop(cache.keep(&scope, "a", "second", now));
            assert_eq!(cache.found(&scope, "a", now).as_deref(), Some("second"));
        }
    }

    #[test]
    fn what_two_keep_at_once_serves_both() {
        let (cache, now, scope) = (TestCache::new(u64::MAX), SystemTime::now(), CacheScope::new("x"));
        let first = cache.keep(&scope, "a", "first", now + Duration::from_secs(1));
        let second = cache.keep(&scope, "a", "second", now);
        assert_eq!(second.folder, first.folder, "who began sooner and ended later uses what is there");
        // One that is old and in use can neither be used nor replaced.
        let later = cache.keep(&scope, "a", "later", now + 2 * DAY);
        assert_ne!(later.folder, first.folder);
        assert_eq!(std::fs::read_to_string(later.tree().join("made")).unwrap(), "later");
        let own = later.folder.clone();
        drop(later);
        assert!(!own.exists(), "it served its process alone");
    }

    #[test]
    fn what_is_too_much_or_too_old_or_left_behind_goes_and_what_is_used_stays() {
        let (cache, now, scope) = (TestCache::new(5 << 19), SystemTime::now(), CacheScope::new("x"));
        let text = "x".repeat(1 << 20);
        drop(cache.keep(&scope, "old", &text, now - 2 * DAY));
        for key in ["a", "b", "c"] {
            drop(cache.keep(&scope, key, &text, now));
        }
        // Used last, though made first.
        assert!(cache.found(&scope, "a", now + Duration::from_secs(60)).is_some());
        let left = cache.cache.folder.join("held-by-a-dead-process");
        std::fs::create_dir_all(left.join("a")).unwrap();
        let held = cache.cache.hold().unwrap();
        cache.cache.clean(now);
        assert!(!left.exists() && held.path().exists());
        let used = cache.cache.find(&scope, "a", now).unwrap();
        let there: Vec<bool> =
            ["old", "a", "b", "c"].map(|key| cache.found(&scope, key, now).is_some()).into();
        assert_eq!(there.iter().filter(|there| **there).count(), 2, "{there:?}");
        assert!(!there[0] && there[1]);
        let small = SetupCache { kept: CacheRetention { bytes: 0, age: DAY }, ..cache.cache.clone() };
        small.clean(now);
        assert!(used.tree().join("made").exists(), "it is in use");
        drop((used, held));
        small.clean(now);
        assert_eq!(cache.folders(), 0);
    }
}

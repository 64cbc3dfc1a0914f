//! A cache of linters' findings from earlier runs, in a folder of this machine.
//!
//! An entry contains all findings of a linter on one file, before Truing selects the findings on changed
//! lines. The key of an entry is derived from all inputs of the linter's run. An entry is written to a
//! temporary file, which is then renamed. An entry begins with a digest of its content. An entry whose digest
//! does not match its content is ignored. Several processes can therefore share the folder, and a damaged
//! entry only causes the linter to inspect the file again. Entries that were unused for a long time are
//! removed. If all entries together exceed the size limit, the least recently used entries are also removed.

use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use truing_core::finding::RawFinding;

/// Maximum number of bytes that are read of an entry. An entry with more than half of this size is not
/// stored.
const MAX_ENTRY_BYTES: u64 = 1 << 20;
/// Minimum time between two updates of an entry's modification time, which records when the entry was last
/// used.
const MIN_TOUCH_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// Minimum time between two searches for old entries.
const MIN_CLEANUP_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// The file whose modification time is the time of the last search for old entries.
const CLEANUP_TIME_FILE_NAME: &str = "tidied";
/// Maximum total size of all entries in bytes.
const MAX_TOTAL_BYTES: u64 = 200 << 20;
/// Entries that were not used for this time are removed.
const MAX_UNUSED_TIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A folder with cached findings.
#[derive(Clone, Debug)]
pub struct ToolCache {
    folder: PathBuf,
    max_bytes: u64,
    max_unused_time: Duration,
}

/// The key of an entry, which is its file name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct ToolCacheKey(String);

impl ToolCacheKey {
    /// Creates a key from a digest of all inputs of the findings.
    pub(super) fn from_digest(state: &[u8]) -> Self {
        Self(hex::encode(state))
    }
}

/// The content of an entry.
#[derive(Serialize, Deserialize)]
struct ToolCacheEntry {
    path: String,
    findings: Vec<RawFinding>,
}

impl ToolCache {
    /// Creates a cache in this folder, which is created with the first entry.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, max_bytes: MAX_TOTAL_BYTES, max_unused_time: MAX_UNUSED_TIME }
    }

    /// Returns the folder of all entries.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the cached findings for the file with this path, if there is an entry with this key.
    pub(super) fn get(&self, key: &ToolCacheKey, path: &str) -> Option<Vec<RawFinding>> {
        let place = self.entry_path(key)?;
        let file = File::open(&place).ok()?;
        let mut text = String::new();
        file.take(MAX_ENTRY_BYTES + 1).read_to_string(&mut text).ok()?;
        let (digest, rest) = text.split_once('\n')?;
        if digest != hex::encode(Sha256::digest(rest)) {
            return None;
        }
        let ToolCacheEntry { path: of, findings } = truing_core::json::from_str(rest).ok()?;
        let is_of_file = |raw: &RawFinding| raw.location.path.as_str() == Some(path);
        if of != path || !findings.iter().all(is_of_file) {
            return None;
        }
        mark_used(&place);
        Some(findings)
    }

    /// Stores the findings on a file. If the write fails, the next run inspects the file again.
    pub(super) fn store(&self, key: &ToolCacheKey, path: &str, findings: Vec<RawFinding>) {
        let written = self.write(key, &ToolCacheEntry { path: path.to_owned(), findings });
        if let Err(error) = written {
            tracing::debug!(%error, folder = %self.folder.display(), "cannot cache the findings of a linter");
        }
    }

    fn write(&self, key: &ToolCacheKey, entry: &ToolCacheEntry) -> io::Result<()> {
        let rest = serde_json::to_string(entry)?;
        if rest.len() as u64 > MAX_ENTRY_BYTES / 2 {
            return Ok(());
        }
        let Some(place) = self.entry_path(key) else { return Ok(()) };
        let beside = place.parent().unwrap_or(&self.folder);
        DirBuilder::new().recursive(true).mode(0o700).create(beside)?;
        let mut file = tempfile::NamedTempFile::new_in(beside)?;
        file.write_all(hex::encode(Sha256::digest(&rest)).as_bytes())?;
        file.write_all(b"\n")?;
        file.write_all(rest.as_bytes())?;
        file.persist(place)?;
        Ok(())
    }

    /// Removes entries that were unused for too long. If all entries together exceed the size limit, the
    /// least recently used entries are also removed. Entries are searched at most once an hour, for all
    /// processes together.
    pub(super) fn remove_expired(&self) {
        let mark = self.folder.join(CLEANUP_TIME_FILE_NAME);
        let since = mark.metadata().and_then(|found| found.modified()).ok();
        if since.and_then(|since| since.elapsed().ok()).is_some_and(|ago| ago < MIN_CLEANUP_INTERVAL) {
            return;
        }
        if std::fs::write(&mark, "").is_ok() {
            self.remove_old_entries();
        }
    }

    fn remove_old_entries(&self) {
        let mut entries = Vec::new();
        let folders = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for folder in folders {
            let files = std::fs::read_dir(folder.path()).into_iter().flatten().flatten();
            entries.extend(files.filter_map(|file| {
                let found = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
                Some(CacheEntry { used: found.modified().ok()?, bytes: found.len(), path: file.path() })
            }));
        }
        for file in expired_entries(entries, self.max_bytes, self.max_unused_time) {
            let _ = std::fs::remove_file(file);
        }
    }

    fn entry_path(&self, key: &ToolCacheKey) -> Option<PathBuf> {
        let (folder, name) = key.0.split_at_checked(2)?;
        Some(self.folder.join(folder).join(name))
    }
}

/// An entry of a cache: a file, or a folder with all its files.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct CacheEntry {
    /// Time of the last use.
    pub(super) used: SystemTime,
    pub(super) bytes: u64,
    pub(super) path: PathBuf,
}

/// Returns the entries that were unused for too long. If all entries together exceed the size limit, also
/// returns the least recently used entries.
pub(super) fn expired_entries(
    mut entries: Vec<CacheEntry>,
    max_bytes: u64,
    max_unused_time: Duration,
) -> Vec<PathBuf> {
    entries.sort_unstable();
    let mut total_bytes = 0_u64;
    // Sizes are added up from the most recently used entry on, so the least recently used entries exceed the
    // size limit.
    let expired = entries.into_iter().rev().filter(|entry| {
        total_bytes = total_bytes.saturating_add(entry.bytes);
        let is_old = entry.used.elapsed().is_ok_and(|ago| ago > max_unused_time);
        is_old || total_bytes > max_bytes
    });
    expired.map(|entry| entry.path).collect()
}

/// Updates an entry's modification time, at most once a day.
fn mark_used(file: &Path) {
    let used = file.metadata().and_then(|found| found.modified());
    let is_long_ago = used.is_ok_and(|used| used.elapsed().is_ok_and(|ago| ago > MIN_TOUCH_INTERVAL));
    if is_long_ago && let Ok(file) = File::options().append(true).open(file) {
        let _ = file.set_modified(SystemTime::now());
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use truing_core::finding::{CodeLocation, DefectCategory, DiffSide, FindingSource, Severity};

    use super::*;
    use truing_core::code_digest::CodeDigests;

    fn raw_finding(path: &str, title: &str) -> RawFinding {
        RawFinding {
            location: CodeLocation { path: path.into(), side: DiffSide::New, start_line: 1, end_line: 2 },
            severity: Severity::P2,
            category: DefectCategory::J,
            rule: "ruff/E741".into(),
            title: title.into(),
            body: String::new(),
            snippet: "l = 1\u{1b}".into(),
            code: CodeDigests::default(),
            suggestion: None,
            source: FindingSource::Tool,
            specialists: Vec::new(),
        }
    }

    fn list_files(folder: &Path) -> Vec<PathBuf> {
        let folders = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let folders = folders.filter(|path| path.is_dir());
        folders
            .flat_map(|folder| std::fs::read_dir(folder).unwrap())
            .map(|file| file.unwrap().path())
            .collect()
    }

    #[test]
    fn an_entry_is_found_by_its_key_and_of_its_path_alone() {
        let folder = tempfile::tempdir().unwrap();
        let cache = ToolCache::new(folder.path().join("own/tools"));
        let (one, other) = (ToolCacheKey::from_digest(b"one"), ToolCacheKey::from_digest(b"other"));
        assert_eq!(cache.get(&one, "a.py"), None);
        cache.store(&one, "a.py", vec![raw_finding("a.py", "t")]);
        cache.store(&other, "b.py", Vec::new());
        assert_eq!(cache.get(&one, "a.py"), Some(vec![raw_finding("a.py", "t")]));
        assert_eq!(cache.get(&other, "b.py"), Some(Vec::new()), "a file without findings");
        assert_eq!(cache.get(&one, "b.py"), None);
        cache.store(&one, "a.py", vec![raw_finding("b.py", "t")]);
        assert_eq!(cache.get(&one, "a.py"), None, "it is of another file");
        let another = ToolCache::new(folder.path().join("own/tools"));
        assert_eq!(another.get(&other, "b.py"), Some(Vec::new()), "of another process");
        for file in list_files(&folder.path().join("own/tools")) {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "nobody else reads it");
        }
    }

    #[test]
    fn a_damaged_entry_is_a_miss() {
        let folder = tempfile::tempdir().unwrap();
        let cache = ToolCache::new(folder.path().to_owned());
        let key = ToolCacheKey::from_digest(b"one");
        cache.store(&key, "a.py", vec![raw_finding("a.py", "right")]);
        let file = list_files(folder.path()).remove(0);
        let whole = std::fs::read_to_string(&file).unwrap();
        let half = whole.get(..whole.len() / 2).unwrap();
        for damaged in [whole.replace("right", "wrong"), half.to_owned(), String::new(), "\n".to_owned()] {
            std::fs::write(&file, &damaged).unwrap();
            assert_eq!(cache.get(&key, "a.py"), None, "{damaged}");
        }
        std::fs::write(&file, [0xff, b'\n', 0xff]).unwrap();
        assert_eq!(cache.get(&key, "a.py"), None);
        cache.store(&key, "a.py", vec![raw_finding("a.py", "right")]);
        assert!(cache.get(&key, "a.py").is_some(), "it is written again");
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let cache = ToolCache::new(folder.path().to_owned());
        let many = (0..2_000).map(|_| raw_finding("a.py", &"x".repeat(400))).collect();
        cache.store(&ToolCacheKey::from_digest(b"one"), "a.py", many);
        assert!(!folder.path().join("6f").exists());
    }

    #[test]
    fn what_is_old_or_too_much_goes_and_what_was_used_last_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = ToolCache::new(folder.path().to_owned());
        let hour = Duration::from_secs(3_600);
        for (at, name) in [b"a1", b"b2", b"c3"].iter().enumerate() {
            cache.store(&ToolCacheKey::from_digest(*name), "a.py", vec![raw_finding("a.py", "t")]);
            let file = File::options()
                .append(true)
                .open(cache.entry_path(&ToolCacheKey::from_digest(*name)).unwrap())
                .unwrap();
            file.set_modified(SystemTime::now() - hour * (u32::try_from(at).unwrap() + 1)).unwrap();
        }
        let kept = |cache: &ToolCache| {
            [b"a1", b"b2", b"c3"]
                .map(|name| cache.entry_path(&ToolCacheKey::from_digest(name)).unwrap().exists())
        };
        cache.remove_expired();
        assert_eq!(kept(&cache), [true, true, true]);
        cache.max_unused_time = hour * 2 + hour / 2;
        cache.remove_expired();
        assert_eq!(kept(&cache), [true, true, true], "it was tidied just now");
        std::fs::remove_file(folder.path().join(CLEANUP_TIME_FILE_NAME)).unwrap();
        cache.remove_expired();
        assert_eq!(kept(&cache), [true, true, false]);
        std::fs::remove_file(folder.path().join(CLEANUP_TIME_FILE_NAME)).unwrap();
        cache.max_bytes =
            cache.entry_path(&ToolCacheKey::from_digest(b"a1")).unwrap().metadata().unwrap().len();
        cache.remove_expired();
        assert_eq!(kept(&cache), [true, false, false]);
    }
}

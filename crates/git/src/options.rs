//! What can be set from outside: the program, where private folders go, and every bound.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::SearchPath;

/// The oldest git that is used, that of Ubuntu 22.04. One from 2.41 on is also asked never to take attributes from a head
/// (`GIT_ATTR_SOURCE`); private folders have none in any version.
pub const MIN_VERSION: (u32, u32) = (2, 34);
/// The oldest git that merges two commits without a working tree.
pub const MIN_VERSION_TO_MERGE: (u32, u32) = (2, 38);

/// How long a call that stays on this machine may take.
pub const LOCAL_TIME: Duration = Duration::from_secs(120);
/// How long one fetch may take.
pub const NETWORK_TIME: Duration = Duration::from_secs(600);
/// How many bytes an answer may have where a few lines are expected.
pub const OUTPUT_BYTES: usize = 1 << 20;
/// How many bytes a listing of a tree, an index or a working tree may have.
pub const LISTING_BYTES: usize = 128 << 20;
/// How many bytes a diff may have.
pub const MAX_DIFF_BYTES: usize = 64 << 20;
/// How big a single file may be that is exported, or added to the diff of a working tree.
pub const MAX_FILE_BYTES: u64 = 4 << 20;
/// How many bytes one export, or the new files of one working tree, may have together.
pub const MAX_TOTAL_BYTES: u64 = 1 << 30;
/// How many files one export may write.
pub const MAX_FILES: usize = 200_000;
/// How much of what git says on its error stream is kept: the last bytes.
pub const MAX_STDERR_BYTES: usize = 16 << 10;
/// How much memory (data, not mapped files) one git process may take, in bytes.
pub const MEMORY_BYTES: u64 = 2 << 30;
/// How many bytes an index, or the list of packed refs, may have: ten million short entries have more, two million
/// have less.
pub const MAX_INDEX_BYTES: u64 = 256 << 20;
/// How many bytes the other files may have that git reads whole: its configuration, a ref, lists of patterns.
pub const MAX_CONFIG_BYTES: u64 = 16 << 20;
/// How many characters of it an error message shows.
pub const MAX_MESSAGE_CHARS: usize = 1000;

/// How to run git.
#[derive(Clone, Debug)]
pub struct GitOptions {
    /// The program: a name that is looked up in `programs`, or a path.
    pub program: PathBuf,
    /// Where programs are looked for, by git too.
    pub programs: SearchPath,
    /// Where private folders (home, views, credentials) are made, each readable by this user only.
    pub temp: PathBuf,
    /// The user's ignore file where no configuration names one with `core.excludesFile`. Files that it ignores are not
    /// among the new files of a working tree.
    pub excludes: Option<PathBuf>,
    /// The variables by which git finds the configuration of the system and of the user: `HOME`, `XDG_CONFIG_HOME` and
    /// those that begin with `GIT_CONFIG_`. `core.excludesFile`, `core.autocrlf`, `core.eol` and `core.ignoreCase` are taken
    /// from there for working trees, and nothing else. Empty: no configuration but the repository's is read.
    pub user_variables: Vec<(String, OsString)>,
    /// The bounds.
    pub limits: GitLimits,
}

impl Default for GitOptions {
    /// `git` from this process's `PATH`, the system's temporary folder, no ignore file, the default bounds.
    fn default() -> Self {
        Self {
            program: PathBuf::from("git"),
            programs: SearchPath::of(
                &std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/local/bin:/usr/bin:/bin")),
                [],
            ),
            temp: std::env::temp_dir(),
            excludes: None,
            user_variables: Vec::new(),
            limits: GitLimits::default(),
        }
    }
}

/// Every bound. The defaults are the constants of the same names in this crate.
#[derive(Clone, Debug)]
pub struct GitLimits {
    /// Time of a call that stays on this machine.
    pub local_time: Duration,
    /// Time of a fetch, and of waiting for another one of the same mirror.
    pub network_time: Duration,
    /// Bytes of a short answer.
    pub output_bytes: usize,
    /// Bytes of a listing.
    pub listing_bytes: usize,
    /// Bytes of a diff.
    pub diff_bytes: usize,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of all files together.
    pub total_bytes: u64,
    /// Number of files.
    pub files: usize,
    /// Bytes of memory of one git process.
    pub memory_bytes: u64,
}

impl Default for GitLimits {
    fn default() -> Self {
        Self {
            local_time: LOCAL_TIME,
            network_time: NETWORK_TIME,
            output_bytes: OUTPUT_BYTES,
            listing_bytes: LISTING_BYTES,
            diff_bytes: MAX_DIFF_BYTES,
            file_bytes: MAX_FILE_BYTES,
            total_bytes: MAX_TOTAL_BYTES,
            files: MAX_FILES,
            memory_bytes: MEMORY_BYTES,
        }
    }
}

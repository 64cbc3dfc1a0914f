//! Options of the crate: the git program, the location of private folders, and all limits.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::SearchPath;

/// Oldest supported version of git, which Ubuntu 22.04 ships. From git 2.41 on, `GIT_ATTR_SOURCE` also
/// prevents git from reading attributes from a head. With older versions, attributes are still ignored,
/// because the private folders contain none.
pub const MIN_VERSION: (u32, u32) = (2, 34);
/// Oldest supported version of git for merging two commits without a working tree.
pub const MIN_VERSION_TO_MERGE: (u32, u32) = (2, 38);

/// Time limit of a local call.
pub const LOCAL_TIMEOUT: Duration = Duration::from_secs(120);
/// Time limit of one fetch.
pub const NETWORK_TIMEOUT: Duration = Duration::from_secs(600);
/// Maximum bytes of a short output of a few lines.
pub const MAX_OUTPUT_BYTES: usize = 1 << 20;
/// Maximum bytes of a listing of a tree, an index or a working tree.
pub const MAX_LISTING_BYTES: usize = 128 << 20;
/// Maximum bytes of a diff.
pub const MAX_DIFF_BYTES: usize = 64 << 20;
/// Maximum bytes of one file that is exported, or that is added to the diff of a working tree.
pub const MAX_FILE_BYTES: u64 = 4 << 20;
/// Maximum total bytes of one export, or of the new files of one working tree.
pub const MAX_TOTAL_BYTES: u64 = 1 << 30;
/// Maximum number of files in one export.
pub const MAX_FILES: usize = 200_000;
/// Number of bytes kept from the end of git's error output.
pub const MAX_STDERR_BYTES: usize = 16 << 10;
/// Maximum memory of a git process in bytes; memory-mapped files do not count.
pub const MAX_MEMORY_BYTES: u64 = 2 << 30;
/// Maximum bytes of an index or of the list of packed refs, enough for two million short entries.
pub const MAX_INDEX_BYTES: u64 = 256 << 20;
/// Maximum bytes of other files that git reads as a whole: its configuration, a ref, a list of patterns.
pub const MAX_CONFIG_BYTES: u64 = 16 << 20;
/// Maximum characters of git's message in an error.
pub const MAX_MESSAGE_CHARS: usize = 1000;

/// Options for running git.
#[derive(Clone, Debug)]
pub struct GitOptions {
    /// The git program: a name that is searched in `search_path`, or a path.
    pub program: PathBuf,
    /// Search path for programs. Child processes of git get this search path as their `PATH`.
    pub search_path: SearchPath,
    /// Folder in which private folders (home, views, credentials) are created. Only this user can read the
    /// private folders.
    pub temp_folder: PathBuf,
    /// The user's ignore file, which applies if no configuration sets `core.excludesFile`. New files that
    /// match this file are not part of a working tree's diff.
    pub excludes_file: Option<PathBuf>,
    /// Environment variables by which git finds the configuration of the system and of the user: `HOME`,
    /// `XDG_CONFIG_HOME`, and the variables that begin with `GIT_CONFIG_`. Only `core.excludesFile`,
    /// `core.autocrlf`, `core.eol` and `core.ignoreCase` are read from these configurations, and only for
    /// working trees. If the list is empty, only the repository's configuration is read.
    pub config_variables: Vec<(String, OsString)>,
    pub limits: GitLimits,
}

impl Default for GitOptions {
    /// Uses `git` from this process's `PATH`, the system's temporary folder, no ignore file and the default
    /// limits.
    fn default() -> Self {
        Self {
            program: PathBuf::from("git"),
            search_path: SearchPath::from_path_variable(
                &std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/local/bin:/usr/bin:/bin")),
                [],
            ),
            temp_folder: std::env::temp_dir(),
            excludes_file: None,
            config_variables: Vec::new(),
            limits: GitLimits::default(),
        }
    }
}

/// All limits. The defaults are the constants in this module.
#[derive(Clone, Debug)]
pub struct GitLimits {
    /// Time limit of a local call.
    pub local_timeout: Duration,
    /// Time limit of a fetch, and of the wait for another fetch into the same mirror.
    pub network_timeout: Duration,
    /// Maximum bytes of a short output.
    pub output_bytes: usize,
    /// Maximum bytes of a listing.
    pub listing_bytes: usize,
    /// Maximum bytes of a diff.
    pub diff_bytes: usize,
    /// Maximum bytes of one file.
    pub file_bytes: u64,
    /// Maximum bytes of all files together.
    pub total_bytes: u64,
    /// Maximum number of files.
    pub file_count: usize,
    /// Maximum memory of one git process in bytes.
    pub memory_bytes: u64,
}

impl Default for GitLimits {
    fn default() -> Self {
        Self {
            local_timeout: LOCAL_TIMEOUT,
            network_timeout: NETWORK_TIMEOUT,
            output_bytes: MAX_OUTPUT_BYTES,
            listing_bytes: MAX_LISTING_BYTES,
            diff_bytes: MAX_DIFF_BYTES,
            file_bytes: MAX_FILE_BYTES,
            total_bytes: MAX_TOTAL_BYTES,
            file_count: MAX_FILES,
            memory_bytes: MAX_MEMORY_BYTES,
        }
    }
}

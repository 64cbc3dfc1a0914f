//! Opens regular files, and refuses files of any other kind.

use std::path::Path;

/// Opens a regular file; links to regular files are followed. Files of other kinds are refused, because
/// opening a FIFO may block forever and reading a device may never end.
pub fn open_regular_file(path: &Path) -> std::io::Result<std::fs::File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    std::fs::File::open(path)
}

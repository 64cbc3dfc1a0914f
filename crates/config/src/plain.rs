//! Plain files, opened.

use std::path::Path;

/// Opens a plain file, perhaps through a link. Another thing can be waited for without end (a FIFO), or read (a device).
pub fn open_plain(path: &Path) -> std::io::Result<std::fs::File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is not a plain file"));
    }
    std::fs::File::open(path)
}

//! Keeps the patches that revert fixes. Each run saves one patch in the user's own folder before it changes a
//! file.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Maximum number of patches that are kept. The oldest patches are removed first.
const MAX_PATCHES: usize = 50;
/// Maximum number of patches that may have the same time stamp.
const MAX_PATCHES_PER_STAMP: u32 = 100;
/// Extension of the file names of patches.
const PATCH_EXTENSION: &str = "patch";

/// The text before the patch in its file. Git ignores this text.
const PATCH_PREAMBLE: &str = "Changes made by `truing review --fix`. If the command was killed, this \
    patch may also contain changes that were not\nmade. The next run in this folder removes these from \
    the patch. Or undo the changes in each changed file: put\n--include=PATH before the name of this \
    patch.\n\n";

/// Saves a patch that only the user can read, because the patch contains lines of the repository. `stamp` is
/// the time, in a format that sorts alphabetically in the order of time. The oldest patches beyond the limit
/// are removed.
///
/// # Errors
/// The folder or the file cannot be written.
pub fn save_patch(folder: &Path, stamp: &str, patch: &[u8]) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut tries = 0;
    let (path, mut file) = loop {
        let path = folder.join(format!("{stamp}-{tries:02}.{PATCH_EXTENSION}"));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => break (path, file),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < MAX_PATCHES_PER_STAMP => {
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    };
    file.write_all(PATCH_PREAMBLE.as_bytes())?;
    file.write_all(patch)?;
    file.sync_all()?;
    File::open(folder)?.sync_all()?;
    delete_old_patches(folder)?;
    Ok(path)
}

/// Reduces a kept patch to the files whose flag in `applied_flags` is true; each file's section is kept or
/// removed completely. If no flag is true, the patch is removed.
///
/// # Errors
/// The patch does not exist, or the folder cannot be written.
pub fn trim_patch(path: &Path, applied_flags: &[bool]) -> io::Result<()> {
    let whole = std::fs::read(path)?;
    if !applied_flags.contains(&true) {
        return std::fs::remove_file(path);
    }
    let mut patch = Vec::new();
    let mut section: Option<usize> = None;
    for line in whole.split_inclusive(|byte| *byte == b'\n') {
        // Lines of file content begin with a sign or a space, so this text can only be the start of a
        // section.
        if line.starts_with(b"diff --git ") {
            section = Some(section.map_or(0, |number| number + 1));
        }
        if section.is_none_or(|number| applied_flags.get(number).is_some_and(|applied_flags| *applied_flags))
        {
            patch.extend_from_slice(line);
        }
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&patch)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error).map(drop)
}

/// Removes all patches except the newest ones.
fn delete_old_patches(folder: &Path) -> io::Result<()> {
    let mut patches: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == PATCH_EXTENSION) {
            patches.push(path);
        }
    }
    patches.sort_unstable();
    let over = patches.len().saturating_sub(MAX_PATCHES);
    for path in patches.iter().take(over) {
        // Another run may already have removed the patch.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// The git command that applies bytes unchanged. This command ignores the repository, because the attributes
/// of the repository could convert line ends. The option overrides the user's `core.autocrlf` setting, which
/// could also convert line ends.
const GIT_COMMAND: &str = "git --git-dir=/dev/null -c core.autocrlf=false";

/// Returns the shell command that applies a patch in reverse; it works from any folder.
pub fn undo_command(root: &Path, patch: &Path) -> String {
    let (root, patch) = (quote_word(root.as_os_str().as_bytes()), quote_word(patch.as_os_str().as_bytes()));
    format!("{GIT_COMMAND} -C {root} apply -R --whitespace=nowarn {patch}")
}

/// Formats one word of a shell command. Plain text stays unchanged, and a word with special characters is
/// quoted. Control characters and bytes that are not UTF-8 are quoted and escaped.
fn quote_word(bytes: &[u8]) -> String {
    let safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+=@%:,".contains(byte);
    match std::str::from_utf8(bytes) {
        Ok(text) if !bytes.is_empty() && bytes.iter().all(safe) => text.to_owned(),
        Ok(text) if !text.chars().any(char::is_control) => format!("'{}'", text.replace('\'', r"'\''")),
        Ok(_) | Err(_) => {
            let escaped = |byte: &u8| match byte {
                b'\'' | b'\\' => format!("\\{}", char::from(*byte)),
                b' '..=b'~' => char::from(*byte).to_string(),
                other => format!("\\{other:03o}"),
            };
            format!("$'{}'", bytes.iter().map(escaped).collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_newest_patches_are_kept_for_the_user_alone() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("state/undo");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("notes.txt"), "mine").unwrap();
        for number in 0..MAX_PATCHES + 3 {
            save_patch(&folder, &format!("2026{number:04}"), b"x").unwrap();
        }
        let last = save_patch(&folder, "20269999", b"y").unwrap();
        let again = save_patch(&folder, "20269999", b"z").unwrap();
        for (path, patch) in [(&last, "y"), (&again, "z")] {
            assert_eq!(std::fs::read_to_string(path).unwrap(), format!("{PATCH_PREAMBLE}{patch}"));
        }
        assert_eq!(last.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), MAX_PATCHES + 1);
        assert!(folder.join("notes.txt").exists() && !folder.join("20260004-00.patch").exists());
        assert!(folder.join("20260005-00.patch").exists());
    }

    #[test]
    fn a_patch_is_cut_to_the_files_that_are_marked() {
        let home = tempfile::tempdir().unwrap();
        let section =
            |name: &str| format!("diff --git a/{name} b/{name}\n@@ -1 +1 @@\n-diff --git a\n+x\r\n");
        let whole = ["a", "b", "c"].map(section).concat();
        let path = save_patch(home.path(), "1", whole.as_bytes()).unwrap();
        trim_patch(&path, &[true, false, true]).unwrap();
        let expected = format!("{PATCH_PREAMBLE}{}{}", section("a"), section("c"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        trim_patch(&path, &[false, false]).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_shell_reads_the_words_of_the_command_as_they_are() {
        for name in
            [&b"/a/b-c.patch"[..], b"/with blank/x", b"it's", "/\u{e9}".as_bytes(), b"/\xff\n'\\", b"$HOME;*"]
        {
            let script = format!("printf %s {}", quote_word(name));
            let printed = std::process::Command::new("bash").args(["-c", &script]).output().unwrap().stdout;
            assert_eq!(printed, name, "{script}");
        }
    }
}

//! Pipes, sockets and devices where a repository's own files should be: git opens them without asking, and waits for
//! ever for somebody who writes. They are looked for before git is started.

use std::fs;
use std::path::Path;

use crate::GitError;

/// The most entries of git folders that are looked at: beyond, git's own time limit is what ends a wait.
const MAX_ENTRIES: usize = 500_000;
/// The most bytes of a file that names another folder (`.git`, `commondir`, `info/alternates`).
const MAX_POINTER_BYTES: u64 = 64 << 10;
/// The files that git reads at first in a folder that may be a bare repository.
const OF_BARE: [&str; 3] = ["HEAD", "config", "commondir"];

/// Looks at the repository that git would find from `folder`: at its own folder, at the one that it shares with other
/// working trees, and at those that it borrows objects from.
///
/// # Errors
/// [`GitError::SpecialFile`] names the first file there that is none.
pub(super) fn refuse_special_files(folder: &Path) -> Result<(), GitError> {
    let mut left = Vec::new();
    for above in folder.ancestors() {
        let dot_git = above.join(".git");
        plain(&dot_git)?;
        if dot_git.is_dir() {
            left.push(dot_git);
        } else if let Some(named) = pointer(&dot_git).first().and_then(|line| line.strip_prefix("gitdir:")) {
            left.push(above.join(named.trim()));
        } else {
            for name in OF_BARE {
                plain(&above.join(name))?;
            }
            continue;
        }
        break;
    }
    let (mut seen, mut entries) = (Vec::new(), 0);
    while let Some(next) = left.pop() {
        // Two repositories may borrow from each other.
        let Ok(next) = fs::canonicalize(next) else { continue };
        if seen.iter().any(|before| next.starts_with(before)) {
            continue;
        }
        below(&next, &mut entries)?;
        left.extend(pointer(&next.join("commondir")).iter().map(|shared| next.join(shared)));
        let objects = [next.join("objects"), next.clone()];
        left.extend(objects.iter().flat_map(|objects| {
            let lines = pointer(&objects.join("info/alternates"));
            lines.into_iter().filter(|line| !line.starts_with('#')).map(|line| objects.join(line))
        }));
        seen.push(next);
    }
    Ok(())
}

/// Everything in a folder and below it.
fn below(folder: &Path, entries: &mut usize) -> Result<(), GitError> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        // What cannot be listed is git's to complain of.
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            *entries += 1;
            if *entries > MAX_ENTRIES {
                return Ok(());
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => {}
                Ok(_) | Err(_) => plain(&entry.path())?,
            }
        }
    }
    Ok(())
}

/// Refuses what is there and neither a file nor a folder, over links, too.
fn plain(path: &Path) -> Result<(), GitError> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() && !found.is_dir() => Err(GitError::SpecialFile(path.to_owned())),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The lines of a small file; none if it is not there, or too large.
fn pointer(path: &Path) -> Vec<String> {
    let small = fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= MAX_POINTER_BYTES);
    let text = if small { fs::read_to_string(path).unwrap_or_default() } else { String::new() };
    text.lines().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
}

//! Compares the files that Git LFS stores with their pointers. For each of these files, git stores a pointer
//! instead of the content (Git LFS, `docs/spec.md`).
//!
//! To find out that a file is unchanged, git runs the filter of Git LFS, which converts the file to a
//! pointer. Truing does not run programs that a repository names, so this module itself compares the file
//! with the pointer.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, BufRead as _, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use truing_core::RepoPath;

use super::worktree::{ChangedPath, ScratchIndex, disk_path, has_attributes_file};
use crate::GitError;
use crate::isolated_git_dir::unknown_output_error;

/// Maximum size of a pointer in bytes, as set by the specification.
const MAX_POINTER_BYTES: u64 = 1024;
/// Maximum number of bytes that are read from a file at a time.
const READ_CHUNK_BYTES: usize = 256 << 10;
/// First line of every pointer.
const POINTER_VERSION_LINE: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";
/// Value of the attribute that assigns a file to Git LFS.
const LFS_FILTER_VALUE: &[u8] = b"lfs";

/// A pointer of Git LFS, as git stores it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct LfsPointer {
    /// SHA-256 of the content, in hexadecimal digits.
    oid: String,
    /// Size of the content in bytes.
    size: u64,
}

impl LfsPointer {
    fn parse(text: &[u8]) -> Option<Self> {
        let lines = std::str::from_utf8(text.strip_prefix(POINTER_VERSION_LINE)?).ok()?;
        let value = |key: &str| lines.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        let oid = value("oid")?.strip_prefix("sha256:")?;
        let is_digest = oid.len() == 64 && oid.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_digest.then_some(Self { oid: oid.to_owned(), size: value("size")?.parse().ok()? })
    }

    /// Returns true if the file's content matches the pointer.
    fn matches_file(&self, file: &Path) -> io::Result<bool> {
        let file = std::fs::File::open(file)?;
        if file.metadata()?.len() != self.size {
            return Ok(false);
        }
        let mut digest = Sha256::new();
        // The file may grow while it is read, so no more than the expected size is read.
        let mut content = io::BufReader::with_capacity(READ_CHUNK_BYTES, file.take(self.size));
        loop {
            let bytes = content.fill_buf()?;
            if bytes.is_empty() {
                break;
            }
            digest.update(bytes);
            let read = bytes.len();
            content.consume(read);
        }
        Ok(hex::encode(digest.finalize()).eq_ignore_ascii_case(&self.oid))
    }
}

/// The result of comparing a file that Git LFS stores with its pointer.
enum LfsPointerMatch {
    /// The content matches the pointer; only the file's times differ.
    Same,
    /// The content does not match the pointer.
    Different,
    /// The file is a pointer itself, because its content was not fetched.
    UnfetchedContent,
}

impl LfsPointerMatch {
    fn compare(pointer: &LfsPointer, file: &Path) -> io::Result<Self> {
        if pointer.matches_file(file)? {
            return Ok(Self::Same);
        }
        let mut text = Vec::new();
        std::fs::File::open(file)?.take(MAX_POINTER_BYTES).read_to_end(&mut text)?;
        Ok(if LfsPointer::parse(&text).is_some() { Self::UnfetchedContent } else { Self::Different })
    }
}

impl ScratchIndex {
    /// Removes the unchanged files of Git LFS from `changed_paths`, and marks the changed files of Git LFS.
    pub(super) async fn drop_unchanged_lfs(
        &self,
        changed_paths: &mut BTreeMap<RepoPath, ChangedPath>,
    ) -> Result<(), GitError> {
        let tracked = changed_paths.iter().filter(|(_, changed_paths)| !changed_paths.is_deleted);
        let tracked: Vec<(RepoPath, Vec<u8>)> = tracked
            .filter_map(|(path, changed_paths)| Some((path.clone(), changed_paths.blob.clone()?)))
            .collect();
        let pointers = self.load_pointers(self.select_lfs_files(tracked).await?).await?;
        let root = self.root().to_owned();
        let compare = move || {
            let compared = |(path, pointer): (RepoPath, LfsPointer)| {
                // If a file cannot be read, the later call of `update-index` reports the error.
                let found = LfsPointerMatch::compare(&pointer, &disk_path(&root, &path)).ok()?;
                Some((path, found))
            };
            pointers.into_iter().filter_map(compared).collect::<Vec<_>>()
        };
        for (path, found) in tokio::task::spawn_blocking(compare).await.unwrap_or_default() {
            match found {
                LfsPointerMatch::Same => drop(changed_paths.remove(&path)),
                LfsPointerMatch::Different => {
                    if let Some(changed_paths) = changed_paths.get_mut(&path) {
                        changed_paths.is_changed_lfs_file = true;
                    }
                }
                LfsPointerMatch::UnfetchedContent => {}
            }
        }
        Ok(())
    }

    /// Returns the given files that the attributes assign to Git LFS, with the ids of their blobs.
    async fn select_lfs_files(
        &self,
        files: Vec<(RepoPath, Vec<u8>)>,
    ) -> Result<Vec<(RepoPath, Vec<u8>)>, GitError> {
        let paths: Vec<RepoPath> = files.iter().map(|(path, _)| path.clone()).collect();
        if !has_attributes_file(self.root(), &paths) {
            return Ok(Vec::new());
        }
        let names = paths.iter().flat_map(|path| path.as_bytes().iter().copied().chain([0])).collect();
        let call = self.worktree_command("check-attr").args(["-z", "--stdin", "filter"]).with_input(names);
        let listing = call.max_output(self.max_listing_bytes()).read_output().await?;
        // Fields for each path: the path, the attribute's name, its value.
        let fields: Vec<&[u8]> = listing.split(|byte| *byte == 0).collect();
        let of_lfs = fields.chunks_exact(3).filter(|line| line.get(2) == Some(&LFS_FILTER_VALUE));
        let of_lfs: HashSet<&[u8]> = of_lfs.filter_map(|line| line.first().copied()).collect();
        Ok(files.into_iter().filter(|(path, _)| of_lfs.contains(path.as_bytes())).collect())
    }

    /// Returns the files whose blobs are LFS pointers, each with its pointer.
    async fn load_pointers(
        &self,
        files: Vec<(RepoPath, Vec<u8>)>,
    ) -> Result<Vec<(RepoPath, LfsPointer)>, GitError> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let ids = |files: &[(RepoPath, Vec<u8>)]| {
            files.iter().flat_map(|(_, id)| id.iter().copied().chain([b'\n'])).collect::<Vec<u8>>()
        };
        let view = self.isolated_dir();
        let call = view.command("cat-file").arg("--batch-check=%(objectsize)").with_input(ids(&files));
        let sizes = call.max_output(self.max_listing_bytes()).read_output().await?;
        let sizes = String::from_utf8_lossy(&sizes);
        // For a missing blob, git prints a message instead of the size.
        let is_short = |size: &str| size.parse().is_ok_and(|size: u64| size <= MAX_POINTER_BYTES);
        let short = files.into_iter().zip(sizes.lines()).filter(|(_, size)| is_short(size));
        let files: Vec<(RepoPath, Vec<u8>)> = short.map(|(file, _)| file).collect();
        let call = view.command("cat-file").arg("--batch=%(objectsize)").with_input(ids(&files));
        let blobs = call.max_output(self.max_listing_bytes()).read_output().await?;
        let (mut rest, mut pointers) = (blobs.as_slice(), Vec::new());
        for (path, _) in files {
            let blob = split_next_blob(&mut rest).ok_or_else(|| unknown_output_error("cat-file", rest))?;
            pointers.extend(LfsPointer::parse(blob).map(|pointer| (path, pointer)));
        }
        Ok(pointers)
    }
}

/// Returns the next blob in git's output, and removes it from the output. A blob is written as its size, a
/// line end, its bytes, and a line end.
fn split_next_blob<'a>(batch_output: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = batch_output.iter().position(|byte| *byte == b'\n')?;
    let (size, rest) = batch_output.split_at_checked(end)?;
    let size = std::str::from_utf8(size).ok()?.parse().ok()?;
    let (blob, rest) = rest.get(1..)?.split_at_checked(size)?;
    *batch_output = rest.get(1..)?;
    Some(blob)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_what_the_specification_says() {
        let oid = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
        let text = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 12345\n");
        let pointer = LfsPointer { oid: oid.to_owned(), size: 12345 };
        assert_eq!(LfsPointer::parse(text.as_bytes()), Some(pointer.clone()));
        let extended = text.replace("oid", "ext-0-foo sha256:aa\noid");
        assert_eq!(LfsPointer::parse(extended.as_bytes()), Some(pointer));
        for other in [
            text.replace("v1", "v2"),
            text.replace("sha256:", "md5:"),
            text.replace(oid, "4d7a"),
            text.replace("12345", "-1"),
            text.replace("size", "sizes"),
            String::new(),
        ] {
            assert_eq!(LfsPointer::parse(other.as_bytes()), None, "{other}");
        }
    }
}

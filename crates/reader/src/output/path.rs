//! Converts paths in tool output to paths in the tree.
//!
//! A path in a tool's output may be relative to the tool's working folder, an absolute path on the tool's
//! machine, a `file://` URL, or a Windows path. The result is a path in the tree and outside of git folders,
//! or an error that contains the original path.

use std::collections::{BTreeMap, BTreeSet};

use truing_diff::RepoPath;

use crate::output::format::OutputContext;

/// Maximum length of a path, in bytes.
pub const MAX_PATH_BYTES: usize = 4096;

/// Maximum number of parts of a path that is compared with the files of the tree.
const MAX_PATH_COMPONENTS: usize = 100;

/// Reasons why a path is not in the tree.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PathError {
    /// The path is missing or empty.
    #[error("no path")]
    Missing,
    /// The path has more than [`MAX_PATH_BYTES`].
    #[error("a path of more than {MAX_PATH_BYTES} bytes")]
    TooLong,
    /// The path is a URL with a scheme other than `file`.
    #[error("{0} is not the path of a file")]
    NonFileUrl(String),
    /// The path is outside of all known roots, or `..` parts lead out of the tree.
    #[error("{0} is outside of the tree")]
    OutsideTree(String),
    /// The path is absolute, and no root is known.
    #[error("{0} is an absolute path, but the root of the tree on the tool's machine is not known")]
    UnknownRoot(String),
    /// The path is the root itself or a git folder, or contains a NUL.
    #[error("{0} is not a file of the tree")]
    NotAFile(String),
}

/// The parts of an absolute path, beginning at the root of the file system.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct AbsolutePath {
    /// Volume: `c:` for a drive, `\\host` for a network share, or empty for a path without a volume, which
    /// begins with one separator.
    volume: Vec<u8>,
    components: Vec<Vec<u8>>,
}

/// Resolves paths in tool output to paths in the tree.
#[derive(Clone, Debug, Default)]
pub struct PathResolver {
    roots: Vec<AbsolutePath>,
    working_folder: Vec<Vec<u8>>,
    /// Unusual names of files, as in [`OutputContext::unusual_paths`].
    unusual_paths: BTreeSet<RepoPath>,
    /// True if the tool may have run on another machine.
    is_from_other_machine: bool,
}

impl PathResolver {
    /// Creates a resolver with the known roots and folder. A root that is not an absolute path is ignored.
    pub fn new(context: &OutputContext<'_>) -> Self {
        let mut roots: Vec<AbsolutePath> =
            context.roots.iter().filter_map(|root| AbsolutePath::from_text(root.as_bytes())).collect();
        roots.sort_by_key(|root| std::cmp::Reverse(root.components.len()));
        let folder = context.working_folder.filter(|folder| folder.stays_within_folder());
        let folder =
            folder.map(|folder| folder.as_bytes().split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect());
        let unusual = context.unusual_paths.iter().cloned().collect();
        Self {
            roots,
            working_folder: folder.unwrap_or_default(),
            unusual_paths: unusual,
            is_from_other_machine: context.is_from_other_machine,
        }
    }

    /// Adds a root that the output itself contains. Such a root is ignored if it is the root of a file
    /// system, or if other roots are known and the tool ran on this machine.
    pub fn add_root(&mut self, root: AbsolutePath) {
        if (self.roots.is_empty() || self.is_from_other_machine) && !root.components.is_empty() {
            self.roots.push(root);
        }
    }

    /// Resolves a path that a tool wrote as text. Percent escapes are decoded only in a `file:` URL.
    ///
    /// # Errors
    ///
    /// The path is not a file of the tree.
    pub fn resolve(&self, text: &str) -> Result<RepoPath, PathError> {
        if let Some(path) = self
            .find_unusual_name(text.as_bytes())
            .or_else(|| self.find_unusual_name(RepoPath::from_text(text).as_bytes()))
        {
            return Ok(path);
        }
        if is_file_uri(text) { self.resolve_uri(text) } else { self.resolve_bytes(text.as_bytes(), text) }
    }

    /// Returns the file with this unusual name, relative to the folder or to the root. Backslashes, drives
    /// and schemes have no special meaning in `name`.
    pub fn find_unusual_name(&self, name: &[u8]) -> Option<RepoPath> {
        let below = [self.working_folder.join(&b'/').as_slice(), b"/", name].concat();
        let find = |name: &[u8]| self.unusual_paths.get(&RepoPath::from_bytes(name)).cloned();
        if self.unusual_paths.is_empty() { None } else { find(&below).or_else(|| find(name)) }
    }

    /// Resolves a path that a tool wrote as a URI reference: percent-encoded, absolute with the scheme
    /// `file`, or relative.
    ///
    /// # Errors
    ///
    /// The path is not a file of the tree.
    pub fn resolve_uri(&self, uri: &str) -> Result<RepoPath, PathError> {
        if uri.len() > MAX_PATH_BYTES {
            return Err(PathError::TooLong);
        }
        let decoded = percent_decode(uri.as_bytes());
        if let Some(path) = self.find_unusual_name(&decoded) {
            return Ok(path);
        }
        let path = if is_file_uri(uri) { decode_file_uri(uri) } else { decoded };
        self.resolve_bytes(&path, uri)
    }

    /// Resolves the path `relative` below the absolute path `base`. Both paths must be percent-decoded.
    /// Errors show `written_path` as the path.
    ///
    /// # Errors
    ///
    /// The path is not a file of the tree.
    pub fn resolve_below(
        &self,
        base: &AbsolutePath,
        relative: &[u8],
        written_path: &str,
    ) -> Result<RepoPath, PathError> {
        let outside = || PathError::OutsideTree(written_path.to_owned());
        let parts = join_parts(base.components.clone(), relative).ok_or_else(outside)?;
        self.path_in_tree(AbsolutePath { volume: base.volume.clone(), components: parts }, written_path)
    }

    /// Resolves the path `relative` below the folder `base`, which is itself a relative path. Both paths must
    /// be percent-decoded. Errors show `written_path` as the path.
    ///
    /// # Errors
    ///
    /// The path is not a file of the tree.
    pub fn resolve_relative(
        &self,
        base: &[u8],
        relative: &[u8],
        written_path: &str,
    ) -> Result<RepoPath, PathError> {
        if has_scheme(relative) || has_scheme(base) {
            return Err(PathError::NonFileUrl(written_path.to_owned()));
        }
        let parts =
            join_parts(self.working_folder.clone(), base).and_then(|folder| join_parts(folder, relative));
        to_repo_path(&parts.ok_or_else(|| PathError::OutsideTree(written_path.to_owned()))?, written_path)
    }

    fn resolve_bytes(&self, path: &[u8], written_path: &str) -> Result<RepoPath, PathError> {
        if path.is_empty() {
            return Err(PathError::Missing);
        }
        if path.len() > MAX_PATH_BYTES {
            return Err(PathError::TooLong);
        }
        if let Some(absolute) = AbsolutePath::from_text(path) {
            return self.path_in_tree(absolute, written_path);
        }
        self.resolve_relative(b"", path, written_path)
    }

    fn path_in_tree(&self, absolute: AbsolutePath, written_path: &str) -> Result<RepoPath, PathError> {
        if self.roots.is_empty() {
            return Err(PathError::UnknownRoot(written_path.to_owned()));
        }
        let below = self.roots.iter().find_map(|root| absolute.strip_root(root));
        to_repo_path(below.ok_or_else(|| PathError::OutsideTree(written_path.to_owned()))?, written_path)
    }
}

impl AbsolutePath {
    /// Parses an absolute path, which is not percent-encoded. An absolute path begins with a separator, a
    /// drive or a host. Returns `None` for a relative path, and for a path that leads above the root of its
    /// file system.
    fn from_text(path: &[u8]) -> Option<Self> {
        let is_separator = |byte: &u8| matches!(byte, b'/' | b'\\');
        // This prefix is the Windows form for long paths.
        let path = path.strip_prefix(br"\\?\").unwrap_or(path);
        let (volume, rest) = match path {
            [drive, b':', rest @ ..]
                if drive.is_ascii_alphabetic() && rest.first().is_none_or(is_separator) =>
            {
                (vec![drive.to_ascii_lowercase(), b':'], rest)
            }
            [b'\\', b'\\', rest @ ..] => {
                let end = rest.iter().position(is_separator).unwrap_or(rest.len());
                let (host, rest) = rest.split_at_checked(end)?;
                ([br"\\", host].concat().to_ascii_lowercase(), rest)
            }
            [first, rest @ ..] if is_separator(first) => (Vec::new(), rest),
            _ => return None,
        };
        Some(Self { volume, components: join_parts(Vec::new(), rest)? })
    }

    /// Parses an absolute path in a `file:` URL or with percent escapes. Returns `None` if the text is not
    /// such a path.
    pub fn from_uri(uri: &str) -> Option<Self> {
        if uri.len() > MAX_PATH_BYTES {
            return None;
        }
        let path = if is_file_uri(uri) { decode_file_uri(uri) } else { percent_decode(uri.as_bytes()) };
        Self::from_text(&path)
    }

    /// Appends a relative path, which is not percent-encoded. Returns `None` if the result would be above the
    /// root.
    pub fn join(&self, relative: &[u8]) -> Option<Self> {
        Some(Self { volume: self.volume.clone(), components: join_parts(self.components.clone(), relative)? })
    }

    /// Returns the longest common beginning of both paths. Returns `None` if the paths are on different
    /// volumes.
    pub fn common_prefix(&self, other: &Self) -> Option<Self> {
        let both = self
            .components
            .iter()
            .zip(&other.components)
            .take_while(|(one, two)| self.is_same_name(one, two));
        let parts = both.map(|(part, _)| part.clone()).collect();
        (self.volume == other.volume).then(|| Self { volume: self.volume.clone(), components: parts })
    }

    /// Returns the parts of this path below `root`. Returns `None` if the path is not within `root`.
    fn strip_root(&self, root: &Self) -> Option<&[Vec<u8>]> {
        let (first, below) = self.components.split_at_checked(root.components.len())?;
        let is_within = self.volume == root.volume
            && first.iter().zip(&root.components).all(|(one, two)| self.is_same_name(one, two));
        is_within.then_some(below)
    }

    /// Returns true if two names are equal. On a Windows volume, letter case does not matter.
    fn is_same_name(&self, left: &[u8], right: &[u8]) -> bool {
        if self.volume.is_empty() { left == right } else { left.eq_ignore_ascii_case(right) }
    }
}

/// Returns the files whose names would be interpreted as a different path if a tool printed them. Such a name
/// contains a backslash, begins like a drive or a URL, is in quotes, or is not valid UTF-8.
pub fn unusual_names<'a>(files: impl Iterator<Item = &'a RepoPath>) -> Vec<RepoPath> {
    let plain = PathResolver::default();
    let is_usual = |path: &RepoPath| {
        path.as_str().is_some_and(|text| {
            RepoPath::from_text(text) == *path && plain.resolve(text).is_ok_and(|found| found == *path)
        })
    };
    files.filter(|path| path.is_safe_to_write() && !is_usual(path)).cloned().collect()
}

/// Guesses the root of the tree on the machine of the tool, from paths that are outside of all known roots.
/// For each path, finds its longest end that is the path of a file in the tree. The part before this end is a
/// candidate for the root. Returns the most frequent candidate. Returns `None` if no path ends with the path
/// of a file in the tree, or if several candidates are equally frequent.
pub fn guess_root(outside_paths: &[String], is_file: impl Fn(&RepoPath) -> bool) -> Option<String> {
    let mut files: BTreeMap<AbsolutePath, usize> = BTreeMap::new();
    let paths: BTreeSet<&String> = outside_paths.iter().collect();
    for path in paths {
        let Some(path) =
            AbsolutePath::from_uri(path).filter(|path| path.components.len() <= MAX_PATH_COMPONENTS)
        else {
            continue;
        };
        let above = (0..path.components.len()).find_map(|at| {
            let (root, rest) = path.components.split_at_checked(at)?;
            let is_known = to_repo_path(rest, "").is_ok_and(|rest| is_file(&rest));
            is_known.then(|| AbsolutePath { volume: path.volume.clone(), components: root.to_vec() })
        });
        if let Some(root) = above {
            *files.entry(root).or_default() += 1;
        }
    }
    let most = files.values().copied().max()?;
    let mut roots = files.into_iter().filter(|(_, count)| *count == most).map(|(root, _)| root);
    let root = roots.next().filter(|_| roots.next().is_none())?;
    let text = [root.volume.as_slice(), b"/", &root.components.join(&b'/')].concat();
    String::from_utf8(text).ok()
}

/// Returns true for a URL with the scheme `file`.
fn is_file_uri(text: &str) -> bool {
    text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:"))
}

/// Returns the decoded path of a `file:` URL (RFC 8089). The URL may have no host, the local host, or the
/// host of a network share; a few tools put a drive in place of the host. Some tools write a drive in place
/// of the host.
fn decode_file_uri(uri: &str) -> Vec<u8> {
    let rest = uri.get(5..).unwrap_or_default();
    let Some(after) = rest.strip_prefix("//") else {
        return strip_slash_before_drive(percent_decode(rest.as_bytes()));
    };
    let (host, path) =
        after.split_at_checked(after.find(['/', '\\']).unwrap_or(after.len())).unwrap_or_default();
    let path = percent_decode(path.as_bytes());
    let is_drive = matches!(host.as_bytes(), [drive, b':'] if drive.is_ascii_alphabetic());
    if is_drive {
        [host.as_bytes(), &path].concat()
    } else if host.is_empty() || host.eq_ignore_ascii_case("localhost") {
        strip_slash_before_drive(path)
    } else {
        [br"\\", host.as_bytes(), &path].concat()
    }
}

/// Converts `/c:/x` to `c:/x`.
fn strip_slash_before_drive(path: Vec<u8>) -> Vec<u8> {
    match path.as_slice() {
        [b'/' | b'\\', drive, b':' | b'|', rest @ ..] if drive.is_ascii_alphabetic() => {
            [&[*drive, b':'][..], rest].concat()
        }
        _ => path,
    }
}

/// Returns true if a path begins with a scheme of at least two characters and `://`.
fn has_scheme(path: &[u8]) -> bool {
    let end = memchr::memmem::find(path, b"://").and_then(|end| path.get(..end));
    end.is_some_and(|scheme| {
        scheme.len() > 1
            && scheme.first().is_some_and(u8::is_ascii_alphabetic)
            && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
    })
}

/// Joins the parts of a folder and of a path below it. Returns `None` if `..` leads above the root.
fn join_parts(mut components: Vec<Vec<u8>>, path: &[u8]) -> Option<Vec<Vec<u8>>> {
    for part in path.split(|byte| matches!(byte, b'/' | b'\\')) {
        match part {
            b"" | b"." => {}
            b".." => {
                components.pop()?;
            }
            part => components.push(part.to_vec()),
        }
    }
    Some(components)
}

fn to_repo_path(components: &[Vec<u8>], written_path: &str) -> Result<RepoPath, PathError> {
    let path = RepoPath::from_bytes(components.join(&b'/'));
    if path.is_safe_to_write() { Ok(path) } else { Err(PathError::NotAFile(written_path.to_owned())) }
}

/// Decodes percent escapes: `%41` becomes `A`; any other text is unchanged.
pub fn percent_decode(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if let (b'%', [high, low, after @ ..]) = (first, after)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            bytes.push(high << 4 | low);
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    bytes
}

//! The sources of memory and skills: a commit that may configure reviews, a working tree, and the operator's
//! folder. The operator's folder is read only once.
//!
//! The combined memory is cached by the git ids of the files. Reviews of a repository therefore do not read
//! its `CLAUDE.md` and `.claude` again while these files are unchanged.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use truing_agent::memory::{
    CLAUDE_FOLDER, LayerFiles, LayeredMemory, MAX_MEMORY_BYTES, MAX_SKILL_BYTES, MAX_SKILLS, MEMORY_FILES,
    MemoryFile, MemoryPath, SkillFile, skill_file_path,
};
use truing_core::id::Sha;
use truing_core::line;
use truing_core::outcome::{ModelMemory, SkipReason};
use truing_diff::RepoPath;
use truing_git::{GitError, LocalRepository, Mirror, TreeFile};
use truing_reader::FileTree;
use truing_reader::redact::redact_secrets;

use super::task::hash_values;

/// Maximum number of repositories whose memories are kept.
const MAX_CACHED_MEMORIES: usize = 64;
/// Maximum number of bytes that are read from a file. This maximum exceeds the size limits of all files.
/// Truing can therefore read a file that exceeds its limit, and report the file as too large.
const MAX_FILE_BYTES: u64 = {
    let most = if MAX_MEMORY_BYTES > MAX_SKILL_BYTES { MAX_MEMORY_BYTES } else { MAX_SKILL_BYTES };
    (most as u64) * 8
};
/// Maximum number of entries of a folder that are examined.
const MAX_FOLDER_ENTRIES: usize = 1_000;
/// Maximum number of specialist files that are read from a repository. This number is greater than the
/// maximum number of specialists, because some files may be invalid.
const MAX_SPECIALIST_FILES: usize = 16;
/// The reason why a link or a submodule is skipped.
const LINK_SKIP_REASON: &str = "it is a link or a submodule, which is not followed";
/// Maximum number of characters of git's message about a file.
const MAX_GIT_MESSAGE_CHARS: usize = 100;

/// The operator's context for every review, and a cache of recently combined contexts.
#[derive(Debug, Default)]
pub struct ContextSources {
    operator_files: LayerFiles,
    /// True if several specialists review each change. If false, the repository's own specialists are not
    /// read.
    pub(super) has_specialists: bool,
    /// The cached contexts; the context that was added last is at the end.
    cached_contexts: Mutex<VecDeque<(String, Arc<LayeredMemory>)>>,
}

/// The context of one review, and a description of the commit or folder that provides the repository's files.
#[derive(Clone, Debug)]
pub struct ReviewContext {
    /// The combined memory of operator and repository.
    pub memory: Arc<LayeredMemory>,
    /// A description of the commit or folder that provides the repository's own files.
    pub repository_source: String,
}

impl ReviewContext {
    /// Converts the context to the type that a run's record stores.
    pub(super) fn to_model_memory(&self) -> ModelMemory {
        let Self { memory, repository_source: from } = self;
        ModelMemory {
            hash: memory.hash.clone(),
            repository_content: memory.repository_summary.as_ref().map(|own| format!("{own} from {from}")),
            instructions: memory.instruction_locations.iter().map(|at| redact_secrets(at)).collect(),
            notes: memory.notes.iter().map(|note| redact_secrets(note)).collect(),
        }
    }
}

/// Reads the files of commits.
#[async_trait]
pub trait CommitFileReader: Sync {
    /// Lists files of a commit, see [`Mirror::list_files`].
    async fn list_files(&self, sha: &Sha, paths: &[&str]) -> Result<Vec<TreeFile>, GitError>;

    /// Reads a file of a commit, see [`Mirror::read_file`].
    async fn read_file(&self, sha: &Sha, path: &RepoPath) -> Result<Option<Vec<u8>>, GitError>;
}

#[async_trait]
impl CommitFileReader for Mirror {
    async fn list_files(&self, sha: &Sha, paths: &[&str]) -> Result<Vec<TreeFile>, GitError> {
        Mirror::list_files(self, sha, paths).await
    }

    async fn read_file(&self, sha: &Sha, path: &RepoPath) -> Result<Option<Vec<u8>>, GitError> {
        Mirror::read_file(self, sha, path).await
    }
}

#[async_trait]
impl CommitFileReader for LocalRepository {
    async fn list_files(&self, sha: &Sha, paths: &[&str]) -> Result<Vec<TreeFile>, GitError> {
        LocalRepository::list_files(self, sha, paths).await
    }

    async fn read_file(&self, sha: &Sha, path: &RepoPath) -> Result<Option<Vec<u8>>, GitError> {
        LocalRepository::read_file(self, sha, path).await
    }
}

impl ContextSources {
    /// Reads the skills in the operator's folder. Each skill is a file `NAME/SKILL.md`. Symbolic links in
    /// this folder are followed, because it belongs to the operator and some deployments use links for all
    /// files.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn new(folder: &Path) -> std::io::Result<Self> {
        let mut operators = LayerFiles::default();
        let (names, more) = list_folders(folder)?;
        operators.unread_skill_count = more;
        for name in names {
            let path = folder.join(skill_file_path(&name));
            let content = match read_regular_file(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                read => read.map_err(|error| format!("it cannot be read: {error}")),
            };
            let file = MemoryFile { path: path.display().to_string(), content };
            operators.skills.push(SkillFile { folder: name, file });
        }
        Ok(Self { operator_files: operators, ..Self::default() })
    }

    /// Enables or disables specialists, which replace the single reviewer of each change.
    #[must_use]
    pub fn with_specialists(self, has_specialists: bool) -> Self {
        Self { has_specialists, ..self }
    }

    /// Combines the operator's context with the repository's files at a commit. Without a commit, the
    /// repository's files are not used.
    ///
    /// # Errors
    /// [`GitError`], if the commit's files cannot be listed.
    #[truing_core::boxed_future]
    pub async fn read_commit(
        &self,
        commits: &dyn CommitFileReader,
        commit_sha: Option<&Sha>,
    ) -> Result<Arc<LayeredMemory>, GitError> {
        let [memory, _, agents] = MEMORY_FILES;
        let mut listed = match commit_sha {
            Some(commit) => commits.list_files(commit, &[memory, agents, CLAUDE_FOLDER]).await?,
            None => Vec::new(),
        };
        listed.retain(|file| file_role(file).is_some_and(|(_, role)| self.uses_role(role)));
        let names = listed.iter().flat_map(|file| [file.path.as_bytes(), file.id.as_bytes()]);
        let key = hash_values(names);
        if let Some(memory) = self.cached_memory(&key) {
            return Ok(memory);
        }
        let mut found = LayerFiles::default();
        for file in &listed {
            let Some((path, role)) = file_role(file) else { continue };
            match role {
                MemoryPath::Skill(_) if found.skills.len() >= MAX_SKILLS => {
                    found.unread_skill_count += 1;
                    continue;
                }
                MemoryPath::Specialist(_) if found.specialists.len() >= MAX_SPECIALIST_FILES => {
                    found.unread_specialist_count += 1;
                    continue;
                }
                MemoryPath::Memory | MemoryPath::Skill(_) | MemoryPath::Specialist(_) => {}
            }
            let content = if !file.is_plain {
                Err(LINK_SKIP_REASON.to_owned())
            } else if file.size > MAX_FILE_BYTES {
                Err(format!("it has {} bytes", file.size))
            } else {
                let gone = || "it cannot be read".to_owned();
                let Some(commit) = commit_sha else { continue };
                match commits.read_file(commit, &file.path).await {
                    Ok(content) => content.ok_or_else(gone),
                    Err(error) => {
                        let message = line::clean_line(&error.to_string(), MAX_GIT_MESSAGE_CHARS);
                        Err(format!("{}: {message}", gone()))
                    }
                }
            };
            add_file(&mut found, role, MemoryFile { path: path.to_owned(), content });
        }
        sort_files(&mut found);
        Ok(self.cache_memory(key, LayeredMemory::from_layers(&self.operator_files, &found)))
    }

    /// Combines the operator's context with the context of a working tree. Links that lead out of the tree
    /// are not followed.
    pub fn read_working_tree(&self, root: &Path) -> Arc<LayeredMemory> {
        let mut found = LayerFiles::default();
        let Ok(tree) = FileTree::open(root) else {
            return Arc::new(LayeredMemory::from_layers(&self.operator_files, &found));
        };
        let file = |path: &str| {
            // A symbolic link is not followed here, so the link is reported even if its target does not
            // exist.
            root.join(path).symlink_metadata().ok()?;
            let content = tree.read_bytes(&RepoPath::from(path)).map_err(|reason| {
                if reason == SkipReason::Symlink {
                    "it is a link, which is not followed".to_owned()
                } else {
                    format!("it cannot be read ({})", reason.as_str().replace('_', " "))
                }
            });
            Some(MemoryFile { path: path.to_owned(), content })
        };
        found.memory.extend(MEMORY_FILES.iter().filter_map(|path| file(path)));
        let folder = format!("{CLAUDE_FOLDER}/skills");
        let (names, more) = list_folders(&root.join(&folder)).unwrap_or_default();
        found.unread_skill_count = more;
        for name in names {
            let skill = file(&format!("{folder}/{}", skill_file_path(&name)));
            found.skills.extend(skill.map(|file| SkillFile { folder: name, file }));
        }
        if self.has_specialists {
            let path = format!("{CLAUDE_FOLDER}/agents");
            let folder = root.join(&path);
            if folder.is_symlink() {
                let file = MemoryFile { path: path.clone(), content: Err(LINK_SKIP_REASON.to_owned()) };
                add_file(&mut found, MemoryPath::Specialist(&path), file);
            } else {
                let (names, more) = list_markdown_files(&folder);
                found.unread_specialist_count = more;
                for name in names {
                    let specialist = file(&format!("{path}/{name}.md"));
                    found.specialists.extend(specialist.map(|file| SkillFile { folder: name, file }));
                }
            }
        }
        Arc::new(LayeredMemory::from_layers(&self.operator_files, &found))
    }

    /// True if reviews use files of this role.
    fn uses_role(&self, role: MemoryPath<'_>) -> bool {
        match role {
            MemoryPath::Memory | MemoryPath::Skill(_) => true,
            MemoryPath::Specialist(_) => self.has_specialists,
        }
    }

    fn cached_memory(&self, key: &str) -> Option<Arc<LayeredMemory>> {
        let kept = self.cached_contexts.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(known, _)| known == key).map(|(_, memory)| Arc::clone(memory))
    }

    fn cache_memory(&self, key: String, memory: LayeredMemory) -> Arc<LayeredMemory> {
        let memory = Arc::new(memory);
        let mut kept = self.cached_contexts.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_CACHED_MEMORIES {
            kept.pop_front();
        }
        kept.push_back((key, Arc::clone(&memory)));
        memory
    }
}

/// Returns the path of a file in a commit, and the role of this file in the memory; `None` if the file has no
/// role.
fn file_role(file: &TreeFile) -> Option<(&str, MemoryPath<'_>)> {
    let path = file.path.as_str()?;
    // A link or a submodule with the path of one of these folders is reported.
    let odd = || match path.strip_prefix(CLAUDE_FOLDER)? {
        "" => Some(MemoryPath::Skill(path)),
        "/agents" => Some(MemoryPath::Specialist(path)),
        below => {
            let skill = below.strip_prefix("/skills")?;
            (skill.rfind('/').unwrap_or(0) == 0).then_some(MemoryPath::Skill(path))
        }
    };
    let odd = if file.is_plain { None } else { odd() };
    MemoryPath::from_path(path).or(odd).map(|role| (path, role))
}

fn add_file(files: &mut LayerFiles, role: MemoryPath<'_>, file: MemoryFile) {
    match role {
        MemoryPath::Memory => files.memory.push(file),
        MemoryPath::Skill(folder) => files.skills.push(SkillFile { folder: folder.to_owned(), file }),
        MemoryPath::Specialist(name) => files.specialists.push(SkillFile { folder: name.to_owned(), file }),
    }
}

/// Sorts the memory's files by precedence.
fn sort_files(files: &mut LayerFiles) {
    files.memory.sort_by_key(|file| MEMORY_FILES.iter().position(|path| *path == file.path));
}

/// Returns the sorted names of the first folders in a folder, and the number of further folders.
fn list_folders(folder: &Path) -> std::io::Result<(Vec<String>, usize)> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)?.take(MAX_FOLDER_ENTRIES) {
        let entry = entry?;
        if entry.path().is_dir()
            && let Ok(name) = entry.file_name().into_string()
            && !name.starts_with('.')
        {
            names.push(name);
        }
    }
    names.sort();
    let more = names.len().saturating_sub(MAX_SKILLS);
    names.truncate(MAX_SKILLS);
    Ok((names, more))
}

/// Returns the sorted names of the first Markdown files in a folder, without extensions, and the number of
/// files that were not returned. Returns no names if the folder does not exist.
fn list_markdown_files(folder: &Path) -> (Vec<String>, usize) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_FOLDER_ENTRIES);
    let name = |entry: std::fs::DirEntry| Some(entry.file_name().to_str()?.strip_suffix(".md")?.to_owned());
    let mut names: Vec<String> = entries.filter_map(name).collect();
    names.sort();
    let more = names.len().saturating_sub(MAX_SPECIALIST_FILES);
    names.truncate(MAX_SPECIALIST_FILES);
    (names, more)
}

/// Reads a plain file up to the maximum number of bytes.
fn read_regular_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let facts = std::fs::metadata(path)?;
    if !facts.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

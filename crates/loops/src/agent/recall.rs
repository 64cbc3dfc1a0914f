//! Where memory and skills come from: the operator's folder, read once; a commit that may configure; a working tree.
//!
//! What was put together is kept by git's own names of the files, so that reviews of one repository whose `CLAUDE.md` and
//! `.claude` are as they were read nothing again.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use truing_agent::memory::{
    FOLDER, LayerFiles, LayeredMemory, MAX_MEMORY_BYTES, MAX_SKILL_BYTES, MAX_SKILLS, MEMORY_FILES,
    MemoryFile, MemoryPath, SkillFile, skill_file,
};
use truing_core::id::Sha;
use truing_core::line;
use truing_core::outcome::{ModelMemory, SkipReason};
use truing_diff::RepoPath;
use truing_git::{GitError, LocalRepository, Mirror, TreeFile};
use truing_reader::FileTree;
use truing_reader::redact::redact;

use super::task::hash_of;

/// How many repositories' memories are kept.
const MAX_KEPT: usize = 64;
/// Bytes of a file that is looked at: more than any that counts, so that one beyond a bound is told as that.
const MAX_FILE_BYTES: u64 = {
    let most = if MAX_MEMORY_BYTES > MAX_SKILL_BYTES { MAX_MEMORY_BYTES } else { MAX_SKILL_BYTES };
    (most as u64) * 8
};
/// Entries of a folder that are looked at.
const MAX_ENTRIES: usize = 1_000;
/// Files of a repository that are read as specialists: more than may be used, as some may be none.
const MAX_SPECIALIST_FILES: usize = 16;
/// Why a link or a submodule is not looked into.
const NOT_FOLLOWED: &str = "it is a link or a submodule, which is not followed";
/// Characters of what git says of a file.
const MAX_WORDS_CHARS: usize = 100;

/// What the operator tells every review, and what was put together lately.
#[derive(Debug, Default)]
pub struct ContextSources {
    operators: LayerFiles,
    /// Do several reviewers look at each change? Else a repository's own are not even read.
    pub(super) specialists: bool,
    /// The latest is the last.
    kept: Mutex<VecDeque<(String, Arc<LayeredMemory>)>>,
}

/// What one review is told, and where the repository's part is from.
#[derive(Clone, Debug)]
pub struct ReviewMemory {
    /// All of it.
    pub memory: Arc<LayeredMemory>,
    /// Where the repository's own files were, in words.
    pub from: String,
}

impl ReviewMemory {
    /// As a run's record tells of it.
    pub(super) fn told(&self) -> ModelMemory {
        let Self { memory, from } = self;
        ModelMemory {
            hash: memory.hash.clone(),
            own: memory.own.as_ref().map(|own| format!("{own} from {from}")),
            instructions: memory.instructions.iter().map(|at| redact(at)).collect(),
            notes: memory.notes.iter().map(|note| redact(note)).collect(),
        }
    }
}

/// Whatever has commits whose files can be read.
#[async_trait]
pub trait CommitFileReader: Sync {
    /// See [`Mirror::list`].
    async fn list(&self, sha: &Sha, at: &[&str]) -> Result<Vec<TreeFile>, GitError>;

    /// See [`Mirror::read`].
    async fn read(&self, sha: &Sha, path: &RepoPath) -> Result<Option<Vec<u8>>, GitError>;
}

#[async_trait]
impl CommitFileReader for Mirror {
    async fn list(&self, sha: &Sha, at: &[&str]) -> Result<Vec<TreeFile>, GitError> {
        Mirror::list(self, sha, at).await
    }

    async fn read(&self, sha: &Sha, path: &RepoPath) -> Result<Option<Vec<u8>>, GitError> {
        Mirror::read(self, sha, path).await
    }
}

#[async_trait]
impl CommitFileReader for LocalRepository {
    async fn list(&self, sha: &Sha, at: &[&str]) -> Result<Vec<TreeFile>, GitError> {
        LocalRepository::list(self, sha, at).await
    }

    async fn read(&self, sha: &Sha, path: &RepoPath) -> Result<Option<Vec<u8>>, GitError> {
        LocalRepository::read(self, sha, path).await
    }
}

impl ContextSources {
    /// With the skills of the operator's folder, `NAME/SKILL.md`. Links in it are followed: it is the operator's, and
    /// some deployments are made of links.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn new(folder: &Path) -> std::io::Result<Self> {
        let mut operators = LayerFiles::default();
        let (names, more) = folders(folder)?;
        operators.more_skills = more;
        for name in names {
            let path = folder.join(skill_file(&name));
            let content = match read_plain(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                read => read.map_err(|error| format!("it cannot be read: {error}")),
            };
            let file = MemoryFile { path: path.display().to_string(), content };
            operators.skills.push(SkillFile { folder: name, file });
        }
        Ok(Self { operators, ..Self::default() })
    }

    /// With several reviewers of each change in place of one, or not.
    #[must_use]
    pub fn with_specialists(self, specialists: bool) -> Self {
        Self { specialists, ..self }
    }

    /// With what a commit's repository tells; none: it tells nothing.
    ///
    /// # Errors
    /// [`GitError`], if the commit's files cannot be listed.
    #[truing_core::boxed_future]
    pub async fn of_commit(
        &self,
        commits: &dyn CommitFileReader,
        at: Option<&Sha>,
    ) -> Result<Arc<LayeredMemory>, GitError> {
        let [memory, _, agents] = MEMORY_FILES;
        let mut listed = match at {
            Some(commit) => commits.list(commit, &[memory, agents, FOLDER]).await?,
            None => Vec::new(),
        };
        listed.retain(|file| role(file).is_some_and(|(_, role)| self.takes(role)));
        let names = listed.iter().flat_map(|file| [file.path.as_bytes(), file.id.as_bytes()]);
        let key = hash_of(names);
        if let Some(memory) = self.found(&key) {
            return Ok(memory);
        }
        let mut found = LayerFiles::default();
        for file in &listed {
            let Some((path, role)) = role(file) else { continue };
            match role {
                MemoryPath::Skill(_) if found.skills.len() >= MAX_SKILLS => {
                    found.more_skills += 1;
                    continue;
                }
                MemoryPath::Specialist(_) if found.specialists.len() >= MAX_SPECIALIST_FILES => {
                    found.more_specialists += 1;
                    continue;
                }
                MemoryPath::Memory | MemoryPath::Skill(_) | MemoryPath::Specialist(_) => {}
            }
            let content = if !file.is_plain {
                Err(NOT_FOLLOWED.to_owned())
            } else if file.size > MAX_FILE_BYTES {
                Err(format!("it has {} bytes", file.size))
            } else {
                let gone = || "it cannot be read".to_owned();
                let Some(commit) = at else { continue };
                match commits.read(commit, &file.path).await {
                    Ok(content) => content.ok_or_else(gone),
                    Err(error) => {
                        let said = line::clean(&error.to_string(), MAX_WORDS_CHARS);
                        Err(format!("{}: {said}", gone()))
                    }
                }
            };
            put(&mut found, role, MemoryFile { path: path.to_owned(), content });
        }
        sort(&mut found);
        Ok(self.keep(key, LayeredMemory::of(&self.operators, &found)))
    }

    /// With what a working tree tells. Nothing in it is followed out of it.
    pub fn of_tree(&self, root: &Path) -> Arc<LayeredMemory> {
        let mut found = LayerFiles::default();
        let Ok(tree) = FileTree::open(root) else {
            return Arc::new(LayeredMemory::of(&self.operators, &found));
        };
        let file = |path: &str| {
            // Whether it is there at all is asked of the file system: a link, too, is something to tell of.
            root.join(path).symlink_metadata().ok()?;
            let content = tree.bytes(&RepoPath::from(path)).map_err(|why| {
                if why == SkipReason::Symlink {
                    "it is a link, which is not followed".to_owned()
                } else {
                    format!("it cannot be read ({})", why.as_str().replace('_', " "))
                }
            });
            Some(MemoryFile { path: path.to_owned(), content })
        };
        found.memory.extend(MEMORY_FILES.iter().filter_map(|path| file(path)));
        let folder = format!("{FOLDER}/skills");
        let (names, more) = folders(&root.join(&folder)).unwrap_or_default();
        found.more_skills = more;
        for name in names {
            let skill = file(&format!("{folder}/{}", skill_file(&name)));
            found.skills.extend(skill.map(|file| SkillFile { folder: name, file }));
        }
        if self.specialists {
            let path = format!("{FOLDER}/agents");
            let folder = root.join(&path);
            if folder.is_symlink() {
                let file = MemoryFile { path: path.clone(), content: Err(NOT_FOLLOWED.to_owned()) };
                put(&mut found, MemoryPath::Specialist(&path), file);
            } else {
                let (names, more) = texts(&folder);
                found.more_specialists = more;
                for name in names {
                    let specialist = file(&format!("{path}/{name}.md"));
                    found.specialists.extend(specialist.map(|file| SkillFile { folder: name, file }));
                }
            }
        }
        Arc::new(LayeredMemory::of(&self.operators, &found))
    }

    /// Does what a file is count here?
    fn takes(&self, role: MemoryPath<'_>) -> bool {
        match role {
            MemoryPath::Memory | MemoryPath::Skill(_) => true,
            MemoryPath::Specialist(_) => self.specialists,
        }
    }

    fn found(&self, key: &str) -> Option<Arc<LayeredMemory>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(known, _)| known == key).map(|(_, memory)| Arc::clone(memory))
    }

    fn keep(&self, key: String, memory: LayeredMemory) -> Arc<LayeredMemory> {
        let memory = Arc::new(memory);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            kept.pop_front();
        }
        kept.push_back((key, Arc::clone(&memory)));
        memory
    }
}

/// What a file of a commit is, with its path.
fn role(file: &TreeFile) -> Option<(&str, MemoryPath<'_>)> {
    let path = file.path.as_str()?;
    // What stands in place of a folder (a link, a submodule) is told of.
    let odd = || match path.strip_prefix(FOLDER)? {
        "" => Some(MemoryPath::Skill(path)),
        "/agents" => Some(MemoryPath::Specialist(path)),
        below => {
            let skill = below.strip_prefix("/skills")?;
            (skill.rfind('/').unwrap_or(0) == 0).then_some(MemoryPath::Skill(path))
        }
    };
    let odd = if file.is_plain { None } else { odd() };
    MemoryPath::of(path).or(odd).map(|role| (path, role))
}

fn put(found: &mut LayerFiles, role: MemoryPath<'_>, file: MemoryFile) {
    match role {
        MemoryPath::Memory => found.memory.push(file),
        MemoryPath::Skill(folder) => found.skills.push(SkillFile { folder: folder.to_owned(), file }),
        MemoryPath::Specialist(name) => found.specialists.push(SkillFile { folder: name.to_owned(), file }),
    }
}

/// The memory's files in the order in which they count.
fn sort(found: &mut LayerFiles) {
    found.memory.sort_by_key(|file| MEMORY_FILES.iter().position(|path| *path == file.path));
}

/// The names of the first folders in a folder, in order, and how many more there are.
fn folders(folder: &Path) -> std::io::Result<(Vec<String>, usize)> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)?.take(MAX_ENTRIES) {
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

/// The names of the first texts in a folder, in order, without their ending, and how many more there are; none if there is
/// no such folder.
fn texts(folder: &Path) -> (Vec<String>, usize) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_ENTRIES);
    let name = |entry: std::fs::DirEntry| Some(entry.file_name().to_str()?.strip_suffix(".md")?.to_owned());
    let mut names: Vec<String> = entries.filter_map(name).collect();
    names.sort();
    let more = names.len().saturating_sub(MAX_SPECIALIST_FILES);
    names.truncate(MAX_SPECIALIST_FILES);
    (names, more)
}

/// A plain file's bytes, up to a bound.
fn read_plain(path: &Path) -> std::io::Result<Vec<u8>> {
    let facts = std::fs::metadata(path)?;
    if !facts.is_file() {
        return Err(std::io::Error::other("it is no plain file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

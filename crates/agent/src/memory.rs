//! Memory (`CLAUDE.md`, else `AGENTS.md`) and skills: texts that the model of every review receives from a
//! repository and its operator. These texts depend only on the content of the files.
//!
//! There are three layers: the shipped skills, the operator's folder, and the repository's own files. No
//! layer replaces another. The caller reads the repository's files from a commit that is allowed to change
//! the configuration. A skill is a folder with a file `SKILL.md`: YAML front matter between lines of `---`,
//! with `name` and `description`, and a text. The model sees names and descriptions, and requests the text
//! with a tool ([`SkillTools`]). A file that cannot be used is skipped with a note; no content of these files
//! causes an error.

mod front_matter;
mod tools;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use sha2::{Digest as _, Sha256};
use truing_core::instruction::PathInstruction;
use truing_core::line;
use truing_core::tier::RuleOwner;

use crate::prompt::escape_invisible;
use front_matter::{SkillFrontMatter, split_front_matter};

pub use tools::{SKILL_TOOL, SkillTools};

/// Maximum number of bytes of a repository's memory; the rest is cut at a line end.
pub const MAX_MEMORY_BYTES: usize = 32 << 10;
/// Maximum total size of the instructions for one change, in bytes. An instruction that would exceed this
/// limit is left out.
pub const MAX_INSTRUCTIONS_BYTES: usize = 32 << 10;
/// Maximum number of bytes of a skill's file. A longer file is left out, because a part of a skill would be
/// of no use.
pub const MAX_SKILL_BYTES: usize = 32 << 10;
/// Maximum number of skills of one layer.
pub const MAX_SKILLS: usize = 32;
/// Maximum number of specialists of a repository, besides the shipped ones.
pub const MAX_SPECIALISTS: usize = 4;
/// Maximum number of characters of a skill's name.
const MAX_NAME_CHARS: usize = 64;
/// Maximum number of characters of a description in the list of skills.
const MAX_DESCRIPTION_CHARS: usize = 300;
/// Maximum number of notes that are shown; the others are counted.
const MAX_NOTES: usize = 10;
/// Maximum number of characters of a note. `MAX_QUOTED_NAME_CHARS` is the maximum for a name in a note.
const MAX_NOTE_CHARS: usize = 200;
const MAX_QUOTED_NAME_CHARS: usize = 80;

/// The possible files of a repository's memory; the first that exists is used.
pub const MEMORY_FILES: [&str; 3] = ["CLAUDE.md", ".claude/CLAUDE.md", AGENTS_FILE];
/// The memory file that many programs share. Any other memory file in the repository takes precedence.
const AGENTS_FILE: &str = "AGENTS.md";
/// The folder of a repository that holds its skills and specialists.
pub const CLAUDE_FOLDER: &str = ".claude";
/// Name of a skill's file in its folder.
const SKILL_FILE: &str = "SKILL.md";

/// Skills that are part of the program.
const SHIPPED_SKILLS: [(&str, &str); 3] = [
    ("dead-code", include_str!("../skills/dead-code/SKILL.md")),
    ("missing-tests", include_str!("../skills/missing-tests/SKILL.md")),
    ("security-basics", include_str!("../skills/security-basics/SKILL.md")),
];

/// Specialists that are part of the program.
const SHIPPED_SPECIALISTS: [(&str, &str); 4] = [
    ("architecture-reviewer", include_str!("../agents/architecture-reviewer.md")),
    ("code-quality-reviewer", include_str!("../agents/code-quality-reviewer.md")),
    ("security-reviewer", include_str!("../agents/security-reviewer.md")),
    ("test-coverage-reviewer", include_str!("../agents/test-coverage-reviewer.md")),
];

/// The source of a skill.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum MemoryLayer {
    BuiltIn,
    Organisation,
    Repository,
}

impl MemoryLayer {
    /// Returns the prefix that the names of the layer's skills have.
    fn as_str(self) -> &'static str {
        match self {
            Self::BuiltIn => "shipped",
            Self::Organisation => "org",
            Self::Repository => "repo",
        }
    }
}

/// A file that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemoryFile {
    /// Path as shown to people.
    pub path: String,
    /// Content of the file, or the reason that it cannot be read.
    pub content: Result<Vec<u8>, String>,
}

/// The file of a skill or specialist, with its folder's name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SkillFile {
    /// Name of the folder, used if the file gives no name.
    pub folder: String,
    /// The `SKILL.md` or specialist file.
    pub file: MemoryFile,
}

/// The files of one layer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LayerFiles {
    /// The files that may be the memory, in the order of [`MEMORY_FILES`].
    pub memory: Vec<MemoryFile>,
    /// The skills, by the names of their folders.
    pub skills: Vec<SkillFile>,
    /// Number of skills that were not read because of the limit.
    pub unread_skill_count: usize,
    /// The specialists, by the names of their files without the extension.
    pub specialists: Vec<SkillFile>,
    /// Number of specialists that were not read because of the limit.
    pub unread_specialist_count: usize,
}

/// The role of a file in a repository's memory and skills, derived from the file's UTF-8 path below the root.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemoryPath<'a> {
    /// A file of the memory.
    Memory,
    /// The skill of this folder.
    Skill(&'a str),
    /// The specialist in the file of this name, without the extension.
    Specialist(&'a str),
}

impl<'a> MemoryPath<'a> {
    /// Returns the role of the file at a path, or `None` if the file is not part of the memory or skills.
    pub fn from_path(path: &'a str) -> Option<Self> {
        if MEMORY_FILES.contains(&path) {
            return Some(Self::Memory);
        }
        let below = path.strip_prefix(CLAUDE_FOLDER)?;
        if let Some(file) = below.strip_prefix("/agents/") {
            return file.strip_suffix(".md").filter(|name| !name.contains('/')).map(Self::Specialist);
        }
        let (folder, file) = below.strip_prefix("/skills/")?.split_once('/')?;
        (file == SKILL_FILE).then_some(Self::Skill(folder))
    }
}

/// Returns the path of a skill's file, relative to an operator's folder or a repository's `.claude/skills`.
pub fn skill_file_path(folder: &str) -> String {
    format!("{folder}/{SKILL_FILE}")
}

/// A skill or a specialist, ready for use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Skill {
    /// Name, with its layer as prefix.
    pub name: String,
    /// Purpose of the skill, in one line.
    pub description: String,
    /// Text of the skill. Invisible characters in it are written as escapes.
    pub text: String,
}

/// The merged memory and skills of all layers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LayeredMemory {
    /// The repository's memory; empty if it has none.
    pub memory_text: String,
    /// Every skill, by layer and name.
    pub skills: Vec<Skill>,
    /// Specialists: each one reviews a single aspect. Specialists are written like skills.
    pub specialists: Vec<Skill>,
    /// Notes on text that is left out or cut, and on imports that are not followed.
    pub notes: Vec<String>,
    /// SHA-256 of the sorted content, in hexadecimal.
    pub hash: String,
    /// Summary of the repository's own content; `None` if it has none.
    pub repository_summary: Option<String>,
    /// Locations of the instructions for the reviewed change.
    pub instruction_locations: Vec<String>,
    /// The operator's instructions for the reviewed change. They are kept apart from the text of the
    /// repository, which could imitate them.
    pub operator_text: String,
}

impl LayeredMemory {
    /// Merges the shipped layer, the operator's layer and the repository's layer.
    pub fn from_layers(organisation: &LayerFiles, repository: &LayerFiles) -> Self {
        let file = |(name, text): (&str, &str)| SkillFile {
            folder: name.to_owned(),
            file: MemoryFile { path: name.to_owned(), content: Ok(text.as_bytes().to_vec()) },
        };
        let shipped = LayerFiles {
            skills: SHIPPED_SKILLS.map(file).to_vec(),
            specialists: SHIPPED_SPECIALISTS.map(file).to_vec(),
            ..LayerFiles::default()
        };
        let layers = [
            (MemoryLayer::BuiltIn, &shipped),
            (MemoryLayer::Organisation, organisation),
            (MemoryLayer::Repository, repository),
        ];
        let mut made = MemoryBuilder::default();
        for (layer, found) in layers {
            made.add_layer(layer, found);
        }
        let hash = hash_layers(&layers);
        let MemoryBuilder { memory, skills, specialists, notes } = made;
        let repository_summary =
            describe_repository(memory.as_ref().map(|(path, _)| path.as_str()), [&skills, &specialists]);
        let text = memory.map(|(_, text)| text).unwrap_or_default();
        let (notes, instructions, operator_text) = (limit_notes(notes), Vec::new(), String::new());
        Self {
            memory_text: text,
            skills,
            specialists,
            notes,
            hash,
            repository_summary,
            instruction_locations: instructions,
            operator_text,
        }
    }

    /// Returns a copy with as many instructions as `MAX_INSTRUCTIONS_BYTES` permits. The repository's
    /// instructions follow the text of the memory; the operator's instructions are kept apart.
    #[must_use]
    pub fn with_instructions<'a>(&self, instructions: impl IntoIterator<Item = &'a PathInstruction>) -> Self {
        let mut memory = self.clone();
        let (mut bytes, mut own) = (0, 0);
        for PathInstruction { origin, owner, repos: _, paths, text } in instructions {
            let origin = line::clean_line(origin, MAX_QUOTED_NAME_CHARS);
            if bytes + text.len() > MAX_INSTRUCTIONS_BYTES {
                let most = MAX_INSTRUCTIONS_BYTES;
                let note = format!(
                    "the instruction at `{origin}` is left out: all instructions together may have at most \
                        {most} bytes"
                );
                memory.notes.push(note);
                continue;
            }
            bytes += text.len();
            let all = match owner {
                RuleOwner::Operator => &mut memory.operator_text,
                RuleOwner::Repository => {
                    own += 1;
                    &mut memory.memory_text
                }
            };
            let paths = line::clean_line(&paths.join(", "), MAX_NOTE_CHARS);
            let gap = if all.is_empty() { "" } else { "\n\n" };
            let _ = write!(all, "{gap}For files that match {paths}:\n{}\n", text.trim_end());
            memory.instruction_locations.push(origin);
        }
        memory.notes = limit_notes(memory.notes);
        let mut hash = Sha256::new();
        for part in [self.hash.as_str(), &memory.operator_text, &memory.memory_text] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        memory.hash = hex::encode(hash.finalize());
        if own > 0 {
            let counted = line::format_count(own, "instruction");
            memory.repository_summary = Some(match memory.repository_summary {
                Some(own) => format!("{own}, and {counted}"),
                None => counted,
            });
        }
        memory
    }

    /// Returns the list of skills for the model.
    pub fn render_skill_list(&self) -> String {
        let line = |skill: &Skill| format!("{}: {}", skill.name, skill.description);
        self.skills.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// The layers merged until now.
#[derive(Default)]
struct MemoryBuilder {
    memory: Option<(String, String)>,
    skills: Vec<Skill>,
    specialists: Vec<Skill>,
    notes: Vec<String>,
}

impl MemoryBuilder {
    fn add_layer(&mut self, layer: MemoryLayer, layer_files: &LayerFiles) {
        for file in &layer_files.memory {
            self.add_memory_file(file);
        }
        let skills = (layer_files.skills.as_slice(), layer_files.unread_skill_count, MAX_SKILLS);
        let skills = self.usable_skills(layer, "skill", skills.0, skills.1, skills.2);
        self.skills.extend(skills);
        self.skills.sort_by(|a, b| a.name.cmp(&b.name));
        let specialists =
            (layer_files.specialists.as_slice(), layer_files.unread_specialist_count, MAX_SPECIALISTS);
        let specialists =
            self.usable_skills(layer, "specialist", specialists.0, specialists.1, specialists.2);
        self.specialists.extend(specialists);
    }

    /// Returns the usable files of a layer, each under a unique name, and adds a note for each unusable file.
    fn usable_skills(
        &mut self,
        layer: MemoryLayer,
        kind: &str,
        files: &[SkillFile],
        unused_count: usize,
        max_count: usize,
    ) -> Vec<Skill> {
        let (mut usable, mut names, mut unused_count) = (Vec::new(), BTreeSet::new(), unused_count);
        for SkillFile { folder, file } in files {
            match parse_skill(layer, folder, file) {
                Ok(_) if usable.len() >= max_count => unused_count += 1,
                Ok(skill) if names.insert(skill.name.clone()) => usable.push(skill),
                Ok(skill) => {
                    self.add_omitted_file(
                        &file.path,
                        format!("another {kind} already has the name `{}`", skill.name),
                    );
                }
                Err(why) => self.add_omitted_file(&file.path, why),
            }
        }
        if unused_count > 0 {
            let layer = layer.as_str();
            self.notes.push(format!(
                "{unused_count} more {kind}s of `{layer}` are not used: there may be at most {max_count}"
            ));
        }
        usable
    }

    fn add_memory_file(&mut self, file: &MemoryFile) {
        let path = line::clean_line(&file.path, MAX_QUOTED_NAME_CHARS);
        if let Some((first, _)) = &self.memory {
            if path == AGENTS_FILE {
                return;
            }
            let first = first.clone();
            return self
                .add_omitted_file(&path, format!("`{first}` is already used as the repository's memory"));
        }
        let text = match file_text(file) {
            Ok(text) => text,
            Err(why) => return self.add_omitted_file(&path, why),
        };
        for import in import_paths(text) {
            let import = line::clean_line(import, MAX_QUOTED_NAME_CHARS);
            self.notes.push(format!(
                "`{path}`: the import `{import}` is not followed: only the text of the file itself is used"
            ));
        }
        let kept = truncate_lines(text, MAX_MEMORY_BYTES);
        if kept.len() < text.len() {
            self.notes.push(format!(
                "`{path}` is cut after line {}: it has {} bytes, and at most {MAX_MEMORY_BYTES} are shown",
                kept.lines().count(),
                text.len(),
            ));
        }
        self.memory = Some((path, kept.to_owned()));
    }

    fn add_omitted_file(&mut self, path: &str, reason: impl fmt::Display) {
        let path = line::clean_line(path, MAX_QUOTED_NAME_CHARS);
        self.notes.push(line::clean_line(&format!("`{path}` is left out: {reason}"), MAX_NOTE_CHARS));
    }
}

/// Parses a skill, or returns the reason that its file is invalid.
fn parse_skill(layer: MemoryLayer, folder: &str, file: &MemoryFile) -> Result<Skill, String> {
    let text = file_text(file)?;
    if text.len() > MAX_SKILL_BYTES {
        return Err(format!("it has {} bytes, but a skill may have at most {MAX_SKILL_BYTES}", text.len()));
    }
    let (front, text) = split_front_matter(text)?;
    let SkillFrontMatter { name, description } = front;
    let name = name.unwrap_or_else(|| folder.to_owned());
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    if name.is_empty() || name.len() > MAX_NAME_CHARS || !name.chars().all(is_letter) {
        return Err(format!(
            "its name `{}` is invalid: use letters, digits, `-` and `_`",
            line::clean_line(&name, MAX_QUOTED_NAME_CHARS)
        ));
    }
    let description = line::clean_line(&description.unwrap_or_default(), MAX_DESCRIPTION_CHARS);
    if description.is_empty() {
        return Err("its front matter has no `description`".to_owned());
    }
    if text.trim().is_empty() {
        return Err("it has no text after its front matter".to_owned());
    }
    Ok(Skill { name: format!("{}:{name}", layer.as_str()), description, text: escape_invisible(text.trim()) })
}

/// Returns a file's text without its byte order mark.
fn file_text(file: &MemoryFile) -> Result<&str, String> {
    let bytes = file.content.as_ref().map_err(Clone::clone)?;
    let text = str::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Returns the longest prefix of at most `max_bytes` bytes that ends with a complete line. A first line that
/// is too long is cut.
fn truncate_lines(text: &str, max_bytes: usize) -> &str {
    if text.len() <= max_bytes {
        return text;
    }
    let start = text.get(..text.floor_char_boundary(max_bytes)).unwrap_or_default();
    let end = start.rfind('\n').map_or(start.len(), |at| at + 1);
    start.get(..end).unwrap_or_default()
}

/// Returns the words `@PATH` outside code. Other programs would treat such a word as an import and insert the
/// file at this path.
fn import_paths(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    let lines = text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    });
    lines.flat_map(|line| {
        let alone = line.split_whitespace().count() == 1;
        line.split_whitespace().filter(move |word| {
            let Some(path) = word.strip_prefix('@') else { return false };
            let is_rooted = ["/", "~/", "./", "../"].iter().any(|start| path.starts_with(start));
            let is_text = path.ends_with(".md") || path.ends_with(".txt");
            is_rooted || is_text || (alone && !path.is_empty())
        })
    })
}

/// Summarizes the repository's own content.
fn describe_repository(memory: Option<&str>, [skills, specialists]: [&[Skill]; 2]) -> Option<String> {
    let prefix = format!("{}:", MemoryLayer::Repository.as_str());
    let count =
        |items: &[Skill], noun: &str| match items.iter().filter(|it| it.name.starts_with(&prefix)).count() {
            0 => None,
            1 => Some(format!("1 {noun}")),
            count => Some(format!("{count} {noun}s")),
        };
    let items = [memory.map(str::to_owned), count(skills, "skill"), count(specialists, "specialist")];
    let items: Vec<String> = items.into_iter().flatten().collect();
    match items.split_last() {
        None => None,
        Some((last, [])) => Some(last.clone()),
        Some((last, others)) => Some(format!("{} and {last}", others.join(", "))),
    }
}

/// Returns the first notes. If there are more notes than the maximum, adds a note with the number of the
/// remaining notes.
fn limit_notes(mut notes: Vec<String>) -> Vec<String> {
    let more = notes.len().saturating_sub(MAX_NOTES);
    notes.truncate(MAX_NOTES);
    notes.extend((more > 0).then(|| format!("and {more} more notes about memory and skills")));
    notes
}

/// Hashes the layer, path and content of every file, sorted, each with its length.
fn hash_layers(layers: &[(MemoryLayer, &LayerFiles)]) -> String {
    let mut all = BTreeSet::new();
    for (layer, found) in layers {
        let skills = found.skills.iter().chain(&found.specialists);
        let files = found.memory.iter().chain(skills.map(|skill| &skill.file));
        for MemoryFile { path, content } in files {
            let content = content.as_ref().map_or_else(String::as_bytes, Vec::as_slice);
            all.insert((layer.as_str(), path.as_str(), content));
        }
    }
    let mut hash = Sha256::new();
    for (layer, path, content) in all {
        for part in [layer.as_bytes(), path.as_bytes(), content] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
    }
    hex::encode(hash.finalize())
}

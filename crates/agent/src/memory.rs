//! The words of a repository and its operator to every review: memory (`CLAUDE.md`, else `AGENTS.md`) and skills, as pure functions of files.
//!
//! Three layers stand side by side, and none replaces another: what is shipped, the operator's folder of skills, and the
//! repository's own, which whoever calls this has taken from a commit that may configure. A skill is a folder with a file
//! `SKILL.md`: front matter in YAML between lines of `---`, which gives its `name` and `description`, and a text. The
//! model is shown names and descriptions, and the text when it asks for it ([`SkillTools`]). Whatever cannot be used is
//! left out and told in a note; nothing in these files is an error.

mod front;
mod tools;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use sha2::{Digest as _, Sha256};
use truing_core::instruction::PathInstruction;
use truing_core::line;
use truing_core::tier::RuleOwner;

use crate::prompt::shown;
use front::{SkillFrontMatter, parted};

pub use tools::{SKILL, SkillTools};

/// Bytes of a repository's memory; what is beyond is cut at a line.
pub const MAX_MEMORY_BYTES: usize = 32 << 10;
/// Bytes of the instructions for one change; one that goes beyond is left out.
pub const MAX_INSTRUCTIONS_BYTES: usize = 32 << 10;
/// Bytes of a skill's file; half a skill is none, so a longer one is left out.
pub const MAX_SKILL_BYTES: usize = 32 << 10;
/// Skills of one layer.
pub const MAX_SKILLS: usize = 32;
/// Specialists of a repository: beside the shipped ones.
pub const MAX_SPECIALISTS: usize = 4;
/// Letters of a skill's name.
const MAX_NAME_CHARS: usize = 64;
/// Characters of a description in the list of skills.
const MAX_DESCRIPTION_CHARS: usize = 300;
/// Notes that are told; the others are counted.
const MAX_NOTES: usize = 10;
/// Characters of a note, and of a name in it.
const MAX_NOTE_CHARS: usize = 200;
const MAX_SHOWN_CHARS: usize = 80;

/// The file of a repository's memory: the first of these that is there.
pub const MEMORY_FILES: [&str; 3] = ["CLAUDE.md", ".claude/CLAUDE.md", AGENTS_FILE];
/// The memory that many programs share. Repositories that have one of another name beside it mean that one here.
const AGENTS_FILE: &str = "AGENTS.md";
/// The folder of a repository that holds the rest.
pub const FOLDER: &str = ".claude";
/// The file of a skill, in its folder.
const SKILL_FILE: &str = "SKILL.md";

/// Skills that are part of the program.
const SHIPPED: [(&str, &str); 3] = [
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

/// Where a skill is from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum MemoryLayer {
    Shipped,
    Organisation,
    Repository,
}

impl MemoryLayer {
    /// What its names begin with.
    fn as_str(self) -> &'static str {
        match self {
            Self::Shipped => "shipped",
            Self::Organisation => "org",
            Self::Repository => "repo",
        }
    }
}

/// A file that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemoryFile {
    /// Its path, as people know it.
    pub path: String,
    /// What it holds, or why that is not known, in words.
    pub content: Result<Vec<u8>, String>,
}

/// Where a skill is among files: its folder's name and its file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SkillFile {
    /// The name of the folder, which is the skill's if it gives none.
    pub folder: String,
    /// Its `SKILL.md`.
    pub file: MemoryFile,
}

/// The files of one layer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LayerFiles {
    /// The memory's candidates, in the order of [`MEMORY_FILES`].
    pub memory: Vec<MemoryFile>,
    /// The skills, by the names of their folders.
    pub skills: Vec<SkillFile>,
    /// How many skills more there are than are looked at.
    pub more_skills: usize,
    /// The specialists, by the names of their files without the ending.
    pub specialists: Vec<SkillFile>,
    /// How many more of them there are than are looked at.
    pub more_specialists: usize,
}

/// What a path below a repository's root, in UTF-8, is to its memory and skills.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemoryPath<'a> {
    /// Its memory.
    Memory,
    /// The skill of this folder.
    Skill(&'a str),
    /// The specialist in the file of this name, without the ending.
    Specialist(&'a str),
}

impl<'a> MemoryPath<'a> {
    /// None: nothing.
    pub fn of(path: &'a str) -> Option<Self> {
        if MEMORY_FILES.contains(&path) {
            return Some(Self::Memory);
        }
        let below = path.strip_prefix(FOLDER)?;
        if let Some(file) = below.strip_prefix("/agents/") {
            return file.strip_suffix(".md").filter(|name| !name.contains('/')).map(Self::Specialist);
        }
        let (folder, file) = below.strip_prefix("/skills/")?.split_once('/')?;
        (file == SKILL_FILE).then_some(Self::Skill(folder))
    }
}

/// The file of the skill in this folder of an operator's folder or a repository's `.claude/skills`.
pub fn skill_file(folder: &str) -> String {
    format!("{folder}/{SKILL_FILE}")
}

/// A skill.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Skill {
    /// Its name, with its layer's in front.
    pub name: String,
    /// What it is for, in one line.
    pub description: String,
    /// What it says. What people do not see in it is written as an escape.
    pub text: String,
}

/// All layers, put together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LayeredMemory {
    /// The repository's memory; empty if it has none.
    pub text: String,
    /// Every skill, by layer and name.
    pub skills: Vec<Skill>,
    /// Reviewers of a part each, in the same form.
    pub specialists: Vec<Skill>,
    /// What is left out, cut or not followed, in words.
    pub notes: Vec<String>,
    /// Names all of it: SHA-256 of the sorted content, in hex.
    pub hash: String,
    /// What the repository itself brings, in words; none if that is nothing.
    pub own: Option<String>,
    /// The places of the instructions for the change that is reviewed.
    pub instructions: Vec<String>,
    /// The operator's instructions for that change, apart from the text of the repository, which could imitate them.
    pub operator_text: String,
}

impl LayeredMemory {
    /// Puts together what is shipped, the operator's and the repository's.
    pub fn of(organisation: &LayerFiles, repository: &LayerFiles) -> Self {
        let file = |(name, text): (&str, &str)| SkillFile {
            folder: name.to_owned(),
            file: MemoryFile { path: name.to_owned(), content: Ok(text.as_bytes().to_vec()) },
        };
        let shipped = LayerFiles {
            skills: SHIPPED.map(file).to_vec(),
            specialists: SHIPPED_SPECIALISTS.map(file).to_vec(),
            ..LayerFiles::default()
        };
        let layers = [
            (MemoryLayer::Shipped, &shipped),
            (MemoryLayer::Organisation, organisation),
            (MemoryLayer::Repository, repository),
        ];
        let mut made = MemoryBuilder::default();
        for (layer, found) in layers {
            made.layer(layer, found);
        }
        let hash = hash(&layers);
        let MemoryBuilder { memory, skills, specialists, notes } = made;
        let own = own(memory.as_ref().map(|(path, _)| path.as_str()), [&skills, &specialists]);
        let text = memory.map(|(_, text)| text).unwrap_or_default();
        let (notes, instructions, operator_text) = (bounded(notes), Vec::new(), String::new());
        Self { text, skills, specialists, notes, hash, own, instructions, operator_text }
    }

    /// Adds instructions, as many as fit: the repository's after the text of the memory, the operator's apart.
    #[must_use]
    pub fn instructed<'a>(&self, instructions: impl IntoIterator<Item = &'a PathInstruction>) -> Self {
        let mut told = self.clone();
        let (mut bytes, mut own) = (0, 0);
        for PathInstruction { at, owner, repos: _, paths, text } in instructions {
            let at = line::clean(at, MAX_SHOWN_CHARS);
            if bytes + text.len() > MAX_INSTRUCTIONS_BYTES {
                let most = MAX_INSTRUCTIONS_BYTES;
                let note = format!("the instruction at `{at}` is left out: all may have {most} bytes");
                told.notes.push(note);
                continue;
            }
            bytes += text.len();
            let all = match owner {
                RuleOwner::Operator => &mut told.operator_text,
                RuleOwner::Repository => {
                    own += 1;
                    &mut told.text
                }
            };
            let paths = line::clean(&paths.join(", "), MAX_NOTE_CHARS);
            let gap = if all.is_empty() { "" } else { "\n\n" };
            let _ = write!(all, "{gap}For files that match {paths}:\n{}\n", text.trim_end());
            told.instructions.push(at);
        }
        told.notes = bounded(told.notes);
        let mut hash = Sha256::new();
        for part in [self.hash.as_str(), &told.operator_text, &told.text] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        told.hash = hex::encode(hash.finalize());
        if own > 0 {
            let counted = line::counted(own, "instruction");
            told.own = Some(match told.own {
                Some(own) => format!("{own}, and {counted}"),
                None => counted,
            });
        }
        told
    }

    /// The list of skills as a model is shown it.
    pub fn listed(&self) -> String {
        let line = |skill: &Skill| format!("{}: {}", skill.name, skill.description);
        self.skills.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// What is put together so far.
#[derive(Default)]
struct MemoryBuilder {
    memory: Option<(String, String)>,
    skills: Vec<Skill>,
    specialists: Vec<Skill>,
    notes: Vec<String>,
}

impl MemoryBuilder {
    fn layer(&mut self, layer: MemoryLayer, found: &LayerFiles) {
        for file in &found.memory {
            self.memory(file);
        }
        let skills = (found.skills.as_slice(), found.more_skills, MAX_SKILLS);
        let skills = self.usable(layer, "skill", skills);
        self.skills.extend(skills);
        self.skills.sort_by(|a, b| a.name.cmp(&b.name));
        let specialists = (found.specialists.as_slice(), found.more_specialists, MAX_SPECIALISTS);
        let specialists = self.usable(layer, "specialist", specialists);
        self.specialists.extend(specialists);
    }

    /// Those of a layer's files that can be used, each under a name of its own; of the others it is told why.
    fn usable(
        &mut self,
        layer: MemoryLayer,
        what: &str,
        (files, more, most): (&[SkillFile], usize, usize),
    ) -> Vec<Skill> {
        let (mut usable, mut names, mut more) = (Vec::new(), BTreeSet::new(), more);
        for SkillFile { folder, file } in files {
            match skill(layer, folder, file) {
                Ok(_) if usable.len() >= most => more += 1,
                Ok(skill) if names.insert(skill.name.clone()) => usable.push(skill),
                Ok(skill) => self.leave_out(&file.path, format!("there is another {what} `{}`", skill.name)),
                Err(why) => self.leave_out(&file.path, why),
            }
        }
        if more > 0 {
            let layer = layer.as_str();
            self.notes
                .push(format!("{more} more {what}s of `{layer}` are not used: there may be at most {most}"));
        }
        usable
    }

    fn memory(&mut self, file: &MemoryFile) {
        let path = line::clean(&file.path, MAX_SHOWN_CHARS);
        if let Some((first, _)) = &self.memory {
            if path == AGENTS_FILE {
                return;
            }
            let first = first.clone();
            return self.leave_out(&path, format!("`{first}` is the repository's memory"));
        }
        let text = match text(file) {
            Ok(text) => text,
            Err(why) => return self.leave_out(&path, why),
        };
        for import in imports(text) {
            let import = line::clean(import, MAX_SHOWN_CHARS);
            self.notes.push(format!("`{path}`: `{import}` is not followed: only the file itself counts"));
        }
        let kept = cut(text, MAX_MEMORY_BYTES);
        if kept.len() < text.len() {
            self.notes.push(format!(
                "`{path}` is cut after line {}: it has {} bytes, of which {MAX_MEMORY_BYTES} are shown at most",
                kept.lines().count(),
                text.len(),
            ));
        }
        self.memory = Some((path, kept.to_owned()));
    }

    fn leave_out(&mut self, path: &str, why: impl fmt::Display) {
        let path = line::clean(path, MAX_SHOWN_CHARS);
        self.notes.push(line::clean(&format!("`{path}` is left out: {why}"), MAX_NOTE_CHARS));
    }
}

/// A skill, or why its file is none.
fn skill(layer: MemoryLayer, folder: &str, file: &MemoryFile) -> Result<Skill, String> {
    let text = text(file)?;
    if text.len() > MAX_SKILL_BYTES {
        return Err(format!("it has {} bytes, and a skill may have {MAX_SKILL_BYTES}", text.len()));
    }
    let (front, text) = parted(text)?;
    let SkillFrontMatter { name, description } = front;
    let name = name.unwrap_or_else(|| folder.to_owned());
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    if name.is_empty() || name.len() > MAX_NAME_CHARS || !name.chars().all(is_letter) {
        return Err(format!(
            "its name `{}` is not one of letters, digits, `-` and `_`",
            line::clean(&name, MAX_SHOWN_CHARS)
        ));
    }
    let description = line::clean(&description.unwrap_or_default(), MAX_DESCRIPTION_CHARS);
    if description.is_empty() {
        return Err("its front matter has no `description`".to_owned());
    }
    if text.trim().is_empty() {
        return Err("it says nothing after its front matter".to_owned());
    }
    Ok(Skill { name: format!("{}:{name}", layer.as_str()), description, text: shown(text.trim()) })
}

/// A file's text.
fn text(file: &MemoryFile) -> Result<&str, String> {
    let bytes = file.content.as_ref().map_err(Clone::clone)?;
    let text = str::from_utf8(bytes).map_err(|_| "it is no UTF-8 text".to_owned())?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// As many whole lines as fit.
fn cut(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let start = text.get(..text.floor_char_boundary(most)).unwrap_or_default();
    let end = start.rfind('\n').map_or(start.len(), |at| at + 1);
    start.get(..end).unwrap_or_default()
}

/// What other programs would read in place of `@path`: such words outside of code, as far as they look like paths.
fn imports(text: &str) -> impl Iterator<Item = &str> {
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

/// What a repository brings, in words.
fn own(memory: Option<&str>, [skills, specialists]: [&[Skill]; 2]) -> Option<String> {
    let prefix = format!("{}:", MemoryLayer::Repository.as_str());
    let count = |all: &[Skill], what: &str| match all.iter().filter(|it| it.name.starts_with(&prefix)).count()
    {
        0 => None,
        1 => Some(format!("1 {what}")),
        count => Some(format!("{count} {what}s")),
    };
    let all = [memory.map(str::to_owned), count(skills, "skill"), count(specialists, "specialist")];
    let all: Vec<String> = all.into_iter().flatten().collect();
    match all.split_last() {
        None => None,
        Some((last, [])) => Some(last.clone()),
        Some((last, others)) => Some(format!("{} and {last}", others.join(", "))),
    }
}

/// The first notes, and how many more there are.
fn bounded(mut notes: Vec<String>) -> Vec<String> {
    let more = notes.len().saturating_sub(MAX_NOTES);
    notes.truncate(MAX_NOTES);
    notes.extend((more > 0).then(|| format!("and {more} more of memory and skills like these")));
    notes
}

/// Of every file's layer, path and content, in an order of their own, each with its length.
fn hash(layers: &[(MemoryLayer, &LayerFiles)]) -> String {
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

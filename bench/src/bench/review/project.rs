//! Generates a realistic project, and a change of its files. The files consist of code blocks in several
//! languages. Equal seeds give equal projects.

use std::fmt;

use crate::fuzz::random::SeededRandom;

/// For each language: the folder of its files, their extension, and a text that consists of blocks. The first
/// block begins each file, the last block contains defects, and the other blocks are used in random order.
const LANGUAGES: &[(&str, &str, &str)] = &[
    ("services", "py", include_str!("python.txt")),
    ("web", "ts", include_str!("typescript.txt")),
    ("engine", "rs", include_str!("rust.txt")),
    ("daemon", "go", include_str!("go.txt")),
    ("client", "java", include_str!("java.txt")),
    ("docs", "md", include_str!("markdown.txt")),
    ("config", "json", include_str!("json.txt")),
];

/// Nouns for names and sentences.
const NOUNS: &[&str] = &[
    "account", "address", "archive", "batch", "branch", "bucket", "cache", "channel", "cluster", "column",
    "commit", "cursor", "customer", "device", "digest", "document", "domain", "event", "filter", "folder",
    "gateway", "header", "index", "invoice", "journal", "label", "ledger", "message", "metric", "model",
    "mirror", "network", "notice", "order", "packet", "parcel", "payment", "policy", "profile", "queue",
    "record", "region", "report", "schema", "segment", "session", "shard", "signal", "snapshot", "stream",
    "ticket", "token", "topic", "vector", "volume", "window",
];

/// Verbs for the generated sentences.
const VERBS: &[&str] =
    &["follows", "holds", "ends", "begins", "replaces", "outlives", "limits", "names", "counts", "carries"];

/// On average, one block in this many blocks has a defect.
const DEFECT_EVERY: usize = 60;
/// In each group of this many changed files, one is new, one is renamed, and one is deleted.
const FILES_PER_SPECIAL_CHANGE: usize = 10;
/// Approximate number of lines of a block.
const BLOCK_LINES: usize = 15;

/// A generated project, with the random number generator.
pub(super) struct GeneratedProject {
    random: SeededRandom,
    files: Vec<GeneratedFile>,
}

/// A file of the project, as a list of blocks.
#[derive(Clone)]
struct GeneratedFile {
    path: String,
    language_index: usize,
    blocks: Vec<String>,
}

impl GeneratedFile {
    fn text(&self) -> String {
        let end = if self.path.ends_with(".json") { "  \"end\": true\n}\n" } else { "" };
        self.blocks.concat() + end
    }
}

/// A generated change of the project.
pub(super) struct ProjectChange {
    /// Paths that no longer exist, because their file was deleted or renamed.
    pub(super) removed_files: Vec<String>,
    /// Path and new text of each changed, renamed or new file.
    pub(super) written_files: Vec<(String, String)>,
    new_files: usize,
    renamed_files: usize,
}

impl fmt::Display for ProjectChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { new_files: new, renamed_files: renamed, .. } = self;
        let edited = self.written_files.len() - new - renamed;
        write!(
            f,
            "{edited} edited, {new} new, {renamed} renamed, {} deleted",
            self.removed_files.len() - renamed
        )
    }
}

impl GeneratedProject {
    pub(super) fn new(seed: u64, files: usize, file_lines: usize) -> Self {
        let mut project = Self { random: SeededRandom::new(seed), files: Vec::with_capacity(files) };
        for number in 0..files {
            let file = project.generate_file(number, file_lines);
            project.files.push(file);
        }
        project
    }

    /// Returns path and text of every file.
    pub(super) fn files_with_text(&self) -> impl Iterator<Item = (String, String)> {
        self.files.iter().map(|file| (file.path.clone(), file.text()))
    }

    /// Returns the number of lines of all files.
    pub(super) fn line_count(&self) -> usize {
        self.files.iter().map(|file| file.text().lines().count()).sum()
    }

    /// Generates a change of this number of files that adds about this number of lines.
    pub(super) fn generate_change(&mut self, changed: usize, lines: usize) -> ProjectChange {
        let each = lines.div_ceil(changed.max(1));
        let mut change = ProjectChange {
            removed_files: Vec::new(),
            written_files: Vec::new(),
            new_files: 0,
            renamed_files: 0,
        };
        let step = (self.files.len() / changed.max(1)).max(1);
        for at in 0..changed {
            let Some(mut file) = self.files.get(at * step).cloned() else { break };
            match at % FILES_PER_SPECIAL_CHANGE {
                0 => {
                    file = self.generate_file(self.files.len() + at, each);
                    change.new_files += 1;
                }
                1 => {
                    change.removed_files.push(file.path.clone());
                    file.path = format!("moved/{}", file.path);
                    self.edit_file(&mut file, BLOCK_LINES);
                    change.renamed_files += 1;
                }
                2 => {
                    change.removed_files.push(file.path);
                    continue;
                }
                // A changed file gets a fifth more lines than the average, because deleted files add none and
                // renamed files add few.
                _ => self.edit_file(&mut file, each + each / 5),
            }
            change.written_files.push((file.path.clone(), file.text()));
        }
        change
    }

    /// Adds about this number of lines at random positions, and then changes one block and removes one.
    fn edit_file(&mut self, file: &mut GeneratedFile, lines: usize) {
        let middle = |random: &mut SeededRandom, file: &GeneratedFile| {
            1 + random.next_below(file.blocks.len().saturating_sub(1))
        };
        let mut added = 0;
        while added < lines {
            let block = self.generate_block(file.language_index);
            added += block.lines().count();
            let at = middle(&mut self.random, file);
            file.blocks.insert(at, block);
        }
        let at = middle(&mut self.random, file);
        if let Some(block) = file.blocks.get_mut(at) {
            *block = block.replace("found", "chosen");
        }
        let at = middle(&mut self.random, file);
        file.blocks.remove(at);
    }

    /// Generates a new file of about this number of lines.
    fn generate_file(&mut self, number: usize, lines: usize) -> GeneratedFile {
        let language = number % LANGUAGES.len();
        let (folder, ending, blocks) = LANGUAGES.get(language).copied().unwrap_or_default();
        let (area, name) = (self.word(), self.word());
        let path = format!("{folder}/{area}/{name}_{number}.{ending}");
        let head = self.fill_placeholders(split_blocks(blocks).first().copied().unwrap_or_default());
        let mut file = GeneratedFile { path, language_index: language, blocks: vec![head] };
        let mut made = 0;
        while made < lines {
            let block = self.generate_block(language);
            made += block.lines().count();
            file.blocks.push(block);
        }
        file
    }

    /// Generates a block of a language. On average, one of `DEFECT_EVERY` blocks has a defect.
    fn generate_block(&mut self, language: usize) -> String {
        let (_, _, blocks) = LANGUAGES.get(language).copied().unwrap_or_default();
        let parts = split_blocks(blocks);
        let [_, plain @ .., defect] = parts.as_slice() else { return String::new() };
        let defective = self.random.next_below(DEFECT_EVERY) == 0;
        let block = if defective { defect } else { self.random.choose(plain).unwrap_or(defect) };
        self.fill_placeholders(block)
    }

    /// Replaces the placeholders in a block: `{x}`, `{X}` and similar ones by names, `{n}` by a number, and
    /// `{T}` by sentences.
    fn fill_placeholders(&mut self, block: &str) -> String {
        let number = self.random.next_below(1_000_000).to_string();
        let mut text = String::with_capacity(block.len() * 2);
        let names: [&str; 3] = std::array::from_fn(|_| self.word());
        let [x, y, z] = names;
        let mut rest = block;
        while let Some(start) = rest.find('{') {
            let (before, after) = rest.split_at(start);
            text.push_str(before);
            let (name, length) = match after.split_once('}') {
                Some((name, _)) => (name, name.len() + 1),
                None => ("", 1),
            };
            match name {
                "{x" => text.push_str(x),
                "{y" => text.push_str(y),
                "{z" => text.push_str(z),
                "{X" => text.push_str(&capitalize(x)),
                "{Y" => text.push_str(&capitalize(y)),
                "{Z" => text.push_str(&capitalize(z)),
                "{n" => text.push_str(&number),
                "{t" => text.push_str(&self.sentence()),
                "{T" => text.push_str(&capitalize(&self.sentence())),
                "{secret" => text.push_str(&self.secret()),
                // This brace does not begin a placeholder; it belongs to the code.
                _ => {
                    text.push('{');
                    rest = after.get(1..).unwrap_or_default();
                    continue;
                }
            }
            rest = after.get(length..).unwrap_or_default();
        }
        text + rest
    }

    fn word(&mut self) -> &'static str {
        self.random.choose(NOUNS).copied().unwrap_or_default()
    }

    fn sentence(&mut self) -> String {
        let verb = self.random.choose(VERBS).copied().unwrap_or_default();
        format!("the {} of a {} {verb} its {} and {}", self.word(), self.word(), self.word(), self.word())
    }

    /// Returns a text that looks like the random part of a token.
    fn secret(&mut self) -> String {
        let letters: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').collect();
        (0..36).filter_map(|_| self.random.choose(&letters).copied()).collect()
    }
}

/// Splits the text of a language into its blocks.
fn split_blocks(text: &'static str) -> Vec<&'static str> {
    text.split("====\n").collect()
}

fn capitalize(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generate_texts(seed: u64) -> (Vec<(String, String)>, ProjectChange) {
        let mut project = GeneratedProject::new(seed, 70, 100);
        let texts = project.files_with_text().collect();
        (texts, project.generate_change(20, 1000))
    }

    #[test]
    fn the_same_seed_makes_the_same_project_and_change() {
        let ((one, change), (two, again), (other, _)) =
            (generate_texts(1), generate_texts(1), generate_texts(2));
        assert_eq!(one, two);
        assert_eq!((change.removed_files, change.written_files), (again.removed_files, again.written_files));
        assert_ne!(one, other);
    }

    #[test]
    fn no_placeholder_is_left_and_each_file_has_its_own_path() {
        let (texts, change) = generate_texts(1);
        let mut paths: Vec<&String> = texts.iter().map(|(path, _)| path).collect();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), texts.len());
        for (path, text) in texts.iter().chain(&change.written_files) {
            for left in ["{x}", "{y}", "{z}", "{X}", "{Y}", "{Z}", "{n}", "{t}", "{T}", "{secret}", "===="] {
                // These texts identify a leftover placeholder reliably, because no generated code contains
                // them.
                assert!(!text.contains(left), "{path}: {left}");
            }
        }
        assert_eq!(change.to_string(), "14 edited, 2 new, 2 renamed, 2 deleted");
    }
}

//! What a model is told of a port. What the package and the project hold is data, between marks that it cannot contain.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};
use truing_agent::native::Brief;
use truing_agent::prompt::route::{Filled, SYNC_BUMP};
use truing_agent::prompt::{Fence, Values};
use truing_core::RepoPath;
use truing_core::follow::Kind;
use truing_reader::sources::FilesRequest;
use truing_upstream::version::Version;

use super::{Port, PortError};
use crate::loops::sync::SyncError;

/// Bytes of what changed in the package, and of what an earlier run has left.
const MAX_SHOWN: usize = 160 << 10;
/// Lines around a change: most functions as a whole.
const CONTEXT: usize = 40;
/// Definitions that nobody has pinned.
const MAX_NAMED: usize = 200;
/// Characters of the word in the marks around data.
const FENCE_CHARS: usize = 32;

/// A prompt, and what it was made of.
pub(super) struct Told {
    pub(super) brief: Brief,
    pub(super) hash: String,
}

/// What an earlier run has left, and what of it could not be brought over.
pub(super) fn handover(words: &str, left: &[RepoPath]) -> String {
    let mut text = cut(words);
    for path in left {
        text += &format!("\nnot brought over, since the file has changed meanwhile: {path}");
    }
    text
}

/// What the model begins with.
pub(super) async fn prompt(port: &Port<'_>, handover: Option<&str>) -> Result<Told, PortError> {
    let (agent, decided, job) = (&port.porter.agent, port.decided, port.job);
    let mirror: Vec<String> = job.mirror.iter().map(|(theirs, ours)| format!("{theirs} = {ours}")).collect();
    let unguarded = decided.decision.unguarded.iter().take(MAX_NAMED).map(|one| {
        format!("{} {}: {}", one.file.as_deref().unwrap_or_default(), one.symbol, one.why.words())
    });
    let values = [
        ("package", job.package.clone()),
        ("from", decided.from.to_string()),
        ("to", decided.to.to_string()),
        ("reason", decided.decision.reason.clone()),
        ("mirror", mirror.join("\n")),
        ("paths", job.ports.join("\n")),
        ("definitions", definitions(port).await?),
        ("unguarded", unguarded.collect::<Vec<_>>().join("\n")),
        ("handover", handover.unwrap_or_default().to_owned()),
    ];
    let mut word = hash_of(values.iter().map(|(_, value)| value.as_bytes()));
    word.truncate(FENCE_CHARS);
    let fence = Fence::new(&word)?;
    let task = values.into_iter().fold(Values::default(), |all, (name, value)| all.with(name, value));
    let system = Values::default().with("max_turns", job.turns.to_string());
    let prompts = (SYNC_BUMP.system, SYNC_BUMP.task);
    let Filled { system, task, hash } = agent.prompts.filled(prompts, (&system, &task), &fence)?;
    Ok(Told { brief: Brief { model: agent.model.clone(), system, task }, hash })
}

/// The definitions that changed, and the changes of the files that they are in.
async fn definitions(port: &Port<'_>) -> Result<String, PortError> {
    let decided = port.decided;
    let mut text = String::new();
    let mut files = BTreeSet::new();
    for change in &decided.decision.changed {
        let what = match change.kind {
            Kind::Tree => "changed",
            Kind::Bytes => "changed in layout, comments or docstring alone",
            Kind::Gone => "gone",
        };
        let file = change.file.as_deref().unwrap_or("in no file");
        text += &format!("{} ({file}): {what}\n", change.symbol);
        files.extend(change.file.clone());
    }
    let news = decided.decision.unguarded.iter().filter(|one| one.why.is_news());
    files.extend(news.filter_map(|one| one.file.clone()));
    let files: Vec<String> = files.into_iter().collect();
    let (before, after) = (read(port, &decided.from, &files).await?, read(port, &decided.to, &files).await?);
    let empty = String::new();
    for file in &files {
        let (old, new) = (before.get(file).unwrap_or(&empty), after.get(file).unwrap_or(&empty));
        let mut options = diffy::DiffOptions::new();
        let lines = options.set_context_len(CONTEXT).create_patch(old, new).to_string();
        text += &format!("\n=== {file}, {} to {}\n{lines}", decided.from, decided.to);
    }
    Ok(cut(&text))
}

/// Files of a release.
async fn read(
    port: &Port<'_>,
    version: &Version,
    files: &[String],
) -> Result<std::collections::BTreeMap<String, String>, SyncError> {
    let (index, archives, reader) = port.tools;
    let releases = index.releases(&port.job.package).await?;
    let release = releases.iter().find(|release| release.version == *version);
    let release = release.ok_or_else(|| SyncError::NoRelease {
        package: port.job.package.clone(),
        version: version.clone(),
        newest: releases.last().map(|release| release.version.to_string()).unwrap_or_default(),
    })?;
    let archive = archives.get(index, &release.archive).await?;
    let request = FilesRequest { archive, format: release.archive.format, files: files.to_vec() };
    let name = release.archive.name.clone();
    reader.files(&request).await.map_err(|source| SyncError::Sources { name, source })
}

/// The beginning of a text, and that it was cut.
fn cut(text: &str) -> String {
    if text.len() <= MAX_SHOWN {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(MAX_SHOWN);
    format!("{}\n[cut: {end} of {} bytes]", text.get(..end).unwrap_or_default(), text.len())
}

/// Of several parts, each with its length.
fn hash_of<'a>(parts: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

//! Applies the suggestions of a local review: selects the suggestions that can be applied, computes the new
//! content of the files, and builds the patches. [`truing_agent::tree`] changes the files, and [`undo`] keeps
//! the patches that revert the changes.
//!
//! A suggestion is valid only for the exact content of the file that it was made for. Therefore, the files
//! are read again, and the rules and the linters that made suggestions are run again on this content. Only a
//! suggestion that is made again is applied. A suggestion of a model is verified again with the lines that it
//! replaces. A file is replaced only if its content is still the content that was read. A model's proposal is
//! applied only if a person accepts it ([`propose_fixes`]).

pub mod lock;
pub mod undo;

use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use truing_agent::tree::{LostAttribute, ReplaceError, WritableTree};
use truing_core::excerpt;
use truing_core::finding::{Finding, FindingSource, RawFinding};
use truing_core::port::{
    ChangedFile, ReadRequest, ReplacementCheckRequest, ReplacementProposal, RepositoryReader,
};
use truing_diff::{RepoPath, quote_name};
use truing_git::write_new_file;
use truing_reader::redact::FileSecrets;
use truing_reader::{FixRefusal, LineEdit, WithheldFix, apply_line_edits, has_grammar};

use super::reading::ReadingError;
use super::tools::{ConfiguredLinters, ReviewLinters, overlap};

/// The reason why a linter's suggestion is not applied if the linter cannot run again.
const NO_RERUN_REASON: &str = "a linter's fix needs `--tools`, and is applied only in the working tree";
/// The reason why a suggestion is not applied if Truing cannot check the syntax of the changed file.
const NO_GRAMMAR_REASON: &str = "Truing cannot prove the fix, because it has no grammar for this file";

/// The suggestions that can be applied, as changed files, and the suggestions that cannot be applied.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FixPlan {
    /// Files that change, by path.
    pub changes: Vec<FixedFile>,
    /// Suggestions that are not applied, each with the reason.
    pub unapplied: Vec<UnappliedSuggestion>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FixedFile {
    pub path: RepoPath,
    /// The content that was reviewed.
    pub old: Vec<u8>,
    /// The content after the suggestions are applied.
    pub new: Vec<u8>,
    /// Number of applied suggestions.
    pub fix_count: usize,
}

/// A suggestion that is not applied.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct UnappliedSuggestion {
    /// Path of the finding's file.
    pub path: RepoPath,
    /// First line of the finding; 0 if no suggestion of the file is applied.
    #[serde(rename = "start_line")]
    pub line: u32,
    /// Rule of the finding; empty if no suggestion of the file is applied.
    pub rule: String,
    /// The reason, for people.
    #[serde(rename = "reason")]
    pub reason: String,
}

/// The result of applying a plan.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AppliedFixes {
    /// One flag for each planned change: true if the change was made.
    pub applied_flags: Vec<bool>,
    /// Number of changes that were not begun.
    pub unstarted_count: usize,
    /// File attributes, such as the owner, that files lost when they were replaced.
    pub lost_attributes: Vec<(RepoPath, LostAttribute)>,
}

/// A fix that a model proposes, with its own plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProposedFix {
    /// The finding that the proposal fixes.
    pub finding: Finding,
    /// The plan of the change that fixes the finding.
    pub plan: FixPlan,
}

/// The reason why nothing can be planned.
#[derive(Debug, thiserror::Error)]
pub enum FixError {
    /// The reviewed files could not be copied.
    #[error("cannot read the reviewed files again: {0}")]
    Io(#[from] io::Error),
    /// The rules could not run again.
    #[error(transparent)]
    Reading(#[from] ReadingError),
}

/// Returns the files that have a suggestion.
pub fn suggestion_paths(open_findings: &[Finding]) -> Vec<RepoPath> {
    let with = open_findings.iter().filter(|finding| finding.raw.suggestion.is_some());
    let paths: BTreeSet<&RepoPath> = with.map(|finding| &finding.raw.location.path).collect();
    paths.into_iter().cloned().collect()
}

/// True if the finding's fix is a model's proposal.
pub fn is_model_proposal(finding: &Finding) -> bool {
    finding.raw.source == FindingSource::Agent && finding.raw.suggestion.is_some()
}

/// Returns the fixes that a model proposes for open findings, each with a separate plan. Also returns the
/// fixes that cannot be made. `tree` has the same meaning as in [`plan_fixes`].
///
/// # Errors
/// [`FixError`]
#[truing_core::boxed_future]
pub async fn propose_fixes(
    open_findings: &[Finding],
    tree: &Path,
    reader: &dyn RepositoryReader,
) -> Result<(Vec<ProposedFix>, Vec<UnappliedSuggestion>), FixError> {
    let (mut offers, mut left) = (Vec::new(), Vec::new());
    for finding in open_findings.iter().filter(|finding| is_model_proposal(finding)) {
        let plan = plan_fixes(std::slice::from_ref(finding), tree, &[], reader, None).await?;
        match plan.changes.is_empty() {
            true => left.extend(plan.unapplied),
            false => offers.push(ProposedFix { finding: finding.clone(), plan }),
        }
    }
    Ok((offers, left))
}

/// Plans the fixes of open findings. A fix that a model proposes is included only if a person has accepted
/// it. `tree` holds the reviewed files: the working tree itself, or a copy of the index. `linters` are the
/// linters that can run on `tree` again.
///
/// # Errors
/// [`FixError`]
pub fn plan_fixes<'a>(
    open_findings: &'a [Finding],
    tree: &'a Path,
    packs: &'a [String],
    reader: &'a dyn RepositoryReader,
    linters: Option<(ReviewLinters<'a>, &'a ConfiguredLinters)>,
) -> BoxFuture<'a, Result<FixPlan, FixError>> {
    Box::pin(async move {
        let root = tree;
        let linters = linters.filter(|(tooling, wanted)| tooling.linter_sources.has_any_linters(wanted));
        let mut files: BTreeMap<&RepoPath, Vec<&RawFinding>> = BTreeMap::new();
        for finding in open_findings.iter().map(|finding| &finding.raw).filter(|raw| raw.suggestion.is_some())
        {
            files.entry(&finding.location.path).or_default().push(finding);
        }
        let withheld = open_findings.iter().map(|finding| &finding.raw);
        let withheld = withheld.filter_map(|raw| {
            Some(unapplied_suggestion(raw, WithheldFix::from_finding(raw)?.reason().to_owned()))
        });
        let mut plan = FixPlan { unapplied: withheld.collect(), ..FixPlan::default() };
        if files.is_empty() {
            return Ok(plan);
        }

        let tree = WritableTree::open(tree).map_err(ReadingError::from)?;
        let copy = truing_git::PrivateFolder::new()?;
        let mut read: Vec<(&RepoPath, Vec<u8>)> = Vec::new();
        for (path, findings) in &files {
            match tree.read(path) {
                Ok(bytes) => {
                    write_new_file(copy.path(), path, &bytes).await.map_err(io::Error::other)?;
                    read.push((path, bytes));
                }
                Err(why) => {
                    plan.unapplied
                        .extend(findings.iter().map(|raw| unapplied_suggestion(raw, why.to_string())));
                }
            }
        }
        let mut again = rerun_rules(copy.path(), &read, &files, packs, reader).await?;
        again.extend(recheck_suggestions(copy.path(), &read, &files, reader).await?);
        if let Some((tooling, wanted)) = linters.filter(|_| has_linter_finding(&files)) {
            let changed = changed_files(&read, &files);
            again.extend(
                tooling.find_findings(root, &changed, wanted, reader).await.map_err(ReadingError::from)?,
            );
        }
        for (path, old) in read {
            let Some(findings) = files.get(path) else { continue };
            let (same, other): (Vec<&RawFinding>, Vec<&RawFinding>) =
                findings.iter().partition(|raw| again.iter().any(|found| same_suggestion(found, raw)));
            let is_rerun = |raw: &RawFinding| raw.source != FindingSource::Tool || linters.is_some();
            let gone = |raw: &RawFinding| {
                if is_rerun(raw) {
                    ReplaceError::ContentChanged.to_string()
                } else {
                    NO_RERUN_REASON.to_owned()
                }
            };
            plan.unapplied.extend(other.iter().map(|raw| unapplied_suggestion(raw, gone(raw))));
            let is_proven = |raw: &&RawFinding| raw.source != FindingSource::Tool || has_grammar(path);
            let (proven, unproven): (Vec<&RawFinding>, Vec<&RawFinding>) =
                same.into_iter().partition(is_proven);
            plan.unapplied
                .extend(unproven.iter().map(|raw| unapplied_suggestion(raw, NO_GRAMMAR_REASON.to_owned())));
            plan.add_file(path, old, &proven);
        }
        plan.unapplied.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
        Ok(plan)
    })
}

/// Runs the rules on the copies, and returns only findings on the lines of the given findings.
async fn rerun_rules(
    copy: &Path,
    file_contents: &[(&RepoPath, Vec<u8>)],
    findings_by_path: &BTreeMap<&RepoPath, Vec<&RawFinding>>,
    packs: &[String],
    reader: &dyn RepositoryReader,
) -> Result<Vec<RawFinding>, FixError> {
    let request = ReadRequest {
        tree: copy.to_owned(),
        files: changed_files(file_contents, findings_by_path),
        also_changed: Vec::new(),
        packs: packs.to_vec(),
        disabled_rules: Vec::new(),
    };
    Ok(reader.read(&request).await.map_err(ReadingError::from)?.findings)
}

/// Runs the verification of the model's proposals again on the copied files, and returns the proposals that
/// pass. Proposals whose lines have changed since the review are omitted.
async fn recheck_suggestions(
    copy: &Path,
    file_contents: &[(&RepoPath, Vec<u8>)],
    findings_by_path: &BTreeMap<&RepoPath, Vec<&RawFinding>>,
    reader: &dyn RepositoryReader,
) -> Result<Vec<RawFinding>, FixError> {
    let mut asked = Vec::new();
    for (path, bytes) in file_contents {
        let text = String::from_utf8_lossy(bytes);
        let proposed =
            findings_by_path.get(path).into_iter().flatten().filter(|raw| raw.source == FindingSource::Agent);
        for raw in proposed {
            let lines = excerpt::select_lines(&text, raw.location.start_line, raw.location.end_line);
            // A finding stores its lines without secrets, so secrets are removed before the comparison.
            let is_same = lines.is_some_and(|lines| {
                FileSecrets::from_text(&text).hide_secrets(&lines.join("\n")) == raw.snippet
            });
            asked.extend(
                ReplacementProposal::from_finding(raw).filter(|_| is_same).map(|proposal| (*raw, proposal)),
            );
        }
    }
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let proposals = asked.iter().map(|(_, proposal)| proposal.clone()).collect();
    let request = ReplacementCheckRequest { tree: copy.to_owned(), proposals };
    let proven = reader.verify_replacements(&request).await.map_err(ReadingError::from)?;
    let proven = asked.into_iter().zip(proven).filter(|(_, is_proven)| *is_proven);
    Ok(proven.map(|((raw, _), _)| raw.clone()).collect())
}

fn has_linter_finding(findings_by_path: &BTreeMap<&RepoPath, Vec<&RawFinding>>) -> bool {
    findings_by_path.values().flatten().any(|raw| raw.source == FindingSource::Tool)
}

/// Returns the files of the findings, each with the lines of its findings.
fn changed_files(
    file_contents: &[(&RepoPath, Vec<u8>)],
    findings_by_path: &BTreeMap<&RepoPath, Vec<&RawFinding>>,
) -> Vec<ChangedFile> {
    let lines = |path: &RepoPath| {
        let findings = findings_by_path.get(path).into_iter().flatten();
        let mut lines: Vec<(u32, u32)> =
            findings.map(|raw| (raw.location.start_line, raw.location.end_line)).collect();
        lines.sort_unstable();
        // Overlapping ranges are merged. The resulting ranges ascend and do not overlap.
        lines.dedup_by(|next, kept| {
            let joins = next.0 <= kept.1;
            if joins {
                kept.1 = kept.1.max(next.1);
            }
            joins
        });
        lines
    };
    let file = |path: &RepoPath| ChangedFile {
        path: path.clone(),
        old_path: None,
        added_lines: lines(path),
        secrets_only: false,
    };
    file_contents.iter().map(|(path, _)| file(path)).collect()
}

/// Returns true if a new run has found the suggestion of `raw` again. A linter's finding may have the
/// suggestion of the rule that it replaces, and the new run reports this suggestion for the rule.
fn same_suggestion(found: &RawFinding, raw: &RawFinding) -> bool {
    (&found.location, &found.suggestion) == (&raw.location, &raw.suggestion)
        && (found.rule == raw.rule || overlap::reports_same_defect(raw, found))
}

fn unapplied_suggestion(raw: &RawFinding, reason: String) -> UnappliedSuggestion {
    UnappliedSuggestion {
        path: raw.location.path.clone(),
        line: raw.location.start_line,
        rule: raw.rule.clone(),
        reason,
    }
}

/// Returns the reason why the fix of a finding is not applied, as text for people.
fn refusal_reason(refusal: FixRefusal, findings: &[&RawFinding]) -> String {
    let other = |index: usize| match findings.get(index) {
        Some(raw) => format!("the fix of {} on line {}", raw.rule, raw.location.start_line),
        None => "another fix".to_owned(),
    };
    match refusal {
        FixRefusal::Overlap(index) => format!("it overlaps {}, which is applied first", other(index)),
        FixRefusal::SameChange(index) => format!("{} makes the same change", other(index)),
        FixRefusal::SyntaxError => "the file would not parse after the fix".to_owned(),
        FixRefusal::ChangedMeaning => {
            "together with the other fixes of the file, the fix would change the surrounding code".to_owned()
        }
        FixRefusal::MissingLines => "the file does not contain the lines of the fix".to_owned(),
        FixRefusal::NoGrammar => NO_GRAMMAR_REASON.to_owned(),
        FixRefusal::NotUtf8 => "the file is not UTF-8".to_owned(),
        FixRefusal::TooLarge => "the file is too large: Truing cannot prove so many fixes in one file of \
            this size"
            .to_owned(),
    }
}

impl FixPlan {
    /// Adds the new content of a file.
    fn add_file(&mut self, path: &RepoPath, old: Vec<u8>, findings: &[&RawFinding]) {
        let edits: Vec<LineEdit> = findings.iter().filter_map(|raw| LineEdit::from_finding(raw)).collect();
        let fixed = apply_line_edits(path, &old, &edits);
        for (raw, refusal) in findings.iter().zip(&fixed.refusals) {
            if let Some(refusal) = refusal {
                self.unapplied.push(unapplied_suggestion(raw, refusal_reason(*refusal, findings)));
            }
        }
        let fixes = fixed.refusals.iter().filter(|refusal| refusal.is_none()).count();
        if fixes > 0 && fixed.bytes != old {
            self.changes.push(FixedFile { path: path.clone(), old, new: fixed.bytes, fix_count: fixes });
        }
    }

    /// Keeps the changes that `check` accepts; `check` may also modify a change. The other changes are
    /// recorded as unapplied, with the reason that `check` returns.
    pub fn retain(&mut self, mut check: impl FnMut(&mut FixedFile) -> Result<(), String>) {
        let left = &mut self.unapplied;
        self.changes.retain_mut(|change| match check(change) {
            Ok(()) => true,
            Err(reason) => {
                let path = change.path.clone();
                left.push(UnappliedSuggestion { path, line: 0, rule: String::new(), reason });
                false
            }
        });
    }

    /// Makes the changes until `stop` is set. Changes that could not be made, or were not started, are
    /// removed from the plan.
    pub fn apply_changes(&mut self, tree: &WritableTree, stop: &AtomicBool) -> AppliedFixes {
        let mut made = AppliedFixes::default();
        let mut folders = BTreeSet::new();
        for change in std::mem::take(&mut self.changes) {
            let stopped = stop.load(Ordering::Relaxed);
            let path = change.path.as_bytes();
            let folder = path.iter().rposition(|byte| *byte == b'/').and_then(|end| path.get(..end));
            if !stopped && folders.insert(folder.unwrap_or_default().to_vec()) {
                tree.remove_leftovers(&change.path);
            }
            let replaced = (!stopped).then(|| tree.replace(&change.path, &change.old, &change.new));
            made.applied_flags.push(matches!(replaced, Some(Ok(_))));
            match replaced {
                None => made.unstarted_count += 1,
                Some(Ok(lost)) => {
                    made.lost_attributes.extend(lost.into_iter().map(|lost| (change.path.clone(), lost)));
                    self.changes.push(change);
                }
                Some(Err(reason)) => {
                    let (path, reason) = (change.path, reason.to_string());
                    self.unapplied.push(UnappliedSuggestion { path, line: 0, rule: String::new(), reason });
                }
            }
        }
        made
    }

    /// Returns the fixes as a patch for `git apply`, with `context` lines of context.
    pub fn patch(&self, context: usize) -> Vec<u8> {
        self.changes.iter().flat_map(|change| change.patch(context)).collect()
    }
}

impl FixedFile {
    /// Returns the file with CRLF at every line end, as git checks the file out with `core.autocrlf` or the
    /// attribute `eol`.
    pub fn with_crlf(&self) -> Self {
        let convert = |text: &[u8]| {
            let lines = text.split_inclusive(|byte| *byte == b'\n');
            let ended = |line: &[u8]| match line.strip_suffix(b"\n") {
                Some(line) => [line, b"\r\n"].concat(),
                None => line.to_vec(),
            };
            lines.flat_map(ended).collect()
        };
        Self {
            path: self.path.clone(),
            old: convert(&self.old),
            new: convert(&self.new),
            fix_count: self.fix_count,
        }
    }

    /// Returns the file's section of a patch.
    fn patch(&self, context: usize) -> Vec<u8> {
        let name = |side: &[u8]| [side, self.path.as_bytes()].concat();
        let (old, new) = (name(b"a/"), name(b"b/"));
        let (old, new) = (quote_name(&old), quote_name(&new));
        let mut patch = format!("diff --git {old} {new}\n--- {old}\n+++ {new}\n").into_bytes();
        let mut options = diffy::DiffOptions::new();
        let lines = options.set_context_len(context).create_patch_bytes(&self.old, &self.new).to_bytes();
        // The first two lines contain file names that the library adds, so they are removed.
        let hunks = lines.splitn(3, |byte| *byte == b'\n').nth(2).unwrap_or_default();
        patch.extend_from_slice(hunks);
        patch
    }
}

#[cfg(test)]
mod tests {
    use truing_core::code_digest::CodeDigests;
    use truing_core::finding::{CodeLocation, DefectCategory, DiffSide, Severity, SuggestedFix};

    use super::*;

    /// Builds a finding of a line of `a.py` with this replacement.
    fn finding_with_fix(rule: &str, line: u32, replacement: &str) -> RawFinding {
        RawFinding {
            location: CodeLocation {
                path: "a.py".into(),
                side: DiffSide::New,
                start_line: line,
                end_line: line,
            },
            severity: Severity::P2,
            category: DefectCategory::J,
            rule: rule.to_owned(),
            title: "t".to_owned(),
            body: String::new(),
            snippet: String::new(),
            code: CodeDigests::default(),
            suggestion: Some(SuggestedFix { replacement: replacement.to_owned() }),
            source: FindingSource::Rule,
            specialists: Vec::new(),
        }
    }

    #[test]
    fn fixes_of_one_line_are_made_together_and_each_that_is_not_has_its_reason() {
        let text = b"if a == None and b == None: f()\nx = f(a)\n".to_vec();
        let findings = [
            finding_with_fix("lint/A", 1, "if a is None and b == None: f()"),
            finding_with_fix("lint/B", 1, "if a == None and b is None: f()"),
            finding_with_fix("lint/C", 1, "if a is not b and b == None: f()"),
            finding_with_fix("lint/D", 1, "if a == None and b is None: f()"),
            finding_with_fix("lint/E", 2, "x = f(a"),
        ];
        let mut plan = FixPlan::default();
        plan.add_file(&"a.py".into(), text, &findings.iter().collect::<Vec<_>>());
        let [change] = plan.changes.as_slice() else { panic!("{plan:?}") };
        assert_eq!(String::from_utf8_lossy(&change.new), "if a is None and b is None: f()\nx = f(a)\n");
        assert_eq!(change.fix_count, 2);
        let left: Vec<_> =
            plan.unapplied.iter().map(|left| (left.rule.as_str(), left.reason.as_str())).collect();
        assert_eq!(
            left,
            [
                ("lint/C", "it overlaps the fix of lint/A on line 1, which is applied first"),
                ("lint/D", "the fix of lint/B on line 1 makes the same change"),
                ("lint/E", "the file would not parse after the fix"),
            ]
        );
        let told = serde_json::to_value(&plan.unapplied[0]).unwrap();
        assert_eq!(
            told,
            serde_json::json!({ "path": "a.py", "start_line": 1, "rule": "lint/C",
                "reason": "it overlaps the fix of lint/A on line 1, which is applied first" })
        );
    }

    #[test]
    fn a_patch_has_gits_names_and_says_where_a_last_line_end_is_missing() {
        let change = |path: &[u8], old: &str, new: &str| FixedFile {
            path: RepoPath::from_bytes(path),
            old: old.into(),
            new: new.into(),
            fix_count: 1,
        };
        let plan = FixPlan {
            changes: vec![
                change(b"a/b.py", "1\n2\n3\n4\r\n5", "1\n2\n3\n5"),
                change(b"caf\xe9 \"x\".py", "a", "b"),
            ],
            unapplied: vec![],
        };
        let expected = "diff --git a/a/b.py b/a/b.py\n--- a/a/b.py\n+++ b/a/b.py\n@@ -3,3 +3,2 @@\n \
             3\n-4\r\n 5\n\
                        \\ No newline at end of file\n\
                        diff --git \"a/caf\\351 \\\"x\\\".py\" \"b/caf\\351 \\\"x\\\".py\"\n\
                        --- \"a/caf\\351 \\\"x\\\".py\"\n+++ \"b/caf\\351 \\\"x\\\".py\"\n@@ -1 +1 @@\n-a\n\
                        \\ No newline at end of file\n+b\n\\ No newline at end of file\n";
        assert_eq!(String::from_utf8(plan.patch(1)).unwrap(), expected);
    }
}

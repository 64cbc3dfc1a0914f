//! Parses damaged diffs. For each input, the parser must not panic, and its result must be consistent.

use anyhow::Result;
use truing_diff::{AnchorKind, DiffSide, FileContent, LineStatus, LineTracker, RepoPath};

use super::random::{SeededRandom, damage};
use crate::bench::hard_diffs;

/// Maximum size in bytes of a diff in the corpus. Larger diffs would only slow down the rounds.
const MAX_DIFF_BYTES: usize = 20_000;

/// The byte sequences with a meaning in a diff.
const DIFF_TOKENS: &[&[u8]] = &[
    b"diff --git a/x b/x\n",
    b"diff --cc x\n",
    b"--- a/x\n+++ b/x\n",
    b"--- /dev/null\n",
    b"+++ \"b/\\303\"\n",
    b"@@ -1 +1 @@\n",
    b"@@ -0,0 +1,2 @@\n",
    b"@@ -4294967295 +4294967295,0 @@\n",
    b"@@ -1,18446744073709551615 +1 @@\n",
    b"rename from x\n",
    b"copy to \"y\"\n",
    b"old mode 100644\n",
    b"deleted file mode 777777777777\n",
    b"GIT binary patch\nliteral 3\n",
    b"Binary files a/x and b/x differ\n",
    b"\\ No newline at end of file\n",
    b"From 0123456789012345678901234567890123456789 Mon\n",
    b"---\n",
    b"\r\n",
    b"\n",
    b"\0",
    b"+",
    b"-",
    b" ",
];

/// Returns the corpus of undamaged diffs.
pub(super) fn corpus() -> Result<Vec<Vec<u8>>> {
    let mut corpus: Vec<Vec<u8>> =
        hard_diffs::produce_case_diffs()?.into_iter().map(|case| case.diff).collect();
    corpus.retain(|diff| diff.len() <= MAX_DIFF_BYTES);
    let mail = b"From 0123456789012345678901234567890123456789 Mon\nSubject: x\n\n---\n a | 2 +-\n\n";
    let mails: Vec<_> =
        corpus.iter().take(20).map(|diff| [&mail[..], diff, b"-- \n2.0\n\n"].concat()).collect();
    corpus.extend(mails);
    corpus.push(
        b"diff --cc a\nindex 1,2..3\n--- a/a\n+++ b/a\n@@@ -1,1 -1,1 +1,1 @@@\n- 1\n -2\n++3\n".to_vec(),
    );
    Ok(corpus)
}

/// Damages a random diff of the corpus, parses it, and checks the result.
pub(super) fn run_round(corpus: &[Vec<u8>], random: &mut SeededRandom) {
    let mut input = random.choose(corpus).cloned().unwrap_or_default();
    damage(&mut input, corpus, DIFF_TOKENS, random);
    let parsed = truing_diff::parse(&input);
    if let Some(error) = &parsed.error {
        assert!(
            error.byte_offset <= input.len() && error.line_number >= 1,
            "an error outside of its input: {error}"
        );
    }
    let mut old = Vec::new();
    let mut new = Vec::new();
    for file in &parsed.files {
        let (mut added, mut deleted) = (0, 0);
        for line in file.hunks.iter().flat_map(|hunk| hunk.lines()) {
            added += u32::from(line.old_line.is_none());
            deleted += u32::from(line.new_line.is_none());
            assert!(!line.text.contains(&b'\n'), "a line of two lines");
        }
        assert_eq!((added, deleted), (file.added_lines, file.deleted_lines), "other counts than lines");
        let json = serde_json::to_string(&file.path).ok();
        let back = json.and_then(|json| serde_json::from_str::<RepoPath>(&json).ok());
        assert_eq!(back.as_ref(), Some(&file.path), "a path does not survive JSON");
        let content = |random: &mut SeededRandom| (random.next_below(4) > 0).then(|| random_lines(random));
        old.push((file.old_path.clone().unwrap_or_else(|| file.path.clone()), content(random)));
        new.push((file.path.clone(), content(random)));
    }
    fn sources(files: &[(RepoPath, Option<Vec<u8>>)]) -> Vec<FileContent<'_>> {
        files.iter().map(|(path, content)| FileContent { path, content: content.as_deref() }).collect()
    }
    let (old_sources, new_sources) = (sources(&old), sources(&new));
    let tracker = LineTracker::new(&parsed.files, &old_sources, &new_sources);
    for (path, _) in old.iter().take(8) {
        let start = random_line_number(random);
        let end = start.saturating_add(random_line_number(random));
        for side in [DiffSide::Old, DiffSide::New] {
            let anchored = truing_diff::find_anchor(&parsed.files, path, side, start, end);
            if anchored.kind == AnchorKind::Inline {
                assert!(start <= anchored.start_line && anchored.end_line <= end, "anchored elsewhere");
            }
        }
        let tracked = tracker.track(path, start, end);
        assert_eq!(tracked.start_line.is_none(), tracked.status == LineStatus::Deleted, "{tracked:?}");
        if let (Some(first), Some(last)) = (tracked.start_line, tracked.end_line) {
            assert!(1 <= first && first <= last, "{tracked:?}");
        }
    }
}

/// Returns a line number, mostly a small one.
fn random_line_number(random: &mut SeededRandom) -> u32 {
    let bound = if random.next_below(10) == 0 { u32::MAX as usize } else { 50 };
    u32::try_from(random.next_below(bound)).unwrap_or(u32::MAX)
}

/// Returns random lines from a small set, so the old and the new content of a file often have common lines.
fn random_lines(random: &mut SeededRandom) -> Vec<u8> {
    const LINES: [&[u8]; 8] =
        [b"}", b"", b"  x = 1", b"x = 1", b"y = x + 1\r", b"return y", b"\xff", b"fn f() {"];
    let lines: Vec<&[u8]> =
        (0..random.next_below(40)).map(|_| random.choose(&LINES).copied().unwrap_or_default()).collect();
    lines.join(&b'\n')
}

//! Finds patterns of `rules.ignore` that match no file of the repository, and renders warnings about these
//! patterns.

use std::future::Future;

use truing_core::line::clean_line;
use truing_core::outcome::ReviewCoverage;
use truing_diff::RepoPath;
use truing_git::GitError;

use super::reading::ReviewScope;

/// Maximum number of characters that a warning shows of a pattern.
const MAX_PATTERN_CHARS: usize = 200;

/// Returns the patterns that match neither a changed file nor a file of `tree_files`. The result is empty if
/// the files cannot be listed.
pub(crate) async fn unused_patterns(
    scope: &ReviewScope,
    coverage: &ReviewCoverage,
    tree_files: impl Future<Output = Result<Vec<RepoPath>, GitError>>,
) -> Vec<String> {
    let changed = coverage.not_reviewed.iter().map(|gap| &gap.path);
    // The files are listed only if a pattern matches no changed file.
    if scope.unused_ignore_patterns(changed.clone()).is_empty() {
        return Vec::new();
    }
    let Ok(files) = tree_files.await else { return Vec::new() };
    scope.unused_ignore_patterns(changed.chain(&files))
}

/// Returns a warning for each pattern.
pub fn unused_pattern_warnings(patterns: &[String]) -> impl Iterator<Item = String> {
    patterns.iter().map(|pattern| {
        let pattern = clean_line(pattern, MAX_PATTERN_CHARS);
        let meant = likely_meaning(&pattern);
        format!("rules.ignore: `{pattern}` matches no file of the repository{meant}")
    })
}

/// Returns a clause for the warning that names the likely intent of the pattern; empty if Truing recognises
/// no intent.
fn likely_meaning(pattern: &str) -> String {
    let plain = pattern.trim_start_matches("./").trim_end_matches('/');
    if pattern.starts_with('!') {
        "; patterns cannot be negated".to_owned()
    } else if !pattern.contains('*') {
        format!("; a folder is `{plain}/**`")
    } else if plain != pattern {
        format!("; write the path as `{plain}`")
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_about_a_pattern_says_what_is_meant() {
        for (pattern, expected) in [
            ("lib", "; a folder is `lib/**`"),
            ("lib/", "; a folder is `lib/**`"),
            ("./lib/**", "; write the path as `lib/**`"),
            ("lib/**/", "; write the path as `lib/**`"),
            ("!lib/**", "; patterns cannot be negated"),
            ("lib/**", ""),
        ] {
            assert_eq!(likely_meaning(pattern), expected, "{pattern}");
        }
    }
}

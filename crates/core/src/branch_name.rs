//! Validates names of git branches.

use crate::id::Sha;

/// Returns true for a valid branch name without `refs/heads/`. A valid name follows git's own rules (`git
/// check-ref-format`) and cannot be read as a commit id, another ref or an option.
pub fn is_branch_name(name: &str) -> bool {
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    let letter = |letter: char| {
        !letter.is_control()
            && !letter.is_whitespace()
            && !matches!(letter, '~' | '^' | ':' | '?' | '*' | '[' | '\\')
    };
    !name.starts_with('-')
        && !name.starts_with("refs/")
        && !matches!(name, "@" | "HEAD")
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{")
        && name.len() <= 200
        && name.split('/').all(part)
        && name.chars().all(letter)
        && Sha::parse(name).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_branches_are_branches() {
        for good in ["main", "truing/sync/botocore", "a.b", "x@y", "é", "refsx/heads", "+a"] {
            assert!(is_branch_name(good), "{good}");
        }
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let long = "x".repeat(201);
        for bad in [
            "",
            "-x",
            "--mirror",
            "refs/heads/main",
            "HEAD",
            "@",
            "a..b",
            "a b",
            "a:b",
            "a~1",
            "a^",
            "a*",
            "a\\b",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            "a.",
            "a@{1}",
            "a\nb",
            "a\0b",
            "a[",
            commit,
            &long,
        ] {
            assert!(!is_branch_name(bad), "{bad:?}");
        }
    }
}

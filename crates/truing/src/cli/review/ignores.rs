//! Patterns of `rules.ignore` that match no file, as a warning.

use super::text::visible;

/// One line for each.
pub(super) fn told(patterns: &[String]) -> impl Iterator<Item = String> {
    patterns.iter().map(|pattern| {
        let pattern = visible(pattern);
        let meant = meant(&pattern);
        format!("rules.ignore: `{pattern}` matches no file of the repository{meant}")
    })
}

/// The likely meaning of a pattern, as words that follow; empty: there is none.
fn meant(pattern: &str) -> String {
    let plain = pattern.trim_start_matches("./").trim_end_matches('/');
    if pattern.starts_with('!') {
        "; patterns cannot be negated".to_owned()
    } else if !pattern.contains('*') {
        format!("; a folder is `{plain}/**`")
    } else if plain != pattern {
        format!("; paths are written as in `{plain}`")
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_matches_nothing_is_told_with_what_is_meant() {
        for (pattern, expected) in [
            ("lib", "; a folder is `lib/**`"),
            ("lib/", "; a folder is `lib/**`"),
            ("./lib/**", "; paths are written as in `lib/**`"),
            ("lib/**/", "; paths are written as in `lib/**`"),
            ("!lib/**", "; patterns cannot be negated"),
            ("lib/**", ""),
        ] {
            assert_eq!(meant(pattern), expected, "{pattern}");
        }
    }
}

//! Finds errors in INI files, in which many Python tools are configured. These tools read the files with
//! Python's `configparser`, and several of them silently use their defaults if that fails.

use std::collections::BTreeSet;

/// Returns the reason why `configparser` cannot read a text; `None` if it can. The reason names the line.
///
/// Source: <https://docs.python.org/3/library/configparser.html#supported-ini-file-structure>
pub(crate) fn find_ini_error(text: &str) -> Option<String> {
    let mut sections = BTreeSet::new();
    let mut options: Option<BTreeSet<String>> = None;
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let number = index + 1;
        let is_continued =
            line.starts_with([' ', '\t']) && options.as_ref().is_some_and(|names| !names.is_empty());
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) || is_continued {
            continue;
        }
        if let Some(name) =
            line.strip_prefix('[').and_then(|rest| rest.rsplit_once(']')).map(|(name, _)| name)
        {
            if !sections.insert(name) {
                return Some(format!("line {number}: the section `{name}` already exists"));
            }
            options = Some(BTreeSet::new());
            continue;
        }
        let Some(names) = &mut options else {
            return Some(format!("line {number}: there is no section header above this line"));
        };
        let Some((name, _)) = line.split_once(['=', ':']).filter(|(name, _)| !name.trim().is_empty()) else {
            return Some(format!("line {number}: this line is neither a section header nor an option"));
        };
        let name = name.trim().to_lowercase();
        if !names.insert(name.clone()) {
            return Some(format!("line {number}: the option `{name}` already exists"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_as_by_configparser() {
        for text in [
            "",
            "# a\n[flake8]\nselect =\n    E\n    # a\n\n    F\nmax-line-length: 100\n[mypy]\n; b\n",
            "[metadata]\nname = a\nurl = http://a/b = c\n[options.extras_require]\ntest =\n  a[b]==1\n",
            "  [a]\n  b = 1\n",
            "[a]\nb =\nc = 1\n[d]\nb = 1\n",
        ] {
            assert_eq!(find_ini_error(text), None, "{text}");
        }
        for (text, reason) in [
            ("[flake8\nselect = E\n", "line 1: there is no section header"),
            ("select = E\n", "line 1: there is no section header"),
            ("[a]\nselect\n", "line 2: this line is neither"),
            ("[a]\n= x\n", "line 2: this line is neither"),
            ("[a]\nb = 1\n[a]\n", "line 3: the section `a` already exists"),
            ("[a]\nb = 1\nB: 2\n", "line 3: the option `b` already exists"),
        ] {
            let found = find_ini_error(text).unwrap_or_default();
            assert!(found.starts_with(reason), "{text} {found}");
        }
    }
}

//! Edits a Python hash test. An edit adds a digest next to a digest that a row already accepts, or replaces
//! the accepted digest, in the same notation. The reader finds the rows; this module examines only the string
//! literals of digests. If it is unclear which row a literal belongs to, the edit fails.

use std::collections::BTreeMap;

use truing_core::sync::LINE_DIGEST_HEX_DIGITS;

/// A new digest of a definition, which the test should accept in addition to the old digest or instead of the
/// old digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DigestUpdate<'a> {
    /// The definition to which the digest belongs.
    pub symbol: &'a str,
    /// The digest that the row of the definition accepts.
    pub old: &'a str,
    /// The digest that the row of the definition should accept.
    pub new: &'a str,
}

/// Returns the test's text with these digests added. All other bytes are unchanged.
///
/// # Errors
/// The definition and the reason, if a row is ambiguous, or if a row's digest is not an item of a set or
/// list.
pub(crate) fn add_digests(text: &str, updates: &[DigestUpdate<'_>]) -> Result<String, (String, String)> {
    let mut inserts: BTreeMap<usize, String> = BTreeMap::new();
    for (first, places) in find_digest_places(text, updates)? {
        let refused = |reason: &str| (first.symbol.to_owned(), reason.to_owned());
        let old = first.old;
        for at in places {
            let (end, insert) = insertion_point(text, at, old, first.new).ok_or_else(|| {
                refused(
                    "the digest that the test accepts for this definition is not an item of a set or a \
                    list",
                )
            })?;
            inserts.insert(end, insert);
        }
    }
    let (mut changed, mut from) = (String::new(), 0);
    for (at, insert) in inserts {
        changed.push_str(text.get(from..at).unwrap_or_default());
        changed.push_str(&insert);
        from = at;
    }
    changed.push_str(text.get(from..).unwrap_or_default());
    Ok(changed)
}

/// Returns the test's text with these digests in place of the old digests. All other bytes are unchanged.
///
/// # Errors
/// The definition and the reason, if a row is ambiguous, or if a row's digest is not an item of a set or
/// list.
pub(crate) fn replace_digests(text: &str, updates: &[DigestUpdate<'_>]) -> Result<String, (String, String)> {
    let mut all: BTreeMap<usize, &DigestUpdate<'_>> = BTreeMap::new();
    for (first, places) in find_digest_places(text, updates)? {
        for at in places {
            if insertion_point(text, at, first.old, first.new).is_none() {
                let reason = "the digest that the test accepts for this definition is not an item of a set \
                    or a list";
                return Err((first.symbol.to_owned(), reason.to_owned()));
            }
            all.insert(at, first);
        }
    }
    let (mut changed, mut from) = (String::new(), 0);
    for (at, one) in all {
        changed.push_str(text.get(from..at).unwrap_or_default());
        changed.push_str(one.new);
        from = at + one.old.len();
    }
    changed.push_str(text.get(from..).unwrap_or_default());
    Ok(changed)
}

/// For each old digest, an update that replaces this digest, and the positions of the digest in the text.
type DigestPlaces<'a> = Vec<(&'a DigestUpdate<'a>, Vec<usize>)>;

/// Finds the positions of the old digests in the text.
fn find_digest_places<'a>(
    text: &str,
    updates: &'a [DigestUpdate<'a>],
) -> Result<DigestPlaces<'a>, (String, String)> {
    let mut by_old: BTreeMap<&str, Vec<&DigestUpdate<'_>>> = BTreeMap::new();
    for one in updates {
        by_old.entry(one.old).or_default().push(one);
    }
    let mut found = Vec::new();
    for (old, rows) in by_old {
        let Some(first) = rows.first() else { continue };
        let places: Vec<usize> = text.match_indices(old).map(|(at, _)| at).collect();
        // This function cannot distinguish rows that share an old digest, so all these rows must get the same
        // new digest.
        if places.len() != rows.len() || rows.iter().any(|row| row.new != first.new) {
            let reason = "the number of places with the old digest differs from the number of rows to change";
            return Err((first.symbol.to_owned(), reason.to_owned()));
        }
        found.push((*first, places));
    }
    Ok(found)
}

/// Returns the position at which to insert the new digest, and the text to insert; none if `old` is not an
/// item of a set or list.
fn insertion_point(text: &str, offset: usize, old: &str, new: &str) -> Option<(usize, String)> {
    let before = text.get(..offset)?;
    let quote = before.chars().next_back().filter(|quote| matches!(quote, '\'' | '"'))?;
    let before = before.get(..before.len() - 1)?;
    let end = offset + old.len() + 1;
    let after = text.get(offset + old.len()..)?.strip_prefix(quote)?;
    if !is_set_item(before) {
        return None;
    }
    let line = before.rsplit('\n').next()?;
    if !line.trim().is_empty() {
        return Some((end, format!(", {quote}{new}{quote}")));
    }
    // If the item is on its own line, the new item also gets its own line.
    let comma = after.starts_with(',');
    let insert = format!("\n{line}{quote}{new}{quote}");
    Some(if comma { (end + 1, format!("{insert},")) } else { (end, format!(",{insert}")) })
}

/// Returns true if `before` ends inside a set or list, so the text after `before` is an item. Between the
/// opening bracket and the item, only digests and comments may occur.
fn is_set_item(before: &str) -> bool {
    for line in before.rsplit('\n') {
        let mut code = line.split('#').next().unwrap_or(line);
        loop {
            code = code.trim_end_matches([',', ' ', '\t', '\r']);
            match strip_trailing_digest(code) {
                Some(rest) => code = rest,
                None => break,
            }
        }
        if let Some(last) = code.chars().next_back() {
            return matches!(last, '{' | '[');
        }
    }
    false
}

/// Removes a digest literal from the end of the text. Returns none if the text does not end with a digest
/// literal.
fn strip_trailing_digest(code: &str) -> Option<&str> {
    let quote = code.chars().next_back().filter(|quote| matches!(quote, '\'' | '"'))?;
    let inner = code.strip_suffix(quote)?;
    let (rest, digest) = inner.split_at_checked(inner.len().checked_sub(LINE_DIGEST_HEX_DIGITS)?)?;
    let is_digest = digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    rest.strip_suffix(quote).filter(|_| is_digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests() -> [String; 3] {
        ["a", "b", "c"].map(|digit| digit.repeat(40))
    }

    fn fill_digests(text: &str) -> String {
        let [a, b, c] = digests();
        text.replace("AAA", &a).replace("BBB", &b).replace("NEW", &c)
    }

    fn edit_digests(before: &str, olds: &[usize]) -> Result<String, (String, String)> {
        let all = digests();
        let added: Vec<_> =
            olds.iter().map(|old| DigestUpdate { symbol: "m:f", old: &all[*old], new: &all[2] }).collect();
        add_digests(&fill_digests(before), &added)
    }

    #[test]
    fn a_digest_stands_beside_the_one_that_was_accepted() {
        for (before, after) in [
            (
                "D = {\n    f: {'AAA'},\n    g: {'BBB'},\n}\n",
                "D = {\n    f: {'AAA', 'NEW'},\n    g: {'BBB'},\n}\n",
            ),
            ("f:\n    {'BBB',\n     'AAA'},\n", "f:\n    {'BBB',\n     'AAA',\n     'NEW'},\n"),
            (
                "(\n    f,\n    {\n        # why\n        'AAA',\n    },\n),\n",
                "(\n    f,\n    {\n        # why\n        'AAA',\n        'NEW',\n    },\n),\n",
            ),
            (
                "pytest.param(f, [\"BBB\", \"AAA\"], id='f')",
                "pytest.param(f, [\"BBB\", \"AAA\", \"NEW\"], id='f')",
            ),
        ] {
            assert_eq!(edit_digests(before, &[0]).unwrap(), fill_digests(after), "{before}");
        }
        let twice = edit_digests("[(f, {'AAA'}), (g, {'AAA'})]", &[0, 0]).unwrap();
        assert_eq!(twice, fill_digests("[(f, {'AAA', 'NEW'}), (g, {'AAA', 'NEW'})]"));
    }

    #[test]
    fn a_digest_stands_in_the_place_of_the_one_before() {
        let [a, _, c] = digests();
        let one = [DigestUpdate { symbol: "m:f", old: &a, new: &c }];
        let replaced = |text: &str| replace_digests(&fill_digests(text), &one);
        assert_eq!(replaced("[(f, {'BBB', 'AAA'})]").unwrap(), fill_digests("[(f, {'BBB', 'NEW'})]"));
        for wrong in ["D = {f: 'AAA'}", "# AAA", "{f: {'AAA'}, g: {'AAA'}}"] {
            assert_eq!(replaced(wrong).unwrap_err().0, "m:f", "{wrong}");
        }
    }

    #[test]
    fn where_it_cannot_be_told_nothing_is_changed() {
        for (before, olds, told) in [
            ("D = {f: {'BBB'}}", &[0][..], "differs from the number of rows to change"),
            ("D = {f: {'AAA'}, g: {'AAA'}}", &[0], "differs from the number of rows to change"),
            ("D = {f: 'AAA'}", &[0], "not an item of a set"),
            ("D = [(f, 'AAA')]", &[0], "not an item of a set"),
            ("D = [[f, 'AAA']]", &[0], "not an item of a set"),
            ("# AAA\n", &[0], "not an item of a set"),
        ] {
            let (symbol, reason) = edit_digests(before, olds).unwrap_err();
            assert!(symbol == "m:f" && reason.contains(told), "{before}: {reason}");
        }
    }
}

//! Rules about the size of new files.

/// Size limits of a rule.
#[derive(Debug)]
pub(crate) struct SizeCheck {
    pub(crate) max_bytes: Option<u64>,
    pub(crate) max_lines: Option<u32>,
}

impl SizeCheck {
    /// Returns true if a file is over a limit. `line_count` is `None` if the file is too large to be read.
    pub(crate) fn is_exceeded(&self, bytes: u64, line_count: Option<u32>) -> bool {
        self.max_bytes.is_some_and(|most| bytes > most)
            || self.max_lines.zip(line_count).is_some_and(|(most, lines)| lines > most)
    }
}

/// Returns true if the added lines show that the file is new. This is the case if all lines of the file were
/// added. If the number of the file's lines is unknown, the file counts as new if the added lines begin at
/// line 1.
pub(crate) fn is_new_file(added_lines: &[(u32, u32)], line_count: Option<u32>) -> bool {
    match added_lines {
        [(1, last)] => line_count.is_none_or(|lines| *last >= lines),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_inclusive() {
        let check = SizeCheck { max_bytes: Some(10), max_lines: Some(2) };
        assert!(!check.is_exceeded(10, Some(2)));
        assert!(check.is_exceeded(11, Some(1)));
        assert!(check.is_exceeded(1, Some(3)));
        assert!(!check.is_exceeded(10, None));
    }

    #[test]
    fn a_file_is_new_if_all_its_lines_are() {
        assert!(is_new_file(&[(1, 5)], Some(5)));
        assert!(is_new_file(&[(1, 5)], None));
        for (added, lines) in
            [(&[(2, 5)][..], Some(5)), (&[(1, 4)], Some(5)), (&[(1, 2), (4, 5)], Some(5)), (&[], Some(0))]
        {
            assert!(!is_new_file(added, lines), "{added:?}");
        }
    }
}

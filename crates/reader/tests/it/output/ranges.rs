//! Tests of ranges in the bytes of a file, and of fixes as edits.

use proptest::prelude::*;
use truing_diff::RepoPath;
use truing_reader::output::{
    ByteEdit, ColumnUnit, DiagnosticRange, FileText, RangeError, ToolEdit, ToolFix, ToolFixError, resolve_fix,
};

const UNITS: [ColumnUnit; 3] = [ColumnUnit::Byte, ColumnUnit::Utf16, ColumnUnit::CodePoint];

fn exact(start: (u32, u32), end: (u32, u32), unit: ColumnUnit) -> DiagnosticRange {
    DiagnosticRange::from_exact_positions(start, end, unit).unwrap()
}

fn range_text<'a>(text: &'a str, range: &DiagnosticRange) -> Result<&'a str, RangeError> {
    FileText::new(text.as_bytes()).byte_range(range).map(|found| &text[found])
}

#[test]
fn whatever_a_tool_prints_is_a_range() {
    let unit = ColumnUnit::Byte;
    for (range, first) in [
        (DiagnosticRange::from_lines(0, 7), None),
        (DiagnosticRange::from_lines(3, 0), Some(3)),
        (DiagnosticRange::from_lines(3, 2), Some(3)),
        (DiagnosticRange::from_position(0, 4, unit), None),
        (DiagnosticRange::from_position(4, 0, unit), Some(4)),
        (DiagnosticRange::from_positions((2, 5), (2, 3), unit), Some(2)),
        (DiagnosticRange::from_positions((2, 5), (0, 0), unit), Some(2)),
    ] {
        assert_eq!(range.first_line(), first, "{range:?}");
    }
    assert_eq!(DiagnosticRange::from_lines(3, 2), DiagnosticRange::from_lines(3, 3));
    assert_eq!(DiagnosticRange::from_position(4, 0, unit), DiagnosticRange::from_lines(4, 4));
    assert_eq!(
        DiagnosticRange::from_positions((2, 5), (2, 3), unit),
        DiagnosticRange::from_position(2, 5, unit)
    );
    for (start, end) in
        [((0, 1), (1, 1)), ((1, 0), (1, 2)), ((1, 2), (1, 0)), ((1, 2), (1, 1)), ((2, 1), (1, 9))]
    {
        assert_eq!(DiagnosticRange::from_exact_positions(start, end, unit), None, "{start:?} {end:?}");
    }
    assert_eq!(DiagnosticRange::from_offsets(3, 2, unit), None);
}

#[test]
fn columns_count_in_their_unit() {
    let text = "a\ré😀z\n\n";
    for (unit, start, end) in
        [(ColumnUnit::Byte, 5, 9), (ColumnUnit::Utf16, 4, 6), (ColumnUnit::CodePoint, 4, 5)]
    {
        assert_eq!(range_text(text, &exact((1, start), (1, end), unit)), Ok("😀"), "{unit:?}");
        assert_eq!(
            range_text(text, &exact((1, 1), (1, 3), unit)),
            Ok("a\r"),
            "a lone CR is no line end: {unit:?}"
        );
    }
    let within = exact((1, 5), (1, 6), ColumnUnit::Utf16);
    assert_eq!(range_text(text, &within), Err(RangeError::InvalidColumn { line: 1, column: 5 }));
}

#[test]
fn lines_end_with_lf_or_crlf_and_a_column_may_be_behind_the_line_break() {
    let text = "ab\r\ncd\n";
    for unit in UNITS {
        assert_eq!(range_text(text, &DiagnosticRange::from_lines(1, 2)), Ok("ab\r\ncd"));
        assert_eq!(range_text(text, &exact((1, 2), (1, 3), unit)), Ok("b"));
        assert_eq!(range_text(text, &exact((1, 3), (2, 1), unit)), Ok("\r\n"));
        assert_eq!(range_text(text, &exact((1, 3), (1, 5), unit)), Ok("\r\n"));
        assert_eq!(range_text(text, &exact((2, 4), (3, 1), unit)), Ok(""));
        for (line, column) in [(1, 4), (1, 6), (2, 5)] {
            let range = exact((line, column), (line, column), unit);
            assert_eq!(range_text(text, &range), Err(RangeError::InvalidColumn { line, column }), "{unit:?}");
        }
        let beyond = exact((4, 1), (4, 1), unit);
        assert_eq!(range_text(text, &beyond), Err(RangeError::LineOutOfRange { line: 4, line_count: 2 }));
        assert_eq!(
            range_text("ab", &exact((2, 1), (2, 1), unit)),
            Err(RangeError::LineOutOfRange { line: 2, line_count: 1 })
        );
        assert_eq!(range_text("", &exact((1, 1), (1, 1), unit)), Ok(""));
    }
}

#[test]
fn a_byte_order_mark_counts_in_offsets_of_bytes_alone() {
    let text = "\u{feff}ab\n";
    for unit in UNITS {
        assert_eq!(range_text(text, &exact((1, 1), (1, 2), unit)), Ok("a"), "{unit:?}");
    }
    assert_eq!(range_text(text, &DiagnosticRange::from_lines(1, 1)), Ok("ab"));
    assert_eq!(range_text(text, &DiagnosticRange::from_offsets(3, 4, ColumnUnit::Byte).unwrap()), Ok("a"));
    assert_eq!(range_text(text, &DiagnosticRange::from_offsets(0, 1, ColumnUnit::Utf16).unwrap()), Ok("a"));
    assert_eq!(
        range_text(text, &DiagnosticRange::from_offsets(0, 1, ColumnUnit::CodePoint).unwrap()),
        Ok("a")
    );
    assert_eq!(
        range_text(text, &DiagnosticRange::from_offsets(0, 4, ColumnUnit::CodePoint).unwrap()),
        Err(RangeError::InvalidOffset(4))
    );
}

#[test]
fn the_lines_of_a_diagnostic_are_found_whatever_its_columns() {
    let file = FileText::new(b"a\nb\nc\n");
    let unit = ColumnUnit::Byte;
    for (range, lines) in [
        (DiagnosticRange::WholeFile, Ok((1, 1))),
        (DiagnosticRange::from_lines(2, 3), Ok((2, 3))),
        (DiagnosticRange::from_lines(2, 99), Ok((2, 3))),
        (DiagnosticRange::from_position(2, 99, unit), Ok((2, 2))),
        (DiagnosticRange::from_positions((1, 1), (3, 1), unit), Ok((1, 2))),
        (DiagnosticRange::from_positions((3, 1), (3, 1), unit), Ok((3, 3))),
        (DiagnosticRange::from_position(4, 1, unit), Ok((3, 3))),
        (
            DiagnosticRange::from_position(5, 1, unit),
            Err(RangeError::LineOutOfRange { line: 5, line_count: 3 }),
        ),
        (DiagnosticRange::from_offsets(2, 4, unit).unwrap(), Ok((2, 2))),
        (DiagnosticRange::from_offsets(2, 5, unit).unwrap(), Ok((2, 3))),
        (DiagnosticRange::from_offsets(6, 6, unit).unwrap(), Ok((3, 3))),
        (DiagnosticRange::from_offsets(6, 7, unit).unwrap(), Err(RangeError::InvalidOffset(7))),
    ] {
        assert_eq!(file.range_lines(&range), lines, "{range:?}");
    }
    let empty = FileText::new(b"");
    assert_eq!((empty.range_lines(&DiagnosticRange::from_lines(1, 1)), empty.line_count()), (Ok((1, 1)), 0));
    assert_eq!(
        empty.range_lines(&DiagnosticRange::from_lines(3, 3)),
        Err(RangeError::LineOutOfRange { line: 3, line_count: 0 })
    );
}

#[test]
fn characters_of_a_file_that_is_not_utf_8_cannot_be_counted() {
    let file = FileText::new(b"caf\xe9 = 1\nb\n");
    assert_eq!(file.range_lines(&DiagnosticRange::from_position(2, 1, ColumnUnit::Utf16)), Ok((2, 2)));
    assert_eq!(file.byte_range(&exact((1, 6), (1, 7), ColumnUnit::Byte)), Ok(5..6));
    assert_eq!(file.byte_range(&exact((1, 6), (1, 7), ColumnUnit::CodePoint)), Err(RangeError::NotUtf8));
    assert_eq!(file.byte_range(&DiagnosticRange::WholeFile), Err(RangeError::WholeFile));
}

#[test]
fn far_columns_of_a_long_line_are_found_as_fast_as_near_ones() {
    let text = format!("{}x\n", "é😀".repeat(700_000));
    let file = FileText::new(text.as_bytes());
    for near in (0..20_000_u32).rev() {
        let column = 2_100_001 - 3 * near;
        let found = file.byte_range(&exact((1, column), (1, column), ColumnUnit::Utf16)).unwrap();
        assert_eq!(found.start, text.len() - 2 - 6 * near as usize);
    }
}

fn fix(edits: &[(DiagnosticRange, &str)]) -> ToolFix {
    let edit = |(range, text): &(DiagnosticRange, &str)| ToolEdit {
        path: "a".into(),
        range: *range,
        new_text: (*text).to_owned(),
    };
    ToolFix { message: None, edits: edits.iter().map(edit).collect() }
}

fn resolve_edits(text: &str, edits: &[(DiagnosticRange, &str)]) -> Result<Vec<ByteEdit>, ToolFixError> {
    resolve_fix(&fix(edits), &"a".into(), &FileText::new(text.as_bytes()))
}

fn offset_range(start: u64, end: u64) -> DiagnosticRange {
    DiagnosticRange::from_offsets(start, end, ColumnUnit::Byte).unwrap()
}

fn edit(range: std::ops::Range<usize>, text: &str) -> ByteEdit {
    ByteEdit { range, new_text: text.to_owned() }
}

#[test]
fn a_fix_is_edits_in_order_without_those_that_change_nothing() {
    let edits = [
        (offset_range(4, 5), "E"),
        (offset_range(2, 3), "c"),
        (offset_range(0, 1), ""),
        (offset_range(1, 1), "+"),
        (offset_range(1, 2), "B"),
    ];
    let expected = [edit(0..1, ""), edit(1..1, "+"), edit(1..2, "B"), edit(4..5, "E")];
    assert_eq!(resolve_edits("abcde\n", &edits), Ok(expected.to_vec()));
}

#[test]
fn a_fix_takes_the_line_breaks_of_its_file() {
    let new =
        |text: &str| resolve_edits(text, &[(offset_range(0, 1), "x\ny\r\nz")]).unwrap().remove(0).new_text;
    assert_eq!(new("a\r\nb\r\n"), "x\r\ny\r\nz");
    assert_eq!(new("a\nb\r\n"), "x\ny\r\nz");
    assert_eq!(new("a"), "x\ny\r\nz");
}

#[test]
fn a_fix_that_cannot_be_applied_exactly_is_refused() {
    let text = "abcde\n";
    for (edits, refused) in [
        (vec![], ToolFixError::InvalidEditCount(0)),
        (vec![(offset_range(0, 1), "x"); 201], ToolFixError::InvalidEditCount(201)),
        (vec![(offset_range(0, 2), "x"), (offset_range(1, 3), "y")], ToolFixError::Overlap),
        (vec![(offset_range(1, 1), "x"), (offset_range(1, 1), "y")], ToolFixError::Overlap),
        (vec![(offset_range(0, 3), "x"), (offset_range(1, 1), "y")], ToolFixError::Overlap),
        (vec![(offset_range(0, 1), "a"), (offset_range(2, 2), "")], ToolFixError::NoChange),
        (vec![(offset_range(0, 7), "x")], ToolFixError::UnresolvedRange(RangeError::InvalidOffset(7))),
        (
            vec![(DiagnosticRange::from_lines(9, 9), "x")],
            ToolFixError::UnresolvedRange(RangeError::LineOutOfRange { line: 9, line_count: 1 }),
        ),
        (vec![(DiagnosticRange::WholeFile, "x")], ToolFixError::UnresolvedRange(RangeError::WholeFile)),
    ] {
        assert_eq!(resolve_edits(text, &edits), Err(refused));
    }
    let mut two = fix(&[(offset_range(0, 1), "x"), (offset_range(1, 2), "y")]);
    two.edits[1].path = "b".into();
    let file = FileText::new(text.as_bytes());
    assert_eq!(resolve_fix(&two, &"a".into(), &file), Err(ToolFixError::OtherFile("b".into())));
    assert_eq!(resolve_fix(&two, &"b".into(), &file), Err(ToolFixError::OtherFile("a".into())));
    let latin = FileText::new(b"caf\xe9\n");
    let refused = resolve_fix(&fix(&[(offset_range(0, 1), "x")]), &"a".into(), &latin);
    assert_eq!(refused, Err(ToolFixError::UnresolvedRange(RangeError::NotUtf8)));
}

proptest! {
    #[test]
    fn a_range_of_any_file_is_of_its_characters_or_an_error(
        text in "[ab\r\né😀\u{feff}]{0,12}", start in (0..6_u32, 0..9_u32), end in (0..6_u32, 0..9_u32), unit in 0..3_usize,
    ) {
        let (unit, file) = (UNITS[unit], FileText::new(text.as_bytes()));
        for range in [DiagnosticRange::from_positions(start, end, unit), DiagnosticRange::from_lines(start.0, end.0)] {
            if let Ok(found) = file.byte_range(&range) {
                prop_assert!(text.get(found.clone()).is_some(), "{range:?} is {found:?} of {text:?}");
            }
            if let Ok((first, last)) = file.range_lines(&range) {
                prop_assert!((1..=last).contains(&first) && last <= file.line_count().max(1));
            }
        }
        if let Some(Ok(found)) = DiagnosticRange::from_offsets(start.0.into(), end.1.into(), unit).map(|range| file.byte_range(&range)) {
            prop_assert!(text.get(found).is_some());
        }
    }

    #[test]
    fn any_bytes_are_a_file(bytes: Vec<u8>, line in 0..5_u32, column in 0..9_u32, unit in 0..3_usize) {
        let file = FileText::new(&bytes);
        let range = DiagnosticRange::from_position(line, column, UNITS[unit]);
        if let Ok(found) = file.byte_range(&range) {
            prop_assert!(bytes.get(found).is_some());
        }
        let _ = file.range_lines(&range);
    }

    #[test]
    fn every_column_is_the_place_that_counting_finds(letters in "[a\té😀]{0,9}", at in 0..10_usize) {
        let text = format!("x\n{letters}\r\ny");
        let Some((offset, _)) = letters.char_indices().chain([(letters.len(), ' ')]).nth(at) else { return Ok(()) };
        let before = &letters[..offset];
        for (unit, count) in [
            (ColumnUnit::Byte, before.len()),
            (ColumnUnit::Utf16, before.encode_utf16().count()),
            (ColumnUnit::CodePoint, before.chars().count()),
        ] {
            let column = count as u32 + 1;
            let found = FileText::new(text.as_bytes()).byte_range(&exact((2, column), (2, column), unit));
            prop_assert_eq!(found, Ok(2 + offset..2 + offset));
        }
    }

    #[test]
    fn edits_of_a_fix_are_in_order_and_change_the_file(
        text in "[ab\né]{0,12}", places in prop::collection::vec((0..14_u64, 0..4_u64, "[ab\n]{0,3}"), 0..5),
    ) {
        let edits: Vec<(DiagnosticRange, &str)> =
            places.iter().map(|(start, length, new)| (offset_range(*start, start + length), new.as_str())).collect();
        let Ok(edits) = resolve_edits(&text, &edits) else { return Ok(()) };
        let (mut fixed, mut last) = (text.clone(), text.len());
        for edit in edits.iter().rev() {
            prop_assert!(edit.range.end <= last, "{edits:?}");
            fixed.replace_range(edit.range.clone(), &edit.new_text);
            last = edit.range.start;
        }
        prop_assert!(edits.iter().all(|edit| text[edit.range.clone()] != edit.new_text), "{edits:?}");
    }
}

#[test]
fn a_path_is_compared_by_its_bytes() {
    let fix = fix(&[(offset_range(0, 1), "x")]);
    let other: RepoPath = "A".into();
    assert!(resolve_fix(&fix, &other, &FileText::new(b"abc")).is_err());
}

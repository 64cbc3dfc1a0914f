//! Finds the lines of a Jupyter notebook's file at which the lines of its cells stand.
//!
//! A notebook is a JSON file. A tool counts the lines of a cell, and people comment on the lines of the file.
//! The source of a cell is a list of strings, which is one line of the file for each line of the cell as
//! Jupyter writes it, or a single string.
//!
//! Source: <https://nbformat.readthedocs.io/en/latest/format_description.html>

use serde::Deserialize;
use serde_json::value::RawValue;

/// The number of a cell in a notebook, from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotebookCell {
    /// The number among all cells, as Ruff counts.
    Any(u32),
    /// The number among the cells with code, as nbQA counts.
    Code(u32),
}

#[derive(Deserialize)]
struct NotebookDocument<'a> {
    #[serde(borrow)]
    cells: Vec<CellDocument<'a>>,
}

#[derive(Deserialize)]
struct CellDocument<'a> {
    #[serde(rename = "cell_type")]
    kind: String,
    #[serde(borrow)]
    source: &'a RawValue,
}

/// The lines of the file at which each line of each cell stands.
#[derive(Debug)]
pub struct NotebookLines {
    cells: Vec<CellLines>,
}

#[derive(Debug)]
struct CellLines {
    is_code: bool,
    /// For each line of the cell, the line of the file, from 1.
    lines: Vec<u32>,
}

impl NotebookLines {
    /// Reads the file of a notebook. Returns `None` if it is no notebook.
    pub fn parse(text: &str) -> Option<Self> {
        let document: NotebookDocument<'_> = serde_json::from_str(text).ok()?;
        let mut line_counter = LineCounter { text, offset: 0, line: 1 };
        let cells = document.cells.iter().map(|cell| CellLines {
            is_code: cell.kind == "code",
            lines: source_lines(cell.source, &mut line_counter),
        });
        Some(Self { cells: cells.collect() })
    }

    /// Returns the line of the file, from 1, at which a line of a cell stands. Returns `None` if the notebook
    /// has no such line.
    pub fn file_line(&self, cell: NotebookCell, row: u32) -> Option<u32> {
        let nth = |number: u32| usize::try_from(number.checked_sub(1)?).ok();
        let found = match cell {
            NotebookCell::Any(number) => self.cells.get(nth(number)?),
            NotebookCell::Code(number) => self.cells.iter().filter(|cell| cell.is_code).nth(nth(number)?),
        };
        found?.lines.get(nth(row)?).copied()
    }
}

/// Returns for each line of a cell's source the line of the file.
fn source_lines(source: &RawValue, line_counter: &mut LineCounter<'_>) -> Vec<u32> {
    let parts = match serde_json::from_str::<Vec<&RawValue>>(source.get()) {
        Ok(parts) => parts,
        Err(_) => vec![source],
    };
    let mut lines: Vec<u32> = Vec::new();
    let mut is_line_begun = false;
    for part in parts {
        let Ok(text) = serde_json::from_str::<String>(part.get()) else { return Vec::new() };
        let file_line = line_counter.line_of(part.get());
        for line in text.split_inclusive('\n') {
            if !is_line_begun {
                lines.push(file_line);
            }
            is_line_begun = !line.ends_with('\n');
        }
    }
    lines
}

/// Counts the lines up to parts of a text. The parts are in the order of the text.
struct LineCounter<'a> {
    text: &'a str,
    offset: usize,
    line: u32,
}

impl LineCounter<'_> {
    /// Returns the line, from 1, at which a part of the text begins.
    fn line_of(&mut self, part: &str) -> u32 {
        let offset = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let between = self.text.as_bytes().get(self.offset..offset).unwrap_or_default();
        let line_feeds = memchr::memchr_iter(b'\n', between).count();
        self.line = self.line.saturating_add(u32::try_from(line_feeds).unwrap_or(u32::MAX));
        self.offset = self.offset.max(offset);
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_cells_stand_at_lines_of_the_file() {
        let text = "{\n \"cells\": [\n  {\"cell_type\": \"markdown\", \"source\": [\n   \"# a\\n\",\n   \"b\"]},\n  \
            {\"cell_type\": \"code\", \"source\": \"import os\\nx = 1\"},\n  {\"source\": [\n   \"y\\n\",\n   \
            \"z\"], \"cell_type\": \"code\", \"outputs\": [{}]}\n ], \"nbformat\": 4\n}\n";
        let lines = NotebookLines::parse(text).unwrap();
        let any = |cell, row| lines.file_line(NotebookCell::Any(cell), row);
        let code = |cell, row| lines.file_line(NotebookCell::Code(cell), row);
        assert_eq!([any(1, 1), any(1, 2), any(2, 1), any(2, 2), any(3, 2)], [4, 5, 6, 6, 9].map(Some));
        assert_eq!([code(1, 1), code(2, 1), code(2, 2)], [6, 8, 9].map(Some));
        assert_eq!([any(0, 1), any(4, 1), any(1, 0), any(1, 3), code(3, 1)], [None; 5]);
        assert!(NotebookLines::parse("[]").is_none() && NotebookLines::parse("{").is_none());
    }
}

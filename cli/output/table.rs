//! Tables without borders: two blanks between columns, numbers to the right.
use comfy_table::{CellAlignment, ContentArrangement, Table as Comfy};

use super::{Color, Output};

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    color: Option<Color>,
}

impl Cell {
    /// The same cell in a colour.
    pub fn color(mut self, color: Color) -> Cell {
        self.color = Some(color);
        self
    }
}

impl<T: ToString> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell { text: text.to_string(), color: None }
    }
}

/// A table under construction.
#[derive(Debug)]
pub struct Table {
    inner: Comfy,
    colors: bool,
}

impl Table {
    /// A table with these columns. A heading that begins with `>` makes its column stand to the right.
    pub fn new(output: &Output, columns: &[&str]) -> Table {
        let mut inner = Comfy::new();
        inner.load_style(comfy_table::presets::NOTHING);
        inner.set_content_arrangement(ContentArrangement::Disabled);
        if output.colors {
            inner.enforce_styling();
        } else {
            inner.force_no_tty();
        }
        let mut table = Table { inner, colors: output.colors };
        let headings: Vec<Cell> =
            columns.iter().map(|name| Cell::from(name.trim_start_matches('>')).color(Color::Bold)).collect();
        let headings: Vec<_> = headings.into_iter().map(|cell| table.cell(cell)).collect();
        table.inner.set_header(headings);
        for (index, name) in columns.iter().enumerate() {
            if let Some(column) = table.inner.column_mut(index) {
                column.set_padding((0, 2));
                if name.starts_with('>') {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        table
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        let cells: Vec<_> = cells.into_iter().map(|cell| self.cell(cell)).collect();
        self.inner.add_row(cells);
    }

    fn cell(&self, cell: Cell) -> comfy_table::Cell {
        let styled = comfy_table::Cell::new(cell.text);
        match cell.color.filter(|_| self.colors) {
            Some(Color::Green) => styled.fg(comfy_table::Color::DarkGreen),
            Some(Color::Red) => styled.fg(comfy_table::Color::DarkRed),
            Some(Color::Yellow) => styled.fg(comfy_table::Color::DarkYellow),
            Some(Color::Bold) => styled.add_attribute(comfy_table::Attribute::Bold),
            None => styled,
        }
    }

    /// The finished text. Lines have no blanks at their ends.
    pub fn text(&self) -> String {
        self.inner.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    #[test]
    fn columns_are_aligned_and_lines_end_without_blanks() {
        let output = Output { format: Format::Table, colors: false, terminal: false };
        let mut table = Table::new(&output, &["Name", ">Packets", "Note"]);
        table.row(["lan".into(), 7.into(), "".into()]);
        table.row([Cell::from("loopback0").color(Color::Red), 1234567.into(), "x".into()]);
        assert_eq!(table.text(), "Name       Packets  Note\nlan              7\nloopback0  1234567  x\n");
    }

    #[test]
    fn colours_appear_only_when_they_are_wanted() {
        let output = Output { format: Format::Table, colors: true, terminal: true };
        let mut table = Table::new(&output, &["Name"]);
        table.row([Cell::from("up").color(Color::Green)]);
        assert!(table.text().contains("\x1b["), "{:?}", table.text());
    }
}

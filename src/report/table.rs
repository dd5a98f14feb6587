//! A small table: columns as wide as their widest cell, two blanks between them. On a narrow screen the columns that
//! matter least are left out first, and only then the first one is shortened.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::line::{Line, Tone};

const GAP: usize = 2;
/// The first column is never cut shorter than this.
const FIRST_MINIMUM: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

#[derive(Clone, Debug)]
struct Column {
    title: &'static str,
    align: Align,
    /// Columns of rank 0 stay; the highest rank goes first.
    rank: u8,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<(Tone, String)>>,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a column; one of a higher `rank` is left out sooner when the screen is narrow, one of rank 0 never.
    pub(crate) fn column(mut self, title: &'static str, align: Align, rank: u8) -> Self {
        self.columns.push(Column { title, align, rank });
        self
    }

    /// Adds a row with a cell for each column; one that is missing is empty.
    pub(crate) fn row(&mut self, cells: Vec<(Tone, String)>) {
        self.rows.push(cells);
    }

    /// The lines of the table, within `width` where it is known. `clean` is applied to every cell before it is measured.
    pub(super) fn lay_out(&self, width: Option<usize>, clean: impl Fn(&str) -> String) -> Vec<Line> {
        let rows: Vec<Vec<(Tone, String)>> =
            self.rows.iter().map(|row| row.iter().map(|(tone, cell)| (*tone, clean(cell))).collect()).collect();
        let natural: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| {
                rows.iter()
                    .filter_map(|row| row.get(at))
                    .map(|(_, cell)| cell.width())
                    .fold(column.title.width(), usize::max)
            })
            .collect();
        let shown = self.shown(&natural, width);
        let widths = shrink_first(&shown, natural, width);

        let heading: Vec<(Tone, String)> =
            self.columns.iter().map(|column| (Tone::Dim, column.title.to_owned())).collect();
        std::iter::once(&heading).chain(&rows).map(|row| self.lay_out_row(row, &shown, &widths)).collect()
    }

    /// The columns that fit, as indexes.
    fn shown(&self, natural: &[usize], width: Option<usize>) -> Vec<usize> {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let Some(width) = width else { return shown };
        while total(&shown, natural) > width {
            let Some(least) =
                shown.iter().copied().filter(|at| self.columns[*at].rank > 0).max_by_key(|at| self.columns[*at].rank)
            else {
                break;
            };
            shown.retain(|at| *at != least);
        }
        shown
    }

    fn lay_out_row(&self, row: &[(Tone, String)], shown: &[usize], widths: &[usize]) -> Line {
        let empty = (Tone::Plain, String::new());
        let mut line = Line::new();
        for (position, at) in shown.iter().enumerate() {
            let (tone, cell) = row.get(*at).unwrap_or(&empty);
            let cell = shorten(cell, widths[*at]);
            let padding = " ".repeat(widths[*at] - cell.width());
            let last = position + 1 == shown.len();
            line = match self.columns[*at].align {
                Align::Right => line.plain(padding).toned(*tone, cell),
                Align::Left if last => line.toned(*tone, cell),
                Align::Left => line.toned(*tone, cell).plain(padding),
            };
            if !last {
                line = line.plain(" ".repeat(GAP));
            }
        }
        line
    }
}

fn total(shown: &[usize], widths: &[usize]) -> usize {
    shown.iter().map(|at| widths[*at]).sum::<usize>() + GAP * shown.len().saturating_sub(1)
}

fn shrink_first(shown: &[usize], mut widths: Vec<usize>, width: Option<usize>) -> Vec<usize> {
    if let (Some(width), Some(first)) = (width, shown.first()) {
        let over = total(shown, &widths).saturating_sub(width);
        let least = FIRST_MINIMUM.min(widths[*first]);
        widths[*first] = widths[*first].saturating_sub(over).max(least);
    }
    widths
}

/// The text in at most `width` columns, with an ellipsis in place of what was cut.
pub(super) fn shorten(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut used = 1;
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used > width {
            break;
        }
        short.push(character);
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new()
            .column("SERVICE", Align::Left, 0)
            .column("VERDICT", Align::Left, 0)
            .column("DIGEST", Align::Left, 2)
            .column("TIME", Align::Right, 1);
        for row in [
            ["api", "deployed", "sha256:0123456789ab", "12.3 s"],
            ["storefront-background-worker", "rollout-failed", "sha256:ba9876543210", "1 min 05 s"],
        ] {
            table.row(row.iter().map(|cell| (Tone::Plain, (*cell).to_owned())).collect());
        }
        table
    }

    fn text(table: &Table, width: Option<usize>) -> Vec<String> {
        table.lay_out(width, str::to_owned).iter().map(|line| line.styled(false)).collect()
    }

    #[test]
    fn everything_is_shown_where_there_is_room() {
        assert_eq!(
            text(&table(), None),
            [
                "SERVICE                       VERDICT         DIGEST                     TIME",
                "api                           deployed        sha256:0123456789ab      12.3 s",
                "storefront-background-worker  rollout-failed  sha256:ba9876543210  1 min 05 s",
            ]
        );
    }

    #[test]
    fn a_narrow_screen_loses_the_least_important_column_first() {
        assert_eq!(text(&table(), Some(60))[2], "storefront-background-worker  rollout-failed  1 min 05 s");
        assert_eq!(text(&table(), Some(45))[2], "storefront-background-worker  rollout-failed");
        assert_eq!(text(&table(), Some(30))[2], "storefront-ba…  rollout-failed");
        assert!(text(&table(), Some(10))[1].starts_with("api "), "an absurd width still prints");
    }

    #[test]
    fn wide_characters_count_as_two_columns() {
        assert_eq!(shorten("数字数字", 5), "数字…");
        assert_eq!(shorten("abc", 3), "abc");
    }
}

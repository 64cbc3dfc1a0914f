//! Computes the best one-to-one assignment between rows and columns with the Hungarian method.

/// Maximum number of cells of a matrix that callers may pass to `assign`. The time to solve a matrix grows
/// with the number of cells times the length of the smaller side.
pub(super) const MAX_MATRIX_CELLS: usize = 40_000;

/// Returns the column matched with each row, such that the sum of the weights is the greatest. A weight of 0
/// or less excludes a pair. A row or a column without a partner remains unmatched.
///
/// The result depends only on the matrix. If several assignments have the greatest sum, the order of rows and
/// columns determines the result. Callers therefore sort rows and columns and use distinct weights.
pub(super) fn max_weight_assignment(weights: &[Vec<i64>]) -> Vec<Option<usize>> {
    let rows = weights.len();
    let width = weights.first().map_or(0, Vec::len);
    // Each row has an extra column without cost; a row that is assigned to an extra column is unmatched.
    let columns = width + rows;
    let cost = |row: usize, column: usize| -> i64 {
        let weight = weights.get(row).and_then(|row| row.get(column)).copied().unwrap_or(0);
        -weight.max(0)
    };
    // Rows and columns are counted from 1. Index 0 means no row or no column; each search starts at column 0.
    let mut row_potential = vec![0_i64; rows + 1];
    let mut column_potential = vec![0_i64; columns + 1];
    let mut row_of = vec![0_usize; columns + 1];
    for row in 1..=rows {
        let mut reached = vec![false; columns + 1];
        let mut slack = vec![i64::MAX; columns + 1];
        let mut from = vec![0_usize; columns + 1];
        let mut column = 0;
        row_of[0] = row;
        loop {
            reached[column] = true;
            let at = row_of[column];
            let (mut step, mut next) = (i64::MAX, 0);
            for other in 1..=columns {
                if reached[other] {
                    continue;
                }
                let reduced = cost(at - 1, other - 1) - row_potential[at] - column_potential[other];
                if reduced < slack[other] {
                    (slack[other], from[other]) = (reduced, column);
                }
                if slack[other] < step {
                    (step, next) = (slack[other], other);
                }
            }
            for other in 0..=columns {
                if reached[other] {
                    row_potential[row_of[other]] += step;
                    column_potential[other] -= step;
                } else if other > 0 {
                    slack[other] -= step;
                }
            }
            column = next;
            if row_of[column] == 0 {
                break;
            }
        }
        while column != 0 {
            row_of[column] = row_of[from[column]];
            column = from[column];
        }
    }
    let mut matched = vec![None; rows];
    for (column, row) in row_of.iter().enumerate().skip(1).take(width) {
        if *row > 0 && cost(row - 1, column - 1) < 0 {
            matched[row - 1] = Some(column - 1);
        }
    }
    matched
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn total(weights: &[Vec<i64>], matched: &[Option<usize>]) -> i64 {
        weights.iter().zip(matched).filter_map(|(row, column)| Some(row[(*column)?])).sum()
    }

    /// Returns the greatest sum of weights, found by exhaustive search.
    fn greatest(weights: &[Vec<i64>], used: &mut Vec<bool>) -> i64 {
        let Some((row, rest)) = weights.split_first() else { return 0 };
        let mut best = greatest(rest, used);
        for (column, weight) in row.iter().enumerate() {
            if *weight > 0 && !used[column] {
                used[column] = true;
                best = best.max(weight + greatest(rest, used));
                used[column] = false;
            }
        }
        best
    }

    proptest! {
        #[test]
        fn no_other_assignment_is_better(
            width in 0_usize..5,
            cells in proptest::collection::vec(-3_i64..9, 25),
            rows in 0_usize..5,
        ) {
            let weights: Vec<Vec<i64>> =
                (0..rows).map(|row| cells[row * 5..row * 5 + width].to_vec()).collect();
            let matched = max_weight_assignment(&weights);
            prop_assert_eq!(total(&weights, &matched), greatest(&weights, &mut vec![false; width]));
            let mut columns: Vec<usize> = matched.iter().copied().flatten().collect();
            columns.sort_unstable();
            prop_assert!(columns.windows(2).all(|pair| pair[0] != pair[1]));
            prop_assert!(matched.iter().zip(&weights).all(|(column,
                row)| column.is_none_or(|at| row[at] > 0)));
        }
    }
}

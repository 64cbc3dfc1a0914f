//! Reports on ended runs, in one section for each loop. The report's formats are JSON figures, outcome
//! records, Markdown, CSV and one HTML page. The command line reads the store, and chooses one of the
//! formats.

pub mod amount;
pub mod figures;
pub mod findings;
pub mod loops;
pub mod markdown;
pub mod outcome;
pub mod page;
mod reason_normalization;
pub mod reviews;
pub mod run;
pub mod section;
pub mod table;

#[cfg(test)]
mod tests;

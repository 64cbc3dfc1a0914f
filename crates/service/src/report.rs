//! Reports on ended runs: sections by loop from the records of all loops, as figures, outcome records,
//! Markdown, CSV or one page of HTML. The command line reads the store and chooses the format.

mod alike;
pub mod amount;
pub mod figures;
pub mod findings;
pub mod loops;
pub mod markdown;
pub mod outcome;
pub mod page;
pub mod reviews;
pub mod run;
pub mod section;
pub mod table;

#[cfg(test)]
mod tests;

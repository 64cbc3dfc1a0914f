//! Reports on ended runs, in one section for each loop. The formats are figures, outcome records, Markdown,
//! CSV and one page of HTML. The command line reads the store and chooses the format.

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

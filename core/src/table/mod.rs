//! Tables as in the papers: recipes trained on the same number of pictures, and what their models reach by the protocol of
//! [`eval`](crate::eval).
//!
//! [`Table`] is read from a file; [`make`] trains and measures its rows, goes on where it was stopped, and sums up in a
//! [`Results`].

mod fields;
mod file;
mod make;
mod results;

#[cfg(test)]
mod tests;

pub use file::{Row, Table, TableMeasures};
pub use make::{Files, Observer, Sets, Silent, make};
pub use results::{Results, RowResult, RowState};

//! Tests of the reader of trees and of releases, with real and with hostile content. They are one program,
//! which is linked once.

mod items;
mod namesakes;
mod output;
mod outside;
mod planted;
mod reader;
mod sources;
mod support;
mod syntax;
mod trees;
mod wheels;

//! Tests of the readers of trees and of releases, with real and with hostile content. All modules are one
//! test program, so the linker runs only once.

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

//! The reader of trees and of releases, on what is real and on what is hostile: one program, so that it is linked once.

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

//! Tests of the sandbox, of a fixer's tools, of MCP servers with network access, and of setups and checks.
//! All tests use real processes. They are in one program, which saves the time to link several programs.
//!
//! This program has its own `main`, because a program that uses the sandbox starts itself as the sandbox's
//! helper. Without libtest's `main`, the tests must be listed in tables.

mod fixer;
mod sandbox;
mod servers;
mod support;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use libtest_mimic::Arguments;
use truing_agent::sandbox::run_if_helper;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = run_if_helper(&arguments) {
        return code;
    }
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    match words.as_slice() {
        [_, sandbox::TRIES] => return sandbox::all_tries(),
        [_, sandbox::NESTED] => return sandbox::nested(),
        [_, verify::INSIDE, servers::SERVES, rest @ ..] => return servers::serve(rest),
        [_, verify::INSIDE, rest @ ..] => return verify::inside(rest),
        _ => {}
    }
    let subjects = [
        ("fixer", fixer::tests()),
        ("sandbox", sandbox::tests()),
        ("servers", servers::tests()),
        ("verify", verify::tests()),
    ];
    let trials = subjects
        .into_iter()
        .flat_map(|(subject, tests)| tests.into_iter().map(move |test| test.trial(subject)))
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

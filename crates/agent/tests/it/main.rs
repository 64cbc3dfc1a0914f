//! The sandbox, a fixer's tools, servers that reach hosts, and set-ups and checks, for real: one program, so that it is linked once.
//!
//! It has a `main` of its own: the sandbox's helper is the program that uses it, here this one. Its tests stand in
//! tables, and are told, counted and chosen as those of any other program.

mod fixer;
mod sandbox;
mod servers;
mod support;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use libtest_mimic::Arguments;
use truing_agent::sandbox::entered;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = entered(&arguments) {
        return code;
    }
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    match words.as_slice() {
        [_, sandbox::TRIES] => return sandbox::all_tries(),
        [_, sandbox::NESTED] => return sandbox::nested(),
        [verify::HERE, servers::SERVES, rest @ ..] => return servers::serve(rest),
        [verify::HERE, rest @ ..] => return verify::inside(rest),
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

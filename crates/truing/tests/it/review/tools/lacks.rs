//! Tests of machines on which a linter's program exists but another requirement of the linter is missing.

use super::*;

/// Returns the reason for which the first linter was skipped. The review itself must be complete.
fn skip_reason(place: &Place) -> String {
    let told = review_report(place, &[]);
    assert_eq!(told["outcome"]["kind"], "reviewed", "{told:#}");
    told["tools"][0]["skipped"].as_str().unwrap_or_else(|| panic!("{told:#}")).to_owned()
}

/// Returns a script that prints a version for `--version`, and otherwise fails with this message and exit
/// code. The shell expands variables in the message.
fn failing_program_script(name: &str, version: &str, message: &str, code: u8) -> String {
    let message = message.replace('`', "\\`");
    format!(
        "#!/bin/sh\nfor word; do [ \"$word\" = --version ] && {{ echo '{name} {version}'; exit 0; }}; done\n\
         cat >&2 <<END\n{message}\nEND\nexit {code}\n"
    )
}

#[test]
fn clippy_without_fetched_crates_is_named_with_the_command_that_fetches_them() {
    let place = Place::new();
    place.write(
        "Cargo.toml",
        "[package]\nname = \"x\"\nversion = \"0.1.0\"\n[dependencies]\nglob = \"0.3\"\n",
    );
    place.write("src/lib.rs", "");
    let none = "error: no matching package named `glob` found\nlocation searched: crates.io index\nrequired \
         by package `x v0.1.0 ($PWD)`\nAs a reminder, you're using offline mode (--offline)";
    install(place.home(), "cargo", &failing_program_script("clippy", "0.1.95", none, 101));
    let reason = "the project's dependencies, or its lock file, are not fetched: run `cargo fetch`";
    assert_eq!(skip_reason(&place), reason);
    place.write("ops.toml", "[[tool]]\nname = \"clippy\"\n");
    let told = review_report(&place, &["--config", "ops.toml"]);
    let said = told["outcome"]["reason"].as_str().unwrap();
    assert!(said.contains(reason), "one that the configuration names has failed: {said}");

    let old = "error: rustc 1.95 is not supported by the following package:\n  x@0.1.0 requires rustc \
         1.99\n  x@0.1.0 requires rustc 1.99\n --> $PWD/src/lib.rs";
    install(place.home(), "cargo", &failing_program_script("clippy", "0.1.95", old, 101));
    let said = incomplete_reason(&place);
    assert!(said.contains("x@0.1.0 requires rustc 1.99; --> src/lib.rs"), "{said}");
    assert!(!said.contains("cargo fetch"), "{said}");
}

#[test]
fn a_linter_that_is_too_old_is_named_with_the_version_that_is_needed() {
    let place = Place::new();
    place.write(".oxlintrc.json", "{}");
    place.commit("second");
    place.write("a.js", "l;\n");
    let unknown = "Error: `--no-error-on-unmatched-pattern` is not expected in this context";
    install(place.home(), "oxlint", &failing_program_script("Version:", "1.14.0", unknown, 1));
    assert_eq!(skip_reason(&place), "oxlint 1.14.0 is older than 1.60, which Truing needs");
    install(place.home(), "oxlint", &failing_program_script("Version:", "1.60.0", unknown, 1));
    assert!(incomplete_reason(&place).contains("is not expected in this context"), "another fault");
}

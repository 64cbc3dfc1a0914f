//! Tests of the examples with the real packages, and of the decision that the project's README shows. The
//! output must contain every line that the documents show.

use std::process::Command;

use super::readme::{ReadmeCommand, repository_root};
use super::recorded::archive_cache;

#[test]
#[ignore = "needs the network"]
fn every_decision_that_is_shown_is_what_comes_out() {
    let mut seen = 0;
    let examples = ["aiobotocore", "npm-ms", "crates-percent-encoding", "pluggy-pin"];
    let readmes = examples.map(|name| format!("examples/{name}/README.md"));
    for readme in readmes.iter().map(String::as_str).chain(["README.md"]) {
        for ReadmeCommand { arguments, output } in ReadmeCommand::find_commands(readme, &["decide", "--repo"])
        {
            let mut command = Command::new(env!("CARGO_BIN_EXE_truing"));
            command.env("XDG_CACHE_HOME", archive_cache()).current_dir(repository_root());
            // The environment variables of the tests are removed, because Truing rejects unknown variables
            // with its prefix.
            for variable in ["TRUING_CONFIG", "TRUING_SYNC_CASES", "TRUING_AIOBOTOCORE"] {
                command.env_remove(variable);
            }
            let ran = command.args(&arguments).output().unwrap();
            let err = String::from_utf8_lossy(&ran.stderr);
            assert_eq!(String::from_utf8_lossy(&ran.stdout), output, "{readme}: {arguments:?}: {err}");
            seen += 1;
        }
    }
    assert_eq!(seen, 9);
}

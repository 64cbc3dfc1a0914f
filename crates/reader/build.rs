//! Generates the list of all rule files under `packs/`, so adding a rule requires only a new file. The list
//! is written to `packs.rs`: an array of pairs of a path under `packs/` and the file's text, sorted by path.
//! `src/pack.rs` includes this file.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

// The lint against printing is disabled here, because a build script sends commands to Cargo on standard
// output.
#[allow(clippy::print_stdout)]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=packs");
    let packs = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("packs");
    let mut files = Vec::new();
    for pack in sorted_entries(&packs)? {
        files.extend(sorted_entries(&pack.join("rules"))?);
    }

    let mut list = String::from("[\n");
    for file in files {
        if file.extension().is_none_or(|extension| extension != "toml" && extension != "yml") {
            return Err(
                format!("{}: a rules folder may contain only .toml and .yml files", file.display()).into()
            );
        }
        let name = file.strip_prefix(&packs)?.to_str().ok_or("the path of a rule file is not UTF-8")?;
        // The generated code contains no absolute path, because several checkouts may share a target folder.
        let path = format!("/packs/{name}");
        writeln!(list, "    ({name:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {path:?}))),")?;
    }
    list.push_str("]\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("packs.rs"), list)?;
    Ok(())
}

/// Returns the entries of a folder, in name order.
fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let read = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths = read.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    paths.sort();
    Ok(paths)
}

//! Lists the rule files under `packs/`, so that a new rule needs only one new file. Writes `packs.rs`, an
//! array of (path under `packs/`, text) pairs in path order. `src/pack.rs` includes this file.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

// A build script sends commands to Cargo on standard output. The lint that forbids printing is meant only for
// the product's code.
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
            return Err(format!("{}: a rules folder holds .toml and .yml files only", file.display()).into());
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

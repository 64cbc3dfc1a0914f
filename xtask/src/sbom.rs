//! `cargo xtask sbom`: writes the bill of materials of the program `truing` in CycloneDX 1.6. The command
//! reads `Cargo.lock` and cargo's dependency graph, without network access. The same lock file always
//! produces the same bill, byte for byte.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::workspace::{self, DependencyScope, ResolvedPackage};
use crate::{say, workspace::workspace_root};

/// Name of the program.
const PROGRAM_NAME: &str = "truing";

/// The options of `cargo xtask sbom`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The file to write the bill of materials to [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The parts of `Cargo.lock` that the bill uses.
#[derive(Deserialize)]
struct SbomLockFile {
    package: Vec<LockedPackage>,
}

#[derive(Deserialize)]
struct LockedPackage {
    name: String,
    version: String,
    /// SHA-256 digest of the package's archive in the registry; `None` for a package of this repository.
    checksum: Option<String>,
}

/// Writes the bill of materials.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let text = render_sbom()?;
    match &options.out {
        Some(path) => {
            std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        None => say::print_line(text.trim_end()),
    }
    Ok(true)
}

fn render_sbom() -> Result<String> {
    let root = workspace_root()?;
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let lock: SbomLockFile = toml::from_str(&lock).context("cannot understand Cargo.lock")?;
    let checksums: BTreeMap<_, _> =
        lock.package.into_iter().map(|locked| ((locked.name, locked.version), locked.checksum)).collect();
    let packages = workspace::dependency_graph(&root, DependencyScope::LinkedInto(PROGRAM_NAME))?;
    let of_registry = |package: &&ResolvedPackage| {
        checksums.get(&(package.name.clone(), package.version.clone())).is_some_and(Option::is_some)
    };
    let component = |package: &ResolvedPackage| library_component(package, &checksums);
    let itself =
        packages.iter().find(|package| package.name == PROGRAM_NAME).context("the program is no package")?;
    let components: Vec<Value> = packages.iter().filter(of_registry).map(component).collect();
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": { "component": describe_package(itself, "application") },
        "components": components,
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&bill)?))
}

fn library_component(
    package: &ResolvedPackage,
    checksums: &BTreeMap<(String, String), Option<String>>,
) -> Value {
    let mut component = describe_package(package, "library");
    let checksum = checksums.get(&(package.name.clone(), package.version.clone())).and_then(Option::as_ref);
    component["hashes"] =
        checksum.map(|sum| json!([{ "alg": "SHA-256", "content": sum }])).unwrap_or_default();
    component
}

fn describe_package(package: &ResolvedPackage, kind: &str) -> Value {
    let ResolvedPackage { name, version, licence } = package;
    let purl = format!("pkg:cargo/{name}@{version}");
    let mut component =
        json!({ "type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl });
    if let Some(licence) = licence {
        // Older manifests write `/` for `OR`: `MIT/Apache-2.0`.
        component["licenses"] = json!([{ "expression": licence.replace('/', " OR ") }]);
    }
    component
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_linked_package_is_told_with_its_checksum_and_its_licence() {
        let bill: Value = serde_json::from_str(&render_sbom().unwrap()).unwrap();
        assert_eq!(bill["metadata"]["component"]["name"], PROGRAM_NAME);
        let components = bill["components"].as_array().unwrap();
        let names: Vec<&str> = components.iter().filter_map(|it| it["name"].as_str()).collect();
        assert!(names.contains(&"tokio") && names.contains(&"rustls"), "{names:?}");
        assert!(!names.iter().any(|name| name.starts_with("truing")), "what stands here is one component");
        for component in components {
            let sum = component["hashes"][0]["content"].as_str().unwrap_or_default();
            assert!(sum.len() == 64 && component["licenses"][0]["expression"].is_string(), "{component}");
        }
    }
}

//! `cargo xtask contract`: reduces the published descriptions of the forges' APIs to the operations and types
//! that Truing uses. The tests of `crates/contract` check that requests and responses match the reduced
//! descriptions. `data/github.toml` in that crate lists the operations and types to keep, and the npm
//! packages with the published descriptions.

mod openapi;
mod sdl;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Deserialize;
use serde_json::Value;

use crate::{say, workspace};

/// The folder with the lists of operations and types to keep, and with the generated files.
const DATA_FOLDER: &str = "crates/contract/data";

/// The location of the packages.
#[derive(Args)]
pub(crate) struct Options {
    /// The folder `node_modules` with the packages, as `npm install` creates it [default: downloaded now]
    #[arg(long, value_name = "FOLDER")]
    packages: Option<PathBuf>,
}

/// The operations and types to keep from the descriptions of one forge.
#[derive(Deserialize)]
struct StoredApiDescriptions {
    openapi: StoredOperations,
    graphql: StoredGraphqlTypes,
}

#[derive(Deserialize)]
struct StoredOperations {
    #[serde(flatten)]
    source: PackageDocument,
    operations: Vec<String>,
}

#[derive(Deserialize)]
struct StoredGraphqlTypes {
    #[serde(flatten)]
    source: PackageDocument,
    types: Vec<String>,
}

/// A file of an npm package.
#[derive(Deserialize)]
struct PackageDocument {
    package: String,
    version: String,
    document: String,
}

/// Reduces the descriptions. Returns `true` on success; a failure is an error.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let data = workspace::workspace_root()?.join(DATA_FOLDER);
    let list = data.join("github.toml");
    let text = std::fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let kept: StoredApiDescriptions =
        toml::from_str(&text).with_context(|| format!("cannot understand {}", list.display()))?;
    let fetched = tempfile::tempdir().context("no temporary folder can be made")?;
    let packages = match &options.packages {
        Some(folder) => folder.clone(),
        None => download_packages(fetched.path(), &[&kept.openapi.source, &kept.graphql.source])?,
    };

    let whole = read_document(&packages, &kept.openapi.source)?;
    let cut = openapi::extract_operations(&whole, &kept.openapi.operations)?;
    let mut file = GzEncoder::new(Vec::new(), Compression::best());
    std::io::Write::write_all(&mut file, serde_json::to_string(&cut)?.as_bytes())?;
    write_extract(&data.join("github-openapi.json.gz"), &file.finish()?, &kept.openapi.source)?;

    let whole = read_document(&packages, &kept.graphql.source)?;
    let cut = sdl::extract_types(&whole, &kept.graphql.types)?;
    write_extract(&data.join("github.graphql"), cut.as_bytes(), &kept.graphql.source)?;
    Ok(true)
}

/// Downloads the packages as published, without running any of their scripts. Returns their folder.
fn download_packages(folder: &Path, sources: &[&PackageDocument]) -> Result<PathBuf> {
    let mut npm = Command::new("npm");
    npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]);
    npm.args(sources.iter().map(|source| format!("{}@{}", source.package, source.version)));
    std::fs::write(folder.join("package.json"), "{}")?;
    workspace::command_output(npm.current_dir(folder))
        .context("the packages cannot be fetched; npm is needed")?;
    Ok(folder.join("node_modules"))
}

/// Reads a description from its package. Returns an error if the package's version is not the required
/// version.
fn read_document(packages: &Path, source: &PackageDocument) -> Result<Value> {
    let folder = packages.join(&source.package);
    let json = |path: PathBuf| -> Result<Value> {
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} is not JSON", path.display()))
    };
    let manifest = json(folder.join("package.json"))?;
    if manifest["version"] != source.version.as_str() {
        bail!("{} is {}, not version {}", folder.display(), manifest["version"], source.version);
    }
    json(folder.join(&source.document))
}

fn write_extract(file: &Path, bytes: &[u8], source: &PackageDocument) -> Result<()> {
    std::fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
    let name = file.file_name().unwrap_or_default().display();
    say::print_line(&format!("{name}: {} bytes, from {} {}", bytes.len(), source.package, source.version));
    Ok(())
}

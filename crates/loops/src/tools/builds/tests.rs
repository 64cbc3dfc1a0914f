use std::os::unix::fs::{PermissionsExt as _, symlink};

use truing_core::port::DetectedTool;

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

fn clippy_in(folder: &str) -> SelectedLinter {
    let used = DetectedTool { name: "clippy".into(), sign: "Cargo.toml".into(), ..DetectedTool::default() };
    let mut tool = super::super::select_linters(&[used], &[]).remove(0);
    tool.folder = folder.to_owned();
    tool
}

fn command_output(output: &str) -> CommandOutput {
    CommandOutput {
        end_reason: CommandEndReason::Exit { code: 0 },
        duration_ms: 0,
        stdout: output.to_owned(),
        stderr: String::new(),
        tree_path: "/tree".into(),
    }
}

fn build_cache(folder: &tempfile::TempDir) -> BuildCache {
    BuildCache::new(folder.path().join("tools/builds"))
}

/// Writes a file of `kib` KiB in a folder, and releases the folder after a run that stopped for the reason
/// `end`.
async fn create_build_folder(cache: &BuildCache, name: &str, kib: usize, end: CommandEndReason) -> PathBuf {
    let held = cache.acquire(name, &[]).unwrap().unwrap();
    let built = held.output_folder().folder.clone();
    std::fs::write(built.join("file"), vec![1; kib << 10]).unwrap();
    held.release(vec![end]).await;
    built
}

#[test]
fn whatever_decides_whether_code_is_trusted_has_a_folder_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cargo");
    std::fs::write(&file, "a program").unwrap();
    let program = ProgramIdentity::from_path(&file).unwrap();
    let (tool, below) = (clippy_in(""), clippy_in("below"));
    assert_eq!(tool.build_caching_tool().unwrap().builds, ["CARGO_TARGET_DIR"]);
    let (version, newer) = (command_output("clippy 1"), command_output("clippy 2"));
    let own = BuildCacheKey {
        trust_name: OWN_FILES_CACHE_SCOPE,
        project_folder: "/one".into(),
        tree_kind: "tree",
        tool: &tool,
        program: &program,
        version_output: &version,
    };
    assert_eq!(own.name(), own.clone().name());
    std::fs::write(&file, "another program").unwrap();
    let replaced = ProgramIdentity::from_path(&file).unwrap();
    let others = [
        BuildCacheKey { trust_name: "acme/shop", ..own.clone() },
        BuildCacheKey { trust_name: "acme/shop pull request 7", ..own.clone() },
        BuildCacheKey { project_folder: "/other".into(), ..own.clone() },
        BuildCacheKey { tree_kind: "head", ..own.clone() },
        BuildCacheKey { tree_kind: "base", ..own.clone() },
        BuildCacheKey { tool: &below, ..own.clone() },
        BuildCacheKey { program: &replaced, ..own.clone() },
        BuildCacheKey { version_output: &newer, ..own.clone() },
    ];
    let names: std::collections::BTreeSet<String> =
        others.iter().chain([&own]).map(BuildCacheKey::name).collect();
    assert_eq!(names.len(), others.len() + 1, "{names:?}");
}

#[tokio::test]
async fn one_run_uses_a_folder_at_a_time_and_the_next_finds_what_it_left() {
    let folder = tempfile::tempdir().unwrap();
    let cache = build_cache(&folder);
    let held = cache.acquire("a", &["GOCACHE".to_owned()]).unwrap().unwrap();
    assert_eq!(held.output_folder().variables, ["GOCACHE"]);
    assert!(cache.acquire("a", &[]).unwrap().is_none(), "it is in use");
    assert!(cache.acquire("b", &[]).unwrap().is_some());
    let built = held.output_folder().folder.clone();
    for folder in [&built, built.parent().unwrap()] {
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
    std::fs::write(built.join("file"), "").unwrap();
    drop(held);
    let next = cache.acquire("a", &[]).unwrap().unwrap();
    assert!(next.output_folder().folder.join("file").exists());
}

#[test]
fn a_link_or_a_folder_that_others_may_open_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let cache = build_cache(&folder);
    let elsewhere = folder.path().join("elsewhere");
    for place in [&cache.folder, &elsewhere, &cache.folder.join("open")] {
        std::fs::create_dir_all(place).unwrap();
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    symlink(&elsewhere, cache.folder.join("link")).unwrap();
    assert!(cache.acquire("link", &[]).is_err());
    assert!(cache.acquire("open", &[]).is_err());
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_old_or_too_much_goes_and_what_a_link_leads_to_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mut cache = build_cache(&folder);
    let (ended, secret) = (CommandEndReason::Exit { code: 0 }, folder.path().join("secret"));
    std::fs::write(&secret, "").unwrap();
    for (ago, name) in (0_u32..).zip(["a", "b", "c"]) {
        let built = create_build_folder(&cache, name, 100, ended).await;
        symlink(folder.path(), built.join("link")).unwrap();
        std::fs::create_dir(built.join("closed")).unwrap();
        std::fs::set_permissions(built.join("closed"), std::fs::Permissions::from_mode(0o000)).unwrap();
        let place = File::open(built.parent().unwrap()).unwrap();
        place.set_modified(SystemTime::now() - HOUR * (ago + 1)).unwrap();
    }
    let there = |cache: &BuildCache| ["a", "b", "c"].map(|name| cache.folder.join(name).exists());
    cache.remove_expired();
    assert_eq!(there(&cache), [true, true, true]);
    cache.max_unused_time = HOUR * 2 + HOUR / 2;
    cache.remove_expired();
    assert_eq!(there(&cache), [true, true, false]);
    cache.max_bytes = 150 << 10;
    let held = cache.acquire("b", &[]).unwrap().unwrap();
    cache.remove_expired();
    assert_eq!(there(&cache), [false, true, false], "what was used last stays");
    cache.max_bytes = 0;
    cache.remove_expired();
    assert_eq!(there(&cache), [false, true, false], "it is in use");
    drop(held);
    cache.remove_expired();
    assert_eq!(there(&cache), [false; 3]);
    assert!(secret.exists());
}

#[tokio::test]
async fn a_run_has_room_for_what_it_adds_and_one_that_wrote_too_much_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cache = BuildCache { max_bytes: 200 << 10, ..build_cache(&folder) };
    let is_there =
        |name: &str| cache.acquire(name, &[]).unwrap().unwrap().output_folder().folder.join("file").exists();
    create_build_folder(&cache, "a", 100, CommandEndReason::Exit { code: 0 }).await;
    assert!(is_there("a"));
    create_build_folder(&cache, "a", 180, CommandEndReason::Time).await;
    assert!(!is_there("a"), "more than three quarters of all that may be kept");
    for end in [CommandEndReason::Disk, CommandEndReason::DiskFull] {
        create_build_folder(&cache, "a", 10, end).await;
        assert!(!is_there("a"), "{end:?}");
    }
}

#[test]
fn every_file_of_a_copy_is_dated_now_and_no_link_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    std::fs::create_dir_all(tree.join("src")).unwrap();
    let files = [tree.join("Cargo.toml"), tree.join("src/lib.rs"), folder.path().join("outside")];
    let old = SystemTime::now() - HOUR;
    for file in &files {
        std::fs::write(file, "").unwrap();
        File::open(file).unwrap().set_modified(old).unwrap();
    }
    symlink(folder.path(), tree.join("link")).unwrap();
    touch_all_files(&tree).unwrap();
    let is_old = files.map(|file| file.metadata().unwrap().modified().unwrap() == old);
    assert_eq!(is_old, [false, false, true]);
}

use truing_config::layer::SourceFile;

use super::*;

const OTHER: &str = "[forge.work]\nkind = \"github\"\napi_url = \"https://git.example.com/api/v3\"\n\
                     git_url = \"https://git.example.com/hub\"\n";

fn find(text: &str, file: &str) -> Result<(String, String, u64), String> {
    let environment = Environment::new([("HOME", "/home/u")], "/home/u");
    let file = SourceFile { name: "truing.toml".into(), folder: "/".into(), text: file.into() };
    let config = Config::resolve(&environment, Some(&file), &[]).unwrap();
    match PullTarget::find(text, &config, &environment) {
        Ok(target) => {
            assert!(target.config.forges.contains_key(&target.forge));
            Ok((target.forge, target.repo, target.number))
        }
        Err(error) => Err(error.code.to_owned()),
    }
}

#[test]
fn a_page_is_found_by_its_host_and_github_needs_no_configuration() {
    let there = |forge: &str| Ok((forge.to_owned(), "o/r".to_owned(), 7));
    for page in
        ["https://github.com/o/r/pull/7", "https://github.com/o/r/pull/7/files?w=1#x", "o/r#7", "o/r/7"]
    {
        assert_eq!(find(page, ""), there("github"), "{page}");
    }
    assert_eq!(find("https://git.example.com/hub/o/r/pull/7", OTHER), there("work"));
    assert_eq!(find(" o/r#7 ", OTHER), there("work"), "the only one there is");
    assert_eq!(find("https://github.com/o/r/pull/7", OTHER), there("github"));
}

#[test]
fn a_page_of_a_bitbucket_is_found_and_its_cloud_needs_no_configuration() {
    let there = |forge: &str| Ok((forge.to_owned(), "o/r".to_owned(), 7));
    for page in
        ["https://bitbucket.org/o/r/pull-requests/7", "https://bitbucket.org/o/r/pull-requests/7/diff#x"]
    {
        assert_eq!(find(page, ""), there("bitbucket"), "{page}");
    }
    let own = "[forge.work]\nkind = \"bitbucket-dc\"\napi_url = \"https://git.example.com/bb\"\n";
    let page = "https://git.example.com/bb/projects/o/repos/r/pull-requests/7/overview";
    assert_eq!(find(page, own), there("work"));
    for (text, file) in [
        ("https://bitbucket.org/o/r/pull/7", ""),
        ("https://github.com/o/r/pull-requests/7", ""),
        ("https://git.example.com/bb/o/r/pull-requests/7", own),
    ] {
        assert_eq!(find(text, file), Err("bad_target".to_owned()), "{text}");
    }
}

#[test]
fn what_names_no_pull_request_or_no_forge_is_refused() {
    let both = format!("{OTHER}[forge.github]\n");
    let elsewhere = "[forge.github]\ngit_url = \"https://git.example.com\"\n";
    for (text, file, code) in [
        ("https://github.com/o/r", "", "bad_target"),
        ("https://github.com/o/r/pull/x", "", "bad_target"),
        ("https://github.com/o/r/pull/-1", "", "bad_target"),
        ("https://github.com/o/r/issues/7", "", "bad_target"),
        ("https://token@github.com/o/r/pull/7", "", "bad_target"),
        ("http://", "", "bad_target"),
        ("o/r", "", "bad_target"),
        ("o#7", "", "bad_target"),
        ("a/b/c#7", "", "bad_target"),
        ("a/b/c/7", "", "bad_target"),
        ("a//7", "", "bad_target"),
        ("o/r#7", &both, "which_forge"),
        ("https://git.example.com/o/r/pull/7", OTHER, "unknown_forge"),
        ("https://gitlab.com/o/r/pull/7", "", "unknown_forge"),
        ("https://github.com/o/r/pull/7", elsewhere, "unknown_forge"),
    ] {
        assert_eq!(find(text, file), Err(code.to_owned()), "{text}");
    }
}

#[test]
fn the_lines_that_an_unknown_forge_shows_configure_it() {
    let environment = Environment::new([("HOME", "/home/u")], "/home/u");
    for (file, page) in [
        ("", "https://git.example.com/o/r/pull/7"),
        (OTHER, "https://git.example.com:8443/o/r/pull/7"),
        ("[forge.github]\ngit_url = \"https://git.example.com\"\n", "https://github.com/o/r/pull/7"),
        ("", "http://127.0.0.1:3000/o/r/pull/7"),
        ("", "https://git.example.com/bb/projects/o/repos/r/pull-requests/7"),
        (
            "[forge.bitbucket]\ngit_url = \"https://git.example.com\"\n",
            "https://bitbucket.org/o/r/pull-requests/7",
        ),
    ] {
        let read = |text: String| {
            let file = SourceFile { name: "truing.toml".into(), folder: "/".into(), text };
            Config::resolve(&environment, Some(&file), &[]).unwrap()
        };
        let error = PullTarget::find(page, &read(file.to_owned()), &environment).unwrap_err();
        assert_eq!(error.hints.len(), 1, "{error:?}");
        let with_them = format!("{file}{}\n", error.illustration.join("\n"));
        let found = PullTarget::find(page, &read(with_them), &environment).unwrap();
        assert_eq!((found.repo.as_str(), found.number), ("o/r", 7), "{page}");
    }
}

#[test]
fn a_kind_of_forge_that_is_not_supported_is_not_to_be_configured() {
    let environment = Environment::new([("HOME", "/home/u")], "/home/u");
    let config = Config::resolve(&environment, None, &[]).unwrap();
    for (page, kind) in [
        ("https://gitlab.com/o/r/-/merge_requests/7", "GitLab is not supported"),
        ("https://gitlab.example.com/o/r/pull/7", "GitLab is not supported"),
        ("https://code.example.com/o/r/-/merge_requests/7", "GitLab is not supported"),
        ("https://codeberg.org/o/r/pulls/7", "Forgejo or Gitea is not supported"),
    ] {
        let error = PullTarget::find(page, &config, &environment).unwrap_err();
        assert!(error.illustration.is_empty() && error.hints.len() == 1, "{error:?}");
        assert!(error.hints[0].starts_with(kind) && error.hints[0].contains("`truing review BRANCH`"));
    }
    assert_eq!(
        parse_remote_url("git@gitlab.com:o/r.git").as_ref().and_then(unsupported_forge),
        Some(origin::UnsupportedForge::GitLab)
    );
    assert_eq!(parse_remote_url("git@github.com:o/r.git").as_ref().and_then(unsupported_forge), None);
}

#[test]
fn a_key_and_a_name_are_told_from_paths() {
    assert!(is_pull_slot_key("pr/github/12/7") && is_pull_name("o/r/7"));
    assert!(is_pull_slot_key("pr/bitbucket/{7a-0f}/7"));
    for path in ["pr/github/12/x", "sync/job", "o/r", "o/r/7/8", "o/r/x"] {
        assert!(!is_pull_slot_key(path) && !is_pull_name(path), "{path}");
    }
}

#[test]
fn a_clone_is_of_the_repository_that_its_remote_names_however_it_is_written() {
    let environment = Environment::new([("HOME", "/home/u")], "/home/u");
    let file = SourceFile { name: "truing.toml".into(), folder: "/".into(), text: OTHER.into() };
    let config = Config::resolve(&environment, Some(&file), &[]).unwrap();
    let home = |remote: &str| {
        RepositoryTarget::from_remote(remote, &config, &environment)
            .map(|home| format!("{} {}", home.forge, home.repo))
    };
    for remote in [
        "https://github.com/o/r.git",
        "https://u:p@github.com/o/r",
        "git@github.com:o/r.git",
        "github.com:/o/r.git",
        "ssh://git@github.com/o/r.git",
    ] {
        assert_eq!(home(remote).as_deref(), Some("github o/r"), "{remote}");
    }
    for remote in
        ["https://git.example.com/hub/o/r.git", "git@git.example.com:o/r", "ssh://git.example.com:22/o/r"]
    {
        assert_eq!(home(remote).as_deref(), Some("work o/r"), "{remote}");
    }
    for remote in
        ["/srv/o/r.git", "../o/r", "file:///srv/o/r.git", "https://gitlab.com/o/r.git", "git@gitlab.com:o/r"]
    {
        assert_eq!(home(remote), None, "{remote}");
    }
}

#[test]
fn an_owner_is_a_name_on_the_only_forge_or_a_page() {
    let environment = Environment::new([("HOME", "/home/u")], "/home/u");
    let owner = |text: &str, file: &str| {
        let file = SourceFile { name: "truing.toml".into(), folder: "/".into(), text: file.into() };
        let config = Config::resolve(&environment, Some(&file), &[]).unwrap();
        let found = OwnerTarget::find(text, &config, &environment);
        found.map(|owner| (owner.forge, owner.name)).map_err(|error| error.code.to_owned())
    };
    let there = |forge: &str| Ok((forge.to_owned(), "acme".to_owned()));
    assert_eq!(owner("acme", ""), there("github"));
    assert_eq!(owner("https://github.com/orgs/acme", OTHER), there("github"));
    assert_eq!(owner("https://git.example.com/hub/acme/", OTHER), there("work"));
    for wrong in ["", "acme/shop", "a b", "https://github.com/acme/shop", "https://github.com"] {
        assert_eq!(owner(wrong, ""), Err("bad_owner".to_owned()), "{wrong}");
    }
    assert_eq!(owner("acme", &format!("{OTHER}[forge.github]\n")), Err("which_forge".to_owned()));
}

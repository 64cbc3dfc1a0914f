//! Tests of `truing init`.

use std::process::Command;

use serde_json::json;

use crate::support::home::Home;

#[test]
fn init_writes_a_file_that_is_fine_and_never_overwrites_one() {
    let home = Home::empty();
    let ran = home.run(&["init"]);
    assert_eq!((ran.exit, ran.out.as_str()), (0, "wrote truing.toml\n"));
    assert_eq!(home.run(&["config", "check", "truing.toml"]).out, "truing.toml: fine\n");
    let unnamed = home.run(&["config", "check"]);
    assert_eq!((unnamed.exit, unnamed.out.as_str()), (0, "truing.toml: fine\n"), "{unnamed:?}");
    assert!(unnamed.err.contains("to use this file: `--config truing.toml`"), "{unnamed:?}");
    let written = std::fs::read(home.path().join("truing.toml")).unwrap();
    let again = home.run(&["init", "--format", "json"]);
    assert_eq!((again.exit, &again.json()["error"]["code"]), (2, &json!("file_exists")));
    assert_eq!(std::fs::read(home.path().join("truing.toml")).unwrap(), written);
    assert_eq!(home.run(&["init", "--output", "-"]).out.as_bytes(), written);
    assert!(String::from_utf8_lossy(&written).lines().all(|line| line.chars().count() <= 100));
    assert_eq!(home.run(&["init", "--all", "--output", "all.toml"]).exit, 0);
    assert_eq!(home.run(&["config", "check", "all.toml"]).out, "all.toml: fine\n");
    assert!(std::fs::read(home.path().join("all.toml")).unwrap().len() > 10 * written.len());
    assert_eq!(home.run(&["init", "--output", "no/such/folder"]).exit, 3);
}

#[test]
fn init_names_the_repository_of_the_clone_or_says_that_all_are_served() {
    let home = Home::empty();
    let line = |text: &str| {
        text.lines().find(|line| line.contains("forge.github.repositories =")).unwrap().to_owned()
    };
    let ran = home.run(&["init", "--output", "none.toml"]);
    assert!(ran.err.contains("every repository that the token sees is served"), "{ran:?}");
    let written = std::fs::read_to_string(home.path().join("none.toml")).unwrap();
    assert_eq!(line(&written), "# forge.github.repositories = []");

    let git = |arguments: &[&str]| {
        let done = Command::new("git").args(arguments).current_dir(home.path()).status().unwrap();
        assert!(done.success());
    };
    git(&["init", "--quiet"]);
    git(&["remote", "add", "origin", "git@github.com:ada/shop.git"]);
    let ran = home.run(&["init"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(
        ran.err.contains("a server with this file serves only ada/shop")
            && ran.err.contains("every repository"),
        "{ran:?}"
    );
    let written = std::fs::read_to_string(home.path().join("truing.toml")).unwrap();
    assert_eq!(line(&written), "forge.github.repositories = [\"ada/shop\"]");
    assert_eq!(home.run(&["config", "check", "truing.toml"]).out, "truing.toml: fine\n");

    // The address does not tell the kind of the forge.
    git(&["remote", "set-url", "origin", "https://git.example.org/ada/shop.git"]);
    let unknown = home.run(&["init", "--output", "-"]);
    assert_eq!(line(&unknown.out), "# forge.github.repositories = []");
    assert!(unknown.err.contains("git.example.org, whose kind of forge is unknown"), "{unknown:?}");

    // For an unsupported forge, `init` writes no file, because the service could not use it.
    git(&["remote", "set-url", "origin", "git@gitlab.com:ada/shop.git"]);
    let refused = home.run(&["init", "--output", "lab.toml"]);
    assert!(refused.exit == 2 && refused.err.contains("hint: GitLab is not supported"), "{refused:?}");
    assert!(!home.path().join("lab.toml").exists());
}

#[test]
fn init_configures_the_forge_of_the_clones_origin() {
    let home = Home::empty();
    let git = |arguments: &[&str]| {
        let done = Command::new("git").args(arguments).current_dir(home.path()).status().unwrap();
        assert!(done.success());
    };
    git(&["init", "--quiet"]);
    git(&["remote", "add", "origin", "x"]);
    for (number, (origin, expected)) in [
        ("https://ada@bitbucket.org/team/shop.git", "forge.bitbucket.repositories = [\"team/shop\"]"),
        ("git@bitbucket.org:team/shop.git", "forge.bitbucket.kind = \"bitbucket\""),
        ("git@bitbucket.org-work:team/shop.git", "forge.bitbucket.repositories = [\"team/shop\"]"),
        ("git@github.com-work:team/shop.git", "forge.github.repositories = [\"team/shop\"]"),
        ("https://git.example/x/scm/PROJ/shop.git", "forge.bitbucket-dc.api_url = \"https://git.example/x\""),
        ("ssh://git@git.example:7999/proj/shop.git", "forge.bitbucket-dc.repositories = [\"proj/shop\"]"),
        (
            "https://github.example.org/team/shop",
            "forge.github.api_url = \"https://github.example.org/api/v3\"",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        git(&["remote", "set-url", "origin", origin]);
        for option in [None, Some("--all")] {
            let file = format!("{number}{}.toml", option.unwrap_or_default());
            let arguments: Vec<&str> = ["init", "--output", &file].into_iter().chain(option).collect();
            let ran = home.run(&arguments);
            assert_eq!(ran.exit, 0, "{ran:?}");
            let written = std::fs::read_to_string(home.path().join(&file)).unwrap();
            assert!(written.lines().any(|line| line == expected), "{origin}: {written}");
            assert_eq!(home.run(&["config", "check", &file]).out, format!("{file}: fine\n"));
        }
    }
}

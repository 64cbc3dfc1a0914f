//! Tests of `truing init`.

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
        let done = truing_fakes::repo::git_command(home.path()).args(arguments).status().unwrap();
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
}

/// The service could not use a file for an unsupported forge. The command says what works there.
#[test]
fn init_in_a_clone_of_an_unsupported_forge_says_what_works_there() {
    let home = Home::empty();
    let git = |arguments: &[&str]| {
        let done = truing_fakes::repo::git_command(home.path()).args(arguments).status().unwrap();
        assert!(done.success());
    };
    git(&["init", "--quiet"]);
    git(&["remote", "add", "origin", "x"]);
    for (origin, name, job) in [
        ("git@gitlab.com:ada/shop.git", "GitLab", "--format gitlab --output gl-code-quality-report.json"),
        ("ssh://git@gitlab.example.org:2222/ada/tools/shop.git", "GitLab", "artifacts:reports:codequality"),
        ("https://codeberg.org/ada/shop.git", "Forgejo or Gitea", "--format rdjson"),
        ("https://gitea.example.org:3000/ada/shop", "Forgejo or Gitea", "--format rdjson"),
        ("git@ssh.dev.azure.com:v3/acme/shop/shop", "Azure DevOps", "--format sarif"),
        ("https://acme@dev.azure.com/acme/shop/_git/shop", "Azure DevOps", "--format sarif"),
        ("https://tfs.example.org/acme/shop/_git/shop", "Azure DevOps", "--format sarif"),
    ] {
        git(&["remote", "set-url", "origin", origin]);
        let refused = home.run(&["init"]);
        let err = refused.err.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(refused.exit, 2, "{origin}: {refused:?}");
        let expected = [&format!("hint: {name} is not supported"), "`truing review BRANCH`", job];
        assert!(expected.iter().all(|text| err.contains(text)), "{origin}: {err}");
        assert!(!home.path().join("truing.toml").exists());
    }
}

/// The file contains the forge's keys as comments. With `kind`, and for Data Center with `api_url`, they
/// configure the forge.
#[test]
fn init_does_not_guess_the_kind_of_an_unknown_host() {
    let home = Home::empty();
    let git = |arguments: &[&str]| {
        let done = truing_fakes::repo::git_command(home.path()).args(arguments).status().unwrap();
        assert!(done.success());
    };
    git(&["init", "--quiet"]);
    git(&["remote", "add", "origin", "x"]);
    for (number, (origin, server)) in [
        ("https://git.example.org/ada/shop.git", "https://git.example.org"),
        ("https://ada@git.example.org:8443/ada/shop.git", "https://git.example.org:8443"),
        ("git@github.example.org:ada/shop.git", "https://github.example.org"),
        ("git@github.com.example.org:ada/shop.git", "https://github.com.example.org"),
        ("git@github.community.example:ada/shop.git", "https://github.community.example"),
        ("ssh://git@bitbucket.example.org:2222/ada/shop.git", "https://bitbucket.example.org"),
        ("https://git.example.org/scm/shop.git", "https://git.example.org"),
    ]
    .into_iter()
    .enumerate()
    {
        git(&["remote", "set-url", "origin", origin]);
        let file = format!("{number}.toml");
        let ran = home.run(&["init", "--output", &file]);
        let err = ran.err.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(ran.exit, 0, "{origin}: {ran:?}");
        assert!(err.contains("does not show which kind of forge"), "{origin}: {err}");
        assert!(err.contains("`forge.work.kind` decides") && err.contains("GH_HOST="), "{origin}: {err}");
        let written = std::fs::read_to_string(home.path().join(&file)).unwrap();
        assert!(written.contains(&format!("# forge.work.git_url = \"{server}\"\n")), "{origin}: {written}");
        assert!(!written.contains("\nforge."), "{origin}: {written}");
        assert_eq!(home.run(&["config", "check", &file]).out, format!("{file}: fine\n"));
        let data_center = written
            .replace("# forge.work.kind = \"github\"", "forge.work.kind = \"bitbucket-dc\"")
            .replace("# forge.work.api_url", "forge.work.api_url")
            .replace("/api/v3", "");
        for (kind, text) in
            [("enterprise", written.replace("# forge.work.", "forge.work.")), ("dc", data_center)]
        {
            let edited = format!("{number}-{kind}.toml");
            std::fs::write(home.path().join(&edited), text).unwrap();
            assert_eq!(home.run(&["config", "check", &edited]).out, format!("{edited}: fine\n"));
        }
    }
}

#[test]
fn init_configures_the_forge_of_the_clones_origin() {
    let home = Home::empty().with_variable("GH_HOST", "github.example.org");
    let git = |arguments: &[&str]| {
        let done = truing_fakes::repo::git_command(home.path()).args(arguments).status().unwrap();
        assert!(done.success());
    };
    git(&["init", "--quiet"]);
    git(&["remote", "add", "origin", "x"]);
    for (number, (origin, expected)) in [
        ("https://ada@bitbucket.org/team/shop.git", "forge.bitbucket.repositories = [\"team/shop\"]"),
        ("https://bitbucket.org/team/shop.git", "# forge.bitbucket.token = { env = \"BITBUCKET_TOKEN\" }"),
        ("https://bitbucket.org/team/shop.git", "# forge.bitbucket.email = \"\""),
        ("git@bitbucket.org:team/shop.git", "forge.bitbucket.kind = \"bitbucket\""),
        ("git@bitbucket.org-work:team/shop.git", "forge.bitbucket.repositories = [\"team/shop\"]"),
        ("ssh://git@altssh.bitbucket.org:443/team/shop.git", "forge.bitbucket.kind = \"bitbucket\""),
        ("git@github.com-work:team/shop.git", "forge.github.repositories = [\"team/shop\"]"),
        ("ssh://git@ssh.github.com:443/team/shop.git", "forge.github.kind = \"github\""),
        ("https://git.example/x/scm/PROJ/shop.git", "forge.bitbucket-dc.api_url = \"https://git.example/x\""),
        (
            "https://ada@git.example:8443/scm/~ada/shop.git",
            "forge.bitbucket-dc.api_url = \"https://git.example:8443\"",
        ),
        ("ssh://git@git.example:7999/proj/shop.git", "forge.bitbucket-dc.repositories = [\"proj/shop\"]"),
        (
            "https://github.example.org/team/shop",
            "forge.github.api_url = \"https://github.example.org/api/v3\"",
        ),
        ("git@github.example.org:team/shop.git", "forge.github.git_url = \"https://github.example.org\""),
        ("https://acme.ghe.com/team/shop.git", "forge.github.api_url = \"https://api.acme.ghe.com\""),
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
            let is_derived = !origin.starts_with("https://")
                && written.contains("\nforge.")
                && written.lines().any(|line| line.contains(".api_url = ") && !line.starts_with('#'));
            assert_eq!(ran.err.contains("check `forge."), is_derived, "{origin}: {ran:?}");
            assert_eq!(home.run(&["config", "check", &file]).out, format!("{file}: fine\n"));
        }
    }
}

/// A file that serves every repository is not what the user of a clone wants, so the command says why the
/// repository is missing.
#[test]
fn init_warns_if_it_cannot_name_the_repository_of_the_clone() {
    let home = Home::empty();
    let git = |arguments: &[&str]| {
        let done = truing_fakes::repo::git_command(home.path()).args(arguments).status().unwrap();
        assert!(done.success());
    };
    let write = |file: &str| {
        let ran = home.run(&["init", "--output", file]);
        assert_eq!(ran.exit, 0, "{ran:?}");
        assert_eq!(home.run(&["config", "check", file]).out, format!("{file}: fine\n"));
        let written = std::fs::read_to_string(home.path().join(file)).unwrap();
        (ran.err.split_whitespace().collect::<Vec<_>>().join(" "), written)
    };
    let placeholder = "\n# forge.github.repositories = [\"OWNER/NAME\"]\n";
    git(&["init", "--quiet"]);
    git(&["remote", "add", "upstream", "https://bitbucket.org/team/shop.git"]);
    let (told, written) = write("only.toml");
    assert!(told.contains("serves only team/shop (the remote `upstream`)"), "{told}");
    assert!(written.contains("\nforge.bitbucket.repositories = [\"team/shop\"]\n"), "{written}");
    git(&["remote", "add", "fork", "git@github.com:ada/shop.git"]);
    let (told, written) = write("several.toml");
    assert!(told.contains("there are several remotes, and none is called `origin`"), "{told}");
    assert!(written.contains(placeholder), "{written}");

    git(&["remote", "add", "origin", "x"]);
    for (number, origin) in [
        "/srv/git/shop.git",
        "https://github.com/../..",
        "git@github.com:../..",
        "https://github.com/acme/.git",
        "https://github.com/acme/..",
        "https://github.com/acme/sh*op",
        "https://github.com/acme",
        "https://github.com/acme/shop/more",
    ]
    .into_iter()
    .enumerate()
    {
        git(&["remote", "set-url", "origin", origin]);
        let (told, written) = write(&format!("{number}.toml"));
        let is_explained = told.contains("the address of the remote `origin`, `")
            && told.contains("`, does not show a repository `OWNER/NAME`");
        assert!(is_explained, "{origin}: {told}");
        assert!(written.contains(placeholder), "{origin}: {written}");
    }
    git(&["remote", "set-url", "origin", "https://github.com/acme/shop"]);
    git(&["remote", "set-url", "--add", "origin", "https://github.com/mirror/shop"]);
    assert!(write("first.toml").1.contains("\nforge.github.repositories = [\"acme/shop\"]\n"));

    std::fs::write(home.path().join(".git/config"), "[remote\n").unwrap();
    let (told, written) = write("broken.toml");
    assert!(told.contains("the remote of this repository is unknown: "), "{told}");
    assert!(written.contains(placeholder), "{written}");
    std::fs::remove_dir_all(home.path().join(".git")).unwrap();
    git(&["init", "--quiet", "--bare", "."]);
    let (told, written) = write("bare.toml");
    assert!(told.contains("it is a bare repository"), "{told}");
    assert!(written.contains(placeholder), "{written}");
}

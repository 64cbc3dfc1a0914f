//! Tests of a server with the runtime `cli` on a machine where the `claude` program cannot be used.

use super::*;

/// Creates a site with the runtime `cli`, and with a path at which no program exists.
async fn site_without_program() -> (Site, truing_fakes::model::FakeModel) {
    let (site, model) = Site::with_model([], "").await;
    let program = site.home.file("no-such-program");
    site.home
        .replace_in_config("runtime = \"native\"\n", &format!("runtime = \"cli\"\nclaude = {program:?}\n"));
    (site, model)
}

#[tokio::test(flavor = "multi_thread")]
async fn server_without_program_reviews_with_rules_and_says_so() {
    let (site, model) = site_without_program().await;
    let server = site.serve();
    let ran = status::wait_for_status(&site, &server, 1, "\nruntime: the ").await;
    assert!(unwrap_lines(&ran.out).contains("reviews use only the rules"), "{ran:?}");
    let address = server.url.strip_prefix("http://").unwrap();
    let mut command = site.command(&["status", "--format", "json"]);
    let shown = Ran::from(command.env("TRUING_SERVER__LISTEN", address).output().unwrap()).json();
    assert_eq!((&shown["status"], &shown["runtime"]["name"]), (&"ready".into(), &"cli".into()));
    let problem = shown["runtime"]["problem"].as_str().unwrap();

    let number = site.open_clean("one").await;
    assert_eq!(site.deliver().await, [202]);
    let (state, summary) = site.wait_for_status(number).await;
    assert_eq!(state, "pending", "a review that lacks its model is not green: {summary}");
    let reason = format!("rules only, because the server cannot call the model: {problem}");
    assert!(summary.contains("review incomplete") && summary.contains(&reason), "{summary}");
    for text in [summary.as_str(), problem] {
        assert!(!text.contains("no-such-program"), "a path of the machine is shown: {text}");
    }
    assert!(model.request_log().is_empty());
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn start_without_program_warns_once_with_reason_and_hint() {
    let (site, _model) = site_without_program().await;
    let mut command = site.command(&["serve"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut log = Vec::new();
    for line in &mut lines {
        let is_serving = line.contains("health and metrics: ");
        log.push(line);
        if is_serving {
            break;
        }
    }
    let _server = Server::from_child(child);
    let log = unwrap_lines(&log.join("\n"));
    assert_eq!(log.matches("the runtime \"cli\"").count(), 1, "{log}");
    assert!(log.contains("reviews use only the rules until the program can be used. To fix this: "), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_without_program_fail() {
    let (site, model) = site_without_program().await;
    let number = site.open_clean("one").await;
    let page = site.page(number);
    let publish = ["review", "--pr", &page, "--publish"];
    let commands: [&[&str]; 2] = [&["serve", "--dry-run"], &publish];
    for arguments in commands {
        let ran = site.run(arguments);
        // The exit code is 3 on a machine whose sandbox is too weak for any program.
        assert!(matches!(ran.exit, 2 | 3) && ran.err.contains("the runtime \"cli\""), "{ran:?}");
    }
    assert!(model.request_log().is_empty());
}

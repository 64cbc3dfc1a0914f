//! A linter in the demonstration: a script of its own, since nobody knows what this machine has. Its finding is posted, moves
//! with its line, and is resolved when it is fixed.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use truing_agent::installed::Machine;
use truing_config::Config;
use truing_config::tool::{ToolConfig, ToolScope, Tools, When};
use truing_core::sandbox::Level;
use truing_fakes::forge::{Chaos, NewPull, PullView};
use truing_fakes::repo::Commit;
use truing_loops::tools::{Running, Toolbox};

use super::{Changes, Demo, DemoError, LOGIN, WRITER, duplicates, set_up};

/// Its name.
const NAME: &str = "no-todo";
/// The file that it looks at.
const FILE: &str = "report.py";
/// The program.
const SCRIPT: &str = "#!/bin/sh\nexec awk '/TODO/ { print FILENAME \":\" FNR \": TODO without a name\"; found = 1 } \
                      END { exit found }' \"$@\"\n";
/// The time that it may take.
const TIME: Duration = Duration::from_secs(60);

/// What a pull request with one finding of a linter showed through three pushes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Linted {
    /// The changes with each push.
    pub pushes: Vec<Changes>,
    /// Comments on code in the end.
    pub comments: usize,
    /// Comments that say what another one says already.
    pub duplicates: usize,
}

impl Linted {
    /// Was the finding posted once, and was it moved and resolved?
    pub fn holds(&self) -> bool {
        let [opened, moved, fixed] = self.pushes.as_slice() else { return false };
        (opened.new, moved.moved, fixed.fixed) == (1, 1, 1) && (self.comments, self.duplicates) == (1, 0)
    }
}

/// Writes the linter; the configuration with it, and what runs it. Neither, where this machine has no sandbox for it.
///
/// # Errors
/// [`DemoError::SetUp`]
pub(super) fn with_linter(config: &Config, folder: &Path) -> Result<(Config, Toolbox), DemoError> {
    let level = truing_loops::machine::sandbox_level();
    if level == Level::None {
        return Ok((config.clone(), Toolbox::default()));
    }
    let bin = folder.join("bin");
    std::fs::create_dir_all(&bin).map_err(set_up)?;
    let file = bin.join(NAME);
    std::fs::write(&file, SCRIPT).map_err(set_up)?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).map_err(set_up)?;
    let tool = ToolConfig {
        name: NAME.to_owned(),
        command: Some(vec![NAME.to_owned(), "{files}".to_owned()]),
        format: Some("unix".to_owned()),
        paths: Some(vec![FILE.to_owned()]),
        when: When::Changed,
        exit: None,
        timeout: TIME,
        scope: ToolScope::Lines,
    };
    let mut config = config.clone();
    config.review.tools = Tools::Auto;
    config.tools = vec![tool];
    let running = Running {
        machine: Machine { path: vec![bin], home: None },
        level,
        folders: std::collections::BTreeMap::new(),
        environment: None,
        is_served: true,
        verifier: None,
    };
    Ok((config, Toolbox { given: Vec::new(), running: Some(running) }))
}

impl Demo {
    /// Follows a pull request with a finding of a linter through three pushes: opened, lines on top, fixed. None, where this
    /// machine has no sandbox.
    ///
    /// # Errors
    /// [`DemoError`]
    pub async fn linted(&self) -> Result<Option<Linted>, DemoError> {
        if !self.has_linter {
            return Ok(None);
        }
        let (repo, branch) = (&self.repo, "report");
        repo.permit(WRITER, "write").await?;
        let push = async |text: &str| repo.push(branch, Commit::new("Report").write(FILE, text)).await;
        push("def report():\n    return 1  # TODO round\n").await?;
        let number = repo.open(NewPull::of(branch)).await?;
        self.deliver(Chaos::default()).await?;
        let first = self.until_reviewed(number).await?;
        let mut views = vec![PullView { comments: Vec::new(), ..first.clone() }, first];
        for text in [
            "# Sums.\n\n\ndef report():\n    return 1  # TODO round\n",
            "# Sums.\n\n\ndef report():\n    return round(1)\n",
        ] {
            push(text).await?;
            views.push(self.asked_for(number).await?);
        }
        let Some(last) = views.last() else { return Err(set_up("no review")) };
        Ok(Some(Linted {
            pushes: views.windows(2).map(|pair| Changes::of(&pair[0], &pair[1])).collect(),
            comments: last.inline().filter(|comment| comment.author == LOGIN).count(),
            duplicates: duplicates(last),
        }))
    }
}

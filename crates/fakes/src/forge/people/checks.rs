//! Check runs that a person asks for again.

use crate::forge::error::FakeError;
use crate::forge::people::Repo;
use crate::forge::state::checks::Again;
use crate::forge::state::event::Event;

impl Repo {
    /// Asks for a check run, or all of its suite, again, as this person.
    pub async fn rerun(&self, run: u64, by: &str, again: Again) -> Result<(), FakeError> {
        let by = by.to_owned();
        self.with(move |world, repo| {
            world.account(&by);
            let known = repo.checks.iter_mut().find(|known| known.id == run);
            let known = known.ok_or_else(|| FakeError::Missing(format!("check run {run}")))?;
            known.asked = true;
            let run = Box::new(known.clone());
            Ok(world.tell(repo, &Event::Check { run, again, by })?)
        })
        .await
    }
}

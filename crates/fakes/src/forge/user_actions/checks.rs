//! Simulates requests of people to rerun checks.

use crate::forge::error::FakeError;
use crate::forge::state::checks::RerunButton;
use crate::forge::state::event::FakeForgeEvent;
use crate::forge::user_actions::FakeRepo;

impl FakeRepo {
    /// As the given account, requests a rerun of one check run, or of all check runs of this check run's
    /// suite.
    pub async fn request_rerun(
        &self,
        check_run_id: u64,
        actor: &str,
        button: RerunButton,
    ) -> Result<(), FakeError> {
        let actor = actor.to_owned();
        self.with_repository(move |world, repo| {
            world.ensure_account(&actor);
            let known = repo.checks.iter_mut().find(|known| known.id == check_run_id);
            let known = known.ok_or_else(|| FakeError::Missing(format!("check run {check_run_id}")))?;
            known.is_rerun_requested = true;
            let run = Box::new(known.clone());
            Ok(world.deliver_event(repo, &FakeForgeEvent::RerunRequest { run, button, actor })?)
        })
        .await
    }
}

//! Tests of rules about files that must change together. For these rules, the service also exports unchanged
//! files.

use truing_fakes::forge::NewPull;
use truing_fakes::repo::CommitBuilder;

use crate::service::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn a_companion_that_did_not_change_is_seen() {
    let site = Site::new().await;
    let service = site.serve().await;
    let hashes = CommitBuilder::new("Hashes").write("tests/test_patches.py", "HASHES = {}\n");
    site.repo.push("main", hashes).await.unwrap();
    let patch = CommitBuilder::new("Override").write(
        "aiobotocore/discovery.py",
        "class AioEndpointDiscoveryManager(EndpointDiscoveryManager):\n    pass\n",
    );
    site.repo.push("patch", patch).await.unwrap();
    let number = site.repo.open_pull(NewPull::from_branch("patch")).await.unwrap();
    site.deliver().await;
    service.rest(&site.clock).await;
    let view = site.repo.pull(number).await.unwrap();
    let bodies: Vec<_> = view.inline_comments().map(|comment| comment.body.clone()).collect();
    let [body] = bodies.as_slice() else { panic!("{bodies:?}") };
    assert!(body.contains("`aiobotocore/patch-hashes`"), "{body}");
    service.stop().await;
}

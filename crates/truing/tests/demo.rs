//! The demonstration: what a scripted model finds stands beside what the rules find, without a key.

#![allow(clippy::unwrap_used, reason = "a helper of tests may fail them")]
#![cfg(feature = "demo")]

use truing::demo::Demo;
use truing::environment::Environment;
use truing::reader::ChildReader;
use truing::wiring;

#[tokio::test(flavor = "multi_thread")]
async fn a_scripted_model_reviews_beside_the_rules_and_says_what_it_costs() {
    let environment = Environment::of_process();
    let git = wiring::git(&environment).await.unwrap();
    let demo = Demo::start(git, ChildReader::new(env!("CARGO_BIN_EXE_truing"))).await.unwrap();
    let (view, _) = demo.first_review().await.unwrap();
    let lines: Vec<_> = view.inline().map(|comment| (&comment.place, comment.line)).collect();
    let found = view.inline().find(|comment| comment.body.contains("One refunded order ends all refunds"));
    assert_eq!(found.unwrap().line, Some(10), "{lines:?}");
    assert_eq!(lines.len(), 4, "three of rules, one of the model: {lines:?}");
    let asked = demo.asked().unwrap();
    // It read a file before it reported.
    assert_eq!(asked.model_calls, 2);
    assert!(asked.model_tokens_in > 1000 && asked.model_tokens_out > 10, "{asked:?}");
    // No price in the table is below a dollar for a million tokens in.
    assert!(asked.model_cost_micro_usd.0 >= asked.model_tokens_in, "{asked:?}");
    demo.stop().await.unwrap();
}

//! `truing demo`: tells the story of [`crate::demo`] as it happens.

use super::Context;
use super::error::{CliError, Exit};
use super::runtime::{self, Told};
use crate::config::RulesConfig;
use crate::demo::{Demo, DemoError, Report, SETTLE, TIMINGS};
use crate::wiring;

/// Watch a storm of pushes being reviewed: everything on this machine, no key needed
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Keep forge and service running afterwards, until interrupted
    #[arg(long)]
    stay: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    runtime::start()?.block_on(async {
        tokio::select! {
            ended = tell(args, context) => ended,
            told = runtime::told_to_stop() => match told? {
                Told::Interrupt => Err(CliError::new(Exit::Interrupted, "interrupted", "interrupted")),
                Told::Terminate | Told::HangUp => Ok(Exit::Done),
            },
        }
    })
}

async fn tell(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let output = context.output;
    let git = wiring::git(&context.environment).await?;
    output.say(format_args!(
        "Timings of this demo: debounce {} ms, at most {} s; a storm ends after {} s of quiet; comments settle \
         in {} ms.",
        TIMINGS.debounce.0,
        TIMINGS.max_wait.0 / 1000,
        TIMINGS.quiet.0 / 1000,
        SETTLE.0
    ));
    let demo = Demo::start(git, wiring::child_reader(&RulesConfig::default())?).await.map_err(failed)?;
    let (view, first) = demo.first_review().await.map_err(failed)?;
    if !output.is_json() {
        let mut text = format!("\nA pull request was opened; {first:.1} s later it shows this:\n");
        for comment in view.summaries().chain(view.inline()) {
            text += "\n";
            if let Some(place) = &comment.place {
                let line = comment.line.map(|line| format!(", line {line}")).unwrap_or_default();
                text += &format!("  [{}{line}]\n", place.path);
            }
            for line in comment.body.lines().filter(|line| !line.starts_with("<!--")) {
                text += &format!("  {line}\n");
            }
        }
        output.data(text)?;
    }
    let bar = output.progress(
        "\u{2009}Now a storm: 20 pull requests, 50 pushes each; webhooks lost, repeated, late",
        Some(50),
    );
    let report = demo.storm(first, |_| bar.advance(1)).await.map_err(failed)?;
    drop(bar);
    output.answer(&report, || story(&report))?;
    if args.stay {
        let (forge, service) = demo.addresses();
        output.say(format_args!("forge at {forge}, service at {service}; stop with Ctrl-C"));
        std::future::pending::<()>().await;
    }
    demo.stop().await.map_err(failed)?;
    Ok(if report.holds() { Exit::Done } else { Exit::No })
}

fn story(report: &Report) -> String {
    let Report { prs, pushes, deliveries, storms_each, reviews, most_reviews_of_one, findings, .. } = report;
    let promised = 2 * storms_each;
    let verdict = if report.holds() { "As promised." } else { "This is not what is promised." };
    format!(
        "\nThe storm: {prs} pull requests, {pushes} pushes, {deliveries} webhooks in {:.1} s\n\
         \x20 reviews computed      {reviews} (at most {most_reviews_of_one} a pull request; promised: {promised})\n\
         \x20 last commits missed   {} (promised: 0)\n\
         \x20 findings shown        {findings}\n\
         \x20 comments doubled      {} (promised: 0)\n\
         \x20 first review after    {:.1} s\n{verdict}\n",
        report.seconds_of_storm, report.unreviewed_heads, report.duplicates, report.seconds_to_first_review
    )
}

fn failed(error: DemoError) -> CliError {
    CliError::failed("demo", error.to_string())
}

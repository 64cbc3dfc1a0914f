//! Tests which recipients get a notice, and that failed notices are sent again. An HTTP server receives the
//! webhooks, and an SMTP server receives the mail. TLS is not tested.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use truing_config::secret::SecretText;
use truing_core::id::{SlotKey, SlotVersion, TimeSpan, UnixMillis};
use truing_core::port::{
    Clock as _, NewNotice, NoticeKind, OperatorStore as _, RunStore as _, SlotDescription, SlotStore as _,
};
use truing_core::slot::{self, HoldReason, Slot};
use truing_core::switch::{HaltMode, SwitchRequest};
use truing_loops::machine::SystemClock;
use truing_service::duty_lease::{self, DutyLeaseExpiry};
use truing_service::metrics::ServiceMetrics;
use truing_service::notify::{MailSink, NoticeSinks, WebhookSink, queue_parked_notice, send_notices_forever};
use truing_store::Store;

use crate::support::home::{Deployment, Home};

fn store(folder: &Path) -> Store {
    Store::open(&folder.join("truing.db"), Arc::new(SystemClock)).unwrap()
}

fn notice(period: &str) -> NewNotice {
    NewNotice::new(NoticeKind::Budget, "key", period, &format!("notice {period}"))
}

// ---------------------------------------------------------------------------------------------- doubles

/// A server that receives webhooks. For the first requests, the server responds with the given statuses, and
/// then always with 200.
#[derive(Clone, Default)]
struct Hooks(Arc<Mutex<(Vec<Value>, VecDeque<u16>)>>);

impl Hooks {
    async fn start(statuses: &[u16]) -> (Self, SecretText) {
        let hooks = Self::default();
        hooks.0.lock().unwrap().1.extend(statuses);
        let routes = axum::Router::new()
            .route("/services/{secret}", axum::routing::post(Self::take))
            .with_state(hooks.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = SecretText::new(format!("http://{}/services/canary", listener.local_addr().unwrap()));
        tokio::spawn(axum::serve(listener, routes).into_future());
        (hooks, url)
    }

    async fn take(State(hooks): State<Self>, axum::Json(body): axum::Json<Value>) -> StatusCode {
        let mut state = hooks.0.lock().unwrap();
        state.0.push(body);
        StatusCode::from_u16(state.1.pop_front().unwrap_or(200)).unwrap()
    }

    /// Returns the texts of the received notices, without the time at the end of each text.
    fn texts(&self) -> Vec<String> {
        let text = |body: &Value| body["text"].as_str().unwrap().rsplit_once(" (").unwrap().0.to_owned();
        self.0.lock().unwrap().0.iter().map(text).collect()
    }
}

/// A mail as the mail server received it.
#[derive(Debug, Default)]
struct ReceivedMail {
    auth: Option<String>,
    from: String,
    to: Vec<String>,
    data: String,
}

/// Starts a mail server that accepts any client over SMTP without TLS. If `refuse` is given, it is the
/// response to `MAIL FROM`.
async fn mail_server(refuse: Option<&'static str>) -> (String, mpsc::Receiver<ReceivedMail>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, letters) = mpsc::channel(64);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream, refuse, tell.clone()));
        }
    });
    (address, letters)
}

async fn talk(stream: TcpStream, refuse: Option<&'static str>, tell: mpsc::Sender<ReceivedMail>) {
    let (from, mut to) = stream.into_split();
    let mut lines = BufReader::new(from).lines();
    let mut letter = ReceivedMail::default();
    to.write_all(b"220 double ESMTP\r\n").await.unwrap();
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = match line.split([' ', ':']).next().unwrap().to_uppercase().as_str() {
            "EHLO" => "250-double\r\n250 AUTH PLAIN\r\n",
            "AUTH" => {
                letter.auth = line.strip_prefix("AUTH PLAIN ").map(str::to_owned);
                "235 ok\r\n"
            }
            "MAIL" => {
                letter.from = line;
                if refuse.is_some() {
                    tell.send(std::mem::take(&mut letter)).await.unwrap();
                }
                refuse.unwrap_or("250 ok\r\n")
            }
            "RCPT" => {
                letter.to.push(line);
                "250 ok\r\n"
            }
            "DATA" => {
                to.write_all(b"354 go on\r\n").await.unwrap();
                while let Ok(Some(line)) = lines.next_line().await {
                    if line == "." {
                        break;
                    }
                    letter.data += &format!("{line}\n");
                }
                tell.send(std::mem::take(&mut letter)).await.unwrap();
                "250 taken\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 ok\r\n",
        };
        to.write_all(answer.as_bytes()).await.unwrap();
    }
}

fn sinks(webhook: Option<&SecretText>, mail: Option<MailSink>) -> NoticeSinks {
    let webhook = webhook.map(|url| WebhookSink::new(url).unwrap());
    NoticeSinks::new(webhook, mail, ServiceMetrics::new().unwrap())
        .with_initial_retry_delay(Duration::from_millis(1))
}

fn mail(url: &str, password: Option<&str>) -> MailSink {
    MailSink::new(&SecretText::new(url), password.map(SecretText::new).as_ref()).unwrap()
}

// ---------------------------------------------------------------------------------------------- tests

#[tokio::test]
async fn turns_of_the_switch_are_told_by_webhook_and_mail_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let (hooks, url) = Hooks::start(&[]).await;
    let (address, mut letters) = mail_server(None).await;
    let mail = mail(&format!("smtp://me@{address}?to=a@b.test,c@d.test&from=t@x.test"), Some("pa ss"));
    let sinks = sinks(Some(&url), Some(mail));
    let on = SwitchRequest::TurnOn { reason: Some("<!channel> störm".into()), mode: Some(HaltMode::Stop) };
    store.turn_switch(&on, "ada").await.unwrap();
    store.turn_switch(&SwitchRequest::TurnOff, "bob").await.unwrap();
    for _ in 0..2 {
        sinks.deliver_pending(&store).await.unwrap();
    }
    assert_eq!(
        hooks.texts(),
        [
            "Truing: The kill switch is on, set by ada (mode stop: &lt;!channel&gt; störm): no work starts \
             until the switch is off.",
            "Truing: The kill switch is off, set by bob: due work continues."
        ]
    );
    let (first, second) = (letters.recv().await.unwrap(), letters.recv().await.unwrap());
    assert!(letters.try_recv().is_err());
    assert_eq!(first.auth.as_deref(), Some("AG1lAHBhIHNz"), "user and password, as AUTH PLAIN has them");
    assert_eq!((first.from.as_str(), first.to.len()), ("MAIL FROM:<t@x.test>", 2));
    assert!(second.data.contains("Subject: Truing: The kill switch is off, set by bob"), "{}", second.data);
    assert_eq!(sinks.failed_count(), 0);
}

#[tokio::test]
async fn a_sink_that_fails_is_tried_again_and_one_that_refuses_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let (hooks, url) = Hooks::start(&[503, 429]).await;
    let sinks = sinks(Some(&url), None);
    store.queue_notices(&[notice("1")]).await.unwrap();
    sinks.deliver_pending(&store).await.unwrap();
    assert_eq!((hooks.texts().len(), sinks.failed_count()), (3, 0));

    hooks.0.lock().unwrap().1.extend([404]);
    store.queue_notices(&[notice("2")]).await.unwrap();
    sinks.deliver_pending(&store).await.unwrap();
    assert_eq!((hooks.texts().len(), sinks.failed_count()), (4, 1));
    assert!(store.pending_notices(9).await.unwrap().is_empty(), "it is given up");
}

#[tokio::test]
async fn a_dead_sink_holds_up_neither_the_other_nor_what_comes_after() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let (hooks, url) = Hooks::start(&[]).await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let sinks = sinks(Some(&url), Some(mail(&format!("smtp://{gone}?to=a@b.test"), None)));
    store.queue_notices(&[notice("1"), notice("2"), notice("3")]).await.unwrap();
    sinks.deliver_pending(&store).await.unwrap();
    assert_eq!(hooks.texts(), ["Truing: notice 1", "Truing: notice 2", "Truing: notice 3"]);
    assert_eq!(sinks.failed_count(), 3);
}

#[tokio::test]
async fn a_mail_server_that_refuses_is_not_asked_again_and_one_that_is_busy_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    for (answer, tries) in [("550 no\r\n", 1), ("451 later\r\n", 5)] {
        let (address, mut letters) = mail_server(Some(answer)).await;
        let sinks = sinks(None, Some(mail(&format!("smtp://{address}?to=a@b.test"), None)));
        store.queue_notices(&[notice(answer)]).await.unwrap();
        sinks.deliver_pending(&store).await.unwrap();
        let tried = std::iter::from_fn(|| letters.try_recv().ok()).count();
        assert_eq!((tried, sinks.failed_count()), (tries, 1), "{answer}");
    }
}

#[tokio::test]
async fn away_from_this_machine_mail_goes_by_tls_or_not_at_all() {
    // The host name in the URL is not a loopback address, so mail requires TLS, which the server does not
    // support.
    let (address, mut letters) = mail_server(None).await;
    let port = address.rsplit_once(':').unwrap().1;
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let sinks = sinks(None, Some(mail(&format!("smtp://me@0.0.0.0:{port}?to=a@b.test"), Some("pass"))));
    store.queue_notices(&[notice("1")]).await.unwrap();
    sinks.deliver_pending(&store).await.unwrap();
    assert_eq!(sinks.failed_count(), 1);
    assert!(letters.try_recv().is_err(), "nothing was sent in clear");
}

#[tokio::test]
async fn what_was_not_told_is_told_after_a_restart_and_what_nobody_is_to_be_told_is_not_kept_for_later() {
    let folder = tempfile::tempdir().unwrap();
    store(folder.path()).queue_notices(&[notice("1")]).await.unwrap();
    let store = store(folder.path());
    let (hooks, url) = Hooks::start(&[]).await;
    sinks(Some(&url), None).deliver_pending(&store).await.unwrap();
    assert_eq!(hooks.texts(), ["Truing: notice 1"]);
    store.queue_notices(&[notice("2")]).await.unwrap();
    sinks(None, None).deliver_pending(&store).await.unwrap();
    sinks(Some(&url), None).deliver_pending(&store).await.unwrap();
    assert_eq!(hooks.texts().len(), 1);
}

#[tokio::test]
async fn a_parked_slot_is_told_once_a_day_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let key = SlotKey::new("pr/github/1/7");
    let described = SlotDescription { name: "o/r#7".into(), url: "https://x.test/7".into(), head: None };
    store.store_descriptions(&[(key.clone(), described)]).await.unwrap();
    let today = UnixMillis(1_790_000_000_000);
    for at in [today, today + TimeSpan::minutes(5), today + TimeSpan::minutes(24 * 60)] {
        queue_parked_notice(&store, &key, 5, at).await;
    }
    assert_eq!(store.pending_notices(9).await.unwrap(), [], "it is not parked yet, and may never be");
    let parked = Slot { state: slot::SlotState::Held { reason: HoldReason::Parked }, ..Slot::new(key) };
    store.commit_slots(&[(SlotVersion(0), parked)]).await.unwrap();
    let told = store.pending_notices(9).await.unwrap();
    assert_eq!(told.len(), 2, "{told:#?}");
    assert_eq!(
        told[0].text,
        "o/r#7 is parked after 5 failed attempts. `truing why o/r#7` says why, `truing queue retry o/r#7` \
         starts over."
    );
}

#[tokio::test]
async fn of_two_processes_one_has_the_duties_until_it_leaves() {
    let home = Home::new(Deployment::Servers, std::path::PathBuf::new());
    let (one, two) = (home.open(Arc::new(SystemClock)).await, home.open(Arc::new(SystemClock)).await);
    let (of_one, of_two) = (DutyLeaseExpiry::default(), DutyLeaseExpiry::default());
    for _ in 0..2 {
        duty_lease::renew_lease(&one, &of_one).await;
        duty_lease::renew_lease(&two, &of_two).await;
        assert_eq!((of_one.is_held(), of_two.is_held()), (true, false));
    }
    duty_lease::release_lease(&one, &of_one).await;
    duty_lease::renew_lease(&two, &of_two).await;
    duty_lease::renew_lease(&one, &of_one).await;
    assert_eq!((of_one.is_held(), of_two.is_held()), (false, true));
}

#[tokio::test]
async fn the_task_tells_what_comes() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let (hooks, url) = Hooks::start(&[]).await;
    let sole = DutyLeaseExpiry::default();
    duty_lease::renew_lease(&store, &sole).await;
    let task = {
        let (store, sinks) = (store.clone(), sinks(Some(&url), None));
        tokio::spawn(
            async move { send_notices_forever(&store, &sinks, Duration::from_millis(10), &sole).await },
        )
    };
    store.queue_notices(&[notice("1")]).await.unwrap();
    let deadline = SystemClock.now() + TimeSpan::seconds(60);
    let mut look = tokio::time::interval(Duration::from_millis(10));
    while hooks.texts().is_empty() {
        assert!(SystemClock.now() < deadline);
        look.tick().await;
    }
    task.abort();
}

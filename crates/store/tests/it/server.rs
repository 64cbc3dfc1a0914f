//! Tests of servers that the store refuses, and of the error for each. Other tests change the data or close
//! the connections of a store, which must then continue to work.

use std::net::TcpListener;

use truing_core::port::{OperatorStore as _, StoreError};
use truing_core::switch::SwitchRequest;

use super::*;

impl SlotServer {
    /// Sends a command to the server, and returns the response as text.
    pub(crate) fn send_command(&self, database: u32, arguments: &[&str]) -> String {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/{database}", self.port)).unwrap();
        let (command, rest) = arguments.split_first().unwrap();
        let mut asked = redis::cmd(command);
        for argument in rest {
            asked.arg(*argument);
        }
        let answer: redis::Value = asked.query(&mut client.get_connection().unwrap()).unwrap();
        redis::from_redis_value_ref(&answer).unwrap_or_else(|_| format!("{answer:?}"))
    }
}

async fn connect(records: &str) -> Result<Store, truing_store::PostgresConnectError> {
    Store::connect(&SlotServer::shared_server().url(SlotServer::new_database()), records, None).await
}

/// Returns the error of a connection that must fail.
async fn connect_refused(url: &str) -> String {
    match connect(url).await {
        Ok(_) => panic!("{url} was opened"),
        Err(error) => error.to_string(),
    }
}

fn tcp_url(user: &str, database: &str, options: &str) -> String {
    format!("postgres://{user}@127.0.0.1:{}/{database}?{options}", Server::shared_server().port)
}

#[tokio::test]
async fn each_server_that_cannot_be_the_store_is_named_with_what_to_do() {
    let server = Server::shared_server();
    let database = server.new_database();
    let make = "CREATE ROLE guarded LOGIN PASSWORD 'right'; CREATE ROLE poor LOGIN";
    assert!(server.psql(&database, &[make]).1);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let hangs = format!("postgres://truing@{}/x?sslmode=disable", silent.local_addr().unwrap());
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("postgres://truing@{}/x?sslmode=disable", listener.local_addr().unwrap())
    };
    let cases = [
        ("postgres://".to_owned() + "[", "write postgres://USER@HOST/DATABASE"),
        (tcp_url("guarded:wrong-one", &database, "sslmode=disable"), "does not accept the password"),
        (
            tcp_url("truing", "nowhere", "sslmode=disable"),
            "the database does not exist; create the database (createdb)",
        ),
        (tcp_url("poor", &database, "sslmode=disable"), "GRANT CREATE ON DATABASE"),
        (tcp_url("truing", &database, "sslmode=require"), "TLS"),
        (closed, "cannot be reached; check that it runs"),
        (hangs, "has not answered within 5 s"),
    ];
    for (url, part) in cases {
        let said = connect_refused(&url).await;
        assert!(said.contains(part), "{url}: {said}");
        assert!(!said.contains("wrong-one"), "{said}");
        assert!(said.contains("store.records") || said.contains(&database) || said.contains("/x"), "{said}");
    }
}

#[tokio::test]
async fn a_form_that_this_version_cannot_use_is_refused_and_one_that_it_can_is_not() {
    let (server, database) = (Server::shared_server(), Server::shared_server().new_database());
    drop(connect(&server.url(&database)).await.unwrap());
    let form = |version: i64, oldest: i64| {
        let sql =
            format!("UPDATE truing.schema_version SET version = {version}, min_program_version = {oldest}");
        assert!(server.psql(&database, &[&sql]).1);
    };
    form(9, 6);
    let said = connect_refused(&server.url(&database)).await;
    assert!(
        said.contains(
            "has schema version 9, which needs a program with schema version 6 or later; this program has 1"
        ),
        "{said}"
    );
    // A newer version of Truing has added a table. The present version must still work with this database.
    form(6, 1);
    let store = connect(&server.url(&database)).await.unwrap();
    store.turn_switch(&SwitchRequest::TurnOff, "ada").await.unwrap();
    assert_eq!(
        server.psql(&database, &["SELECT version FROM truing.schema_version"]).0.trim(),
        "6",
        "it is left as it is"
    );
}

#[tokio::test]
async fn of_servers_that_begin_at_once_one_makes_the_tables() {
    let url = Server::shared_server().url(&Server::shared_server().new_database());
    let opened = tokio::join!(connect(&url), connect(&url), connect(&url), connect(&url),);
    for store in [opened.0, opened.1, opened.2, opened.3] {
        store.unwrap().clear_sweep_request(UnixMillis(0)).await.unwrap();
    }
}

#[tokio::test]
async fn connections_that_are_cut_are_made_anew_and_a_server_that_may_not_be_written_is_told() {
    let (server, database) = (Server::shared_server(), Server::shared_server().new_database());
    let store = connect(&server.url(&database)).await.unwrap();
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
               AND pid <> pg_backend_pid()";
    for _ in 0..3 {
        store.clear_sweep_request(UnixMillis(0)).await.unwrap();
        assert!(server.psql(&database, &[cut]).1);
        // The first call after the connections are closed may fail; later calls must succeed.
        match store.clear_sweep_request(UnixMillis(0)).await {
            Ok(_) => {}
            Err(StoreError::Unavailable(said)) => assert!(said.contains("try again"), "{said}"),
            Err(other) => panic!("{other}"),
        }
    }
    let read_only = format!("ALTER DATABASE {database} SET default_transaction_read_only = on");
    assert!(server.psql(&database, &[&read_only, cut]).1);
    let mut said = String::new();
    for _ in 0..2 {
        said = store.clear_sweep_request(UnixMillis(0)).await.unwrap_err().to_string();
    }
    assert!(said.contains("the server accepts no writes"), "{said}");
    store.kill_switches().await.unwrap();
}

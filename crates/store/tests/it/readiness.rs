//! Tests of the operations that a start and a readiness check try: each operation that the work needs is
//! tried, the error names the operation that failed, and nothing is left behind.

use truing_core::port::{OperatorStore as _, SlotStore as _, StoreCheckError};

use super::pgbouncer::Pooler;
use super::*;

const ALL_RULES: &str = "~truing:* ~review:slot:* ~bot:killswitch:enabled &truing:* +@all";

/// Replaces the rules of a user at the shared server, and returns the URL of a database for this user.
fn set_acl_user(database: u32, user: &str, rules: &str) -> String {
    let server = SlotServer::shared_server();
    let command = format!("ACL SETUSER {user} reset on >word {rules}");
    server.send_command(database, &command.split(' ').collect::<Vec<_>>());
    server.url(database).replace("://", &format!("://{user}:word@"))
}

async fn connect(slots: &str, records: &str) -> Store {
    Store::connect(slots, records, Some(ManualWallClock::at(NOW))).await.unwrap()
}

/// Tries the operations several times, and returns the error, which must always be the same.
async fn failed_operation(store: &Store) -> StoreCheckError {
    let failed = store.check_operations().await.unwrap_err();
    for _ in 0..3 {
        assert_eq!(store.check_operations().await.as_ref(), Err(&failed), "the result is stable");
    }
    failed
}

#[tokio::test]
async fn names_command_and_keys_that_user_lacks() {
    let records = Server::shared_server().url(&Server::shared_server().new_database());
    let cases = [
        ("-@scripting", "SCRIPT LOAD", "script|load"),
        ("-evalsha", "EVALSHA on bot:killswitch:enabled (the script to set the kill switch)", "evalsha"),
        ("-script", "SCRIPT LOAD", "script|load"),
        ("-hset", "HSET on review:slot:*", "hset"),
        ("-zadd", "ZADD on truing:*", "zadd"),
        ("-@write", "DEL on truing:*", "del"),
        ("-mget", "MGET on bot:killswitch:enabled", "mget"),
        ("resetkeys ~truing:* ~bot:killswitch:enabled", "HSET on review:slot:*", "key"),
        ("resetkeys ~review:slot:* ~bot:killswitch:enabled", "MGET on bot:killswitch:enabled", "key"),
        ("resetkeys ~truing:* ~review:slot:*", "MGET on bot:killswitch:enabled", "key"),
        ("resetkeys %R~truing:* ~review:slot:* ~bot:killswitch:enabled", "DEL on truing:*", "key"),
        (
            "resetkeys ~truing:* ~review:slot:* %R~bot:killswitch:enabled",
            "EVALSHA on bot:killswitch:enabled (the script to set the kill switch)",
            "key",
        ),
    ];
    for (number, (rules, operation, part)) in cases.into_iter().enumerate() {
        let database = SlotServer::new_database();
        let user = format!("limited{number}");
        let store = connect(&set_acl_user(database, &user, ALL_RULES), &records).await;
        store.check_operations().await.unwrap();
        // The rules change while the store is open.
        set_acl_user(database, &user, &format!("{ALL_RULES} {rules}"));
        let failed = failed_operation(&store).await;
        let told = failed.to_string();
        assert_eq!(failed.operation, operation, "{rules}: {told}");
        assert!(
            told.contains("this user lacks a permission; allow") && told.contains(part),
            "{rules}: {told}"
        );
        set_acl_user(database, &user, ALL_RULES);
        store.check_operations().await.unwrap();
    }
}

#[tokio::test]
async fn goes_on_where_info_and_channels_are_refused() {
    let records = Server::shared_server().url(&Server::shared_server().new_database());
    // The first rules are those of docs/scaling.md.
    for added in ["-@admin -@dangerous +info", "resetchannels -info -config -eval -acl -flushall"] {
        let rules = format!("{ALL_RULES} {added}");
        let store = connect(&set_acl_user(SlotServer::new_database(), "managed", &rules), &records).await;
        store.check_operations().await.unwrap();
    }
}

#[tokio::test]
async fn check_changes_and_leaves_nothing() {
    let home =
        Home::Servers { slots: SlotServer::new_database(), records: Server::shared_server().new_database() };
    let Home::Servers { slots, .. } = &home else { unreachable!() };
    let store = home.open().await;
    let other = home.open().await;
    let server = SlotServer::shared_server();
    assert_eq!(server.send_command(*slots, &["DBSIZE"]), "0");
    // The script texts are removed, as by a restart of the server.
    server.send_command(*slots, &["SCRIPT", "FLUSH"]);
    for _ in 0..100 {
        let (first, second) = tokio::join!(store.check_operations(), other.check_operations());
        first.unwrap();
        second.unwrap();
    }
    assert_eq!(server.send_command(*slots, &["DBSIZE"]), "0");
    assert!(store.due_slots(UnixMillis(i64::MAX), 10).await.unwrap().is_empty());
    let size =
        "SELECT pg_relation_size('truing.schema_version'), count(*), max(version) FROM truing.schema_version";
    let version = home.run_sql("SELECT version FROM truing.schema_version").unwrap().remove(0);
    assert_eq!(home.run_sql(size).unwrap(), [format!("8192|1|{version}")]);
}

#[tokio::test]
async fn full_or_unreplicated_server_names_refused_write() {
    let records = Server::shared_server().url(&Server::shared_server().new_database());
    let server = SlotServer::start_separate();
    let store = connect(&server.url(0), &records).await;
    for (setting, value, normal, part) in
        [("maxmemory", "1", "0", "raise maxmemory"), ("min-replicas-to-write", "1", "0", "too few replicas")]
    {
        server.send_command(0, &["CONFIG", "SET", setting, value]);
        let failed = failed_operation(&store).await;
        let told = failed.to_string();
        assert!(told.contains(part), "{setting}: {told}");
        server.send_command(0, &["CONFIG", "SET", setting, normal]);
        store.check_operations().await.unwrap();
    }
}

#[tokio::test]
async fn evicting_server_is_refused_by_its_policy() {
    let records = Server::shared_server().url(&Server::shared_server().new_database());
    let server = SlotServer::start_separate();
    server.send_command(0, &["CONFIG", "SET", "maxmemory", "100mb"]);
    for policy in ["allkeys-lru", "volatile-ttl", "allkeys-random"] {
        server.send_command(0, &["CONFIG", "SET", "maxmemory-policy", policy]);
        let told = Store::connect(&server.url(0), &records, None).await.err().unwrap().to_string();
        assert!(told.contains(policy) && told.contains("set maxmemory-policy noeviction"), "{told}");
    }
    server.send_command(0, &["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    connect(&server.url(0), &records).await.check_operations().await.unwrap();
}

#[tokio::test]
async fn database_without_writes_or_privileges_is_named() {
    let server = Server::shared_server();
    let slots = SlotServer::new_database();
    let database = server.new_database();
    let user = format!("clerk_{database}");
    let make = format!("CREATE ROLE {user} LOGIN; GRANT CREATE ON DATABASE {database} TO {user}");
    assert!(server.psql(&database, &[&make]).1);
    let records = format!("postgres://{user}@127.0.0.1:{}/{database}?sslmode=disable", server.port);
    let store = connect(&SlotServer::shared_server().url(slots), &records).await;
    store.check_operations().await.unwrap();
    for (take, give, operation, part) in [
        (
            format!("REVOKE INSERT ON truing.finding FROM {user}"),
            format!("GRANT INSERT ON truing.finding TO {user}"),
            "INSERT on table truing.finding",
            "lacks the privilege INSERT on table truing.finding; make the user the owner",
        ),
        (
            format!("REVOKE USAGE ON SCHEMA truing FROM {user}"),
            format!("GRANT USAGE ON SCHEMA truing TO {user}"),
            "USAGE on schema truing",
            "lacks the privilege USAGE on schema truing; make the user the owner",
        ),
    ] {
        assert!(server.psql(&database, &[&take]).1);
        let failed = failed_operation(&store).await;
        let told = failed.to_string();
        assert!(failed.operation == operation && told.contains(part), "{take}: {told}");
        assert!(server.psql(&database, &[&give]).1);
        store.check_operations().await.unwrap();
    }
    let read_only = format!("ALTER DATABASE {database} SET default_transaction_read_only = on");
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
               AND pid <> pg_backend_pid()";
    assert!(server.psql(&database, &[&read_only, cut]).1);
    // The first check also finds that its sessions were ended, and opens new ones.
    let failed = failed_operation(&store).await;
    assert_eq!(failed.operation, "write to PostgreSQL", "{failed}");
    assert!(failed.to_string().contains("the server accepts no writes"), "{failed}");
}

#[tokio::test]
async fn transaction_pooler_is_refused_and_session_pooler_works() {
    let server = Server::shared_server();
    let slots = SlotServer::shared_server();
    for settings in [
        "pool_mode = transaction",
        "pool_mode = transaction\ndefault_pool_size = 1",
        "pool_mode = transaction\nserver_round_robin = 1\nmin_pool_size = 2",
        "pool_mode = statement",
    ] {
        let database = server.new_database();
        let Some(pooler) = Pooler::start(settings) else {
            eprintln!("skipped: no PgBouncer: `apt-get install pgbouncer`, or run `cargo xtask test`");
            return;
        };
        for _ in 0..2 {
            let opened =
                Store::connect(&slots.url(SlotServer::new_database()), &pooler.url(&database), None).await;
            let told = opened.err().expect(settings).to_string();
            let part = if settings.contains("statement") { "statement" } else { "set pool_mode = session" };
            assert!(told.contains(part) && told.contains("PostgreSQL at 127.0.0.1"), "{settings}: {told}");
        }
        let (tables, _) = server.psql(&database, &["SELECT count(*) FROM pg_tables WHERE tablename = 'run'"]);
        assert_eq!(tables.trim(), "0", "{settings}: no schema was created");
    }
    let pooler = Pooler::start("pool_mode = session").unwrap();
    let database = server.new_database();
    let store = connect(&slots.url(SlotServer::new_database()), &pooler.url(&database)).await;
    store.check_operations().await.unwrap();
    store.kill_switches().await.unwrap();
}

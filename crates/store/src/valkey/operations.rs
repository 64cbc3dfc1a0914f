//! Checks the operations on Valkey that webhooks and reviews need: each command, and each script by its
//! digest. The checks use separate keys, and delete these keys. The names of the keys are constant, so a
//! check that was interrupted leaves nothing that the next check does not delete.

use redis::{Cmd, RedisResult, Value};
use truing_core::port::StoreCheckError;

use super::primary::PrimaryServer;
use super::script::LOAD_SCRIPT;
use super::{KILL_SWITCH_COPY_KEY, KILL_SWITCH_KEY, ValkeyServer};

const TEXT_KEY: &str = "truing:{truing}:check";
const LEASE_KEY: &str = "truing:{truing}:check:lease";
const SET_KEY: &str = "truing:{truing}:check:set";
const INDEX_KEY: &str = "truing:{truing}:check:index";
const STATES_KEY: &str = "truing:{truing}:check:states";
/// The key of the set that the script for swaps makes of [`STATES_KEY`] and a state.
const STATE_SET_KEY: &str = "truing:{truing}:check:states:idle/";
const ROW_KEY: &str = "review:slot:{truing}:check";

/// The operation that has failed if the server does not answer.
const CONNECT: &str = "connect to Valkey";
const OWN_KEYS: &str = "truing:*";
const ROW_KEYS: &str = "review:slot:*";

/// A command that the work uses.
struct CheckedCommand {
    name: &'static str,
    /// The pattern of the keys, as a rule for a user contains it; empty if the command uses no keys.
    key_pattern: &'static str,
    arguments: &'static [&'static str],
}

const fn checked_command(
    name: &'static str,
    key_pattern: &'static str,
    arguments: &'static [&'static str],
) -> CheckedCommand {
    CheckedCommand { name, key_pattern, arguments }
}

/// All commands that webhooks and reviews use, directly or in scripts.
const CHECKED_COMMANDS: &[CheckedCommand] = &[
    checked_command("TIME", "", &[]),
    checked_command("SCRIPT LOAD", "", &[LOAD_SCRIPT]),
    checked_command("MGET", KILL_SWITCH_KEY, &[KILL_SWITCH_KEY, KILL_SWITCH_COPY_KEY]),
    checked_command("DEL", OWN_KEYS, &[TEXT_KEY, SET_KEY, INDEX_KEY, STATES_KEY, STATE_SET_KEY]),
    checked_command("SET", OWN_KEYS, &[TEXT_KEY, "1", "PX", "60000"]),
    checked_command("MSET", OWN_KEYS, &[TEXT_KEY, "1"]),
    checked_command("GET", OWN_KEYS, &[TEXT_KEY]),
    checked_command("EXISTS", OWN_KEYS, &[TEXT_KEY]),
    checked_command("INCR", OWN_KEYS, &[TEXT_KEY]),
    checked_command("ZADD", OWN_KEYS, &[INDEX_KEY, "0", "check"]),
    checked_command("ZRANGE", OWN_KEYS, &[INDEX_KEY, "-", "+", "BYLEX", "LIMIT", "0", "1"]),
    checked_command("ZCARD", OWN_KEYS, &[INDEX_KEY]),
    checked_command("ZREM", OWN_KEYS, &[INDEX_KEY, "check"]),
    checked_command("ZREMRANGEBYSCORE", OWN_KEYS, &[INDEX_KEY, "-inf", "0"]),
    checked_command("SADD", OWN_KEYS, &[SET_KEY, "check"]),
    checked_command("SMEMBERS", OWN_KEYS, &[SET_KEY]),
    checked_command("SCARD", OWN_KEYS, &[SET_KEY]),
    checked_command("SREM", OWN_KEYS, &[SET_KEY, "check"]),
    checked_command("HSET", ROW_KEYS, &[ROW_KEY, "version", "1"]),
    checked_command("HMGET", ROW_KEYS, &[ROW_KEY, "version"]),
    checked_command("DEL", ROW_KEYS, &[ROW_KEY]),
];

impl CheckedCommand {
    fn to_command(&self) -> Cmd {
        let mut command = Cmd::new();
        for word in self.name.split(' ') {
            command.arg(word);
        }
        command.arg(self.arguments);
        command
    }

    fn operation(&self) -> String {
        match self.key_pattern {
            "" => self.name.to_owned(),
            pattern => format!("{} on {pattern}", self.name),
        }
    }
}

impl ValkeyServer {
    /// Tries the operations that webhooks and reviews need.
    pub(crate) async fn check_operations(&self) -> Result<(), StoreCheckError> {
        let connected = self.primary().await;
        let mut primary = connected.map_err(|error| StoreCheckError::new(CONNECT, error))?;
        self.check_commands(&mut primary).await?;
        self.check_scripts(&mut primary).await
    }

    /// Sends all commands together, and returns an error that names the first command that failed.
    async fn check_commands(&self, primary: &mut PrimaryServer) -> Result<(), StoreCheckError> {
        let mut pipeline = redis::pipe();
        for checked in CHECKED_COMMANDS {
            pipeline.add_command(checked.to_command());
        }
        let answers: RedisResult<Vec<RedisResult<Value>>> =
            pipeline.ignore_errors().query_async(primary).await;
        let answers = answers.map_err(|error| StoreCheckError::new(CONNECT, self.store_error(&error)))?;
        for (checked, answer) in CHECKED_COMMANDS.iter().zip(answers) {
            primary
                .mark_lost_on_error(answer)
                .map_err(|error| StoreCheckError::new(checked.operation(), self.store_error(&error)))?;
        }
        Ok(())
    }

    /// Runs the scripts as the work does. The scripts read the kill switch, but do not change it.
    async fn check_scripts(&self, primary: &mut PrimaryServer) -> Result<(), StoreCheckError> {
        let scripts = &self.scripts;
        let mut switch = scripts.set_switch_if_unchanged.key(KILL_SWITCH_KEY);
        // The keys never have these values, so the script does not set them.
        switch.key(KILL_SWITCH_COPY_KEY).arg("\0").arg("\0").arg("false");
        let mut raise = scripts.raise_counter.key(TEXT_KEY);
        raise.arg(0);
        let load = scripts.load.key(ROW_KEY);
        let mut lend = scripts.take_duty_lease.key(LEASE_KEY);
        lend.arg("check").arg(0);
        let mut workers = scripts.update_workers.key(INDEX_KEY);
        workers.arg("check").arg(0).arg(0);
        let mut share = scripts.swap_shared_text.key(LEASE_KEY);
        share.arg("").arg("").arg(1);
        let swap = |expected: &str, body: &str| {
            let mut call = scripts.swap.prepare_invoke();
            for key in
                [KILL_SWITCH_KEY, TEXT_KEY, INDEX_KEY, INDEX_KEY, STATES_KEY, TEXT_KEY, TEXT_KEY, ROW_KEY]
            {
                call.key(key);
            }
            call.arg(0).arg(0).arg("check").arg(expected).arg("idle/").arg("0").arg(body);
            call
        };
        // The delete must be last, because it removes what the others have written. Other processes use the
        // same keys, so the answers are not compared with what was written.
        let calls = [
            ("set the kill switch", KILL_SWITCH_KEY, &switch),
            ("raise the counter", OWN_KEYS, &raise),
            ("write a slot", ROW_KEYS, &swap("0", "{}")),
            ("read a slot", ROW_KEYS, &load),
            ("delete a slot", ROW_KEYS, &swap("1", "")),
            ("take the duty lease", OWN_KEYS, &lend),
            ("list the workers", OWN_KEYS, &workers),
            ("swap a shared text", OWN_KEYS, &share),
        ];
        for (purpose, key_pattern, call) in calls {
            let answer: RedisResult<Value> = call.invoke_async(primary).await;
            answer.map_err(|error| {
                let operation = format!("EVALSHA on {key_pattern} (the script to {purpose})");
                StoreCheckError::new(operation, self.store_error(&error))
            })?;
        }
        let mut delete = redis::cmd("DEL");
        delete.arg(&[TEXT_KEY, SET_KEY, INDEX_KEY, STATES_KEY, STATE_SET_KEY, ROW_KEY]);
        let deleted: RedisResult<()> = delete.query_async(primary).await;
        deleted.map_err(|error| StoreCheckError::new("DEL on truing:*", self.store_error(&error)))
    }
}

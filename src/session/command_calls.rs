//! The session's side of the commands: what passes between them, the exchange and the client.

use super::commands::{Around, Commands, HandleEnd};
use super::io::Now;
use super::Session;
use crate::error::Result;
use crate::protocol::command::Digest;

impl Session {
    /// A command is about to be given to the host. Returns its deadline, CLOCK_BOOTTIME milliseconds.
    pub fn begin_command(&mut self, now: Now, key: u64) -> Option<u64> {
        self.commands.as_deref_mut()?.begin(key, now.ms)
    }

    /// The host answers a command. The token's outcome is DELIVERED.
    pub fn answer_command(&mut self, now: Now, key: u64, payload: Vec<u8>) -> Result<u64> {
        let bytes = payload.len();
        let token = self.with_commands(now, |commands, around| commands.answer(key, payload, around))?;
        self.count_live(now, bytes);
        Ok(token)
    }

    /// The host's last handle of a command has ended.
    pub fn command_ended(&mut self, now: Now, key: u64, end: HandleEnd) {
        self.with_commands(now, |commands, around| commands.ended(key, end, around));
    }

    pub(super) fn commands_loaded(&mut self, now: Now, interrupted: Vec<Digest>) {
        if !interrupted.is_empty() {
            self.with_commands(now, |commands, around| commands.loaded(interrupted, around));
        }
    }

    /// Calls the commands if there was one.
    pub(super) fn with_any_commands(&mut self, now: Now, call: impl FnOnce(&mut Commands, &mut Around)) {
        if self.commands.is_some() {
            self.with_commands(now, call);
        }
    }

    pub(super) fn with_commands<T>(&mut self, now: Now, call: impl FnOnce(&mut Commands, &mut Around) -> T) -> T {
        let Session { commands, settings, login_ms, exchange, actions, connection, .. } = self;
        let commands = commands.get_or_insert_with(|| Box::new(Commands::new(settings.commands.clone(), *login_ms)));
        let online = connection.is_online() || connection.is_draining();
        call(commands, &mut Around { now: now.ms, online, exchange, actions })
    }
}

//! The host's handle of a command. It outlives the client.

use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{now, Client};
use crate::error::{Error, Result, Status};
use crate::panic;
use crate::protocol::command::{Command, ReplyTo};
use crate::session::{Event, EventKind, Handed, HandleEnd};
use crate::transport::clock;

/// The way from the handles to the client. While a handle uses the client, it holds the lock, and after the lock is
/// closed no handle uses it. So a handle is never the last owner of a client, and never runs what the end of a client
/// runs.
pub struct Door(Mutex<Weak<Client>>);

impl Door {
    pub fn to(client: Weak<Client>) -> Arc<Door> {
        Arc::new(Door(Mutex::new(client)))
    }

    /// Waits for the handles that use the client, and lets no other in.
    pub fn close(&self) {
        *self.lock() = Weak::new();
    }

    fn lock(&self) -> MutexGuard<'_, Weak<Client>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls the client. `None` if it is gone.
    fn with<T>(&self, call: impl FnOnce(&Client) -> T) -> Option<T> {
        let door = self.lock();
        let client = door.upgrade()?;
        let result = panic::catch(|| call(&client));
        if result.is_err() {
            client.mark_unusable();
        }
        drop(client);
        drop(door);
        result.ok()
    }
}

/// A command that was handed over.
pub struct CommandHandle {
    handed: Handed,
    /// CLOCK_BOOTTIME milliseconds.
    deadline: u64,
    reply: ReplyTo,
    /// For C.
    name: CString,
    retained: AtomicBool,
    door: Arc<Door>,
}

impl CommandHandle {
    pub fn new(handed: Handed, deadline: u64, door: &Arc<Door>) -> CommandHandle {
        let reply = handed.command.reply_to();
        // A topic has no NUL.
        let name = CString::new(handed.command.name()).unwrap_or_default();
        CommandHandle { handed, deadline, reply, name, retained: AtomicBool::new(false), door: Arc::clone(door) }
    }

    pub fn command(&self) -> &Command {
        &self.handed.command
    }

    pub fn name(&self) -> &CStr {
        &self.name
    }

    /// 0: the client's own device.
    pub fn subdevice(&self) -> u64 {
        self.handed.subdevice
    }

    pub fn since_login_ms(&self) -> u32 {
        self.handed.since_login_ms
    }

    pub fn was_interrupted(&self) -> bool {
        self.handed.interrupted
    }

    pub fn remaining_ms(&self) -> u32 {
        let left = self.deadline.saturating_sub(clock::boottime_ms());
        u32::try_from(left).unwrap_or(u32::MAX)
    }

    /// The host keeps the command.
    pub fn retained(&self) {
        self.retained.store(true, Ordering::Relaxed);
    }

    pub fn answer(
        &self,
        code: i32,
        data: Option<&[u8]>,
        message: Option<&str>,
        accepted: &mut dyn FnMut(u64),
    ) -> Result<()> {
        self.send(self.reply.answer(code, data, message)?, accepted)
    }

    pub fn raw_answer(&self, data: &[u8], accepted: &mut dyn FnMut(u64)) -> Result<()> {
        self.send(self.reply.raw_answer(data)?, accepted)
    }

    fn send(&self, payload: Vec<u8>, accepted: &mut dyn FnMut(u64)) -> Result<()> {
        let key = self.handed.key;
        let sent = self.door.with(|client| {
            client.accept(accepted, |session, now| session.answer_command(now, key, payload)).map_err(|error| {
                if client.is_unusable() {
                    gone()
                } else {
                    error
                }
            })
        });
        sent.unwrap_or_else(|| Err(gone()))
    }
}

fn gone() -> Error {
    Error::new(Status::ENOS_ERR_STATE, "the client of this command is gone")
}

impl Drop for CommandHandle {
    fn drop(&mut self) {
        let (key, retained) = (self.handed.key, self.retained.load(Ordering::Relaxed));
        let end = if retained { HandleEnd::Released } else { HandleEnd::Returned };
        let _ = panic::catch(|| self.door.with(|client| client.command_ended(key, end)));
    }
}

impl Client {
    pub(super) fn hand_over(self: &Arc<Self>, handed: Handed) {
        let begun = self.session().ok().and_then(|mut session| session.begin_command(now(), handed.key));
        let Some(deadline) = begun else { return };
        let handle = Arc::new(CommandHandle::new(handed, deadline, &self.door));
        self.counters.command();
        let topic = handle.command().topic.clone();
        let Handed { subdevice, user, .. } = handle.handed;
        let event = Event::new(EventKind::Command, Status::ENOS_OK, "").topic(topic);
        let event = Event { subdevice, user, ..event };
        self.emit(&event, Some(&handle));
    }

    fn command_ended(&self, key: u64, end: HandleEnd) {
        if let Ok(mut session) = self.session() {
            session.command_ended(now(), key, end);
        }
        self.waker.notify();
    }
}

//! The sub-devices of a gateway. The library logs them in when the gateway is online, and again on each new link.
//!
//! One login request is under way at a time. First come [batches](round), then, singly, those that a batch has named as
//! failed; each of them waits longer after each failure. Nothing of a sub-device is sent before its login.

mod calls;
mod register;
mod round;
mod secrets;
mod subdevice;
#[cfg(test)]
mod tests;
mod told;

use std::collections::VecDeque;

use super::backoff::Backoff;
use super::batch::Batch;
use super::exchange::{Exchange, Outgoing, Owner};
use super::io::{Action, Now};
use super::settings::SubdeviceSettings;
use crate::error::{Error, Result, Status};
use crate::model::sign::SignMethod;
use crate::model::subdevice::SubdeviceState;
use crate::protocol::subdevice::{keys, logout};
use crate::protocol::{topic, Identity, Operation};
use crate::sorted::SortedMap;

use register::Held;
use round::Round;
use subdevice::Stored;
pub use subdevice::{NewSubdevice, Subdevice};

/// The pause after a login request that EnOS has not answered, or has no time for.
const PAUSE_MIN_MS: u64 = 1_000;
const PAUSE_MAX_MS: u64 = 300_000;

/// What the gateway needs from the session.
pub struct Around<'a> {
    pub now: Now,
    /// The gateway's own.
    pub identity: &'a Identity,
    pub method: SignMethod,
    pub exchange: &'a mut Exchange,
    pub actions: &'a mut VecDeque<Action>,
    pub rng: &'a mut fastrand::Rng,
}

pub struct Gateway {
    settings: SubdeviceSettings,
    has_storage: bool,
    next_id: u64,
    subdevices: SortedMap<u64, Subdevice>,
    /// The ids by the keys as they stand in topics.
    ids: SortedMap<String, u64>,
    /// The gateway is logged in.
    online: bool,
    batch: Batch,
    /// The size of the last batch, if it was refused as a whole or not answered, and none has passed since then.
    failed_batch: Option<usize>,
    /// The login request that is under way.
    round: Option<Round>,
    pause: Backoff,
    pause_until: u64,
    /// How many secrets are in no storage.
    unsaved: usize,
    /// A secret is being read or stored.
    storage_busy: bool,
    /// The host's requests whose replies may still bring secrets on the present link, and the replies that are held.
    registers: Vec<u64>,
    held: Vec<Held>,
    /// Those whose state may be another, or that were removed.
    moved: Vec<u64>,
    /// The deadline has to be found again.
    changed: bool,
    due: Option<u64>,
}

impl Gateway {
    pub fn new(settings: SubdeviceSettings, has_storage: bool) -> Gateway {
        Gateway {
            batch: Batch::new(settings.batch),
            settings,
            has_storage,
            next_id: 1,
            subdevices: SortedMap::new(),
            ids: SortedMap::new(),
            online: false,
            failed_batch: None,
            round: None,
            pause: Backoff::new(PAUSE_MIN_MS, PAUSE_MAX_MS),
            pause_until: 0,
            unsaved: 0,
            storage_busy: false,
            registers: Vec::new(),
            held: Vec::new(),
            moved: Vec::new(),
            changed: false,
            due: None,
        }
    }

    fn is_in_round(&self, id: u64) -> bool {
        self.round.as_ref().is_some_and(|round| round.has(id))
    }

    /// One without any secret cannot log in.
    fn check_secret(&mut self, id: u64, around: &mut Around) {
        let lacks = |one: &Subdevice| one.wanted && one.stored == Stored::Known && one.login().is_none();
        if self.subdevices.get(&id).is_some_and(lacks) {
            self.has_no_secret(id, around);
        }
    }

    fn forget(&mut self, id: u64, exchange: &mut Exchange) {
        if let Some(subdevice) = self.subdevices.remove(&id) {
            self.ids.remove(&subdevice.keys());
        }
        exchange.subdevice_removed(id);
        exchange.set_subdevices(self.subdevices.len());
    }

    pub fn get(&self, id: u64) -> Result<&Subdevice> {
        self.subdevices.get(&id).filter(|one| !one.removed).ok_or_else(|| not_found(id))
    }

    /// All that the host has.
    pub fn all(&self) -> impl Iterator<Item = (u64, &Subdevice)> {
        self.subdevices.iter().filter(|(_, one)| !one.removed).map(|(id, one)| (*id, one))
    }

    /// The sub-device whose topic this is.
    pub fn of_topic(&self, topic: &[u8]) -> Option<(u64, &Subdevice)> {
        let address = topic::split(topic)?;
        let text = |bytes| std::str::from_utf8(bytes).ok();
        let id = *self.ids.get(&keys(text(address.product_key)?, text(address.device_key)?))?;
        self.get(id).ok().map(|subdevice| (id, subdevice))
    }

    /// The gateway was online before its first sub-device was added.
    pub fn begin_online(&mut self) {
        self.online = true;
    }

    pub fn link_up(&mut self, around: &mut Around) {
        self.online = true;
        self.changed = true;
        self.batch.link_up();
        (self.failed_batch, self.pause_until) = (None, 0);
        for (_, subdevice) in self.subdevices.iter_mut() {
            subdevice.try_disabled = subdevice.state == SubdeviceState::Disabled;
            // It is more likely than others to fail.
            subdevice.alone |= subdevice.try_disabled;
            subdevice.at = 0;
            if subdevice.stored == Stored::Known {
                subdevice.login_at = around.now.ms;
            }
        }
    }

    /// The link is to end: no other login begins.
    pub fn closing(&mut self) {
        self.online = false;
        self.changed = true;
    }

    /// The exchange has ended what was in flight.
    pub fn link_down(&mut self, unplanned: bool, around: &mut Around) {
        self.online = false;
        self.changed = true;
        // A broker may end a connection because of a packet that is too large.
        if let Some(size) = self.round.take().and_then(|round| round.batch_size()).filter(|_| unplanned) {
            self.batch.lost(size);
        }
        drop(around.exchange.take_told(Owner::Gateway));
        self.take_registers(around);
        self.registers.clear();
        let ids: Vec<u64> = self.subdevices.keys().copied().collect();
        for id in ids {
            let Some(subdevice) = self.subdevices.get_mut(&id) else { continue };
            (subdevice.logged_in, subdevice.secret_may_come) = (false, false);
            if subdevice.is_over() {
                self.forget(id, around.exchange);
                continue;
            }
            let stays = [SubdeviceState::Offline, SubdeviceState::Disabled, SubdeviceState::Deleted];
            if !stays.contains(&subdevice.state) {
                let words = "the connection of the gateway has ended";
                self.set_state(id, SubdeviceState::Offline, Status::ENOS_ERR_NETWORK, words, around);
            }
        }
    }

    /// Takes what has come back, and does what is due.
    pub fn run(&mut self, around: &mut Around) {
        self.take_registers(around);
        for (token, outcome) in around.exchange.take_told(Owner::Gateway) {
            self.outcome(token, outcome, around);
        }
        for (id, token) in around.exchange.take_denied() {
            self.denied(id, token, around);
        }
        if !self.changed && self.due.is_none_or(|at| around.now.ms < at) {
            return;
        }
        self.changed = true;
        self.use_storage(around);
        if self.online && self.round.is_none() && self.pause_until <= around.now.ms {
            self.next_round(around);
        }
        if std::mem::take(&mut self.changed) {
            self.find_due();
        }
    }

    /// The outboxes have to learn of these.
    pub fn take_moved(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.moved)
    }

    /// A secret may be on its way, or is in no storage.
    pub fn is_activating(&self) -> bool {
        let may_come = !self.registers.is_empty() || self.subdevices.values().any(|one| one.secret_may_come);
        may_come || self.has_unsaved_secret()
    }

    /// No login is under way.
    pub fn is_quiet(&self) -> bool {
        self.round.is_none() && self.has_told_replies()
    }

    /// No reply is held.
    pub fn has_told_replies(&self) -> bool {
        self.held.is_empty()
    }

    pub fn deadline(&self) -> Option<u64> {
        self.due
    }

    fn find_due(&mut self) {
        let logins = self.subdevices.values().filter(|one| one.wants_login()).map(|one| one.login_at);
        let login = match &self.round {
            None if self.online => logins.min().map(|at| at.max(self.pause_until)),
            _ => None,
        };
        self.due = [login, self.storage_deadline()].into_iter().flatten().min();
    }

    fn set_state(
        &mut self,
        id: u64,
        state: SubdeviceState,
        status: Status,
        words: impl Into<String>,
        around: &mut Around,
    ) {
        let Some(subdevice) = self.subdevices.get_mut(&id) else { return };
        if state != SubdeviceState::Online {
            subdevice.leaves(around.now.ms);
        }
        subdevice.state = state;
        self.moved.push(id);
        if !subdevice.removed {
            around.actions.push_back(Action::Emit(subdevice.event(id, status, words)));
        }
    }

    /// `more`: others follow soon.
    fn came_online(&mut self, ids: &[u64], more: bool, around: &mut Around) {
        let mut topics = Vec::new();
        for id in ids {
            let Some(subdevice) = self.subdevices.get_mut(id) else { continue };
            subdevice.came_online(around.now.ms);
            subdevice.first_token = around.exchange.next_token();
            let post = Operation::ENOS_OP_MEASUREPOINT_POST.reply_topic(&subdevice.identity, "");
            topics.push((*id, post));
        }
        topics.sort_unstable();
        around.exchange.subdevices_online(topics, more, around.now.ms, around.actions);
        for id in ids {
            self.set_state(*id, SubdeviceState::Online, Status::ENOS_OK, "online", around);
        }
    }

    /// Nobody waits for the reply: if it is lost, EnOS learns at the next request or login.
    fn log_out(&mut self, id: u64, around: &mut Around) {
        let Some(subdevice) = self.subdevices.get_mut(&id) else { return };
        if !std::mem::take(&mut subdevice.logged_in) || !self.online {
            return;
        }
        let params = logout(&subdevice.identity);
        let operation = Operation::ENOS_OP_SUBDEVICE_LOGOUT;
        if let Err(error) = self.request(operation, &params, false, around) {
            around.log_error(operation, &error);
        }
    }

    fn request(&self, operation: Operation, params: &[u8], until_reply: bool, around: &mut Around) -> Result<u64> {
        let (identity, owner) = (around.identity, Owner::Gateway);
        let request = Outgoing {
            operation,
            identity,
            subdevice: 0,
            name: "",
            params,
            members: 0,
            until_reply,
            timeout_ms: None,
            user: 0,
        };
        around.exchange.request(owner, request, around.now.ms, around.actions)
    }
}

impl Around<'_> {
    fn log_error(&mut self, operation: Operation, error: &Error) {
        let words = format!("{operation:?} was not sent: {}", error.message);
        self.actions.push_back(Action::Log(crate::log::Level::Error, words));
    }
}

pub fn not_found(id: u64) -> Error {
    Error::new(Status::ENOS_ERR_NOT_FOUND, format!("the client has no sub-device {id}"))
}

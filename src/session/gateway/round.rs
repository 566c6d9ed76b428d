//! The login requests: which sub-devices are in the next one, and what follows from the reply.

use super::{Around, Gateway, SubdeviceState};
use crate::error::Status;
use crate::log::Level;
use crate::protocol::sign::timestamp_ms;
use crate::protocol::subdevice::{self, Named, Outcomes, Signing, CODE_NOT_IN_TOPOLOGY};
use crate::protocol::{envelope, Operation};
use crate::session::io::{Action, Outcome};
use crate::session::outbox::may_pass;

/// The pause after a login of one that EnOS has no time for. Its own wait is longer each time.
const BUSY_PAUSE_MS: u64 = 1_000;

/// The request that is under way.
pub struct Round {
    token: u64,
    kind: Kind,
    /// Who is in it.
    members: Vec<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `failed`: the size of the batch of which it is a part, because that one was refused or not answered.
    Batch {
        failed: Option<usize>,
    },
    Single,
    /// It adds a sub-device to the topology.
    Topology,
}

impl Round {
    pub fn has(&self, id: u64) -> bool {
        self.members.contains(&id)
    }

    /// How many were in it, if it is a batch.
    pub fn batch_size(&self) -> Option<usize> {
        matches!(self.kind, Kind::Batch { .. }).then_some(self.members.len())
    }
}

impl Gateway {
    /// Sends the next login request, if a login is due.
    pub(super) fn next_round(&mut self, around: &mut Around) {
        let now = around.now.ms;
        let due = |one: &super::Subdevice| one.wants_login() && one.login_at <= now;
        let method = |one: &super::Subdevice, around: &Around| one.method.unwrap_or(around.method);
        let size = self.failed_batch.map_or(self.batch.size(), |failed| self.batch.part_of(failed));
        let together = || self.subdevices.iter().filter(|(_, one)| due(one) && !one.alone);
        // The signatures of a batch have one method.
        let first = together().next().map(|(_, one)| method(one, around));
        let mut members = Vec::new();
        if let Some(first) = first {
            let same = together().filter(|(_, one)| method(one, around) == first);
            members.extend(same.map(|(id, _)| *id).take(size));
        } else {
            let singles = self.subdevices.iter().filter(|(_, one)| due(one));
            members.extend(singles.min_by_key(|(_, one)| one.login_at).map(|(id, _)| *id));
        }
        match members[..] {
            [] => {}
            [id] => self.send_single(id, Operation::ENOS_OP_SUBDEVICE_LOGIN, around),
            _ => self.send_batch(members, around),
        }
    }

    fn signing(&self, id: u64, around: &Around) -> Signing {
        let method = self.subdevices.get(&id).and_then(|one| one.method).unwrap_or(around.method);
        Signing { method, timestamp_ms: timestamp_ms(around.now.wall_ms) }
    }

    /// A login, or a request that adds it to the topology.
    fn send_single(&mut self, id: u64, operation: Operation, around: &mut Around) {
        let signing = self.signing(id, around);
        let Some(login) = self.subdevices.get(&id).and_then(|one| one.login()) else { return };
        let (kind, params) = match operation {
            Operation::ENOS_OP_TOPOLOGY_ADD => (Kind::Topology, subdevice::topology(&login, signing)),
            _ => (Kind::Single, subdevice::login(&login, signing)),
        };
        self.send(kind, operation, vec![id], &params, around);
    }

    fn send_batch(&mut self, ids: Vec<u64>, around: &mut Around) {
        let signing = ids.first().map(|id| self.signing(*id, around));
        let Some(signing) = signing else { return };
        let logins = ids.iter().filter_map(|id| self.subdevices.get(id)?.login());
        let params = subdevice::login_batch(around.identity.client_id(), logins, signing);
        let kind = Kind::Batch { failed: self.failed_batch };
        self.send(kind, Operation::ENOS_OP_SUBDEVICE_LOGIN_BATCH, ids, &params, around);
    }

    fn send(&mut self, kind: Kind, operation: Operation, ids: Vec<u64>, params: &[u8], around: &mut Around) {
        self.changed = true;
        let token = match self.request(operation, params, true, around) {
            Ok(token) => token,
            Err(error) => {
                match kind {
                    Kind::Batch { .. } if error.status == Status::ENOS_ERR_TOO_LARGE => {
                        self.failed_batch = Some(ids.len())
                    }
                    _ => drop(self.pause(around)),
                }
                return around.log_error(operation, &error);
            }
        };
        for id in &ids {
            let Some(one) = self.subdevices.get_mut(id) else { continue };
            let activates = one.is_activating();
            if kind != Kind::Topology {
                one.login_begins(around.now.ms);
            }
            let state = if activates { SubdeviceState::Activating } else { SubdeviceState::LoggingIn };
            if one.state != state && one.state != SubdeviceState::Disabled {
                self.set_state(*id, state, Status::ENOS_OK, "its login is under way", around);
            }
        }
        self.round = Some(Round { token, kind, members: ids });
    }

    fn pause(&mut self, around: &mut Around) -> u64 {
        let wait = self.pause.next(around.rng).max(super::PAUSE_MIN_MS);
        self.pause_until = around.now.ms.saturating_add(wait);
        wait
    }

    /// How a request has ended.
    pub(super) fn outcome(&mut self, token: u64, outcome: Outcome, around: &mut Around) {
        let Some(round) = self.round.take_if(|round| round.token == token) else { return };
        self.changed = true;
        match (outcome, round.kind) {
            (Outcome::Reply { code, words, payload, .. }, kind) => {
                let is_busy = may_pass(code);
                if !is_busy {
                    self.pause.reset();
                }
                let why = Why { status: Status::ENOS_ERR_REFUSED, code, words: envelope::in_words(code, words) };
                match kind {
                    Kind::Batch { failed } => {
                        self.batch_replied(round.members, failed, subdevice::read_batch(&payload), why, around);
                    }
                    Kind::Single | Kind::Topology if is_busy => {
                        self.pause_until = around.now.ms.saturating_add(BUSY_PAUSE_MS);
                        round.members.iter().for_each(|id| self.refused(*id, &why, around));
                    }
                    Kind::Single => self.single_replied(round.members, subdevice::read_login(&payload), why, around),
                    Kind::Topology => self.topology_replied(round.members, why, around),
                }
            }
            (Outcome::NotDelivered { status, reason }, kind) => {
                let why = Why { status, code: 0, words: reason };
                self.pause(around);
                match kind {
                    Kind::Batch { .. } => self.batch_failed(round.members, true, &why, around),
                    Kind::Single | Kind::Topology => {
                        round.members.iter().for_each(|id| self.refused(*id, &why, around));
                    }
                }
            }
            (Outcome::Delivered, _) => {}
        }
    }

    /// The reply to a login that is not awaited any more. Its outcome does not count, because the login is tried again. But
    /// a secret is sent only once.
    pub fn late_reply(&mut self, payload: &[u8], around: &mut Around) {
        let Outcomes { logged_in, .. } = subdevice::read_batch(payload);
        for named in logged_in.into_iter().chain(subdevice::read_login(payload)) {
            let id = self.ids.get(&named.keys()).copied();
            let awaits = |one: &super::Subdevice| one.is_activating();
            if let Some(id) = id.filter(|id| self.subdevices.get(id).is_some_and(awaits)) {
                self.take_secret(id, named, around);
            }
        }
    }

    fn batch_replied(
        &mut self,
        members: Vec<u64>,
        failed: Option<usize>,
        outcomes: Outcomes,
        why: Why,
        around: &mut Around,
    ) {
        let Outcomes { logged_in, failed: refused } = outcomes;
        if why.code != envelope::CODE_OK && logged_in.is_empty() && refused.is_empty() {
            let is_busy = may_pass(why.code);
            if is_busy {
                self.pause(around);
            }
            return self.batch_failed(members, !is_busy, &why, around);
        }
        self.batch.granted(members.len(), failed);
        self.failed_batch = None;
        let mut left = members;
        let mut online = Vec::new();
        for named in logged_in {
            // A device that is not in the batch, or is named twice, is nobody's.
            let id = self.ids.get(&named.keys()).copied();
            let Some(at) = left.iter().position(|member| Some(*member) == id) else { continue };
            let id = left.swap_remove(at);
            if self.is_accepted(id, named, around) {
                online.push(id);
            }
        }
        self.came_online(&online, false, around);
        left.sort_unstable();
        for id in left {
            // Its own login tells why.
            let Some(one) = self.subdevices.get_mut(&id) else { continue };
            (one.alone, one.login_at, one.logged_in, one.secret_may_come) = (true, around.now.ms, false, false);
            self.drop_removed(id, around);
        }
    }

    /// The batch was refused as a whole, or not answered. Smaller ones follow, unless the size cannot be the reason.
    fn batch_failed(&mut self, members: Vec<u64>, shrinks: bool, why: &Why, around: &mut Around) {
        let count = members.len();
        let words = format!("a login of {count} sub-devices has failed: {}", why.words);
        around.actions.push_back(Action::Log(Level::Warn, words));
        if shrinks {
            self.failed_batch = Some(count);
        }
        for id in members {
            let Some(one) = self.subdevices.get_mut(&id) else { continue };
            one.logged_in &= why.code == 0;
            // The last step is a login of each.
            one.alone |= shrinks && count <= 2;
            let waits = matches!(one.state, SubdeviceState::LoggingIn | SubdeviceState::Activating);
            one.secret_may_come &= why.code == 0;
            let wanted = one.wanted;
            if wanted && waits {
                self.set_state(id, SubdeviceState::Offline, why.status, why.words.as_str(), around);
            } else if !wanted {
                self.log_out(id, around);
            }
            self.drop_removed(id, around);
        }
    }

    fn single_replied(&mut self, members: Vec<u64>, named: Option<Named>, why: Why, around: &mut Around) {
        let Some(id) = members.first().copied() else { return };
        let Some(one) = self.subdevices.get_mut(&id) else { return };
        let own = named.filter(|named| named.keys() == one.keys());
        if why.code == envelope::CODE_OK {
            let named = own.unwrap_or_else(|| Named {
                product_key: one.identity.product_key().to_owned(),
                device_key: one.identity.device_key().to_owned(),
                secret: None,
                asset_id: None,
            });
            // Batches may be possible again.
            self.failed_batch =
                self.failed_batch.map(|failed| failed * 2).filter(|failed| failed / 2 < self.batch.size());
            if self.is_accepted(id, named, around) {
                self.came_online(&[id], false, around);
            }
            return;
        }
        if why.code == CODE_NOT_IN_TOPOLOGY && one.add_topology && one.wanted && self.online {
            (one.logged_in, one.secret_may_come) = (false, false);
            return self.send_single(id, Operation::ENOS_OP_TOPOLOGY_ADD, around);
        }
        if one.at + 1 < one.secrets.len() {
            // An older secret may be the right one.
            one.at += 1;
            (one.logged_in, one.login_at, one.alone) = (false, around.now.ms, true);
            return self.drop_removed(id, around);
        }
        self.refused(id, &why, around);
    }

    fn topology_replied(&mut self, members: Vec<u64>, why: Why, around: &mut Around) {
        let Some(id) = members.first().copied() else { return };
        if let Some(one) = self.subdevices.get_mut(&id) {
            // Only a reply counts: a request that was lost is made again.
            one.add_topology = false;
        }
        if why.code != envelope::CODE_OK {
            return self.refused(id, &why, around);
        }
        if let Some(one) = self.subdevices.get_mut(&id) {
            (one.login_at, one.alone, one.logged_in) = (around.now.ms, true, false);
            self.drop_removed(id, around);
        }
    }

    /// EnOS has logged it in. Returns whether it is online now: not if its secret has to be stored first, or if the host
    /// or EnOS does not want it any more.
    fn is_accepted(&mut self, id: u64, named: Named, around: &mut Around) -> bool {
        let Some(one) = self.subdevices.get_mut(&id) else { return false };
        one.secret_may_come = false;
        if one.is_activating() {
            self.take_secret(id, named, around);
        }
        let Some(one) = self.subdevices.get_mut(&id) else { return false };
        if one.unsaved.is_some() {
            return false;
        }
        let is_online = one.wanted && !one.ordered;
        if !is_online {
            self.log_out(id, around);
            self.drop_removed(id, around);
        }
        is_online
    }

    /// Its login, or its addition to the topology, has failed.
    fn refused(&mut self, id: u64, why: &Why, around: &mut Around) {
        let Some(one) = self.subdevices.get_mut(&id) else { return };
        // Without an answer, it may be logged in.
        (one.logged_in, one.at) = (one.logged_in && why.code == 0, 0);
        one.secret_may_come &= why.code == 0;
        if !one.wanted {
            self.log_out(id, around);
            return self.drop_removed(id, around);
        }
        if matches!(one.state, SubdeviceState::Disabled | SubdeviceState::Deleted) {
            return;
        }
        let wait = one.waits(around.now.ms, around.rng);
        one.state = SubdeviceState::Refused;
        self.moved.push(id);
        let event = one.event(id, why.status, why.words.as_str()).code(why.code).retry_in(wait);
        around.actions.push_back(Action::Emit(event));
    }

    /// A request of a sub-device was answered with the code that it is not logged in. Another gateway may have it now.
    pub(super) fn denied(&mut self, id: u64, token: u64, around: &mut Around) {
        let is_of_login = |one: &super::Subdevice| one.state == SubdeviceState::Online && token >= one.first_token;
        if self.subdevices.get(&id).is_some_and(is_of_login) {
            self.changed = true;
            let code = subdevice::CODE_NOT_LOGGED_IN;
            let words = "EnOS does not know it as logged in any more; another gateway may have taken it over";
            let why = Why { status: Status::ENOS_ERR_REFUSED, code, words: envelope::in_words(code, words.to_owned()) };
            self.refused(id, &why, around);
        }
    }

    fn drop_removed(&mut self, id: u64, around: &mut Around) {
        if self.subdevices.get(&id).is_some_and(super::Subdevice::is_over) {
            self.forget(id, around.exchange);
        }
    }
}

/// Why a request has failed.
struct Why {
    status: Status,
    code: i32,
    words: String,
}

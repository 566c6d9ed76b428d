//! One pass through the credentials.

use crate::session::credential::{Accepted, Credential, Origin};

/// After so many CONNECTs without an answer, another credential is tried: some brokers refuse by hanging up.
const HANG_UPS: u32 = 2;
/// Longer than EnOS's ban of 5 minutes, which looks like a refusal, too.
const BEYOND_A_BAN_MS: u64 = 330_000;

/// A rotation ends when a CONNACK has refused each credential. A broker that closes the connection may have another
/// reason.
#[derive(Default)]
pub struct Rotation {
    credentials: Vec<Credential>,
    position: usize,
    /// The positions of those that were refused.
    refused: Vec<usize>,
    hang_ups: u32,
    /// When a whole rotation of device secrets was first refused.
    refused_at: Option<u64>,
}

impl Rotation {
    pub fn begin(&mut self, credentials: Vec<Credential>) {
        self.reset();
        self.credentials = credentials;
    }

    /// Drops the rotation, but remembers that an earlier one was refused.
    pub fn reset(&mut self) {
        *self = Rotation { refused_at: self.refused_at, ..Rotation::default() };
    }

    /// The credential to try.
    pub fn current(&self) -> Option<&Credential> {
        self.credentials.get(self.position)
    }

    /// A whole rotation was refused so long ago that EnOS's ban cannot have been the reason.
    pub fn is_refusal_confirmed(&self, now_ms: u64) -> bool {
        self.refused_at.is_some_and(|at| now_ms >= at.saturating_add(BEYOND_A_BAN_MS))
    }

    /// A CONNACK has arrived, whatever its code.
    pub fn answered(&mut self) {
        self.hang_ups = 0;
    }

    /// A CONNACK has refused the current credential. Returns the next one.
    pub fn refuse(&mut self) -> Option<&Credential> {
        self.refused.push(self.position);
        self.answered();
        self.position = (0..self.credentials.len()).find(|position| !self.refused.contains(position))?;
        self.current()
    }

    /// Every credential was refused. Returns their names, and whether all were of the product secret.
    pub fn end(&mut self, now_ms: u64) -> (String, bool) {
        let tried = self.credentials.iter().map(Credential::to_string).collect::<Vec<_>>().join(", ");
        let product_only = self.credentials.iter().all(|credential| credential.origin == Origin::Product);
        if !product_only {
            self.refused_at.get_or_insert(now_ms);
        }
        self.reset();
        (tried, product_only)
    }

    /// The broker has not answered a CONNECT. That is no refusal, but another credential of the same mode may succeed.
    /// A credential that has worked before is kept, and so is its method.
    pub fn hang_up(&mut self, worked: Option<Accepted>) {
        let Some(current) = self.current().cloned() else { return };
        if worked == Some(current.accepted()) {
            return;
        }
        self.hang_ups += 1;
        if self.hang_ups < HANG_UPS {
            return;
        }
        self.hang_ups = 0;
        let keeps_method = worked.is_some_and(|worked| worked.method == current.method);
        let may_be = |&position: &usize| {
            let other = &self.credentials[position];
            !self.refused.contains(&position)
                && other.mode() == current.mode()
                && (!keeps_method || other.method == current.method)
        };
        let after = self.position + 1..self.credentials.len();
        if let Some(next) = after.chain(0..self.position).find(may_be) {
            self.position = next;
        }
    }
}

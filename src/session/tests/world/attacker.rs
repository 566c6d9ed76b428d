//! An attacker on the path of a connection without TLS. For some time he answers in the cloud's place, and forges
//! anything that the cloud could say.

use super::super::lost;
use super::{Due, World};
use crate::model::sign::SecureMode;
use crate::protocol::Secret;
use crate::session::*;

/// What the attacker does, in thousandths of the cases.
#[derive(Clone, Copy, Default)]
pub struct Attacker {
    /// He refuses a login with the product secret, with the device secret, or with a device secret that he has sent
    /// himself. He accepts all other logins.
    pub refuses_product: u64,
    pub refuses: u64,
    pub refuses_own: u64,
    /// He forwards a CONNECT to the cloud.
    pub passes: u64,
    /// The most activations that he sends in one login.
    pub activations: u64,
    /// He ends a connection soon after the login.
    pub ends: u64,
}

impl World {
    pub fn attack(&mut self, attacker: Attacker) {
        (self.attacker, self.attacker_until) = (Some(attacker), u64::MAX);
        self.lose_link("taken over");
    }

    pub fn end_attack(&mut self) {
        self.attacker_until = 0;
        if self.attacker.take().is_some() {
            self.lose_link("the attacker has left");
        }
    }

    fn lose_link(&mut self, reason: &str) {
        if let Some(wire) = &self.wire {
            self.later(0, Due::Link(wire.attempt, lost(reason)));
        }
    }

    /// The attacker appears and disappears at random.
    pub(super) fn meet_attacker(&mut self) {
        if self.now < self.attacker_until {
            return;
        }
        self.end_attack();
        if self.happens(self.rates.attacked) {
            let mut often = |rates: &[u64]| rates[self.rng.usize(..rates.len())];
            let attacker = Attacker {
                refuses_product: often(&[0, 0, 500]),
                refuses: often(&[0, 900, 1000]),
                refuses_own: often(&[0, 500, 900]),
                passes: often(&[0, 0, 200]),
                activations: often(&[1, 2, 9]),
                ends: often(&[0, 500, 1000]),
            };
            self.attack(attacker);
            self.attacker_until = self.now + self.rng.u64(60_000..3 * 3_600_000);
        }
    }

    /// Whether he has answered the CONNECT in the cloud's place.
    pub(super) fn answers_for_the_cloud(&mut self, attempt: u64, mode: SecureMode, secret: &Secret) -> bool {
        let Some(attacker) = self.attacker else { return false };
        if self.happens(attacker.passes) {
            return false;
        }
        self.wire.iter_mut().for_each(|wire| wire.is_forged = true);
        let delay = self.rng.u64(0..200);
        let refuses = match mode {
            SecureMode::ENOS_SECURE_MODE_PRODUCT => attacker.refuses_product,
            SecureMode::ENOS_SECURE_MODE_DEVICE if secret.as_str().starts_with("forged") => attacker.refuses_own,
            _ => attacker.refuses,
        };
        if self.happens(refuses) {
            if mode == SecureMode::ENOS_SECURE_MODE_DEVICE {
                self.refused_since.get_or_insert(self.now);
            }
            self.later(delay, Due::Link(attempt, LinkEvent::Refused { code: 5 }));
            return true;
        }
        self.later(delay, Due::Link(attempt, LinkEvent::Connected));
        // He sends them also if the device waits for none.
        for _ in 0..self.rng.u64(0..=attacker.activations) {
            let forged = format!("forged-{}", self.rng.u32(..));
            let after = delay + self.rng.u64(0..3_000);
            self.later(after, Due::Push(attempt, forged));
        }
        if self.happens(attacker.ends) {
            let after = delay + self.rng.u64(0..10_000);
            self.later(after, Due::Link(attempt, lost("reset")));
        }
        true
    }
}

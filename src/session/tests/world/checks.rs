//! The invariants that have to hold at every moment, mainly those of the secrets.

use super::{Due, World};
use crate::protocol::{DeviceSecret, Standing};
use crate::session::*;

impl World {
    pub(super) fn check_way_out(&mut self) {
        let stuck = match self.session.state() {
            State::Idle | State::Online => false,
            // If a destroy is refused, its inputs may have caused actions that are still to be performed.
            _ if self.session.has_actions() => false,
            _ => self.end.is_none() && self.session.deadline().is_none() && self.due.is_empty(),
        };
        if stuck {
            self.violate(format!("{} has no way out", self.session.state().name()));
        }
    }

    /// A secret that has arrived must not be lost, whatever the session was doing, because the cloud sends it only
    /// once.
    pub(super) fn check_in_hand(&mut self, secret: &str) {
        let valid = self.cloud.secret.as_deref() == Some(secret);
        let in_hand = self.is_in_memory(secret) || self.disk.holds(secret);
        if valid && !in_hand && self.end.is_none() {
            self.violate(format!("the secret arrived and was lost, in {}", self.session.state().name()));
        }
    }

    fn is_in_memory(&self, secret: &str) -> bool {
        self.session.connection.credentials.device.all().iter().any(|device| device.secret.as_str() == secret)
    }

    /// `destroy` must refuse while a secret would be lost with the process.
    pub(super) fn check_unsaved(&mut self) {
        let Some(valid) = self.cloud.secret.clone() else { return };
        let held = self.is_in_memory(&valid);
        if held && !self.keeps(&valid) && !self.session.connection().has_unsaved_secret() && self.end.is_none() {
            self.violate("a secret is in memory only, and destroy would not say so".into());
        }
    }

    /// Every accepted call has had its outcome, and every disconnect has had its STOPPED.
    pub fn check_outcomes(&mut self) {
        if self.stopped != self.disconnects && !self.session.connection().has_unsaved_secret() {
            self.violate(format!("{} disconnects, {} ends of them", self.disconnects, self.stopped));
        }
        if !self.accepted.is_empty() {
            self.violate(format!("no outcome for the tokens {:?}", self.accepted));
        }
    }

    /// A secret is removed only to make room for newer ones of the same kind. The first that has logged in is never
    /// removed.
    pub(super) fn check_what_went(&mut self, before: &[DeviceSecret]) {
        let went = before.iter().filter(|kept| !self.disk.holds(kept.secret.as_str()));
        let (all, proven) = (self.disk.secrets.len(), self.disk.count(|standing| standing != Standing::Unproven));
        let wrong = went.filter(|kept| match kept.standing {
            Standing::First => true,
            Standing::Proven => proven < 6,
            Standing::Unproven => all < 8 || proven == 0 && before[0] == **kept,
        });
        let wrong: Vec<String> = wrong.map(|kept| format!("{} ({:?})", kept.secret.as_str(), kept.standing)).collect();
        if !wrong.is_empty() {
            self.violate(format!("{wrong:?} went for {all} others, of which {proven} have logged in"));
        }
    }

    /// A secret that has arrived on an abandoned link is stored nowhere else.
    pub(super) fn check_unread(&mut self) {
        let Some(wire) = &self.wire else { return };
        let (attempt, valid, silent) = (wire.attempt, self.cloud.secret.clone(), self.is_silent());
        let mut arrived = self.due.range(..=(self.now, u64::MAX));
        let unread = arrived
            .any(|(_, due)| matches!(due, Due::Push(on, secret) if *on == attempt && Some(secret) == valid.as_ref()));
        if unread && !silent {
            self.violate("a link was given up on which the secret had arrived".into());
        }
    }
}

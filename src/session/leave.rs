//! Going offline: what is under way has a moment to come to its end, and the host is told that it has.

use super::*;

impl Session {
    pub(super) fn take_back_disconnect(&mut self) {
        self.owed_disconnected = false;
        let words = "the disconnect was taken back by enos_client_connect()";
        for _ in 0..std::mem::take(&mut self.owed_stopped) {
            self.emit(Event::new(EventKind::Stopped, Status::ENOS_ERR_STATE, words));
        }
    }

    /// Goes offline. DISCONNECTED with ENOS_OK tells that it is, STOPPED that no secret is unsaved either.
    pub fn disconnect(&mut self, now: Now) {
        self.wanted = false;
        self.standing = None;
        self.owed_stopped += 1;
        match &self.phase {
            Phase::Idle => self.tell_stopped(),
            Phase::Loading => self.owed_disconnected = true,
            Phase::Waiting { .. } => {
                self.owed_disconnected = true;
                self.rest();
            }
            Phase::LoggingIn { candidate, .. } if candidate.origin != Origin::Product => {
                self.owed_disconnected = true;
                self.end_attempt(now, true);
                self.drop_attempt("disconnected by the host");
                self.rest();
            }
            // The secret that is sent once may be on its way.
            Phase::LoggingIn { .. } | Phase::Awaiting { .. } => {
                self.owed_disconnected = true;
                self.leave_activation(now);
            }
            Phase::Persisting { .. } => {
                self.owed_disconnected = true;
                self.leave_persisting_link();
            }
            Phase::Closing { .. } => self.owed_disconnected = true,
            Phase::Online { .. } => {
                self.owed_disconnected = true;
                self.close(now);
            }
        }
    }

    /// Begins an orderly end of the link: what is under way has a moment to come to its end, replies included.
    pub(super) fn close(&mut self, now: Now) {
        self.with_outbox(now, |outbox, _| outbox.stop());
        let activating = !matches!(self.phase, Phase::Online { .. });
        self.phase = Phase::Closing { deadline: Some(now.ms + LINGER_MS), draining: true, activating };
        if self.is_quiet() {
            self.end_link(now);
        }
    }

    /// Ends the link, as soon as what the transport holds is through.
    pub(super) fn end_link(&mut self, now: Now) {
        if let Phase::Closing { deadline, draining, .. } = &mut self.phase {
            *draining = false;
            *deadline = Some(now.ms + LINGER_MS + LINGER_GRACE_MS);
            self.actions.push_back(Action::Disconnect { attempt: self.attempt, linger_ms: LINGER_MS });
        }
    }

    /// Nothing is under way any more.
    pub(super) fn rest(&mut self) {
        self.phase = Phase::Idle;
        self.round.forget();
        self.tell_disconnected();
    }

    pub(super) fn tell_disconnected(&mut self) {
        if std::mem::take(&mut self.owed_disconnected) {
            self.emit(Event::new(EventKind::Disconnected, Status::ENOS_OK, "disconnected by the host"));
        }
        self.tell_stopped();
    }

    /// The device is offline.
    fn tell_stopped(&mut self) {
        if self.has_unsaved_secret() {
            return;
        }
        for _ in 0..std::mem::take(&mut self.owed_stopped) {
            let words = "the device is offline, and no device secret is unsaved";
            self.emit(Event::new(EventKind::Stopped, Status::ENOS_OK, words));
        }
    }
}

//! Going offline: what is in flight gets a moment to finish, and the host is told when the device is offline.

use super::{Change, Connection, Context, Phase, LINGER_GRACE_MS, LINGER_MS};
use crate::error::Status;
use crate::model::sign::SecureMode;
use crate::session::event::{Event, EventKind};
use crate::session::io::Action;

impl Connection {
    pub(super) fn take_back_disconnect(&mut self, cx: &mut Context) {
        self.disconnect_pending = false;
        self.tell_stopped(Status::ENOS_ERR_STATE, "the disconnect was taken back by enos_client_connect()", cx);
    }

    /// Goes offline. DISCONNECTED with ENOS_OK tells that the device is, STOPPED that no secret is unsaved either.
    pub fn disconnect(&mut self, cx: &mut Context) -> Option<Change> {
        self.wanted = false;
        self.blocked_by = None;
        self.stops_pending += 1;
        self.disconnect_pending = !matches!(self.phase, Phase::Idle);
        match &self.phase {
            Phase::Idle => self.tell_disconnected(cx),
            Phase::Waiting { .. } => self.rest(cx),
            Phase::LoggingIn { credential, .. } if credential.mode() != SecureMode::ENOS_SECURE_MODE_PRODUCT => {
                self.end_attempt(true, cx);
                self.abandon("disconnected by the host".to_owned(), cx);
                // Events of that link are ignored from now on.
                self.attempt += 1;
                self.rest(cx);
            }
            Phase::LoggingIn { .. } | Phase::Awaiting { .. } => self.leave_activation(cx),
            Phase::Persisting { .. } => self.leave_persisting(cx),
            Phase::Online { .. } => return Some(self.close(cx)),
            Phase::Loading | Phase::Closing { .. } => {}
        }
        None
    }

    /// Begins an orderly end of the link. What is in flight, replies included, gets a moment to finish.
    pub(super) fn close(&mut self, cx: &mut Context) -> Change {
        let activating = !self.is_online();
        self.phase = Phase::Closing { deadline: Some(cx.now.ms + LINGER_MS), draining: true, activating };
        Change::Closing
    }

    /// The DISCONNECT waits for what is in flight: see [`end_link`](Self::end_link).
    pub fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Closing { draining: true, .. })
    }

    /// Ends the link as soon as the transport has sent what it holds.
    pub fn end_link(&mut self, cx: &mut Context) {
        if let Phase::Closing { deadline, draining, .. } = &mut self.phase {
            *draining = false;
            *deadline = Some(cx.now.ms + LINGER_MS + LINGER_GRACE_MS);
            cx.actions.push_back(Action::Disconnect { attempt: self.attempt, linger_ms: LINGER_MS });
        }
    }

    /// The broker does not acknowledge what it is sent: the link is dropped.
    pub fn stalled(&mut self, cx: &mut Context) -> Option<Change> {
        let Phase::Online { stalled, .. } = &mut self.phase else { return None };
        *stalled = true;
        self.abandon("the broker does not acknowledge what it is sent".to_owned(), cx);
        Some(Change::Closing)
    }

    /// There is no link, as it was wanted. If the host has called connect() in the meantime, the device logs in again.
    pub(super) fn rest(&mut self, cx: &mut Context) {
        self.phase = Phase::Idle;
        self.rotation.reset();
        self.tell_disconnected(cx);
        if self.wanted {
            self.log_in(cx);
        }
    }

    /// The device is offline.
    pub(super) fn tell_disconnected(&mut self, cx: &mut Context) {
        if std::mem::take(&mut self.disconnect_pending) {
            cx.emit(Event::new(EventKind::Disconnected, Status::ENOS_OK, "disconnected by the host"));
        }
        if !self.has_unsaved_secret() && !self.others_unsaved {
            self.tell_stopped(Status::ENOS_OK, "the device is offline, and no device secret is unsaved", cx);
        }
    }

    /// Whether secrets of sub-devices are in no storage.
    pub fn set_others_unsaved(&mut self, unsaved: bool, cx: &mut Context) {
        let was_unsaved = std::mem::replace(&mut self.others_unsaved, unsaved);
        if was_unsaved && !unsaved && matches!(self.phase, Phase::Idle) {
            self.tell_disconnected(cx);
        }
    }

    fn tell_stopped(&mut self, status: Status, words: &str, cx: &mut Context) {
        for _ in 0..std::mem::take(&mut self.stops_pending) {
            cx.emit(Event::new(EventKind::Stopped, status, words));
        }
    }
}

//! What follows when an attempt fails or a link is lost: first why, then when to try again.

use super::{ActivationLink, Change, Connection, Context, Phase};
use crate::error::{Error, Status};
use crate::model::link::LinkEvent;
use crate::session::event::{Event, EventKind};
use crate::session::io::LinkEnd;

/// A link that has lasted this long was a success: the backoff starts anew after its loss.
const STABLE_MS: u64 = 60_000;
/// After a failure that only a person, or much time, can mend: 10 minutes to 1 hour.
const LONG_WAIT_MIN_MS: u64 = 600_000;
const LONG_WAIT_MAX_MS: u64 = 3_600_000;

impl Connection {
    /// An event of the link itself.
    pub fn link_event(&mut self, event: LinkEvent, cx: &mut Context) -> Option<Change> {
        let is_login = matches!(self.phase, Phase::LoggingIn { .. });
        let (status, reason, connect_sent) = match event {
            LinkEvent::Connected => return self.up(cx),
            LinkEvent::Refused { code } if is_login => {
                self.refused(code, cx);
                return None;
            }
            LinkEvent::Failed { status, reason, connect_sent } => (status, reason, connect_sent),
            LinkEvent::Lost { status, reason } => (status, reason, true),
            LinkEvent::Refused { .. } | LinkEvent::Closed => {
                (Status::ENOS_ERR_NETWORK, "the connection was closed".to_owned(), true)
            }
            _ => return None,
        };
        if is_login {
            self.failed(status, reason, connect_sent, cx);
            return None;
        }
        self.lost(status, reason, cx)
    }

    /// The link is lost, or an event of it came too late.
    fn lost(&mut self, status: Status, reason: String, cx: &mut Context) -> Option<Change> {
        match &mut self.phase {
            Phase::Online { since, stalled } => {
                let (lived_ms, stalled) = (cx.now.ms.saturating_sub(*since), *stalled);
                let end = self.lost_online(lived_ms, stalled, failure(status, 0, reason.as_str()), cx);
                return Some(Change::Offline { reason, end });
            }
            Phase::Closing { activating, .. } => {
                let was_online = !*activating;
                self.rest(cx);
                return was_online.then_some(Change::Offline { reason, end: LinkEnd::Planned });
            }
            Phase::Awaiting { .. } if self.wanted => self.retry(failure(status, 0, reason), cx),
            Phase::Awaiting { .. } => self.rest(cx),
            Phase::Persisting { link, .. } => {
                *link = ActivationLink::Gone;
                if !self.wanted {
                    self.tell_disconnected(cx);
                }
            }
            Phase::Idle | Phase::Loading | Phase::Waiting { .. } | Phase::LoggingIn { .. } => {}
        }
        None
    }

    /// First why, then what next.
    fn lost_online(&mut self, lived_ms: u64, stalled: bool, event: Event, cx: &mut Context) -> LinkEnd {
        let (end, give_way_ms) = self.why_lost(lived_ms, stalled, cx);
        if lived_ms >= STABLE_MS {
            self.backoff.reset();
        }
        match give_way_ms {
            // A login would only throw the other client out in its turn.
            Some(wait) => {
                let words = format!(
                    "{}; the broker takes each login and ends its connection soon after: another client is probably \
                     logged in as this device; find it, and give each device keys of its own",
                    event.detail
                );
                self.stand_back(wait, failure(Status::ENOS_ERR_CONFLICT, 0, words), cx);
            }
            None => self.retry(event, cx),
        }
        end
    }

    /// Also how long to give way to another client, if that is the probable reason.
    fn why_lost(&mut self, lived_ms: u64, stalled: bool, cx: &mut Context) -> (LinkEnd, Option<u64>) {
        if stalled {
            return (LinkEnd::Stalled, None);
        }
        let wait = self.conflict.link_ended(lived_ms, cx.rng);
        // A client without a limit on its CONNECTs belongs to a test, which cuts links as it likes.
        match wait.filter(|_| cx.settings.budget.connects > 0) {
            Some(wait) => (LinkEnd::Conflict, Some(wait)),
            None => (LinkEnd::Lost, None),
        }
    }

    /// After a failure that may pass soon.
    pub(super) fn retry(&mut self, event: Event, cx: &mut Context) {
        if cx.settings.reconnect_max_ms == 0 {
            return self.give_up(event, cx);
        }
        // The wait begins when the budget has room. A fleet whose CONNECTs were not answered has used up its budgets at
        // the same time, and would otherwise return in the same second.
        let at = self.budget.allowed_at(cx.now.ms).saturating_add(self.backoff.next(cx.rng));
        self.wait_until(at, event, cx);
    }

    /// After a failure that only a person, or much time, can mend.
    pub(super) fn wait_long(&mut self, event: Event, cx: &mut Context) {
        let wait = long_wait(cx.rng);
        self.stand_back(wait, event, cx);
    }

    fn stand_back(&mut self, wait: u64, event: Event, cx: &mut Context) {
        if cx.settings.reconnect_max_ms == 0 {
            return self.give_up(event, cx);
        }
        self.blocked_by = Some(Error::new(event.status, event.detail.clone()));
        let at = cx.now.ms.saturating_add(wait).max(self.budget.allowed_at(cx.now.ms));
        self.wait_until(at, event, cx);
    }

    pub(super) fn wait_until(&mut self, until: u64, event: Event, cx: &mut Context) {
        self.phase = Phase::Waiting { until };
        self.tell_failure(event.retry_in(until.saturating_sub(cx.now.ms)), cx);
    }

    /// There is no retry: the host has to call connect() again.
    pub(super) fn give_up(&mut self, event: Event, cx: &mut Context) {
        self.wanted = false;
        self.phase = Phase::Idle;
        self.blocked_by = Some(Error::new(event.status, event.detail.clone()));
        self.tell_failure(event, cx);
    }

    fn tell_failure(&mut self, event: Event, cx: &mut Context) {
        self.failed_at = Some(cx.now.ms);
        self.last_error = Some(event.detail.clone());
        cx.emit(event);
    }
}

/// DISCONNECTED with the reason of a failure.
pub(super) fn failure(status: Status, code: i32, words: impl Into<String>) -> Event {
    Event::new(EventKind::Disconnected, status, words).code(code)
}

pub(super) fn long_wait(rng: &mut fastrand::Rng) -> u64 {
    rng.u64(LONG_WAIT_MIN_MS..=LONG_WAIT_MAX_MS)
}

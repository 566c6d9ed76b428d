//! Answers to commands, from the decision on: they wait to be sent, and then for the broker's acknowledgement.
//!
//! An answer that waits when the link is lost, or that the broker has not acknowledged by then, goes out on the next link
//! if its deadline is not over. One that was sent already is sent a second time at most, and only if it is small: the
//! broker may have ended the connection because it was too large.

use super::super::event::EventKind;
use super::*;

/// The largest answer that is sent on a second link, in bytes.
pub const SENT_AGAIN: usize = 64 * 1024;

/// How many bytes beyond the limit may wait before the library's own answers are left out.
pub const OWN_BYTES: usize = 256 * 1024;

pub struct Answer {
    /// Of the host's call; 0: it is the library's own answer.
    pub token: u64,
    pub topic: String,
    pub payload: Vec<u8>,
    /// `None`: it is of use on this link only.
    pub deadline: Option<u64>,
    /// Of a command that is remembered until its answer is out.
    pub digest: Option<Digest>,
    /// It was sent before.
    pub again: bool,
}

impl Answer {
    fn size(&self) -> usize {
        self.topic.len() + self.payload.len()
    }

    fn is_overdue(&self, now: u64) -> bool {
        self.deadline.is_some_and(|at| at <= now)
    }

    /// Tells the host the outcome of its call.
    fn tell(self, status: Status, words: &str, actions: &mut VecDeque<Action>) {
        if self.token != 0 {
            let event = Event::new(EventKind::Delivered, status, words).token(self.token).topic(self.topic);
            actions.push_back(Action::Emit(event));
        }
    }
}

pub struct Answers {
    /// In the order in which they were given.
    unsent: VecDeque<Answer>,
    /// By the tokens of the exchange. The payload is empty if it is not sent again.
    sent: SortedMap<u64, Answer>,
    bytes: usize,
    /// The limit of the commands' bytes, which the answers share.
    limit: usize,
    /// An answer did not get out, so the end of the link is about to be told. Until the next link nothing is sent.
    link_is_lost: bool,
}

impl Answers {
    pub fn new(limit: usize) -> Answers {
        Answers { unsent: VecDeque::new(), sent: SortedMap::new(), bytes: 0, limit, link_is_lost: false }
    }

    /// How many bytes they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn is_idle(&self) -> bool {
        self.unsent.is_empty() && self.sent.is_empty()
    }

    pub fn deadlines(&self) -> impl Iterator<Item = u64> + '_ {
        self.unsent.iter().filter_map(|answer| answer.deadline)
    }

    pub fn push(&mut self, answer: Answer, around: &mut Around) {
        self.bytes += answer.size();
        self.unsent.push_back(answer);
        self.pump(around);
    }

    /// An answer of the library. False if too many wait already.
    pub fn push_own(
        &mut self,
        reply: &ReplyTo,
        code: i32,
        words: &str,
        deadline: Option<u64>,
        digest: Option<Digest>,
        around: &mut Around,
    ) -> bool {
        let payload = match reply.refusal(code, words) {
            Ok(payload) if self.bytes + payload.len() <= self.limit.saturating_add(OWN_BYTES) => payload,
            _ => return false,
        };
        let topic = reply.topic.clone();
        self.push(Answer { token: 0, topic, payload, deadline, digest, again: false }, around);
        true
    }

    /// Sends what there is room for.
    pub fn pump(&mut self, around: &mut Around) {
        while around.online && !self.link_is_lost && around.exchange.has_room_for_answer() {
            let Some(mut answer) = self.unsent.pop_front() else { break };
            self.bytes -= answer.size();
            if answer.is_overdue(around.now) {
                answer.tell(Status::ENOS_ERR_TIMEOUT, TOO_LATE, around.actions);
                continue;
            }
            let may_go_again = answer.payload.len() <= SENT_AGAIN && answer.deadline.is_some() && !answer.again;
            let payload = match may_go_again {
                true => answer.payload.clone(),
                false => std::mem::take(&mut answer.payload),
            };
            let topic = answer.topic.clone();
            match around.exchange.answer(topic, payload, around.now, around.actions) {
                Ok(token) => {
                    self.bytes += answer.size();
                    self.sent.insert(token, answer);
                }
                Err(error) => answer.tell(error.status, &error.message, around.actions),
            }
        }
    }

    /// The outcome of an answer that was sent. Returns the digest of the command if the answer is out.
    pub fn outcome(&mut self, token: u64, outcome: Outcome, around: &mut Around) -> Option<Digest> {
        let mut answer = self.sent.remove(&token)?;
        self.bytes -= answer.size();
        match outcome {
            Outcome::NotDelivered { status: Status::ENOS_ERR_NETWORK, .. }
                if !answer.payload.is_empty() && !answer.is_overdue(around.now) =>
            {
                answer.again = true;
                self.link_is_lost = true;
                self.bytes += answer.size();
                self.unsent.push_front(answer);
                None
            }
            Outcome::NotDelivered { status, reason } => {
                answer.tell(status, &reason, around.actions);
                None
            }
            Outcome::Delivered | Outcome::Reply { .. } => {
                let digest = answer.digest;
                answer.tell(Status::ENOS_OK, "", around.actions);
                digest
            }
        }
    }

    pub fn link_up(&mut self, around: &mut Around) {
        self.link_is_lost = false;
        self.pump(around);
    }

    /// Forgets what is of use on the lost link only.
    pub fn link_down(&mut self) {
        self.unsent.retain(|answer| answer.deadline.is_some());
        self.bytes = self.unsent.iter().chain(self.sent.values()).map(Answer::size).sum();
    }

    /// Ends what could not be sent in time.
    pub fn expire(&mut self, now: u64, actions: &mut VecDeque<Action>) {
        let (late, unsent) = std::mem::take(&mut self.unsent).into_iter().partition(|answer| answer.is_overdue(now));
        self.unsent = unsent;
        let late: VecDeque<Answer> = late;
        for answer in late {
            self.bytes -= answer.size();
            answer.tell(Status::ENOS_ERR_TIMEOUT, TOO_LATE, actions);
        }
    }

    pub fn release(&mut self) {
        if self.unsent.is_empty() {
            self.unsent = VecDeque::new();
        }
        self.sent.release();
    }
}

const TOO_LATE: &str = "the answer could not be sent before the deadline of the command";

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
    /// The exchange's token when it was sent before.
    sent_as: Option<u64>,
    bytes: usize,
}

impl Answer {
    pub fn new(token: u64, topic: String, payload: Vec<u8>, deadline: Option<u64>, digest: Option<Digest>) -> Answer {
        let bytes = topic.len() + payload.len();
        Answer { token, topic, payload, deadline, digest, sent_as: None, bytes }
    }

    fn is_overdue(&self, now: u64) -> bool {
        self.deadline.is_some_and(|at| at <= now)
    }

    /// Tells the host the outcome of its call.
    pub fn tell(self, status: Status, words: &str, actions: &mut VecDeque<Action>) {
        if self.token != 0 {
            let event = Event::new(EventKind::Delivered, status, words).token(self.token).topic(self.topic);
            actions.push_back(Action::Emit(event));
        }
    }
}

pub struct Answers {
    /// First those that were sent before, in that order, and then the others in the order in which they were given.
    unsent: VecDeque<Answer>,
    /// By the tokens of the exchange. The payload is empty if it is not sent again.
    sent: SortedMap<u64, Answer>,
    /// Those that have timed out, whose acknowledgement may still come on this link. By the tokens of the exchange.
    late: SortedMap<u64, Digest>,
    /// Of all of them. An answer that is sent counts in full, because the transport has it.
    bytes: usize,
    /// The limit of the commands' bytes, which the answers share.
    limit: usize,
    /// An answer did not get out, so the end of the link is about to be told. Until the next link nothing is sent.
    link_is_lost: bool,
}

impl Answers {
    pub fn new(limit: usize) -> Answers {
        Answers {
            unsent: VecDeque::new(),
            sent: SortedMap::new(),
            late: SortedMap::new(),
            bytes: 0,
            limit,
            link_is_lost: false,
        }
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
        self.bytes += answer.bytes;
        self.unsent.push_back(answer);
        self.pump(around);
    }

    /// Whether the library may still answer a command that it does not hand over.
    pub fn has_room_for_refusal(&self) -> bool {
        self.bytes <= self.limit.saturating_add(OWN_BYTES)
    }

    /// An answer of the library.
    pub fn push_own(
        &mut self,
        reply: &ReplyTo,
        code: i32,
        words: &str,
        deadline: Option<u64>,
        digest: Option<Digest>,
        around: &mut Around,
    ) {
        if let Ok(payload) = reply.refusal(code, words) {
            self.push(Answer::new(0, reply.topic.clone(), payload, deadline, digest), around);
        }
    }

    /// Sends what there is room for.
    pub fn pump(&mut self, around: &mut Around) {
        while around.online && !self.link_is_lost && around.exchange.has_room_for_answer() {
            let Some(mut answer) = self.unsent.pop_front() else { break };
            if answer.is_overdue(around.now) {
                self.bytes -= answer.bytes;
                answer.tell(Status::ENOS_ERR_TIMEOUT, TOO_LATE, around.actions);
                continue;
            }
            let may_go_again =
                answer.payload.len() <= SENT_AGAIN && answer.deadline.is_some() && answer.sent_as.is_none();
            let payload = match may_go_again {
                true => answer.payload.clone(),
                false => std::mem::take(&mut answer.payload),
            };
            let topic = answer.topic.clone();
            let token = around.exchange.answer(topic, payload, answer.deadline, around.now, around.actions);
            self.sent.insert(token, answer);
        }
    }

    /// The outcome of an answer that was sent. Returns the answer if it is out; the host is not told yet.
    pub fn outcome(&mut self, token: u64, outcome: Outcome, around: &mut Around) -> Option<Answer> {
        let Some(mut answer) = self.sent.remove(&token) else {
            // The host was told the timeout, so only the command's digest is of use.
            let digest = self.late.remove(&token)?;
            return Some(Answer::new(0, String::new(), Vec::new(), None, Some(digest)));
        };
        match outcome {
            Outcome::NotDelivered { status: Status::ENOS_ERR_NETWORK, .. }
                if !answer.payload.is_empty() && !answer.is_overdue(around.now) =>
            {
                answer.sent_as = Some(token);
                self.link_is_lost = true;
                let before = |one: &Answer| one.sent_as.is_some_and(|earlier| earlier < token);
                self.unsent.insert(self.unsent.partition_point(before), answer);
                None
            }
            Outcome::NotDelivered { status, reason } => {
                self.bytes -= answer.bytes;
                if let (Status::ENOS_ERR_TIMEOUT, Some(digest)) = (status, answer.digest) {
                    self.late.insert(token, digest);
                }
                answer.tell(status, &reason, around.actions);
                None
            }
            Outcome::Delivered | Outcome::Reply { .. } => {
                self.bytes -= answer.bytes;
                Some(answer)
            }
        }
    }

    /// Whether an answer to this command may still get out.
    pub fn holds(&self, digest: Digest) -> bool {
        self.unsent.iter().chain(self.sent.values()).any(|answer| answer.digest == Some(digest))
    }

    /// No answer gets out until the next link.
    pub fn waits_for_link(&self) -> bool {
        self.link_is_lost
    }

    pub fn link_up(&mut self, around: &mut Around) {
        self.link_is_lost = false;
        self.pump(around);
    }

    /// Forgets what is of use on the lost link only.
    pub fn link_down(&mut self) {
        self.unsent.retain(|answer| answer.deadline.is_some());
        self.late.clear();
        self.bytes = self.unsent.iter().chain(self.sent.values()).map(|answer| answer.bytes).sum();
    }

    /// Ends what could not be sent in time.
    pub fn expire(&mut self, now: u64, actions: &mut VecDeque<Action>) {
        let (late, unsent) = std::mem::take(&mut self.unsent).into_iter().partition(|answer| answer.is_overdue(now));
        self.unsent = unsent;
        let late: VecDeque<Answer> = late;
        for answer in late {
            self.bytes -= answer.bytes;
            answer.tell(Status::ENOS_ERR_TIMEOUT, TOO_LATE, actions);
        }
    }

    pub fn release(&mut self) {
        if self.unsent.is_empty() {
            self.unsent = VecDeque::new();
        }
        self.sent.release();
        self.late.release();
    }
}

const TOO_LATE: &str = "the answer could not be sent before the deadline of the command";

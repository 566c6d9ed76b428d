//! The commands of the cloud. Each one that comes gets one answer: the host's, or the library's.
//!
//! A command that is handed over is *open* until it is answered: by the host, or by the library at its deadline, or when the
//! host's last handle ends. The answer goes to [`answers`], which sends it. A command that cannot be handed over is answered
//! at once. This is the only place that decides who answers, so that nobody answers twice.

mod answers;
mod memory;
mod refused;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::event::Event;
use super::exchange::{Exchange, Owner};
use super::io::{Action, Handed, Outcome};
use super::settings::CommandSettings;
use crate::error::{Error, Result, Status};
use crate::log::Level;
use crate::protocol::command::{self, Command, Digest, Kind, Reading, ReplyTo, Silence};
use crate::protocol::envelope;
use crate::sorted::SortedMap;

use answers::{Answer, Answers};
use memory::Memory;
use refused::{Refused, Why};

const NOT_IN_TIME: &str = "the device has not answered in time";

/// What the commands need for their work.
pub struct Around<'a> {
    pub now: u64,
    /// The device is online, so that answers can be sent.
    pub online: bool,
    pub exchange: &'a mut Exchange,
    pub actions: &'a mut VecDeque<Action>,
}

/// A command that was handed over, until the host's last handle has ended.
struct Open {
    reply: ReplyTo,
    silence: Silence,
    timeout_ms: u64,
    /// `None` until the callback is called.
    deadline: Option<u64>,
    answered: bool,
    bytes: usize,
    digest: Option<Digest>,
}

impl Open {
    fn is_overdue(&self, now: u64) -> bool {
        self.deadline.is_some_and(|at| at <= now)
    }
}

/// What a message on a topic of commands was.
pub enum Arrived {
    /// A command, which is dealt with.
    Command,
    /// A command that offers a firmware. The session answers it.
    Offer(Command),
    Other(Event),
}

/// What the host's last handle was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandleEnd {
    /// The callback has returned, and the host has not retained the command.
    Returned,
    /// The host has released a retained command.
    Released,
}

pub struct Commands {
    settings: CommandSettings,
    next_key: u64,
    open: SortedMap<u64, Open>,
    open_bytes: usize,
    answers: Answers,
    memory: Memory,
    refused: Refused,
    /// The next deadline, or a moment before it.
    due: Option<u64>,
    login_ms: u64,
}

impl Commands {
    pub fn new(settings: CommandSettings, login_ms: u64) -> Commands {
        Commands {
            next_key: 1,
            open: SortedMap::new(),
            open_bytes: 0,
            answers: Answers::new(settings.bytes),
            memory: Memory::new(settings.remembers),
            refused: Refused::default(),
            due: None,
            login_ms,
            settings,
        }
    }

    /// The commands that were handed over by an earlier process, and whose answers did not get out.
    pub fn loaded(&mut self, interrupted: Vec<Digest>, around: &mut Around) {
        self.memory.loaded(interrupted, around.now, around.actions);
    }

    /// A message on a topic of commands has come in.
    pub fn arrived(&mut self, kind: Kind, message: Event, around: &mut Around) -> Arrived {
        if message.retained {
            // EnOS retains nothing. Whoever did, the message would be carried out at each login.
            return match kind.is_known() {
                true => {
                    self.refused.count(Why::Retained);
                    Arrived::Command
                }
                false => Arrived::Other(message),
            };
        }
        let Event { topic, payload, qos, subdevice, user, .. } = message;
        let command = match Command::read(kind, topic, payload) {
            Reading::Other { topic, payload } => {
                return Arrived::Other(Event::message(topic, payload, qos as u8, false))
            }
            Reading::Unreadable { reply, why } => {
                around.actions.push_back(Action::Log(Level::Debug, why.clone()));
                self.refused.count(Why::Unreadable);
                if let Some(reply) = reply.filter(|_| kind.silence() != Silence::Stays) {
                    self.refuse(&reply, command::CODE_UNREADABLE, &why, around);
                }
                return Arrived::Command;
            }
            Reading::Command(command) if kind.is_offer() => return Arrived::Offer(command),
            Reading::Command(command) => command,
        };
        let since_login_ms = around.now.saturating_sub(self.login_ms);
        if since_login_ms < self.settings.quiet_ms && !kind.only_tells() {
            self.turn_down(&command, Why::Early, "the device does not run commands right after its login", around);
            return Arrived::Command;
        }
        let handed = Handed { key: 0, command, subdevice, user, since_login_ms: 0, interrupted: false };
        self.hand_over(handed, since_login_ms, around);
        Arrived::Command
    }

    /// Hands a command over, unless the host has too many already.
    fn hand_over(&mut self, handed: Handed, since_login_ms: u64, around: &mut Around) {
        let command = &handed.command;
        let settings = &self.settings;
        let (bytes, room) = (command.size(), settings.bytes.saturating_sub(self.open_bytes + self.answers.bytes()));
        if self.open.len() >= settings.limit || bytes > room {
            return self.turn_down(command, Why::Full, "the device is busy with other commands", around);
        }
        let name = command.name();
        let own = settings.services.iter().find(|(service, _)| !name.is_empty() && service == name);
        let timeout_ms = own.map_or(settings.timeout_ms, |(_, ms)| *ms);
        let key = self.next_key;
        self.next_key += 1;
        let digest = self.memory.is_on().then(|| command.digest());
        let interrupted = digest.is_some_and(|digest| self.memory.begin(digest, around.now, around.actions));
        let (reply, silence) = (command.reply_to(), command.kind.silence());
        self.open.insert(key, Open { reply, silence, timeout_ms, deadline: None, answered: false, bytes, digest });
        self.open_bytes += bytes;
        let since_login_ms = u32::try_from(since_login_ms).unwrap_or(u32::MAX);
        let handed = Handed { key, since_login_ms, interrupted, ..handed };
        around.actions.push_back(Action::HandOver(Box::new(handed)));
    }

    /// The callback is about to be called: the time of the command begins. Returns its deadline.
    pub fn begin(&mut self, key: u64, now: u64) -> Option<u64> {
        let open = self.open.get_mut(&key)?;
        let deadline = now.saturating_add(open.timeout_ms);
        open.deadline = Some(deadline);
        self.is_due_at(deadline);
        Some(deadline)
    }

    /// The host answers. The outcome of the token is DELIVERED.
    pub fn answer(&mut self, key: u64, payload: Vec<u8>, around: &mut Around) -> Result<u64> {
        let state = |words| Err(Error::new(Status::ENOS_ERR_STATE, words));
        let open = match self.open.get_mut(&key) {
            None => return state("the command is not open any more"),
            Some(open) if open.is_overdue(around.now) => return state("the deadline of the command is over"),
            Some(open) if open.answered => return state("the command was answered before"),
            Some(open) => open,
        };
        open.answered = true;
        let token = around.exchange.new_token();
        let topic = open.reply.topic.clone();
        self.answers.push(Answer::new(token, topic, payload, open.deadline, open.digest), around);
        Ok(token)
    }

    /// The host's last handle of a command has ended.
    pub fn ended(&mut self, key: u64, end: HandleEnd, around: &mut Around) {
        let Some(open) = self.open.remove(&key) else { return };
        self.open_bytes -= open.bytes;
        if !open.answered {
            let (code, words) = match end {
                _ if open.is_overdue(around.now) => (command::CODE_FAILED, NOT_IN_TIME),
                HandleEnd::Returned => (command::CODE_NO_HANDLER, "the device does not handle this command"),
                HandleEnd::Released => (command::CODE_FAILED, "the device has not answered"),
            };
            self.answer_for_host(&open, code, words, around);
        }
        self.tidy();
    }

    fn answer_for_host(&mut self, open: &Open, code: i32, words: &str, around: &mut Around) {
        let (code, words) = match open.silence {
            Silence::Fails => (code, words),
            Silence::Agrees => (envelope::CODE_OK, ""),
            Silence::Stays => return self.forget(open.digest, around.actions),
        };
        // After its deadline it is of use on this link only.
        let deadline = open.deadline.filter(|at| *at > around.now);
        if deadline.is_some() || around.online {
            self.answers.push_own(&open.reply, code, words, deadline, open.digest, around);
        }
    }

    /// The answer of a command is out. Its mark goes, unless the same command came twice, and the other one has no answer.
    fn forget(&mut self, digest: Option<Digest>, actions: &mut VecDeque<Action>) {
        let Some(digest) = digest else { return };
        let waits = self.open.values().any(|open| !open.answered && open.digest == Some(digest));
        if !waits && !self.answers.holds(digest) {
            self.memory.end(digest, actions);
        }
    }

    fn turn_down(&mut self, command: &Command, why: Why, words: &str, around: &mut Around) {
        self.refused.count(why);
        if command.kind.silence() != Silence::Stays {
            self.refuse(&command.reply_to(), command::CODE_TOO_MANY, words, around);
        }
    }

    /// The library answers a command that it does not hand over.
    pub fn refuse(&mut self, reply: &ReplyTo, code: i32, words: &str, around: &mut Around) {
        if !self.answers.has_room_for_refusal() {
            return self.refused.count(Why::Unanswered);
        }
        let deadline = around.now.saturating_add(self.settings.timeout_ms);
        self.answers.push_own(reply, code, words, Some(deadline), None, around);
        self.is_due_at(deadline);
    }

    pub fn deadline(&self) -> Option<u64> {
        self.due
    }

    fn is_due_at(&mut self, at: u64) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// Answers what is overdue.
    pub fn expire(&mut self, around: &mut Around) {
        let now = around.now;
        if self.due.is_none_or(|due| now < due) {
            return;
        }
        let overdue = self.open.iter().filter(|(_, open)| !open.answered && open.is_overdue(now));
        for key in overdue.map(|(key, _)| *key).collect::<Vec<_>>() {
            let Some(open) = self.open.get_mut(&key) else { continue };
            open.answered = true;
            let open = Open { reply: open.reply.clone(), ..*open };
            self.answer_for_host(&open, command::CODE_FAILED, NOT_IN_TIME, around);
        }
        self.answers.expire(now, around.actions);
        self.find_due();
    }

    fn find_due(&mut self) {
        let open = self.open.values().filter(|open| !open.answered).filter_map(|open| open.deadline);
        self.due = open.chain(self.answers.deadlines()).min();
    }

    /// There is no deadline if nothing is under way.
    fn tidy(&mut self) {
        if self.open.is_empty() && self.answers.is_idle() {
            self.due = None;
        }
    }

    pub fn link_up(&mut self, around: &mut Around) {
        self.login_ms = around.now;
        self.refused.link_up();
        self.answers.link_up(around);
    }

    /// The exchange has ended what was in flight; see [`run`](Self::run).
    pub fn link_down(&mut self, around: &mut Around) {
        self.answers.link_down();
        self.run(around);
    }

    /// Takes the outcomes of answers, sends what waits, and tells what was refused.
    pub fn run(&mut self, around: &mut Around) {
        let answered = around.exchange.take_told(Owner::Commands);
        let any = !answered.is_empty();
        for (token, outcome) in answered {
            if let Some(answer) = self.answers.outcome(token, outcome, around) {
                // First the mark goes: the host may reboot as soon as it knows that the answer is out.
                self.forget(answer.digest, around.actions);
                answer.tell(Status::ENOS_OK, "", around.actions);
            }
        }
        if any && self.answers.waits_for_link() {
            // The deadlines of those that wait again count again.
            self.find_due();
        }
        self.answers.pump(around);
        self.tidy();
    }

    /// Tells the host what was refused since the last call.
    pub fn tell_refused(&mut self, actions: &mut VecDeque<Action>) {
        self.refused.tell(actions);
    }

    /// Every answer has had its outcome.
    pub fn is_idle(&self) -> bool {
        self.answers.is_idle()
    }

    /// Frees the memory of a burst.
    pub fn release(&mut self) {
        self.open.release();
        self.answers.release();
    }
}

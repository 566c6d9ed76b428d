//! The client's loop, on the thread that runs it.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::runner::Runner;
use super::{broken, callback, now, Client};
use crate::error::{Error, Result, Status};
use crate::session::{Action, Burden, Input, Session, State};
use crate::transport::link::Link;
use crate::transport::{clock, thread};
use crate::{log, panic};

/// The stack of the loop's own thread. The host's callbacks run on it, and use most of it.
const STACK: usize = 256 * 1024;

/// The thread of [`Client::loop_start`].
pub(super) enum LoopThread {
    None,
    Running(JoinHandle<()>),
    /// Another thread waits for its end.
    Ending,
}

/// How many events one pass delivers at most.
const MAX_EVENTS: usize = 256;

/// What one pass of the loop may still do. Without a limit, a host that causes a new event in each callback would stay in
/// the loop for ever. A pass with a timeout of 0 makes one storage call at most, because its caller does not want to wait.
struct Pass {
    events: usize,
    storage: usize,
}

impl Pass {
    fn new(timeout_ms: Option<u64>) -> Pass {
        Pass { events: MAX_EVENTS, storage: if timeout_ms == Some(0) { 1 } else { usize::MAX } }
    }

    fn allows(&self, action: &Action) -> bool {
        match action.burden() {
            Burden::None => true,
            Burden::Event => self.events > 0,
            Burden::Storage => self.storage > 0,
        }
    }

    fn spend(&mut self, burden: Burden) {
        match burden {
            Burden::None => {}
            Burden::Event => self.events -= 1,
            Burden::Storage => self.storage -= 1,
        }
    }
}

impl Client {
    /// Waits for work for at most `timeout_ms` (`None`: without a limit), then does what is due. A signal or a wake-up
    /// ends the wait. `ENOS_ERR_STATE` while another thread runs the loop.
    pub fn run_loop(self: &Arc<Self>, timeout_ms: Option<u32>) -> Result<()> {
        callback::refuse_in_callback("enos_client_loop")?;
        drop(self.session()?);
        let runner = self.idle_runner()?.ok_or_else(busy)?;
        self.turn(runner, timeout_ms.map(u64::from))
    }

    /// Runs the loop, or waits while another thread does, until the client is in `state`.
    ///
    /// `ENOS_ERR_TIMEOUT`; the status of a refusal at once if only a long wait is left; `ENOS_ERR_STATE` if nothing is
    /// in progress that could lead to this state.
    pub fn wait(self: &Arc<Self>, state: State, timeout_ms: Option<u32>) -> Result<()> {
        callback::refuse_in_callback("enos_client_wait")?;
        self.await_session(
            timeout_ms,
            |session| session.state() == state,
            || format!("the state is not {}", state.name()),
        )
    }

    /// As [`wait`](Self::wait), until every accepted call has had its outcome and the outbox is empty.
    pub fn flush(self: &Arc<Self>, timeout_ms: Option<u32>) -> Result<()> {
        callback::refuse_in_callback("enos_client_flush")?;
        self.look_at_outbox()?;
        self.await_session(timeout_ms, Session::is_flushed, || "there are calls or durable messages under way".into())
    }

    fn await_session(
        self: &Arc<Self>,
        timeout_ms: Option<u32>,
        reached: impl Fn(&Session) -> bool,
        not_reached: impl Fn() -> String,
    ) -> Result<()> {
        let until = timeout_ms.map(|ms| clock::boottime_ms().saturating_add(u64::from(ms)));
        loop {
            let session = self.session()?;
            if reached(&session) {
                return Ok(());
            }
            if let Some(error) = session.connection().blocked_by() {
                return Err(error);
            }
            let left = until.map(|until| until.saturating_sub(clock::boottime_ms()));
            if left == Some(0) {
                return Err(timed_out(&session, &not_reached()));
            }
            match self.idle_runner()? {
                Some(runner) => {
                    drop(session);
                    self.turn(runner, left)?;
                }
                // The thread that runs the loop reports every turn, its last one included.
                None => self.await_change(session, left)?,
            }
        }
    }

    /// Starts one thread that runs the loop. `ENOS_ERR_STATE` when it runs already, or another thread is in the loop.
    pub fn loop_start(self: &Arc<Self>) -> Result<()> {
        drop(self.session()?);
        let mut slot = self.thread();
        if !matches!(*slot, LoopThread::None) {
            return Err(Error::new(Status::ENOS_ERR_STATE, "the loop's thread runs already"));
        }
        drop(self.try_runner()?.ok_or_else(busy)?);
        self.stop.store(false, Ordering::Release);
        let client = Arc::clone(self);
        *slot = LoopThread::Running(thread::spawn("enos-loop", STACK, move || client.run_thread())?);
        Ok(())
    }

    /// Ends the thread and waits for its end. Nothing is lost, and any thread may run the loop afterwards.
    pub fn loop_stop(&self) -> Result<()> {
        callback::refuse_in_callback("enos_client_loop_stop")?;
        let _ = self.join_thread();
        Ok(())
    }

    /// Ends the thread and waits for its end. Returns whether it ran. The lock is not held during the wait, because a
    /// callback on that thread may ask whether the thread runs.
    #[must_use]
    pub(super) fn join_thread(&self) -> bool {
        let mut slot = self.thread();
        match std::mem::replace(&mut *slot, LoopThread::Ending) {
            LoopThread::None => *slot = LoopThread::None,
            LoopThread::Ending => {
                let ending = |slot: &mut LoopThread| matches!(slot, LoopThread::Ending);
                drop(self.thread_ended.wait_while(slot, ending));
            }
            LoopThread::Running(thread) => {
                self.stop.store(true, Ordering::Release);
                drop(slot);
                self.waker.wake();
                self.tell_waiters();
                // An error means that it panicked, which is in the log already.
                let _ = thread.join();
                *self.thread() = LoopThread::None;
                self.thread_ended.notify_all();
                self.tell_waiters();
                return true;
            }
        }
        false
    }

    fn run_thread(self: &Arc<Self>) {
        while !self.stop.load(Ordering::Acquire) {
            let turn = panic::catch(|| {
                let session = self.session()?;
                match self.try_runner()? {
                    Some(runner) => {
                        drop(session);
                        self.turn(runner, None)
                    }
                    None if self.stop.load(Ordering::Acquire) => Ok(()),
                    // A thread of the host's is still in the loop. It reports when it leaves.
                    None => self.await_change(session, None),
                }
            });
            if let Err(error) = turn.and_then(|result| result) {
                log::error("loop", format_args!("the loop's thread ends: {error}"));
                return self.mark_unusable();
            }
        }
    }

    /// Waits until another thread reports a turn, or until the timeout. The caller passes the lock under which it has
    /// looked at the session, so that it misses no change in between.
    fn await_change(&self, session: MutexGuard<'_, Session>, timeout_ms: Option<u64>) -> Result<()> {
        // Counted under the lock that the reporting thread takes as well.
        self.waiters.fetch_add(1, Ordering::Relaxed);
        let waited = match timeout_ms.map(Duration::from_millis) {
            Some(timeout) => self.changed.wait_timeout(session, timeout).map(drop).map_err(|_| broken()),
            None => self.changed.wait(session).map(drop).map_err(|_| broken()),
        };
        self.waiters.fetch_sub(1, Ordering::Relaxed);
        waited?;
        Ok(())
    }

    fn thread_runs(&self) -> bool {
        !matches!(*self.thread(), LoopThread::None)
    }

    fn thread(&self) -> MutexGuard<'_, LoopThread> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loop, unless another thread runs it.
    fn idle_runner(&self) -> Result<Option<MutexGuard<'_, Runner>>> {
        if self.thread_runs() {
            return Ok(None);
        }
        self.try_runner()
    }

    pub(super) fn try_runner(&self) -> Result<Option<MutexGuard<'_, Runner>>> {
        match self.runner.try_lock() {
            Ok(runner) => Ok(Some(runner)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Poisoned(_)) => Err(broken()),
        }
    }

    /// Waits once and does what is due. After that another thread may take over the loop.
    fn turn(self: &Arc<Self>, mut runner: MutexGuard<'_, Runner>, timeout_ms: Option<u64>) -> Result<()> {
        let result = self.wait_and_work(&mut runner, timeout_ms);
        drop(runner);
        self.tell_waiters();
        if log::deliver() {
            self.waker.wake();
        }
        result
    }

    fn wait_and_work(self: &Arc<Self>, runner: &mut Runner, timeout_ms: Option<u64>) -> Result<()> {
        if let Some(link) = runner.present_link() {
            link.attend();
        }
        let waited = self.waker.wait(timeout_ms);
        self.waker.clear();
        // Callbacks may take long from here on. Meanwhile the keeper looks after the link.
        let more = runner.present_link().is_some_and(|link| {
            let more = link.step(self.waker.is_socket_ready());
            link.leave();
            more
        });
        self.work(runner, Pass::new(timeout_ms))?;
        let link_deadline = runner.present_link().and_then(Link::rest);
        self.waker.rest();
        let mut session = self.session()?;
        if !runner.has_work() && session.release() {
            runner.events = VecDeque::new();
            self.inbox.release();
        }
        let deadline = [session.deadline(), link_deadline].into_iter().flatten().min();
        self.waker.set_deadline(deadline);
        if more || session.has_actions() || runner.has_work() || !self.inbox.is_empty() {
            self.waker.notify();
        }
        waited.map(drop)
    }

    /// Gives the session the new events, and performs its actions, within the limits of this pass. Earlier actions are
    /// performed before the session gets new inputs.
    fn work(self: &Arc<Self>, runner: &mut Runner, mut pass: Pass) -> Result<()> {
        if !self.perform_all(runner, &mut pass)? {
            return Ok(());
        }
        // The session gets the time after each batch, and before the next batch is taken. Otherwise every pass might reach
        // its limits within a new batch, and the session would never see the time pass.
        if !runner.has_batch {
            runner.dropped += self.inbox.drain(&mut runner.events);
            runner.has_batch = true;
        }
        while let Some((generation, arrival)) = runner.events.pop_front() {
            let Some(input) = self.on_arrival(runner, generation, arrival) else { continue };
            if !self.feed(runner, input, &mut pass)? {
                return Ok(());
            }
        }
        let dropped = std::mem::take(&mut runner.dropped);
        if dropped > 0 {
            self.counters.dropped(dropped);
            if !self.feed(runner, Input::Dropped(dropped), &mut pass)? {
                return Ok(());
            }
        }
        runner.has_batch = false;
        self.feed(runner, Input::Tick, &mut pass).map(drop)
    }

    fn feed(self: &Arc<Self>, runner: &mut Runner, input: Input, pass: &mut Pass) -> Result<bool> {
        self.session()?.handle(now(), input);
        self.perform_all(runner, pass)
    }

    /// Returns false if the pass reached its limits before all actions were performed.
    fn perform_all(self: &Arc<Self>, runner: &mut Runner, pass: &mut Pass) -> Result<bool> {
        loop {
            let answer = if runner.uses_storage() {
                if pass.storage == 0 {
                    return Ok(false);
                }
                pass.spend(Burden::Storage);
                runner.step_storage()
            } else {
                let mut session = self.session()?;
                let Some(action) = session.next_action_if(|action| pass.allows(action)) else {
                    return Ok(!session.has_actions());
                };
                drop(session);
                pass.spend(action.burden());
                self.perform(runner, action)
            };
            if let Some(answer) = answer {
                self.session()?.handle(now(), answer);
            }
        }
    }
}

fn timed_out(session: &Session, not_reached: &str) -> Error {
    let last_attempt = match session.connection().last_error() {
        "" => String::new(),
        words => format!("; the last attempt: {words}"),
    };
    let words = format!("{not_reached} after all this time; the state is {}{last_attempt}", session.state().name());
    Error::new(Status::ENOS_ERR_TIMEOUT, words)
}

fn busy() -> Error {
    Error::new(Status::ENOS_ERR_STATE, "another thread runs this client's loop")
}

//! What other threads tell a download: cancel, continue.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result, Status};

#[derive(Default)]
pub struct Control {
    state: Mutex<State>,
    changed: Condvar,
}

type Wake = Box<dyn Fn() + Send>;

#[derive(Default)]
struct State {
    cancelled: bool,
    /// The image is verified: it cannot be cancelled any more.
    sealed: bool,
    /// A call of the sink may be answered later.
    open: bool,
    answer: Option<i32>,
    /// Ends a wait for the network.
    wake: Option<Wake>,
}

impl Control {
    /// `ENOS_ERR_STATE` if the image is verified.
    pub fn cancel(&self) -> Result<()> {
        let mut state = self.lock();
        if state.sealed {
            return Err(Error::new(Status::ENOS_ERR_STATE, "the image is verified; it cannot be cancelled any more"));
        }
        self.end(&mut state);
        Ok(())
    }

    /// Ends the download in whatever state, because its client ends.
    pub fn stop(&self) {
        self.end(&mut self.lock());
    }

    fn end(&self, state: &mut State) {
        state.cancelled = true;
        if let Some(wake) = &state.wake {
            wake();
        }
        self.changed.notify_all();
    }

    /// The result of a call of the sink that it answers later. `ENOS_ERR_STATE` if there is none.
    pub fn answer(&self, result: i32) -> Result<()> {
        let mut state = self.lock();
        if !state.open || state.answer.is_some() {
            return Err(Error::new(Status::ENOS_ERR_STATE, "the download waits for no answer of its sink"));
        }
        state.answer = Some(result);
        self.changed.notify_all();
        Ok(())
    }

    pub fn is_cancelled(&self) -> bool {
        self.lock().cancelled
    }

    /// From here on it cannot be cancelled. False if it was.
    pub fn seal(&self) -> bool {
        let mut state = self.lock();
        state.sealed = true;
        !state.cancelled
    }

    pub fn set_wake(&self, wake: Wake) {
        self.lock().wake = Some(wake);
    }

    /// An answer of the sink may come from now on.
    pub fn open(&self) {
        let mut state = self.lock();
        (state.open, state.answer) = (true, None);
    }

    /// No answer is expected any more.
    pub fn shut(&self) {
        self.lock().open = false;
    }

    /// Waits for the answer of the sink. `None` if it is cancelled first.
    pub fn await_answer(&self) -> Option<i32> {
        let waits = |state: &mut State| state.answer.is_none() && !state.cancelled;
        let mut state = self.changed.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        state.open = false;
        if state.cancelled {
            return None;
        }
        state.answer.take()
    }

    /// Waits for so long. False if it is cancelled.
    pub fn sleep(&self, ms: u64) -> bool {
        let end = Instant::now() + Duration::from_millis(ms);
        let mut state = self.lock();
        while !state.cancelled {
            let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                return true;
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

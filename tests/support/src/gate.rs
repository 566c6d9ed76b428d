//! Blocks a callback until the test releases it.

use std::sync::{Arc, Condvar, Mutex};

use crate::host::PATIENCE;

#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    arrived: bool,
    open: bool,
}

impl Gate {
    /// Called in the callback.
    pub fn pass(&self) {
        let mut state = self.0 .0.lock().unwrap();
        state.arrived = true;
        self.0 .1.notify_all();
        while !state.open {
            state = self.0 .1.wait(state).unwrap();
        }
    }

    pub fn wait_for_arrival(&self) {
        let state = self.0 .0.lock().unwrap();
        let (state, _) = self.0 .1.wait_timeout_while(state, PATIENCE, |state| !state.arrived).unwrap();
        assert!(state.arrived, "no callback came");
    }

    pub fn open(&self) {
        self.0 .0.lock().unwrap().open = true;
        self.0 .1.notify_all();
    }
}

//! Random worlds: offers, downloads, installations, restarts and rollbacks at any time, with a storage that fails and a
//! process that ends before and after each use of it.

use super::*;

/// What is known of the device beside its record.
struct World {
    board: Board,
    rng: fastrand::Rng,
    /// What the slot holds: the image that a download has written, while it is whole.
    slot: Option<Firmware>,
    /// The slot was taken, and is not free again as far as the host knows.
    held: Option<Firmware>,
    /// The version that runs, and the one that the next start runs.
    runs: String,
    next: String,
    /// Installations that have neither succeeded nor failed, and how often each image was reported as failed.
    failures: usize,
    rollbacks: usize,
}

const VERSIONS: [&str; 4] = ["1", "2", "3", "4"];

impl World {
    fn new(seed: u64) -> World {
        World {
            board: Board::online("1"),
            rng: fastrand::Rng::with_seed(seed),
            slot: None,
            held: None,
            runs: "1".into(),
            next: "1".into(),
            failures: 0,
            rollbacks: 0,
        }
    }

    fn any(&mut self) -> Firmware {
        firmware(VERSIONS[self.rng.usize(..VERSIONS.len())])
    }

    fn step(&mut self) {
        self.board.storage_fails = if self.rng.u8(..8) == 0 { self.rng.usize(1..4) } else { 0 };
        match self.rng.u8(..8) {
            0 | 1 => self.offer(),
            2 | 3 => self.download(),
            4 => self.install(),
            5 => self.give_up(),
            6 => self.restart(),
            _ => self.board.wait(self.rng.u64(1..400_000)),
        }
        self.look();
    }

    /// Every offer has one answer, and an event unless its version runs.
    fn offer(&mut self) {
        let offered = self.any();
        let answers = self.board.answers.len();
        let id = self.board.offer(&offered);
        let told = self.board.events.iter().filter(|event| event.kind == EventKind::OtaOffer).count();
        let answered = &self.board.answers[answers..];
        assert!(matches!(answered, [(of, 200 | 1102)] if *of == id), "{answered:?}");
        assert!(told > 0 || offered.version == self.runs);
        self.board.now += 1;
    }

    fn download(&mut self) {
        let wanted = self.any();
        let retry = self.rng.bool();
        if !self.board.may_download(&wanted, retry) {
            return;
        }
        if let Some(held) = &self.held {
            assert!(held.is_same_image(&wanted), "{} is written over {}", wanted.version, held.version);
        }
        // Blocks are written.
        if !self.slot.as_ref().is_some_and(|slot| slot.is_same_image(&wanted)) {
            self.slot = None;
        }
        match self.rng.u8(..4) {
            0 => {
                self.board.end(&wanted, true);
                self.held = None;
            }
            1 => {}
            _ => {
                if self.board.take(Phase::Verified, &wanted).is_ok() {
                    (self.slot, self.held) = (Some(wanted.clone()), Some(wanted));
                }
            }
        }
    }

    fn install(&mut self) {
        let Some(held) = self.held.clone() else { return };
        if self.board.take(Phase::Installed, &held).is_ok() {
            self.next = held.version.clone();
            if self.rng.bool() {
                // The bootloader will start the old one.
                self.next = self.runs.clone();
                self.rollbacks += usize::from(held.version != self.runs);
            }
            self.restart();
        }
    }

    fn give_up(&mut self) {
        if let Some(held) = self.held.take() {
            self.board.end(&held, false);
        }
    }

    fn restart(&mut self) {
        self.look();
        self.runs = self.next.clone();
        self.board.storage_fails = 0;
        let installed = matches!(self.board.disk.taken, Some((Phase::Installed, _)));
        let lives_for = if self.rng.u8(..4) == 0 { self.rng.usize(..4) } else { usize::MAX };
        self.board.session = session(Some(&self.runs));
        self.board.lives_for = lives_for;
        self.board.events.clear();
        self.board.connect();
        if lives_for != usize::MAX {
            self.look();
            let runs = self.runs.clone();
            self.board.restart(&runs);
        }
        // What was installed is decided, and the slot is free.
        if installed {
            assert!(self.board.disk.taken.is_none());
            self.held = None;
        }
        if self.board.disk.taken.is_none() {
            self.held = None;
        }
    }

    fn look(&mut self) {
        let reported = std::mem::take(&mut self.board.steps).len();
        self.failures += reported;
        for event in std::mem::take(&mut self.board.events) {
            let Some(offer) = &event.firmware else { continue };
            if event.kind == EventKind::Ota && event.status == S::ENOS_OK {
                assert_eq!(offer.firmware.version, self.runs, "a success of what does not run");
            }
        }
        if let Some((_, taken)) = &self.board.disk.taken {
            assert!(self.slot.as_ref().is_some_and(|slot| slot.is_same_image(taken)), "the slot holds something else");
        }
    }
}

#[test]
fn a_taken_slot_stays_whole_and_each_rollback_is_reported() {
    let mut rollbacks = 0;
    for seed in 0..60 {
        let mut world = World::new(seed);
        for _ in 0..120 {
            world.step();
        }
        world.restart();
        world.look();
        // A process that ended between the report and the record reports once more, and the newest counts.
        assert!(world.failures >= world.rollbacks, "seed {seed}: {} of {}", world.failures, world.rollbacks);
        rollbacks += world.rollbacks;
    }
    assert!(rollbacks > 60, "{rollbacks}");
}

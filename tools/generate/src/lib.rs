//! The files that are made from the sources. `enos-generate` writes them; the tests in tests/packaging compare them.
//!
//! | command | file |
//! |---|---|
//! | `make header` | include/enos.h |
//! | `make layout` | tests/golden/abi-layout.txt |
//! | `make messages` | docs/messages.md |

pub mod header;
pub mod layout;
pub mod messages;

use std::fs;

use support::native::root;

/// A generated file.
pub struct File {
    /// The target of make that writes it.
    pub target: &'static str,
    /// From the root.
    pub path: &'static str,
    generate: fn(Mode) -> String,
}

/// All of them.
pub const FILES: [File; 3] = [
    File { target: "header", path: "include/enos.h", generate: |_| header::generate() },
    File { target: "layout", path: layout::PATH, generate: layout::generate },
    File { target: "messages", path: messages::PATH, generate: |_| messages::generate() },
];

/// What the text is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Write,
    /// What this machine has no compiler for is taken from the file.
    Compare,
}

impl File {
    pub fn named(target: &str) -> Option<&'static File> {
        FILES.iter().find(|file| file.target == target)
    }

    pub fn write(&self) {
        let text = (self.generate)(Mode::Write);
        fs::write(root().join(self.path), text).unwrap_or_else(|e| panic!("{}: {e}", self.path));
    }

    /// Panics at the first line that is not what the sources say.
    #[track_caller]
    pub fn compare(&self) {
        let generated = (self.generate)(Mode::Compare);
        let committed = fs::read_to_string(root().join(self.path)).unwrap_or_default();
        let File { target, path, .. } = self;
        let mut lines = (1..).zip(committed.lines().zip(generated.lines()));
        if let Some((number, (is, ought))) = lines.find(|(_, (is, ought))| is != ought) {
            panic!("{path}:{number} is\n  {is}\nand ought to be\n  {ought}\n`make {target}` writes it");
        }
        assert!(committed == generated, "{path} is cut short or too long; `make {target}` writes it");
    }
}

//! Searches the memory of a process for remains of a secret.

use std::collections::HashSet;
use std::fs::{read_to_string, File};
use std::os::unix::fs::FileExt;

use zeroize::{Zeroize, Zeroizing};

/// This many bytes in a row count as remains: half of the smallest vector register.
pub const RUN: usize = 8;

/// The forms of the secret in a digest: unchanged, and as an HMAC's inner and outer key.
pub const PADS: [u8; 3] = [0, 0x36, 0x5C];

/// Every run of a secret's bytes, also with the byte order of each word swapped as in hash functions; masked, so that
/// the search does not find itself.
pub struct Runs {
    mask: u64,
    masked: HashSet<u64>,
    /// The first two bytes of each run, for a fast search.
    begins: Vec<bool>,
}

impl Runs {
    pub fn of(secret: &[u8], random: &mut fastrand::Rng) -> Runs {
        let mut runs = Runs { mask: random.u64(..), masked: HashSet::new(), begins: vec![false; 1 << 16] };
        for run in secret.windows(RUN) {
            for pad in PADS {
                for turned in [0, 3] {
                    let byte = |at: usize| run[at ^ turned] ^ pad;
                    let run = (0..RUN).fold(runs.mask, |masked, at| masked ^ u64::from(byte(at)) << (8 * at));
                    runs.masked.insert(run);
                    runs.begins[usize::from(byte(0)) << 8 | usize::from(byte(1))] = true;
                }
            }
        }
        runs
    }

    fn matches(&self, bytes: &[u8]) -> bool {
        self.begins[usize::from(bytes[0]) << 8 | usize::from(bytes[1])]
            && self.masked.contains(&(u64::from_le_bytes(bytes.try_into().unwrap()) ^ self.mask))
    }

    /// The mappings of a process with runs, each with their number. `process`: "self", or its id.
    pub fn search(&self, process: &str) -> Vec<(String, usize)> {
        let memory = File::open(format!("/proc/{process}/mem")).unwrap();
        let mut chunk = Zeroizing::new([0; 4096]);
        let mut found = Vec::new();
        for mapping in read_to_string(format!("/proc/{process}/maps")).unwrap().lines() {
            let (range, rest) = mapping.split_once(' ').unwrap();
            if !rest.starts_with("rw") {
                continue;
            }
            let (from, to) = range.split_once('-').unwrap();
            let (mut from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
            let mut count = 0;
            while to - from >= RUN as u64 {
                let length = chunk.len().min((to - from) as usize);
                memory.read_exact_at(&mut chunk[..length], from).unwrap();
                // Most of a stack was never touched.
                if *chunk != [0; 4096] {
                    count += chunk[..length].windows(RUN).filter(|bytes| self.matches(bytes)).count();
                }
                from += (length - RUN + 1) as u64;
            }
            chunk.zeroize();
            if count > 0 {
                found.push((mapping.to_owned(), count));
            }
        }
        found
    }
}
